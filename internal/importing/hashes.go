package importing

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"regexp"
	"strconv"
	"strings"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What follows writes hashes whose parts lie in several fields in one of the forms
// that the import reads. Whether they can be verified is not decided here.

func parseHex32(s string) (uint64, error) { return strconv.ParseUint(s[:min(8, len(s))], 16, 32) }

func number(n int64) jsontext.Value { return jsontext.Value(strconv.FormatInt(n, 10)) }

func word(s string) jsontext.Value {
	b, _ := jsontext.AppendQuote(nil, s) // what is not UTF-8 was refused before
	return b
}

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// anyBase64 reads either alphabet, padded or not.
func anyBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "=")))
}

// encodeDigest takes a digest in hex or base64.
func encodeDigest(name, order, salt, digest string) (string, error) {
	sum, err := hex.DecodeString(digest)
	if err != nil {
		sum, err = anyBase64(digest)
	}
	if err != nil {
		return "", &Fault{"hash_unknown", "The digest is neither hex nor base64."}
	}
	if order == "p" {
		salt = ""
	}
	return "$digest-" + name + "$" + order + "$" + b64([]byte(salt)) + "$" + b64(sum), nil
}

func encodePepper(hash string, pepper []byte) string {
	return "$bcrypt-pepper$" + b64(pepper) + hash
}

// FirebaseHash is what all hashes of a project of Firebase are made with.
type FirebaseHash struct {
	SignerKey, Separator string // base64
	Rounds, MemCost      int
}

// ReadFirebaseHash reads the parameters as the console of Firebase shows them: it
// looks for the names base64_signer_key, base64_salt_separator, rounds and
// mem_cost, and what stands behind each.
func ReadFirebaseHash(name string) (FirebaseHash, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return FirebaseHash{}, err
	}
	value := func(key string) string {
		m := regexp.MustCompile(key + `"?\s*[:=]\s*"?([A-Za-z0-9+/=_-]+)`).FindSubmatch(b)
		if m == nil {
			return ""
		}
		return string(m[1])
	}
	h := FirebaseHash{SignerKey: value("base64_signer_key"), Separator: value("base64_salt_separator")}
	h.Rounds, _ = strconv.Atoi(value("rounds"))
	h.MemCost, _ = strconv.Atoi(value("mem_cost"))
	if h.SignerKey == "" || h.Separator == "" || h.Rounds < 1 || h.MemCost < 1 {
		return FirebaseHash{}, fmt.Errorf("%s: %w", name, errors.New("want base64_signer_key, base64_salt_separator, rounds and mem_cost, as the console shows them"))
	}
	return h, nil
}

func (h FirebaseHash) hash(salt, hash string) string {
	return fmt.Sprintf("$firescrypt$ln=%d,r=%d,p=1$%s$%s$%s$%s", h.MemCost, h.Rounds, salt, hash, h.Separator, h.SignerKey)
}

var firebase = &Format{
	Name: "firebase",
	id:   []string{"localId"}, email: []string{"email"}, name: []string{"displayName"}, password: []string{"passwordHash"}, salt: []string{"salt"},
	roles: []string{"roles"}, created: []string{"createdAt"}, updated: []string{"lastSignedInAt", "lastLoginAt"}, passwordChanged: []string{"passwordUpdatedAt"},
	verified: []string{"emailVerified"}, disabled: []string{"disabled"},
	marks: func(f fields) bool { return f.has("localId") },
	// Columns are in the order of the documentation of auth:export.
	Columns: []string{
		"localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl",
		"googleId", "googleEmail", "googleDisplayName", "googlePhotoUrl", "facebookId", "facebookEmail", "facebookDisplayName", "facebookPhotoUrl",
		"twitterId", "twitterEmail", "twitterDisplayName", "twitterPhotoUrl", "githubId", "githubEmail", "githubDisplayName", "githubPhotoUrl",
		"createdAt", "lastSignedInAt", "phoneNumber", "disabled", "customAttributes",
	},
	before: func(_ *Reader, f fields) (fields, error) {
		for _, name := range []string{"customAttributes", "customClaims"} {
			claims := f.within(name)
			for _, role := range []string{"roles", "role"} {
				if v := claims[role]; !empty(v) {
					f["roles"] = v
				}
			}
		}
		return f, nil
	},
}

// auth0Hash reads the form in which Auth0 takes hashes in.
func auth0Hash(f fields) error {
	custom := f.within("custom_password_hash")
	delete(f, "custom_password_hash")
	if len(custom) == 0 {
		return nil
	}
	var hash, salt struct {
		Value    string `json:"value"`
		Encoding string `json:"encoding"`
		Position string `json:"position"`
	}
	err := errors.Join(optional(custom["hash"], &hash), optional(custom["salt"], &salt))
	raw, serr := decoded(salt.Value, salt.Encoding)
	if errors.Join(err, serr) != nil {
		return &Fault{"hash_unknown", "The hash cannot be read."}
	}
	switch algorithm := text(custom["algorithm"]); algorithm {
	case "scrypt":
		key, err := decoded(hash.Value, hash.Encoding)
		cost, cerr := strconv.ParseUint(text(custom["cost"]), 10, 32)
		if errors.Join(err, cerr) != nil || bits.OnesCount64(cost) != 1 {
			return &Fault{"hash_unknown", "The hash cannot be read."}
		}
		f["passwordHash"] = word(fmt.Sprintf("$scrypt$ln=%d,r=%s,p=%s$%s$%s", bits.TrailingZeros64(cost),
			text(custom["blockSize"]), text(custom["parallelization"]), b64([]byte(raw)), b64([]byte(key))))
		return nil
	case "md5", "sha1", "sha256", "sha512":
		order := map[bool]string{true: "ps", false: "sp"}[salt.Position == "suffix"]
		if salt.Value == "" {
			order = "p"
		}
		encoded, err := encodeDigest(algorithm, order, raw, hash.Value)
		f["passwordHash"] = word(encoded)
		return err
	}
	f["passwordHash"] = word(hash.Value)
	return nil
}

// decoded is a text in one of the encodings of Auth0, of which UTF-8 is none.
func decoded(s, encoding string) (string, error) {
	var b []byte
	var err error
	switch encoding {
	case "hex":
		b, err = hex.DecodeString(s)
	case "base64":
		b, err = anyBase64(s)
	case "", "utf8":
		return s, nil
	default:
		err = errors.New("another encoding than hex, base64 and utf8")
	}
	return string(b), err
}

func optional(v jsontext.Value, to any) error {
	if empty(v) {
		return nil
	}
	return json.Unmarshal(v, to)
}

var keycloak = &Format{
	Name: "keycloak",
	id:   []string{"id"}, email: []string{"email"}, given: []string{"firstName"}, family: []string{"lastName"}, password: []string{"password"},
	roles: []string{"realmRoles"}, created: []string{"createdTimestamp"}, passwordChanged: []string{"passwordChanged"},
	verified: []string{"emailVerified"}, enabled: []string{"enabled"},
	marks: func(f fields) bool {
		return f.has("username") && f.hasAny("credentials", "realmRoles", "createdTimestamp")
	},
	before: func(_ *Reader, f fields) (fields, error) {
		if name := text(f["username"]); empty(f["email"]) && strings.Contains(name, "@") {
			f["email"] = f["username"]
		}
		if f.has("serviceAccountClientId") {
			return nil, errOther
		}
		return f, keycloakHash(f)
	},
}

// keycloakHash reads the first password among the credentials: two texts that
// hold JSON.
func keycloakHash(f fields) error {
	var credentials []struct {
		Type           string `json:"type"`
		CreatedDate    int64  `json:"createdDate"`
		SecretData     string `json:"secretData"`
		CredentialData string `json:"credentialData"`
	}
	err := optional(opened(f["credentials"]), &credentials)
	delete(f, "credentials") // with all secrets in it
	if err != nil {
		return &Fault{"hash_unknown", "The credentials cannot be read."}
	}
	for _, c := range credentials {
		if c.Type != "password" {
			continue
		}
		var secret struct {
			Value string `json:"value"`
			Salt  string `json:"salt"`
		}
		var data struct {
			Iterations int                 `json:"hashIterations"`
			Algorithm  string              `json:"algorithm"`
			Parameters map[string][]string `json:"additionalParameters"`
		}
		if errors.Join(json.Unmarshal([]byte(c.SecretData), &secret), json.Unmarshal([]byte(c.CredentialData), &data)) != nil {
			return &Fault{"hash_unknown", "The credentials cannot be read."}
		}
		if c.CreatedDate > 0 {
			f["passwordChanged"] = number(c.CreatedDate)
		}
		salt, serr := anyBase64(secret.Salt)
		key, kerr := anyBase64(secret.Value)
		hash := secret.Value // one that says itself what it is, of an extension
		if serr == nil && kerr == nil && len(salt) > 0 {
			parameter := func(name string) string {
				if list := data.Parameters[name]; len(list) == 1 {
					return list[0]
				}
				return ""
			}
			switch data.Algorithm {
			case "pbkdf2":
				hash = fmt.Sprintf("$pbkdf2-sha1$i=%d$%s$%s", data.Iterations, b64(salt), b64(key))
			case "pbkdf2-sha256", "pbkdf2-sha512":
				hash = fmt.Sprintf("$%s$i=%d$%s$%s", data.Algorithm, data.Iterations, b64(salt), b64(key))
			case "argon2":
				if parameter("version") != "1.3" {
					return &Fault{"hash_unknown", "The version of argon2 is not 1.3."}
				}
				hash = fmt.Sprintf("$argon2%s$v=19$m=%s,t=%d,p=%s$%s$%s", parameter("type"), parameter("memory"), data.Iterations, parameter("parallelism"), b64(salt), b64(key))
			default:
				return &Fault{"hash_unknown", "The algorithm of the hash is not known."}
			}
		}
		f["password"] = word(hash)
		return nil
	}
	return nil
}

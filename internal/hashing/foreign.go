package hashing

import (
	"encoding/base64"
	"encoding/hex"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Foreign brings a hash as another system has written it into the form in which it
// is stored, without knowing the password. It reads everything that [Parse] reads,
// and
//
//	pbkdf2_sha256$600000$<salt>$<key>                Django; also pbkdf2_sha1, pbkdf2_sha512
//	argon2$argon2id$…  bcrypt$$2b$…  bcrypt_sha256$$2b$…
//	scrypt$16384$<salt>$8$1$<key>
//	sha1$<salt>$<hex>  md5$<salt>$<hex>
//	$pbkdf2-sha256$29000$<salt>$<key>                passlib; $pbkdf2$ is of SHA-1
//	$pbkdf2-sha256$i=29000,l=32$<salt>$<key>         Kratos
//	$scrypt$ln=16384,r=8,p=1$<salt>$<key>            N itself
//	$sha1$pf=<format>$<salt>$<hash>                  also md5, sha256, sha512
//	$firescrypt$ln=14,r=8,p=1$<salt>$<hash>$<separator>$<signer key>
//	$fbscrypt$v=1,n=14,r=8,p=1,ss=<separator>,sk=<signer key>$<salt>$<hash>
//	<salt>:<key>                                     Better Auth, in hex
//	{SSHA}…  {SSHA256}…  {SSHA512}…  {SMD5}…  {SHA}…  {MD5}…  {CRYPT}…   LDAP
//
// The answer may be a digest that has to be wrapped; see [IsDigest]. The error is
// an [ErrMalformed].
func Foreign(text string) (string, error) {
	if len(text) > maxEncoded {
		return "", malformed("longer than %d bytes", maxEncoded)
	}
	encoded, err := foreign(text)
	if err != nil {
		return "", err
	}
	// Whatever was put together is read as it will be, bounds and all.
	if IsDigest(encoded) {
		_, _, err = readDigest(encoded)
	} else {
		_, err = Parse(encoded)
	}
	if err != nil {
		return "", err
	}
	return encoded, nil
}

func foreign(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "{"); ok {
		return ldap(rest)
	}
	if salt, key, ok := strings.Cut(text, ":"); ok {
		return betterAuth(salt, key)
	}
	if !strings.HasPrefix(text, "$") {
		return django(text)
	}
	name, rest, _ := strings.Cut(text[1:], "$")
	switch name {
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		return foreignPBKDF2(name, rest)
	case "scrypt":
		return foreignScrypt(rest)
	case "firescrypt":
		return firescrypt(rest)
	case "fbscrypt":
		return fbscrypt(rest)
	case "md5", "sha1", "sha256", "sha512":
		return kratosDigest(name, rest)
	}
	return text, nil
}

// django reads what has no $ in front.
func django(text string) (string, error) {
	name, rest, ok := strings.Cut(text, "$")
	part := strings.Split(rest, "$")
	switch {
	case !ok:
		return "", malformed("unknown algorithm")
	case name == "argon2", name == "bcrypt":
		if rest = strings.TrimPrefix(rest, "$"); name == "argon2" && !strings.HasPrefix(rest, "argon2") || name == "bcrypt" && !isBcrypt("$"+rest) {
			return "", malformed("want what its name says")
		}
		return "$" + rest, nil
	case name == "bcrypt_sha256":
		return "$" + string(BcryptSHA256) + rest, nil
	case strings.HasPrefix(name, "pbkdf2_") && len(part) == 3:
		return encodePBKDF2(strings.Replace(name, "_", "-", 1), part[0], []byte(part[1]), anyBase64, part[2])
	case name == "scrypt" && len(part) == 5:
		return encodeScrypt(Scrypt, part[0], part[2], part[3], []byte(part[1]), part[4])
	case (name == "sha1" || name == "md5") && len(part) == 2:
		return encodeDigest(name, "sp", []byte(part[0]), part[1])
	}
	return "", malformed("unknown algorithm")
}

// foreignPBKDF2 reads the numbers as passlib or others write them.
func foreignPBKDF2(name, rest string) (string, error) {
	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return "", malformed("want iterations, a salt and a key")
	}
	if name == "pbkdf2" {
		name = string(PBKDF2SHA1)
	}
	iterations, named := strings.CutPrefix(part[0], "i=")
	decode := passlibBase64
	if named {
		decode = anyBase64
	}
	salt, err := decode(part[1])
	if err != nil {
		return "", err
	}
	iterations, length, limited := strings.Cut(iterations, ",l=")
	if limited {
		if key, err := decode(part[2]); err != nil || strconv.Itoa(len(key)) != length {
			return "", malformed("the key is not as long as it says")
		}
	}
	return encodePBKDF2(name, iterations, salt, decode, part[2])
}

func encodePBKDF2(name, iterations string, salt []byte, decode func(string) ([]byte, error), text string) (string, error) {
	key, err := decode(text)
	if err != nil {
		return "", err
	}
	return "$" + name + "$i=" + iterations + "$" + encoding.EncodeToString(salt) + "$" + encoding.EncodeToString(key), nil
}

// foreignScrypt takes an ln that can only be N for it: none is that large.
func foreignScrypt(rest string) (string, error) {
	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return "", malformed("want parameters, a salt and a key")
	}
	values, err := parseNumbers(part[0], "ln", "r", "p")
	if err != nil {
		return "", err
	}
	if values[0] <= maxScryptLog {
		values[0] = 1 << values[0]
	}
	salt, err := anyBase64(part[1])
	if err != nil {
		return "", err
	}
	n := func(i int) string { return strconv.Itoa(int(values[i])) }
	return encodeScrypt(Scrypt, n(0), n(1), n(2), salt, part[2])
}

func encodeScrypt(a Algorithm, n, r, p string, salt []byte, text string) (string, error) {
	key, err := anyBase64(text)
	if err != nil {
		return "", err
	}
	cost, ok := parseNumber(n)
	if !ok || bits.OnesCount32(cost) != 1 {
		return "", malformed("N is not a power of two")
	}
	return "$" + string(a) + "$ln=" + strconv.Itoa(bits.TrailingZeros32(cost)) + ",r=" + r + ",p=" + p +
		"$" + encoding.EncodeToString(salt) + "$" + encoding.EncodeToString(key), nil
}

// betterAuth has N=16384, r=16, p=1, and takes the salt as the text that it is
// written in.
func betterAuth(salt, key string) (string, error) {
	if len(salt) != 32 || !isLowerHex(salt) || len(key) != 128 || !isLowerHex(key) {
		return "", malformed("want a salt of 32 and a key of 128 hexadecimal digits")
	}
	b, _ := hex.DecodeString(key)
	return encodeScrypt(ScryptNFKC, "16384", "16", "1", []byte(salt), encoding.EncodeToString(b))
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func firescrypt(rest string) (string, error) {
	part := strings.Split(rest, "$")
	if len(part) != 5 {
		return "", malformed("want parameters, a salt, a hash, a separator and a signer key")
	}
	return firebase(part[0], part[1], part[2], part[3], part[4])
}

func fbscrypt(rest string) (string, error) {
	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return "", malformed("want parameters, a salt and a hash")
	}
	// The base64 of the last two has no comma, and may have an equals sign.
	parameters, ok := strings.CutPrefix(part[0], "v=1,n=")
	parameters, keys, found := strings.Cut(parameters, ",ss=")
	separator, signer, both := strings.Cut(keys, ",sk=")
	if !ok || !found || !both {
		return "", malformed("want the parameters v, n, r, p, ss, sk in this order")
	}
	return firebase("ln="+parameters, part[1], part[2], separator, signer)
}

// firebase takes the signer key off the hash, which is that key under AES in
// counter mode: what is left is the keystream, which follows from the password, the
// salt and the separator alone. So the key of the project is not stored.
func firebase(parameters, salt, text, separator, signer string) (string, error) {
	values, err := parseNumbers(parameters, "ln", "r", "p")
	if err != nil {
		return "", err
	}
	var decoded [4][]byte
	for i, s := range []string{salt, separator, text, signer} {
		if decoded[i], err = anyBase64(s); err != nil {
			return "", err
		}
	}
	hash, key := decoded[2], decoded[3]
	if len(hash) != len(key) {
		return "", malformed("the hash has %d bytes, the signer key %d", len(hash), len(key))
	}
	if values[0] > maxScryptLog {
		return "", malformed("ln is %d, want 1 to %d", values[0], maxScryptLog)
	}
	n := func(i int) string { return strconv.Itoa(int(values[i])) }
	stream := make([]byte, len(hash))
	for i := range hash {
		stream[i] = hash[i] ^ key[i]
	}
	return encodeScrypt(ScryptFirebase, strconv.Itoa(1<<values[0]), n(1), n(2), slices.Concat(decoded[0], decoded[1]), encoding.EncodeToString(stream))
}

// kratosDigest reads a digest with a format, which is {SALT} and {PASSWORD} in
// either order, and base64 itself.
func kratosDigest(name, rest string) (string, error) {
	part := strings.Split(rest, "$")
	if len(part) == 1 && name == "md5" {
		return encodeDigest(name, "p", nil, part[0])
	}
	if len(part) != 3 {
		return "", malformed("want a format, a salt and a hash")
	}
	text, ok := strings.CutPrefix(part[0], "pf=")
	format, err := anyBase64(text)
	if err != nil || !ok {
		return "", malformed("the format cannot be read")
	}
	salt, err := anyBase64(part[1])
	if err != nil {
		return "", err
	}
	switch string(format) {
	case "{SALT}{PASSWORD}":
		return encodeDigest(name, "sp", salt, part[2])
	case "{PASSWORD}{SALT}":
		return encodeDigest(name, "ps", salt, part[2])
	}
	return "", malformed("the format is neither {SALT}{PASSWORD} nor {PASSWORD}{SALT}")
}

// ldap reads the schemes of RFC 2307 and its successors: the salt stands behind
// the digest, in one base64.
func ldap(rest string) (string, error) {
	scheme, text, _ := strings.Cut(rest, "}")
	name, size, salted := "", 0, true
	switch strings.ToUpper(scheme) {
	case "CRYPT":
		return text, nil
	case "SSHA":
		name, size = "sha1", 20
	case "SSHA256":
		name, size = "sha256", 32
	case "SSHA512":
		name, size = "sha512", 64
	case "SMD5":
		name, size = "md5", 16
	case "SHA":
		name, size, salted = "sha1", 20, false
	case "MD5":
		name, size, salted = "md5", 16, false
	default:
		return "", malformed("unknown algorithm")
	}
	b, err := anyBase64(text)
	if err != nil {
		return "", err
	}
	if len(b) < size || len(b) > size && !salted {
		return "", malformed("a digest of %d bytes, want %d", len(b), size)
	}
	order := "ps"
	if len(b) == size {
		order = "p"
	}
	return encodeDigest(name, order, b[size:], encoding.EncodeToString(b[:size]))
}

// encodeDigest writes a digest that is in hex or base64, which of the two being
// clear from its length.
func encodeDigest(name, order string, salt []byte, text string) (string, error) {
	if len(salt) == 0 {
		order = "p"
	}
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != len(digest{algorithm: Algorithm("wrapped-" + name)}.sum(nil)) {
		if sum, err = anyBase64(text); err != nil {
			return "", err
		}
	}
	return digestPrefix + name + "$" + order + "$" + encoding.EncodeToString(salt) + "$" + encoding.EncodeToString(sum), nil
}

// anyBase64 reads either alphabet, padded or not. Each text has one meaning.
func anyBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, malformed("not base64")
	}
	bare := strings.TrimRight(s, "=")
	if pad := len(s) - len(bare); pad > 0 && len(s)%4 != 0 {
		return nil, malformed("not base64")
	}
	e := base64.RawStdEncoding
	if strings.ContainsAny(bare, "-_") {
		e = base64.RawURLEncoding
	}
	b, err := e.Strict().DecodeString(bare)
	if err != nil {
		return nil, malformed("not base64") // the cause would quote a byte of it
	}
	return b, nil
}

// passlibBase64 has a dot in the place of the plus.
func passlibBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "+=-_") {
		return nil, malformed("not base64")
	}
	return anyBase64(strings.ReplaceAll(s, ".", "+"))
}

// WithPepper is the stored form of a bcrypt hash of passwords with a constant
// behind them.
func WithPepper(encoded string, pepper []byte) (string, error) {
	if !isBcrypt(encoded) {
		return "", malformed("a pepper is for bcrypt")
	}
	encoded = "$" + string(BcryptPepper) + "$" + encoding.EncodeToString(pepper) + encoded
	_, err := Parse(encoded)
	return encoded, err
}

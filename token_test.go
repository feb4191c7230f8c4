package gatehouse_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// decoded is the header and the claims of a token.
func decoded(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[i]))(t), into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// with is a copy in which one value is another; nil takes it out.
func with(m map[string]any, name string, value any) map[string]any {
	m = maps.Clone(m)
	m[name] = value
	if value == nil {
		delete(m, name)
	}
	return m
}

// signed is a token of that header and those claims.
func signed(t testing.TB, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	return must((&jwt.Token{Header: header, Claims: jwt.MapClaims(claims), Method: method}).SignedString(key))(t)
}

func TestAccessTokenClaims(t *testing.T) {
	for _, algorithm := range []gatehouse.Algorithm{gatehouse.EdDSA, gatehouse.ES256, gatehouse.HS256} {
		t.Run(string(algorithm), func(t *testing.T) {
			cfg := gatehouse.Config{Algorithm: algorithm, Issuer: "https://login.example.com", Audience: "https://example.com"}
			if algorithm == gatehouse.HS256 {
				cfg.HS256Secret = gatehouse.NewSecret([]byte(strings.Repeat("h", 32)))
			}
			a := gatehousetest.New(t, cfg)
			u := a.Register(ann)
			must(a.GrantRole(t.Context(), u.ID, "admin"))(t)
			l := a.Login(ann)
			works(t, "fresh", a, l)
			header, claims := decoded(t, l.AccessToken)
			if header["alg"] != string(algorithm) || header["typ"] != "at+jwt" || header["kid"] == "" {
				t.Errorf("header = %v", header)
			}
			for name, want := range map[string]any{
				"iss": "https://login.example.com", "sub": u.ID, "sid": l.Session.ID,
				"auth_time": float64(l.Session.AuthenticatedAt.Unix()), "exp": float64(l.AccessExpiresAt.Unix()),
			} {
				if claims[name] != want {
					t.Errorf("%s = %v, want %v", name, claims[name], want)
				}
			}
			if aud, _ := json.Marshal(claims["aud"]); !strings.Contains(string(aud), `"https://example.com"`) {
				t.Errorf("aud = %s", aud)
			}
			if roles, _ := json.Marshal(claims["roles"]); string(roles) != `["admin"]` {
				t.Errorf("roles = %s", roles)
			}
			if _, there := claims["email"]; there || strings.Contains(l.AccessToken, base64.RawURLEncoding.EncodeToString([]byte(ann))) {
				t.Error("the address is in the token")
			}
			keys := must(a.Keys(t.Context()))(t)
			if algorithm == gatehouse.HS256 {
				if len(keys) != 0 || string(a.JWKS()) != `{"keys":[]}` {
					t.Errorf("with a shared secret there are %d keys, and %s is published", len(keys), a.JWKS())
				}
				_, err := a.RotateKeys(t.Context())
				refused(t, "rotate", err, gatehouse.Invalid, "no_signing_keys")
			} else if len(keys) != 2 || keys[0].Algorithm != algorithm {
				t.Errorf("keys = %+v, want a current and a next one for %s", keys, algorithm)
			}
		})
	}
}

func TestTokenProfile(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{TokenProfile: true})
	u := a.Register(ann)
	_, claims := decoded(t, a.Login(ann).AccessToken)
	if claims["id"] != u.ID || claims["email"] != ann {
		t.Errorf("id = %v, email = %v; want %s, %s", claims["id"], claims["email"], u.ID, ann)
	}
}

func TestAccessTokenLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		shortest, longest := time.Hour, time.Duration(0)
		var l *gatehouse.Login
		for range 50 {
			l = a.Login(ann)
			life := time.Until(l.AccessExpiresAt)
			shortest, longest = min(shortest, life), max(longest, life)
		}
		if shortest < 855*time.Second-time.Second || longest > 945*time.Second || longest-shortest < 20*time.Second {
			t.Errorf("lifetimes of %v to %v, want them spread over 855 to 945 s", shortest, longest)
		}
		time.Sleep(time.Until(l.AccessExpiresAt) - time.Millisecond)
		works(t, "in the last millisecond", a, l)
		time.Sleep(time.Millisecond)
		_, err := a.Authenticate(t.Context(), l.AccessToken)
		refused(t, "expired", err, gatehouse.Unauthenticated, "invalid_token")
		must(a.Refresh(t.Context(), l.RefreshToken))(t)
	})
}

// With a key that is known, so that the signature is right and only what is
// said is wrong.
func TestAccessTokenSaysWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := []byte(strings.Repeat("h", 32))
		a := gatehousetest.New(t, gatehouse.Config{Algorithm: gatehouse.HS256, HS256Secret: gatehouse.NewSecret(secret)})
		a.Register(ann)
		l := a.Login(ann)
		header, claims := decoded(t, l.AccessToken)
		make := func(header, claims map[string]any) string {
			return signed(t, jwt.SigningMethodHS256, secret, header, claims)
		}
		now := time.Now().Unix()
		good := map[string]string{
			"unchanged":                    make(header, claims),
			"issued by a clock 59 s ahead": make(header, with(claims, "iat", now+59)),
			"one of several audiences":     make(header, with(claims, "aud", []string{"other", "gatehouse"})),
			"a claim more":                 make(header, with(claims, "more", "x")),
		}
		for what, token := range good {
			if _, err := a.Authenticate(t.Context(), token); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		bad := map[string]string{
			"another issuer":            make(header, with(claims, "iss", "other")),
			"no issuer":                 make(header, with(claims, "iss", nil)),
			"another audience":          make(header, with(claims, "aud", "other")),
			"no audience":               make(header, with(claims, "aud", nil)),
			"an empty audience":         make(header, with(claims, "aud", []string{})),
			"expired":                   make(header, with(claims, "exp", now)),
			"no expiry":                 make(header, with(claims, "exp", nil)),
			"an expiry that is text":    make(header, with(claims, "exp", "never")),
			"an expiry out of range":    make(header, with(claims, "exp", -1e300)),
			"not yet":                   make(header, with(claims, "nbf", now+120)),
			"issued in the future":      make(header, with(claims, "iat", now+120)),
			"no time of issue":          make(header, with(claims, "iat", nil)),
			"no subject":                make(header, with(claims, "sub", nil)),
			"another subject":           make(header, with(claims, "sub", "somebody")),
			"a subject that is a list":  make(header, with(claims, "sub", []string{l.User.ID})),
			"no session":                make(header, with(claims, "sid", nil)),
			"another session":           make(header, with(claims, "sid", "other")),
			"typed as JWT":              make(with(header, "typ", "JWT"), claims),
			"typed in capitals":         make(with(header, "typ", "AT+JWT"), claims),
			"not typed":                 make(with(header, "typ", nil), claims),
			"another key id":            make(with(header, "kid", "other"), claims),
			"no key id":                 make(with(header, "kid", nil), claims),
			"a key id that is a number": make(with(header, "kid", 1), claims),
			"a key id that is a path":   make(with(header, "kid", "../../dev/null"), claims),
			"critical":                  make(with(with(header, "crit", []string{"exp"}), "exp", now), claims),
			"an empty key":              signed(t, jwt.SigningMethodHS256, []byte{}, header, claims),
			"HS512 with the same key":   signed(t, jwt.SigningMethodHS512, secret, with(header, "alg", "HS512"), claims),
			"alg of another case":       signed(t, jwt.SigningMethodHS256, secret, with(header, "alg", "hs256"), claims),
		}
		for what, token := range bad {
			_, err := a.Authenticate(t.Context(), token)
			refused(t, what, err, gatehouse.Unauthenticated, "invalid_token")
		}
	})
}

func TestForgedAccessTokens(t *testing.T) {
	store := memory.New()
	cfg := gatehouse.Config{Store: store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
	a := gatehousetest.New(t, cfg)
	a.Register(ann)
	l := a.Login(ann)
	header, claims := decoded(t, l.AccessToken)
	parts := strings.Split(l.AccessToken, ".")

	bad := map[string]string{}
	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", ""} {
		unsigned := strings.TrimSuffix(signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(header, "alg", none), claims), ".")
		bad["alg "+none+", no signature"] = unsigned + "."
		bad["alg "+none+", the real signature"] = unsigned + "." + parts[2]
		bad["alg "+none+", two parts"] = unsigned
	}

	// The public key is public: it must not do as the secret of an HMAC.
	var set struct{ Keys []struct{ Kid, X string } }
	if err := json.Unmarshal(a.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		raw := must(base64.RawURLEncoding.DecodeString(k.X))(t)
		der := must(x509.MarshalPKIXPublicKey(ed25519.PublicKey(raw)))(t)
		jwk, _ := json.Marshal(k)
		for encoding, secret := range map[string][]byte{
			"raw": raw, "base64url": []byte(k.X), "DER": der, "JWK": jwk, "JWKS": a.JWKS(), "nothing": {},
			"base64": []byte(base64.StdEncoding.EncodeToString(raw)),
			"PEM":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		} {
			for _, id := range []any{k.Kid, "hs256", nil} {
				h := with(with(header, "alg", "HS256"), "kid", id)
				what := fmt.Sprintf("HS256 with the public key %s as %s under the id %v", k.Kid, encoding, id)
				bad[what] = signed(t, jwt.SigningMethodHS256, secret, h, claims)
			}
		}
	}

	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bad["a foreign key under our id"] = signed(t, jwt.SigningMethodEdDSA, foreign, header, claims)
	bad["a foreign key under its own id"] = signed(t, jwt.SigningMethodEdDSA, foreign, with(header, "kid", "foreign"), claims)
	bad["a foreign key in the header"] = signed(t, jwt.SigningMethodEdDSA, foreign,
		with(header, "jwk", map[string]string{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(foreign.Public().(ed25519.PublicKey))}), claims)

	// Other spellings of what was signed, and of the signature.
	last := strings.IndexByte(base64url, parts[2][len(parts[2])-1])
	bad["padded"] = l.AccessToken + "="
	bad["padded twice"] = l.AccessToken + "=="
	bad["a signature that is not canonical"] = l.AccessToken[:len(l.AccessToken)-1] + string(base64url[last^1])
	bad["a padded header"] = parts[0] + "=." + parts[1] + "." + parts[2]
	bad["a line break"] = l.AccessToken + "\n"
	bad["a line break inside"] = parts[0] + "." + parts[1] + "." + parts[2][:20] + "\n" + parts[2][20:]
	bad["a blank before"] = " " + l.AccessToken
	bad["Bearer"] = "Bearer " + l.AccessToken
	bad["a part more"] = l.AccessToken + ".x"
	bad["an empty part more"] = l.AccessToken + "."
	bad["no signature"] = parts[0] + "." + parts[1] + "."
	bad["half a signature"] = parts[0] + "." + parts[1] + "." + parts[2][:43]
	other, _ := json.Marshal(with(claims, "sub", "somebody"))
	bad["other claims"] = parts[0] + "." + base64.RawURLEncoding.EncodeToString(other) + "." + parts[2]
	form, _ := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	bad["the JSON serialization"] = string(form)
	bad["500,000 dots"] = strings.Repeat(".", 500_000)
	bad["4,096 dots"] = strings.Repeat(".", 4096)
	bad["the refresh token"] = l.RefreshToken
	bad["a word"] = "garbage"
	bad["a blank"] = " "

	// Real tokens of ours, made for somebody else.
	made := func(change func(*gatehouse.Config)) string {
		c := cfg
		change(&c)
		return gatehousetest.New(t, c).Login(ann).AccessToken
	}
	bad["for another audience"] = made(func(c *gatehouse.Config) { c.Audience = "other" })
	bad["of another issuer"] = made(func(c *gatehouse.Config) { c.Issuer, c.Audience = "other", "gatehouse" })

	for what, token := range bad {
		_, err := a.Authenticate(t.Context(), token)
		refused(t, what, err, gatehouse.Unauthenticated, "invalid_token")
		if err := a.Logout(t.Context(), token, ""); err != nil {
			t.Errorf("%s: logout: %v", what, err)
		}
	}
	_, err = a.Authenticate(t.Context(), "")
	refused(t, "none", err, gatehouse.Unauthenticated, "not_authenticated")
	works(t, "the real one after all of these", a, l)
}

// A verifier of another setting keeps the keys of before until they are of no
// more use, so that a change of algorithm logs nobody out.
func TestChangeOfAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := gatehouse.Config{Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
		before := gatehousetest.New(t, cfg)
		before.Register(ann)
		l := before.Login(ann)
		cfg.Algorithm = gatehouse.ES256
		after := gatehousetest.New(t, cfg)
		works(t, "a token signed with EdDSA", after, l)
		next := must(after.Refresh(t.Context(), l.RefreshToken))(t)
		if header, _ := decoded(t, next.AccessToken); header["alg"] != "ES256" {
			t.Errorf("alg = %v, want ES256", header["alg"])
		}
		works(t, "a token signed with ES256", after, next)
	})
}

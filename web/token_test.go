package web_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web"
)

// Whatever is wrong with an access token, the answer is the same words, in a
// cookie and as a bearer token, and an application is not reached with it.
func TestBadAccessTokens(t *testing.T) {
	const shared = "a-shared-secret-of-at-least-32-bytes"
	h := open(t, func(c *gatehouse.Config, _ *web.Config) {
		c.Algorithm, c.HS256Secret = gatehouse.HS256, gatehouse.NewSecret([]byte(shared))
	})
	h.register()
	a := h.json("/api/auth/login", map[string]string{"email": ann, "password": password})
	good := a.cookie("access_token")
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(good, claims)
	if err != nil {
		t.Fatal(err)
	}
	// sign makes a token as ours are, but for what change does.
	sign := func(method jwt.SigningMethod, key any, change func(header map[string]any, c jwt.MapClaims)) string {
		token := jwt.NewWithClaims(method, maps.Clone(claims))
		for _, name := range []string{"typ", "kid"} {
			token.Header[name] = parsed.Header[name]
		}
		change(token.Header, token.Claims.(jwt.MapClaims))
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ours := func(change func(header map[string]any, c jwt.MapClaims)) string {
		return sign(jwt.SigningMethodHS256, []byte(shared), change)
	}
	as := func(name string, value any) string {
		return ours(func(_ map[string]any, c jwt.MapClaims) {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		})
	}
	unchanged := func(map[string]any, jwt.MapClaims) {}
	if me := h.do("GET", "/api/auth/me", "", "Cookie: access_token="+ours(unchanged)); me.status != 200 {
		t.Fatalf("a token as ours are: %d %s", me.status, me.body)
	}
	part := strings.Split(good, ".")
	head := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	now := time.Now()
	app := h.web.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the application was reached") }))
	for name, token := range map[string]string{
		"expired":                ours(func(_ map[string]any, c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }),
		"expired long ago":       as("exp", 1),
		"without exp":            as("exp", nil),
		"exp is text":            as("exp", "tomorrow"),
		"not yet":                as("nbf", now.Add(time.Hour).Unix()),
		"issued in the future":   as("iat", now.Add(time.Hour).Unix()),
		"without iat":            as("iat", nil),
		"other issuer":           as("iss", "https://evil.example"),
		"without issuer":         as("iss", nil),
		"other audience":         as("aud", "other"),
		"without audience":       as("aud", nil),
		"other user":             as("sub", "0190d0a0-0000-7000-8000-000000000000"),
		"without user":           as("sub", nil),
		"other session":          as("sid", "0190d0a0-0000-7000-8000-000000000000"),
		"without session":        as("sid", nil),
		"other type":             ours(func(h map[string]any, _ jwt.MapClaims) { h["typ"] = "JWT" }),
		"without type":           ours(func(h map[string]any, _ jwt.MapClaims) { delete(h, "typ") }),
		"other key id":           ours(func(h map[string]any, _ jwt.MapClaims) { h["kid"] = "x" }),
		"key id is a path":       ours(func(h map[string]any, _ jwt.MapClaims) { h["kid"] = "../../dev/null" }),
		"without key id":         ours(func(h map[string]any, _ jwt.MapClaims) { delete(h, "kid") }),
		"critical header":        ours(func(h map[string]any, _ jwt.MapClaims) { h["crit"] = []string{"x"} }),
		"brings its key":         sign(jwt.SigningMethodHS256, []byte("mine"), func(h map[string]any, _ jwt.MapClaims) { h["jwk"] = map[string]string{"kty": "oct", "k": "bWluZQ"} }),
		"other key":              sign(jwt.SigningMethodHS256, []byte("another-secret-of-at-least-32-bytes!"), unchanged),
		"empty key":              sign(jwt.SigningMethodHS256, []byte{}, unchanged),
		"other hash":             sign(jwt.SigningMethodHS512, []byte(shared), unchanged),
		"alg none":               sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, unchanged),
		"alg None":               head(`{"alg":"None","typ":"at+jwt","kid":"`+parsed.Header["kid"].(string)+`"}`) + "." + part[1] + ".",
		"alg missing":            head(`{"typ":"at+jwt"}`) + "." + part[1] + "." + part[2],
		"alg twice":              head(`{"alg":"none","alg":"HS256","typ":"at+jwt"}`) + "." + part[1] + "." + part[2],
		"without signature":      part[0] + "." + part[1] + ".",
		"two parts":              part[0] + "." + part[1],
		"four parts":             good + "." + part[2],
		"other claims":           part[0] + "." + head(`{"sub":"admin","exp":9999999999}`) + "." + part[2],
		"signature of another":   part[0] + "." + part[1] + "." + strings.Split(as("sub", "x"), ".")[2],
		"last bit of signature":  good[:len(good)-1] + string(flip(good[len(good)-1])),
		"padded":                 good + "=",
		"other alphabet":         part[0] + "." + part[1] + "." + strings.Repeat("+", len(part[2])),
		"refresh token":          a.cookie("refresh_token"),
		"too long":               good + strings.Repeat("A", 4096),
		"dots":                   "..",
		"garbage":                "x",
		"claims of another type": part[0] + "." + head(`[]`) + "." + part[2],
	} {
		t.Run(name, func(t *testing.T) {
			for _, header := range []string{"Cookie: access_token=", "Authorization: Bearer "} {
				me := h.do("GET", "/api/auth/me", "", header+token)
				me.refused(t, 401, "Invalid or expired token", "invalid_token", "")
				isSilent(t, me)
				b := h.serve(app, request("GET", "/app", "", header+token))
				b.refused(t, 401, "Invalid or expired token", "invalid_token", "")
			}
		})
	}
	if me := h.do("GET", "/api/auth/me", "", a.cookies()); me.status != 200 {
		t.Errorf("the good token afterwards: %d %s", me.status, me.body)
	}
	if strings.Contains(h.log.String(), good) || strings.Contains(h.log.String(), a.cookie("refresh_token")) {
		t.Error("a token is in the log")
	}
}

// flip is the base64 digit that differs in the last bit of six.
func flip(c byte) byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return digits[strings.IndexByte(digits, c)^1]
}

// Each byte of a refresh token counts, and there is one spelling of it.
func TestBadRefreshTokens(t *testing.T) {
	h := open(t)
	cookies := h.member()
	good := strings.TrimPrefix(only(cookies, "refresh_token"), "Cookie: refresh_token=")
	for i := range len(good) {
		bad := good[:i] + string(flip(good[i])) + good[i+1:]
		a := h.do("POST", "/api/auth/refresh", "", "Cookie: refresh_token="+bad)
		a.refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
		isSilent(t, a)
	}
	for _, bad := range []string{good + "=", good + "A", good[1:], good[:len(good)-1], strings.ToLower(good), good + good} {
		h.do("POST", "/api/auth/refresh", "", "Cookie: refresh_token="+bad).refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
	}
	h.json("/api/auth/refresh", map[string]string{"refresh_token": good + "\n"}).refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
	// None of these was a reuse: the session lives.
	if a := h.do("POST", "/api/auth/refresh", "", cookies); a.status != 200 {
		t.Errorf("the good token afterwards: %d %s", a.status, a.body)
	}
}

//go:build linux

package attack

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Refresh tokens: made up, changed, used again, and offered in odd places.
var refreshAttacks = []attack{
	{"cut", refreshCut},
	{"changed", refreshChanged},
	{"malleable-base64", refreshMalleable},
	{"made-up", refreshMadeUp},
	{"garbage", refreshGarbage},
	{"replayed-later", refreshReplayedLater},
	{"replayed-old", refreshReplayedOld},
	{"replayed-after-restart", refreshAfterRestart},
	{"in-both-places", refreshInBothPlaces},
	{"tokens-by-form", tokensByForm},
	{"fails-without-clearing", failsWithoutClearing},
}

// dead makes sure that a refresh token leads nowhere, by cookie and by body.
func dead(t *testing.T, s *server, what, token string) {
	t.Helper()
	if !strings.ContainsAny(token, "\r\n\",; \\\x00") {
		if a := with(s, "refresh_token", token).do(t, "POST", "/api/auth/refresh", "", ""); a.status != 401 {
			t.Errorf("%s: %v", what, a)
		}
		if a := with(s, "refresh_token", token).get(t, "/account", asBrowser...); a.status != 303 {
			t.Errorf("%s: %v", what, a)
		}
	}
	if a := newClient(s).post(t, "/api/auth/refresh", toJSON(object{"refresh_token": token})); a.status != 401 {
		t.Errorf("%s in the body: %v", what, a)
	}
}

func refreshCut(t *testing.T) {
	c := member(t, house(t, "plain"))
	token := c.refresh()
	for _, n := range []int{1, 2, 4, len(token) / 2, len(token) - 22} {
		dead(t, c.s, "a part", token[:len(token)-n])
	}
	for _, more := range []string{"A", "AAAA", "=", "==", ".", token} {
		dead(t, c.s, "more", token+more)
	}
	c.post(t, "/api/auth/refresh", "").want(t, 200)
}

func refreshChanged(t *testing.T) {
	c := member(t, house(t, "plain"))
	b, err := b64.DecodeString(c.refresh())
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		dead(t, c.s, "a changed byte", b64.EncodeToString(changed))
	}
	other, _ := b64.DecodeString(member(t, c.s).refresh())
	for n := range len(b) {
		if n%8 == 0 && n > 0 {
			dead(t, c.s, "two halves", b64.EncodeToString(append(bytes.Clone(b[:n]), other[n:]...)))
		}
	}
	c.post(t, "/api/auth/refresh", "").want(t, 200)
}

func refreshMalleable(t *testing.T) {
	c := member(t, house(t, "plain"))
	token := c.refresh()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, token[len(token)-1])
	for _, bit := range []int{1, 2} {
		dead(t, c.s, "unused bits", token[:len(token)-1]+string(alphabet[i^bit]))
	}
	for _, other := range []string{token + "=", token[:20] + "\n" + token[20:], token[:20] + "\r\n" + token[20:], " " + token, token + " ", token + "\n", "\"" + token + "\""} {
		dead(t, c.s, "white space", other)
	}
	c.post(t, "/api/auth/refresh", "").want(t, 200)
}

// refreshMadeUp is a session of the attacker's choice.
func refreshMadeUp(t *testing.T) {
	s := house(t, "plain")
	for _, fill := range []byte{0, 1, 0xff} {
		for _, n := range []int{16, 24, 32, 56, 64} {
			dead(t, s, "made up", b64.EncodeToString(bytes.Repeat([]byte{fill}, n)))
		}
	}
}

func refreshGarbage(t *testing.T) {
	s := house(t, "plain")
	for _, token := range []string{
		" ", ".", "null", "undefined", "true", "0", "[object Object]", "00000000-0000-0000-0000-000000000000", "eyJ1c2VyIjoiYWRtaW4ifQ", "Tzo0OiJVc2VyIjowOnt9", "%00", "' OR '1'='1", "a:1:{i:0;s:5:\"admin\";}",
		strings.Repeat("A", 75), strings.Repeat("A", 4000), "../../../etc/passwd", "{{7*7}}", "s%3Aadmin.x",
	} {
		dead(t, s, token, token)
	}
}

// refreshReplayedLater uses a token again after the time in which that may be an
// accident of tabs. Two hold tokens of this session, so that it ends.
func refreshReplayedLater(t *testing.T) {
	c := member(t, house(t, "quick"))
	thief := c.copy()
	c.post(t, "/api/auth/refresh", "").want(t, 200)
	<-time.After(1200 * time.Millisecond) // the shortest grace is a second
	thief.post(t, "/api/auth/refresh", "").want(t, 401)
	c.post(t, "/api/auth/refresh", "").want(t, 401)
	for _, d := range []*client{c, thief} {
		d.get(t, "/api/auth/me").want(t, 401)
	}
}

// refreshReplayedOld uses the token before the last one.
func refreshReplayedOld(t *testing.T) {
	c := member(t, house(t, "plain"))
	thief := c.copy()
	for range 2 {
		c.post(t, "/api/auth/refresh", "").want(t, 200)
	}
	thief.post(t, "/api/auth/refresh", "").want(t, 401)
	c.post(t, "/api/auth/refresh", "").want(t, 401)
	for _, d := range []*client{c, thief} {
		d.get(t, "/api/auth/me").want(t, 401)
	}
}

// refreshAfterRestart asks whether what is dead stays dead.
func refreshAfterRestart(t *testing.T) {
	s := &server{data: t.TempDir(), args: cheap}
	s.start(t)
	t.Cleanup(func() { s.kill() })
	loggedOut, robbed, lives := member(t, s), member(t, s), member(t, s)
	old := []*client{loggedOut.copy(), robbed.copy()}
	loggedOut.post(t, "/api/auth/logout", "").want(t, 200)
	for range 2 {
		robbed.post(t, "/api/auth/refresh", "").want(t, 200)
	}
	old[1].copy().post(t, "/api/auth/refresh", "").want(t, 401)
	s.kill()
	s.start(t)
	for _, d := range append(old, robbed) {
		d.get(t, "/api/auth/me").want(t, 401)
		d.post(t, "/api/auth/refresh", "").want(t, 401)
	}
	lives.post(t, "/api/auth/refresh", "").want(t, 200)
}

// refreshInBothPlaces asks for tokens that a script could read, for a browser
// that keeps them where it cannot.
func refreshInBothPlaces(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, path := range []string{"/api/auth/refresh", "/api/auth/login"} {
		body := ""
		if path == "/api/auth/login" {
			body = credentials(c.email, password)
		}
		a := c.do(t, "POST", path, jsonKind, body, "Gatehouse-Tokens", "body").want(t, 200)
		if a.contains(c.refresh()) || a.contains("access_token") || a.contains("refresh_token") {
			t.Errorf("%s: a script can read the tokens of the cookies: %v", path, a)
		}
	}
	a := c.fresh().post(t, "/api/auth/login", credentials(c.email, password), "Gatehouse-Tokens", "body").want(t, 200)
	if len(a.cookies()) > 0 {
		t.Errorf("tokens in both places: %v", a.header)
	}
}

// tokensByForm asks for them in all ways that need no leave of the browser.
func tokensByForm(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, path := range []string{"/api/auth/login?tokens=body", "/api/auth/login?Gatehouse-Tokens=body", "/api/auth/login?gatehouse_tokens=body"} {
		for _, a := range []*answer{
			c.fresh().post(t, path, credentials(c.email, password)), c.fresh().form(t, path, "email", c.email, "password", password),
		} {
			if a.contains("access_token") || a.contains("refresh_token") {
				t.Errorf("%v", a)
			}
		}
	}
}

// failsWithoutClearing: or whoever makes a refresh fail logs the browser out.
func failsWithoutClearing(t *testing.T) {
	s := house(t, "plain")
	for _, c := range []*client{newClient(s), with(s, "refresh_token", "x", "access_token", "y")} {
		for _, a := range []*answer{
			c.post(t, "/api/auth/refresh", ""), c.get(t, "/api/auth/me"), c.get(t, "/account", asBrowser...), c.get(t, "/login", asBrowser...), c.post(t, "/api/auth/login", credentials("nobody@example.com", password)),
		} {
			if len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%v sets %q", a, a.header["Set-Cookie"])
			}
		}
	}
}

//go:build linux

package attack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Guessing passwords, and using up what others may guess. The service "limited"
// is behind a proxy that says where a client is.
var guessAttacks = []attack{
	{"one-user", guessOneUser},
	{"one-source", guessOneSource},
	{"many-users", guessManyUsers},
	{"one-network", guessOneNetwork},
	{"spellings", guessSpellings},
	{"other-doors", guessOtherDoors},
	{"with-a-session", guessWithSession},
	{"foreign-device", guessForeignDevice},
	{"shut-out", guessShutOut},
	{"neighbours", guessNeighbours},
	{"tells-nothing", guessTellsNothing},
}

// newPlace is an address that nobody was at, so that no case uses up another's.
func newPlace() string {
	n := users.Add(1)
	return fmt.Sprintf("203.%d.%d.%d", 1+n/65536, n/256%256, n%256)
}

// owner is a user of the limited service who has logged in once.
func owner(t *testing.T, s *server) *client {
	t.Helper()
	c := newClient(s)
	c.email = newEmail()
	at := newPlace()
	c.post(t, "/api/auth/register", credentials(c.email, password), "X-Forwarded-For", at).want(t, 201)
	c.post(t, "/api/auth/login", credentials(c.email, password), "X-Forwarded-For", at).want(t, 200)
	return c
}

// guesses tries n wrong passwords at once, and counts those that were looked at.
func guesses(t *testing.T, s *server, n int, who func(i int) (email, place string)) int {
	t.Helper()
	answers := make([]*answer, n)
	atOnce(n, func(i int) {
		email, place := who(i)
		a, err := newClient(s).try(t.Context(), nil, "POST", "/api/auth/login", jsonKind, credentials(email, fmt.Sprintf("guess number %d", i)), "X-Forwarded-For", place)
		if err == nil {
			answers[i] = a
		}
	})
	looked := 0
	for _, a := range answers {
		switch {
		case a == nil:
			t.Error("a guess was not answered")
		case a.status == 401:
			looked++
		case a.is(t, 429) && a.header.Get("Retry-After") == "":
			t.Errorf("%v without Retry-After", a)
		}
	}
	return looked
}

func atMost(t *testing.T, looked, most int) {
	t.Helper()
	if looked > most || looked == 0 {
		t.Errorf("%d guesses were looked at, want at most %d, and some", looked, most)
	}
}

// guessOneUser comes from everywhere.
func guessOneUser(t *testing.T) {
	s := house(t, "limited")
	c := owner(t, s)
	atMost(t, guesses(t, s, 150, func(int) (string, string) { return c.email, newPlace() }), 100)
}

// guessOneSource claims to be elsewhere each time.
func guessOneSource(t *testing.T) {
	s := house(t, "limited")
	c, at := owner(t, s), newPlace()
	atMost(t, guesses(t, s, 40, func(int) (string, string) { return c.email, newPlace() + ", " + at }), 20)
}

// guessManyUsers tries the password of the day on everybody.
func guessManyUsers(t *testing.T) {
	s, at := house(t, "limited"), newPlace()
	atMost(t, guesses(t, s, 200, func(i int) (string, string) { return fmt.Sprintf("sprayed%d@example.com", i), at }), 150)
}

// guessOneNetwork has the 2^64 addresses that a customer has.
func guessOneNetwork(t *testing.T) {
	s := house(t, "limited")
	c := owner(t, s)
	n := users.Add(1)
	atMost(t, guesses(t, s, 40, func(i int) (string, string) { return c.email, fmt.Sprintf("2001:db8:%x::%x:%x", n, i, i*7) }), 19)
}

func guessSpellings(t *testing.T) {
	s := house(t, "limited")
	c := owner(t, s)
	spell := []func(string) string{strings.ToUpper, strings.ToLower, func(e string) string { return " " + e }, func(e string) string { return strings.Replace(e, "u", "\uff55", 1) }, func(e string) string { return strings.Replace(e, ".com", "\u3002com", 1) }, func(e string) string { return strings.Replace(e, "s", "\u017f", 1) }}
	atMost(t, guesses(t, s, 120, func(i int) (string, string) { return spell[i%len(spell)](c.email), newPlace() }), 100)
}

// usedUp is a user whom strangers have tried to the last.
func usedUp(t *testing.T, s *server) *client {
	t.Helper()
	c := owner(t, s)
	guesses(t, s, 130, func(int) (string, string) { return c.email, newPlace() })
	return c
}

func guessOtherDoors(t *testing.T) {
	s := house(t, "limited")
	c := usedUp(t, s)
	for _, p := range []string{"/login", "/api/auth/login"} {
		d := newClient(s)
		d.do(t, "POST", p, formKind, "email="+c.email+"&password=x", "X-Forwarded-For", newPlace(), "Accept", "text/html").want(t, 429)
		d.post(t, p, credentials(c.email, "x"), "X-Forwarded-For", newPlace()).want(t, 429)
	}
}

// guessWithSession has a stolen session and wants the password.
func guessWithSession(t *testing.T) {
	s := house(t, "limited")
	c := owner(t, s)
	answers := make([]*answer, 40)
	atOnce(len(answers), func(i int) {
		path, body := "/api/auth/reauthenticate", toJSON(object{"password": fmt.Sprint("guess number ", i)})
		if i%2 == 0 {
			path, body = "/api/auth/password", toJSON(object{"current_password": fmt.Sprint("guess number ", i), "new_password": newPassword})
		}
		answers[i] = c.send(t, "POST", path, body)
	})
	looked := 0
	for _, a := range answers {
		if a.is(t, 403, 429) && a.status == 403 {
			looked++
		}
	}
	atMost(t, looked, 20)
}

// guessForeignDevice shows a device cookie, of the attacker's own making or of
// the attacker's own.
func guessForeignDevice(t *testing.T) {
	s := house(t, "limited")
	attacker, c := owner(t, s), usedUp(t, s)
	device := attacker.jar["device"]
	if device == "" {
		t.Fatal("there is no device cookie")
	}
	b, _ := b64.DecodeString(device)
	b[len(b)-1] ^= 1
	for _, cookie := range []string{device, device[:len(device)-4], device + "AAAA", b64.EncodeToString(b), b64.EncodeToString(make([]byte, len(b))), "x", c.refresh(), c.access()} {
		with(s, "device", cookie).post(t, "/api/auth/login", credentials(c.email, newPassword), "X-Forwarded-For", newPlace()).want(t, 429)
	}
}

// guessShutOut would keep the owner out.
func guessShutOut(t *testing.T) {
	s := house(t, "limited")
	c := usedUp(t, s)
	known := with(s, "device", c.jar["device"])
	known.post(t, "/api/auth/login", credentials(c.email, password), "X-Forwarded-For", newPlace()).want(t, 200)
	// And whoever is logged in stays so.
	c.get(t, "/api/auth/me").want(t, 200)
	c.post(t, "/api/auth/refresh", "").want(t, 200)
}

// guessNeighbours share an address with somebody who guesses.
func guessNeighbours(t *testing.T) {
	s := house(t, "limited")
	c, neighbour, at := owner(t, s), owner(t, s), newPlace()
	guesses(t, s, 30, func(int) (string, string) { return c.email, at })
	newClient(s).post(t, "/api/auth/login", credentials(neighbour.email, password), "X-Forwarded-For", at).want(t, 200)
}

// guessTellsNothing: to be limited is no sign of being there.
func guessTellsNothing(t *testing.T) {
	s := house(t, "limited")
	there, absent := usedUp(t, s), "absent-and-tried@example.com"
	guesses(t, s, 130, func(int) (string, string) { return absent, newPlace() })
	a := newClient(s).post(t, "/api/auth/login", credentials(there.email, password), "X-Forwarded-For", newPlace()).want(t, 429)
	b := newClient(s).post(t, "/api/auth/login", credentials(absent, password), "X-Forwarded-For", newPlace()).want(t, 429)
	for _, x := range []*answer{a, b} { // they were not used up at the same moment
		for name := range x.header {
			if strings.HasPrefix(name, "Ratelimit") || name == "Retry-After" || name == "Content-Length" {
				x.header.Del(name)
			}
		}
	}
	if a.text("error") != b.text("error") || a.text("code") != b.text("code") || !slices.Equal(slices.Sorted(maps.Keys(a.header)), slices.Sorted(maps.Keys(b.header))) || strings.Contains(strings.ToLower(string(a.body)), "lock") {
		t.Errorf("%v\n%v", a, b)
	}
}

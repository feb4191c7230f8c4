//go:build linux

package attack

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
)

// Races on what works once, and on what must not be undone.
var raceAttacks = []attack{
	{"refresh", raceRefresh},
	{"password", racePassword},
	{"register", raceRegister},
	{"logout-refresh", raceLogout},
	{"refresh-password", raceRefreshPassword},
	{"mixed-up", raceMixedUp},
}

// atOnce does something n times at the same time.
func atOnce(n int, do func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	wg.Wait()
}

// send is try for many goroutines: it changes no jar, and the answer is nil if
// there was none.
func (c *client) send(t *testing.T, method, path, body string) *answer {
	kind := ""
	if body != "" {
		kind = jsonKind
	}
	a, err := c.try(context.Background(), c.jar, method, path, kind, body)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return &answer{header: http.Header{}}
	}
	if a.status >= 500 {
		t.Errorf("a fault of the service: %v", a)
	}
	return a
}

// raceRefresh has twenty children of one parent, of which one may live.
func raceRefresh(t *testing.T) {
	for range 5 {
		c := member(t, house(t, "plain"))
		answers := make([]*answer, 20)
		atOnce(len(answers), func(i int) { answers[i] = c.send(t, "POST", "/api/auth/refresh", "") })
		successors := map[string]bool{}
		for _, a := range answers {
			if a.status == 200 {
				successors[a.cookies()["refresh_token"]] = true
			}
		}
		if len(successors) != 1 || successors[c.refresh()] {
			t.Errorf("%d successors of one token, want 1", len(successors))
		}
	}
}

// racePassword changes the password ten times at once: one of them wins, and
// none of the others may believe that it did.
func racePassword(t *testing.T) {
	for range 3 {
		c := member(t, house(t, "plain"))
		answers := make([]*answer, 10)
		candidate := func(i int) string { return fmt.Sprintf("the new password %d", i) }
		atOnce(len(answers), func(i int) {
			answers[i] = c.send(t, "POST", "/api/auth/password", toJSON(object{"current_password": password, "new_password": candidate(i)}))
		})
		won := 0
		for i, a := range answers {
			after := c.fresh().post(t, "/api/auth/login", credentials(c.email, candidate(i)))
			if a.status == 200 {
				won++
			}
			if (a.status == 200) != (after.status == 200) {
				t.Errorf("the change said %d, the login says %d", a.status, after.status)
			}
		}
		if won != 1 {
			t.Errorf("%d changes won, want 1", won)
		}
	}
}

// raceRegister makes one address of four spellings into one user.
func raceRegister(t *testing.T) {
	s := house(t, "plain")
	n := users.Add(1)
	spellings := []string{
		fmt.Sprintf("jos\u00e9%d@example.com", n), fmt.Sprintf("jose\u0301%d@example.com", n), fmt.Sprintf("JOS\u00c9%d@EXAMPLE.COM", n), fmt.Sprintf("\uff4aos\u00e9%d@Example.com", n),
	}
	answers := make([]*answer, 24)
	atOnce(len(answers), func(i int) {
		answers[i] = newClient(s).send(t, "POST", "/api/auth/register", credentials(spellings[i%4], password))
	})
	made := 0
	for _, a := range answers {
		if a.status == 201 {
			made++
		} else {
			a.want(t, 409)
		}
	}
	if made != 1 {
		t.Errorf("%d users have one address", made)
	}
}

// raceLogout logs out while other tabs refresh: nothing works afterwards.
func raceLogout(t *testing.T) {
	s := house(t, "plain")
	for range 15 {
		c := member(t, s)
		jars := make([]map[string]string, 8)
		atOnce(len(jars), func(i int) {
			switch i {
			case 3:
				c.send(t, "POST", "/api/auth/logout", "").is(t, 200)
			case 5:
				c.send(t, "GET", "/api/auth/me", "")
			default:
				if a := c.send(t, "POST", "/api/auth/refresh", ""); a.status == 200 {
					jars[i] = a.cookies()
				}
			}
		})
		for _, jar := range append(jars, maps.Clone(c.jar)) {
			d := newClient(s)
			if jar != nil {
				d.jar = jar
			}
			if d.me(t) != "" {
				t.Error("a session outlives its logout")
			}
			d.post(t, "/api/auth/refresh", "").want(t, 401)
		}
	}
}

// raceRefreshPassword is a thief who refreshes while the owner changes the
// password.
func raceRefreshPassword(t *testing.T) {
	s := house(t, "plain")
	for range 8 {
		c := member(t, s)
		thief := c.fresh()
		thief.login(t)
		jars := make([]map[string]string, 6)
		atOnce(len(jars), func(i int) {
			if i == 2 {
				c.send(t, "POST", "/api/auth/password", toJSON(object{"current_password": password, "new_password": newPassword})).is(t, 200)
			} else if a := thief.send(t, "POST", "/api/auth/refresh", ""); a.status == 200 {
				jars[i] = a.cookies()
			}
		})
		for _, jar := range jars {
			if jar != nil {
				d := newClient(s)
				d.jar = jar
				d.get(t, "/api/auth/me").want(t, 401)
				d.post(t, "/api/auth/refresh", "").want(t, 401)
			}
		}
	}
}

// raceMixedUp asks for many users at once; each sees themself.
func raceMixedUp(t *testing.T) {
	s := house(t, "plain")
	clients := make([]*client, 8)
	for i := range clients {
		clients[i] = member(t, s)
	}
	atOnce(64, func(i int) {
		c := clients[i%len(clients)]
		for range 5 {
			if a := c.send(t, "GET", "/api/auth/me", ""); a.text("user.email") != c.email {
				t.Errorf("%s sees %v", c.email, a)
			}
			if a := c.send(t, "GET", "/account", ""); !a.contains(c.email) {
				t.Errorf("%s sees %v", c.email, a)
			}
		}
	})
}

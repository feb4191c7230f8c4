//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
)

// person uses an instance while it, or its database, is killed: one thing after
// the other, and of each it is written down what came of it.
type person interface {
	// live does something, the n-th in this round, and says whether it can go on
	// before all works again.
	live(round, n int) bool
	// check looks at what is left. Everything works again.
	check()
}

// asked sends a request and says what came of it.
func (w *wreck) asked(b *browser, method, path, body string) (outcome, *answer) {
	b.base = w.server.url
	kind := ""
	if body != "" {
		kind = jsonKind
	}
	a, err := b.try(method, path, kind, body)
	switch {
	case err != nil && w.falling.Load():
		return unclear, nil
	case err != nil:
		w.t.Errorf("%s %s: %v", method, path, err)
		return unclear, nil
	case a.status/100 == 2:
		return done, a
	case a.status == 401 || a.status == 403 || a.status == 409:
		return refused, a
	case a.status == 503 && a.header.Get("Retry-After") != "" && w.away.Load():
		return unclear, a
	}
	w.t.Errorf("%s %s: %v", method, path, a)
	return unclear, a
}

// session is one that somebody began, and the cookies it was last given.
type session struct {
	name string
	*browser
}

// fresh is the browser of a session that is about to begin.
func (w *wreck) fresh(client *http.Client) *session {
	return &session{fmt.Sprint("session ", w.names.Add(1)), &browser{client: client, jar: map[string]string{}}}
}

// login begins a session.
func (w *wreck) login(s *session, email, password string) outcome {
	o, _ := w.asked(s.browser, "POST", "/api/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	w.history.loggedIn(email, password, s.name, o)
	return o
}

func (w *wreck) refresh(s *session) outcome {
	o, _ := w.asked(s.browser, "POST", "/api/auth/refresh", "")
	w.history.used(s.name, "refresh", o)
	return o
}

func (w *wreck) me(s *session) outcome {
	o, _ := w.asked(s.browser, "GET", "/api/auth/me", "")
	w.history.used(s.name, "me", o)
	return o
}

func (w *wreck) register(b *browser, email, password string) outcome {
	o, _ := w.asked(b, "POST", "/api/auth/register", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	w.history.registered(email, password, o)
	return o
}

// begin registers somebody, who logs in.
func (w *wreck) begin(email, password string) *session {
	w.t.Helper()
	s := w.fresh(newClient())
	if w.register(s.browser, email, password) != done || w.login(s, email, password) != done {
		w.t.Fatalf("%s cannot begin", email)
	}
	return s
}

// keeper refreshes the one session that there is, and stays logged in.
type keeper struct {
	w *wreck
	s *session
}

func (k *keeper) live(int, int) bool {
	k.w.refresh(k.s)
	return true
}

func (k *keeper) check() {
	if k.w.refresh(k.s) != done || k.w.me(k.s) != done {
		k.w.t.Errorf("%s does not work after the blow", k.s.name)
	}
}

// newcomers register, one after the other. They are looked for at the end.
type newcomers struct {
	w *wreck
	i int
	b *browser
}

func (c *newcomers) live(round, n int) bool {
	c.w.register(c.b, fmt.Sprintf("new-%d-%d-%d@example.com", round, c.i, n), password)
	return true
}

func (c *newcomers) check() {}

// guest logs in and out again and again. Every other time the first refresh
// token is lost to a thief, who shows it when it was used long since.
type guest struct {
	w     *wreck
	email string
	b     *browser
	n     int        // logins
	s     *session   // which may be alive
	over  []*session // that have ended
}

func (g *guest) live(int, int) bool {
	s := g.w.fresh(g.b.client)
	if g.w.login(s, g.email, password) != done {
		return true
	}
	g.s = s
	end, before := g.w.logout, []func(*session) outcome{g.w.me}
	if g.n++; g.n%2 == 0 {
		stolen := s.cookies()
		end = func(s *session) outcome { return g.w.replay(s, stolen) }
		before = []func(*session) outcome{g.w.refresh, g.w.refresh}
	}
	for _, do := range before {
		if do(s) != done {
			return false // whether it has ended is seen when all works again
		}
	}
	return g.end(end)
}

// end ends the session at hand, which shows at once, and says whether it is over.
func (g *guest) end(end func(*session) outcome) bool {
	if end(g.s) == unclear {
		return false
	}
	g.over = append(g.over, g.s)
	g.w.isOver(g.s)
	g.s = nil
	return true
}

// isOver shows both tokens of a session that has ended.
func (w *wreck) isOver(s *session) {
	if w.me(s) != unclear {
		w.refresh(s)
	}
}

// logout ends a session. Its cookies are kept: somebody else may have them.
func (w *wreck) logout(s *session) outcome {
	held := s.cookies()
	o, _ := w.asked(s.browser, "POST", "/api/auth/logout", "")
	w.history.loggedOut(s.name, o)
	s.jar = held
	return o
}

// replay shows a refresh token that was used.
func (w *wreck) replay(s *session, stolen map[string]string) outcome {
	o, _ := w.asked(&browser{client: s.client, jar: maps.Clone(stolen)}, "POST", "/api/auth/refresh", "")
	w.history.replayed(s.name, o)
	return o
}

func (g *guest) check() {
	switch {
	case g.s == nil:
	case g.w.refresh(g.s) == done:
		g.end(g.w.logout)
	default:
		g.over, g.s = append(g.over, g.s), nil
	}
	for i := range min(4, len(g.over)) {
		s := g.over[len(g.over)-1] // the one that was in danger, and some of all others
		if i > 0 {
			s = g.over[rand.IntN(len(g.over))]
		}
		g.w.isOver(s)
	}
}

// changer replaces the password in one session, which ends the other.
type changer struct {
	w           *wreck
	email       string
	a, b        *session // b is nil while nobody was told of it
	current, n  int      // the number of the password, and of the last one that was tried
	interrupted bool     // it is not known which of the two is in force
}

// password is one that was never used before.
func (c *changer) password(n int) string { return fmt.Sprintf("%s, number %d", password, n) }

func (c *changer) live(int, int) bool {
	next := c.w.fresh(c.a.client)
	next.jar = c.a.cookies()
	c.n++
	old, fresh := c.password(c.current), c.password(c.n)
	o, _ := c.w.asked(next.browser, "POST", "/api/auth/password", fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, old, fresh))
	c.w.history.changed(c.email, c.a.name, fresh, next.name, o)
	c.interrupted = o == unclear
	if o != done {
		return false // which of the two it is, is seen when all works again
	}
	former := c.a
	c.a, c.current = next, c.n
	switch {
	case c.b != nil && c.w.me(c.b) == unclear, c.w.refresh(former) == unclear:
		return true
	case c.n%3 == 0 && c.w.login(c.w.fresh(c.a.client), c.email, old) == unclear:
		return true
	}
	c.begin()
	return true
}

// begin begins the other session.
func (c *changer) begin() outcome {
	s := c.w.fresh(c.a.client)
	o := c.w.login(s, c.email, c.password(c.current))
	if c.b = s; o != done {
		c.b = nil
	}
	return o
}

// check tries what may be the password, and holds the sessions to what it finds.
func (c *changer) check() {
	was := c.b
	if o := c.begin(); c.interrupted {
		current := c.current
		c.current = c.n
		if o2 := c.begin(); (o == done) == (o2 == done) {
			c.w.t.Errorf("%s was interrupted when changing the password: login with the old one: %v, with the new one: %v", c.email, o, o2)
		} else if o == done {
			c.current = current
			c.begin()
		}
		c.interrupted = false
	} else if o != done {
		c.w.t.Errorf("%s cannot log in: %v", c.email, o)
	}
	if was != nil {
		c.w.me(was)
		c.w.refresh(was)
	}
	if c.w.refresh(c.a) != done { // the password was replaced, and nobody got the new session
		c.a = c.w.fresh(c.a.client)
		c.w.login(c.a, c.email, c.password(c.current))
	}
}

//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rounds is how often each test kills what it kills.
const rounds = 50

// backend is where an instance under test keeps its records, in processes that
// can be killed.
type backend struct {
	people      int           // who use it at once
	pace        time.Duration // between two things that one of them does
	env         []string
	kill, start func() // the database; nil if it is part of the instance
}

// TestKilledOnAnyDatabase kills instances, and then databases, under load, and
// holds what is there afterwards to everything that was acknowledged: everybody
// who was told to be registered can log in, nobody who was logged in is logged
// out, and while the database is away the answer is 503 and no other.
func TestKilledOnAnyDatabase(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			w := &wreck{t: t, backend: b, env: append([]string{secretOf}, b.env...), data: filepath.Join(t.TempDir(), "data")}
			w.up()
			for i := range b.people {
				w.browsers = append(w.browsers, member(t, w.server, fmt.Sprintf("member%d@example.com", i)))
			}
			for round := range rounds {
				w.load(round, w.server.kill)
				w.up()
				w.check(fmt.Sprintf("after the instance was killed %d times", round+1))
			}
			if b.kill != nil {
				for round := range rounds {
					w.load(rounds+round, func() {
						w.away.Store(true)
						b.kill()
						pause(50 * time.Millisecond)
					})
					b.start()
					w.slowest = max(w.slowest, eventually(t, 30*time.Second, "the instance works again", func() bool {
						a, err := newBrowser(w.server).try("GET", "/readyz", "", "")
						return err == nil && a.status == 200
					}))
					w.away.Store(false)
					w.check(fmt.Sprintf("after the database was killed %d times", round+1))
				}
			}
			w.reckon()
		})
	}
}

// wreck is an instance that is run into the ground.
type wreck struct {
	t       *testing.T
	backend backend
	env     []string
	data    string
	server  *server

	browsers  []*browser
	away      atomic.Bool // the database
	everybody ledger
	refreshed atomic.Int64
	slowest   time.Duration
}

func (w *wreck) up() {
	w.t.Helper()
	w.server = startWith(w.t, w.data, w.env, append(cheap, "--log-level", "error")...)
	w.server.firstAnswer(time.Now())
	for _, b := range w.browsers {
		b.base = w.server.url
	}
}

// load lets people register and browsers refresh until the blow falls, at a
// random moment, and they have noticed.
func (w *wreck) load(round int, blow func()) {
	var all sync.WaitGroup
	stop := make(chan struct{})
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	for i, b := range w.browsers {
		all.Go(func() {
			for !stopped() {
				pause(w.backend.pace)
				a, err := b.try("POST", "/api/auth/refresh", "", "")
				if err != nil {
					return
				}
				if a.status == 200 {
					w.refreshed.Add(1)
				} else if !w.excused(a) {
					w.t.Errorf("refresh of browser %d: %v", i, a)
					return
				}
			}
		})
	}
	for i := range w.backend.people {
		all.Go(func() {
			b := newBrowser(w.server)
			defer b.client.CloseIdleConnections()
			for n := 0; !stopped(); n++ {
				pause(w.backend.pace)
				email := fmt.Sprintf("new-%d-%d-%d@example.com", round, i, n)
				a, err := b.try("POST", "/api/auth/register", jsonKind, credentials(email))
				switch {
				case err != nil:
					w.everybody.book(email, false)
					return
				case a.status == 201:
					w.everybody.book(email, true)
				case w.excused(a):
					w.everybody.book(email, false)
				default:
					w.t.Errorf("register %s: %v", email, a)
					return
				}
			}
		})
	}
	pause(time.Duration(30+rand.IntN(200)) * time.Millisecond)
	blow()
	close(stop)
	all.Wait()
}

// excused reports whether an answer is that the database is away, while it is.
func (w *wreck) excused(a *answer) bool {
	return a.status == 503 && a.header.Get("Retry-After") != "" && w.away.Load()
}

// check asks each browser whether it is still logged in.
func (w *wreck) check(when string) {
	w.t.Helper()
	for i, b := range w.browsers {
		b.do(w.t, "POST", "/api/auth/refresh", "", "").want(w.t, fmt.Sprintf("%s, refresh of browser %d", when, i), 200)
	}
}

// reckon holds the records to the books.
func (w *wreck) reckon() {
	w.t.Helper()
	for i, b := range w.browsers {
		if n := sessions(b.get(w.t, "/api/auth/sessions")); n != 1 {
			w.t.Errorf("browser %d has %d sessions, want 1", i, n)
		}
	}
	w.t.Logf("%d registrations and %d refreshes were acknowledged, %d registrations were not; slowest recovery %v",
		len(w.everybody.done), w.refreshed.Load(), len(w.everybody.unclear), w.slowest)
	if len(w.everybody.done) < rounds || w.refreshed.Load() < rounds {
		w.t.Error("so little happened that it proves nothing")
	}
	// Some of them, where asking all would take longer than the rest.
	some := func(emails []string) []string {
		rand.Shuffle(len(emails), func(i, j int) { emails[i], emails[j] = emails[j], emails[i] })
		return emails[:min(len(emails), 50*w.backend.people)]
	}
	b := newBrowser(w.server)
	post := func(path, email string) (a *answer) {
		eventually(w.t, 30*time.Second, path, func() bool {
			a = b.post(w.t, path, credentials(email))
			return a.status != 503
		})
		return a
	}
	for _, email := range some(w.everybody.done) {
		if a := post("/api/auth/login", email); a.status != 200 {
			w.t.Errorf("%s was registered, and cannot log in: %v", email, a)
		}
	}
	for _, email := range some(w.everybody.unclear) {
		// It happened or it did not; nothing is half-made.
		in := post("/api/auth/login", email)
		again := post("/api/auth/register", email)
		if !(in.status == 200 && again.status == 409 || in.status == 401 && again.status == 201) {
			w.t.Errorf("%s, whose registration was cut off: login %v, register %v", email, in, again)
		}
	}
}

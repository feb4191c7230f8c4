//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// rounds is how often each test kills what it kills.
const rounds = 50

// TestKilledOnAnyDatabase kills instances, and then databases, under load, and
// holds what is there afterwards to everything that was told to anybody; see
// [history]. Who was told to be registered can log in, with the last password that
// was accepted and no other; nobody who was logged in is logged out, nobody who
// logged out is logged in; no single-use proof and no refresh token works twice.
// While the database is away the answer is 503 and no other.
func TestKilledOnAnyDatabase(t *testing.T) {
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			w := newWreck(t, b, filepath.Join(t.TempDir(), "data"))
			w.up("--log-level", "error")
			w.settle()
			for round := range rounds {
				noticed := w.load(round, func() {
					w.falling.Store(true)
					w.kill()
				})
				noticed()
				w.falling.Store(false)
				w.up("--log-level", "error")
				w.check(fmt.Sprintf("after the instance was killed %d times", round+1))
			}
			if b.kill != nil {
				for round := range rounds {
					noticed := w.load(rounds+round, func() {
						w.away.Store(true)
						b.kill()
						pause(50 * time.Millisecond)
					})
					// Most times it is back before all have noticed.
					if round%5 == 0 {
						noticed()
					}
					b.start()
					noticed()
					w.slowest = max(w.slowest, eventually(t, 30*time.Second, "the instance works again", func() bool {
						a, err := newBrowser(w.server).try("GET", "/readyz", "", "")
						return err == nil && a.status == 200
					}))
					w.away.Store(false)
					w.check(fmt.Sprintf("after the database was killed %d times", round+1))
				}
			}
			w.takers.kill()
			w.reckon()
			w.proves(rounds/2, "register done", "login done", "refresh done", "refresh refused", "me refused", "logout done", "replay refused",
				"change password done", "make done", "take done", "take refused")
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

	history *history
	people  []person
	keepers []*keeper
	guests  []*guest
	takers  takers
	names   atomic.Int64 // of sessions
	falling atomic.Bool  // the instance
	away    atomic.Bool  // the database
	slowest time.Duration
}

func newWreck(t *testing.T, b backend, data string) *wreck {
	t.Helper()
	w := &wreck{t: t, backend: b, env: append([]string{secretOf}, b.env()...), data: data, history: newHistory()}
	w.takers.history = w.history
	t.Cleanup(w.takers.kill)
	return w
}

// up starts the instance, with further flags, and those who take proofs beside it.
func (w *wreck) up(flags ...string) {
	w.t.Helper()
	began := time.Now()
	w.server = startWith(w.t, w.data, w.env, slices.Concat(cheap, flags)...)
	took := w.server.firstAnswer(began)
	w.slowest = max(w.slowest, took)
	if limit := w.backend.slowest; limit > 0 && took > limit {
		w.t.Errorf("the start after the crash took %v", took)
	}
	w.takers.all = nil
	for _, name := range []string{"a", "b"} {
		w.takers.all = append(w.takers.all, startTaker(w.t, name, w.backend.place, w.server.database()))
	}
}

// kill ends all that up has started.
func (w *wreck) kill() {
	w.server.kill()
	w.takers.kill()
}

// settle lets people move in.
func (w *wreck) settle() {
	w.t.Helper()
	people := w.backend.people
	for i := range people {
		k := &keeper{w, w.begin(fmt.Sprintf("keeper%d@example.com", i), password)}
		w.keepers = append(w.keepers, k)
		w.people = append(w.people, k, &newcomers{w, i, newBrowser(w.server)})
	}
	for i := range max(1, people/2) {
		email := fmt.Sprintf("guest%d@example.com", i)
		g := &guest{w: w, email: email, b: newBrowser(w.server)}
		w.register(g.b, email, password)
		c := &changer{w: w, email: fmt.Sprintf("changer%d@example.com", i)}
		c.a = w.begin(c.email, c.password(0))
		w.guests = append(w.guests, g)
		w.people = append(w.people, g, c)
	}
	w.takers.ready()
}

// load lets people live and takers take until the blow falls, at a random moment
// after all of the people have begun. It returns what waits until they have noticed.
func (w *wreck) load(round int, blow func()) (noticed func()) {
	w.t.Helper()
	var all, begun sync.WaitGroup
	var over atomic.Bool
	stopped := func() bool { return over.Load() || w.falling.Load() }
	begun.Add(len(w.people))
	for _, p := range w.people {
		all.Go(func() {
			begin := sync.OnceFunc(begun.Done)
			for n := 0; !stopped(); n++ {
				pause(w.backend.pace)
				more := p.live(round, n)
				begin()
				if !more {
					return
				}
			}
		})
	}
	for _, k := range w.takers.all {
		all.Go(func() { w.takers.live(k, round, max(w.backend.pace, 2*time.Millisecond), stopped) })
	}
	begun.Wait()
	pause(time.Duration(rand.IntN(120)) * time.Millisecond)
	ended := true
	defer func() {
		if over.Store(true); ended {
			all.Wait() // blow has ended the test, after which nobody may say anything
		}
	}()
	blow()
	ended = false
	return all.Wait
}

// check lets everybody look at what is left.
func (w *wreck) check(when string) {
	w.t.Helper()
	var all sync.WaitGroup
	for _, p := range w.people {
		all.Go(p.check)
	}
	w.takers.check()
	all.Wait()
	if w.backend.sound != nil {
		w.backend.sound(w.t, w.server.database())
	}
	w.report(when)
}

// report fails the test if the history has anything that may not be.
func (w *wreck) report(when string) {
	w.t.Helper()
	found := w.history.violations()
	for _, v := range found[:min(10, len(found))] {
		w.t.Errorf("%s: %s", when, v)
	}
	if len(found) > 10 {
		w.t.Errorf("%s: and %d more", when, len(found)-10)
	}
}

// reckon holds the records to the history, all of them: they are copied into
// memory, and a Gatehouse with the secret of the instance is asked there, which
// costs the same on any database.
func (w *wreck) reckon() {
	w.t.Helper()
	for _, k := range w.keepers {
		if n := sessions(k.s.get(w.t, "/api/auth/sessions")); n != 1 {
			w.t.Errorf("%s is one of %d sessions, want 1", k.s.name, n)
		}
	}
	g, records := w.copied()
	login := func(email, password string) outcome {
		_, err := g.Login(w.t.Context(), gatehouse.PasswordLogin{Email: email, Password: password})
		o := w.told(err)
		w.history.loggedIn(email, password, "in the copy of "+email, o)
		return o
	}
	for email, passwords := range w.history.everybody() {
		works := 0
		for _, p := range passwords {
			if login(email, p) == done {
				works++
			}
		}
		if works == 0 {
			// It never happened, and is not half-made.
			_, err := g.Register(w.t.Context(), gatehouse.Registration{Email: email, Password: password})
			w.history.registered(email, password, w.told(err))
		}
	}
	over := 0
	for _, guest := range w.guests {
		for _, s := range guest.over {
			_, err := g.Refresh(w.t.Context(), s.cookies()["refresh_token"])
			w.history.used(s.name, "refresh", w.told(err))
			over++
		}
	}
	for _, id := range w.history.everyProof() {
		_, err := records.TakeChallenge(w.t.Context(), id)
		w.history.wasTaken(id, "who looks at the end", w.told(err))
	}
	w.history.settle()
	w.report("at the end")
	w.t.Logf("%s; %d sessions had ended; slowest recovery %v", w.history.summary(), over, w.slowest)
}

// proves fails the test unless each of these happened so often.
func (w *wreck) proves(times int, whats ...string) {
	w.t.Helper()
	for _, what := range whats {
		if n := w.history.count(what); n < times {
			w.t.Errorf("%s: %d times, which proves nothing", what, n)
		}
	}
}

// copied is a Gatehouse on a copy of all users, sessions, challenges and settings,
// and that copy.
func (w *wreck) copied() (*gatehouse.Gatehouse, gatehouse.Store) {
	w.t.Helper()
	store, err := w.backend.open(w.t.Context(), w.server.database())
	must(w.t, err)
	defer store.Close()
	records := memory.New()
	must(w.t, store.(gatehouse.Mover).Walk(w.t.Context(), func(r *gatehouse.Records) error {
		taken, err := records.Load(w.t.Context(), &gatehouse.Records{Users: r.Users, Sessions: r.Sessions, Challenges: r.Challenges, Settings: r.Settings})
		if err == nil && taken.Len() > 0 {
			w.t.Errorf("%d records are there twice", taken.Len())
		}
		return err
	}))
	_, secret, _ := strings.Cut(secretOf, "=")
	g, err := gatehouse.New(gatehouse.Config{
		Store: records, Secret: gatehouse.NewSecret([]byte(secret)), Limits: gatehouse.Limits{Off: true},
		HashMemory: 64, HashTime: 1, Logger: slog.New(slog.DiscardHandler),
	})
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, g.Close()) })
	return g, records
}

// told is what an error of the copy says of what was tried.
func (w *wreck) told(err error) outcome {
	w.t.Helper()
	if err == nil {
		return done
	}
	if !errors.Is(err, gatehouse.Unauthenticated) && !errors.Is(err, gatehouse.Conflict) && !errors.Is(err, gatehouse.ErrNotFound) {
		w.t.Error(err)
	}
	return refused
}

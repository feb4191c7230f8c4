package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// wire carries messages between the processes of a test, each after a while.
type wire struct {
	mu    sync.Mutex
	ends  map[chan string]bool
	cut   bool
	sent  []string
	delay time.Duration
}

// wired is a store with a wire.
type wired struct {
	gatehouse.Store
	wire *wire
	err  error // of Listen, at once
}

func (w wired) Announce(_ context.Context, message string) error {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	if w.wire.cut {
		return gatehouse.ErrUnavailable
	}
	w.wire.sent = append(w.wire.sent, message)
	for end := range w.wire.ends {
		end <- message
	}
	return nil
}

func (w wired) Listen(ctx context.Context, begun func(), f func(string)) error {
	if w.err != nil {
		return w.err
	}
	end := make(chan string, 1000)
	w.wire.mu.Lock()
	if w.wire.cut {
		w.wire.mu.Unlock()
		return gatehouse.ErrUnavailable
	}
	w.wire.ends[end] = true
	w.wire.mu.Unlock()
	defer func() {
		w.wire.mu.Lock()
		delete(w.wire.ends, end)
		w.wire.mu.Unlock()
	}()
	begun()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case message, open := <-end:
			if !open {
				return fmt.Errorf("the line was cut: %w", gatehouse.ErrUnavailable)
			}
			time.Sleep(w.wire.delay)
			f(message)
		}
	}
}

// cutOff ends all connections and lets no new ones be made, until it is mended.
func (w *wire) cutOff(is bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = is
	if is {
		for end := range w.ends {
			close(end)
		}
		clear(w.ends)
	}
}

// processes are n of them on one store, with a wire between them.
func processes(t *testing.T, n int) ([]*gatehousetest.Auth, *wire) {
	w := &wire{ends: map[chan string]bool{}, delay: 5 * time.Millisecond}
	store, secret := memory.New(), gatehouse.NewSecret([]byte(strings.Repeat("0123456789abcdef", 4)))
	list := make([]*gatehousetest.Auth, n)
	for i := range list {
		list[i] = gatehousetest.New(t, gatehouse.Config{Store: wired{Store: store, wire: w}, Secret: secret})
	}
	time.Sleep(2 * time.Second) // they listen
	return list, w
}

// What is terminated in one process is refused in the others as soon as they hear
// of it, long before they would read of it, and without asking the store.
func TestTerminatedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := processes(t, 3)
		p[0].Register(ann)
		l := p[0].Login(ann)
		for _, x := range p {
			must(x.Authenticate(t.Context(), l.AccessToken))(t)
		}
		done(t, p[1].Logout(t.Context(), l.AccessToken, ""))
		time.Sleep(100 * time.Millisecond)
		for _, x := range p {
			_, err := x.Authenticate(t.Context(), l.AccessToken)
			refused(t, "a session that was terminated elsewhere", err, gatehouse.Unauthenticated, "invalid_token")
			if n := x.Stats().Hints.Terminated; n != 1 {
				t.Errorf("%d sessions are known to be terminated, want 1", n)
			}
		}
		// A change of the user: the role counts, and the sessions of before do not.
		l = p[0].Login(ann)
		for _, x := range p {
			must(x.Authenticate(t.Context(), l.AccessToken))(t)
		}
		must(p[2].GrantRole(t.Context(), l.User.ID, "admin"))(t)
		time.Sleep(100 * time.Millisecond)
		if !must(p[0].Authenticate(t.Context(), l.AccessToken))(t).User.HasRole("admin") {
			t.Error("a role that was granted elsewhere does not count yet")
		}
		done(t, p[1].DeleteUser(t.Context(), l.User.ID))
		time.Sleep(100 * time.Millisecond)
		for _, x := range p {
			_, err := x.Authenticate(t.Context(), l.AccessToken)
			refused(t, "the session of a user who was deleted elsewhere", err, gatehouse.Unauthenticated, "invalid_token")
		}
		for _, m := range w.sent {
			if strings.Contains(m, "@") || strings.Contains(m, l.AccessToken) {
				t.Errorf("a message tells more than ids: %s", m)
			}
		}
	})
}

// Without hints, whether there never were any or the line is cut, it takes a
// second at most; how long is known, and hints come back by themselves.
func TestTerminatedWithoutHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := processes(t, 2)
		p[0].Register(ann)
		stale := func(want bool) {
			t.Helper()
			h := p[1].Stats().Hints
			if h.Listening == want || h.Staleness > time.Second || want != (h.Staleness > 100*time.Millisecond) {
				t.Errorf("hints: %+v, want listening: %v", h, !want)
			}
		}
		stale(false)
		w.cutOff(true)
		for range 3 {
			l := p[0].Login(ann)
			must(p[1].Authenticate(t.Context(), l.AccessToken))(t)
			done(t, p[0].Logout(t.Context(), l.AccessToken, ""))
			time.Sleep(950 * time.Millisecond)
			_, err := p[1].Authenticate(t.Context(), l.AccessToken)
			refused(t, "a session that was terminated elsewhere a second ago", err, gatehouse.Unauthenticated, "invalid_token")
			stale(true)
		}
		if p[0].Stats().Hints.Dropped == 0 {
			t.Error("no hint was dropped, so the line was not cut")
		}
		w.cutOff(false)
		time.Sleep(8 * time.Second)
		stale(false)
	})
}

// deaf is a store on which nothing is announced in time.
type deaf struct{ gatehouse.Store }

func (deaf) Announce(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }

func (deaf) Listen(ctx context.Context, _ func(), _ func(string)) error {
	<-ctx.Done()
	return ctx.Err()
}

// However many hints wait, a store that is away does not keep a service from
// stopping.
func TestStopWithManyHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gatehousetest.New(t, gatehouse.Config{Store: deaf{memory.New()}, Limits: gatehouse.Limits{Off: true}})
		g.Register(ann)
		u := must(g.FindUser(t.Context(), ann))(t)
		for n := range 500 {
			must(g.ChangeName(t.Context(), u.ID, fmt.Sprint("Ann ", n)))(t)
		}
		begun := time.Now()
		done(t, g.Close())
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it took %v to stop", took)
		}
	})
}

// A store that cannot carry hints is asked once, and is no fault.
func TestHintsUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gatehousetest.New(t, gatehouse.Config{Store: wired{Store: memory.New(), wire: &wire{}, err: fmt.Errorf("pooled: %w", errors.ErrUnsupported)}})
		g.Register(ann)
		l := g.Login(ann)
		time.Sleep(time.Minute)
		done(t, g.Logout(t.Context(), l.AccessToken, ""))
		if h := g.Stats().Hints; h.Listening || h.Staleness != 900*time.Millisecond {
			t.Errorf("hints: %+v", h)
		}
	})
}

// Whoever can write to the wire can make a process read again, and nothing else:
// no message lets anybody in, and none keeps a session out for good.
func TestHintsOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := processes(t, 1)
		g := p[0]
		g.Register(ann)
		l := g.Login(ann)
		for _, m := range []string{
			"", "\n\n", "s", "s x", "s x y z", "u", "u " + strings.Repeat("x", 5000), "b x 1", "b  ", "v " + l.Session.ID,
			"s " + l.Session.ID + " 99999999999999999999999999", "s not-a-uuid 9999999999999", "u " + l.User.ID, "\x00\xff",
		} {
			done(t, wired{wire: w}.Announce(t.Context(), m))
			time.Sleep(100 * time.Millisecond)
			must(g.Authenticate(t.Context(), l.AccessToken))(t)
		}
		done(t, wired{wire: w}.Announce(t.Context(), "s "+l.Session.ID+" 9999999999999"))
		time.Sleep(100 * time.Millisecond)
		_, err := g.Authenticate(t.Context(), l.AccessToken)
		refused(t, "a session that is said to be terminated", err, gatehouse.Unauthenticated, "invalid_token")
		// The refresh token asks the store, and what it gives is refused until the
		// hint has worn off.
		time.Sleep(31 * time.Minute)
		l = must(g.Refresh(t.Context(), l.RefreshToken))(t)
		must(g.Authenticate(t.Context(), l.AccessToken))(t)
	})
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

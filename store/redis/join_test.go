package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// used is a store that was used without Redis: n sessions and challenges of a user,
// and one session that was ended.
func used(t *testing.T, n int) *memory.Store {
	t.Helper()
	s, past := memory.New(), time.Now().Add(-time.Hour)
	err := s.CreateUser(t.Context(), ann("u"))
	for i := range n {
		err = errors.Join(err,
			s.CreateSession(t.Context(), &gatehouse.Session{ID: fmt.Sprint("s", i), UserID: "u", CreatedAt: past, ExpiresAt: past.Add(2 * time.Hour)}),
			s.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: fmt.Sprint("c", i), UserID: "u", CreatedAt: past, ExpiresAt: past.Add(2 * time.Hour)}),
		)
	}
	err = errors.Join(err,
		s.CreateSession(t.Context(), &gatehouse.Session{ID: "ended", UserID: "u", CreatedAt: past, TerminatedAt: past, ExpiresAt: past.Add(2 * time.Hour)}),
		s.AppendEvent(t.Context(), &gatehouse.Event{ID: "e", Kind: "login", At: past}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Who is logged in stays so when Redis is put in front of the database.
func TestNobodyIsLoggedOutByRedis(t *testing.T) {
	behind := memory.New()
	config := gatehouse.Config{Store: behind, Secret: gatehouse.NewSecret([]byte("a master secret of more than 32 bytes"))}
	without := gatehousetest.New(t, config)
	without.Register("ann@example.com")
	ann, gone := without.Login("ann@example.com"), without.Login("ann@example.com")
	if err := without.Logout(t.Context(), "", gone.RefreshToken); err != nil {
		t.Fatal(err)
	}
	config.Store = openStore(t, shared.URL(), Options{Prefix: prefix()}, behind)
	with := gatehousetest.New(t, config)
	if me, err := with.Authenticate(t.Context(), ann.AccessToken); err != nil || me.User.Email != "ann@example.com" {
		t.Errorf("me: %+v, %v", me, err)
	}
	if _, err := with.Authenticate(t.Context(), gone.AccessToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("me of who had logged out: %v", err)
	}
	next, err := with.Refresh(t.Context(), ann.RefreshToken)
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	if err := with.Logout(t.Context(), "", next.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if _, err := with.Refresh(t.Context(), next.RefreshToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("refresh after logout: %v", err)
	}
}

func TestJoin(t *testing.T) {
	behind, o, ctx := used(t, 3), Options{Prefix: prefix()}, t.Context()
	s := openStore(t, shared.URL(), o, behind)
	if s.Carried() != 4 {
		t.Errorf("carried %d sessions, want 4", s.Carried())
	}
	if list, err := s.SessionsOf(ctx, "u"); err != nil || len(list) != 3 {
		t.Errorf("SessionsOf: %d, %v, want 3", len(list), err)
	}
	if x, err := s.Session(ctx, "ended"); err != nil || x.TerminatedAt.IsZero() {
		t.Errorf("one that was ended: %+v, %v", x, err)
	}
	if _, err := s.TakeChallenge(ctx, "c1"); err != nil {
		t.Errorf("TakeChallenge: %v", err)
	}
	if _, err := behind.Challenge(ctx, "c0"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("a challenge is still in the store behind: %v", err)
	}
	end(t, s, "s0")

	// Not again, and least of all when Redis has lost what it knew: what was ended, or
	// used, would come back.
	again := openStore(t, shared.URL(), o, behind)
	if x, err := again.Session(ctx, "s0"); err != nil || x.TerminatedAt.IsZero() || again.Carried() != 0 {
		t.Errorf("ended since: %+v, %v, carried %d", x, err, again.Carried())
	}
	if out, err := shared.Do("EVAL", "for _, k in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', k) end return 1", "0", o.Prefix+":*"); out != "1" {
		t.Fatal(out, err)
	}
	if err := s.Ready(ctx); err != nil { // and gives the mark back
		t.Fatal(err)
	}
	again = openStore(t, shared.URL(), o, behind)
	for _, id := range []string{"s0", "s1"} {
		if _, err := again.Session(ctx, id); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("%s after Redis has lost everything: %v", id, err)
		}
	}

	// Without Redis for a while, and then with it again: those that began meanwhile.
	if err := Leave(ctx, behind); err != nil {
		t.Fatal(err)
	}
	if err := behind.CreateSession(ctx, &gatehouse.Session{ID: "meanwhile", UserID: "u", CreatedAt: time.Now().Add(-time.Minute), ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		again = openStore(t, shared.URL(), o, behind)
		if list, err := again.SessionsOf(ctx, "u"); err != nil || len(list) != 1 || list[0].ID != "meanwhile" {
			t.Errorf("after a time without Redis: %v, %v", list, err)
		}
	}
	// Nor does a process that began at the same time, and is late, end those.
	mark, err := readMark(ctx, behind)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.enter(ctx, again.history, era{paired: 1}.String(), mark, nil); err != nil {
		t.Fatal(err)
	}
	if list, err := again.SessionsOf(ctx, "u"); err != nil || len(list) != 1 {
		t.Errorf("after a process that was late: %v, %v", list, err)
	}
}

// end terminates a session.
func end(t *testing.T, s gatehouse.Store, id string) {
	t.Helper()
	x, err := s.Session(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	x.TerminatedAt = time.Now()
	if err := s.SaveSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
}

// broken fails in the middle of being read, or at the n-th challenge.
type broken struct {
	*memory.Store
	walks, takes int
}

var errBroken = errors.New("broken")

func (b *broken) Walk(ctx context.Context, f func(*gatehouse.Records) error) error {
	return b.Store.Walk(ctx, func(r *gatehouse.Records) error {
		if b.walks--; b.walks < 0 {
			return errBroken
		}
		return f(r)
	})
}

func (b *broken) TakeChallenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	if b.takes--; b.takes < 0 {
		return nil, errBroken
	}
	return b.Store.TakeChallenge(ctx, id)
}

// A process that ends in the middle of it leaves the rest to the next one, and no way
// to go on without Redis.
func TestJoinGoesOn(t *testing.T) {
	for walks := range 6 {
		for takes := range 4 {
			behind, o, ctx := used(t, 260), Options{Prefix: prefix()}, t.Context()
			c := open(t, shared.URL(), o)
			s, err := c.Store(ctx, &broken{behind, walks, takes})
			if !errors.Is(err, errBroken) || s != nil {
				t.Fatalf("broken after %d pages, %d challenges: %v", walks, takes, err)
			}
			if err := Absent(ctx, behind); !errors.Is(err, ErrNeedsRedis) {
				t.Errorf("without Redis: %v, want ErrNeedsRedis", err)
			}
			s = openStore(t, shared.URL(), o, behind)
			if list, err := s.SessionsOf(ctx, "u"); err != nil || len(list) != 260 {
				t.Errorf("after %d pages: %d sessions, %v", walks, len(list), err)
			}
			proofs := map[string]bool{}
			err = s.Walk(ctx, func(r *gatehouse.Records) error {
				for _, x := range r.Challenges {
					proofs[x.ID] = true
				}
				return nil
			})
			if err != nil || len(proofs) != 260 {
				t.Errorf("after %d challenges: %d of them, %v", takes, len(proofs), err)
			}
			if takes == 0 && walks < 5 {
				break // it does not come to challenges
			}
		}
	}
}

// Many that start at once, and serve as soon as they can: what one of them ends or
// uses, none of the others carries over again.
func TestJoinRaces(t *testing.T) {
	const n = 200
	behind, o := used(t, n), Options{Prefix: prefix()}
	var all sync.WaitGroup
	var taken [n]atomic.Int32
	for range 4 {
		c := open(t, shared.URL(), o)
		all.Go(func() {
			s, err := c.Store(t.Context(), behind)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range n {
				x, err := s.Session(t.Context(), fmt.Sprint("s", i))
				if err != nil {
					t.Error(err)
					return
				}
				x.TerminatedAt = time.Now()
				if err := s.SaveSession(t.Context(), x); err != nil && !errors.Is(err, gatehouse.ErrStale) {
					t.Error(err)
				}
				if _, err := s.TakeChallenge(t.Context(), fmt.Sprint("c", i)); err == nil {
					taken[i].Add(1)
				} else if !errors.Is(err, gatehouse.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i := range taken {
		// One that is between the two stores when somebody asks is not there yet.
		if taken[i].Load() > 1 {
			t.Errorf("challenge %d was taken %d times", i, taken[i].Load())
		}
	}
	if list, err := openStore(t, shared.URL(), o, behind).SessionsOf(t.Context(), "u"); err != nil || len(list) > 0 {
		t.Errorf("%d sessions are alive, %v, want none: each was ended", len(list), err)
	}
}

// noisy is a store on which another service is heard.
type noisy struct{ *memory.Store }

func (noisy) Announce(context.Context, string) error { return nil }

func (noisy) Listen(ctx context.Context, begun func(), f func(string)) error {
	begun()
	f("b 1 other")
	<-ctx.Done()
	return ctx.Err()
}

// While instances run without Redis nothing is carried over: what they end would go on.
func TestJoinNeedsQuiet(t *testing.T) {
	behind, o := used(t, 1), Options{Prefix: prefix()}
	if _, err := open(t, shared.URL(), o).Store(t.Context(), noisy{behind}); !errors.Is(err, ErrServedWithout) {
		t.Errorf("err = %v, want ErrServedWithout", err)
	}
	if err := Absent(t.Context(), behind); err != nil {
		t.Errorf("afterwards, without Redis: %v", err)
	}
	openStore(t, shared.URL(), o, behind)
	openStore(t, shared.URL(), o, noisy{behind}) // they have this Redis
	openStore(t, shared.URL(), Options{Prefix: prefix()}, noisy{memory.New()})
}

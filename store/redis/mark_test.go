package redis

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// A database and its Redis belong together, and whoever would use one of them
// without the other is told.
func TestMark(t *testing.T) {
	behind := memory.New()
	if err := Absent(t.Context(), behind); err != nil {
		t.Fatalf("a new database without Redis: %v", err)
	}
	o := Options{Prefix: prefix()}
	s := openStore(t, shared.URL(), o, behind)
	if err := Absent(t.Context(), behind); !errors.Is(err, ErrNeedsRedis) {
		t.Errorf("without Redis afterwards: %v, want ErrNeedsRedis", err)
	}
	if again := openStore(t, shared.URL(), o, behind); len(again.c.Warnings()) > 0 {
		t.Errorf("the same Redis again: %q", again.c.Warnings())
	}

	if out, err := shared.Do("PTTL", s.c.markKey()[0]); out != "-1" {
		t.Errorf("PTTL of the mark = %s, %v, want that it stays", out, err)
	}

	// Another Redis that is in use already.
	other := Options{Prefix: prefix()}
	openStore(t, shared.URL(), other, memory.New())
	if _, err := open(t, shared.URL(), other).Store(t.Context(), behind); !errors.Is(err, ErrOtherRedis) {
		t.Errorf("another Redis: %v, want ErrOtherRedis", err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}

	// One that knows nothing is another one, or has lost its data. It is for somebody
	// to say which; the others go on.
	if _, err := open(t, shared.URL(), Options{Prefix: prefix()}).Store(t.Context(), behind); !errors.Is(err, ErrLostRedis) {
		t.Errorf("a new Redis: %v, want ErrLostRedis", err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready with the right Redis, after somebody came with a new one: %v", err)
	}

	if err := Leave(t.Context(), behind); err != nil {
		t.Fatal(err)
	}
	if err := Absent(t.Context(), behind); err != nil {
		t.Errorf("without Redis after Leave: %v", err)
	}
	if err := Leave(t.Context(), behind); err != nil {
		t.Errorf("Leave again: %v", err)
	}
	openStore(t, shared.URL(), other, behind)
	if err := s.Ready(t.Context()); !errors.Is(err, ErrOtherRedis) || !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("Ready with the former Redis: %v, want ErrOtherRedis", err)
	}
}

// A Redis that lost all it had while it was in use gets its mark back.
func TestMarkComesBack(t *testing.T) {
	behind := memory.New()
	o := Options{Prefix: prefix()}
	s := openStore(t, shared.URL(), o, behind)
	if out, err := shared.Do("DEL", s.c.markKey()[0]); out != "1" {
		t.Fatal(out, err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if w := openStore(t, shared.URL(), o, behind).c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	if out, err := shared.Do("PTTL", s.c.markKey()[0]); out != "-1" {
		t.Errorf("PTTL = %s, %v, want that it stays", out, err)
	}
}

// Many that start at once agree.
func TestMarkRaces(t *testing.T) {
	behind := memory.New()
	o := Options{Prefix: prefix()}
	var all sync.WaitGroup
	for range 8 {
		c := open(t, shared.URL(), o)
		all.Go(func() {
			s, err := c.Store(t.Context(), behind)
			if err == nil {
				err = s.Ready(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A session from the time before Redis that was ended since, in Redis alone, does not
// come back when Redis is given up; nor does a challenge.
func TestLeaveRevivesNothing(t *testing.T) {
	behind, ctx := memory.New(), t.Context()
	old := &gatehouse.Session{ID: "old", UserID: "u", ExpiresAt: time.Now().Add(time.Hour)}
	if err := errors.Join(behind.CreateSession(ctx, old), behind.CreateChallenge(ctx, &gatehouse.Challenge{ID: "link"})); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, shared.URL(), Options{Prefix: prefix()}, behind)
	end(t, s, "old")
	if err := Leave(ctx, behind); err != nil {
		t.Fatal(err)
	}
	if x, err := behind.Session(ctx, "old"); err == nil && x.TerminatedAt.IsZero() || err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("the session is back: %+v, %v", x, err)
	}
	if _, err := behind.TakeChallenge(ctx, "link"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("the challenge is back: %v", err)
	}
}

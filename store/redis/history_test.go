package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// Of a restored user no copy of before is seen, neither by those who begin
// afterwards nor for long by those who went on: they are not ready any more.
func TestARestoredUserIsSeenAtOnce(t *testing.T) {
	for _, keep := range []gatehouse.Keep{gatehouse.KeepNothing, gatehouse.KeepSessions, gatehouse.KeepAll} {
		behind, o, ctx := memory.New(), Options{Prefix: prefix()}, t.Context()
		before := openStore(t, shared.URL(), o, behind)
		u := ann("u")
		if err := before.CreateUser(ctx, u); err != nil {
			t.Fatal(err)
		}
		if got, err := before.User(ctx, "u"); err != nil || got.Epoch != 7 { // a copy is there now
			t.Fatal(got, err)
		}
		u.Epoch = 3 // as it was when the backup was made
		if err := behind.SaveUser(ctx, u); err != nil {
			t.Fatal(err)
		}
		if err := before.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if err := (gatehouse.Restoration{At: time.Now(), From: "backup", Keep: keep}).Note(ctx, behind); err != nil {
			t.Fatal(err)
		}
		after := openStore(t, shared.URL(), o, behind)
		for range 2 {
			if got, err := after.User(ctx, "u"); err != nil || got.Epoch != 3 {
				t.Errorf("keep %s: epoch %d, %v, want the restored 3", keep, got.Epoch, err)
			}
		}
		if err := after.Ready(ctx); err != nil {
			t.Errorf("keep %s: Ready: %v", keep, err)
		}
		if err := before.Ready(ctx); !errors.Is(err, ErrRestored) || !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("keep %s: Ready of a process of before: %v, want ErrRestored", keep, err)
		}
		// Who of both writes, the other sees it.
		for _, w := range []*Store{before, after, before} {
			u, err := behind.User(ctx, "u")
			if err != nil {
				t.Fatal(err)
			}
			u.Epoch++
			if err := w.SaveUser(ctx, u); err != nil {
				t.Fatal(err)
			}
			for name, r := range map[string]*Store{"before": before, "after": after} {
				if got, err := r.User(ctx, "u"); err != nil || got.Epoch != u.Epoch {
					t.Errorf("keep %s: %s the restoration: epoch %d, %v, want %d", keep, name, got.Epoch, err, u.Epoch)
				}
			}
		}
	}
}

// A restoration ends the single-use proofs in Redis, however it was done, and only
// those that were there.
func TestChallengesEndWithARestoration(t *testing.T) {
	for _, keep := range []gatehouse.Keep{gatehouse.KeepNothing, gatehouse.KeepSessions, gatehouse.KeepAll} {
		behind, o, ctx, at := memory.New(), Options{Prefix: prefix()}, t.Context(), time.Now()
		before := openStore(t, shared.URL(), o, behind)
		for id, created := range map[string]time.Time{"old": at.Add(-time.Minute), "new": at.Add(time.Minute)} {
			if err := before.CreateChallenge(ctx, &gatehouse.Challenge{ID: id, CreatedAt: created}); err != nil {
				t.Fatal(err)
			}
		}
		if err := (gatehouse.Restoration{At: at, From: "archive", Keep: keep}).Note(ctx, behind); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			after := openStore(t, shared.URL(), o, behind)
			if _, err := after.Challenge(ctx, "old"); (err == nil) != (keep == gatehouse.KeepAll) {
				t.Errorf("keep %s: a proof of before: %v", keep, err)
			}
			if _, err := after.Challenge(ctx, "new"); err != nil {
				t.Errorf("keep %s: a proof of another process that has begun already: %v", keep, err)
			}
		}
		// Once: what is made by somebody whose clock is behind stays.
		again := openStore(t, shared.URL(), o, behind)
		if err := again.CreateChallenge(ctx, &gatehouse.Challenge{ID: "late", CreatedAt: at.Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if _, err := openStore(t, shared.URL(), o, behind).Challenge(ctx, "late"); err != nil {
			t.Errorf("keep %s: a proof that was made afterwards: %v", keep, err)
		}
	}
}

// A store that is still to be filled gets no mark.
func TestAPartialStoreIsLeftAlone(t *testing.T) {
	behind := memory.New()
	r := gatehouse.Restoration{At: time.Now(), From: "copy", Keep: gatehouse.KeepAll, Partial: true}
	if err := r.Note(t.Context(), behind); err != nil {
		t.Fatal(err)
	}
	c := open(t, shared.URL(), Options{Prefix: prefix()})
	if _, err := c.Store(t.Context(), behind); !errors.Is(err, gatehouse.ErrPartial) {
		t.Errorf("err = %v, want ErrPartial", err)
	}
	if err := Absent(t.Context(), behind); err != nil {
		t.Errorf("it has a mark: %v", err)
	}
}

// Who goes on without Redis, and comes back to it, finds nothing there of before.
func TestNothingComesBackWithRedis(t *testing.T) {
	behind, o, ctx := memory.New(), Options{Prefix: prefix()}, t.Context()
	before, past := openStore(t, shared.URL(), o, behind), time.Now().Add(-time.Minute)
	u := ann("u")
	err := errors.Join(
		before.CreateUser(ctx, u),
		before.CreateSession(ctx, &gatehouse.Session{ID: "s", UserID: "u", CreatedAt: past, ExpiresAt: past.Add(time.Hour)}),
		before.CreateChallenge(ctx, &gatehouse.Challenge{ID: "c", CreatedAt: past}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.User(ctx, "u"); err != nil { // a copy is there now
		t.Fatal(err)
	}
	if err := Leave(ctx, behind); err != nil {
		t.Fatal(err)
	}
	u.Epoch++
	if err := behind.SaveUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		after := openStore(t, shared.URL(), o, behind)
		if got, err := after.User(ctx, "u"); err != nil || got.Epoch != u.Epoch {
			t.Errorf("the user: epoch %d, %v, want %d", got.Epoch, err, u.Epoch)
		}
		if x, err := after.Session(ctx, "s"); err == nil && x.TerminatedAt.IsZero() {
			t.Errorf("the session is back: %+v", x)
		}
		if _, err := after.Challenge(ctx, "c"); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("the proof is back: %v", err)
		}
		if err := after.CreateSession(ctx, &gatehouse.Session{ID: "new", UserID: "u", CreatedAt: time.Now().Add(time.Second)}); err != nil && !errors.Is(err, gatehouse.ErrExists) {
			t.Fatal(err)
		}
		if x, err := after.Session(ctx, "new"); err != nil || !x.TerminatedAt.IsZero() {
			t.Errorf("a session of afterwards: %+v, %v", x, err)
		}
	}
	if err := before.Ready(ctx); !errors.Is(err, ErrRestored) {
		t.Errorf("Ready of a process of before: %v, want ErrRestored", err)
	}
}

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// held is a store whose writer stops before each commit.
type held struct {
	*Store
	before chan []*write // a batch is about to be committed
	let    chan struct{} // lets it; closed, lets all that follow
}

func hold(t *testing.T) *held {
	h := &held{
		Store:  open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{}),
		before: make(chan []*write), let: make(chan struct{}),
	}
	h.beforeCommit = func(batch []*write) {
		select {
		case h.before <- batch:
			<-h.let
		case <-h.let:
		}
	}
	return h
}

// queued waits until n writes are in the queue.
func (h *held) queued(n int) {
	for len(h.queue) < n {
		runtime.Gosched()
	}
}

func user(n int, keys ...string) *gatehouse.User {
	return &gatehouse.User{ID: fmt.Sprint("u", n), EmailKey: fmt.Sprintf("u%d@example.com", n), Keys: keys}
}

func session(n int) *gatehouse.Session {
	return &gatehouse.Session{ID: fmt.Sprint("s", n), UserID: "u"}
}

func TestWritersShareACommit(t *testing.T) {
	h := hold(t)
	ctx := t.Context()
	errs := make(chan error, 1)
	go func() { errs <- h.CreateUser(ctx, user(0, "taken")) }()
	if batch := <-h.before; len(batch) != 1 {
		t.Fatalf("the first commit is of %d writes, want 1", len(batch))
	}

	// While the first is being committed, others come. Some of them fail, one
	// after it has changed something already.
	stale := session(1)
	stale.Version = 7
	writes := []struct {
		name string
		do   func() error
		want error
	}{
		{"session", func() error { return h.CreateSession(ctx, session(1)) }, nil},
		{"user with a free and a taken key", func() error { return h.CreateUser(ctx, user(1, "free", "taken")) }, gatehouse.ErrExists},
		{"user", func() error { return h.CreateUser(ctx, user(2, "mine")) }, nil},
		{"stale session", func() error { return h.SaveSession(ctx, stale) }, gatehouse.ErrStale},
		{"taken address", func() error { u := user(3); u.EmailKey = "u0@example.com"; return h.CreateUser(ctx, u) }, gatehouse.ErrExists},
		{"another session", func() error { return h.CreateSession(ctx, session(2)) }, nil},
	}
	got := make([]error, len(writes))
	var wg sync.WaitGroup
	var answered atomic.Int32
	for i, w := range writes {
		wg.Go(func() {
			got[i] = w.do()
			answered.Add(1)
		})
		h.queued(i + 1)
	}
	h.let <- struct{}{}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	if batch := <-h.before; len(batch) != len(writes) {
		t.Fatalf("the second commit is of %d writes, want %d", len(batch), len(writes))
	}
	// Before it is committed nobody has an answer, and nothing of it is seen.
	if n := answered.Load(); n != 0 {
		t.Errorf("%d writes were answered before the commit", n)
	}
	if _, err := h.Session(ctx, "s1"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("a session before its commit: err = %v", err)
	}
	close(h.let)
	wg.Wait()
	for i, w := range writes {
		if !errors.Is(got[i], w.want) {
			t.Errorf("%s: err = %v, want %v", w.name, got[i], w.want)
		}
	}
	for id, want := range map[string]error{"u0": nil, "u1": gatehouse.ErrNotFound, "u2": nil, "u3": gatehouse.ErrNotFound} {
		if _, err := h.User(ctx, id); !errors.Is(err, want) {
			t.Errorf("user %s: err = %v, want %v", id, err, want)
		}
	}
	if _, err := h.UserByKey(ctx, "free"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("the key of a user who was refused: err = %v", err)
	}
	for _, id := range []string{"s1", "s2"} {
		if _, err := h.Session(ctx, id); err != nil {
			t.Errorf("session %s: %v", id, err)
		}
	}
}

func TestABatchHasALimit(t *testing.T) {
	h := hold(t)
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.CreateSession(t.Context(), session(0)) })
	<-h.before
	const more = maxBatch + 10
	for n := range more {
		wg.Go(func() { _ = h.CreateSession(t.Context(), session(n+1)) })
	}
	h.queued(maxBatch)
	for total := 0; total < more; {
		h.let <- struct{}{}
		batch := <-h.before
		if len(batch) > maxBatch {
			t.Errorf("a batch of %d writes", len(batch))
		}
		total += len(batch)
	}
	close(h.let)
	wg.Wait()
}

func TestACallerWhoLeaves(t *testing.T) {
	h := hold(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun, queued := make(chan error, 1), make(chan error, 1)
	go func() { begun <- h.CreateSession(ctx, session(1)) }()
	<-h.before
	go func() { queued <- h.CreateSession(ctx, session(2)) }()
	h.queued(1)
	cancel()

	// The one that has begun may yet take place, and says so.
	if err := <-begun; !errors.Is(err, gatehouse.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a write that had begun: err = %v, want ErrUnavailable and Canceled", err)
	}
	// The other was taken back.
	if err := <-queued; !errors.Is(err, context.Canceled) || errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a write in the queue: err = %v, want Canceled alone", err)
	}
	close(h.let)
	if err := h.CreateSession(t.Context(), session(3)); err != nil { // it comes after both
		t.Fatal(err)
	}
	if _, err := h.Session(t.Context(), "s1"); err != nil {
		t.Errorf("the write that had begun: %v", err)
	}
	if _, err := h.Session(t.Context(), "s2"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("the write that was taken back: err = %v, want ErrNotFound", err)
	}
}

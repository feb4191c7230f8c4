package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// listening is what a store hears, from when it has begun to.
func listening(t *testing.T, ctx context.Context, s *Store) (heard <-chan string, ended <-chan error) {
	t.Helper()
	messages, end, begun := make(chan string, 1000), make(chan error, 1), make(chan struct{})
	go func() { end <- s.Listen(ctx, func() { close(begun) }, func(m string) { messages <- m }) }()
	select {
	case <-begun:
	case err := <-end:
		t.Fatalf("listen: %v", err)
	}
	return messages, end
}

func TestAnnounce(t *testing.T) {
	ctx := t.Context()
	db := server.Database(t)
	a, b := openStore(t, server.URL(db), Options{}), openStore(t, server.URL(db), Options{})
	stranger := openStore(t, server.URL(db)+"?schema=another", Options{})
	hearA, _ := listening(t, ctx, a)
	hearB, _ := listening(t, ctx, b)
	hearStranger, _ := listening(t, ctx, stranger)
	long := strings.Repeat("~", maxMessage)
	for n := range 100 {
		if err := a.Announce(ctx, fmt.Sprint("hint ", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Announce(ctx, long); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		want := fmt.Sprint("hint ", n)
		if here, there := <-hearA, <-hearB; here != want || there != want {
			t.Fatalf("heard %q and %q, want %q", here, there, want)
		}
	}
	if here, there := <-hearA, <-hearB; here != long || there != long {
		t.Errorf("heard %d and %d bytes, want %d", len(here), len(there), len(long))
	}
	// What a connection hears comes in its order: nothing was there before this.
	if err := stranger.Announce(ctx, "its own"); err != nil {
		t.Fatal(err)
	}
	if heard := <-hearStranger; heard != "its own" {
		t.Errorf("another schema hears %q", heard)
	}
	for _, bad := range []string{long + "~", "a\nb", "é", "\x00", "a\x7f"} {
		if err := a.Announce(ctx, bad); err == nil {
			t.Errorf("%q was announced", bad)
		}
	}
}

// Listen ends with its context, with the store and with the connection, and can be
// begun again.
func TestListenEnds(t *testing.T) {
	url := database(t)
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, ended := listening(t, ctx, s)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: err = %v", err)
	}
	_, ended = listening(t, t.Context(), s)
	server.Run(t, "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = '`+s.target.pool.ConnConfig.Database+`'`)
	if err := <-ended; !errors.Is(err, gatehouse.ErrUnavailable) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("cut off: err = %v", err)
	}
	_, ended = listening(t, t.Context(), s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("closed: err = %v", err)
	}
	if err := s.Listen(t.Context(), func() {}, func(string) {}); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("after Close: err = %v", err)
	}
	if err := s.Announce(t.Context(), "x"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("announce after Close: err = %v", err)
	}
}

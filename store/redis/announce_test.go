package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// hears expects that what one announces reaches the other.
func hears(t *testing.T, from, to gatehouse.Announcer) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	begun, heard, ended := make(chan struct{}), make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- to.Listen(ctx, func() { close(begun) }, func(m string) { heard <- m })
	}()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("Listen: %v", err)
	}
	for n := range 5 {
		if err := from.Announce(t.Context(), fmt.Sprint("message ", n)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string // in a Cluster they take different ways
	for range 5 {
		got = append(got, <-heard)
	}
	slices.Sort(got)
	if want := []string{"message 0", "message 1", "message 2", "message 3", "message 4"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen after its end: %v", err)
	}
}

func TestAnnounce(t *testing.T) {
	o := Options{Prefix: prefix()}
	behind := memory.New()
	one, two := openStore(t, shared.URL(), o, behind), openStore(t, shared.URL(), o, behind)
	hears(t, one, one)
	hears(t, one, two)
	hears(t, two, one)
}

func TestListenEndsWithTheConnection(t *testing.T) {
	r := service.Redis(t)
	s := openStore(t, r.URL(), Options{}, memory.New())
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Listen(t.Context(), func() { close(begun) }, func(string) {}) }()
	<-begun
	r.Kill()
	if err := <-ended; !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("Listen when the connection is lost: %v", err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	hears(t, s, s)
}

// Who does not keep up is told, and holds up nobody else.
func TestListenerThatIsSlow(t *testing.T) {
	o := Options{Prefix: prefix()}
	s := openStore(t, shared.URL(), o, memory.New())
	begun, ended, held := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() { ended <- s.Listen(t.Context(), func() { close(begun) }, func(string) { <-held }) }()
	<-begun
	for range behindBy + 100 {
		if err := s.Announce(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	close(held)
	if err := <-ended; !errors.Is(err, errBehind) {
		t.Errorf("Listen: %v, want that it fell behind", err)
	}
}

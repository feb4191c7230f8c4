package redis

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// Another server takes the place of the primary at its address, and the one of before
// goes on as its replica, with all connections to it: it is noticed without help, by
// who waits for replicas, by who does not, and by who listens.
func TestAddressMoves(t *testing.T) {
	for _, waited := range []int{1, NoReplicas} {
		t.Run(fmt.Sprint(waited), func(t *testing.T) {
			primary, replica := pairOf(t)
			s := openStore(t, primary.URL(), Options{Replicas: waited, Timeout: time.Second}, memory.New())
			create := func(id string) error {
				err := s.CreateSession(t.Context(), &gatehouse.Session{ID: id, UserID: "u"})
				if errors.Is(err, gatehouse.ErrExists) {
					err = nil
				}
				return err
			}
			if err := create("before"); err != nil {
				t.Fatal(err)
			}
			begun, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- s.Listen(t.Context(), func() { close(begun) }, func(string) {}) }()
			<-begun
			inTouch(t, primary, replica)
			// Where the address leads to from now on, for who dials.
			there, err := parseAddress(replica.URL())
			if err != nil {
				t.Fatal(err)
			}
			s.c.wire.(*moving).dial = func() (wire, error) { return dial(there, s.c.options) }
			if out, err := replica.Do("REPLICAOF", "NO", "ONE"); out != "OK" {
				t.Fatal(out, err)
			}
			if out, err := primary.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(replica.Port)); out != "OK" {
				t.Fatal(out, err)
			}
			inTouch(t, replica, primary)

			if err := create("refused"); !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Errorf("a write to what is a replica now: %v", err)
			}
			eventually(t, func() error { return create("after") })
			if err := <-ended; !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Errorf("who listened to the server of before: %v", err)
			}
			hears(t, s, s)
			if list, err := s.SessionsOf(t.Context(), "u"); err != nil || len(list) != 2 {
				t.Errorf("%d sessions, %v, want 2", len(list), err)
			}
			if err := s.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

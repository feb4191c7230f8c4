// Package storetest is the contract of [gatehouse.Store] in executable form.
// Every store of Gatehouse passes it, and so should yours:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) gatehouse.Store {
//			s, err := mystore.Open(t.Context(), emptyDatabase(t))
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { s.Close() })
//			return s
//		})
//	}
//
// A store that several processes may use at once should also pass [Races] with
// several handles on one database, and one that is a [gatehouse.Mover] also
// [Mover].
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
)

// Run tests a store against every sentence of its contract. It calls open for
// each case: open returns an empty store and arranges, with t.Cleanup, for it
// to be closed.
func Run(t *testing.T, open func(t *testing.T) gatehouse.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Users", users},
		{"Sessions", sessions},
		{"Challenges", challenges},
		{"Events", events},
		{"Settings", settings},
		{"Tasks", tasks},
		{"Sweep", sweeps},
		{"Values", values},
		{"Context", contexts},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
			}
		})
	}
	t.Run("Races", func(t *testing.T) {
		Races(t, func(t *testing.T) []gatehouse.Store { return []gatehouse.Store{open(t)} })
	})
}

// testCase is one promise. Its name completes the sentence "the store …".
type testCase struct {
	name string
	run  func(t *testing.T, s gatehouse.Store)
}

// at is a moment of the test's day, n seconds into it.
func at(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC).Add(time.Duration(n) * time.Second)
}

// uid is an id like those in use: the later n, the greater the id.
func uid(n int) string { return fmt.Sprintf("01938c00-5a2f-7000-8000-%012x", n) }

// user is a user with something in every field that its n tells from others.
func user(n int) *gatehouse.User {
	return &gatehouse.User{
		ID:       uid(n),
		Email:    fmt.Sprintf("Ann.%d@Example.com", n),
		EmailKey: fmt.Sprintf("ann.%d@example.com", n),
		Name:     "Ann Example",
		Roles:    []string{"admin", "editor"},
		Keys:     []string{fmt.Sprintf("oidc:%d", n), fmt.Sprintf("passkey:%d", n)},
		Credentials: []gatehouse.Credential{{
			ID: "c1", Kind: "password", Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
			CreatedAt: at(1), ChangedAt: at(2), Data: []byte(`{"a":1}`),
		}, {
			ID: "c2", Kind: "passkey", CreatedAt: at(3),
		}},
		Epoch:      3,
		DisabledAt: at(4),
		CreatedAt:  at(5),
		UpdatedAt:  at(6),
		Extra:      []byte(`{"imported":true}`),
	}
}

func session(n int, userID string) *gatehouse.Session {
	return &gatehouse.Session{
		ID: uid(n), UserID: userID, Epoch: 3, Generation: 7,
		RotatedAt: at(1), CreatedAt: at(n), AuthenticatedAt: at(3), LastSeenAt: at(4),
		Methods:    []string{"pwd", "otp"},
		InactiveAt: at(5), EndsAt: at(6), ExpiresAt: at(8),
		UserAgent: "Mozilla/5.0", Address: "192.0.2.7", Extra: []byte(`{"device":"x"}`),
	}
}

func challenge(n int) *gatehouse.Challenge {
	return &gatehouse.Challenge{
		ID: uid(n), Kind: "magic-link", UserID: uid(99), Attempts: 2,
		Data: []byte(`{"next":"/"}`), CreatedAt: at(1), ExpiresAt: at(2),
	}
}

func event(n int) *gatehouse.Event {
	return &gatehouse.Event{
		ID: uid(n), At: at(n), Kind: "login", Outcome: "ok", UserID: uid(99), ActorID: "operator",
		SessionID: uid(98), Address: "2001:db8::1", UserAgent: "curl/8", Ref: "r1",
		Data: map[string]string{"method": "pwd", "note": ""}, ExpiresAt: at(100),
		Chain: uid(97), Sequence: int64(n), Proof: []byte{1, 0, 255, byte(n)},
	}
}

func setting(name string) *gatehouse.Setting {
	return &gatehouse.Setting{Name: name, Value: []byte{0, 1, 2, 255}, UpdatedAt: at(1)}
}

func task(n int) *gatehouse.Task {
	return &gatehouse.Task{
		ID: uid(n), Kind: "mail", Data: []byte(`{"to":"ann@example.com"}`), Attempts: 0,
		DueAt: at(n), CreatedAt: at(0), ExpiresAt: at(1000),
	}
}

// equal fails the test if got is not want. Nil and empty are the same.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// is fails the test if err is not the one wanted; nil is one, too.
func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: err = %v, want %v", what, err, want)
	}
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	is(t, what, err, nil)
}

// must is for reads that are expected to find something.
func must[R any](r R, err error) func(t *testing.T, what string) R {
	return func(t *testing.T, what string) R {
		t.Helper()
		ok(t, what, err)
		return r
	}
}

// ids are those of the records, in their order.
func ids[R any](records []R, id func(R) string) []string {
	list := make([]string, len(records))
	for i, r := range records {
		list[i] = id(r)
	}
	return list
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

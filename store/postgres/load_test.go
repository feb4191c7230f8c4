package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
)

// everything is all that a store holds, in the order in which it is walked.
func everything(t *testing.T, s gatehouse.Mover) *gatehouse.Records {
	t.Helper()
	all := &gatehouse.Records{}
	err := s.Walk(t.Context(), func(r *gatehouse.Records) error {
		if r.Len() == 0 || r.Len() > 1000 {
			t.Errorf("%d records at a time", r.Len())
		}
		all.Users, all.Sessions = append(all.Users, r.Users...), append(all.Sessions, r.Sessions...)
		all.Challenges, all.Events = append(all.Challenges, r.Challenges...), append(all.Events, r.Events...)
		all.Settings, all.Tasks = append(all.Settings, r.Settings...), append(all.Tasks, r.Tasks...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// many is n records of each kind, sorted by id, with and without what may be
// absent.
func many(n int) *gatehouse.Records {
	r := &gatehouse.Records{}
	at := time.UnixMilli(1_800_000_000_123).UTC()
	for i := range n {
		id := fmt.Sprintf("%08d", i)
		u := &gatehouse.User{ID: id, Version: int64(i + 1), Email: "Ann@example.com", EmailKey: id + "@example.com", Epoch: 7, CreatedAt: at,
			Credentials: []gatehouse.Credential{{ID: "c", Kind: "password", Hash: "$2b$", CreatedAt: at}}}
		x := &gatehouse.Session{ID: id, Version: 9, UserID: id, Generation: int64(i), CreatedAt: at, Methods: []string{"pwd"}, UserAgent: "é'\"\\,{}"}
		e := &gatehouse.Event{ID: id, At: at, Kind: "login", Data: map[string]string{"a": "<"}}
		p := &gatehouse.Setting{Name: id, Version: 3, UpdatedAt: at}
		if i%3 == 0 {
			u.Keys, u.Roles, u.DisabledAt, u.Extra = []string{"a" + id, "b" + id}, []string{"admin"}, at, []byte(`{"x":[1,null]}`)
			x.TerminatedAt, x.ExpiresAt, x.Extra = at, at, []byte(`{}`)
			e.Chain, e.Sequence, e.Proof, e.ExpiresAt = "chain", int64(i), []byte{0, 255, byte(i)}, at
			p.Value = []byte{0, '\\', 255}
		}
		r.Users, r.Sessions, r.Events, r.Settings = append(r.Users, u), append(r.Sessions, x), append(r.Events, e), append(r.Settings, p)
		r.Challenges = append(r.Challenges, &gatehouse.Challenge{ID: id, Version: 2, Kind: "link", Data: []byte(`1`)})
		r.Tasks = append(r.Tasks, &gatehouse.Task{ID: id, Version: 5, Kind: "mail", Attempts: 4, DueAt: at})
	}
	return r
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// What is loaded is what was walked over elsewhere, and to load it again changes
// nothing.
func TestLoadAndWalk(t *testing.T) {
	from, to := openStore(t, database(t), Options{}), openStore(t, database(t), Options{})
	ctx := t.Context()
	want := many(1234) // some pages
	if left, err := from.Load(ctx, want); err != nil || left.Len() != 0 {
		t.Fatalf("load: %d left, %v", left.Len(), err)
	}
	same(t, "what was loaded", everything(t, from), want)
	err := from.Walk(ctx, func(r *gatehouse.Records) error {
		left, err := to.Load(ctx, r)
		if err == nil && left.Len() > 0 {
			err = fmt.Errorf("%d left", left.Len())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the copy", everything(t, to), want)
	left, err := to.Load(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "what is there already", left, want)
	same(t, "the copy after that", everything(t, to), want)
	if u, err := to.UserByKey(ctx, "b00000003"); err != nil || u.ID != "00000003" {
		t.Errorf("by key: %v, %v", u, err)
	}
}

// Users are left out one by one, for an id, an address or a key that is taken, in
// the store or by one before; and one that is left out takes nothing.
func TestLoadLeavesOutWhatIsTaken(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	if err := s.CreateUser(ctx, &gatehouse.User{ID: "old", EmailKey: "old@example.com", Keys: []string{"old"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][]struct {
		u    *gatehouse.User
		left bool
	}{
		"ids and addresses": {
			{&gatehouse.User{ID: "old"}, true},
			{&gatehouse.User{ID: "a1", EmailKey: "old@example.com"}, true},
			{&gatehouse.User{ID: "a2", EmailKey: "a2@example.com"}, false},
			{&gatehouse.User{ID: "a3", EmailKey: "a2@example.com"}, true},
			{&gatehouse.User{ID: "a2", EmailKey: "a4@example.com"}, true},
			{&gatehouse.User{ID: "a4", EmailKey: "a4@example.com"}, false},
			{&gatehouse.User{ID: "a5"}, false},
			{&gatehouse.User{ID: "a6"}, false},
		},
		"keys": {
			{&gatehouse.User{ID: "b1", EmailKey: "b@example.com", Keys: []string{"b", "old"}}, true},
			{&gatehouse.User{ID: "b2", EmailKey: "b@example.com", Keys: []string{"b"}}, false},
			{&gatehouse.User{ID: "b3", Keys: []string{"b"}}, true},
			{&gatehouse.User{ID: "b3", Keys: []string{"c"}}, false},
		},
	} {
		var users []*gatehouse.User
		var want []string
		for i, x := range c {
			x.u.Version = int64(i + 1)
			users = append(users, x.u)
			if x.left {
				want = append(want, fmt.Sprintf("%s %d", x.u.ID, x.u.Version))
			}
		}
		left, err := s.Load(ctx, &gatehouse.Records{Users: users})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range left.Users {
			got = append(got, fmt.Sprintf("%s %d", u.ID, u.Version))
		}
		same(t, name, got, want)
	}
	for key, want := range map[string]string{"b": "b2", "c": "b3", "old": "old"} {
		if u, err := s.UserByKey(ctx, key); err != nil || u.ID != want || !slices.Contains(u.Keys, key) {
			t.Errorf("key %s: %+v, %v, want %s", key, u, err, want)
		}
	}
	// Others are told apart by their ids alone, and settings by their names.
	x, y := session(1), session(1)
	x.Version, y.Version = 1, 2
	left, err := s.Load(ctx, &gatehouse.Records{Sessions: []*gatehouse.Session{x, y}})
	if err != nil || len(left.Sessions) != 1 || left.Sessions[0] != y {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// What changes during a walk is handed over once.
func TestWalkBesideChanges(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	want := many(1500)
	want.Sessions, want.Events, want.Tasks, want.Settings, want.Challenges = nil, nil, nil, nil, nil
	if _, err := s.Load(ctx, want); err != nil {
		t.Fatal(err)
	}
	seen, page := make(map[string]int), 0
	err := s.Walk(ctx, func(r *gatehouse.Records) error {
		for _, u := range r.Users {
			seen[u.ID]++
		}
		// Some before and some after, and some are added on both sides.
		for _, n := range []int{page * 200, 1499 - page} {
			if err := s.SaveUser(ctx, want.Users[n]); err != nil {
				return err
			}
		}
		for _, id := range []string{fmt.Sprint("0 added ", page), fmt.Sprint("9 added ", page)} {
			if err := s.CreateUser(ctx, &gatehouse.User{ID: id}); err != nil {
				return err
			}
		}
		page++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range want.Users {
		if seen[u.ID] != 1 {
			t.Errorf("user %s was handed over %d times", u.ID, seen[u.ID])
		}
	}
	stop := errors.New("stop")
	if err := s.Walk(ctx, func(*gatehouse.Records) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("err = %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Walk(cancelled, func(*gatehouse.Records) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if _, err := s.Load(cancelled, many(1)); err == nil {
		t.Error("loaded with a ctx that is done")
	}
}

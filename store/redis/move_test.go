package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// movable is a store behind that keeps what it is loaded with.
type movable struct {
	gatehouse.Store
	records gatehouse.Records
}

func (m *movable) Walk(_ context.Context, f func(*gatehouse.Records) error) error {
	return f(&m.records)
}

func (m *movable) Load(_ context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	m.records.Users = append(m.records.Users, r.Users...)
	m.records.Settings = append(m.records.Settings, r.Settings...)
	if len(r.Sessions)+len(r.Challenges) > 0 {
		return nil, errors.New("sessions and challenges do not belong here")
	}
	return nil, nil
}

func (m *movable) SaveSetting(ctx context.Context, s *gatehouse.Setting) error {
	err := m.Store.SaveSetting(ctx, s)
	m.records.Settings = append(m.records.Settings, s)
	return err
}

func TestMove(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var all gatehouse.Records
	for n := range 700 {
		x := &gatehouse.Session{ID: fmt.Sprintf("s%03d", n), Version: int64(n + 1), UserID: fmt.Sprint("u", n%7), CreatedAt: day, Methods: []string{"pwd"}}
		c := &gatehouse.Challenge{ID: fmt.Sprintf("c%03d", n), Version: int64(n + 1), Kind: "link", Data: []byte(`{}`)}
		if n%3 > 0 {
			x.ExpiresAt, c.ExpiresAt = day.Add(time.Duration(n)), day
		}
		if n%5 == 0 {
			x.TerminatedAt = day
		}
		all.Sessions, all.Challenges = append(all.Sessions, x), append(all.Challenges, c)
	}
	all.Users = []*gatehouse.User{ann("u1")}
	all.Settings = []*gatehouse.Setting{{Name: "keys", Version: 3}, {Name: markSetting, Version: 1, Value: []byte("of another")}}
	behind := &movable{Store: memory.New()}
	s := openStore(t, shared.URL(), Options{Prefix: prefix()}, behind)
	taken, err := s.Load(t.Context(), &all)
	if err != nil {
		t.Fatal(err)
	}
	if taken.Len() != 1 || taken.Settings[0].Name != markSetting {
		t.Errorf("left out: %+v, want the mark alone", taken)
	}
	again, err := s.Load(t.Context(), &gatehouse.Records{Sessions: all.Sessions[:10], Challenges: all.Challenges[:10]})
	if err != nil || len(again.Sessions) != 10 || len(again.Challenges) != 10 {
		t.Errorf("loaded again: %+v, %v, want that all are left out", again, err)
	}

	behind.records.Sessions = []*gatehouse.Session{{ID: "from before Redis"}}
	var got gatehouse.Records
	err = s.Walk(t.Context(), func(r *gatehouse.Records) error {
		if r.Len() == 0 || r.Len() > 1000 {
			t.Errorf("%d at a time", r.Len())
		}
		got.Users, got.Settings = append(got.Users, r.Users...), append(got.Settings, r.Settings...)
		got.Sessions, got.Challenges = append(got.Sessions, r.Sessions...), append(got.Challenges, r.Challenges...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got.Sessions, func(a, b *gatehouse.Session) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(got.Challenges, func(a, b *gatehouse.Challenge) int { return cmp.Compare(a.ID, b.ID) })
	for _, x := range all.Sessions {
		x.ExpiresAt = x.ExpiresAt.Truncate(time.Millisecond)
	}
	all.Settings = all.Settings[:1]
	if diff := gocmp.Diff(all, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if list, err := s.SessionsOf(t.Context(), "u1"); err != nil || len(list) != 80 {
		t.Errorf("%d sessions of a user, %v, want the 100 less the 20 that were terminated", len(list), err)
	}
	stop := errors.New("stop")
	if err := s.Walk(t.Context(), func(*gatehouse.Records) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Walk: %v", err)
	}
	bare := openStore(t, shared.URL(), Options{Prefix: prefix()}, struct{ gatehouse.Store }{memory.New()})
	if err := bare.Walk(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Walk in front of a store that cannot: %v", err)
	}
	if _, err := bare.Load(t.Context(), &all); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Load in front of a store that cannot: %v", err)
	}
}

// What a process leaves that ends between two steps does no harm, and is tidied up
// when it is old.
func TestListNamesTooMuch(t *testing.T) {
	s := openStore(t, shared.URL(), Options{Prefix: prefix()}, memory.New())
	if err := s.CreateSession(t.Context(), &gatehouse.Session{ID: "real", UserID: "u"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSession(t.Context(), &gatehouse.Session{ID: "other", UserID: "v"}); err != nil {
		t.Fatal(err)
	}
	if err := s.list(t.Context(), "u", "never written", "other", "ended long ago"); err != nil {
		t.Fatal(err)
	}
	list := s.c.key(listKey, "u")
	if _, err := shared.Do("ZADD", list, "1000", "ended long ago"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.SessionsOf(t.Context(), "u")
		if err != nil || len(got) != 1 || got[0].ID != "real" {
			t.Fatalf("SessionsOf: %v, %v", got, err)
		}
	}
	if names, err := shared.Do("ZRANGE", list, "0", "-1"); err != nil || names != "never written\nother\nreal" {
		t.Errorf("listed: %q, %v, want that only what is old is struck off", names, err)
	}
	// Those that ended are not.
	x, err := s.Session(t.Context(), "real")
	if err != nil {
		t.Fatal(err)
	}
	x.TerminatedAt = time.Now()
	if err := s.SaveSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if names, err := shared.Do("ZRANGE", list, "0", "-1"); err != nil || names != "never written\nother" {
		t.Errorf("listed after the end: %q, %v", names, err)
	}
}

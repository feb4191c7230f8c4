package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// touched counts everything that is asked of the store behind.
type touched struct {
	gatehouse.Store
	n atomic.Int64
}

func (s *touched) User(ctx context.Context, id string) (*gatehouse.User, error) {
	s.n.Add(1)
	return s.Store.User(ctx, id)
}

func (s *touched) UserByEmail(ctx context.Context, key string) (*gatehouse.User, error) {
	s.n.Add(1)
	return s.Store.UserByEmail(ctx, key)
}

func (s *touched) UserByKey(ctx context.Context, key string) (*gatehouse.User, error) {
	s.n.Add(1)
	return s.Store.UserByKey(ctx, key)
}

func (s *touched) SaveUser(ctx context.Context, u *gatehouse.User) error {
	s.n.Add(1)
	return s.Store.SaveUser(ctx, u)
}

func (s *touched) Setting(ctx context.Context, name string) (*gatehouse.Setting, error) {
	s.n.Add(1)
	return s.Store.Setting(ctx, name)
}

func (s *touched) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	s.n.Add(1)
	return s.Store.AppendEvent(ctx, e)
}

func (s *touched) Session(context.Context, string) (*gatehouse.Session, error) {
	panic("a session was looked for behind Redis")
}

func (s *touched) CreateSession(context.Context, *gatehouse.Session) error {
	panic("a session was kept behind Redis")
}

// Several processes on one Redis: who logs in with one is known to all, me touches
// nothing but Redis, and what ends with one ends with all.
func TestCoreInSeveralProcesses(t *testing.T) {
	behind := &touched{Store: memory.New()}
	o := Options{Prefix: prefix()}
	secret := gatehouse.NewSecret([]byte("a master secret of more than 32 bytes"))
	process := func() *gatehousetest.Auth {
		s := openStore(t, shared.URL(), o, behind)
		return gatehousetest.New(t, gatehouse.Config{Store: s, Secret: secret})
	}
	one, two, three := process(), process(), process()
	one.Register("ann@example.com")
	one.Register("ben@example.com")
	ann, ben := one.Login("ann@example.com"), one.Login("ben@example.com")

	for _, g := range []*gatehousetest.Auth{two, three} { // they learn the keys, and Ann is copied
		if _, err := g.Authenticate(t.Context(), ann.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := two.Authenticate(t.Context(), ben.AccessToken); err != nil {
		t.Fatal(err)
	}
	before := behind.n.Load()
	me, err := three.Authenticate(t.Context(), ben.AccessToken)
	if err != nil || me.User.Email != "ben@example.com" {
		t.Fatalf("me: %+v, %v", me, err)
	}
	if n := behind.n.Load() - before; n != 0 {
		t.Errorf("me asked the store behind %d times, want none", n)
	}

	// A new name here is a new name there, for who did not ask within the second.
	if _, err := one.ChangeName(t.Context(), ben.User.ID, "Benjamin"); err != nil {
		t.Fatal(err)
	}
	four := process()
	if me, err := four.Authenticate(t.Context(), ben.AccessToken); err != nil || me.User.Name != "Benjamin" {
		t.Errorf("me after the name was changed elsewhere: %+v, %v", me, err)
	}
	if _, err := two.Refresh(t.Context(), ben.RefreshToken); err != nil {
		t.Errorf("refresh elsewhere: %v", err)
	}
	if err := two.Logout(t.Context(), "", ben.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if _, err := process().Authenticate(t.Context(), ben.AccessToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("after logout elsewhere: %v", err)
	}
}

package gatehouse_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// unsettled is a store whose reads show what it may lose.
type unsettled struct {
	gatehouse.Store
	lost  atomic.Bool // nothing that is read can be counted on
	asked atomic.Int64
}

func (s *unsettled) SettledSession(ctx context.Context, id string) (*gatehouse.Session, error) {
	s.asked.Add(1)
	if s.lost.Load() {
		return nil, gatehouse.ErrUnavailable
	}
	return s.Session(ctx, id)
}

// What another caller wrote is not told as done before it can be counted on.
func TestUnsettled(t *testing.T) {
	store := &unsettled{Store: memory.New()}
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	a.Register("ann@example.com")
	first := a.Login("ann@example.com")
	second, err := a.Refresh(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if n := store.asked.Load(); n != 0 {
		t.Errorf("login and refresh asked %d times, want none: what they write is acknowledged", n)
	}
	store.lost.Store(true)
	if _, err := a.Refresh(t.Context(), first.RefreshToken); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("the token that somebody else has made: %v, want Unavailable", err)
	}
	if err := a.Logout(t.Context(), "", second.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if err := a.Logout(t.Context(), "", second.RefreshToken); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("an end that somebody else has written: %v, want Unavailable", err)
	}
	store.lost.Store(false)
	if err := a.Logout(t.Context(), "", second.RefreshToken); err != nil {
		t.Errorf("the same when it can be counted on: %v", err)
	}
	if _, err := a.Refresh(t.Context(), second.RefreshToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("after logout: %v", err)
	}
}

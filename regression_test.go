package gatehouse_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// What is dead gets no successor: the request that changes the password had
// begun when the session was ended.
func TestChangePasswordAfterLogout(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	l := a.Login(ann)
	begun := must(a.Authenticate(t.Context(), l.AccessToken))(t)
	if err := a.Logout(t.Context(), l.AccessToken, l.RefreshToken); err != nil {
		t.Fatal(err)
	}
	_, err := a.ChangePassword(t.Context(), begun, password, "another horse altogether")
	refused(t, "a change by a session that has ended", err, gatehouse.Unauthenticated, "invalid_token")
	works(t, "the old password", a, a.Login(ann))
}

// A limit of one keeps the session that has just begun.
func TestLimitKeepsTheNewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{SessionsPerUser: 1})
		a.Register(ann)
		first := a.Login(ann)
		second := a.Login(ann)
		if _, err := a.Authenticate(t.Context(), first.AccessToken); !errors.Is(err, gatehouse.Unauthenticated) {
			t.Errorf("the first session: %v, want Unauthenticated", err)
		}
		works(t, "the second session", a, second)
	})
}

// The sessions that a new password voids do not pile up until they expire.
func TestVoidSessionsAreTidiedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		u := a.Register(ann)
		for range 5 {
			a.Login(ann)
		}
		if err := a.SetPassword(t.Context(), u.ID, password); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := len(must(a.Store.SessionsOf(t.Context(), u.ID))(t)); got != 0 {
			t.Errorf("%d void sessions are still listed by the store, want 0", got)
		}
	})
}

// A clock that was set back by an hour does not lengthen the grace by an hour.
func TestGraceWithAClockSetBack(t *testing.T) {
	for ahead, want := range map[time.Duration]bool{time.Minute: true, time.Hour: false} {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		l := a.Login(ann)
		must(a.Refresh(t.Context(), l.RefreshToken))(t)
		s := must(a.Store.Session(t.Context(), l.Session.ID))(t)
		s.RotatedAt = s.RotatedAt.Add(ahead) // by the clock of before
		if err := a.Store.SaveSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		_, err := a.Refresh(t.Context(), l.RefreshToken)
		if got := err == nil; got != want {
			t.Errorf("rotated %v in the future: answered %v (%v), want %v", ahead, got, err, want)
		}
	}
}

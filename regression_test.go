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

// The clock is set while two tabs race: in the process that rotated, nobody is
// thrown out and nobody gets a longer grace. Another process, which cannot know
// how long ago it was, does not believe a rotation in the future, and ends nothing
// because of it.
func TestGraceWithAClockThatIsSet(t *testing.T) {
	for _, c := range []struct {
		jump        time.Duration // of the clock, between the rotation and the second tab
		here, there bool          // answered
		ends        bool          // the session, if it comes to another process
	}{
		{-time.Minute, true, true, false},
		{-time.Hour, true, false, false},
		{time.Hour, true, false, true},
	} {
		t.Run(c.jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := twoProcesses(t)
				here.Register(ann)
				for _, x := range []struct {
					a    *gatehousetest.Auth
					want bool
				}{{here, c.here}, {there, c.there}} {
					l := here.Login(ann)
					next := must(here.Refresh(t.Context(), l.RefreshToken))(t)
					s := must(here.Store.Session(t.Context(), l.Session.ID))(t)
					s.RotatedAt = s.RotatedAt.Add(-c.jump) // by the clock of before, seen from after
					if err := here.Store.SaveSession(t.Context(), s); err != nil {
						t.Fatal(err)
					}
					time.Sleep(2 * time.Second) // past what is remembered
					_, err := x.a.Refresh(t.Context(), l.RefreshToken)
					if got := err == nil; got != x.want {
						t.Errorf("answered %v (%v), want %v", got, err, x.want)
					}
					_, err = here.Refresh(t.Context(), next.RefreshToken)
					if ended := err != nil; ended != (x.a == there && c.ends) {
						t.Errorf("the session ended: %v (%v), want %v", ended, err, x.a == there && c.ends)
					}
				}
				// The grace is not longer for it.
				l := here.Login(ann)
				must(here.Refresh(t.Context(), l.RefreshToken))(t)
				time.Sleep(31 * time.Second)
				_, err := here.Refresh(t.Context(), l.RefreshToken)
				refused(t, "after the grace", err, gatehouse.Unauthenticated, "invalid_refresh_token")
			})
		})
	}
}

package gatehouse_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// twoProcesses are two on one store.
func twoProcesses(t *testing.T) (here, there *gatehousetest.Auth) {
	t.Helper()
	cfg := gatehouse.Config{Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
	return gatehousetest.New(t, cfg), gatehousetest.New(t, cfg)
}

// endings are all the ways in which somebody ends the session of l.
var endings = map[string]func(context.Context, *gatehousetest.Auth, *gatehouse.Login) error{
	"logout by access token": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		return a.Logout(ctx, l.AccessToken, "")
	},
	"logout by refresh token": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		return a.Logout(ctx, "", l.RefreshToken)
	},
	"terminated by itself": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		return a.TerminateSession(ctx, l, l.Session.ID)
	},
	"terminated by another session": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		return a.TerminateSession(ctx, a.Login(ann), l.Session.ID)
	},
	"all others terminated": func(ctx context.Context, a *gatehousetest.Auth, _ *gatehouse.Login) error {
		_, err := a.TerminateOtherSessions(ctx, a.Login(ann))
		return err
	},
	"all terminated": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		return a.TerminateSessions(ctx, l.User.ID)
	},
	"password changed": func(ctx context.Context, a *gatehousetest.Auth, _ *gatehouse.Login) error {
		_, err := a.ChangePassword(ctx, a.Login(ann), password, "another horse")
		return err
	},
	"user disabled": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		_, err := a.DisableUser(ctx, l.User.ID)
		return err
	},
	"user deleted": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		return a.DeleteUser(ctx, l.User.ID)
	},
	"logged in again": func(ctx context.Context, a *gatehousetest.Auth, l *gatehouse.Login) error {
		_, err := a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: ann, Password: password, Former: l.RefreshToken})
		return err
	},
}

// What has ended is refused at once in the process that ended it, and in
// another one within a second, however often it looked in between.
func TestEndings(t *testing.T) {
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := twoProcesses(t)
				here.Register(ann)
				l := here.Login(ann)
				works(t, "here", here, l)
				works(t, "there", there, l)
				if err := end(t.Context(), here, l); err != nil {
					t.Fatal(err)
				}
				ended(t, what, here, l)
				for range 10 { // whoever looks does not keep it fresh
					time.Sleep(100 * time.Millisecond)
					_, _ = there.Authenticate(t.Context(), l.AccessToken)
				}
				ended(t, what+", a second later elsewhere", there, l)
				ended(t, what, gatehousetest.New(t, gatehouse.Config{Store: here.Store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}), l)
			})
		})
	}
}

// What one process remembers for a second does not refuse what another has
// just begun: a login after a new password, or after the user was enabled.
func TestBeginningsElsewhere(t *testing.T) {
	for what, change := range map[string]func(*testing.T, *gatehousetest.Auth, *gatehouse.Login) *gatehouse.Login{
		"a new password": func(t *testing.T, a *gatehousetest.Auth, l *gatehouse.Login) *gatehouse.Login {
			return must(a.ChangePassword(t.Context(), l, password, "another horse"))(t)
		},
		"disabled and enabled": func(t *testing.T, a *gatehousetest.Auth, l *gatehouse.Login) *gatehouse.Login {
			must(a.DisableUser(t.Context(), l.User.ID))(t)
			must(a.EnableUser(t.Context(), l.User.ID))(t)
			return a.Login(ann)
		},
		"terminated, and logged in again": func(t *testing.T, a *gatehousetest.Auth, l *gatehouse.Login) *gatehouse.Login {
			if err := a.TerminateSessions(t.Context(), l.User.ID); err != nil {
				t.Fatal(err)
			}
			return a.Login(ann)
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := twoProcesses(t)
				here.Register(ann)
				l := here.Login(ann)
				works(t, "there, which remembers the user", there, l)
				l = change(t, here, l)
				works(t, what+", and at once to another process", there, l)
			})
			synctest.Test(t, func(t *testing.T) {
				here, there := twoProcesses(t)
				here.Register(ann)
				l := here.Login(ann)
				works(t, "there, which remembers the user", there, l)
				l = change(t, here, l)
				must(there.Refresh(t.Context(), l.RefreshToken))(t)
			})
		})
	}
}

func TestLogoutIsIdempotent(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	one, two := a.Login(ann), a.Login(ann)
	old := one.RefreshToken
	one = must(a.Refresh(t.Context(), one.RefreshToken))(t)
	one = must(a.Refresh(t.Context(), one.RefreshToken))(t)
	for range 2 {
		if err := a.Logout(t.Context(), "garbage", old); err != nil { // a token of any age
			t.Fatal(err)
		}
	}
	ended(t, "after a logout", a, one)
	works(t, "the other session", a, two)
	if n := len(events(t, a, gatehouse.EventLogout)); n != 1 {
		t.Errorf("%d events %s, want 1", n, gatehouse.EventLogout)
	}
	three := a.Login(ann)
	if err := a.Logout(t.Context(), two.AccessToken, three.RefreshToken); err != nil {
		t.Fatal(err)
	}
	ended(t, "of the access token", a, two)
	ended(t, "of the refresh token", a, three)
}

func TestFormerSession(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	a.Register("bob@example.com")
	anns, bobs := a.Login(ann), a.Login("bob@example.com")
	login := func(former string) *gatehouse.Login {
		t.Helper()
		return must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password, Former: former}))(t)
	}
	login("garbage")
	works(t, "after a login with garbage", a, anns)
	login(anns.AccessToken)
	works(t, "after a login with an access token as the refresh token", a, anns)
	_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "wrong horse", Former: anns.RefreshToken})
	refused(t, "a wrong password", err, gatehouse.Unauthenticated, "invalid_credentials")
	works(t, "after a login that was refused", a, anns)
	next := login(bobs.RefreshToken) // another user at the same browser
	ended(t, "whoever was logged in before", a, bobs)
	works(t, "the new session", a, next)
	works(t, "a session of another browser", a, anns)
}

func TestSessionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		u := a.Register(ann)
		var all []*gatehouse.Login
		for range 100 {
			all = append(all, a.Login(ann))
			time.Sleep(time.Second)
		}
		all[0] = must(a.Refresh(t.Context(), all[0].RefreshToken))(t) // now the one seen last
		works(t, "the 100th", a, all[99])
		newest := a.Login(ann)
		ended(t, "the one seen least lately", a, all[1])
		works(t, "the oldest, which was seen just now", a, all[0])
		works(t, "the second oldest", a, all[2])
		works(t, "the 101st", a, newest)
		if n := len(must(a.Sessions(t.Context(), u.ID))(t)); n != 100 {
			t.Errorf("%d sessions, want 100", n)
		}
	})
}

func TestTerminateSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		a.Register("bob@example.com")
		mine, other, bobs := a.Login(ann), a.Login(ann), a.Login("bob@example.com")

		err := a.TerminateSession(t.Context(), mine, bobs.Session.ID)
		refused(t, "a session of somebody else", err, gatehouse.NotFound, "session_not_found")
		err = a.TerminateSession(t.Context(), mine, "no such session")
		refused(t, "no session", err, gatehouse.NotFound, "session_not_found")
		works(t, "somebody else", a, bobs)

		time.Sleep(10 * time.Minute) // the end of being recent is included
		if err := a.TerminateSession(t.Context(), mine, other.Session.ID); err != nil {
			t.Fatalf("ten minutes after the login: %v", err)
		}
		ended(t, "terminated", a, other)
		err = a.TerminateSession(t.Context(), mine, other.Session.ID)
		refused(t, "one that has ended", err, gatehouse.NotFound, "session_not_found")

		other = a.Login(ann)
		time.Sleep(time.Millisecond)
		err = a.TerminateSession(t.Context(), mine, other.Session.ID)
		refused(t, "without a recent authentication", err, gatehouse.Forbidden, "reauthentication_required")
		_, err = a.TerminateOtherSessions(t.Context(), mine)
		refused(t, "without a recent authentication", err, gatehouse.Forbidden, "reauthentication_required")
		mine = must(a.Refresh(t.Context(), mine.RefreshToken))(t) // is not one
		_, err = a.TerminateOtherSessions(t.Context(), mine)
		refused(t, "after a refresh", err, gatehouse.Forbidden, "reauthentication_required")
		works(t, "the other session", a, other)

		mine = must(a.Reauthenticate(t.Context(), mine, password))(t)
		if n := must(a.TerminateOtherSessions(t.Context(), mine))(t); n != 1 {
			t.Errorf("%d sessions terminated, want 1", n)
		}
		ended(t, "an other session", a, other)
		works(t, "the session at hand", a, mine)
		works(t, "somebody else", a, bobs)

		time.Sleep(time.Hour)
		mine = must(a.Refresh(t.Context(), mine.RefreshToken))(t)
		if err := a.TerminateSession(t.Context(), mine, mine.Session.ID); err != nil {
			t.Errorf("one's own, long after the login: %v", err)
		}
	})
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		u := a.Register(ann)
		one := a.Login(ann)
		time.Sleep(time.Minute)
		two := a.Login(ann)
		time.Sleep(time.Minute)
		must(a.Refresh(t.Context(), one.RefreshToken))(t)
		list := must(a.Sessions(t.Context(), u.ID))(t)
		if len(list) != 2 || list[0].ID != one.Session.ID || list[1].ID != two.Session.ID {
			t.Errorf("sessions = %+v, want the one seen last first", list)
		}
		time.Sleep(7*24*time.Hour - time.Minute)
		if list := must(a.Sessions(t.Context(), u.ID))(t); len(list) != 1 {
			t.Errorf("%d sessions when one of them is over, want 1", len(list))
		}
		_, err := a.Sessions(t.Context(), "nobody")
		refused(t, "sessions of nobody", err, gatehouse.NotFound, "user_not_found")
	})
}

// Roles are those of the user now, not those that the token was made with.
func TestRolesOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := twoProcesses(t)
		u := here.Register(ann)
		must(here.GrantRole(t.Context(), u.ID, "admin"))(t)
		l := here.Login(ann)
		has := func(a *gatehousetest.Auth) bool {
			return must(a.Authenticate(t.Context(), l.AccessToken))(t).User.HasRole("admin")
		}
		if !has(here) || !has(there) {
			t.Fatal("the role that was granted is missing")
		}
		must(here.RevokeRole(t.Context(), u.ID, "admin"))(t)
		if has(here) {
			t.Error("the role that was revoked still counts in the process that revoked it")
		}
		time.Sleep(time.Second)
		if has(there) {
			t.Error("the role that was revoked still counts elsewhere after a second")
		}
		_, err := here.GrantRole(t.Context(), u.ID, "Admin")
		refused(t, "a role in capitals", err, gatehouse.Invalid, "role_invalid")
		_, err = here.GrantRole(t.Context(), u.ID, strings.Repeat("r", 33))
		refused(t, "a role of 33", err, gatehouse.Invalid, "role_invalid")
		for i := range 32 {
			must(here.GrantRole(t.Context(), u.ID, "role-"+string(rune('a'+i%26))+strings.Repeat("x", i/26)))(t)
		}
		_, err = here.GrantRole(t.Context(), u.ID, "one-more")
		refused(t, "the 33rd role", err, gatehouse.Invalid, "too_many_roles")
		_, err = here.GrantRole(t.Context(), "nobody", "admin")
		refused(t, "a role for nobody", err, gatehouse.NotFound, "user_not_found")
	})
}

// What a caller does to the records of a login changes nothing for the next.
func TestLoginIsTheCallers(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	l := a.Login(ann)
	for range 2 { // the second from what is remembered
		got := must(a.Authenticate(t.Context(), l.AccessToken))(t)
		if got.User.Name != "" || got.Session.Generation != 1 {
			t.Fatalf("another caller's change is seen: %+v", got)
		}
		got.User.Name, got.User.DisabledAt, got.Session.Generation = "Mallory", time.Now(), 9
	}
}

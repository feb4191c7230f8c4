package gatehouse_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// Every act has its event, refusals included, with who, whom and from where.
func TestEvents(t *testing.T) {
	var log bytes.Buffer
	a := gatehousetest.New(t, gatehouse.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	ctx := gatehouse.WithClient(t.Context(), gatehouse.Client{Address: "192.0.2.7", UserAgent: "browser\n\"x\"", Ref: "ref-1"})
	operator := gatehouse.WithClient(t.Context(), gatehouse.Client{Actor: "operator"})

	// The events since it was last asked, the oldest first.
	last := ""
	expect := func(act string, want ...gatehouse.Event) {
		t.Helper()
		var got []*gatehouse.Event
		for _, e := range must(a.Events(t.Context(), gatehouse.EventQuery{Limit: 100}))(t) {
			if e.ID > last {
				got = append([]*gatehouse.Event{e}, got...)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d events %+v, want %d", act, len(got), got, len(want))
		}
		for i, w := range want {
			g := got[i]
			if g.Kind != w.Kind || g.Outcome != w.Outcome || g.UserID != w.UserID || w.SessionID != "" && g.SessionID != w.SessionID || g.ActorID != w.ActorID {
				t.Errorf("%s: event %d = %+v, want %+v", act, i, *g, w)
			}
			for name, value := range w.Data {
				if g.Data[name] != value {
					t.Errorf("%s: %s = %q, want %q", act, name, g.Data[name], value)
				}
			}
			if w.ActorID == "" && (g.Address != "192.0.2.7" || g.UserAgent != `browser"x"` || g.Ref != "ref-1") {
				t.Errorf("%s: from %q with %q under %q", act, g.Address, g.UserAgent, g.Ref)
			}
			if g.At.IsZero() || !g.ExpiresAt.Equal(g.At.Add(90*24*time.Hour)) {
				t.Errorf("%s: at %v, kept until %v, want 90 days", act, g.At, g.ExpiresAt)
			}
			last = g.ID
		}
	}
	type E = gatehouse.Event
	device := "" // the browser's
	login := func(password string) (*gatehouse.Login, error) {
		l, err := a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: ann, Password: password, Device: device})
		if err == nil {
			device = l.DeviceToken
		}
		return l, err
	}

	u := must(a.Gatehouse.Register(ctx, gatehouse.Registration{Email: ann, Password: password}))(t)
	expect("register", E{Kind: "register", Outcome: "ok", UserID: u.ID})
	_, err := a.Gatehouse.Register(ctx, gatehouse.Registration{Email: ann, Password: password})
	refused(t, "register", err, gatehouse.Conflict, "user_exists")
	expect("register, taken", E{Kind: "register", Outcome: "user_exists"})
	_, err = login("wrong horse")
	refused(t, "login", err, gatehouse.Unauthenticated, "invalid_credentials")
	expect("login, wrong", E{Kind: "login", Outcome: "invalid_credentials", UserID: u.ID})
	_, err = a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: "nobody@example.com", Password: password})
	refused(t, "login", err, gatehouse.Unauthenticated, "invalid_credentials")
	expect("login, nobody", E{Kind: "login", Outcome: "invalid_credentials"})

	l := must(login(password))(t)
	sid := l.Session.ID
	expect("login", E{Kind: "login", Outcome: "ok", UserID: u.ID, SessionID: sid, Data: map[string]string{"method": "pwd"}})
	first := l.RefreshToken
	l = must(a.Refresh(ctx, l.RefreshToken))(t)
	expect("refresh")
	l = must(a.Authenticate(ctx, l.AccessToken))(t)
	_, err = a.Reauthenticate(ctx, l, "wrong horse")
	refused(t, "reauthenticate", err, gatehouse.Forbidden, "wrong_password")
	expect("reauthenticate, wrong", E{Kind: "reauthenticate", Outcome: "wrong_password", UserID: u.ID, SessionID: sid})
	must(a.Reauthenticate(ctx, l, password))(t)
	expect("reauthenticate", E{Kind: "reauthenticate", Outcome: "ok", UserID: u.ID, SessionID: sid})
	_, err = a.Refresh(ctx, first)
	refused(t, "reuse", err, gatehouse.Unauthenticated, "invalid_refresh_token")
	expect("reuse", E{Kind: "refresh_reused", Outcome: "ok", UserID: u.ID, SessionID: sid})

	l, other := must(login(password))(t), must(login(password))(t)
	expect("two logins", E{Kind: "login", Outcome: "ok", UserID: u.ID, SessionID: l.Session.ID}, E{Kind: "login", Outcome: "ok", UserID: u.ID, SessionID: other.Session.ID})
	if err := a.TerminateSession(ctx, l, other.Session.ID); err != nil {
		t.Fatal(err)
	}
	expect("terminate", E{Kind: "session_terminated", Outcome: "ok", UserID: u.ID, SessionID: other.Session.ID, Data: map[string]string{"why": "terminated"}})
	_, err = a.ChangePassword(ctx, l, "wrong horse", "another horse")
	refused(t, "change password", err, gatehouse.Forbidden, "wrong_password")
	expect("change password, wrong", E{Kind: "password_changed", Outcome: "wrong_password", UserID: u.ID, SessionID: l.Session.ID})
	l = must(a.ChangePassword(ctx, l, password, "another horse"))(t)
	expect("change password", E{Kind: "password_changed", Outcome: "ok", UserID: u.ID}, E{Kind: "login", Outcome: "ok", UserID: u.ID, SessionID: l.Session.ID})
	if err := a.Logout(ctx, l.AccessToken, ""); err != nil {
		t.Fatal(err)
	}
	expect("logout", E{Kind: "logout", Outcome: "ok", UserID: u.ID, SessionID: l.Session.ID})
	must(a.ChangeName(ctx, u.ID, "Ann"))(t)
	expect("change name", E{Kind: "name_changed", Outcome: "ok", UserID: u.ID})

	must(a.GrantRole(operator, u.ID, "admin"))(t)
	must(a.GrantRole(operator, u.ID, "admin"))(t) // changes nothing
	expect("grant", E{Kind: "role_granted", Outcome: "ok", UserID: u.ID, ActorID: "operator", Data: map[string]string{"role": "admin"}})
	must(a.RevokeRole(operator, u.ID, "admin"))(t)
	expect("revoke", E{Kind: "role_revoked", Outcome: "ok", UserID: u.ID, ActorID: "operator", Data: map[string]string{"role": "admin"}})
	if err := errors.Join(a.SetPassword(operator, u.ID, "a third horse"), a.TerminateSessions(operator, u.ID)); err != nil {
		t.Fatal(err)
	}
	expect("set password, terminate all", E{Kind: "password_changed", Outcome: "ok", UserID: u.ID, ActorID: "operator"}, E{Kind: "sessions_terminated", Outcome: "ok", UserID: u.ID, ActorID: "operator"})
	must(a.DisableUser(operator, u.ID))(t)
	expect("disable", E{Kind: "user_disabled", Outcome: "ok", UserID: u.ID, ActorID: "operator"})
	_, err = login("a third horse")
	refused(t, "login", err, gatehouse.Unauthenticated, "invalid_credentials")
	expect("login, disabled", E{Kind: "login", Outcome: "invalid_credentials", UserID: u.ID})
	must(a.EnableUser(operator, u.ID))(t)
	expect("enable", E{Kind: "user_enabled", Outcome: "ok", UserID: u.ID, ActorID: "operator"})
	must(a.RotateKeys(operator))(t)
	expect("rotate keys", E{Kind: "keys_rotated", Outcome: "ok", ActorID: "operator"})
	if err := a.DeleteUser(operator, u.ID); err != nil {
		t.Fatal(err)
	}
	list := must(a.Events(t.Context(), gatehouse.EventQuery{Kind: "user_deleted", Limit: 10}))(t)
	if len(list) != 1 || list[0].UserID != u.ID || list[0].ActorID != "operator" {
		t.Errorf("delete: %+v", list)
	}

	// A line of the log for each, and nothing in it that must not be.
	all := must(a.Events(t.Context(), gatehouse.EventQuery{Limit: 1000}))(t)
	if n := strings.Count(log.String(), `"msg":"event"`); n != len(all) {
		t.Errorf("%d lines in the log for %d events", n, len(all))
	}
	for _, leak := range []string{ann, password, "wrong horse", "another horse", first, l.AccessToken} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("the log holds %.12q", leak)
		}
	}
}

// What cannot be put on record does not happen, or is not acknowledged.
func TestNothingWithoutItsEvent(t *testing.T) {
	store := &noEvents{Store: memory.New()}
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	a.Register(ann)
	l := a.Login(ann)
	store.broken = true
	for what, act := range map[string]func() error{
		"login": func() error {
			_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password})
			return err
		},
		"a wrong password": func() error {
			_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "wrong horse"})
			return err
		},
		"register": func() error {
			_, err := a.Gatehouse.Register(t.Context(), gatehouse.Registration{Email: "bob@example.com", Password: password})
			return err
		},
		"logout": func() error { return a.Logout(t.Context(), l.AccessToken, l.RefreshToken) },
	} {
		refused(t, what, act(), gatehouse.Unavailable, "unavailable")
	}
}

type noEvents struct {
	gatehouse.Store
	broken bool
}

func (s *noEvents) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	if s.broken {
		return gatehouse.ErrUnavailable
	}
	return s.Store.AppendEvent(ctx, e)
}

// A client that hangs up does not take its traces along.
func TestEventOfAClientThatHangsUp(t *testing.T) {
	store := &hangUp{Store: memory.New()}
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	a.Register(ann)
	ctx, cancel := context.WithCancel(t.Context())
	store.cancel = cancel
	_, err := a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: ann, Password: password})
	if err == nil {
		t.Fatal("the store takes a session of a context that is done")
	}
	if n := len(events(t, a, gatehouse.EventLogin)); n == 0 {
		t.Errorf("no event %s of the login that was cut", gatehouse.EventLogin)
	}
}

// hangUp cancels just before a session is created.
type hangUp struct {
	gatehouse.Store
	cancel context.CancelFunc
}

func (s *hangUp) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	s.cancel()
	return s.Store.CreateSession(ctx, x)
}

// What has expired is deleted in the background, by one of two processes.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countedSweeps{Store: memory.New()}
		cfg := gatehouse.Config{
			Store: store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32))),
			InactivityTimeout: 2 * time.Hour, EventRetention: 24 * time.Hour,
		}
		here, _ := gatehousetest.New(t, cfg), gatehousetest.New(t, cfg)
		here.Register(ann)
		in := here.Login(ann)
		out := here.Login(ann)
		if err := here.Logout(t.Context(), out.AccessToken, ""); err != nil {
			t.Fatal(err)
		}
		rows := func() (n int) {
			for _, l := range []*gatehouse.Login{in, out} {
				if _, err := store.Session(t.Context(), l.Session.ID); err == nil {
					n++
				}
			}
			return n
		}
		if rows() != 2 {
			t.Fatalf("%d sessions, want 2: one that has ended is kept until its access tokens have expired", rows())
		}
		time.Sleep(45 * time.Minute)
		if rows() != 1 {
			t.Errorf("%d sessions 45 minutes later, want the one that lives", rows())
		}
		time.Sleep(2 * time.Hour)
		if rows() != 0 {
			t.Errorf("%d sessions after the inactivity timeout, want none", rows())
		}
		if len(events(t, here, gatehouse.EventRegister)) != 1 {
			t.Error("an event was deleted before its time")
		}
		// Each run is one call that finds nothing more, and for each of the
		// two that found something, one before it.
		elapsed := 2*time.Hour + 45*time.Minute
		if n, most := store.n.Load(), int64(elapsed/(10*time.Minute))+1+2; n > most || n < 10 {
			t.Errorf("%d sweeps by two processes in %v, want about one in ten minutes, at most %d", n, elapsed, most)
		}
		time.Sleep(24 * time.Hour)
		if n := len(events(t, here, "")); n != 0 {
			t.Errorf("%d events after the retention, want none", n)
		}
		if users := must(here.Users(t.Context(), "", 10))(t); len(users) != 1 {
			t.Error("the user was swept")
		}
	})
}

type countedSweeps struct {
	gatehouse.Store
	n atomic.Int64
}

func (s *countedSweeps) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	s.n.Add(1)
	return s.Store.Sweep(ctx, now, limit)
}

// A worker that died with the lease in hand is replaced.
func TestSweepAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countedSweeps{Store: memory.New()}
		now := time.Now().UTC()
		task := &gatehouse.Task{ID: "sweep", Kind: "sweep", DueAt: now, CreatedAt: now}
		if err := store.CreateTask(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		must(store.ClaimTask(t.Context(), []string{"sweep"}, now, now.Add(5*time.Minute)))(t)
		gatehousetest.New(t, gatehouse.Config{Store: store})
		time.Sleep(4 * time.Minute)
		if store.n.Load() != 0 {
			t.Error("swept under the lease of somebody else")
		}
		time.Sleep(3 * time.Minute)
		if store.n.Load() == 0 {
			t.Error("not swept after the lease had run out")
		}
	})
}

// Every kind of event is on the page that is about them.
func TestEveryKindIsDocumented(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`\n\tEvent\w+ += "([a-z_]+)"`).FindAllSubmatch(source, -1)
	if len(kinds) < 19 {
		t.Fatalf("only %d kinds were found", len(kinds))
	}
	for _, k := range kinds {
		if !bytes.Contains(page, []byte("`"+string(k[1])+"`")) {
			t.Errorf("docs/events.md says nothing of %s", k[1])
		}
	}
}

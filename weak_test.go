package gatehouse_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// leaks is a breach list of the given passwords, which can be away.
type leaks struct {
	mu    sync.Mutex
	of    []string
	away  error
	asked int
}

func (l *leaks) Contains(_ context.Context, sum [sha1.Size]byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.away != nil {
		return false, l.away
	}
	for _, p := range l.of {
		if sha1.Sum([]byte(p)) == sum {
			return true, nil
		}
	}
	return false, nil
}

// doors are all the ways to a new password, for Ann Smith Weaver, whose password is
// the one of gatehousetest.
func doors(t *testing.T, a *gatehousetest.Auth) map[string]func(password string) error {
	t.Helper()
	const email, name = "ann.smith@maker.example", "Ann Smith Weaver"
	u := must(a.Gatehouse.Register(t.Context(), gatehouse.Registration{Name: name, Email: email, Password: password}))(t)
	l := a.Login(email)
	other := 0
	next := func() gatehouse.Registration {
		other++
		return gatehouse.Registration{Name: name, Email: fmt.Sprintf("ann.smith@maker%d.example", other)}
	}
	return map[string]func(string) error{
		"Register": func(p string) error {
			in := next()
			in.Password = p
			_, err := a.Gatehouse.Register(t.Context(), in)
			return err
		},
		"AddUser": func(p string) error {
			in := next()
			in.Password = p
			_, err := a.AddUser(t.Context(), gatehouse.NewUser{Registration: in})
			return err
		},
		"SetPassword": func(p string) error { return a.SetPassword(t.Context(), u.ID, p) },
		"ChangePassword": func(p string) error {
			if _, err := a.Authenticate(t.Context(), l.AccessToken); err != nil {
				l = a.Login(email) // SetPassword has ended the session, with the password of gatehousetest
			}
			_, err := a.ChangePassword(t.Context(), l, password, p)
			return err
		},
	}
}

func TestWeakPasswordsAreRefused(t *testing.T) {
	list := &leaks{of: []string{"staple orbit lunar", "m\u00fcllers kuh"}}
	var log strings.Builder
	store := memory.New()
	a := gatehousetest.New(t, gatehouse.Config{
		Store: store, ContextWords: []string{"The Workshop", "login.workshop.example"}, BreachLists: []gatehouse.BreachList{list},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	all := doors(t, a)
	events := must(a.Events(t.Context(), gatehouse.EventQuery{Limit: 100}))(t)
	log.Reset()
	for _, c := range []struct{ password, code string }{
		{"password", "password_common"},
		{"QwertyUiop", "password_common"},
		{"12345678", "password_common"},
		{"ann.smith", "password_personal"},
		{"Smith2026!", "password_personal"},
		{"ann smith", "password_personal"},
		{"weaver1980", "password_personal"},
		{"annsmithmaker", "password_personal"},
		{"workshop1", "password_personal"},
		{"The Workshop", "password_personal"},
		{"smith@workshop", "password_personal"},
		{"login.workshop.example", "password_personal"},
		{"staple orbit lunar", "password_breached"},
		{"mu\u0308llers kuh", "password_breached"}, // as another keyboard writes it
	} {
		for name, set := range all {
			err := set(c.password)
			refused(t, name+" "+c.password, err, gatehouse.Invalid, c.code)
			e, _ := errors.AsType[*gatehouse.Error](err)
			want := "password"
			if name == "ChangePassword" {
				want = "new_password"
			}
			if e.Field != want || e.Err != nil || c.password != "password" && strings.Contains(e.Text, c.password) {
				t.Errorf("%s %q: %+v, want that %s is blamed", name, c.password, e, want)
			}
		}
	}
	if got := must(a.Events(t.Context(), gatehouse.EventQuery{Limit: 100}))(t); len(got) != len(events) || log.Len() > 0 {
		t.Errorf("%d events more, and a log of %q", len(got)-len(events), log.String())
	}
	a.Login("ann.smith@maker.example") // the password is still the one of before
	if users := must(a.Users(t.Context(), "", 10))(t); len(users) != 1 {
		t.Errorf("%d users, want 1", len(users))
	}
}

// A list that cannot be asked lets no password in and says of none that it is weak.
func TestBreachListIsAway(t *testing.T) {
	list := &leaks{}
	a := gatehousetest.New(t, gatehouse.Config{BreachLists: []gatehouse.BreachList{&leaks{}, list}})
	all := doors(t, a)
	cause := errors.New("the disk is gone")
	list.away = cause
	for name, set := range all {
		err := set("piano orbit lunar")
		refused(t, name, err, gatehouse.Unavailable, "password_unchecked")
		if e, _ := errors.AsType[*gatehouse.Error](err); e.RetryAfter <= 0 || e.Field != "" || !errors.Is(err, cause) {
			t.Errorf("%s: %+v, want a time to wait, no field and the cause", name, e)
		}
		// What can be told without the list is told.
		refused(t, name, set("password1"), gatehouse.Invalid, "password_common")
	}
	list.away = context.Canceled
	for name, set := range all {
		if err := set("piano orbit lunar"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, whose caller has gone: %v", name, err)
		}
	}
	a.Login("ann.smith@maker.example") // logging in asks nobody
	list.away = nil
	if err := all["SetPassword"]("piano orbit lunar"); err != nil {
		t.Errorf("after the list is back: %v", err)
	}
}

// Passwords that merely contain a word, and all that are no words at all, are
// fine; those of before are not asked about at login.
func TestGoodPasswordsAreAccepted(t *testing.T) {
	list := &leaks{}
	a := gatehousetest.New(t, gatehouse.Config{ContextWords: []string{"The Workshop"}, BreachLists: []gatehouse.BreachList{list}})
	all := doors(t, a)
	for i, p := range []string{"anna karenina was here", "smith & wesson on tour", "my workshop is cold", "48151623420815", "ﬁve horses", "öäüöäüöäü"} {
		if err := all["Register"](p); err != nil {
			t.Errorf("%q: %v", p, err)
			continue
		}
		before := list.asked
		if _, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: fmt.Sprintf("ann.smith@maker%d.example", i+1), Password: p}); err != nil {
			t.Errorf("log in with %q: %v", p, err)
		}
		if list.asked != before {
			t.Errorf("%q: logging in asks the breach list", p)
		}
	}
}

// A weak password costs no hash: it is refused when none can be made.
func TestWeakPasswordsAreNotHashed(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{BreachLists: []gatehouse.BreachList{&leaks{of: []string{"staple orbit lunar"}}}})
	all := doors(t, a)
	delete(all, "ChangePassword")
	a.Close() // of hashing, too
	for name, set := range all {
		refused(t, name, set("piano orbit lunar"), gatehouse.Unavailable, "busy")
		refused(t, name, set("password1"), gatehouse.Invalid, "password_common")
		refused(t, name, set("smith1234"), gatehouse.Invalid, "password_personal")
		refused(t, name, set("staple orbit lunar"), gatehouse.Invalid, "password_breached")
	}
}

// A stranger cannot have breach lists asked for ever: who is refused because of
// one has used up a try, and a guess at somebody's current password asks none.
func TestBreachListsAreNotAskedForEver(t *testing.T) {
	const tries = 5
	list := &leaks{of: []string{"staple orbit lunar"}}
	a := gatehousetest.New(t, gatehouse.Config{
		BreachLists: []gatehouse.BreachList{list}, Limits: gatehouse.Limits{Register: gatehouse.Limit{Burst: tries, Every: time.Hour}},
	})
	a.Register(ann)
	l := a.Login(ann)
	list.asked = 0
	stranger := from(t, "203.0.113.7")
	_, err := a.ChangePassword(t.Context(), l, "a wrong password", "staple orbit lunar")
	refused(t, "a wrong current password", err, gatehouse.Forbidden, "wrong_password")
	if list.asked > 0 {
		t.Error("a wrong current password: the list was asked")
	}
	for range 10 {
		_, err := a.Gatehouse.Register(stranger, gatehouse.Registration{Email: "bob@example.com", Password: "password1"})
		refused(t, "a common password, which asks nobody", err, gatehouse.Invalid, "password_common")
	}
	for i := range 10 {
		if i == 2 {
			list.away = errors.New("away")
		}
		_, err = a.Gatehouse.Register(stranger, gatehouse.Registration{Email: "bob@example.com", Password: "staple orbit lunar"})
	}
	if !errors.Is(err, gatehouse.Limited) {
		t.Errorf("the tenth leaked password: %v, want Limited", err)
	}
	if list.asked != tries {
		t.Errorf("the list was asked %d times, want %d", list.asked, tries)
	}
}

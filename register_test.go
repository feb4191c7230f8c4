package gatehouse_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// With a mailer, registering an address that is taken looks like registering one
// that is free, the owner is told, and nothing about the owner changes.
func TestRegistrationTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail := &mailbox{}
		a := gatehousetest.New(t, gatehouse.Config{Mailer: mail})
		owner := a.Register(ann)
		in := gatehouse.Registration{Name: "Somebody", Email: "Ann@Example.com", Password: "another horse altogether"}
		again := must(a.Gatehouse.Register(from(t, "203.0.113.7"), in))(t)
		if again.ID == owner.ID || again.ID == "" || again.Email != in.Email || again.Name != in.Name || again.CreatedAt.IsZero() || len(again.Roles) != 0 {
			t.Errorf("the answer for an address that is taken: %+v, want one as for a new user", again)
		}
		time.Sleep(time.Second)
		if got := mail.kinds(); len(got) != 1 || got[0] != gatehouse.NoticeRegistered || mail.got[0].User.ID != owner.ID || mail.got[0].Address != "203.0.113.7" {
			t.Errorf("notices: %+v, want one to the owner", mail.got)
		}
		if _, err := a.User(t.Context(), again.ID); err == nil {
			t.Error("the user of the answer was made")
		}
		if u := must(a.User(t.Context(), owner.ID))(t); u.Version != owner.Version || u.Name != owner.Name {
			t.Errorf("the owner was changed: %+v", u)
		}
		a.Login(ann)
		_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: in.Password})
		refused(t, "the password of the stranger", err, gatehouse.Unauthenticated, "invalid_credentials")
		if list := events(t, a, gatehouse.EventRegister); len(list) != 2 || list[0].Outcome != "user_exists" {
			t.Errorf("events: %+v, want the truth", list)
		}
		// What has nothing to do with others is said as ever.
		_, err = a.Gatehouse.Register(t.Context(), gatehouse.Registration{Email: ann, Password: "short"})
		refused(t, "a short password", err, gatehouse.Invalid, "password_too_short")
	})
}

// Without a mailer, or if it is wished, it is said.
func TestRegistrationReveals(t *testing.T) {
	for what, cfg := range map[string]gatehouse.Config{
		"no mailer": {}, "as wished": {Mailer: &mailbox{}, RevealRegistered: true},
	} {
		a := gatehousetest.New(t, cfg)
		a.Register(ann)
		_, err := a.Gatehouse.Register(t.Context(), gatehouse.Registration{Email: ann, Password: password})
		refused(t, what, err, gatehouse.Conflict, "user_exists")
	}
}

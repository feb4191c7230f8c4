package gatehouse_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// A user sees what happened to this user, refused tries included, and nothing
// else.
func TestActivity(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	u := a.Register(ann)
	importHash(t, a.Store, u.ID, bcryptOf(t, password)) // a login will replace it
	_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "wrong horse"})
	refused(t, "login", err, gatehouse.Unauthenticated, "invalid_credentials")
	a.Login(ann)
	a.Register("bob@example.com")
	a.Login("bob@example.com")
	must(a.GrantRole(gatehouse.WithClient(t.Context(), gatehouse.Client{Actor: "operator"}), u.ID, "admin"))(t)
	must(a.RotateKeys(t.Context()))(t)
	if err := a.NoteSettings(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	kinds := func(limit int) (list []string) {
		for _, e := range must(a.Activity(t.Context(), u.ID, limit))(t) {
			if e.UserID != u.ID {
				t.Errorf("the event of somebody else: %+v", e)
			}
			list = append(list, e.Kind+" "+e.Outcome)
		}
		return list
	}
	want := []string{"role_granted ok", "login ok", "login invalid_credentials", "register ok"}
	if got := kinds(10); !slices.Equal(got, want) {
		t.Errorf("activity %v, want %v", got, want)
	}
	if got := kinds(2); !slices.Equal(got, want[:2]) {
		t.Errorf("the last two: %v, want %v", got, want[:2])
	}
	if n := len(events(t, a, gatehouse.EventPasswordRehashed)); n != 1 {
		t.Errorf("%d events of the new hash, want 1: this has shown nothing", n)
	}
	if list := must(a.Activity(t.Context(), "nobody", 10))(t); len(list) != 0 {
		t.Errorf("the activity of nobody: %v", list)
	}
}

// Who wants to keep less of addresses keeps less.
func TestEventAddresses(t *testing.T) {
	for _, c := range []struct {
		detail                 gatehouse.AddressDetail
		address, want, unknown string
	}{
		{"", "192.0.2.77", "192.0.2.77", "unix socket"},
		{gatehouse.AddressFull, "2001:db8:1:2::3", "2001:db8:1:2::3", "unix socket"},
		{gatehouse.AddressNetwork, "192.0.2.77", "192.0.2.0/24", ""},
		{gatehouse.AddressNetwork, "::ffff:192.0.2.77", "192.0.2.0/24", ""},
		{gatehouse.AddressNetwork, "2001:db8:1:2::3", "2001:db8:1::/48", ""},
		{gatehouse.AddressNetwork, "fe80::1%eth0", "fe80::/48", ""},
		{gatehouse.AddressNone, "192.0.2.77", "", ""},
	} {
		a := gatehousetest.New(t, gatehouse.Config{EventAddresses: c.detail})
		for address, want := range map[string]string{c.address: c.want, "unix socket": c.unknown, "": ""} {
			ctx := gatehouse.WithClient(t.Context(), gatehouse.Client{Address: address})
			_, _ = a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: ann, Password: password})
			if got := events(t, a, gatehouse.EventLogin)[0].Address; got != want {
				t.Errorf("%s: %q is written as %q, want %q", c.detail, address, got, want)
			}
		}
	}
	if _, err := gatehouse.New(gatehouse.Config{EventAddresses: "half"}); err == nil {
		t.Error("half an address: no error")
	}
}

// Keys that are rotated because their time has come leave an event as well.
func TestRotationOfItselfIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{KeyRotation: time.Hour, Secret: auditSecret})
		if n := len(events(t, a, gatehouse.EventKeysRotated)); n != 0 {
			t.Errorf("%d rotations at the first start, want none", n)
		}
		time.Sleep(time.Hour + time.Minute)
		list := events(t, a, gatehouse.EventKeysRotated)
		if len(list) != 1 || list[0].Data["why"] != "age" || list[0].Data["key"] == "" || list[0].ActorID != "" {
			t.Fatalf("%+v, want one rotation, of age", list)
		}
		gatehousetest.New(t, gatehouse.Config{KeyRotation: time.Hour, Secret: auditSecret, Store: a.Store, Algorithm: gatehouse.ES256})
		list = events(t, a, gatehouse.EventKeysRotated)
		if len(list) != 2 || list[0].Data["why"] != "algorithm" {
			t.Errorf("%+v, want another rotation, because of the algorithm", list)
		}
	})
}

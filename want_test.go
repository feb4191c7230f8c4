package gatehouse_test

import (
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

const (
	ann      = "ann@example.com"
	password = gatehousetest.Password
)

// refused ends the test unless err is the refusal of that kind and code.
func refused(t testing.TB, what string, err error, kind gatehouse.Kind, code string) {
	t.Helper()
	e, ok := errors.AsType[*gatehouse.Error](err)
	if !ok {
		t.Fatalf("%s: err = %v, want %v %q", what, err, kind, code)
	}
	if e.Kind != kind || e.Code != code {
		t.Fatalf("%s: refused with %v %q (%v), want %v %q", what, e.Kind, e.Code, err, kind, code)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// events are those of one kind, the newest first.
func events(t testing.TB, a *gatehousetest.Auth, kind string) []*gatehouse.Event {
	t.Helper()
	return must(a.Events(t.Context(), gatehouse.EventQuery{Kind: kind, Limit: 1000}))(t)
}

// works and ended say what the two tokens of a login are good for.
func works(t testing.TB, what string, a *gatehousetest.Auth, l *gatehouse.Login) {
	t.Helper()
	if _, err := a.Authenticate(t.Context(), l.AccessToken); err != nil {
		t.Fatalf("%s: the access token is refused: %v", what, err)
	}
}

func ended(t testing.TB, what string, a *gatehousetest.Auth, l *gatehouse.Login) {
	t.Helper()
	_, err := a.Authenticate(t.Context(), l.AccessToken)
	refused(t, what+": access token", err, gatehouse.Unauthenticated, "invalid_token")
	_, err = a.Refresh(t.Context(), l.RefreshToken)
	refused(t, what+": refresh token", err, gatehouse.Unauthenticated, "invalid_refresh_token")
}

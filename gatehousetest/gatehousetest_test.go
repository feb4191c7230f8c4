package gatehousetest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

func TestNew(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	u := a.Register("ann@example.com")
	l := a.Login("ann@example.com")
	if l.User.ID != u.ID {
		t.Fatalf("logged in as %s, want %s", l.User.ID, u.ID)
	}
	if _, err := a.Authenticate(t.Context(), l.AccessToken); err != nil {
		t.Fatalf("authenticate: %v", err)
	}
	if stored, err := a.Store.User(t.Context(), u.ID); err != nil || stored.Email != u.Email {
		t.Fatalf("the user in the store = %v, %v", stored, err)
	}
}

func TestNewKeepsWhatIsSet(t *testing.T) {
	store := memory.New()
	secret := gatehouse.NewSecret([]byte("a master secret of more than 32 bytes"))
	first := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret, PasswordMinLength: 20})
	second := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
	first.Register("ann@example.com")
	l := second.Login("ann@example.com")
	if _, err := first.Authenticate(t.Context(), l.AccessToken); err != nil {
		t.Errorf("a login of another process on the same store: %v", err)
	}
	if got := first.PasswordMinLength(); got != 20 {
		t.Errorf("the minimum length = %d, want the 20 that were set", got)
	}
	if err := first.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("close a second time: %v", err)
	}
}

func TestTwoAreStrangers(t *testing.T) {
	ours, theirs := gatehousetest.New(t, gatehouse.Config{}), gatehousetest.New(t, gatehouse.Config{})
	ours.Register("ann@example.com")
	l := ours.Login("ann@example.com")
	if _, err := theirs.Authenticate(t.Context(), l.AccessToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("the access token of another Gatehouse: err = %v, want Unauthenticated", err)
	}
	if _, err := theirs.Refresh(t.Context(), l.RefreshToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("the refresh token of another Gatehouse: err = %v, want Unauthenticated", err)
	}
}

// A bubble panics if a goroutine of it is left when the test is over.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register("ann@example.com")
		l := a.Login("ann@example.com")
		time.Sleep(16 * time.Minute)
		if _, err := a.Authenticate(t.Context(), l.AccessToken); !errors.Is(err, gatehouse.Unauthenticated) {
			t.Fatalf("an access token of 16 minutes: err = %v, want Unauthenticated", err)
		}
		if _, err := a.Refresh(t.Context(), l.RefreshToken); err != nil {
			t.Fatalf("refresh: %v", err)
		}
	})
}

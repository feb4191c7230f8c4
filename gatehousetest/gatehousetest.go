// Package gatehousetest makes a Gatehouse for the tests of programs that use
// one: records in memory, a random secret, passwords that are hashed in no
// time, and no log.
//
//	a := gatehousetest.New(t, gatehouse.Config{})
//	a.Register("ann@example.com")
//	login := a.Login("ann@example.com")
//
// It works inside of testing/synctest bubbles, where a test of fifteen minutes,
// or of thirty days, takes none:
//
//	synctest.Test(t, func(t *testing.T) {
//		a := gatehousetest.New(t, gatehouse.Config{})
//		a.Register("ann@example.com")
//		login := a.Login("ann@example.com")
//		time.Sleep(16 * time.Minute) // of the bubble
//		_, err := a.Authenticate(t.Context(), login.AccessToken) // Unauthenticated
//	})
package gatehousetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// Password is the password of every user that [Auth.Register] makes. Others have
// to be as good as anywhere: "password1" is refused in tests too.
const Password = "correct horse battery staple"

// Auth is a Gatehouse for one test. Its Register and Login do in one word what
// most tests need, and end the test if that fails; the methods of Gatehouse that
// they hide are a.Gatehouse.Register and a.Gatehouse.Login.
type Auth struct {
	*gatehouse.Gatehouse
	// Store is where the records are: that of the Config, or a new one in memory.
	Store gatehouse.Store

	t testing.TB
}

// New is a Gatehouse with the settings of cfg, which ends with the test. Fields
// that are zero get what suits a test: a new store in memory, a random secret,
// hashing of a fraction of a millisecond with a long queue, and a logger that
// drops everything; of all others the default is that of [gatehouse.Config].
// Settings that are refused end the test.
//
// Inside of a synctest bubble, call it with the t of the bubble. A Gatehouse of
// the same test on the same store, as another process would be, is another call
// with the same Store and Secret.
func New(t testing.TB, cfg gatehouse.Config) *Auth {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = memory.New()
	}
	if cfg.Secret.Len() == 0 {
		cfg.Secret = gatehouse.NewSecret([]byte(rand.Text() + rand.Text()))
	}
	cfg.HashMemory = cmp.Or(cfg.HashMemory, 64)
	cfg.HashTime = cmp.Or(cfg.HashTime, 1)
	cfg.HashWorkers = cmp.Or(cfg.HashWorkers, 2)
	cfg.HashQueue = cmp.Or(cfg.HashQueue, 4096)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	g, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatalf("gatehouse: %v", err)
	}
	a := &Auth{Gatehouse: g, Store: cfg.Store, t: t}
	// Of a bubble, too, the cleanup runs before it waits for its goroutines.
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// Register makes a user with this address and [Password], or ends the test.
func (a *Auth) Register(email string) *gatehouse.User {
	a.t.Helper()
	u, err := a.Gatehouse.Register(context.Background(), gatehouse.Registration{Email: email, Password: Password})
	if err != nil {
		a.t.Fatalf("register %s: %v", email, err)
	}
	return u
}

// Login logs in the user with this address and [Password], or ends the test.
func (a *Auth) Login(email string) *gatehouse.Login {
	a.t.Helper()
	l, err := a.Gatehouse.Login(context.Background(), gatehouse.PasswordLogin{Email: email, Password: Password})
	if err != nil {
		a.t.Fatalf("log in %s: %v", email, err)
	}
	return l
}

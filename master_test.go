package gatehouse_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// masters opens one store as processes with different master secrets do.
type masters struct {
	t     *testing.T
	store gatehouse.Store
	alg   gatehouse.Algorithm
	log   bytes.Buffer // of the process that was started last
}

// config is that of a process with the first of these secrets, each named by a
// letter, and the others as previous ones.
func (m *masters) config(letters string) gatehouse.Config {
	m.log.Reset()
	cfg := gatehouse.Config{Store: m.store, Algorithm: m.alg, Logger: slog.New(slog.NewTextHandler(&m.log, nil))}
	if m.alg == gatehouse.HS256 {
		cfg.HS256Secret = gatehouse.NewSecret([]byte(strings.Repeat("h", 32)))
	}
	for i := range letters {
		s := gatehouse.NewSecret([]byte(strings.Repeat(letters[i:i+1], 32)))
		if i == 0 {
			cfg.Secret = s
		} else {
			cfg.PreviousSecrets = append(cfg.PreviousSecrets, s)
		}
	}
	return cfg
}

func (m *masters) start(letters string, warns bool) *gatehousetest.Auth {
	m.t.Helper()
	a := gatehousetest.New(m.t, m.config(letters))
	if got := strings.Contains(m.log.String(), "the master secret is new"); got != warns {
		m.t.Errorf("process %s warned: %v, want %v: %s", letters, got, warns, m.log.String())
	}
	return a
}

func (m *masters) refuse(letters string) {
	m.t.Helper()
	before := settingsOf(m.t, m.store)
	_, err := gatehouse.New(m.config(letters))
	if !errors.Is(err, gatehouse.ErrOtherSecret) {
		m.t.Errorf("process %s: err = %v, want %v", letters, err, gatehouse.ErrOtherSecret)
	}
	if after := settingsOf(m.t, m.store); after != before {
		m.t.Errorf("process %s did not start, and changed the store from %s to %s", letters, before, after)
	}
}

func settingsOf(t *testing.T, s gatehouse.Store) string {
	t.Helper()
	var b strings.Builder
	err := s.(gatehouse.Mover).Walk(t.Context(), func(page *gatehouse.Records) error {
		for _, x := range page.Settings {
			if x.Name != "hash_kinds" { // others count them whenever they like
				b.WriteString(x.Name + " " + string(x.Value) + "\n")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Of processes that share a store, none starts with a master secret that would
// refuse what the others issue, whatever signs the access tokens.
func TestMasterSecretIsShared(t *testing.T) {
	for _, alg := range []gatehouse.Algorithm{gatehouse.EdDSA, gatehouse.HS256} {
		t.Run(string(alg), func(t *testing.T) {
			m := &masters{t: t, store: memory.New(), alg: alg}
			m.start("a", false)
			m.start("a", false)
			m.refuse("b")
			m.refuse("bc")

			// One process after the other: first all accept the new secret, then
			// all use it, and at last none knows the old one.
			one := m.start("ab", false)
			one.Register(ann)
			l := one.Login(ann)
			two := m.start("a", false) // crashed in between
			works(t, "while the secret is replaced", two, l)
			two = m.start("ab", false)
			one = m.start("ba", false)
			l = must(one.Refresh(t.Context(), l.RefreshToken))(t)
			l = must(two.Refresh(t.Context(), l.RefreshToken))(t)
			two = m.start("ab", false) // crashed in between
			l = must(two.Refresh(t.Context(), l.RefreshToken))(t)
			m.refuse("b") // the other still issues with a
			two = m.start("ba", false)
			l = must(two.Refresh(t.Context(), l.RefreshToken))(t)
			one = m.start("b", false)
			l = must(one.Refresh(t.Context(), l.RefreshToken))(t)
			works(t, "when the secret is replaced", one, l)
			m.refuse("a")

			// All at once, as one process alone does it.
			one = m.start("cb", true)
			must(one.Refresh(t.Context(), l.RefreshToken))(t)
			m.refuse("b")
		})
	}
}

// The previous secret can go when nobody is logged in with it any more, also when
// no signing key was replaced meanwhile.
func TestKeysAreSealedAnew(t *testing.T) {
	m := &masters{t: t, store: memory.New(), alg: gatehouse.EdDSA}
	a := m.start("a", false)
	before := must(a.Keys(t.Context()))(t)
	m.start("ba", true)
	after := must(m.start("b", false).Keys(t.Context()))(t)
	if len(after) != len(before) || after[0].ID != before[0].ID || after[1].ID != before[1].ID {
		t.Errorf("the keys are %v, want those of before: %v", after, before)
	}
}

// A lost master secret costs the sessions, and not the users.
func TestForgetSecret(t *testing.T) {
	for _, alg := range []gatehouse.Algorithm{gatehouse.EdDSA, gatehouse.HS256} {
		t.Run(string(alg), func(t *testing.T) {
			m := &masters{t: t, store: memory.New(), alg: alg}
			a := m.start("a", false)
			a.Register(ann)
			l := a.Login(ann)
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			m.refuse("b")
			lost := gatehouse.Restoration{At: time.Now(), From: "lost", Keep: gatehouse.KeepNothing}
			if _, err := lost.Apply(t.Context(), m.store); err != nil {
				t.Fatal(err)
			}
			if err := gatehouse.ForgetSecret(t.Context(), m.store); err != nil {
				t.Fatal(err)
			}
			b := m.start("b", false)
			_, err := b.Refresh(t.Context(), l.RefreshToken)
			refused(t, "a session of before", err, gatehouse.Unauthenticated, "invalid_refresh_token")
			works(t, "after logging in again", b, b.Login(ann))
			m.refuse("a")
		})
	}
}

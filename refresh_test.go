package gatehouse_test

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

func TestRefreshRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		u := a.Register(ann)
		first := a.Login(ann)
		time.Sleep(10 * time.Minute)
		ctx := gatehouse.WithClient(t.Context(), gatehouse.Client{Address: "192.0.2.7", UserAgent: "browser"})
		second := must(a.Refresh(ctx, first.RefreshToken))(t)
		if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
			t.Error("a token was not replaced")
		}
		if second.User.ID != u.ID || second.Session.ID != first.Session.ID || second.Session.Generation != 2 {
			t.Errorf("user %s, session %s, generation %d; want %s, %s, 2",
				second.User.ID, second.Session.ID, second.Session.Generation, u.ID, first.Session.ID)
		}
		if want := first.RefreshExpiresAt.Add(10 * time.Minute); !second.RefreshExpiresAt.Equal(want) {
			t.Errorf("good until %v, want %v: 7 days from now", second.RefreshExpiresAt, want)
		}
		if second.Session.Address != "192.0.2.7" || second.Session.UserAgent != "browser" {
			t.Errorf("seen from %q with %q, want what refreshed last", second.Session.Address, second.Session.UserAgent)
		}
		if !second.Session.AuthenticatedAt.Equal(first.Session.AuthenticatedAt) {
			t.Error("a refresh counts as showing a credential")
		}
		works(t, "after the rotation", a, second)
	})
}

// Whoever races is answered with the very bytes that the winner got.
func TestRefreshRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		cfg := gatehouse.Config{Store: store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
		processes := []*gatehousetest.Auth{gatehousetest.New(t, cfg), gatehousetest.New(t, cfg)}
		processes[0].Register(ann)
		l := processes[0].Login(ann)
		for round := range 5 {
			answers := make([]*gatehouse.Login, 20)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					var err error
					if answers[i], err = processes[i%2].Refresh(context.Background(), l.RefreshToken); err != nil {
						t.Errorf("round %d, racer %d: %v", round, i, err)
					}
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			for i, got := range answers {
				if got.RefreshToken != answers[0].RefreshToken {
					t.Fatalf("round %d: racer %d got another successor", round, i)
				}
				works(t, "a racer", processes[i%2], got)
			}
			l = answers[0]
			if want := int64(round + 2); l.Session.Generation != want {
				t.Fatalf("round %d: generation %d, want %d: it was rotated once", round, l.Session.Generation, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestRotationGrace(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		good  bool
	}{
		{0, true}, {30*time.Second - time.Millisecond, true}, {30 * time.Second, true},
		{30*time.Second + time.Millisecond, false}, {time.Hour, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := gatehousetest.New(t, gatehouse.Config{})
			a.Register(ann)
			first := a.Login(ann)
			second := must(a.Refresh(t.Context(), first.RefreshToken))(t)
			time.Sleep(c.after)
			again, err := a.Refresh(t.Context(), first.RefreshToken)
			if c.good {
				if err != nil || again.RefreshToken != second.RefreshToken {
					t.Fatalf("%v after the rotation: err = %v, want the current token", c.after, err)
				}
				return
			}
			refused(t, "after "+c.after.String(), err, gatehouse.Unauthenticated, "invalid_refresh_token")
			ended(t, "the session of a token that was used twice", a, second)
		})
	}
}

// An older generation was stolen, or its successor was: the session ends for
// everybody, and that is on record.
func TestRefreshReuse(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	u := a.Register(ann)
	first := a.Login(ann)
	other := a.Login(ann)
	second := must(a.Refresh(t.Context(), first.RefreshToken))(t)
	third := must(a.Refresh(t.Context(), second.RefreshToken))(t)
	works(t, "before", a, third)

	_, err := a.Refresh(t.Context(), first.RefreshToken) // within the grace, but two generations old
	refused(t, "the token before the one before", err, gatehouse.Unauthenticated, "invalid_refresh_token")
	ended(t, "after a reuse", a, third)
	ended(t, "after a reuse", a, second)
	works(t, "another session of the user", a, other)

	list := events(t, a, gatehouse.EventRefreshReused)
	if len(list) != 1 || list[0].UserID != u.ID || list[0].SessionID != first.Session.ID {
		t.Fatalf("events %s = %+v, want one for this session", gatehouse.EventRefreshReused, list)
	}
	if _, err := a.Refresh(t.Context(), first.RefreshToken); err == nil {
		t.Fatal("a second reuse was answered")
	}
	if n := len(events(t, a, gatehouse.EventRefreshReused)); n != 1 {
		t.Errorf("%d events after a second reuse, want 1: the session had ended", n)
	}
}

// After a restore the store knows an older generation than the browser holds.
// Who holds which is not known any more, so nobody stays logged in.
func TestRefreshOfTheFuture(t *testing.T) {
	store := memory.New()
	cfg := gatehouse.Config{Store: store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
	a := gatehousetest.New(t, cfg)
	a.Register(ann)
	first := a.Login(ann)
	backup := must(store.Session(t.Context(), first.Session.ID))(t)
	l := first
	for range 3 {
		l = must(a.Refresh(t.Context(), l.RefreshToken))(t)
	}
	now := must(store.Session(t.Context(), first.Session.ID))(t)
	backup.Version = now.Version
	if err := store.SaveSession(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	restarted := gatehousetest.New(t, cfg)
	_, err := restarted.Refresh(t.Context(), l.RefreshToken)
	refused(t, "a generation that the store never saw", err, gatehouse.Unauthenticated, "invalid_refresh_token")
	ended(t, "the token of the backup", restarted, first)
}

func TestInactivityTimeout(t *testing.T) {
	for _, c := range []struct {
		idle time.Duration
		good bool
	}{{time.Hour - time.Millisecond, true}, {time.Hour, false}} {
		synctest.Test(t, func(t *testing.T) {
			a := gatehousetest.New(t, gatehouse.Config{InactivityTimeout: time.Hour, AccessTokenLifetime: time.Minute})
			a.Register(ann)
			l := a.Login(ann)
			for range 3 {
				time.Sleep(50 * time.Minute)
				l = must(a.Refresh(t.Context(), l.RefreshToken))(t)
			}
			time.Sleep(c.idle)
			_, err := a.Refresh(t.Context(), l.RefreshToken)
			if c.good && err != nil {
				t.Fatalf("after %v: %v", c.idle, err)
			}
			if !c.good {
				refused(t, "after "+c.idle.String(), err, gatehouse.Unauthenticated, "invalid_refresh_token")
			}
		})
	}
}

func TestMaximumLifetime(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration
		good bool
	}{{2*time.Hour - time.Millisecond, true}, {2 * time.Hour, false}} {
		synctest.Test(t, func(t *testing.T) {
			a := gatehousetest.New(t, gatehouse.Config{InactivityTimeout: time.Hour, MaximumLifetime: 2 * time.Hour})
			a.Register(ann)
			begin := time.Now()
			l := a.Login(ann)
			ends := l.Session.EndsAt
			for range 11 {
				time.Sleep(10 * time.Minute)
				l = must(a.Refresh(t.Context(), l.RefreshToken))(t)
			}
			if !l.Session.EndsAt.Equal(ends) || !l.RefreshExpiresAt.Equal(ends) {
				t.Fatalf("ends at %v, good until %v; want both %v", l.Session.EndsAt, l.RefreshExpiresAt, ends)
			}
			time.Sleep(time.Until(begin.Add(c.at)))
			l, err := a.Refresh(t.Context(), l.RefreshToken)
			if !c.good {
				refused(t, "at the maximum lifetime", err, gatehouse.Unauthenticated, "invalid_refresh_token")
				return
			}
			if err != nil {
				t.Fatalf("a millisecond before the maximum lifetime: %v", err)
			}
			if l.AccessExpiresAt.After(ends) {
				t.Errorf("the access token is good until %v, after the session ends at %v", l.AccessExpiresAt, ends)
			}
			time.Sleep(time.Millisecond)
			ended(t, "a millisecond later", a, l)
		})
	}
}

// What voids everything that was granted before.
func TestEpoch(t *testing.T) {
	for what, act := range map[string]func(*gatehousetest.Auth, string) error{
		"a password set": func(a *gatehousetest.Auth, id string) error {
			return a.SetPassword(context.Background(), id, "another horse")
		},
		"sessions terminated": func(a *gatehousetest.Auth, id string) error { return a.TerminateSessions(context.Background(), id) },
		"deleted":             func(a *gatehousetest.Auth, id string) error { return a.DeleteUser(context.Background(), id) },
		"disabled": func(a *gatehousetest.Auth, id string) error {
			_, err := a.DisableUser(context.Background(), id)
			return err
		},
		"disabled and enabled": func(a *gatehousetest.Auth, id string) error {
			if _, err := a.DisableUser(context.Background(), id); err != nil {
				return err
			}
			_, err := a.EnableUser(context.Background(), id)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			a := gatehousetest.New(t, gatehouse.Config{})
			u := a.Register(ann)
			bob := a.Register("bob@example.com")
			one, two, bobs := a.Login(ann), a.Login(ann), a.Login(bob.Email)
			works(t, "before", a, one)
			two = must(a.Refresh(t.Context(), two.RefreshToken))(t)
			works(t, "before", a, two)
			if err := act(a, u.ID); err != nil {
				t.Fatal(err)
			}
			ended(t, what, a, one)
			ended(t, what, a, two)
			works(t, "somebody else", a, bobs)
		})
	}
}

// With another master secret its tokens are nobody's, and with the old one
// among the previous ones they are good, and replaced by tokens of the new.
func TestPreviousSecrets(t *testing.T) {
	older, newer := gatehouse.NewSecret([]byte(strings.Repeat("o", 32))), gatehouse.NewSecret([]byte(strings.Repeat("n", 32)))
	store := memory.New()
	before := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: older})
	before.Register(ann)
	l := before.Login(ann)

	both := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: newer, PreviousSecrets: []gatehouse.Secret{older}})
	works(t, "with the signing keys of before", both, l)
	next := must(both.Refresh(t.Context(), l.RefreshToken))(t)
	if again := must(both.Refresh(t.Context(), l.RefreshToken))(t); again.RefreshToken != next.RefreshToken {
		t.Error("in the grace another token than the current one")
	}
	must(both.RotateKeys(t.Context()))(t) // seals all keys with the new secret

	only := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: newer})
	if _, err := only.Refresh(t.Context(), next.RefreshToken); err != nil {
		t.Errorf("a token of the new secret: %v", err)
	}
	_, err := only.Refresh(t.Context(), l.RefreshToken)
	refused(t, "a token of the secret of before", err, gatehouse.Unauthenticated, "invalid_refresh_token")
	_, err = gatehouse.New(gatehouse.Config{Store: store, Secret: older})
	if !errors.Is(err, gatehouse.ErrOtherSecret) {
		t.Errorf("started with the secret of before: err = %v, want %v", err, gatehouse.ErrOtherSecret)
	}
}

// refreshTokenOf makes the token of a session and a generation, as somebody
// could who has the master secret.
func refreshTokenOf(t testing.TB, secret, purpose string, session [16]byte, generation uint64) string {
	t.Helper()
	key := must(hkdf.Key(sha256.New, []byte(secret), nil, purpose, 32))(t)
	b := binary.BigEndian.AppendUint64(session[:], generation)
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(b))
}

func TestRefreshTokensThatAreNone(t *testing.T) {
	secret := strings.Repeat("s", 32)
	a := gatehousetest.New(t, gatehouse.Config{Secret: gatehouse.NewSecret([]byte(secret))})
	a.Register(ann)
	l := a.Login(ann)
	token := l.RefreshToken
	raw := must(base64.RawURLEncoding.DecodeString(token))(t)
	session := [16]byte(raw)
	if got := refreshTokenOf(t, secret, "gatehouse/refresh-token/1", session, 1); got != token {
		t.Fatalf("the token is not made as this test makes them, so it tests nothing")
	}
	flipped := func(i int) string {
		b := append([]byte(nil), raw...)
		b[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	last := strings.IndexByte(base64url, token[len(token)-1])
	_, err := a.Refresh(t.Context(), "")
	refused(t, "none", err, gatehouse.Unauthenticated, "no_refresh_token")
	for what, bad := range map[string]string{
		"garbage":                "garbage",
		"a blank":                " ",
		"cut":                    token[:len(token)-1],
		"longer":                 token + "A",
		"padded":                 token + "=",
		"a line break":           token[:40] + "\n" + token[41:],
		"a line break more":      token[:40] + "\n" + token[40:],
		"white space around":     " " + token,
		"not canonical":          token[:len(token)-1] + string(base64url[last^1]),
		"standard base64":        base64.StdEncoding.EncodeToString(raw),
		"another session":        flipped(0),
		"another generation":     flipped(23),
		"another MAC":            flipped(55),
		"a MAC of nothing":       base64.RawURLEncoding.EncodeToString(append(raw[:24:24], make([]byte, 32)...)),
		"a MAC of another use":   refreshTokenOf(t, secret, "gatehouse/seal/1", session, 1),
		"another secret":         refreshTokenOf(t, strings.Repeat("x", 32), "gatehouse/refresh-token/1", session, 1),
		"no such session":        refreshTokenOf(t, secret, "gatehouse/refresh-token/1", [16]byte{1}, 1),
		"the access token":       l.AccessToken,
		"a megabyte":             strings.Repeat("A", 1<<20),
		"zeros":                  strings.Repeat("A", len(token)),
		"characters not allowed": strings.Repeat("*", len(token)),
	} {
		_, err := a.Refresh(t.Context(), bad)
		refused(t, what, err, gatehouse.Unauthenticated, "invalid_refresh_token")
		if err := a.Logout(t.Context(), bad, bad); err != nil && what != "the access token" {
			t.Errorf("%s: logout: %v", what, err)
		}
		if what == "the access token" { // as an access token it is one
			a.Login(ann)
		}
	}
	if _, err := a.Refresh(t.Context(), a.Login(ann).RefreshToken); err != nil {
		t.Errorf("after all of these a good token is refused: %v", err)
	}
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// A generation of the far end of the numbers ends the session at most.
func TestRefreshGenerationBounds(t *testing.T) {
	secret := strings.Repeat("s", 32)
	a := gatehousetest.New(t, gatehouse.Config{Secret: gatehouse.NewSecret([]byte(secret))})
	a.Register(ann)
	for _, generation := range []uint64{0, 2, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		l := a.Login(ann)
		raw := must(base64.RawURLEncoding.DecodeString(l.RefreshToken))(t)
		_, err := a.Refresh(t.Context(), refreshTokenOf(t, secret, "gatehouse/refresh-token/1", [16]byte(raw), generation))
		if generation == 0 { // the one before the first, within its grace: only we could have made it
			if err != nil {
				t.Errorf("generation 0: %v", err)
			}
			continue
		}
		refused(t, "a generation that never was", err, gatehouse.Unauthenticated, "invalid_refresh_token")
		ended(t, "a generation that never was", a, l)
	}
}

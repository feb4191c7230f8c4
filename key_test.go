package gatehouse_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// published are the ids in the key set.
func published(t testing.TB, a *gatehousetest.Auth) []string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(a.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

func keyOf(t testing.TB, l *gatehouse.Login) string {
	t.Helper()
	header, _ := decoded(t, l.AccessToken)
	return header["kid"].(string)
}

// Of eight processes that start on an empty store one makes the keys.
func TestKeysAreMadeOnce(t *testing.T) {
	cfg := gatehouse.Config{Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
	processes := make([]*gatehousetest.Auth, 8)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			<-start
			processes[i] = gatehousetest.New(t, cfg)
		})
	}
	close(start)
	wg.Wait()
	for i, p := range processes {
		if !bytes.Equal(p.JWKS(), processes[0].JWKS()) {
			t.Errorf("process %d publishes %s, and process 0 %s", i, p.JWKS(), processes[0].JWKS())
		}
	}
	if n := len(published(t, processes[0])); n != 2 {
		t.Errorf("%d keys, want a current and a next one", n)
	}
	processes[0].Register(ann)
	for _, p := range processes {
		l := p.Login(ann)
		for _, q := range processes {
			works(t, "made by one, shown to another", q, l)
		}
	}
}

// The next key is published before it signs; the old one verifies until its
// last token has expired, and leaves then. All by itself.
func TestScheduledRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := gatehouse.Config{
			Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32))), KeyRotation: 3 * time.Hour,
		}
		here, there := gatehousetest.New(t, cfg), gatehousetest.New(t, cfg)
		here.Register(ann)
		l := here.Login(ann)
		before := published(t, here)
		current := keyOf(t, l)
		next := before[1-slices.Index(before, current)]

		time.Sleep(3*time.Hour - time.Second)
		old := here.Login(ann)
		if keyOf(t, old) != current {
			t.Fatal("the key was rotated too early")
		}
		time.Sleep(2 * time.Minute)
		for what, a := range map[string]*gatehousetest.Auth{"here": here, "there": there} {
			fresh := a.Login(ann)
			if got := keyOf(t, fresh); got != next {
				t.Errorf("%s: signed with %s, want %s, which was published as the next one", what, got, next)
			}
			if ids := published(t, a); len(ids) != 3 || !slices.Contains(ids, current) {
				t.Errorf("%s: %v are published, want the retired, the current and the next one", what, ids)
			}
			works(t, what+": signed before the rotation", a, old)
		}
		time.Sleep(time.Until(old.AccessExpiresAt) - time.Millisecond)
		works(t, "in the last millisecond of a token of the retired key", here, old)
		time.Sleep(5 * time.Minute)
		for what, a := range map[string]*gatehousetest.Auth{"here": here, "there": there} {
			if ids := published(t, a); len(ids) != 2 || slices.Contains(ids, current) {
				t.Errorf("%s: %v are published, want that the retired one is not any more", what, ids)
			}
		}
		if keys := must(here.Keys(t.Context()))(t); keys[0].State != gatehouse.KeyCurrent || keys[1].State != gatehouse.KeyNext {
			t.Errorf("keys = %+v, want a current and a next one", keys)
		}
	})
}

// Rotations of one process are understood by another within a second, because
// it looks again when it meets a key that it does not know.
func TestRotateKeysElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := twoProcesses(t)
		here.Register(ann)
		for range 5 {
			must(here.RotateKeys(t.Context()))(t)
		}
		l := here.Login(ann) // with a key that was not even the next one when there began
		time.Sleep(time.Second)
		works(t, "a key of several rotations later", there, l)
		if !bytes.Equal(here.JWKS(), there.JWKS()) {
			t.Error("the two publish different keys")
		}
		if n := len(events(t, here, gatehouse.EventKeysRotated)); n != 5 {
			t.Errorf("%d events %s, want 5", n, gatehouse.EventKeysRotated)
		}
	})
}

// Nor are those refused who come while it looks: the token is good, and to be told
// that it is not is to be logged out.
func TestRotateKeysElsewhereAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, secret := memory.New(), gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
		here := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
		there := gatehousetest.New(t, gatehouse.Config{Store: slowSettings{store}, Secret: secret})
		here.Register(ann)
		for range 5 {
			must(here.RotateKeys(t.Context()))(t)
		}
		l := here.Login(ann)
		time.Sleep(time.Second)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				if _, err := there.Authenticate(t.Context(), l.AccessToken); err != nil {
					t.Errorf("%d ms later: %v", i*10, err)
				}
			})
		}
		all.Wait()
	})
}

// slowSettings takes a tenth of a second to read a setting.
type slowSettings struct{ gatehouse.Store }

func (s slowSettings) Setting(ctx context.Context, name string) (*gatehouse.Setting, error) {
	time.Sleep(100 * time.Millisecond)
	return s.Store.Setting(ctx, name)
}

// An unknown key makes nobody read the store more than once a second.
func TestUnknownKeysAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &settingReads{Store: memory.New()}
		a := gatehousetest.New(t, gatehouse.Config{Store: store})
		a.Register(ann)
		header, claims := decoded(t, a.Login(ann).AccessToken)
		forged := func(id string) string {
			return signed(t, jwt.SigningMethodHS256, []byte("x"), with(with(header, "kid", id), "alg", "HS256"), claims)
		}
		time.Sleep(10 * time.Second)
		store.n.Store(0)
		for i := range 500 {
			_, err := a.Authenticate(t.Context(), forged(strings.Repeat("k", i)))
			refused(t, "an unknown key", err, gatehouse.Unauthenticated, "invalid_token")
		}
		if n := store.n.Load(); n != 1 {
			t.Errorf("the store was read %d times for 500 unknown keys at once, want once", n)
		}
	})
}

type settingReads struct {
	gatehouse.Store
	n atomic.Int64
}

func (s *settingReads) Setting(ctx context.Context, name string) (*gatehouse.Setting, error) {
	s.n.Add(1)
	return s.Store.Setting(ctx, name)
}

func TestAnotherMasterSecretIsRefused(t *testing.T) {
	store := memory.New()
	gatehousetest.New(t, gatehouse.Config{Store: store})
	before := must(store.Setting(t.Context(), "signing_keys"))(t)
	_, err := gatehouse.New(gatehouse.Config{Store: store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("x", 32)))})
	if !errors.Is(err, gatehouse.ErrOtherSecret) {
		t.Errorf("err = %v, want %v", err, gatehouse.ErrOtherSecret)
	}
	if after := must(store.Setting(t.Context(), "signing_keys"))(t); !bytes.Equal(after.Value, before.Value) {
		t.Error("a start with another secret changed the keys")
	}
}

// What is damaged is said at the start, and not papered over with new keys.
func TestDamagedKeysAreRefused(t *testing.T) {
	secret := gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
	for what, damage := range map[string]func(string) string{
		"cut":            func(s string) string { return s[:len(s)/2] },
		"empty":          func(string) string { return "" },
		"another id":     func(s string) string { return strings.Replace(s, `"id":"`, `"id":"x`, 1) },
		"another method": func(s string) string { return strings.Replace(s, `"EdDSA"`, `"ES256"`, 1) },
	} {
		store := memory.New()
		gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
		s := must(store.Setting(t.Context(), "signing_keys"))(t)
		s.Value = []byte(damage(string(s.Value)))
		if err := store.SaveSetting(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := gatehouse.New(gatehouse.Config{Store: store, Secret: secret}); err == nil {
			t.Errorf("%s: started all the same", what)
		}
	}
}

// What is stored is worth nothing without the master secret.
func TestStoredKeysAreSealed(t *testing.T) {
	for _, algorithm := range []gatehouse.Algorithm{gatehouse.EdDSA, gatehouse.ES256} {
		store := memory.New()
		secret := "a master secret that is well over 32 bytes"
		a := gatehousetest.New(t, gatehouse.Config{Store: store, Algorithm: algorithm, Secret: gatehouse.NewSecret([]byte(secret))})
		u := a.Register(ann)
		value := must(store.Setting(t.Context(), "signing_keys"))(t).Value
		var records []struct {
			ID     string
			Sealed []byte
		}
		if err := json.Unmarshal(value, &records); err != nil || len(records) != 2 {
			t.Fatalf("%d keys stored, %v; want 2", len(records), err)
		}
		for _, r := range records {
			for at := range r.Sealed { // wherever a key might begin
				if _, err := x509.ParsePKCS8PrivateKey(r.Sealed[at:]); err == nil {
					t.Errorf("%s: a private key is stored in the clear", algorithm)
				}
			}
			if bytes.Contains(r.Sealed, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d}) { // the object id of an EC key
				t.Errorf("%s: what is stored holds the structure of a key", algorithm)
			}
		}
		for _, leak := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), "PRIVATE"} {
			if strings.Contains(string(value), leak) {
				t.Errorf("%s: %q is stored", algorithm, leak)
			}
		}
		if hash := must(store.User(t.Context(), u.ID))(t).Credentials[0].Hash; strings.Contains(hash, password) {
			t.Error("the password is stored")
		}
	}
}

// While the algorithm is changed from process to process there are both, and
// none undoes minute by minute what another did.
func TestAlgorithmChangesWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, secret := memory.New(), gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
		a := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
		a.Register(ann)
		l := a.Login(ann)
		time.Sleep(time.Minute)
		b := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret, Algorithm: gatehouse.ES256})
		for range 5 {
			time.Sleep(time.Minute)
			l = must(a.Refresh(t.Context(), l.RefreshToken))(t)
			works(t, "made by the one", b, l)
			l = must(b.Refresh(t.Context(), l.RefreshToken))(t)
			works(t, "made by the other", a, l)
		}
		rotated := 0
		for _, e := range logOf(t, store) {
			if e.Kind == gatehouse.EventKeysRotated {
				rotated++
			}
		}
		if rotated != 1 {
			t.Errorf("keys were rotated %d times, want once", rotated)
		}
	})
}

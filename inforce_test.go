package gatehouse_test

import (
	"bytes"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// What changed since the last start is on record by name; of secrets nothing
// but that.
func TestNoteSettings(t *testing.T) {
	store := memory.New()
	secret := func(letter string) gatehouse.Secret { return gatehouse.NewSecret([]byte(strings.Repeat(letter, 40))) }
	start := func(cfg gatehouse.Config, values map[string]string) {
		t.Helper()
		cfg.Store = store
		a := gatehousetest.New(t, cfg)
		if err := a.NoteSettings(t.Context(), values); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	noted := 0
	expect := func(what string, want map[string]string) {
		t.Helper()
		var list []*gatehouse.Event
		for _, e := range logOf(t, store) {
			if e.Kind == gatehouse.EventSettingsChanged {
				list = append(list, e)
			}
		}
		if want != nil {
			noted++
		}
		if len(list) != noted {
			t.Fatalf("%s: %d events, want %d", what, len(list), noted)
		}
		if want != nil && !maps.Equal(list[0].Data, want) {
			t.Errorf("%s: %v, want %v", what, list[0].Data, want)
		}
	}
	long := strings.Repeat("x", 200)
	// With HS256 there are no keys in the store that a master secret must open.
	first := gatehouse.Config{Secret: secret("a"), Algorithm: gatehouse.HS256, HS256Secret: secret("h")}
	start(first, map[string]string{"site_name": "Here", "issuer": "me", "long": "", "gone": "1"})
	expect("the first start", nil)
	start(first, map[string]string{"site_name": "Here", "issuer": "me", "long": "", "gone": "1"})
	expect("the same again", nil)
	start(first, map[string]string{"site_name": "There", "issuer": "me", "long": long, "more": "2"})
	expect("other values", map[string]string{"site_name": "Here → There", "long": "changed", "gone": "1 → (none)", "more": "(none) → 2"})

	values := map[string]string{"site_name": "There", "issuer": "me", "long": long, "more": "2"}
	first.PreviousSecrets = []gatehouse.Secret{secret("p")}
	start(first, values)
	expect("a secret more", map[string]string{"previous_secret": "changed"})
	second := gatehouse.Config{Secret: secret("b"), PreviousSecrets: []gatehouse.Secret{secret("a")}, Algorithm: gatehouse.HS256, HS256Secret: secret("h")}
	start(second, values)
	expect("another master secret", map[string]string{"secret": "changed", "previous_secret": "changed"})
	start(second, values)
	expect("the same again", nil)
	second.HS256Secret = secret("i")
	start(second, values)
	expect("another HS256 secret", map[string]string{"hs256_secret": "changed"})
	second.PreviousSecrets = nil
	start(second, values)
	expect("without the secret of before", map[string]string{"previous_secret": "changed"})

	stored := must(store.Setting(t.Context(), "settings_in_force"))(t)
	for _, letter := range []string{"a", "b", "h", "i"} {
		if s := strings.Repeat(letter, 40); strings.Contains(string(stored.Value), s) {
			t.Errorf("the store holds the secret %.3s…", s)
		}
	}
	sound(t, "the log", audit(logOf(t, store), secret("a"), secret("b")))
}

// Whoever notes settings begins the chain of a service: it sees at once what
// others left behind.
func TestNoteSettingsSeesWhatOthersLeft(t *testing.T) {
	store := memory.New()
	a := on(t, store)
	a.Register(ann) // and is killed
	b := on(t, store)
	if err := b.NoteSettings(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	list := logOf(t, store)
	if len(list) != 2 || list[0].Kind != gatehouse.EventCheckpoint || !strings.HasPrefix(list[0].Data["heads"], list[1].Chain+":1:") {
		t.Errorf("%+v, want a checkpoint that has seen the event", list[0])
	}
	if got := found(audit(list[:1])); len(got["cut_off"]) != 1 {
		t.Errorf("without the event: %v, want its chain as cut off", got)
	}
}

// A process learns that one that started later works with other settings, and says
// so once.
func TestSettingsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		secret := func(letter string) gatehouse.Secret { return gatehouse.NewSecret([]byte(strings.Repeat(letter, 32))) }
		start := func(cfg gatehouse.Config, values map[string]string) *gatehousetest.Auth {
			t.Helper()
			cfg.Store, cfg.Algorithm = store, gatehouse.HS256
			a := gatehousetest.New(t, cfg)
			if err := a.NoteSettings(t.Context(), values, "listen", "log_level"); err != nil {
				t.Fatal(err)
			}
			return a
		}
		var log bytes.Buffer
		first := gatehouse.Config{
			Secret: secret("a"), PreviousSecrets: []gatehouse.Secret{secret("b")}, HS256Secret: secret("h"),
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}
		values := map[string]string{"issuer": "me", "inactivity_timeout": "7d", "listen": ":1", "log_level": "info"}
		a := start(first, values)
		look := func(what string, said int, want ...string) {
			t.Helper()
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if got := a.Stats().Differ; !slices.Equal(got, want) {
				t.Errorf("%s: %q differ, want %q", what, got, want)
			}
			if n := strings.Count(log.String(), "works with other settings"); n != said {
				t.Errorf("%s: said %d times, want %d:\n%s", what, n, said, log.String())
			}
		}
		look("alone", 0)
		others := map[string]string{"issuer": "me", "inactivity_timeout": "1m", "listen": ":2"}
		start(gatehouse.Config{Secret: secret("a"), HS256Secret: secret("g")}, others)
		look("another that differs", 1, "hs256_secret", "inactivity_timeout")
		if !strings.Contains(log.String(), `"1m → 7d"`) || strings.Contains(log.String(), "gggg") || strings.Contains(log.String(), "hhhh") {
			t.Errorf("the log lacks the values, or has a secret in it:\n%s", log.String())
		}
		start(gatehouse.Config{Secret: secret("b"), PreviousSecrets: []gatehouse.Secret{secret("a")}, HS256Secret: secret("h")}, values)
		look("one with the next master secret", 1)
		start(gatehouse.Config{Secret: secret("c"), PreviousSecrets: []gatehouse.Secret{secret("b")}, HS256Secret: secret("h")}, others)
		look("one with a master secret that is unknown here", 2, "inactivity_timeout")
	})
}

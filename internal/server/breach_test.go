package server

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/breach"
)

// register registers somebody with this password, and is the code of the refusal.
func register(t *testing.T, i *Instance, n int, password string) string {
	t.Helper()
	_, err := i.Gatehouse.Register(t.Context(), gatehouse.Registration{Email: fmt.Sprintf("user%d@mail.example", n), Password: password})
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*gatehouse.Error](err)
	if !ok {
		t.Fatal(err)
	}
	return e.Code
}

func TestBreachListsOfSettings(t *testing.T) {
	var away atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		digits := fmt.Sprintf("%X", sha1.Sum([]byte("leaked online")))
		if strings.HasSuffix(r.URL.Path, digits[:5]) {
			fmt.Fprintf(w, "%s:3\r\n", digits[5:])
		}
		fmt.Fprintf(w, "%035X:0\r\n", 0)
	}))
	defer service.Close()
	t.Chdir(t.TempDir())
	if _, err := breach.Build(context.Background(), "leaked", func(yield func(breach.Hash, error) bool) {
		yield(breach.Hash{Sum: sha1.Sum([]byte("leaked in a file")), Count: 1}, nil)
	}, breach.BuildOptions{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range []struct {
		env  []string
		away bool
		want map[string]string
	}{
		{nil, false, map[string]string{"leaked in a file": "", "leaked online": ""}},
		{[]string{"GATEHOUSE_BREACH_FILE=leaked"}, false, map[string]string{"leaked in a file": "password_breached", "leaked online": "", "password1": "password_common"}},
		{[]string{"GATEHOUSE_BREACH_RANGE_URL=" + service.URL}, false, map[string]string{"leaked in a file": "", "leaked online": "password_breached"}},
		{[]string{"GATEHOUSE_BREACH_RANGE_URL=" + service.URL, "GATEHOUSE_BREACH_FILE=leaked"}, true, map[string]string{"leaked in a file": "password_breached", "leaked online": "password_unchecked", "good": "password_too_short"}},
		{[]string{"GATEHOUSE_BREACH_RANGE_URL=" + service.URL, "GATEHOUSE_BREACH_RANGE_AWAY=accept"}, true, map[string]string{"leaked online": "", "password1": "password_common"}},
	} {
		data, err := os.MkdirTemp(".", "data")
		if err != nil {
			t.Fatal(err)
		}
		l, err := Load(Input{Environ: append([]string{"GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1", "GATEHOUSE_DATA=" + data}, c.env...)})
		if err != nil {
			t.Fatal(err)
		}
		away.Store(c.away)
		var log strings.Builder
		i, err := Open(t.Context(), &l.Settings, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range c.want {
			n++
			if got := register(t, i, n, p); got != want {
				t.Errorf("%v: %q is refused with %q, want %q", c.env, p, got, want)
			}
		}
		if warned := log.Len() > 0; warned != slices.Contains(c.env, "GATEHOUSE_BREACH_RANGE_AWAY=accept") {
			t.Errorf("%v: the log: %q", c.env, log.String())
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestContextWords(t *testing.T) {
	for _, c := range []struct {
		url  string
		want []string
	}{
		{"", []string{"Acme", "Acme Tools", "Widgets", "Gatehouse"}},
		{"https://login.acme.example:8443", []string{"Acme", "Acme Tools", "Widgets", "Gatehouse", "login.acme.example"}},
		{"https://xn--bcher-kva.example", []string{"Acme", "Acme Tools", "Widgets", "Gatehouse", "xn--bcher-kva.example", "bücher.example"}},
		{"http://127.0.0.1:8080", []string{"Acme", "Acme Tools", "Widgets", "Gatehouse"}},
		{"http://[::1]", []string{"Acme", "Acme Tools", "Widgets", "Gatehouse"}},
	} {
		s := &Settings{SiteName: "Widgets", ContextWords: parseWords(" Acme,, Acme Tools ,"), URL: c.url}
		if got := s.contextWords(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.url, got, c.want)
		}
	}
	t.Chdir(t.TempDir())
	l, err := Load(Input{Flags: map[string]string{"site-name": "Widgets"}, Environ: []string{"GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1", "GATEHOUSE_CONTEXT_WORDS=Acme"}})
	if err != nil {
		t.Fatal(err)
	}
	i, err := Open(t.Context(), &l.Settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for n, p := range []string{"widgets1", "gatehouse", "Acme2026!", "acme-widgets"} {
		if got := register(t, i, n, p); got != "password_personal" {
			t.Errorf("%q is refused with %q, want password_personal", p, got)
		}
	}
}

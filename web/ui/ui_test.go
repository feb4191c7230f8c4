package ui_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/web/ui"
)

func TestMessage(t *testing.T) {
	u := newUI(t, ui.Config{})
	for _, c := range []struct {
		id   string
		args []any
		want string
	}{
		{"login.title", nil, "Log in"},
		{"error.password_too_short", []any{15}, "Use at least 15 characters."},
		{"sessions.terminate.which", []any{"curl", "192.0.2.1"}, "the session of curl at 192.0.2.1"},
		{"sessions.terminate.which", []any{"{1}", "b"}, "the session of {1} at b"}, // what is filled in is not looked at again
		{"sessions.terminate.which", []any{"curl"}, "the session of curl at {1}"},
		{"no.such.id", nil, ""},
		{"", []any{1}, ""},
	} {
		if got := u.Message(c.id, c.args...); got != c.want {
			t.Errorf("%s %v: got %q, want %q", c.id, c.args, got, c.want)
		}
	}
}

type counter struct{ writes int }

func (c *counter) Write(b []byte) (int, error) { c.writes++; return len(b), nil }

func TestRenderWritesAllOrNothing(t *testing.T) {
	// The page fails late, after more than any buffer of a writer would hold.
	u := newUI(t, ui.Config{Overrides: folder("templates/late.html",
		`{{define "title"}}x{{end}}{{define "main"}}`+strings.Repeat("x", 1<<17)+`{{if eq .Path "/fail"}}{{t .Path}}{{end}}{{end}}`)})
	var w counter
	if err := u.Render(&w, "late", &ui.Page{Path: "/fail"}); err == nil || w.writes != 0 {
		t.Errorf("err = %v after %d writes, want an error and none", err, w.writes)
	}
	if err := u.Render(&w, "late", &ui.Page{}); err != nil || w.writes != 1 {
		t.Errorf("err = %v after %d writes, want nil and one", err, w.writes)
	}
	for _, name := range []string{"nothing", "layout", "login.html", "../login", ""} {
		if err := u.Render(&w, name, &ui.Page{}); err == nil || w.writes != 1 {
			t.Errorf("%q: err = %v after %d writes, want an error and one", name, err, w.writes)
		}
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestRenderTellsOfAWriterThatFails(t *testing.T) {
	gone := errors.New("gone")
	if err := newUI(t, ui.Config{}).Render(broken{gone}, "login", &ui.Page{}); !errors.Is(err, gone) {
		t.Errorf("err = %v, want %v", err, gone)
	}
}

func TestRenderLeavesThePageAlone(t *testing.T) {
	p := ui.Page{}
	render(t, newUI(t, ui.Config{}), "login", &p)
	if p.Lang != "" || p.SiteName != "" || p.Home != "" {
		t.Errorf("changed to %+v", p)
	}
}

// Pages are rendered at once, and nobody sees what belongs to another.
func TestRenderAtOnce(t *testing.T) {
	u := newUI(t, ui.Config{})
	var wg sync.WaitGroup
	for i := range 8 {
		mine := strings.Repeat(string(rune('a'+i)), 20)
		wg.Go(func() {
			for range 50 {
				var b bytes.Buffer
				p := full()
				p.User.Name, p.Sessions = mine, nil
				if err := u.Render(&b, "dashboard", &p); err != nil {
					t.Error(err)
				}
				for j := range 8 {
					other := strings.Repeat(string(rune('a'+j)), 20)
					if got := strings.Contains(b.String(), other); got != (other == mine) {
						t.Errorf("%s in the page of %s: %v", other, mine, got)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestSiteName(t *testing.T) {
	for _, c := range []struct{ cfg, page, want string }{
		{"", "", "Log in · Gatehouse"}, {"Acme", "", "Log in · Acme"}, {"Acme", "Shop", "Log in · Shop"},
	} {
		d := parseDocument(render(t, newUI(t, ui.Config{SiteName: c.cfg}), "login", &ui.Page{SiteName: c.page}))
		if got := d.text(d.one("title")); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestTimesInWords(t *testing.T) {
	u := newUI(t, ui.Config{})
	for _, c := range []struct {
		ago  time.Duration
		want string
	}{
		{-time.Hour, "just now"}, // a clock that runs ahead
		{0, "just now"},
		{59 * time.Second, "just now"},
		{time.Minute, "1 minute ago"},
		{2*time.Minute - 1, "1 minute ago"},
		{59*time.Minute + 59*time.Second, "59 minutes ago"},
		{time.Hour, "1 hour ago"},
		{23*time.Hour + 59*time.Minute, "23 hours ago"},
		{24 * time.Hour, "1 day ago"},
		{47 * time.Hour, "1 day ago"},
		{30 * 24 * time.Hour, "30 days ago"},
	} {
		p := full()
		p.Sessions = []ui.Session{{Current: true, LastSeen: now.Add(-c.ago), CreatedAt: now}}
		d := parseDocument(render(t, u, "sessions", &p))
		if got := d.text(d.one("time")); !strings.HasPrefix(got, c.want+" (") {
			t.Errorf("%v: got %q, want %q", c.ago, got, c.want)
		}
	}
	// A time of another zone is told in UTC, and for machines as well.
	p := full()
	p.Now = time.Time{}
	p.Sessions = []ui.Session{{Current: true, LastSeen: time.Date(2027, 1, 1, 0, 5, 0, 0, time.FixedZone("", 3600)), CreatedAt: now}}
	d := parseDocument(render(t, u, "sessions", &p))
	first := d.one("time")
	if got, want := d.text(first), "31 December 2026, 23:05 UTC"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := attr(first, "datetime"), "2026-12-31T23:05:00Z"; got != want {
		t.Errorf("datetime: got %q, want %q", got, want)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newUI(b, ui.Config{})
	}
}

func BenchmarkRender(b *testing.B) {
	u := newUI(b, ui.Config{})
	p := full()
	for b.Loop() {
		var w counter
		if err := u.Render(&w, "sessions", &p); err != nil {
			b.Fatal(err)
		}
	}
}

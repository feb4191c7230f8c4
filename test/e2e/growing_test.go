//go:build linux

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// TestGrowing goes the way of somebody who begins with one process on SQLite and ends
// with several on other databases, with Redis in front: whoever is logged in stays so
// from the first step to the last, and whoever has logged out stays that.
func TestGrowing(t *testing.T) {
	p, r, m := service.Postgres(t, service.PostgresOptions{}), service.Redis(t), service.Mongo(t)
	data := filepath.Join(t.TempDir(), "data")
	tables, documents := p.URL(p.Database(t)), m.URI("gatehouse")
	env := func(settings ...string) []string {
		return append([]string{secretOf, "GATEHOUSE_DATA=" + data}, settings...)
	}
	move := func(from, to string) {
		t.Helper()
		if out, code := call(t, env(), "", "copy", from, to); code != 0 {
			t.Fatalf("copy: exit status %d\n%s", code, out)
		}
	}

	s := startWith(t, data, env(), cheap...)
	ann, ben, cay := member(t, s, "ann@example.com"), member(t, s, "ben@example.com"), member(t, s, "cay@example.com")
	stolen := ben.cookies()
	ben.post(t, "/api/auth/logout", "").want(t, "logout", 200)
	check := func(where string, s *server) {
		t.Helper()
		ann.base = s.url
		ann.get(t, "/api/auth/me").want(t, where+": me", 200)
		ann.post(t, "/api/auth/refresh", "").want(t, where+": refresh", 200)
		for path, method := range map[string]string{"/api/auth/me": "GET", "/api/auth/refresh": "POST"} {
			ben.base = s.url
			a, err := ben.send(t.Context(), stolen, method, path, "", "")
			must(t, err)
			a.want(t, where+": "+path+" after logout", 401)
		}
	}
	check("SQLite", s)
	s.stop()

	move("sqlite:"+filepath.Join(data, "gatehouse.db"), tables)
	s = startWith(t, data, env("GATEHOUSE_DATABASE="+tables), cheap...)
	check("PostgreSQL", s)
	s.stop()

	behind := env("GATEHOUSE_DATABASE="+tables, "GATEHOUSE_REDIS="+r.URL())
	s = startWith(t, data, behind, cheap...)
	check("PostgreSQL behind Redis", s)
	other := startWith(t, filepath.Join(t.TempDir(), "data"), behind, cheap...)
	check("another instance", other)
	stolen = cay.cookies()
	cay.base, ben = other.url, cay
	cay.post(t, "/api/auth/logout", "").want(t, "logout at another instance", 200)
	check("the first one again", s)
	s.stop()
	other.stop()

	move(tables, documents)
	s = startWith(t, data, env("GATEHOUSE_DATABASE="+documents, "GATEHOUSE_REDIS="+r.URL()), cheap...)
	check("MongoDB's stand-in behind the same Redis", s)
	s.stop()

	// Out of that Redis, and into another one.
	file, last := filepath.Join(t.TempDir(), "all.ndjson"), "sqlite:"+filepath.Join(t.TempDir(), "last.db")
	for _, c := range []struct{ settings, args []string }{
		{[]string{"GATEHOUSE_DATABASE=" + documents, "GATEHOUSE_REDIS=" + r.URL()}, []string{"export", file}},
		{[]string{"GATEHOUSE_DATABASE=" + last}, []string{"restore", file, "--as-is"}},
	} {
		if out, code := call(t, env(c.settings...), "", c.args...); code != 0 {
			t.Fatalf("%v: exit status %d\n%s", c.args, code, out)
		}
	}
	s = startWith(t, data, env("GATEHOUSE_DATABASE="+last, "GATEHOUSE_REDIS="+service.Redis(t).URL()), cheap...)
	check("SQLite behind another Redis", s)
	s.stop()
}

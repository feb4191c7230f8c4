//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// filling is a database that can be filled up.
type filling struct {
	data        string // the data folder, if it matters
	place       place
	fill, empty func()
	revive      func() error // what a supervisor does all the time; nil if nothing ends
	says        string       // what the log tells to do about it
	reads       bool         // it can be read while it is full

	// refused are the commands that cannot do their work, each with its settings,
	// and untouched says afterwards whether they have left anything.
	refused   map[string][]string
	untouched func()
}

// fillings are the databases that become full, each in a way of its own.
var fillings = map[string]func(*testing.T) filling{
	"SQLite": func(t *testing.T) filling {
		d := service.NewDisk(t, 64)
		return filling{
			data: filepath.Join(d.Path, "data"),
			fill: func() { d.Fill(t) }, empty: func() { d.Free(t) },
			says: "full", reads: true,
			refused: map[string][]string{"serve": {"GATEHOUSE_DATABASE=sqlite:" + filepath.Join(d.Path, "fresh.db")}},
		}
	},
	// What grows is refused; all else goes on.
	"PostgreSQL, tables": func(t *testing.T) filling {
		d := service.NewDisk(t, 64)
		p := service.Postgres(t, service.PostgresOptions{Durable: true})
		name, fresh, old := p.DatabaseIn(t, d.Path), p.DatabaseIn(t, d.Path), p.DatabaseIn(t, d.Path)
		p.Run(t, fresh, `SELECT 1`) // it has been connected to before
		p.Run(t, old, firstSchema(t))
		return filling{
			place: place{database: p.URL(name)},
			fill:  func() { d.Fill(t) }, empty: func() { d.Free(t) },
			says: "make room on the disk of the database", reads: true,
			refused: map[string][]string{"serve": {"GATEHOUSE_DATABASE=" + p.URL(fresh)}, "migrate": {"GATEHOUSE_DATABASE=" + p.URL(old)}},
			untouched: func() {
				p.Run(t, fresh, `CREATE SCHEMA gatehouse`)
				stillFirst(t, p.URL(old))
			},
		}
	},
	// A file that may not grow, as with a quota. There is room again when rows are
	// gone: nobody but root could raise the limit.
	"PostgreSQL, a file": func(t *testing.T) filling {
		p := service.Postgres(t, service.PostgresOptions{Durable: true, FileSize: 16})
		name := p.Database(t)
		return filling{
			place: place{database: p.URL(name)},
			fill: func() {
				c, err := pgx.Connect(t.Context(), p.URL(name))
				must(t, err)
				defer c.Close(t.Context())
				// From now on a row is put into a page that is nearly empty, or it grows the table.
				_, err = c.Exec(t.Context(), `ALTER TABLE gatehouse.sessions SET (fillfactor = 10); SET synchronous_commit TO off`)
				for n := 0; err == nil; n++ {
					_, err = c.Exec(t.Context(), `INSERT INTO gatehouse.sessions (id, version, user_id, epoch, generation, methods, user_agent, address) `+
						`VALUES ($1, 1, 'nobody', 1, 1, '[]', repeat('x', 1500), '')`, fmt.Sprint("ballast ", n))
				}
				if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "XX000" {
					t.Errorf("the table has become full with %v", err)
				}
			},
			empty: func() {
				p.Run(t, name, `ALTER TABLE gatehouse.sessions RESET (fillfactor); DELETE FROM gatehouse.sessions WHERE user_id = 'nobody'`)
				p.Run(t, name, `VACUUM gatehouse.sessions`)
			},
			says: "make room on the disk of the database, or see to a quota", reads: true,
		}
	},
	// PostgreSQL panics, and ends if it finds no room when it starts again.
	"PostgreSQL, log": func(t *testing.T) filling {
		d := service.NewDisk(t, 16)
		p := service.Postgres(t, service.PostgresOptions{Durable: true, WAL: d.Path})
		name, fresh, old := p.Database(t), p.Database(t), p.Database(t)
		p.Run(t, old, firstSchema(t))
		return filling{
			place: place{database: p.URL(name)},
			fill:  func() { d.Fill(t) }, empty: func() { d.Free(t) }, revive: p.Revive,
			says:    "its own log says why",
			refused: map[string][]string{"serve": {"GATEHOUSE_DATABASE=" + p.URL(fresh)}, "migrate": {"GATEHOUSE_DATABASE=" + p.URL(old)}},
			untouched: func() {
				p.Run(t, fresh, `CREATE SCHEMA gatehouse`)
				stillFirst(t, p.URL(old))
			},
		}
	},
	"Redis, memory": func(t *testing.T) filling {
		r := service.Redis(t)
		set := func(maxmemory string) func() {
			return func() {
				if out, err := r.Do("CONFIG", "SET", "maxmemory", maxmemory); out != "OK" {
					t.Fatal(out, err)
				}
			}
		}
		return filling{
			place: place{redis: r.URL()},
			fill:  set("1"), empty: set("0"),
			says: "give it more memory", reads: true,
			refused: map[string][]string{"serve": {"GATEHOUSE_REDIS=" + r.URL()}},
		}
	},
	// With appendfsync everysec Redis refuses to write, and goes on.
	"Redis, disk": func(t *testing.T) filling {
		d := service.NewDisk(t, 4)
		r, err := service.StartRedis(d.Path, "--appendfsync", "everysec")
		must(t, err)
		t.Cleanup(r.Kill)
		return filling{
			place: place{redis: r.URL()},
			fill:  func() { d.Fill(t) }, empty: func() { d.Free(t) },
			says: "free some space", reads: true,
			refused: map[string][]string{"serve": {"GATEHOUSE_REDIS=" + r.URL()}},
		}
	},
	// With appendfsync always it ends, because it cannot take back what it has done.
	"Redis, disk and always": func(t *testing.T) filling {
		d := service.NewDisk(t, 4)
		r, err := service.StartRedis(d.Path)
		must(t, err)
		t.Cleanup(r.Kill)
		return filling{
			place: place{redis: r.URL()},
			fill:  func() { d.Fill(t) }, empty: func() { d.Free(t) }, revive: r.Revive,
			says:    "is it running?",
			refused: map[string][]string{"serve": {"GATEHOUSE_REDIS=" + r.URL()}},
		}
	},
}

// firstSchema makes a database as the first schema left it.
func firstSchema(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "..", "store", "postgres", "testdata", "schema1.sql"))
	must(t, err)
	return string(script)
}

// stillFirst: that database is what it was.
func stillFirst(t *testing.T, url string) {
	t.Helper()
	if out, code := call(t, []string{secretOf, "GATEHOUSE_DATABASE=" + url}, "", "migrate", "--dry-run"); code != 0 || !strings.Contains(out, "schema 1, wanted") {
		t.Errorf("the schema of before: exit status %d\n%s", code, out)
	}
}

// TestFull fills the database while people use it, and makes room again: what
// cannot be done is answered 503, nobody hears that the password is wrong or is
// logged out, what can be read is read, the log says what to do, and everything
// that was acknowledged is there afterwards, without any help.
func TestFull(t *testing.T) {
	for name, open := range fillings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			if f.data == "" {
				f.data = filepath.Join(t.TempDir(), "data")
			}
			w := newWreck(t, backend{place: f.place, people: 4}, f.data)
			w.up("--log-level", "warn", "--log-format", "json")
			w.settle()
			ann := member(t, w.server, "ann@example.com")
			member(t, w.server, "bob@example.com")
			w.load(0, func() {
				w.away.Store(true)
				f.fill()
				f.watch(t, w.server, ann)
				f.empty()
				w.slowest = eventually(t, 30*time.Second, "it works again", func() bool {
					if f.revive != nil {
						must(t, f.revive())
					}
					return ann.get(t, "/readyz").status == 200 &&
						newBrowser(w.server).post(t, "/api/auth/login", credentials("bob@example.com")).status == 200
				})
				pause(500 * time.Millisecond) // those that are under way
				w.away.Store(false)
				pause(200 * time.Millisecond)
			})()
			if f.untouched != nil {
				f.untouched()
			}
			w.check("after the database was full")
			w.kill()
			if _, err := os.Stat(w.server.database()); err == nil {
				checkIntegrity(t, w.server.database())
			}
			w.up("--log-level", "error")
			w.check("after a restart")
			ann.base = w.server.url
			ann.post(t, "/api/auth/refresh", "").want(t, "refresh of somebody who was there while it was full", 200)
			ann.get(t, "/api/auth/me").want(t, "me", 200)
			w.reckon()
			w.proves(50, "register done", "refresh done")
		})
	}
}

// watch does what people do while the database is full, and tries to start on it.
func (f filling) watch(t *testing.T, s *server, ann *browser) {
	t.Helper()
	right, wrong := credentials("bob@example.com"), `{"email":"bob@example.com","password":"not the right one"}`
	took := eventually(t, 20*time.Second, "the database is full", func() bool {
		// What /readyz says is as of a moment ago.
		return newBrowser(s).post(t, "/api/auth/login", right).status != 200 && ann.get(t, "/readyz").status != 200
	})
	t.Logf("full after %v", took)
	held, refused := ann.cookies(), 0
	for range 10 {
		// A page of a table may have room for one more yet.
		if a := newBrowser(s).post(t, "/api/auth/login", right); a.status != 200 {
			unavailable(t, "login", a)
			refused++
		}
		if a := newBrowser(s).post(t, "/api/auth/login", wrong); a.status != 401 {
			unavailable(t, "login with a wrong password", a)
		}
		if me := ann.get(t, "/api/auth/me"); f.reads {
			me.want(t, "me", 200)
		} else {
			unavailable(t, "me", me)
		}
		if a := ann.post(t, "/api/auth/refresh", ""); a.status == 200 {
			held = ann.cookies() // PostgreSQL changes it in its place
		} else {
			unavailable(t, "refresh", a)
		}
		if now := ann.cookies(); !maps.Equal(now, held) {
			t.Error("a refresh that failed changed the cookies")
		}
		ann.get(t, "/livez").want(t, "livez", 200)
		if a := ann.get(t, "/readyz"); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("readyz: %v, want 503 with Retry-After", a)
		}
		pause(50 * time.Millisecond)
	}
	if refused < 5 {
		t.Errorf("%d of 10 logins were refused: it was not full", refused)
	}
	said := ""
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, `"msg":"not ready"`) {
			said = line
		}
	}
	if !strings.Contains(said, f.says) {
		t.Errorf("the log does not say that it is not ready, and %q: %s", f.says, said)
	}
	for command, settings := range f.refused {
		env := append([]string{secretOf, "GATEHOUSE_LISTEN=127.0.0.1:0", "GATEHOUSE_DATA=" + filepath.Join(t.TempDir(), "data")}, settings...)
		out, code := call(t, env, "", command)
		if code != 1 || !strings.Contains(out, f.says) || strings.Contains(out, "Gatehouse is ready") || strings.Count(out, "\n") > 1 {
			t.Errorf("%s: exit status %d, want 1 and one line with %q:\n%s", command, code, f.says, out)
		}
	}
	if f.reads && strings.HasPrefix(f.place.database, "postgres:") {
		another := startWith(t, filepath.Join(t.TempDir(), "data"), append([]string{secretOf}, f.place.env()...), append(cheap, "--log-level", "warn")...)
		b := newBrowser(another)
		b.jar = ann.cookies()
		b.get(t, "/api/auth/me").want(t, "me at an instance that was started meanwhile", 200)
		another.kill()
	}
}

//go:build linux

package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/redis"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// page is a page of the documentation, whose commands the tests run as they are.
type page struct {
	t    *testing.T
	name string
	text string
}

func open(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	must(t, err)
	return page{t, name, string(text)}
}

// command is the one indented line that begins like that, without its comment.
func (p page) command(begin string) string {
	p.t.Helper()
	found := regexp.MustCompile(`(?m)^    `+regexp.QuoteMeta(begin)+`.*$`).FindAllString(p.text, -1)
	if len(found) != 1 {
		p.t.Fatalf("%s has %d lines that begin with %q, want 1", p.name, len(found), begin)
	}
	line, _, _ := strings.Cut(found[0], " #")
	return strings.TrimSpace(line)
}

// gatehouse is such a line as the arguments of the binary.
func (p page) gatehouse(arguments string) []string {
	p.t.Helper()
	return strings.Fields(strings.TrimPrefix(p.command("gatehouse "+arguments), "gatehouse "))
}

// block is the SQL that has this piece.
func (p page) block(piece string) string {
	p.t.Helper()
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(p.text, -1) {
		if strings.Contains(block[1], piece) {
			return block[1]
		}
	}
	p.t.Fatalf("%s has no SQL with %q", p.name, piece)
	return ""
}

// past are people at the time of a backup, and what they did since.
type past struct {
	t *testing.T

	ann, bob, carl, carla, dave *browser
	book                        ledger // of registrations that were acknowledged before the backup
	keys                        string
}

// before has people log in, and more of them come until the backup is made.
func before(t *testing.T, s *server, backUp func()) *past {
	t.Helper()
	p := &past{
		t: t, ann: member(t, s, "ann@example.com"), bob: member(t, s, "bob@example.com"), carl: member(t, s, "carl@example.com"),
		keys: string(newBrowser(s).get(t, "/.well-known/jwks.json").body),
	}
	var stop atomic.Bool
	var started, all sync.WaitGroup
	for i := range 4 {
		started.Add(1)
		all.Go(func() {
			b := newBrowser(s)
			for n := 0; n < 5 || !stop.Load(); n++ {
				email := fmt.Sprintf("new-%d-%d@example.com", i, n)
				b.post(t, "/api/auth/register", credentials(email)).want(t, "register", 201)
				if n < 5 {
					p.book.book(email, true)
				}
				if n == 4 {
					started.Done()
				}
			}
		})
	}
	started.Wait()
	backUp()
	stop.Store(true)
	all.Wait()
	return p
}

// after is what they do when the backup has been made: ann goes on, bob logs out,
// carl logs in elsewhere as well, and dave is new.
func (p *past) after(s *server) {
	p.t.Helper()
	p.ann.post(p.t, "/api/auth/refresh", "").want(p.t, "refresh after the backup", 200)
	bob := newBrowser(s)
	bob.jar = p.bob.cookies()
	bob.post(p.t, "/api/auth/logout", "").want(p.t, "logout after the backup", 200)
	p.bob.post(p.t, "/api/auth/refresh", "").want(p.t, "refresh of a session that has ended", 401)
	p.carla = newBrowser(s)
	p.carla.post(p.t, "/api/auth/login", credentials("carl@example.com")).want(p.t, "login after the backup", 200)
	p.dave = member(p.t, s, "dave@example.com")
}

// good says whose sessions are good again, and whether dave is there and the signing
// keys are those of the backup.
type good struct{ ann, bob, carl, carla, dave, keys bool }

// hold compares that with what the service says, which is on a database that was
// brought back.
func (p *past) hold(s *server, want good) {
	t := p.t
	t.Helper()
	for _, c := range []struct {
		who  string
		b    *browser
		good bool
	}{
		{"ann, who refreshed since the backup", p.ann, want.ann},
		{"bob, who logged out since", p.bob, want.bob},
		{"carl, who did nothing since", p.carl, want.carl},
		{"carl where he logged in since", p.carla, want.carla},
		{"dave, who came since", p.dave, false}, // of no backup
	} {
		b := newBrowser(s)
		b.jar = c.b.cookies()
		status := map[bool]int{true: 200, false: 401}[c.good]
		// An access token shows the session, which ann's refresh token ends.
		if c.b != p.ann {
			b.get(t, "/api/auth/me").want(t, "me of "+c.who, status)
		}
		b.post(t, "/api/auth/refresh", "").want(t, "refresh of "+c.who, status)
		b.get(t, "/api/auth/me").want(t, "me, later, of "+c.who, status)
	}
	newBrowser(s).post(t, "/api/auth/login", credentials("dave@example.com")).want(t, "login of dave", map[bool]int{true: 200, false: 401}[want.dave])
	canLogIn(t, s, append([]string{"ann@example.com", "bob@example.com", "carl@example.com"}, p.book.done...))
	if now := string(newBrowser(s).get(t, "/.well-known/jwks.json").body); (now == p.keys) != want.keys {
		t.Errorf("the signing keys are those of the backup: %v, want %v", now == p.keys, want.keys)
	}
}

// flags are the ways of restoring, and what each brings back of a database that
// holds all there is.
var flags = []struct {
	flag       string
	good       good
	challenges string // and tasks
}{
	{"", good{}, "0"},
	{"--keep-sessions", good{bob: true, carl: true, keys: true}, "0"},
	{"--as-is", good{bob: true, carl: true, keys: true}, "1"},
}

// waiting makes a single-use proof and a piece of work, as features keep them.
const waiting = `INSERT INTO challenges (id, version, kind, user_id, attempts, created_at, expires_at) VALUES ('c1', 1, 'test', '', 0, 0, 99999999999999);
INSERT INTO tasks (id, version, kind, attempts, due_at, created_at, expires_at) VALUES ('t1', 1, 'test', 0, 99999999999998, 0, 99999999999999)`

// TestPostgresBackup runs what docs/postgres.md says, line by line: set up, join,
// back up under load, bring back, begin anew.
func TestPostgresBackup(t *testing.T) {
	p, doc := service.Postgres(t, service.PostgresOptions{}), open(t, "postgres.md")
	folder := t.TempDir()
	must(t, os.Chmod(folder, 0o755))
	p.Run(t, "postgres", `CREATE DATABASE app`)
	p.Run(t, "postgres", `CREATE ROLE app`)
	const password = "hunter22"
	p.Run(t, "app", strings.Replace(doc.block("CREATE ROLE gatehouse"), "'…'", "'"+password+"'", 1))
	env := []string{secretOf, "GATEHOUSE_DATABASE=" + p.URLOf("gatehouse", password, "app")}
	s := startWith(t, filepath.Join(folder, "data"), env, append(cheap, "--log-level", "error")...)
	p.Run(t, "app", doc.block("CREATE TABLE orders"))
	run := func(user, password, line string) {
		t.Helper()
		if out, err := p.Shell(t, folder, user, password, line); err != nil || strings.Contains(out, "error") {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	p.Run(t, "app", `SET search_path TO gatehouse; `+waiting)
	was := before(t, s, func() { run("gatehouse", password, doc.command("pg_dump -Fc")) })
	was.after(s)
	p.Run(t, "app", `INSERT INTO orders SELECT row_number() OVER (), id FROM gatehouse.users`)
	p.Run(t, "app", `DELETE FROM gatehouse.challenges; DELETE FROM gatehouse.tasks`)
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	for _, c := range flags {
		run("postgres", service.PostgresPassword, doc.command("psql -d app"))
		run("postgres", service.PostgresPassword, doc.command("pg_restore"))
		args := doc.gatehouse("restore")
		if c.flag != "" {
			args = append(args, c.flag)
		}
		if out, code := call(t, env, "", args...); code != 0 {
			t.Fatalf("restore %s: exit status %d\n%s", c.flag, code, out)
		}
		p.Run(t, "app", `DO $$ BEGIN
IF (SELECT count(*) FROM gatehouse.challenges WHERE id = 'c1') <> `+c.challenges+` OR (SELECT count(*) FROM gatehouse.tasks WHERE id = 't1') <> `+c.challenges+`
THEN RAISE 'challenges and tasks of the backup: want `+c.challenges+`'; END IF; END $$`)
		p.Run(t, "app", doc.block("DROP SCHEMA"))
		p.Run(t, "app", `DO $$ BEGIN IF (SELECT count(*) FROM orders WHERE user_id IS NOT NULL) < 20 THEN RAISE 'orders lost their users'; END IF; END $$`)
		s := startWith(t, filepath.Join(folder, "data"), env, append(cheap, "--log-level", "error")...)
		was.hold(s, c.good)
		s.stop()
		if out, code := call(t, env, "", "events", "verify"); code != 0 {
			t.Errorf("events verify after restore %s: exit status %d\n%s", c.flag, code, out)
		}
	}
}

// TestPostgresOwner runs what docs/postgres.md says about two roles, line by line: one
// makes the tables in an empty database, and the other one serves, in either order of
// the rights and the tables, with and without a secret that is set.
func TestPostgresOwner(t *testing.T) {
	p, doc := service.Postgres(t, service.PostgresOptions{}), open(t, "postgres.md")
	const password = "hunter22"
	p.Run(t, "postgres", `CREATE DATABASE app`)
	p.Run(t, "postgres", `REVOKE ALL ON DATABASE app FROM PUBLIC`)
	p.Run(t, "app", strings.ReplaceAll(doc.block("CREATE ROLE owner"), "'…'", "'"+password+"'"))
	data := filepath.Join(t.TempDir(), "data")
	as := func(role string) []string {
		return []string{"GATEHOUSE_DATA=" + data, "GATEHOUSE_LISTEN=127.0.0.1:0", "GATEHOUSE_DATABASE=" + p.URLOf(role, password, "app")}
	}
	expect := func(role, want string, status int, args ...string) {
		t.Helper()
		if out, code := call(t, as(role), "", args...); code != status || !strings.Contains(out, want) {
			t.Errorf("%v as %s: exit status %d, want %d and %q\n%s", args, role, code, status, want, out)
		}
	}
	migrate := strings.Fields(doc.command("GATEHOUSE_DATABASE=postgres://owner:"))[1:]
	if len(migrate) != 2 || migrate[0] != "gatehouse" {
		t.Fatalf("the command is %q", migrate)
	}
	empty := p.Dump(t, "app")
	expect("service", "gatehouse migrate", 1, "serve", "--data", t.TempDir())
	expect("service", "gatehouse migrate", 1, migrate[1:]...)
	expect("owner", "schema 0, wanted", 0, append(migrate[1:], "--dry-run")...)
	expect("owner", "gatehouse migrate", 3, "user", "list")
	if p.Dump(t, "app") != empty {
		t.Error("the database was changed")
	}
	expect("owner", "schema 0, wanted", 0, migrate[1:]...)
	expect("owner", "nothing to do", 0, migrate[1:]...)
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("migrate has made a data folder: %v", err)
	}

	// No secret is set: the service makes one, since nobody was ever here.
	serve := func() *server {
		t.Helper()
		return startWith(t, data, as("service")[1:], append(cheap, "--log-level", "error")...)
	}
	s := serve()
	ann := member(t, s, "ann@example.com")
	s.stop()
	if _, err := os.Stat(filepath.Join(data, "secret")); err != nil {
		t.Error(err)
	}
	s = serve()
	ann.base = s.url
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh after a restart", 200)
	s.stop()

	// Now somebody was, and a secret is not made again.
	must(t, os.RemoveAll(data))
	expect("service", "no master secret for it", 1, "serve")

	// Rights that are given for tables that are there.
	p.Run(t, "app", `REVOKE ALL ON ALL TABLES IN SCHEMA gatehouse FROM service`)
	grant := doc.block("ON ALL TABLES IN SCHEMA gatehouse TO service")
	expect("service", strings.TrimSuffix(strings.TrimSpace(strings.Replace(grant, "TO service", `TO "service"`, 1)), ";"), 1, "serve")
	p.Run(t, "app", grant)
	expect("service", "no master secret for it", 1, "serve")
}

// TestSQLiteBackup is the same with backup and restore.
func TestSQLiteBackup(t *testing.T) {
	folder := t.TempDir()
	env := []string{secretOf, "GATEHOUSE_DATA=" + filepath.Join(folder, "data")}
	s := startWith(t, filepath.Join(folder, "data"), env, append(cheap, "--log-level", "error")...)
	challenges := func(do string) string {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+s.database()+"?mode=rw&_pragma=busy_timeout(5000)")
		must(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), do)
		must(t, err)
		var c, w string
		must(t, db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM challenges WHERE id = 'c1'), (SELECT count(*) FROM tasks WHERE id = 't1')`).Scan(&c, &w))
		if c != w {
			return c + " and " + w
		}
		return c
	}
	challenges(waiting)
	backup := filepath.Join(folder, "backup.db")
	was := before(t, s, func() {
		if out, code := call(t, env, "", "backup", backup); code != 0 {
			t.Fatalf("backup: exit status %d\n%s", code, out)
		}
	})
	was.after(s)
	challenges(`DELETE FROM challenges; DELETE FROM tasks WHERE id = 't1'`)
	s.stop()
	for _, c := range flags {
		args := []string{"restore", backup, "--force"}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		if out, code := call(t, env, "", args...); code != 0 {
			t.Fatalf("restore %s: exit status %d\n%s", c.flag, code, out)
		}
		if got := challenges(`SELECT 1`); got != c.challenges {
			t.Errorf("restore %s: of challenges and tasks of the backup there are %s each, want %s", c.flag, got, c.challenges)
		}
		s := startWith(t, filepath.Join(folder, "data"), env, append(cheap, "--log-level", "error")...)
		was.hold(s, c.good)
		s.stop()
	}
}

// TestBackupWithRedis has sessions in Redis, and brings back Redis without the
// database, and the database without Redis, and loses Redis.
func TestBackupWithRedis(t *testing.T) {
	r, doc := service.Redis(t), open(t, "redis.md")
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	env := []string{secretOf, "GATEHOUSE_DATA=" + data, "GATEHOUSE_REDIS=" + r.URL(), "GATEHOUSE_LISTEN=127.0.0.1:0"}
	up := func() *server {
		t.Helper()
		return startWith(t, data, env, append(cheap, "--log-level", "error")...)
	}
	run := func(args ...string) {
		t.Helper()
		if out, code := call(t, env, "", args...); code != 0 {
			t.Fatalf("%v: exit status %d\n%s", args, code, out)
		}
	}
	keep := func(name string) { must(t, os.CopyFS(filepath.Join(folder, name), os.DirFS(r.Folder))) }
	redisBack := func(name string) {
		t.Helper()
		r.Stop()
		must(t, os.RemoveAll(r.Folder))
		must(t, os.CopyFS(r.Folder, os.DirFS(filepath.Join(folder, name))))
		must(t, r.Start())
		must(t, inRedis(t, r).CreateChallenge(t.Context(), &gatehouse.Challenge{ID: "c1", Kind: "test", ExpiresAt: time.Now().Add(time.Hour)}))
	}
	s := up()
	backup := filepath.Join(folder, "backup.db")
	was := before(t, s, func() {
		run("backup", backup)
		keep("then")
	})
	was.after(s)
	s.stop()
	keep("now")

	for _, c := range []struct {
		redis, flag string
		database    bool // is brought back as well
		good        good
	}{
		{"then", "--keep-sessions", false, good{bob: true, carl: true, dave: true, keys: true}},
		{"then", "", false, good{dave: true}},
		{"now", "--keep-sessions", true, good{ann: true, carl: true, carla: true, keys: true}},
		{"now", "", true, good{}},
		{"then", "", true, good{}},
	} {
		if c.database {
			// By hand, as if by tools that Gatehouse knows nothing of.
			for _, ending := range []string{"-wal", "-shm"} {
				_ = os.Remove(filepath.Join(data, "gatehouse.db"+ending)) // there may be none
			}
			file, err := os.ReadFile(backup)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(data, "gatehouse.db"), file, 0o600))
		}
		redisBack(c.redis)
		args := open(t, "moving.md").gatehouse("restore --after")
		if c.flag != "" {
			args = append(args, c.flag)
		}
		run(args...)
		if _, err := inRedis(t, r).TakeChallenge(t.Context(), "c1"); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("a single-use proof of before: %v, want ErrNotFound", err)
		}
		s := up()
		was.hold(s, c.good)
		s.stop()
	}

	if out, err := r.Do("FLUSHALL"); out != "OK" {
		t.Fatal(out, err)
	}
	if out, code := call(t, env, "", "serve"); code != 1 || !strings.Contains(out, "gatehouse redis leave") {
		t.Errorf("serve with a Redis that has lost everything: exit status %d, want 1 and what to do\n%s", code, out)
	}
	run(append(doc.gatehouse("redis leave"), "--yes")...)
	was.hold(up(), good{})
}

// inRedis is what lies in a Redis, in front of an empty store.
func inRedis(t *testing.T, r *service.RedisServer) gatehouse.Store {
	t.Helper()
	client, err := redis.Open(t.Context(), r.URL(), redis.Options{Key: gatehouse.NewSecret(make([]byte, 32))})
	must(t, err)
	t.Cleanup(client.Close)
	s, err := client.Store(t.Context(), memory.New())
	must(t, err)
	return s
}

//go:build linux

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/redis"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// TestDatabasesThatCannotBeUsed starts the binary with addresses that are no good:
// it says in one line what is wrong and what to do, ends with 1, shows no password,
// and leaves everything as it was.
func TestDatabasesThatCannotBeUsed(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{})
	r := service.Redis(t, "--requirepass", "hunter22")
	nobody := deaf(t)

	foreign := p.Database(t)
	p.Run(t, foreign, `CREATE SCHEMA gatehouse; CREATE TABLE gatehouse.users (id INT); INSERT INTO gatehouse.users VALUES (1)`)
	newer := p.Database(t)
	if out, code := call(t, []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(newer)}, "", "user", "list"); code != 3 {
		t.Errorf("user list without a database: exit status %d\n%s", code, out)
	}
	started := startWith(t, filepath.Join(t.TempDir(), "data"), []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(newer)}, cheap...)
	started.stop()
	p.Run(t, newer, `UPDATE gatehouse.gatehouse_schema SET version = 1000, oldest = 999`)
	readOnly := p.Database(t)
	p.Run(t, readOnly, `ALTER DATABASE `+readOnly+` SET default_transaction_read_only TO on`)
	latin := "latin"
	p.Run(t, "postgres", `CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	p.Run(t, "postgres", `CREATE ROLE poor LOGIN PASSWORD 'hunter22'`)
	poor := p.Database(t)
	// Where a restore was broken off the constraints are missing, which come last.
	half := p.Database(t)
	startWith(t, filepath.Join(t.TempDir(), "data"), []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(half)}, cheap...).stop()
	p.Run(t, half, `ALTER TABLE gatehouse.users DROP CONSTRAINT users_email_key_key`)
	files := t.TempDir()
	startWith(t, filepath.Join(files, "newer"), []string{secretOf}, cheap...).stop()
	for name, statements := range map[string]string{"newer/gatehouse.db": `UPDATE gatehouse_schema SET version = 1000, oldest = 999`, "foreign.db": `CREATE TABLE users (id INT)`} {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(files, name))
		must(t, err)
		_, err = db.ExecContext(t.Context(), statements)
		must(t, errors.Join(err, db.Close()))
	}
	must(t, os.WriteFile(filepath.Join(files, "text.db"), bytes.Repeat([]byte("no database "), 100), 0o600))

	all := func() map[string]string {
		was := map[string]string{}
		for _, database := range []string{foreign, newer, readOnly, latin, poor, half} {
			was[database] = p.Dump(t, database)
		}
		must(t, filepath.WalkDir(files, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			was[name] = string(content)
			return err
		}))
		return was
	}
	before := all()
	for name, c := range map[string]struct{ env, want string }{
		"PostgreSQL, no server":       {"GATEHOUSE_DATABASE=postgres://ann:hunter22@" + nobody + "/app", "connection refused"},
		"PostgreSQL, wrong password":  {"GATEHOUSE_DATABASE=" + p.URLOf("postgres", "hunter22", newer), "password"},
		"PostgreSQL, no database":     {"GATEHOUSE_DATABASE=" + p.URL("nowhere"), "nowhere"},
		"PostgreSQL, foreign schema":  {"GATEHOUSE_DATABASE=" + p.URL(foreign), "what belongs to another program; choose another with ?schema=NAME"},
		"PostgreSQL, newer schema":    {"GATEHOUSE_DATABASE=" + p.URL(newer), "newer version"},
		"PostgreSQL, read-only":       {"GATEHOUSE_DATABASE=" + p.URL(readOnly), "read-only"},
		"PostgreSQL, no Unicode":      {"GATEHOUSE_DATABASE=" + p.URL(latin), "its encoding is LATIN1"},
		"PostgreSQL, no rights":       {"GATEHOUSE_DATABASE=" + p.URLOf("poor", "hunter22", poor), "GRANT"},
		"PostgreSQL, half restored":   {"GATEHOUSE_DATABASE=" + p.URL(half), "lacks unique index (email_key) of table users"},
		"PostgreSQL, no TLS":          {"GATEHOUSE_DATABASE=" + p.URL(newer) + "?sslmode=verify-full", "say sslmode=disable"},
		"PostgreSQL, bad parameter":   {"GATEHOUSE_DATABASE=" + p.URL(newer) + "?pool_max_conns=0", "pool_max_conns too small"},
		"SQLite, newer schema":        {"GATEHOUSE_DATABASE=sqlite:" + filepath.Join(files, "newer", "gatehouse.db"), "newer version"},
		"SQLite, another program's":   {"GATEHOUSE_DATABASE=sqlite:" + filepath.Join(files, "foreign.db"), "of another program"},
		"SQLite, no database":         {"GATEHOUSE_DATABASE=sqlite:" + filepath.Join(files, "text.db"), "no SQLite database"},
		"MongoDB, no server":          {"GATEHOUSE_DATABASE=mongodb://ann:hunter22@" + nobody + "/app", "start MongoDB there"},
		"Redis, no server":            {"GATEHOUSE_REDIS=redis://:hunter22@" + nobody, "is it running?"},
		"Redis, no password":          {"GATEHOUSE_REDIS=" + r.URL(), "password"},
		"Redis, wrong password":       {"GATEHOUSE_REDIS=redis://:hunter23@" + r.Address(), "password"},
		"SQLite, no folder":           {"GATEHOUSE_DATABASE=sqlite:/nowhere/at/all.db", "folder"},
		"a server that speaks no SQL": {"GATEHOUSE_DATABASE=postgres://ann:hunter22@" + r.Address() + "/app", "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			out, code := call(t, []string{secretOf, c.env, "GATEHOUSE_LISTEN=127.0.0.1:0"}, "", "serve")
			if code != 1 || !strings.Contains(out, c.want) || strings.Contains(out, "Gatehouse is ready") {
				t.Errorf("exit status %d, want 1 and %q:\n%s", code, c.want, out)
			}
			if strings.Contains(out, "hunter2") || strings.Contains(out, service.PostgresPassword) {
				t.Errorf("the password is shown:\n%s", out)
			}
			if strings.Contains(out, "%!") || strings.Contains(name, "PostgreSQL") && strings.Count(out, "refused") > 1 {
				t.Errorf("that is no plain sentence:\n%s", out)
			}
			if n := strings.Count(strings.TrimSpace(out), "\n"); n > 3 {
				t.Errorf("that takes %d lines:\n%s", n+1, out)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v to say so", took)
			}
		})
	}
	for database, want := range map[string]string{foreign: "another program", half: "lacks unique index"} {
		for _, command := range []string{"migrate", "user list"} {
			out, code := call(t, []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(database)}, "", strings.Fields(command)...)
			if code != 1 || !strings.Contains(out, want) {
				t.Errorf("%s: exit status %d, want 1 and %q\n%s", command, code, want, out)
			}
		}
	}
	after := all()
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s was not there before", name)
		}
	}
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s is not what it was: %.2000q", name, after[name])
		}
	}
}

// TestDatabasesThatDoNotAnswer: whoever comes to a PostgreSQL while its tables are
// locked, or through a network that has stalled, learns it in time.
func TestDatabasesThatDoNotAnswer(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{})
	locked, made := p.Database(t), p.Database(t)
	for _, database := range []string{locked, made} {
		startWith(t, filepath.Join(t.TempDir(), "data"), []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(database)}, cheap...).stop()
	}
	holder, err := pgx.Connect(t.Context(), p.URL(locked))
	must(t, err)
	_, err = holder.Exec(t.Context(), `BEGIN; LOCK TABLE gatehouse.gatehouse_schema`)
	must(t, err)
	through := func(r *road) string { return strings.Replace(p.URL(made), strconv.Itoa(p.Port()), r.port(), 1) }
	early, late := newRoad(t, "127.0.0.1:"+strconv.Itoa(p.Port())), newRoad(t, "127.0.0.1:"+strconv.Itoa(p.Port()))
	early.stall(900)
	late.stall(900)
	// Each has a road of its own, which stalls when it has carried enough.
	var all sync.WaitGroup
	for _, c := range []struct{ name, url, command, want string }{
		{"locked", p.URL(locked), "serve", "another transaction holds the tables"},
		{"locked", p.URL(locked), "user list", "another transaction holds the tables"},
		{"stalled", through(early), "serve", "did not answer in time"},
		{"stalled", through(late), "user list", "did not answer in time"},
	} {
		all.Go(func() {
			began := time.Now()
			out, code := call(t, []string{secretOf, "GATEHOUSE_DATABASE=" + c.url, "GATEHOUSE_LISTEN=127.0.0.1:0"}, "", strings.Fields(c.command)...)
			if code != 1 || !strings.Contains(out, c.want) || strings.Count(strings.TrimSpace(out), "\n") > 3 {
				t.Errorf("%s, %s: exit status %d, want 1 and %q:\n%s", c.name, c.command, code, c.want, out)
			}
			t.Logf("%s, %s: after %v", c.name, c.command, time.Since(began))
		})
	}
	all.Wait()
	must(t, holder.Close(t.Context()))
	startWith(t, filepath.Join(t.TempDir(), "data"), []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(locked)}, cheap...).stop()
}

// TestAStartWaitsForWhoMigrates: an instance that comes while another one migrates
// says that it waits, and goes on when that is done.
func TestAStartWaitsForWhoMigrates(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{})
	database := p.Database(t)
	holder, err := pgx.Connect(t.Context(), p.URL(database))
	must(t, err)
	h := fnv.New64a()
	h.Write([]byte("gatehouse: migrate schema gatehouse"))
	_, err = holder.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, int64(h.Sum64()))
	must(t, err)
	cmd := command(t, []string{secretOf, "GATEHOUSE_DATABASE=" + p.URL(database)}, append([]string{"serve", "--listen", "127.0.0.1:0"}, cheap...)...)
	log, done := newOutput(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	must(t, launch(cmd))
	go func() {
		_ = cmd.Wait() // the status is in ProcessState
		close(done)
	}()
	if log.wait(regexp.MustCompile(`waiting for another instance that migrates schema gatehouse, for 5m0s at most`), 20*time.Second, done) == nil {
		t.Errorf("it does not say that it waits:\n%s", log)
	}
	if strings.Contains(log.String(), "Gatehouse is ready") {
		t.Errorf("it did not wait:\n%s", log)
	}
	must(t, holder.Close(t.Context()))
	if log.wait(address, 20*time.Second, done) == nil {
		t.Errorf("it does not go on:\n%s", log)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	<-done
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d\n%s", code, log)
	}
}

// deaf is an address on which nobody listens.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestFaultsOfPostgres lets the database become slow, read-only and full while it is
// in use: the answer is 503 within a bound, nobody is logged out, nothing that was
// not acknowledged happened by half, and all goes on by itself.
func TestFaultsOfPostgres(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{})
	name := p.Database(t)
	road := newRoad(t, "127.0.0.1:"+strconv.Itoa(p.Port()))
	s := startWith(t, filepath.Join(t.TempDir(), "data"), []string{
		secretOf, "GATEHOUSE_DATABASE=" + strings.Replace(p.URL(name), strconv.Itoa(p.Port()), road.port(), 1),
	}, append(cheap, "--log-level", "error")...)
	b := member(t, s, "ann@example.com")

	unavailable := func(what string, within time.Duration) {
		t.Helper()
		began := time.Now()
		for _, a := range []*answer{
			b.do(t, "POST", "/api/auth/refresh", "", ""),
			newBrowser(s).post(t, "/api/auth/login", credentials("ann@example.com")),
			newBrowser(s).post(t, "/api/auth/register", credentials("bob@example.com")),
		} {
			if a.status != 503 || a.header.Get("Retry-After") == "" || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%s: %v, want 503 with Retry-After and without cookies", what, a)
			}
		}
		if took := time.Since(began); took > within {
			t.Errorf("%s: three answers took %v", what, took)
		}
	}
	works := func(after string) {
		t.Helper()
		eventually(t, 10*time.Second, "it works after "+after, func() bool {
			a, err := newBrowser(s).try("GET", "/readyz", "", "")
			return err == nil && a.status == 200
		})
		// A write that is lost with its connection is 503: there may be several yet.
		eventually(t, 10*time.Second, "refresh after "+after, func() bool {
			a := b.do(t, "POST", "/api/auth/refresh", "", "")
			if a.status != 200 && a.status != 503 {
				t.Fatalf("refresh after %s: %v", after, a)
			}
			return a.status == 200
		})
		b.get(t, "/api/auth/me").want(t, "me after "+after, 200)
	}

	road.hold(true)
	pause(time.Second) // what is remembered is forgotten
	unavailable("a database that does not answer", 40*time.Second)
	road.hold(false)
	works("a database that did not answer")

	p.Run(t, name, `ALTER DATABASE `+name+` SET default_transaction_read_only TO on`)
	p.Run(t, "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	pause(time.Second)
	unavailable("a database that is read-only", 10*time.Second)
	b.get(t, "/api/auth/me").want(t, "me on a database that is read-only", 200)
	p.Run(t, "postgres", `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	p.Run(t, "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	works("a database that was read-only")

	road.cut()
	works("all connections were cut")
	newBrowser(s).post(t, "/api/auth/register", credentials("bob@example.com")).want(t, "bob, who was told to come back", 201)
}

// road is the way to a server, which can be blocked, made long, and cut, and lead to
// another one from then on.
type road struct {
	t        *testing.T
	listener net.Listener
	to       atomic.Value // the address of the server
	blocked  atomic.Bool
	length   atomic.Int64 // how long an answer takes, a time.Duration
	capacity atomic.Int64 // how much it carries until it is blocked by itself; 0: no matter how much
	carried  atomic.Int64
	mu       sync.Mutex
	conns    []net.Conn
}

func newRoad(t *testing.T, to string) *road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &road{t: t, listener: l}
	r.to.Store(to)
	t.Cleanup(func() {
		l.Close()
		r.cut()
		r.stall(0)
		r.hold(false) // what waits finds its connections closed
	})
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", r.to.Load().(string))
			if err != nil {
				from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, there)
			r.mu.Unlock()
			go r.carry(from, there, false)
			go r.carry(there, from, true)
		}
	}()
	return r
}

// carry hands on what comes, while the road is not blocked; answers take their time.
func (r *road) carry(from, to net.Conn, answers bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if most := r.capacity.Load(); r.carried.Add(int64(n)) > most && most > 0 {
			r.hold(true)
		}
		for r.blocked.Load() {
			pause(5 * time.Millisecond)
		}
		if length := time.Duration(r.length.Load()); answers && n > 0 && length > 0 {
			pause(length)
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *road) hold(is bool) { r.blocked.Store(is) }

// stall blocks the road when it has carried so many bytes.
func (r *road) stall(after int64) { r.capacity.Store(after) }

// cut ends every connection.
func (r *road) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// lead is where it goes from now on, for who sets out.
func (r *road) lead(to string) {
	r.to.Store(to)
	r.cut()
}

func (r *road) port() string {
	_, port, err := net.SplitHostPort(r.listener.Addr().String())
	must(r.t, err)
	return port
}

// TestRedisThatIsNeeded: while sessions are in a Redis, the database is refused
// without it and with another one, by services and commands alike, until it is left.
func TestRedisThatIsNeeded(t *testing.T) {
	r, other := service.Redis(t), service.Redis(t)
	data := filepath.Join(t.TempDir(), "data")
	with := func(url string) []string {
		env := []string{secretOf, "GATEHOUSE_DATA=" + data}
		if url != "" {
			env = append(env, "GATEHOUSE_REDIS="+url)
		}
		return env
	}
	s := startWith(t, data, with(r.URL()), cheap...)
	b := member(t, s, "ann@example.com")
	s.stop()

	elsewhere := startWith(t, filepath.Join(t.TempDir(), "data"), []string{secretOf, "GATEHOUSE_REDIS=" + other.URL()}, cheap...)
	elsewhere.stop()
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"no Redis":    {with(""), "the sessions of this database are in a Redis, and none is set"},
		"another one": {with(other.URL()), "the database is in use with another Redis"},
		"only limits": {append(with(r.URL()), "GATEHOUSE_REDIS_USE=limits"), "the sessions of this database are in a Redis"},
	} {
		for _, command := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"user", "list"}} {
			if out, code := call(t, c.env, "", command...); code != 1 || !strings.Contains(out, c.want) {
				t.Errorf("%s with %s: exit status %d, want 1 and %q\n%s", command[0], name, code, c.want, out)
			}
		}
	}
	s = startWith(t, data, with(r.URL()), cheap...)
	b.base = s.url
	b.do(t, "POST", "/api/auth/refresh", "", "").want(t, "refresh with the same Redis", 200)
	if out, code := call(t, with(r.URL()), "", "redis", "leave", "--yes"); code != 1 || !strings.Contains(out, "a service is running") {
		t.Errorf("redis leave under a running instance: exit status %d\n%s", code, out)
	}
	s.stop()

	if out, code := call(t, with(r.URL()), "", "redis", "leave", "--yes"); code != 0 {
		t.Fatalf("redis leave: exit status %d\n%s", code, out)
	}
	// While an instance runs without it none begins with it: who logs out there would go
	// on here.
	without := startWith(t, data, with(""), cheap...)
	without.firstAnswer(time.Now())
	if out, code := call(t, with(r.URL()), "", "serve", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(out, "instances that do not have this Redis are running") {
		t.Errorf("beside an instance without Redis: exit status %d\n%s", code, out)
	}
	// And where that cannot be noticed, the one without it is not ready.
	putInFront(t, filepath.Join(data, "gatehouse.db"), r.URL())
	eventually(t, 5*time.Second, "the instance without Redis is not ready", func() bool {
		a, err := newBrowser(without).try("GET", "/readyz", "", "")
		return err == nil && a.status == 503
	})
	without.stop()
	if out, code := call(t, with(""), "", "redis", "leave", "--yes"); code != 0 {
		t.Fatalf("redis leave: exit status %d\n%s", code, out)
	}
	s = startWith(t, data, with(""), cheap...)
	b.base = s.url
	b.do(t, "POST", "/api/auth/refresh", "", "").want(t, "refresh without Redis", 401)
	newBrowser(s).post(t, "/api/auth/login", credentials("ann@example.com")).want(t, "login without Redis", 200)
}

// putInFront puts Redis in front of a database without asking who is there.
func putInFront(t *testing.T, file, url string) {
	t.Helper()
	store, err := sqlite.Open(file, sqlite.Options{})
	must(t, err)
	client, err := redis.Open(t.Context(), url, redis.Options{Key: gatehouse.NewSecret(make([]byte, 32))})
	must(t, err)
	front, err := client.Store(t.Context(), store)
	must(t, err)
	must(t, front.Close())
}

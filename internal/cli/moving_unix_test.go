//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/postgres"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	servers "github.com/gatehouse-auth/gatehouse/test/service"
)

// interrupted is a store that does something before the n-th load or page.
type interrupted struct {
	movable
	n  int
	do func()
}

func (i *interrupted) step() {
	if i.n--; i.n == 0 {
		i.do()
	}
}

func (i *interrupted) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	i.step()
	return i.movable.Load(ctx, r)
}

func (i *interrupted) Walk(ctx context.Context, f func(*gatehouse.Records) error) error {
	return i.movable.Walk(ctx, func(r *gatehouse.Records) error {
		i.step()
		return f(r)
	})
}

// A PostgreSQL that is stopped for two seconds in the middle is waited for, as a
// source and as a target, and while the copy is checked; a line says so, and
// nothing is missing.
func TestCopyWaitsForADatabaseThatIsAway(t *testing.T) {
	p := servers.Postgres(t, servers.PostgresOptions{})
	open := func() movable {
		s, err := postgres.Open(t.Context(), p.URL(p.Database(t)), postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	first := many(t, 1300)
	source := open()
	if err := (copyStore{}).copy(t.Context(), quiet(), first, source); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		from, to movable
		break1   int // the step of the target, or
		break2   int // of the source
	}{
		"the target, in the beginning":       {first, open(), 1, 0},
		"the target, in the middle":          {first, open(), 3, 0},
		"the target, while it is checked":    {first, open(), 6, 0},
		"the source, in the beginning":       {source, memory.New(), 0, 1},
		"the source, in the middle":          {source, memory.New(), 0, 5},
		"the source, while it is checked":    {source, memory.New(), 0, 14},
		"both, which are on the same server": {source, open(), 2, 0},
	} {
		t.Run(what, func(t *testing.T) {
			var said bytes.Buffer
			program := &program{out: io.Discard, err: &said}
			outage := func() {
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
				go func() {
					time.Sleep(2 * time.Second)
					if err := p.Start(); err != nil {
						t.Error(err)
					}
				}()
			}
			from, to := &interrupted{c.from, c.break2, outage}, &interrupted{c.to, c.break1, outage}
			if err := (copyStore{}).copy(t.Context(), program, from, to); err != nil {
				t.Fatal(err)
			}
			if from.n > 0 || to.n > 0 {
				t.Fatalf("%d and %d steps were left before the outage", from.n, to.n)
			}
			if got, want := digest(t, c.to), digest(t, first); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			if n, again := strings.Count(said.String(), "is tried again for"), strings.Count(said.String(), "It can be used again."); n != 1 || again != 1 {
				t.Errorf("it said:\n%s", &said)
			}
		})
	}
}

// What does not come back is not waited for without end, and an interruption ends
// the waiting at once.
func TestCopyGivesUp(t *testing.T) {
	var said bytes.Buffer
	away := fmt.Errorf("%w: no room", gatehouse.ErrUnavailable)
	w := &patience{progress: (&program{err: &said}).progress(), most: time.Millisecond}
	if err := w.try(t.Context(), "It", func() error { return away }); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("err = %v, want %v", err, away)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w = &patience{progress: (&program{err: &said}).progress(), most: time.Hour}
	if err := w.try(ctx, "It", func() error { cancel(); return away }); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("err = %v, want %v", err, away)
	}
	if n := strings.Count(said.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want one for the outage that was waited for:\n%s", n, &said)
	}
}

// A new database that stays full ends the copy, and nothing says that it was well.
func TestCopyIntoAFullDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		began := time.Now()
		err := (copyStore{}).copy(t.Context(), &program{out: io.Discard, err: &said}, many(t, 1300), &full{memory.New()})
		if !errors.Is(err, gatehouse.ErrUnavailable) || time.Since(began) < time.Minute || time.Since(began) > 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if strings.Contains(said.String(), "again.") || strings.Count(said.String(), "tried again") != 1 {
			t.Errorf("it said:\n%s", &said)
		}
	})
}

type full struct{ *memory.Store }

func (full) Load(context.Context, *gatehouse.Records) (*gatehouse.Records, error) {
	return nil, fmt.Errorf("%w: no room", gatehouse.ErrUnavailable)
}

// A database that was filled in part cannot be used, only filled.
func TestWhatIsFilledInPartIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	fill(t, filepath.Join(dir, "from.db"))
	environ := []string{"GATEHOUSE_DATA=" + dir, "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please"}
	from, to := "sqlite:"+filepath.Join(dir, "from.db"), "sqlite:"+filepath.Join(dir, "gatehouse.db")
	if _, status := run(t, append(environ, "GATEHOUSE_DATABASE="+from), "export", filepath.Join(dir, "archive")); status != 0 {
		t.Fatalf("export: status %d", status)
	}
	for begun, again := range map[string][]string{"copy": {"copy", "--resume", from, to}, "archive": {"restore", "--resume", filepath.Join(dir, "archive")}} {
		s, err := sqlite.Open(filepath.Join(dir, "gatehouse.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		keep := gatehouse.KeepAll
		if begun == "archive" {
			keep = gatehouse.KeepNothing
		}
		r := gatehouse.Restoration{At: now(), From: begun, Keep: keep, Partial: true}
		if err := errors.Join(r.Note(t.Context(), s), s.Close()); err != nil {
			t.Fatal(err)
		}
		other := map[string][]string{"archive": {"copy", "--resume", from, to}, "copy": {"restore", "--resume", filepath.Join(dir, "archive")}}
		for _, args := range [][]string{
			{"user", "list"}, {"restore", "--after-native"}, {"restore", "--after-native", "--as-is"}, {"backup", filepath.Join(dir, "never")}, {"export", filepath.Join(dir, "never")}, {"copy", to, "sqlite:" + filepath.Join(dir, "never.db")}, other[begun],
		} {
			if out, status := run(t, environ, args...); status == 0 {
				t.Errorf("%s of %s that was begun: status %d, %s", args[0], begun, status, out)
			}
		}
		if _, status := run(t, environ, again...); status != 0 {
			t.Errorf("%v: status %d", again, status)
		}
		if out, status := run(t, environ, "events", "list", "--kind", "restored"); status != 0 || !strings.Contains(out, "from="+begun) {
			t.Errorf("%s: events: status %d, %s", begun, status, out)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(filepath.Join(dir, "gatehouse.db"+suffix))
		}
	}
}

// A service that is running on the database is noticed.
func TestADatabaseInUseBeginsNothingAnew(t *testing.T) {
	p, redis, m := servers.Postgres(t, servers.PostgresOptions{}), servers.Redis(t), servers.Mongo(t)
	for engine, more := range map[string][]string{
		"SQLite":            nil,
		"SQLite, Redis":     {"GATEHOUSE_REDIS=" + redis.URL() + "/1"},
		"PostgreSQL":        {"GATEHOUSE_DATABASE=" + p.URL(p.Database(t))},
		"PostgreSQL, Redis": {"GATEHOUSE_DATABASE=" + p.URL(p.Database(t)), "GATEHOUSE_REDIS=" + redis.URL() + "/2"},
		"MongoDB":           {"GATEHOUSE_DATABASE=" + m.URI("in_use")},
		"MongoDB, Redis":    {"GATEHOUSE_DATABASE=" + m.URI("in_use_behind_redis"), "GATEHOUSE_REDIS=" + redis.URL() + "/3"},
	} {
		t.Run(engine, func(t *testing.T) {
			environ := append([]string{"GATEHOUSE_DATA=" + t.TempDir(), "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please"}, more...)
			another := append(environ, "GATEHOUSE_SECRET=another secret that has at least 32 bytes")
			pr := &program{out: io.Discard, err: io.Discard, environ: environ, flags: map[string]string{}}
			epoch := func(i *server.Instance) int64 {
				u, err := i.Store.User(t.Context(), "u")
				if err != nil {
					t.Fatal(err)
				}
				return u.Epoch
			}
			err := pr.openInstance(server.Open, func(ctx context.Context, i *server.Instance) error {
				if err := i.Store.CreateUser(ctx, &gatehouse.User{ID: "u"}); err != nil {
					return err
				}
				if _, status := run(t, environ, "restore", "--after-native"); status != exitFault || epoch(i) != 0 {
					t.Errorf("in use: status %d, want %d, and epoch %d", status, exitFault, epoch(i))
				}
				if _, said, status := runAndHear(t, another, "keys", "reset", "--force"); status != exitFault || epoch(i) != 0 || !strings.Contains(said, "stop it first") {
					t.Errorf("in use: keys reset: status %d, want %d, and epoch %d", status, exitFault, epoch(i))
				}
				if _, status := run(t, environ, "restore", "--after-native", "--in-use"); status != 0 {
					t.Errorf("in use, and said so: status %d, want 0", status)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, status := run(t, environ, "restore", "--after-native"); status != 0 {
				t.Errorf("not in use: status %d, want 0", status)
			}
			if _, status := run(t, another, "keys", "reset", "--force"); status != 0 {
				t.Errorf("not in use: keys reset: status %d, want 0", status)
			}
			if _, status := run(t, another, "keys", "list"); status != 0 {
				t.Errorf("with the other secret: status %d, want 0", status)
			}
		})
	}
}

// With a master secret that is not that of the database nothing begins anew.
func TestAfterNativeWithAnotherSecret(t *testing.T) {
	environ := []string{"GATEHOUSE_DATA=" + t.TempDir(), "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please"}
	p := &program{out: io.Discard, err: io.Discard, environ: environ, flags: map[string]string{}}
	epoch := int64(-1)
	look := func(ctx context.Context, i *server.Instance) error {
		u, err := i.Store.User(ctx, "u")
		if err == nil {
			epoch = u.Epoch
		}
		return err
	}
	err := p.openInstance(server.Open, func(ctx context.Context, i *server.Instance) error {
		return i.Store.CreateUser(ctx, &gatehouse.User{ID: "u"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, status := run(t, append(environ, "GATEHOUSE_SECRET=another secret that has at least 32 bytes"), "restore", "--after-native"); status != exitFault {
		t.Errorf("status %d, want %d: %s", status, exitFault, out)
	}
	if err := p.openInstance(server.OpenExisting, look); err != nil || epoch != 0 {
		t.Errorf("epoch %d, %v, want 0", epoch, err)
	}
	if out, status := run(t, environ, "events", "list", "--kind", "restored"); status != 0 || strings.Contains(out, "native") {
		t.Errorf("events: status %d, %s", status, out)
	}
}

// With a master secret that is not that of the database no Redis is put in front of it,
// which would be in the way of everybody who has the right one.
func TestAnotherSecretPutsNoRedisInFront(t *testing.T) {
	redis := servers.Redis(t)
	environ := []string{"GATEHOUSE_DATA=" + t.TempDir(), "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please"}
	p := &program{out: io.Discard, err: io.Discard, environ: environ, flags: map[string]string{}}
	if err := p.open(server.Open, func(context.Context, *gatehouse.Gatehouse) error { return nil }); err != nil {
		t.Fatal(err)
	}
	another := append(environ, "GATEHOUSE_SECRET=another secret that has at least 32 bytes", "GATEHOUSE_REDIS="+redis.URL())
	if _, status := run(t, another, "user", "list"); status != exitFault {
		t.Errorf("status %d, want %d", status, exitFault)
	}
	if keys, err := redis.Do("DBSIZE"); err != nil || strings.TrimSpace(keys) != "0" {
		t.Errorf("%s keys in Redis, %v", keys, err)
	}
	if _, status := run(t, environ, "user", "list"); status != 0 {
		t.Errorf("without Redis: status %d, want 0", status)
	}
}

// A new master secret that is good for nothing does not take the place of the one that
// is missing.
func TestResettingKeysThatFailsLeavesNoSecret(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"GATEHOUSE_DATA=" + dir}
	s, err := sqlite.Open(filepath.Join(dir, "gatehouse.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := gatehouse.Restoration{At: now(), From: "copy", Keep: gatehouse.KeepAll, Partial: true}
	if err := errors.Join(r.Note(t.Context(), s), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, said, status := runAndHear(t, environ, "keys", "reset", "--force"); status != exitFault || !strings.Contains(said, gatehouse.ErrPartial.Error()) {
		t.Errorf("filled in part: status %d, want %d", status, exitFault)
	}
	if _, err := os.Stat(filepath.Join(dir, "secret")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a secret was left behind: %v", err)
	}
}

// Going on with a copy into a database that is in use is refused.
func TestACopyDoesNotGoOnIntoADatabaseInUse(t *testing.T) {
	dir := t.TempDir()
	p := servers.Postgres(t, servers.PostgresOptions{})
	from := filepath.Join(dir, "from.db")
	fill(t, from)
	for _, to := range []string{"sqlite:" + filepath.Join(dir, "gatehouse.db"), p.URL(p.Database(t))} {
		environ := []string{"GATEHOUSE_DATA=" + dir, "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please", "GATEHOUSE_DATABASE=" + to}
		if _, status := run(t, environ, "copy", "sqlite:"+from, to); status != 0 {
			t.Fatalf("copy: status %d", status)
		}
		pr := &program{out: io.Discard, err: io.Discard, environ: environ, flags: map[string]string{}}
		err := pr.openInstance(server.OpenExisting, func(context.Context, *server.Instance) error {
			if _, said, status := runAndHear(t, environ, "copy", "--resume", "sqlite:"+from, to); status != exitFault ||
				!strings.Contains(said, "the new database is not empty, and no interrupted try is what filled it, or it has been in use since") {
				t.Errorf("status %d, want %d", status, exitFault)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Addresses need not stand where everybody can read them.
func TestAddressesFromElsewhere(t *testing.T) {
	dir := t.TempDir()
	fill(t, filepath.Join(dir, "from.db"))
	write := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	secret := write("to", "sqlite:"+filepath.Join(dir, "to.db")+"\n", 0o600)
	environ := []string{"FROM=sqlite:nowhere", "FROM=sqlite:" + filepath.Join(dir, "from.db"), "NOTHING="}
	if out, status := run(t, environ, "copy", "env:FROM", "file:"+secret); status != 0 || len(digests.FindAllString(out, -1)) != 2 {
		t.Errorf("status %d, want 0", status)
	}
	for _, bad := range []string{
		"env:", "env:MISSING", "env:NOTHING", "file:", "file:" + filepath.Join(dir, "missing"), "file:" + write("open", "sqlite:x", 0o644),
		"file:" + write("empty", "\n", 0o600), "file:" + write("nonsense", "s3cret", 0o600), "file:" + dir,
	} {
		if _, status := run(t, environ, "copy", "env:FROM", bad); status != exitUsage {
			t.Errorf("%s: status %d, want %d", bad, status, exitUsage)
		}
	}
	var said bytes.Buffer
	Main([]string{"copy", "env:FROM", "postgres://ann:s3cret@127.0.0.1:1/app"}, environ, nil, io.Discard, &said)
	if !strings.Contains(said.String(), "The password of postgres://ann@127.0.0.1:1/app can be read by every user") || strings.Contains(said.String(), "s3cret") {
		t.Errorf("a password on the command line: %s", &said)
	}
}

//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/archive"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	servers "github.com/gatehouse-auth/gatehouse/test/service"
)

// run runs a command as somebody would type it, with these settings alone.
func run(t *testing.T, environ []string, args ...string) (out string, status int) {
	t.Helper()
	out, _, status = runAndHear(t, environ, args...)
	return out, status
}

// runAndHear is run for those who want to know what else was said.
func runAndHear(t *testing.T, environ []string, args ...string) (out, said string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = Main(args, environ, nil, &stdout, &stderr)
	for _, secret := range []string{servers.PostgresPassword, "s3cret"} {
		if strings.Contains(stdout.String()+stderr.String(), secret) {
			t.Errorf("gatehouse %s shows a password", args[0])
		}
	}
	t.Logf("gatehouse %s: %d\n%s%s", args[0], status, &stdout, &stderr)
	return stdout.String(), stderr.String(), status
}

var digests = regexp.MustCompile(`[0-9a-f]{64} .*`)

// All that there is goes from SQLite through every other database and back, and
// is the same everywhere.
func TestThroughAllDatabases(t *testing.T) {
	dir := t.TempDir()
	postgres := servers.Postgres(t, servers.PostgresOptions{})
	mongo := servers.Mongo(t)
	first := filepath.Join(dir, "first.db")
	fill(t, first)

	environ := []string{"GATEHOUSE_DATA=" + dir, "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please"}
	for range 3 {
		if _, status := run(t, append(environ, "GATEHOUSE_DATABASE=sqlite:"+first), "keys", "rotate"); status != 0 {
			t.Fatal("rotate keys")
		}
	}
	stations := []string{
		"sqlite:" + first, postgres.URL(postgres.Database(t)), mongo.URI("moved"), postgres.URL(postgres.Database(t)), "sqlite:" + filepath.Join(dir, "last.db"),
	}
	// Two of them have been made before by whoever has the right to.
	for _, station := range stations[1:3] {
		there := append(environ, "GATEHOUSE_DATABASE="+station)
		for n, args := range [][]string{{"migrate", "--dry-run"}, {"migrate"}, {"migrate", "--dry-run"}} {
			if out, status := run(t, there, args...); status != 0 || strings.HasPrefix(out, "schema 0, wanted ") != (n < 2) {
				t.Errorf("%v: status %d, %s", args, status, out)
			}
		}
	}
	want := ""
	for i, to := range stations[1:] {
		out, status := run(t, environ, "copy", stations[i], to)
		lines := digests.FindAllString(out, -1)
		if status != 0 || len(lines) != 2 || lines[0] != lines[1] {
			t.Fatalf("copy to station %d: status %d", i+1, status)
		}
		if want == "" {
			want = lines[0]
		}
		if lines[1] != want {
			t.Errorf("station %d: %s, want %s", i+1, lines[1], want)
		}
		if _, status := run(t, environ, "copy", stations[i], to); status != exitFault {
			t.Errorf("again to station %d: status %d, want %d", i+1, status, exitFault)
		}
		if _, status := run(t, environ, "copy", "--resume", stations[i], to); status != 0 {
			t.Errorf("again to station %d with --resume: status %d, want 0", i+1, status)
		}
	}

	// An archive of one is restored into another.
	file, source, target := filepath.Join(dir, "all.ndjson"), append(environ, "GATEHOUSE_DATABASE="+stations[1]), append(environ, "GATEHOUSE_DATABASE="+mongo.URI("restored"))
	exported, status := run(t, source, "export", file)
	if status != 0 {
		t.Fatal("export")
	}
	if restored, status := run(t, target, "restore", "--as-is", file); status != 0 || restored != exported {
		t.Errorf("restore: status %d, %s, want %s", status, restored, exported)
	}
	if out, status := run(t, target, "events", "list", "--kind", "restored"); status != 0 || !strings.Contains(out, "keep=all") {
		t.Errorf("events: status %d, %s", status, out)
	}

	// What its own tools have brought back begins anew.
	if _, status := run(t, source, "restore", "--after-native"); status != 0 {
		t.Errorf("after native: status %d", status)
	}
	if out, status := run(t, source, "events", "list", "--kind", "restored"); status != 0 || !strings.Contains(out, "from=native keep=nothing") {
		t.Errorf("events: status %d, %s", status, out)
	}
	if _, status := run(t, source, "events", "verify"); status != 0 {
		t.Errorf("verify: status %d", status)
	}
	if out, _ := run(t, source, "export", filepath.Join(dir, "after.ndjson")); !strings.Contains(out, " 0 challenges, ") {
		t.Errorf("after native: %s", out)
	}
}

// Before the first start a dry run makes nothing in the database of an application,
// and the import makes what is missing. A dry run beside it writes nothing either.
func TestImportIsTheFirstCommand(t *testing.T) {
	dir := t.TempDir()
	export := filepath.Join(dir, "users.ndjson")
	if err := os.WriteFile(export, []byte(`{"id":"7","email":"eve@example.com"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	postgres := servers.Postgres(t, servers.PostgresOptions{})
	for _, address := range []string{postgres.URL(postgres.Database(t)), servers.Mongo(t).URI("first")} {
		environ := []string{
			"GATEHOUSE_DATA=" + filepath.Join(dir, "data"), "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please",
			"GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1", "GATEHOUSE_DATABASE=" + address,
		}
		d := server.DatabaseOf(&server.Settings{Database: address})
		dry := []string{"import", "--dry-run", "--format", "generic", export}
		if out, status := run(t, environ, dry...); status != 0 || number(t, `would be imported +(\d+)`, out) != 1 {
			t.Errorf("%s: dry run before anything is there: status %d", d.Engine(), status)
		}
		if version, _, err := d.SchemaVersion(t.Context()); version != 0 || err != nil {
			t.Errorf("%s: after a dry run there is schema %d, %v", d.Engine(), version, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: after a dry run there is a data folder: %v", d.Engine(), err)
		}
		if out, status := run(t, environ, "import", "--format", "generic", export); status != 0 || number(t, `(?m)^imported +(\d+)`, out) != 1 {
			t.Errorf("%s: import: status %d", d.Engine(), status)
		}
		before := walk(t, d)
		if out, status := run(t, environ, dry...); status != 0 || number(t, `imported before +(\d+)`, out) != 1 {
			t.Errorf("%s: dry run afterwards: status %d", d.Engine(), status)
		}
		if after := walk(t, d); after != before {
			t.Errorf("%s: the dry run has changed %v to %v", d.Engine(), before, after)
		}
		if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
}

// walk is the digest of all that is in a database.
func walk(t *testing.T, d server.Database) archive.Digest {
	t.Helper()
	s, err := openStore(t.Context(), d, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return digest(t, s)
}

// With Redis in front, sessions and single-use proofs are there: they leave with
// an archive, and begin anew as well.
func TestAfterNativeWithRedis(t *testing.T) {
	dir := t.TempDir()
	redis := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	environ := []string{
		"GATEHOUSE_DATA=" + dir, "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please", "GATEHOUSE_REDIS=" + redis.URL(),
	}
	p := &program{out: &bytes.Buffer{}, err: &bytes.Buffer{}, environ: environ, flags: map[string]string{}}
	if _, status := run(t, append(environ, "GATEHOUSE_HASH_MEMORY=64KiB"), "user", "list"); status != exitMissing {
		t.Fatalf("before there is anything: status %d", status)
	}
	s, err := sqlite.Open(filepath.Join(dir, "gatehouse.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "u1", Epoch: 3}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	inStore(t, p, func(s gatehouse.Store) error {
		if err := s.CreateSession(t.Context(), &gatehouse.Session{ID: "s1", UserID: "u1", Epoch: 3, ExpiresAt: at.AddDate(0, 0, 1)}); err != nil {
			return err
		}
		return s.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: "c1", ExpiresAt: at.AddDate(0, 0, 1)})
	})
	out, status := run(t, environ, "export", filepath.Join(dir, "all.ndjson"))
	if status != 0 || !strings.Contains(out, " 1 users, 1 sessions, 1 challenges, ") {
		t.Errorf("export: status %d, %s", status, out)
	}
	// A copy of the database goes on with the same Redis.
	other := "sqlite:" + filepath.Join(dir, "other.db")
	if _, status := run(t, environ, "copy", "sqlite:"+filepath.Join(dir, "gatehouse.db"), other); status != 0 {
		t.Errorf("copy: status %d", status)
	}
	out, status = run(t, append(environ, "GATEHOUSE_DATABASE="+other), "export", filepath.Join(dir, "other.ndjson"))
	if status != 0 || !strings.Contains(out, " 1 users, 1 sessions, 1 challenges, ") {
		t.Errorf("export of the copy: status %d, %s", status, out)
	}
	if _, status := run(t, environ, "restore", "--as-is", filepath.Join(dir, "all.ndjson")); status != exitUsage {
		t.Errorf("sessions into the database, which are read from Redis: status %d, want %d", status, exitUsage)
	}
	if _, status := run(t, environ, "restore", "--after-native"); status != 0 {
		t.Fatalf("after native: status %d", status)
	}
	out, _ = run(t, environ, "export", filepath.Join(dir, "after.ndjson"))
	if !strings.Contains(out, " 0 challenges, ") {
		t.Errorf("after native: %s", out)
	}
	inStore(t, p, func(s gatehouse.Store) error {
		u, err := s.User(t.Context(), "u1")
		if err == nil && u.Epoch < at.UnixMilli() {
			t.Errorf("epoch %d, want one of now", u.Epoch)
		}
		return err
	})
}

func inStore(t *testing.T, p *program, do func(gatehouse.Store) error) {
	t.Helper()
	if err := p.openInstance(server.OpenExisting, func(_ context.Context, i *server.Instance) error { return do(i.Store) }); err != nil {
		t.Fatal(err)
	}
}

// fill makes a database with what somebody could have in one.
func fill(t *testing.T, file string) {
	t.Helper()
	s, err := sqlite.Open(file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = many(t, 120).Walk(t.Context(), func(r *gatehouse.Records) error {
		r.Events = nil // those that are made in earnest verify
		taken, err := s.Load(t.Context(), r)
		if err == nil && taken.Len() > 0 {
			t.Errorf("%d taken", taken.Len())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

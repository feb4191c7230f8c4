package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// file makes a file with a database that statements have been run in.
func file(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	d, err := new(sqlite.Driver).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range statements {
		if _, err := d.(driver.ExecerContext).ExecContext(t.Context(), q, nil); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// finished is the file of a database that was used and closed.
func finished(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	for n := range 50 {
		addSession(t, s, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused are files that Gatehouse must neither use nor change, and as what.
var refused = []struct {
	name string
	make func(t *testing.T) string
	want error
	says string
}{
	{"empty", func(t *testing.T) string {
		return rewrite(t, finished(t), func([]byte) []byte { return nil })
	}, ErrForeign, "empty"},
	{"text", func(t *testing.T) string {
		return rewrite(t, finished(t), func([]byte) []byte { return []byte(strings.Repeat("hello world\n", 1000)) })
	}, ErrForeign, "no SQLite database"},
	{"a few bytes", func(t *testing.T) string {
		return rewrite(t, finished(t), func(b []byte) []byte { return b[:60] })
	}, ErrForeign, "no SQLite database"},
	{"zeros", func(t *testing.T) string {
		return rewrite(t, finished(t), func(b []byte) []byte { return make([]byte, len(b)) })
	}, ErrForeign, "no SQLite database"},
	{"torn", func(t *testing.T) string {
		return rewrite(t, finished(t), func(b []byte) []byte { return b[:len(b)/2] })
	}, ErrDamaged, "damaged"},
	{"torn after the first page", func(t *testing.T) string {
		return rewrite(t, finished(t), func(b []byte) []byte { return b[:4096] })
	}, ErrDamaged, "damaged"},
	{"without a schema page", func(t *testing.T) string {
		return rewrite(t, finished(t), func(b []byte) []byte { clear(b[100:4096]); return b })
	}, ErrDamaged, "damaged"},
	{"the database of another program", func(t *testing.T) string {
		return file(t, `CREATE TABLE users (id INTEGER PRIMARY KEY, password TEXT)`)
	}, ErrForeign, "another program"},
	{"the database of another program that says so", func(t *testing.T) string {
		return file(t, `PRAGMA application_id = 42; CREATE TABLE t (a)`)
	}, ErrForeign, "another program"},
	{"a newer schema", func(t *testing.T) string {
		path := finished(t)
		c, err := openConn(path, "rw", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if _, err := c.Exec(t.Context(), `UPDATE gatehouse_schema SET version = 99, oldest = 98`); err != nil {
			t.Fatal(err)
		}
		return path
	}, ErrNewer, "newer version"},
	{"a folder", func(t *testing.T) string { return t.TempDir() }, ErrForeign, "not a file"},
	{"no folder", func(t *testing.T) string {
		return filepath.Join(t.TempDir(), "missing", "gatehouse.db")
	}, fs.ErrNotExist, "folder"},
	{"no database, but what belongs to one", func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "gatehouse.db")
		if err := os.WriteFile(path+"-wal", []byte("something"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}, ErrDamaged, "missing"},
}

func TestRefusedFiles(t *testing.T) {
	for _, r := range refused {
		t.Run(r.name, func(t *testing.T) {
			path := r.make(t)
			before, _ := os.ReadFile(path)
			s, err := Open(path, Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, r.want) || err == nil || !strings.Contains(err.Error(), r.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open: err = %v, want %v that says %q and names the file", err, r.want, r.says)
			}
			if _, _, err := Migrate(t.Context(), path); !errors.Is(err, r.want) {
				t.Errorf("Migrate: err = %v, want %v", err, r.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestSchemaVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	if _, _, err := SchemaVersion(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: err = %v, want ErrNotExist", err)
	}
	if from, to, err := Migrate(t.Context(), path); err != nil || from != 0 || to != sqlstore.Wanted() {
		t.Errorf("Migrate of no file = %d, %d, %v", from, to, err)
	}
	if current, wanted, err := SchemaVersion(t.Context(), path); err != nil || current != wanted || wanted != sqlstore.Wanted() {
		t.Errorf("SchemaVersion = %d, %d, %v", current, wanted, err)
	}
	if from, to, err := Migrate(t.Context(), path); err != nil || from != to {
		t.Errorf("Migrate again = %d, %d, %v", from, to, err)
	}
	open(t, path, Options{})
}

// An older schema is migrated; this one is from before the first release.
func TestAnOlderSchemaIsMigrated(t *testing.T) {
	path := file(t, `PRAGMA application_id = 1198803059;
		CREATE TABLE gatehouse_schema (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
		INSERT INTO gatehouse_schema VALUES (1, 0)`)
	if current, _, err := SchemaVersion(t.Context(), path); err != nil || current != 0 {
		t.Fatalf("SchemaVersion = %d, %v", current, err)
	}
	s := open(t, path, Options{})
	addSession(t, s, 1)
}

// A migration that fails changes nothing.
func TestAMigrationThatFails(t *testing.T) {
	path := file(t, `PRAGMA application_id = 1198803059;
		CREATE TABLE gatehouse_schema (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
		INSERT INTO gatehouse_schema VALUES (1, 0);
		CREATE TABLE tasks (in_the_way TEXT)`)
	for range 2 {
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "0001_records") {
			t.Fatalf("Open: err = %v, want one that names the migration", err)
		}
	}
	c, err := openConn(path, "ro", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if n, err := c.value(t.Context(), `SELECT count(*) FROM sqlite_schema WHERE type = 'table'`); err != nil || n != int64(2) {
		t.Errorf("%v tables, %v, want the 2 of before", n, err)
	}
}

func TestManyOpenANewFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			s, err := Open(path, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.CreateSession(context.Background(), session(n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, path, Options{})
	if list, err := s.SessionsOf(t.Context(), "u"); err != nil || len(list) != 8 {
		t.Errorf("%d sessions, %v, want 8", len(list), err)
	}
	if names, err := filepath.Glob(path + ".new-*"); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestUnusualPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "100%.db", "what?.db", "#1.db", "file:x.db", "ä日本.db", "'quoted'.db", "a&mode=memory.db", ":memory:"} {
		path := filepath.Join(t.TempDir(), name)
		s := open(t, path, Options{})
		addSession(t, s, 1)
		if err := s.Backup(t.Context(), path+".backup"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

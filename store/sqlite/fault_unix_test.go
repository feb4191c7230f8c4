//go:build unix && !freebsd

// On FreeBSD a limit is a signed number.

package sqlite

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// limitFiles makes every write to a file fail that goes beyond that many bytes,
// as a full disk does, until the function it returns is called.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	now := before
	now.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(lift)
	return lift
}

func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	ctx := t.Context()
	lift := limitFiles(t, 1<<20)
	confirmed := 0
	var err error
	for confirmed < 1000 && err == nil {
		x := session(confirmed)
		x.UserAgent = strings.Repeat("x", 10_000)
		if err = s.CreateSession(ctx, x); err == nil {
			confirmed++
		}
	}
	if !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Fatalf("after %d writes err = %v, want ErrUnavailable", confirmed, err)
	}
	// It stays so while the disk is full, and what is there can be read.
	big := session(5000)
	big.UserAgent = strings.Repeat("x", 2<<20)
	for range 3 {
		if err := s.CreateSession(ctx, big); !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("still full: err = %v, want ErrUnavailable", err)
		}
		if _, err := s.Session(ctx, "s0"); err != nil {
			t.Errorf("a read while full: %v", err)
		}
	}
	lift()
	if err := s.CreateSession(ctx, big); err != nil {
		t.Fatalf("there is room again: %v", err)
	}
	if err := s.Ready(ctx); err != nil {
		t.Errorf("Ready when there is room again: %v", err)
	}
	if list, err := s.SessionsOf(ctx, "u"); err != nil || len(list) != confirmed+1 {
		t.Errorf("%d sessions, %v, want %d", len(list), err, confirmed+1)
	}
	sound(t, path)
}

// After a sync has failed there can be a commit in the -wal file that is only in
// the memory of the kernel: who reads the file from the start believes in it,
// until the power fails. Nothing may be confirmed that comes after it there,
// neither while the disk still fails nor when it works again.
func TestNothingIsBuiltOnWhatWasNotSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	for n := range 50 {
		x := session(n + 100)
		x.UserAgent = strings.Repeat("x", 10_000)
		if err := s.CreateSession(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	addSession(t, s, 999) // on a page far into the file
	s.suspect = errors.New("to have the -wal file emptied")
	addSession(t, s, 2)

	// A copy of the database writes the commit, so that it is one that fits.
	db, err := os.ReadFile(path) // this ends SQLite's locks, which nobody needs here
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	twin := filepath.Join(t.TempDir(), "gatehouse.db")
	for name, content := range map[string][]byte{twin: db, twin + "-wal": wal} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openConn(twin, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), `UPDATE sessions SET version = 99 WHERE id = 's999'`); err != nil {
		t.Fatal(err)
	}
	longer, err := os.ReadFile(twin + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if len(longer) <= len(wal) || !bytes.Equal(longer[:len(wal)], wal) {
		t.Fatalf("the copy's -wal of %d bytes does not continue the one of %d bytes", len(longer), len(wal))
	}
	if err := os.WriteFile(path+"-wal", longer, 0o600); err != nil {
		t.Fatal(err)
	}

	// The disk takes a write to the -wal file again, but not yet one that goes
	// far into the database.
	lift := limitFiles(t, 200_000)
	s.suspect = errors.New("the sync failed")
	if err := s.CreateSession(t.Context(), session(3)); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("while the disk fails: err = %v, want ErrUnavailable", err)
	}
	lift()
	addSession(t, s, 4)
	for id, want := range map[string]error{"s2": nil, "s3": gatehouse.ErrNotFound, "s4": nil} {
		if _, err := s.Session(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("session %s: err = %v, want %v", id, err, want)
		}
	}
	if x, err := s.Session(t.Context(), "s999"); err != nil || x.Version != 1 {
		t.Errorf("what was not synced counts as committed: %+v, %v", x, err)
	}
	sound(t, path)
}

// Not one byte can be written: neither by the store nor by what heals it.
func TestNothingCanBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	ctx := t.Context()
	addSession(t, s, 1)
	lift := limitFiles(t, 0)
	for range 3 {
		if err := s.CreateSession(ctx, session(2)); !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("err = %v, want ErrUnavailable", err)
		}
		if err := s.Ready(ctx); !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("Ready: err = %v, want ErrUnavailable", err)
		}
		if _, err := s.Session(ctx, "s1"); err != nil {
			t.Errorf("a read: %v", err)
		}
	}
	lift()
	if err := s.Ready(ctx); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if _, err := s.Session(ctx, "s2"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("what could not be written: err = %v, want ErrNotFound", err)
	}
	addSession(t, s, 2)
	sound(t, path)
}

func TestFileModes(t *testing.T) {
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	addSession(t, s, 1)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", info.Name(), mode)
		}
	}
}

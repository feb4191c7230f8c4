//go:build unix && !freebsd

// On FreeBSD a limit is a signed number.

package sqlite

import (
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

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// onWriter runs statements on the writer's connection, which must be idle.
func onWriter(t *testing.T, s *Store, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := s.writer.value(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func addSession(t *testing.T, s *Store, n int) {
	t.Helper()
	if err := s.CreateSession(t.Context(), session(n)); err != nil {
		t.Fatal(err)
	}
}

func sound(t *testing.T, path string) {
	t.Helper()
	if err := check(t.Context(), path); err != nil {
		t.Errorf("integrity: %v", err)
	}
}

// A full database fails the whole batch, the writes in it that had gone well
// and those that were refused included.
func TestFullInTheMiddleOfABatch(t *testing.T) {
	h := hold(t)
	ctx := t.Context()
	first := make(chan error, 1)
	go func() { first <- h.CreateSession(ctx, session(0)) }()
	<-h.before
	onWriter(t, h.Store, `PRAGMA max_page_count = 40`)

	big := session(2)
	big.UserAgent = strings.Repeat("x", 400_000)
	again := session(1)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, x := range []*gatehouse.Session{session(1), again, big} {
		wg.Go(func() { errs[i] = h.CreateSession(ctx, x) })
		h.queued(i + 1)
	}
	close(h.let)
	wg.Wait()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("write %d: err = %v, want ErrUnavailable", i, err)
		}
	}
	if again.Version != 0 {
		t.Errorf("Version = %d after ErrUnavailable, want 0", again.Version)
	}
	for n, want := range []error{nil, gatehouse.ErrNotFound, gatehouse.ErrNotFound} {
		if _, err := h.Session(ctx, fmt.Sprint("s", n)); !errors.Is(err, want) {
			t.Errorf("session %d: err = %v, want %v", n, err, want)
		}
	}
	// The limit was that of the connection, which has been replaced.
	addSession(t, h.Store, 1)
	sound(t, h.path)
}

func TestReadOnly(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	addSession(t, s, 1)
	onWriter(t, s, `PRAGMA query_only = 1`)
	if err := s.CreateSession(t.Context(), session(2)); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Fatalf("read-only: err = %v, want ErrUnavailable", err)
	}
	addSession(t, s, 2)
}

// While somebody else writes, a write waits, then gives up, and nothing of it is
// left for later.
func TestLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{BusyTimeout: 50 * time.Millisecond})
	addSession(t, s, 1)
	other, err := openConn(path, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if _, err := other.Exec(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSession(t.Context(), session(2)); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("locked: err = %v, want ErrUnavailable", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("Ready while locked: err = %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := s.CreateSession(ctx, session(3)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked, and a deadline: err = %v, want DeadlineExceeded", err)
	}
	if _, err := s.Session(t.Context(), "s1"); err != nil {
		t.Errorf("a read while locked: %v", err)
	}
	if _, err := other.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	addSession(t, s, 4)
	for _, id := range []string{"s2", "s3"} {
		if _, err := s.Session(t.Context(), id); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("session %s: err = %v, want ErrNotFound", id, err)
		}
	}
}

// When the file is taken away, writes are refused until there is one again.
func TestTheFileIsTakenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	addSession(t, s, 1)
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	s.suspect = errors.New("some fault")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+".away"+suffix); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.CreateSession(t.Context(), session(2)); !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("without the file: err = %v, want ErrUnavailable", err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new file was created in its place")
	}
	if err := Restore(t.Context(), file, path, RestoreOptions{Restoration: gatehouse.Restoration{Keep: gatehouse.KeepSessions}}); err != nil {
		t.Fatal(err)
	}
	addSession(t, s, 2)
	if _, err := s.Session(t.Context(), "s1"); err != nil {
		t.Errorf("session of the backup: %v", err)
	}
}

func TestClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	var wg sync.WaitGroup
	confirmed := make([]int, 8)
	begun := make(chan struct{}, len(confirmed))
	for g := range confirmed {
		wg.Go(func() {
			for n := 0; ; n++ {
				if err := s.CreateSession(t.Context(), session(g*1_000_000+n)); err != nil {
					if !errors.Is(err, gatehouse.ErrUnavailable) {
						t.Errorf("after Close: err = %v, want ErrUnavailable", err)
					}
					return
				}
				confirmed[g] = n + 1
				if n == 3 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range confirmed {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if _, err := s.Session(t.Context(), "s1"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a read after Close: err = %v", err)
	}
	if err := s.Backup(t.Context(), path+".backup"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a backup after Close: err = %v", err)
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("the -wal file is there after Close")
	}
	s = open(t, path, Options{})
	for g, n := range confirmed {
		for i := range n {
			if _, err := s.Session(t.Context(), session(g*1_000_000+i).ID); err != nil {
				t.Fatalf("a session confirmed before Close: %v", err)
			}
		}
	}
}

// A reader whose connection has failed gets another one.
func TestAReaderThatFailed(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{Readers: 1})
	addSession(t, s, 1)
	var failed sqlstore.Conn
	_ = s.read(t.Context(), func(c sqlstore.Conn) error {
		failed = c
		_, err := c.Exec(t.Context(), `DELETE FROM sessions`)
		if !errors.Is(err, gatehouse.ErrUnavailable) { // a reader cannot write
			t.Errorf("a write by a reader: err = %v, want ErrUnavailable", err)
		}
		return err
	})
	_ = s.read(t.Context(), func(c sqlstore.Conn) error {
		if c == failed {
			t.Error("the connection that failed is used again")
		}
		return nil
	})
	if _, err := s.Session(t.Context(), "s1"); err != nil {
		t.Errorf("the next read: %v", err)
	}
}

// All readers are taken: the next waits no longer than its ctx.
func TestNoReaderIsFree(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{Readers: 1})
	r := <-s.readers
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := s.Session(ctx, "s1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want DeadlineExceeded", err)
	}
	s.readers <- r
}

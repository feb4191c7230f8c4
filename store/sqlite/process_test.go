package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// The tests of this file need processes of their own, which are this test
// binary with a job.

func TestMain(m *testing.M) {
	if job := os.Getenv("SQLITE_TEST_JOB"); job != "" {
		if err := jobs[job](os.Getenv("SQLITE_TEST_PATH")); err != nil {
			fmt.Fprintln(os.Stderr, job+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// jobs write lines to the standard output, and end with the standard input.
var jobs = map[string]func(path string) error{
	"count":  countJob,
	"create": createJob,
	"lock":   lockJob,
}

type process struct {
	*exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func start(t *testing.T, job, path string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), "SQLITE_TEST_JOB="+job, "SQLITE_TEST_PATH="+path)
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.lines = in, bufio.NewScanner(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

const counts = 50

// count counts a setting up by compare and swap.
func count(s *Store) error {
	ctx := context.Background()
	for n := 0; n < counts; {
		x, err := s.Setting(ctx, "n")
		if err != nil {
			return err
		}
		x.Value = append(x.Value, '.')
		switch err := s.SaveSetting(ctx, x); {
		case err == nil:
			n++
		case !errors.Is(err, gatehouse.ErrStale):
			return err
		}
	}
	return nil
}

func countJob(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	return errors.Join(count(s), s.Close())
}

func TestProcessesCountTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	if err := s.SaveSetting(t.Context(), &gatehouse.Setting{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	var children []*process
	for range 3 {
		children = append(children, start(t, "count", path))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := count(s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range children {
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	x, err := s.Setting(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	if want := 7 * counts; len(x.Value) != want || x.Version != int64(want+1) {
		t.Errorf("counted to %d, version %d, want %d", len(x.Value), x.Version, want)
	}
	sound(t, path)
}

// createJob creates sessions from several goroutines, and writes each id when
// it is confirmed.
func createJob(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	errs := make(chan error)
	var out sync.Mutex
	for g := range 8 {
		go func() {
			for {
				x := session(0)
				x.ID = fmt.Sprintf("%d-%d-%d", os.Getpid(), g, time.Now().UnixNano())
				if err := s.CreateSession(context.Background(), x); err != nil {
					errs <- err
					return
				}
				out.Lock()
				fmt.Println(x.ID)
				out.Unlock()
			}
		}()
	}
	return <-errs
}

// What was confirmed is there after a process was killed in the middle of it.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	var confirmed []string
	for round := range 5 {
		p := start(t, "create", path)
		for n := 0; p.lines.Scan(); n++ {
			confirmed = append(confirmed, p.lines.Text())
			if n == 100+round*37 {
				if err := p.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = p.Wait() // it says that the process was killed
	}
	s := open(t, path, Options{})
	for _, id := range confirmed {
		if _, err := s.Session(t.Context(), id); err != nil {
			t.Fatalf("of %d confirmed sessions %s: %v", len(confirmed), id, err)
		}
	}
	if len(confirmed) < 500 {
		t.Errorf("%d sessions were confirmed, want more", len(confirmed))
	}
	sound(t, path)
}

// lockJob holds the database as a process does that writes for long.
func lockJob(path string) error {
	c, err := openConn(path, "rw", 0)
	if err != nil {
		return err
	}
	if _, err := c.Exec(context.Background(), `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestLockedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{BusyTimeout: 20 * time.Millisecond})
	addSession(t, s, 1)
	p := start(t, "lock", path)
	if !p.lines.Scan() || p.lines.Text() != "locked" {
		t.Fatal("the other process did not get the lock")
	}
	if err := s.CreateSession(t.Context(), session(2)); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("err = %v, want ErrUnavailable", err)
	}
	if _, err := s.Session(t.Context(), "s1"); err != nil {
		t.Errorf("a read: %v", err)
	}
	if err := InUse(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: err = %v, want ErrInUse", err)
	}
	if err := Restore(t.Context(), path, path, RestoreOptions{Replace: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("restore: err = %v, want ErrInUse", err)
	}
	p.in.Close()
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	addSession(t, s, 2)
}

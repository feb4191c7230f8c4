package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

func open(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	s, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// Two handles are what two processes have, but for the kernel's locks.
func TestTwoHandles(t *testing.T) {
	storetest.Races(t, func(t *testing.T) []gatehouse.Store {
		path := filepath.Join(t.TempDir(), "gatehouse.db")
		return []gatehouse.Store{open(t, path, Options{}), open(t, path, Options{})}
	})
}

// What durability rests on cannot be seen from outside until the power fails.
func TestTheWriterIsSetUpForDurability(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	s.suspect = errors.New("to have the connection replaced")
	addSession(t, s, 1)
	for pragma, want := range map[string]any{
		"journal_mode": "wal", "synchronous": int64(2), "foreign_keys": int64(1), "fullfsync": int64(1),
		"trusted_schema": int64(0),
	} {
		if got, err := s.writer.value(t.Context(), "PRAGMA "+pragma); err != nil || got != want {
			t.Errorf("%s = %v, %v, want %v", pragma, got, err, want)
		}
	}
}

// A command of the binary gets its turn beside a server that writes all the time.
func TestABusyServerLetsOthersWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	server, command := open(t, path, Options{}), open(t, path, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := server.CreateSession(ctx, session(g*1_000_000+n)); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 20 {
		if err := command.CreateUser(t.Context(), user(n)); err != nil {
			t.Errorf("user %d: %v", n, err)
		}
	}
	stop()
	wg.Wait()
}

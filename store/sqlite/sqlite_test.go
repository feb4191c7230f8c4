package sqlite

import (
	"errors"
	"path/filepath"
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

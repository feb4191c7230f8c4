package sqlite

import (
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

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) gatehouse.Store {
		return open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	})
}

// Two handles are what two processes have, but for the kernel's locks.
func TestTwoHandles(t *testing.T) {
	storetest.Races(t, func(t *testing.T) []gatehouse.Store {
		path := filepath.Join(t.TempDir(), "gatehouse.db")
		return []gatehouse.Store{open(t, path, Options{}), open(t, path, Options{})}
	})
}

//go:build unix

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Who opens the database while it is being replaced gets the old one or the new one, or
// none, and damages neither.
func TestNobodyOpensWhatIsBeingReplaced(t *testing.T) {
	dir := t.TempDir()
	to, backup := filepath.Join(dir, "gatehouse.db"), filepath.Join(dir, "backup.db")
	for file, id := range map[string]string{to: "old", backup: "new"} {
		s := open(t, file, Options{})
		if err := errors.Join(s.CreateUser(t.Context(), &gatehouse.User{ID: id}), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	temp, err := copyDatabase(t.Context(), backup, "ro", to)
	if err != nil {
		t.Fatal(err)
	}
	if err := finishRestored(t.Context(), temp, gatehouse.Restoration{}); err != nil {
		t.Fatal(err)
	}
	old, err := retire(t.Context(), to, true)
	if err != nil {
		t.Fatal(err)
	}
	began, opened := make(chan bool), make(chan error)
	go func() {
		c, err := openConn(to, "rw", 10*time.Second)
		began <- true
		if err == nil {
			err = c.usable(t.Context(), 10*time.Second)
			c.abandon()
		}
		opened <- err
	}()
	<-began
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		if s, err := Open(to, Options{BusyTimeout: time.Millisecond}); err == nil {
			t.Fatal("opened", s.Close())
		}
	}
	if err := place(temp, to, true); err != nil {
		t.Fatal(err)
	}
	if err := old.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err == nil {
		t.Error("who has waited for the lock works on the old one")
	}
	if _, err := os.Stat(to + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a -wal file: %v", err)
	}
	s := open(t, to, Options{})
	if _, err := s.User(t.Context(), "new"); err != nil {
		t.Errorf("the user of the backup: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	sound(t, to)
}

package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// However long whoever walks takes over a page, the -wal file can be emptied
// meanwhile, and does not grow for as long as the walk lasts.
func TestAWalkKeepsNobodyFromEmptyingTheWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := open(t, path, Options{})
	r := &gatehouse.Records{}
	for n := range 600 {
		r.Users = append(r.Users, user(n))
	}
	if taken, err := s.Load(t.Context(), r); err != nil || taken.Len() > 0 {
		t.Fatal(taken, err)
	}
	pages := 0
	err := s.Walk(t.Context(), func(*gatehouse.Records) error {
		addSession(t, s, pages)
		pages++
		c, err := openConn(path, "rw", 0)
		if err != nil {
			return err
		}
		if err := c.checkpoint(t.Context()); err != nil {
			t.Errorf("page %d: checkpoint: %v", pages, err)
		}
		return c.close()
	})
	if err != nil || pages < 3 {
		t.Errorf("%d pages, want 3 or more; err = %v", pages, err)
	}
}

package service

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A disk that is full takes nothing, and takes something again when it is not.
// Servers find it, whoever they run as.
func TestDisk(t *testing.T) {
	d := NewDisk(t, 32)
	p := Postgres(t, PostgresOptions{WAL: d.Path})
	name := p.DatabaseIn(t, d.Path)
	p.Run(t, name, `CREATE TABLE x AS SELECT 1`)
	write := func() error { return os.WriteFile(filepath.Join(d.Path, "more"), make([]byte, 4096), 0o600) }
	d.Fill(t)
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("written to a full disk: %v, want ENOSPC", err)
	}
	d.Free(t)
	if err := write(); err != nil {
		t.Error(err)
	}
}

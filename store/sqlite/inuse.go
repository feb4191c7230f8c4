package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// InUse is nil if no process, this one included, has the database at path open, or
// if there is none, and [ErrInUse] otherwise. It changes no record.
func InUse(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := regular(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	c, err := openConn(path, "rw", 0)
	if err != nil {
		return err
	}
	// Every connection holds a lock on the file for as long as it is open, which
	// leaves no room for one that wants to be alone.
	if _, err = c.value(ctx, `PRAGMA locking_mode = EXCLUSIVE`); err == nil {
		_, err = c.value(ctx, `SELECT count(*) FROM sqlite_schema`)
	}
	if busy(err) {
		c.abandon()
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	return errors.Join(err, c.close())
}

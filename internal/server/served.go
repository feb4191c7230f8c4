package server

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// ErrServed: a service is running on the database.
var ErrServed = errors.New("a service is running on this database: stop it first")

// Unserved is [ErrServed] if a running service is heard on the store. Nothing is
// heard through a pooler of PostgreSQL, and nothing of services on MongoDB or SQLite
// without Redis; for the last there is [Database.Unused].
func Unserved(ctx context.Context, store gatehouse.Store) error {
	served, err := gatehouse.Served(ctx, store)
	if err == nil && served {
		return ErrServed
	}
	return err
}

// Unused is [ErrServed] if it is a file that a process has open. It is to be asked
// before this process opens it.
func (d Database) Unused(ctx context.Context) error {
	file, ok := d.File()
	if !ok {
		return nil
	}
	err := sqlite.InUse(ctx, file)
	if errors.Is(err, sqlite.ErrInUse) {
		return ErrServed
	}
	return err
}

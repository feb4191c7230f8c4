package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/mongo"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// ErrServed: a service is running on the database.
var ErrServed = errors.New("a service is running on this database: stop it first")

// There is one question, whether somebody else is at work on a database, and each
// engine has its own way of knowing: SQLite the lock on the file, MongoDB a document
// of each process that has the database open, PostgreSQL and Redis what services say
// to each other. A pooler of PostgreSQL lets nothing of that through.

// unused is [ErrServed] if it is a file that a process has open. It is to be asked
// before this process opens it.
func (d Database) unused(ctx context.Context) error {
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

// unserved is [ErrServed] if somebody else is seen or heard on a store that is open.
func unserved(ctx context.Context, store gatehouse.Store) error {
	if m, ok := store.(*mongo.Store); ok {
		others, err := m.Others(ctx)
		if err == nil && len(others) > 0 {
			return fmt.Errorf("%s: %w", others[0], ErrServed)
		}
		return err
	}
	served, err := gatehouse.Served(ctx, store)
	if err == nil && served {
		return ErrServed
	}
	return err
}

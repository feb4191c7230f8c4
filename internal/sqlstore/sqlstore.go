// Package sqlstore keeps the records of Gatehouse in a relational database. It
// holds the one SQL text that SQLite and PostgreSQL both understand: the
// tables, their migrations, and a statement or two for each method of
// [gatehouse.Store]. An engine supplies a [DB] and gets a store:
//
//	gatehouse.Store  =  sqlstore.Store  over  DB  (connections, transactions,
//	                    (what is asked)           durability: the engine's)
//
// There is no database/sql in between. It would put reflection on the path of
// every request, and SQLite has to gather writes of several callers into one
// transaction, which a pool of connections hides.
package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

// DB is what a store needs of its engine. All methods may be called by any
// number of goroutines.
//
// An f may run more than once, that of Write and WriteAll also in another goroutine
// and even after the method has returned because ctx was done. So it works on
// arguments that were encoded before, never on what the caller owns, and what
// it finds may be looked at only after the method returned nil.
//
// The errors of f come back as they are. Faults of the engine are wrapped, those
// that may pass in [gatehouse.ErrUnavailable].
type DB interface {
	// Read runs f on a connection that sees every write answered so far.
	Read(ctx context.Context, f func(Conn) error) error
	// Write runs f, of whose statements at most one changes something: if f
	// fails there is nothing to undo. Nil means that the change is durable.
	Write(ctx context.Context, f func(Conn) error) error
	// WriteAll runs f, and undoes all that f changed if f fails. Nil means that
	// the changes are durable.
	WriteAll(ctx context.Context, f func(Conn) error) error
}

// Conn runs statements. Parameters are written $1, $2, …; an argument is an
// int64, a string, a []byte or nil.
type Conn interface {
	// Exec returns how many rows the statement changed. It answers
	// [ErrDuplicate] if the change would break a unique index, and then it has
	// changed nothing.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Query calls each for every row of the result.
	Query(ctx context.Context, query string, args []any, each func(Row) error) error
}

// ErrDuplicate is the answer of Exec when another row has the value already.
var ErrDuplicate = errors.New("value exists in a unique column")

// Row holds the values of a row's columns as the engine has them: int64,
// string, []byte or nil. The slice is good until each returns, the values for
// good.
type Row []any

// Store implements all of [gatehouse.Store] but Close, which is up to the
// engine.
type Store struct {
	db      DB
	dialect Dialect
}

// New is a store on a database that has the current schema.
func New(db DB, d Dialect) *Store { return &Store{db: db, dialect: d} }

// changed is the answer of a conditional statement: stale if it changed no row.
func changed(n int64, err error, otherwise error) error {
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// one reads the record that query finds, or answers ErrNotFound.
func one[R any](ctx context.Context, c Conn, query string, decode func(Row) (*R, error), args ...any) (*R, error) {
	var r *R
	err := c.Query(ctx, query, args, func(row Row) (err error) {
		r, err = decode(row)
		return err
	})
	if err == nil && r == nil {
		err = gatehouse.ErrNotFound
	}
	return r, err
}

// find is one on a connection of its own, the error saying what was looked for.
func find[R any](ctx context.Context, s *Store, what, query string, decode func(Row) (*R, error), args ...any) (*R, error) {
	var r *R
	err := s.db.Read(ctx, func(c Conn) (err error) {
		r, err = one(ctx, c, query, decode, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return r, nil
}

// list reads all records that query finds.
func list[R any](ctx context.Context, s *Store, what, query string, decode func(Row) (*R, error), args ...any) ([]*R, error) {
	var records []*R
	err := s.db.Read(ctx, func(c Conn) error {
		records = nil
		return c.Query(ctx, query, args, func(row Row) error {
			r, err := decode(row)
			records = append(records, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return records, nil
}

// write runs one statement that has to change a row, or else the answer is
// otherwise.
func (s *Store) write(ctx context.Context, what string, otherwise error, query string, args ...any) error {
	err := s.db.Write(ctx, func(c Conn) error {
		n, err := c.Exec(ctx, query, args...)
		return changed(n, err, otherwise)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Ready implements [gatehouse.Store]. It reads, and it writes a row, because
// only a write tells whether the disk is full or read-only.
func (s *Store) Ready(ctx context.Context) error {
	if _, err := find(ctx, s, "probe", `SELECT counter FROM gatehouse_probe WHERE id = 1`, func(r Row) (*int64, error) {
		v := r.values()
		n := v.int()
		return &n, v.err
	}); err != nil {
		return err
	}
	return s.write(ctx, "write probe", gatehouse.ErrNotFound, `UPDATE gatehouse_probe SET counter = counter + 1 WHERE id = 1`)
}

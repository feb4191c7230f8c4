package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// engine is the side of the store that sqlstore sees.
type engine struct{ s *Store }

func (e engine) Read(ctx context.Context, f func(sqlstore.Conn) error) error {
	return e.s.run(context.WithValue(ctx, reading{}, true), readable, func(c *conn) error { return f(c) })
}

func (e engine) Write(ctx context.Context, f func(sqlstore.Conn) error) error {
	return e.s.run(ctx, repeatable, func(c *conn) error {
		c.committing = e.s.committing.Load()
		return f(c)
	})
}

func (e engine) WriteAll(ctx context.Context, f func(sqlstore.Conn) error) error {
	return e.s.run(ctx, repeatable, func(c *conn) error {
		begin := `BEGIN ISOLATION LEVEL READ COMMITTED`
		if e.s.committing.Load() {
			begin += `; SET LOCAL synchronous_commit TO on`
		}
		return c.transaction(begin, func() error { return f(c) })
	})
}

// transaction runs f between begin and COMMIT, or ROLLBACK if f fails.
func (c *conn) transaction(begin string, f func() error) error {
	if _, err := c.Exec(c.ctx, begin); err != nil {
		return err
	}
	if err := f(); err != nil {
		// If this cannot be sent either the connection is gone, and with it the
		// transaction.
		_, _ = c.c.Exec(c.ctx, `ROLLBACK`, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	tag, err := c.c.Exec(c.ctx, `COMMIT`, pgx.QueryExecModeSimpleProtocol)
	if err == nil && tag.String() != "COMMIT" {
		return errors.New("the transaction was undone instead of committed")
	}
	return c.failed(err)
}

// errClosed is the answer after Close, errSlow that after Options.Timeout.
var (
	errClosed = fmt.Errorf("the store is closed: %w", gatehouse.ErrUnavailable)
	errSlow   = errors.New("the database did not answer in time")
)

// run runs f on a connection, and again if may says so of the error it met.
func (s *Store) run(ctx context.Context, may func(error) bool, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.timeout, errSlow)
	defer cancel()
	for attempt := 1; ; attempt++ {
		fault, err := s.once(limited, f)
		if fault == nil {
			return err
		}
		if e, ok := errors.AsType[*pgconn.PgError](fault); ok && noRoom(e) {
			s.crowded.Store(&crowded{time.Now(), err})
		}
		if limited.Err() != nil {
			return s.overdue(ctx, limited, err)
		}
		if lost(fault) {
			// The server has been restarted, or another has taken its place: what
			// other connections there are have no more worth than this one.
			s.pool.Reset()
		}
		if attempt == attempts || !may(fault) {
			return err
		}
		pause(limited, attempt)
	}
}

// attempts is how often a call is tried. A statement that is the victim of a
// deadlock more often has enemies that do not go away.
const attempts = 5

// pause waits for a moment that grows and is not the same for all.
func pause(ctx context.Context, attempt int) {
	t := time.NewTimer(rand.N(time.Duration(attempt*attempt) * 2 * time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// once runs f on a connection of the pool. The fault is what the connection or
// the database did not do; without one, err is f's own.
func (s *Store) once(ctx context.Context, f func(*conn) error) (fault, err error) {
	held, err := s.pool.Acquire(ctx)
	if err != nil {
		if s.stopped.Err() != nil {
			return nil, errClosed
		}
		return err, explain(err, s.target)
	}
	defer held.Release()
	c := newConn(ctx, held.Conn(), s.target, s.statement)
	err = f(c)
	if err == nil {
		return nil, nil
	}
	return c.fault, err
}

// overdue is the answer when time is up: the caller's, or the store's own. What a
// write has done by then is not known.
func (s *Store) overdue(ctx, limited context.Context, err error) error {
	if own := ctx.Err(); own == nil {
		return fmt.Errorf("%w: %w (%v)", gatehouse.ErrUnavailable, context.Cause(limited), s.timeout)
	} else if ctx.Value(reading{}) != nil {
		return own
	} else {
		return fmt.Errorf("%w: given up while it was being written: %w", gatehouse.ErrUnavailable, own)
	}
}

// reading marks the context of a read.
type reading struct{}

// shouldPing reports whether a connection is tried before it is used. A read need
// not be: it is simply run again. A write whose connection turns out to be dead
// is one whose outcome nobody knows, so it takes none that has been idle for long
// without a look; a busy store never waits for that.
func shouldPing(ctx context.Context, p pgxpool.ShouldPingParams) bool {
	return p.IdleDuration > time.Second && ctx.Value(reading{}) == nil
}

// repeatable reports whether a write that met err has changed nothing, so that to
// run it again is not to run it twice.
func repeatable(err error) bool {
	// Not pgconn.SafeToRetry: a connection that ends while the answer to several
	// statements, or to COMMIT, is awaited is "conn closed" to pgx, as if nothing
	// had been sent.
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && victim(e)
}

// readable reports whether a read that met err may find things better at once.
func readable(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && victim(e) {
		return true
	}
	return lost(err) && !unreachable(err)
}

// victim: the transaction was undone for the sake of another one.
func victim(e *pgconn.PgError) bool {
	return e.Code == "40001" || e.Code == "40P01" // serialization_failure, deadlock_detected
}

// unreachable: there was not even a connection, or none that is of use.
func unreachable(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok || errors.Is(err, errStandby)
}

// lost reports whether err is the end of the connection, or tells that it leads to
// the wrong server by now.
func lost(err error) bool {
	if unreachable(err) {
		return false
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true // the connection's own
	}
	return ends(e) || e.Code == "25006" || strings.HasPrefix(e.Code, "08")
}

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// bounds are how long the steps of a start may take. Whoever starts a service shall
// learn why it does not run, whatever the database or the network does.
type bounds struct {
	step   time.Duration // one look at the database, a lock that somebody has included
	others time.Duration // waiting for another process that migrates
	tables time.Duration // a migration's waiting for a table that somebody uses
	work   time.Duration // a migration of what there is, in all
}

// bounds are what a start takes. A connection is new, and what it asks is read from
// the disk, so no short time for calls makes them shorter.
func (o Options) bounds() bounds {
	return bounds{step: max(o.Timeout, 10*time.Second), others: 5 * time.Minute, tables: 10 * time.Second, work: time.Hour}
}

// start is a connection outside of any pool, on which a start takes its steps.
type start struct {
	bounds
	c       *pgx.Conn
	target  target
	backend backend
	slow    []string // indexes that are missing
}

// begin connects and runs f.
func begin(ctx context.Context, t target, b bounds, f func(*start) error) error {
	// There may be several servers to try, each for as long as connect_timeout says.
	connecting, cancel := context.WithTimeout(ctx, 6*b.step)
	defer cancel()
	c, err := pgx.ConnectConfig(connecting, t.pool.ConnConfig.Copy())
	if err != nil {
		return explain(err, t)
	}
	s := &start{bounds: b, c: c, target: t}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.step)
		defer cancel()
		_ = c.Close(closing)
		// If an answer was given up, pgx goes on waiting for it in the background, and
		// the server with a transaction open: whoever starts next would meet its locks.
		_ = c.PgConn().Conn().Close()
	}()
	if err := within(ctx, b.step, func(ctx context.Context) (err error) {
		s.backend, err = examine(ctx, c)
		return explain(err, t)
	}); err != nil {
		return err
	}
	if s.backend.pooled {
		c.PgConn().CustomData()[pooledKey] = true
	}
	return f(s)
}

// run runs f on the connection for at most d. If the time is up, the connection
// is of no more use.
func (s *start) run(ctx context.Context, d time.Duration, f func(*conn) error) error {
	return within(ctx, d, func(ctx context.Context) error {
		c := newConn(ctx, s.c, s.target, func(query string) string { return sqlstore.Qualify(s.target.quoted(), query) })
		err := f(c)
		s.slow = c.slow
		return err
	})
}

// within runs f for at most d, and says so if that was too short.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := f(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w (%v): see whether it is overloaded, or the network in between stalls", gatehouse.ErrUnavailable, errSlow, d)
	}
	return err
}

// number is the one number that a query finds.
func (c *conn) number(query string) (n int64, err error) {
	err = c.c.QueryRow(c.ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&n)
	return n, c.failed(err)
}

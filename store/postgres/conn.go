package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// pooledKey marks a connection that leads to a pooler, behind which every
// transaction may be run by another server process.
const pooledKey = "pooled"

// conn is a connection while it is used for one call.
type conn struct {
	c *pgx.Conn
	// ctx ends with the call, or before it when the store has no more patience.
	ctx       context.Context
	statement func(string) string
	target    target
	mode      pgx.QueryExecMode
	// committing has every statement ask for a commit that waits for the disk.
	committing bool

	// fault is the first error of a statement, as it came. Errors of the one who
	// uses the connection are not among them.
	fault error
	slow  []string // see complete
}

func newConn(ctx context.Context, c *pgx.Conn, t target, statement func(string) string) *conn {
	mode := pgx.QueryExecModeCacheStatement
	switch {
	case t.mode != nil:
		mode = *t.mode
	case c.PgConn().CustomData()[pooledKey] == true && !keepsStatements(c):
		// Parsed, planned and run in one round trip, without a name. A read takes
		// the server two to three times as long.
		mode = pgx.QueryExecModeExec
	}
	return &conn{c: c, ctx: ctx, statement: statement, target: t, mode: mode}
}

// keepsStatements reports whether a pooler in between says that whichever server
// process runs the next statement has been told it by name: a pgbouncer of today says
// how many it keeps. One of before may be able to, and the URL has to say so.
func keepsStatements(c *pgx.Conn) bool {
	n, err := strconv.Atoi(c.PgConn().ParameterStatus("pgbouncer.max_prepared_statements"))
	return err == nil && n > 0
}

// committed makes a commit wait for the disk, for the transaction that it is run in.
const committed = `SELECT set_config('synchronous_commit', 'on', true)`

// Exec implements [sqlstore.Conn]. A text without arguments may be several
// statements.
func (c *conn) Exec(_ context.Context, query string, args ...any) (int64, error) {
	if !storable(args) {
		return 0, errText
	}
	query = c.statement(query)
	var tag pgconn.CommandTag
	var err error
	switch {
	case c.committing:
		// Both are one transaction and one round trip.
		b := &pgx.Batch{}
		b.Queue(committed)
		b.Queue(query, args...)
		r := c.c.SendBatch(c.ctx, b)
		if _, err = r.Exec(); err == nil {
			tag, err = r.Exec()
		}
		if e := r.Close(); err == nil {
			err = e // the commit's
		}
	case len(args) == 0:
		tag, err = c.c.Exec(c.ctx, query, pgx.QueryExecModeSimpleProtocol)
	default:
		tag, err = c.c.Exec(c.ctx, query, append([]any{c.mode}, args...)...)
	}
	return tag.RowsAffected(), c.failed(err)
}

// Query implements [sqlstore.Conn].
func (c *conn) Query(_ context.Context, query string, args []any, each func(sqlstore.Row) error) error {
	if !storable(args) {
		return nil // there can be no row with that
	}
	query = c.statement(query)
	if !c.committing {
		rows, err := c.c.Query(c.ctx, query, append([]any{c.mode}, args...)...)
		if err != nil {
			return c.failed(err)
		}
		return c.each(rows, each)
	}
	b := &pgx.Batch{}
	b.Queue(committed)
	b.Queue(query, args...)
	r := c.c.SendBatch(c.ctx, b)
	defer func() { _ = r.Close() }() // closed below, where it matters
	if _, err := r.Exec(); err != nil {
		return c.failed(err)
	}
	rows, err := r.Query()
	if err != nil {
		return c.failed(err)
	}
	if err := c.each(rows, each); err != nil {
		return err
	}
	return c.failed(r.Close()) // the commit's
}

func (c *conn) each(rows pgx.Rows, each func(sqlstore.Row) error) error {
	defer rows.Close()
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return c.failed(err)
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return c.failed(rows.Err())
}

// failed remembers an error of the database, and says what it means.
func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	if c.fault == nil {
		c.fault = err
	}
	return explain(err, c.target)
}

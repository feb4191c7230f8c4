package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// SchemaVersion is the version of the schema that url leads to, 0 if there is none
// yet, and the one that this program works with. It changes nothing.
func SchemaVersion(ctx context.Context, url string) (current, wanted int, err error) {
	t, err := parse(url)
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	err = alone(ctx, t, func(c *conn, b backend) (err error) {
		if err := b.fit(); err != nil && errors.Is(err, ErrUnfit) {
			return err
		}
		current, _, err = inspect(ctx, c, t)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version of %s: %w", t, err)
	}
	return current, sqlstore.Wanted(), nil
}

// Migrate makes the schema or brings it to that of this program, as [Open] does,
// and returns the version before, 0 if there was none, and after.
func Migrate(ctx context.Context, url string) (from, to int, err error) {
	t, err := parse(url)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	from, to, err = prepare(ctx, t, patience, func(*pgx.Conn, backend) {})
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", t, err)
	}
	return from, to, nil
}

// patience is how long a migration waits for a table that somebody uses.
const patience = 10 * time.Second

// alone runs f on a connection outside of any pool.
func alone(ctx context.Context, t target, f func(*conn, backend) error) error {
	c, err := pgx.ConnectConfig(ctx, t.pool.ConnConfig.Copy())
	if err != nil {
		return explain(err, t)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	b, err := examine(ctx, c)
	if err != nil {
		return explain(err, t)
	}
	if b.pooled {
		c.PgConn().CustomData()[pooledKey] = true
	}
	return f(newConn(ctx, c, t, func(query string) string { return sqlstore.Qualify(t.quoted(), query) }), b)
}

// prepare sees to it that there is the current schema, and tells seen what it
// found.
func prepare(ctx context.Context, t target, patience time.Duration, seen func(*pgx.Conn, backend)) (from, to int, err error) {
	to = sqlstore.Wanted()
	err = alone(ctx, t, func(c *conn, b backend) (err error) {
		if err := b.fit(); err != nil {
			return err
		}
		seen(c.c, b)
		// Without the right to make or change tables one can still use them.
		if from, _, err = inspect(ctx, c, t); err != nil {
			return err
		}
		if err := sqlstore.Check(from); !errors.Is(err, sqlstore.ErrOlder) {
			return err
		}
		from, err = c.migrate(ctx, t, patience)
		return err
	})
	return from, to, err
}

// migrate runs the migrations that are due, in one transaction, while no other
// process can: the schema is seen as it was or as it will be.
func (c *conn) migrate(ctx context.Context, t target, patience time.Duration) (from int, err error) {
	begin := `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit TO on; ` +
		fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, t.lock())
	err = c.transaction(begin, func() error {
		// Who waited for the lock finds the work done.
		exists := false
		if from, exists, err = inspect(ctx, c, t); err != nil {
			return err
		}
		// What is still running may hold a table for long, and everybody else would
		// queue behind this.
		if _, err := c.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout TO %d`, patience.Milliseconds())); err != nil {
			return err
		}
		if !exists {
			if _, err := c.Exec(ctx, `CREATE SCHEMA `+t.quoted()); err != nil {
				return err
			}
		}
		return sqlstore.Migrate(ctx, c, sqlstore.Postgres, from)
	})
	return from, err
}

// lock is the number of the lock that whoever migrates this schema holds. Locks
// belong to one database.
func (t target) lock() int64 {
	h := fnv.New64a()
	h.Write([]byte("gatehouse: migrate schema " + t.schema))
	return int64(h.Sum64())
}

// inspect is the version of the schema, if it is one of Gatehouse: 0 if it does not
// exist or is empty.
func inspect(ctx context.Context, c *conn, t target) (version int, exists bool, err error) {
	const look = `SELECT (SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1), ` +
		`(SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)) + ` +
		`(SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)), ` +
		`(SELECT count(*) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class r ON r.oid = a.attrelid ` +
		`WHERE r.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) AND r.relname = 'gatehouse_schema' ` +
		`AND a.attname IN ('id', 'version') AND a.atttypid = 'pg_catalog.int8'::pg_catalog.regtype)`
	var found, objects, columns int64
	err = c.c.QueryRow(ctx, look, pgx.QueryExecModeExec, t.schema).Scan(&found, &objects, &columns)
	if err != nil {
		return 0, false, explain(err, t)
	}
	switch {
	case found == 0:
		return 0, false, nil
	case objects == 0:
		return 0, true, nil
	case columns != 2:
		return 0, true, fmt.Errorf("%w: in schema %s of this database are tables of another program; "+
			"choose another with ?schema=NAME in the URL of the database", ErrForeign, t.schema)
	}
	version, err = sqlstore.Version(ctx, c)
	if err == nil && version == 0 {
		err = fmt.Errorf("%w: the table gatehouse_schema in schema %s holds no version", ErrForeign, t.schema)
	}
	return version, true, err
}

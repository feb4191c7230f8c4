package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// SchemaVersion is the version of the schema that url leads to, 0 if there is none
// yet, and the one that this program works with. It changes nothing.
func SchemaVersion(ctx context.Context, url string) (current, wanted int, err error) {
	t, err := parse(url)
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	err = begin(ctx, t, Options{}.bounds(), func(s *start) (err error) {
		if err := s.backend.fit(); err != nil && errors.Is(err, ErrUnfit) {
			return err
		}
		current, _, err = s.look(ctx)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version of %s: %w", t, err)
	}
	return current, sqlstore.Wanted(), nil
}

// Migrate makes the schema or brings it to that of this program, as [Open] does,
// and returns the version before, 0 if there was none, and after.
func Migrate(ctx context.Context, url string, opts Options) (from, to int, err error) {
	t, err := parse(url)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	from, to, err = prepare(ctx, t, opts.bounds(), opts.Waiting, func(*start) {})
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", t, err)
	}
	return from, to, nil
}

// prepare sees to it that there is the current schema, and tells seen what it
// found.
func prepare(ctx context.Context, t target, b bounds, waiting func(string), seen func(*start)) (from, to int, err error) {
	to = sqlstore.Wanted()
	err = begin(ctx, t, b, func(s *start) (err error) {
		if err := s.backend.fit(); err != nil {
			return err
		}
		if from, err = s.bring(ctx, waiting); err == nil {
			seen(s)
		}
		return err
	})
	return from, to, err
}

// bring brings the schema to that of this program, unless another process does,
// which it waits for.
func (s *start) bring(ctx context.Context, waiting func(string)) (from int, err error) {
	deadline := time.Now().Add(s.others)
	for try := 1; ; try++ {
		// Without the right to make or change tables one can still use them.
		from, held, err := s.look(ctx)
		if err == nil {
			if err := sqlstore.Check(from); !errors.Is(err, sqlstore.ErrOlder) {
				return from, err
			}
			if from, err = s.migrate(ctx, from); !errors.Is(err, errMigrating) {
				return from, err
			}
		} else if !held {
			return 0, err
		}
		// Tables may be held by whoever migrates them, and by anybody else.
		pid, e := s.migrating(ctx)
		switch {
		case e != nil:
			return 0, e
		case pid == 0 && held:
			return 0, err
		case time.Now().After(deadline):
			return 0, fmt.Errorf("%w: for %v %s has held the lock of whoever migrates schema %s: if that is another instance, "+
				"start again when it is done; if not, end it", gatehouse.ErrUnavailable, s.others, holder(pid), s.target.schema)
		case try == 5 && waiting != nil:
			waiting(fmt.Sprintf("waiting for another instance that migrates schema %s, for %v at most: the lock is held by %s",
				s.target.schema, s.others, holder(pid)))
		}
		select {
		case <-time.After(min(s.others/20, 200*time.Millisecond)):
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, ctx.Err())
		}
	}
}

// holder names who holds the lock. It may be a prepared transaction, which has no
// process, and there may have been others in turn.
func holder(pid int64) string {
	if pid == 0 {
		return "somebody whom pg_locks shows"
	}
	return fmt.Sprintf("server process %d (SELECT pg_terminate_backend(%d) ends it)", pid, pid)
}

// errMigrating: another process holds the lock for migrations.
var errMigrating = errors.New("another process migrates the schema")

// migrate runs the migrations that are due, in one transaction, while no other
// process can: the schema is seen as it was or as it will be. It does not wait for
// another process, which might hold a transaction open behind a pooler for long.
func (s *start) migrate(ctx context.Context, version int) (from int, err error) {
	limit := s.work
	if version == 0 {
		limit = 6 * s.step // there is nothing in it that could take long
	}
	err = s.run(ctx, limit, func(c *conn) error {
		// What is still running may hold a table for long, and everybody else would
		// queue behind this.
		begin := `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit TO on; ` +
			fmt.Sprintf(`SET LOCAL lock_timeout TO %d`, s.tables.Milliseconds())
		return c.transaction(begin, func() error {
			ours, err := c.number(fmt.Sprintf(`SELECT pg_try_advisory_xact_lock(%d)::int::bigint`, s.target.lock()))
			if err != nil {
				return err
			}
			if ours == 0 {
				return errMigrating
			}
			// Somebody may have been faster.
			exists := false
			if from, exists, err = c.inspect(); err != nil {
				return err
			}
			if !exists {
				if _, err := c.Exec(ctx, `CREATE SCHEMA `+s.target.quoted()); err != nil {
					return err
				}
			}
			if err := sqlstore.Migrate(ctx, c, sqlstore.Postgres, from); err != nil {
				return err
			}
			return c.complete()
		})
	})
	return from, err
}

// migrating is the server process that holds the lock for migrations, 0 if none does.
func (s *start) migrating(ctx context.Context) (pid int64, err error) {
	key := uint64(s.target.lock())
	err = s.run(ctx, s.step, func(c *conn) (err error) {
		pid, err = c.number(fmt.Sprintf(`SELECT coalesce(max(pid), 0)::bigint FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted `+
			`AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) `+
			`AND classid = %d::oid AND objid = %d::oid AND objsubid = 1`, key>>32, key&(1<<32-1)))
		return err
	})
	return pid, err
}

// lock is the number of the lock that whoever migrates this schema holds. Locks
// belong to one database.
func (t target) lock() int64 {
	h := fnv.New64a()
	h.Write([]byte("gatehouse: migrate schema " + t.schema))
	return int64(h.Sum64())
}

// look is the version of the schema, if it is one of Gatehouse and complete: 0 if it
// does not exist or is empty. Held says that the error is a lock which somebody had
// for too long.
func (s *start) look(ctx context.Context) (version int, held bool, err error) {
	err = s.run(ctx, s.step, func(c *conn) error {
		// The server knows what it waits for, so it has the first word.
		begin := fmt.Sprintf(`BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL lock_timeout TO %d`, max(s.step.Milliseconds()/2, 1))
		err := c.transaction(begin, func() (err error) {
			version, _, err = c.inspect()
			return err
		})
		e, ok := errors.AsType[*pgconn.PgError](c.fault)
		held = ok && e.Code == "55P03" // lock_not_available
		return err
	})
	return version, held, err
}

// inspect is the version of the schema, if it is one of Gatehouse: 0 if it does not
// exist or is empty. If it is the one of this program, all of it is there.
func (c *conn) inspect() (version int, exists bool, err error) {
	// Whatever is in a schema depends on it: tables, functions, types, extensions. What
	// is said of it, such as rights on tables to come, does so in another way.
	const look = `SELECT (SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1), ` +
		`(SELECT count(*) FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass ` +
		`AND refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) AND deptype = 'n'), ` +
		`(SELECT count(*) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class r ON r.oid = a.attrelid ` +
		`WHERE r.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) AND r.relname = 'gatehouse_schema' ` +
		`AND a.attname IN ('id', 'version') AND a.atttypid = 'pg_catalog.int8'::pg_catalog.regtype)`
	var found, objects, columns int64
	err = c.c.QueryRow(c.ctx, look, pgx.QueryExecModeExec, c.target.schema).Scan(&found, &objects, &columns)
	if err != nil {
		return 0, false, c.failed(err)
	}
	switch {
	case found == 0:
		return 0, false, nil
	case objects == 0:
		return 0, true, nil
	case columns != 2:
		return 0, true, fmt.Errorf("%w: in schema %s of this database is what belongs to another program; "+
			"choose another with ?schema=NAME in the URL of the database", ErrForeign, c.target.schema)
	}
	version, err = sqlstore.Version(c.ctx, c)
	switch {
	case err == nil && version == 0:
		err = fmt.Errorf("%w: the table gatehouse_schema in schema %s holds no version: if it was restored, its rows were not; "+
			"rename the schema and restore all of a backup with pg_restore -1", ErrForeign, c.target.schema)
	case err == nil && version == sqlstore.Wanted():
		err = c.complete()
	}
	return version, true, err
}

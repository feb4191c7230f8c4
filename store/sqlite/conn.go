package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// conn is a connection with its prepared statements, used by one goroutine at a
// time. It speaks to the driver directly: database/sql would add about a fifth
// to the time of a read, and 20 allocations.
type conn struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue // of the statement that runs
	row    []driver.Value

	// fault is the first error that puts the connection, and the transaction in
	// it, in doubt. Errors of a single statement are not among them.
	fault error
}

// openConn opens the file at path, which must exist; mode is rw or ro.
func openConn(path, mode string, busy time.Duration) (*conn, error) {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/data
	}
	// A file that comes from elsewhere can hold no views or triggers that run
	// functions of ours, and no statement can write to the schema.
	q := url.Values{
		"mode": {mode}, "_defensive": {"1"}, "_dqs": {"0"}, "_error_rc": {"1"},
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_pragma":       {"trusted_schema(0)"},
	}
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: p, RawQuery: q.Encode()}).String()
	d, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, explain(err)
	}
	return &conn{driver: d, stmts: make(map[string]driver.Stmt)}, nil
}

// close frees everything. A nil connection is closed already.
func (c *conn) close() error {
	if c == nil {
		return nil
	}
	var err error
	for _, s := range c.stmts {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, c.driver.Close())
}

// abandon closes a connection that is not trusted any more, without its removing
// the -wal file as the last connection does: SQLite would go by the name, and
// under the name may be the file of another database by now.
func (c *conn) abandon() {
	if c == nil {
		return
	}
	if d, ok := c.driver.(sqlite.FileControl); ok {
		_, _ = d.FileControlPersistWAL("main", 1)
	}
	_ = c.close() // it is given up because it may not even close
}

// prepared is the statement of that text, prepared once for each connection.
func (c *conn) prepared(query string) (driver.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.driver.Prepare(query)
	if err != nil {
		return nil, c.failed(err)
	}
	c.stmts[query] = s
	return s, nil
}

func (c *conn) named(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// Exec implements [sqlstore.Conn]. It does not hand on ctx, for which the driver
// would start a goroutine: statements here take microseconds.
func (c *conn) Exec(_ context.Context, query string, args ...any) (int64, error) {
	return c.exec(context.Background(), query, args...)
}

// exec is Exec for statements that may take long: ctx interrupts them.
func (c *conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := c.prepared(query)
	if err != nil {
		return 0, err
	}
	result, err := s.(driver.StmtExecContext).ExecContext(ctx, c.named(args))
	if err != nil {
		return 0, c.failed(err)
	}
	n, err := result.RowsAffected()
	return n, c.failed(err)
}

// Query implements [sqlstore.Conn].
func (c *conn) Query(ctx context.Context, query string, args []any, each func(sqlstore.Row) error) (err error) {
	s, err := c.prepared(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.named(args))
	if err != nil {
		return c.failed(err)
	}
	defer func() {
		if e := rows.Close(); e != nil && err == nil {
			err = c.failed(e)
		}
	}()
	n := len(rows.Columns())
	if cap(c.row) < n {
		c.row = make([]driver.Value, n)
	}
	row := c.row[:n]
	values := make(sqlstore.Row, n)
	for {
		if err := rows.Next(row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return c.failed(err)
		}
		for i, v := range row {
			values[i] = v
		}
		if err := each(values); err != nil {
			return err
		}
	}
}

// value is the single value of a PRAGMA or a query that answers with one row.
func (c *conn) value(ctx context.Context, query string) (v any, err error) {
	err = c.Query(ctx, query, nil, func(r sqlstore.Row) error {
		v = r[0]
		return nil
	})
	return v, err
}

// failed explains err, and remembers it if it is more than a statement's.
func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	err = explain(err)
	if c.fault == nil && (errors.Is(err, gatehouse.ErrUnavailable) || errors.Is(err, ErrDamaged)) {
		c.fault = err
	}
	return err
}

// Errors of [Open], [Migrate], [SchemaVersion], [Store.Backup] and [Restore],
// beside those of the operating system.
var (
	// ErrForeign: the file is not a database of Gatehouse.
	ErrForeign = errors.New("not a database of Gatehouse")
	// ErrDamaged: the content of the file is not sound.
	ErrDamaged = errors.New("the database is damaged: restore a backup")
	// ErrNewer: the file belongs to a later version of Gatehouse.
	ErrNewer = sqlstore.ErrNewer
	// ErrInUse: some process has the database open.
	ErrInUse = errors.New("the database is in use")
)

// explain says what an error of the driver means to a store.
func explain(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return sqlstore.ErrDuplicate
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOLFS:
		return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// errKept: the -wal file could not be emptied, because somebody uses it.
var errKept = fmt.Errorf("%w: another connection keeps the -wal file from being emptied", gatehouse.ErrUnavailable)

// busy reports whether err is that another connection is in the way.
func busy(err error) bool {
	if errors.Is(err, errKept) {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// patiently runs f until it is not refused for a lock any more, for as long as
// timeout. SQLite's own way of waiting looks ten times a second at last, and
// would starve beside a process that writes all the time.
func (c *conn) patiently(timeout time.Duration, f func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if !busy(err) {
			return err
		}
		c.fault = nil // to be refused a lock leaves the connection as it was
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

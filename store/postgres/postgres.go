// Package postgres keeps the records of Gatehouse in a schema of its own in a
// PostgreSQL database, version 13 or later. Any number of processes, on any number
// of machines, may use it at once.
//
//	callers ──▶ pool ──▶ one statement, committed by itself ──▶ synced, answered
//	                     (several only where a user has keys: a transaction)
//
// A read is one round trip, and so is a write of one record; a refresh is two reads
// and a write. Nothing is kept in a session of the database: no prepared statement
// is counted on where a pooler is in between, unless it says that it keeps them,
// tables are named with their schema, locks last as long as a transaction. So it works behind pgbouncer in transaction
// mode, which is found out by itself.
//
// A statement that fell victim to another transaction is run again, and so is a
// read whose connection was lost. A write whose connection was lost is answered
// with [gatehouse.ErrUnavailable], since nobody can know whether it took place.
//
// An application may join its own tables to ours, and refer to users(id) from
// them; it must not write to ours.
//
// What to expect, with the database on the same two shared cores of a virtual
// machine (go test -bench .): the two reads that tell who somebody is take about
// 100 µs, the durable write of a refresh 0.6 to 1.1 ms from one caller and 0.2 to 0.3
// ms each from 64.
package postgres

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// Options are choices of [Open]. The zero value is a good one.
type Options struct {
	// MaxConns is how many connections there are at most, one that listens not
	// counted. pool_max_conns in the URL is the same. Default four for each
	// processor, at least 8 and at most 32.
	MaxConns int
	// Timeout is how long a call may take, waiting for a connection included,
	// before it answers [gatehouse.ErrUnavailable]. Default 10 seconds.
	Timeout time.Duration
	// Waiting is told, in a sentence without a full stop, when [Open] or [Migrate]
	// waits for another process that migrates the schema. Default nobody is.
	Waiting func(why string)
}

// Store is a [gatehouse.Store] in a PostgreSQL database. Make one with [Open].
// It is a [gatehouse.Mover] and a [gatehouse.Announcer] as well.
type Store struct {
	*records

	target  target
	pool    *pgxpool.Pool
	timeout time.Duration

	qualified sync.Map // statements as they are written, to what is sent

	// committing says that a write must ask for a commit that waits for the disk,
	// which cannot be set once for each connection.
	committing atomic.Bool
	warnings   []string

	crowded atomic.Pointer[crowded]

	listening sync.WaitGroup
	stop      context.CancelFunc // ends what listens
	stopped   context.Context
}

// records keeps the methods, and hides the field that has them.
type records = sqlstore.Store

var (
	_ gatehouse.Store     = (*Store)(nil)
	_ gatehouse.Mover     = (*Store)(nil)
	_ gatehouse.Announcer = (*Store)(nil)
)

// Open opens the database that url leads to, which must exist; what Gatehouse
// needs in it is made if it is not there: the schema named by the parameter schema
// of the URL, "gatehouse" by default, and its tables. Tables of an earlier version
// are migrated, while other processes wait, for five minutes at most. All other
// parameters are those of libpq (sslmode, sslrootcert, target_session_attrs,
// connect_timeout, …) and of pgx (pool_max_conns, pool_max_conn_lifetime,
// default_query_exec_mode, …). Statements are prepared, and behind a pooler only if it
// says that it keeps them, as pgbouncer does since 1.26; with
// default_query_exec_mode=cache_statement they are behind any, which pgbouncer can do
// since 1.21.
//
// Open fails with [ErrForeign] if the schema is there and belongs to somebody
// else, with [ErrNewer] if a later version of Gatehouse has made it one on which
// this one cannot work, with [ErrIncomplete] if a part of it is missing, with
// [ErrUnfit] if the database cannot hold it, and with [gatehouse.ErrUnavailable] if
// the database cannot be reached, read and written now. The error says what to do
// about it, and never what the password is.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	opts.Timeout = cmp.Or(opts.Timeout, 10*time.Second)
	t, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if opts.MaxConns > 0 {
		t.pool.MaxConns = int32(min(opts.MaxConns, 10_000))
	} else if !t.sized {
		t.pool.MaxConns = int32(min(max(4*runtime.GOMAXPROCS(0), 8), 32))
	}
	s, err := open(ctx, t, opts, opts.bounds())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", t, err)
	}
	return s, nil
}

func open(ctx context.Context, t target, opts Options, b bounds) (*Store, error) {
	s := &Store{target: t, timeout: opts.Timeout}
	s.records = sqlstore.New(engine{s}, sqlstore.Postgres)
	s.stopped, s.stop = context.WithCancel(context.Background())

	if _, _, err := prepare(ctx, t, b, opts.Waiting, func(found *start) {
		s.committing.Store(found.backend.pooled && found.backend.synchronous == "off")
		s.warnings = found.backend.warnings(found.c)
		if len(found.slow) > 0 {
			s.warnings = append(s.warnings, "schema "+t.schema+" lacks "+few(found.slow)+": what needs it reads all of the table")
		}
	}); err != nil {
		return nil, err
	}
	t.pool.AfterConnect = s.connected
	t.pool.ShouldPing = shouldPing
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), t.pool)
	if err != nil {
		return nil, explain(err, t)
	}
	s.pool = pool
	return s, nil
}

// Warnings are what an operator should know about the database as it was found:
// that it may lose what it has committed, that hints do not reach others, and the
// like. They are sentences without a full stop.
func (s *Store) Warnings() []string { return append([]string(nil), s.warnings...) }

// connected sets a new connection up. There are three things to know about it:
// whether it leads to the primary, whether to one server process for good, and
// whether a commit waits for the disk. A standby is behind: a session that was
// ended would be good there, and one that has just begun would not exist.
func (s *Store) connected(ctx context.Context, c *pgx.Conn) error {
	// The pool connects for whoever comes next, so nobody's time limits it.
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var pid, synchronous string
	var standby bool
	err := c.QueryRow(ctx, `SELECT pg_backend_pid()::text, current_setting('synchronous_commit'), pg_is_in_recovery()`,
		pgx.QueryExecModeSimpleProtocol).Scan(&pid, &synchronous, &standby)
	if err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	pooled := pid != fmt.Sprint(c.PgConn().PID())
	if pooled {
		c.PgConn().CustomData()[pooledKey] = true
	}
	switch {
	case synchronous != "off":
		if pooled {
			s.committing.Store(false)
		}
	case pooled:
		s.committing.Store(true)
	default:
		_, err = c.Exec(ctx, `SET synchronous_commit TO on`)
	}
	return err
}

// backend is what a connection has led to.
type backend struct {
	version     int // 150018 is 15.18
	encoding    string
	readOnly    bool // by setting, or a standby
	standby     bool
	fsync       string
	fullPages   string
	synchronous string
	superuser   bool
	pooled      bool // a pooler is in between
}

// examine asks a connection what it leads to. A pooler invents the number of the
// process that a connection belongs to, which is how it is noticed.
func examine(ctx context.Context, c *pgx.Conn) (b backend, err error) {
	var pid int64
	row := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), `+
		`current_setting('transaction_read_only') = 'on', pg_is_in_recovery(), current_setting('fsync'), `+
		`current_setting('full_page_writes'), current_setting('synchronous_commit'), `+
		`coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false), pg_backend_pid()::bigint`,
		pgx.QueryExecModeSimpleProtocol)
	err = row.Scan(&b.version, &b.encoding, &b.readOnly, &b.standby, &b.fsync, &b.fullPages, &b.synchronous, &b.superuser, &pid)
	b.pooled = pid != int64(c.PgConn().PID())
	return b, err
}

// fit is nil if the records can be kept there.
func (b backend) fit() error {
	switch {
	case b.version < 130000:
		return fmt.Errorf("%w: it is PostgreSQL %d, and 13 is the oldest that will do", ErrUnfit, b.version/10000)
	case b.encoding != "UTF8":
		return fmt.Errorf("%w: its encoding is %s; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", ErrUnfit, b.encoding)
	case b.standby:
		return errStandby
	case b.readOnly:
		return fmt.Errorf("%w: the database is read-only (default_transaction_read_only is on)", gatehouse.ErrUnavailable)
	}
	return nil
}

func (b backend) warnings(c *pgx.Conn) (list []string) {
	if b.fsync != "on" {
		list = append(list, "fsync is off in this PostgreSQL: what was acknowledged is lost, and the database with it, when the power fails")
	}
	if b.fullPages != "on" {
		list = append(list, "full_page_writes is off in this PostgreSQL: the database may be damaged when the power fails")
	}
	if b.synchronous == "off" {
		list = append(list, "synchronous_commit is off for this user or database: Gatehouse turns it on for what it writes itself")
	}
	if b.pooled {
		list = append(list, "a connection pooler is in between: what one process announces does not reach the others through the database, and they learn of it by asking")
	}
	if b.superuser {
		list = append(list, "the user of the database is a superuser: it needs no right but to its own schema")
	}
	if !private(c) {
		list = append(list, "the connection to the database is not encrypted: add sslmode=verify-full to its URL")
	}
	return list
}

// private reports whether nobody on a network can read along.
func private(c *pgx.Conn) bool {
	conn := c.PgConn().Conn()
	if _, ok := conn.(*tls.Conn); ok {
		return true
	}
	address, ok := conn.RemoteAddr().(*net.TCPAddr)
	return !ok || address.IP.IsLoopback()
}

// crowded is a write for which there was no room on the disk.
type crowded struct {
	at  time.Time
	err error
}

// crowdedFor is how long such a write speaks for others.
const crowdedFor = 3 * time.Second

// Ready implements [gatehouse.Store]. On a full disk PostgreSQL goes on changing
// rows in the place they have, such as the one that is written to find out; nobody
// can log in all the same. So a refusal for want of room counts for a while.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.records.Ready(ctx); err != nil {
		return err
	}
	if c := s.crowded.Load(); c != nil && time.Since(c.at) < crowdedFor {
		return fmt.Errorf("a write was refused moments ago: %w", c.err)
	}
	return nil
}

// Close implements [gatehouse.Store]: it waits for the calls that are under way,
// and ends what listens. Calls after it fail. It may be called again.
func (s *Store) Close() error {
	s.stop()
	s.pool.Close()
	s.listening.Wait()
	return nil
}

// Errors of [Open], [Migrate] and [SchemaVersion], beside [gatehouse.ErrUnavailable].
var (
	// ErrForeign: a schema of that name holds something of somebody else.
	ErrForeign = errors.New("not a schema of Gatehouse")
	// ErrNewer: the schema is one of a later version of Gatehouse, too new for this one.
	ErrNewer = sqlstore.ErrNewer
	// ErrIncomplete: it is a schema of Gatehouse, but not all of it is there.
	ErrIncomplete = errors.New("the schema of Gatehouse is not complete")
	// ErrUnfit: the database cannot hold the records of Gatehouse.
	ErrUnfit = errors.New("this database will not do")
)

var errStandby = fmt.Errorf("%w: this server is a standby, which can only be read; "+
	"give the address of the primary, or all addresses and target_session_attrs=read-write", gatehouse.ErrUnavailable)

// statement is the text that is sent for one of sqlstore: with the schema.
func (s *Store) statement(query string) string {
	if q, ok := s.qualified.Load(query); ok {
		return q.(string)
	}
	// Whoever builds texts from what comes in would fill the memory here; there
	// are some eighty texts, and a few for each set of kinds of tasks.
	q := sqlstore.Qualify(s.target.quoted(), query)
	s.qualified.Store(strings.Clone(query), q)
	return q
}

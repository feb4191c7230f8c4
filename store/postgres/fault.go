package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// errText is the answer to a record with a text that PostgreSQL cannot keep. Who
// looks for such a text finds nothing.
var errText = errors.New("a text that is not UTF-8, or holds a NUL, cannot be kept in PostgreSQL")

func storable(args []any) bool {
	for _, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			return false
		}
	}
	return true
}

// explain says what an error of the database means to a store, and to the one who
// runs it. Details of the server are left out: they quote what is in the rows.
func explain(err error, t target) error {
	if err == nil || errors.Is(err, gatehouse.ErrUnavailable) {
		return err
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return connection(err)
	}
	if e.Code == "23505" { // unique_violation
		return sqlstore.ErrDuplicate
	}
	said := fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code)
	if why := t.advice(e); why != "" {
		said += ": " + why
	}
	if passing(e) {
		return fmt.Errorf("%w: %s", gatehouse.ErrUnavailable, said)
	}
	return errors.New(said)
}

// connection is an error that is not the server's: of the network, of TLS, of time.
func connection(err error) error {
	failure, connecting := errors.AsType[*pgconn.ConnectError](err)
	switch late := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded); {
	case connecting && late:
		return fmt.Errorf("%w: no answer in time; is it PostgreSQL that listens there?", gatehouse.ErrUnavailable)
	case connecting:
		return fmt.Errorf("%w: %s", gatehouse.ErrUnavailable, tried(failure))
	case late:
		return fmt.Errorf("%w: no answer in time: %w", gatehouse.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: the connection to the database was lost: %w", gatehouse.ErrUnavailable, err)
}

// tried is what came of the tries to connect, each said once, and what to do. With
// the default sslmode every address is tried twice.
func tried(failure *pgconn.ConnectError) string {
	tries := []error{failure.Unwrap()}
	if several, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](failure); ok {
		tries = several.Unwrap()
	}
	var said []string
	for _, err := range tries {
		text := err.Error()
		if e, ok := errors.AsType[*net.OpError](err); ok {
			text = e.Error() // which has the address once
		}
		if text = strings.Join(strings.Fields(text), " "); !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	text := strings.Join(said, "; ")
	if why := way(tries[0]); why != "" {
		text += ": " + why
	}
	return text
}

// way is what to do about a server to which there is no way.
func way(err error) string {
	text := err.Error()
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "give the certificate of whoever signed the server's with sslrootcert, and name the host as that does"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "check the name of the host in the URL of the database"
	}
	switch {
	case strings.Contains(text, "refused TLS"):
		return "turn ssl on in the settings of the server, or, where nobody can listen in, say sslmode=disable in the URL of the database"
	case strings.Contains(text, "refused"):
		return "is PostgreSQL running, and does it listen at that address? If it has ended by itself, on a full disk for instance, its own log says why"
	case strings.Contains(text, "no such file"):
		return "is PostgreSQL running, and is that where its socket is?"
	case strings.Contains(text, "read only connection"):
		return "no server that was asked is the primary"
	}
	return ""
}

// passing reports whether an error is one of circumstances, which may pass, and not
// one of the statement or the data.
func passing(e *pgconn.PgError) bool {
	if ends(e) || noRoom(e) {
		return true
	}
	switch e.Code {
	case "25006", // read_only_sql_transaction
		"26000", "42P05", // invalid_sql_statement_name, duplicate_prepared_statement
		"40001", "40P01", // serialization_failure, deadlock_detected
		"42501", // insufficient_privilege
		"55P03", // lock_not_available
		"55006", // object_in_use
		"57014": // query_canceled
		return true
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", // connection exceptions
		"53", // insufficient resources: disk full, out of memory, too many connections
		"57", // operator intervention
		"58": // system errors
		return true
	}
	return false
}

// ends reports whether an error ends the connection, and maybe the server with it.
// The word for that is translated, the other one is not; poolers may send the first alone.
func ends(e *pgconn.PgError) bool {
	fatal := func(severity string) bool { return severity == "FATAL" || severity == "PANIC" }
	return fatal(e.SeverityUnlocalized) || fatal(e.Severity)
}

// noRoom reports whether something could not grow. PostgreSQL has a code for a full
// disk, and none for a quota that is used up or a file that is as large as it may
// be: those are internal errors of the code that has to do with files.
func noRoom(e *pgconn.PgError) bool {
	return e.Code == "53100" || // disk_full
		e.Code == "XX000" && (ofFiles(e) || strings.Contains(e.Message, "could not write init file")) // a new connection's
}

// ofFiles reports whether an error comes from the code of the server that reads and
// writes files. The name of the source is the same in every language.
func ofFiles(e *pgconn.PgError) bool {
	switch e.File {
	case "md.c", "fd.c", "buffile.c", "slru.c":
		return true
	}
	return false
}

// advice is what to do about an error, if that can be told from its code.
func (t target) advice(e *pgconn.PgError) string {
	c := t.pool.ConnConfig
	switch {
	case noRoom(e):
		return "make room on the disk of the database, or see to a quota of its user and a limit for the size of a file"
	case e.Code == "42501" && ofFiles(e) || strings.HasPrefix(e.Code, "58"):
		return "the server cannot do what it must with files of the database: see its own log, their file system and the hardware"
	}
	switch e.Code {
	case "26000", "42P05": // invalid_sql_statement_name, duplicate_prepared_statement
		return "a connection pooler is in between that does not keep prepared statements: take default_query_exec_mode out of the URL, " +
			"or have it keep them (pgbouncer since 1.21, with max_prepared_statements)"
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return "check user and password in the URL of the database, and pg_hba.conf"
	case "3D000": // invalid_catalog_name
		return fmt.Sprintf(`have it made with CREATE DATABASE %q OWNER %q`, c.Database, c.User)
	case "42501": // insufficient_privilege
		switch {
		case strings.Contains(e.Message, "for database"):
			return fmt.Sprintf(`have the schema made with CREATE SCHEMA %s AUTHORIZATION %q, or GRANT CREATE ON DATABASE %q TO %q`,
				t.schema, c.User, c.Database, c.User)
		case strings.Contains(e.Message, "for schema"):
			return fmt.Sprintf(`GRANT USAGE, CREATE ON SCHEMA %s TO %q, or GRANT USAGE alone and have its owner make the tables with gatehouse migrate`, t.schema, c.User)
		case strings.Contains(e.Message, "must be owner"):
			return fmt.Sprintf(`migrate as the user who owns the tables of schema %s, with gatehouse migrate`, t.schema)
		}
		return fmt.Sprintf(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %q`, t.schema, c.User)
	case "42P01": // undefined_table
		return fmt.Sprintf("a table of schema %s has been removed: restore a backup", t.schema)
	case "53300": // too_many_connections
		return "raise max_connections, lower pool_max_conns, or put pgbouncer in between"
	case "25006": // read_only_sql_transaction
		return "this server is a standby, or default_transaction_read_only is on"
	case "57P01", "57P02", "57P03": // admin_shutdown, crash_shutdown, cannot_connect_now
		return "the database is stopping or starting; if it goes on, its own log says why"
	case "55P03": // lock_not_available
		return "another transaction holds the tables, a long one of an application or a dump: it has to end first"
	case "23503": // foreign_key_violation
		return fmt.Sprintf("table %s.%s refers to it: let it do so with ON DELETE CASCADE or SET NULL", e.SchemaName, e.TableName)
	}
	return ""
}

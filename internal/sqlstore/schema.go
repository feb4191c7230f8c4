package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// Dialect is what SQLite and PostgreSQL spell differently. Everything else is
// one text.
type Dialect struct {
	Bytewise   string // after the type of a column that is compared by its bytes
	Clustered  string // after a table whose rows live in the index of its primary key
	SkipLocked string // after the choice of a row that others may be changing
	Among      string // between a column and a choice of rows, one of whose values it has
	AmongEnd   string // after that choice
	AtOnce     int    // rows that a statement inserts best
}

// The dialects there are.
var (
	// SQLite compares text by its bytes anyway. A table WITHOUT ROWID saves
	// one of two searches in each read, and one of two pages in each insert. It
	// looks for each parameter among all of its statement: with 64 rows in one, a
	// user costs twice as much as with eight.
	SQLite = Dialect{Clustered: ` WITHOUT ROWID`, Among: `IN (`, AmongEnd: `)`, AtOnce: 8}
	// Postgres orders text by the rules of the database's language unless told
	// not to. For IN it may read all of a table, when it expects many rows to be
	// chosen. Each statement is a round trip.
	Postgres = Dialect{Bytewise: `COLLATE "C"`, SkipLocked: ` FOR UPDATE SKIP LOCKED`, Among: `= ANY (ARRAY(`, AmongEnd: `))`, AtOnce: 64}
)

// Qualify puts a schema, which is quoted already, before every table that one of
// the statements here names. PostgreSQL would otherwise look for them along a
// search path, which is a setting of the session, and behind a pooler sessions
// belong to nobody.
func Qualify(schema, query string) string {
	return tables.ReplaceAllString(query, "${1}"+strings.ReplaceAll(schema, "$", "$$")+".${2}")
}

// tables finds them: a table is named after one of these words and nowhere else.
var tables = regexp.MustCompile(`\b((?:FROM|INTO|UPDATE|TABLE|EXISTS|ON|REFERENCES)\s+)` +
	`(users|user_keys|sessions|challenges|events|settings|tasks|gatehouse_probe|gatehouse_schema)\b`)

// Errors of [Migrate].
var (
	// ErrNewer: a later version of Gatehouse has changed the schema.
	ErrNewer = errors.New("the database was made by a newer version of Gatehouse: use that version or a later one")
	// ErrOlder: the schema needs migrations, and they were not asked for.
	ErrOlder = errors.New("the database was made by an older version of Gatehouse: migrate it first")
)

// Numbered from 1 without gaps; what has been released is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Wanted is the version of the schema that this program works with.
func Wanted() int {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return len(files)
}

// Version is the version of the schema in the database that c is connected to,
// which must be a database of Gatehouse. A later schema on which this program can
// work counts as the one that it works with.
func Version(ctx context.Context, c Conn) (int, error) {
	version, err := number(ctx, c, `SELECT version FROM gatehouse_schema WHERE id = 1`)
	if err != nil || version <= Wanted() {
		return version, err
	}
	oldest, err := number(ctx, c, `SELECT oldest FROM gatehouse_schema WHERE id = 1`)
	if err == nil && oldest <= Wanted() {
		version = Wanted()
	}
	return version, err
}

// number is what a query for one answers, 0 if it finds none.
func number(ctx context.Context, c Conn, query string) (n int, err error) {
	err = c.Query(ctx, query, nil, func(r Row) error {
		v := r.values()
		n = int(v.int())
		return v.err
	})
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return n, nil
}

// Check is nil if the schema is the one this program works with, and ErrNewer or
// ErrOlder otherwise.
func Check(version int) error {
	switch wanted := Wanted(); {
	case version > wanted:
		return fmt.Errorf("schema %d, this program knows %d: %w", version, wanted, ErrNewer)
	case version < wanted:
		return fmt.Errorf("schema %d, this program needs %d: %w", version, wanted, ErrOlder)
	}
	return nil
}

// Migrate brings the schema from version, which is 0 for an empty database, to
// the one that this program works with. The caller holds a lock that no other
// process can hold, has read the version under it, and runs all of it in one
// transaction: then the schema is never seen halfway.
//
// A library for migrations (goose, golang-migrate) was weighed. Beside this it
// would add a lock for PostgreSQL; for SQLite it has none, it wants database/sql,
// commits each step for itself, and goes on with a schema that is newer.
func Migrate(ctx context.Context, c Conn, d Dialect, version int) error {
	if version > Wanted() {
		return Check(version)
	}
	if version == 0 {
		const create = `CREATE TABLE IF NOT EXISTS gatehouse_schema (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)`
		if _, err := c.Exec(ctx, create); err != nil {
			return fmt.Errorf("create the table of the schema's version: %w", err)
		}
		if _, err := c.Exec(ctx, `INSERT INTO gatehouse_schema (id, version) VALUES (1, 0) ON CONFLICT DO NOTHING`); err != nil {
			return fmt.Errorf("write schema version: %w", err)
		}
	}
	spelled := strings.NewReplacer("/*bytewise*/", d.Bytewise, "/*clustered*/", d.Clustered)
	for version < Wanted() {
		version++
		name, script, err := migration(version)
		if err != nil {
			return err
		}
		if _, err := c.Exec(ctx, spelled.Replace(script)); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	if _, err := c.Exec(ctx, `UPDATE gatehouse_schema SET version = $1 WHERE id = 1`, int64(version)); err != nil {
		return fmt.Errorf("write schema version: %w", err)
	}
	return nil
}

// migration is the script with that number.
func migration(version int) (name, script string, err error) {
	number := strconv.Itoa(version)
	pattern := "migrations/" + strings.Repeat("0", 4-len(number)) + number + "_*.sql"
	files, err := fs.Glob(migrations, pattern)
	if err != nil || len(files) != 1 {
		return "", "", fmt.Errorf("%d files %s, want one: %w", len(files), pattern, err)
	}
	text, err := fs.ReadFile(migrations, files[0])
	return files[0], string(text), err
}

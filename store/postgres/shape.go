package postgres

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// shape is what the migrations make, a line for each thing that the store counts
// on: a test writes it from a database, and holds it fresh. Whatever else there is
// in a database may be there: a later schema adds, and so may an operator.
//
//go:embed shape.txt
var shape string

// found lists what there is in a schema in the same words. What is not in force
// (an index that is not finished, or for some rows only) is not there. A table of
// another kind, such as a view, is none.
const found = `
WITH r AS (
	SELECT oid, relname::text AS name FROM pg_catalog.pg_class
	WHERE relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p')
), a AS (
	SELECT r.oid, r.name, a.attnum, a.attname::text AS attname, a.atttypid, a.atttypmod, c.collname::text AS collname
	FROM r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
)
SELECT name FROM r
UNION ALL
SELECT name || ': column ' || attname || ' as ' || pg_catalog.format_type(atttypid, atttypmod) FROM a
UNION ALL
SELECT name || ': bytewise order of column ' || attname FROM a WHERE collname IN ('C', 'POSIX')
UNION ALL
SELECT r.name || CASE WHEN i.indisunique THEN ': unique index (' ELSE ': index (' END || (
	SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
	JOIN a ON a.oid = r.oid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts
) || ')'
FROM r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
WHERE i.indisvalid AND i.indisready AND i.indimmediate AND i.indexprs IS NULL AND NOT (i.indisunique AND i.indpred IS NOT NULL)
UNION ALL
SELECT r.name || ': foreign key (' || a.attname || ') to ' || target.name || CASE f.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' ELSE '' END
FROM pg_catalog.pg_constraint f JOIN r ON r.oid = f.conrelid JOIN r AS target ON target.oid = f.confrelid
JOIN a ON a.oid = r.oid AND a.attnum = f.conkey[1] WHERE f.contype = 'f' AND cardinality(f.conkey) = 1`

// complete is nil if all that the store counts on is there. A restore that was
// broken off, which makes the constraints last, leaves a schema that seems to work
// and keeps none of its promises. Indexes that only make haste are noted if they
// are missing.
func (c *conn) complete() error {
	rows, err := c.c.Query(c.ctx, found, pgx.QueryExecModeExec, c.target.schema)
	if err != nil {
		return c.failed(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return c.failed(err)
	}
	missing, slow := lacking(lines)
	c.slow = slow
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: schema %s lacks %s: a restore was broken off, or somebody has changed it; "+
		"put that back, or rename the schema and restore all of a backup with pg_restore -1", ErrIncomplete, c.target.schema, few(missing))
}

// lacking is what of the shape is not among the lines; slow are the indexes without
// which all is right, and slow.
func lacking(lines []string) (missing, slow []string) {
	for line := range strings.Lines(shape) {
		line = strings.TrimSuffix(line, "\n")
		if slices.Contains(lines, line) {
			continue
		}
		switch table, what, part := strings.Cut(line, ": "); {
		case !part:
			missing = append(missing, "table "+table)
		case !slices.Contains(lines, table):
			// The table is all that need be said.
		case strings.HasPrefix(what, "index "):
			slow = append(slow, what+" of table "+table)
		default:
			missing = append(missing, what+" of table "+table)
		}
	}
	return missing, slow
}

// few names the first ones of a list.
func few(list []string) string {
	const enough = 3
	if more := len(list) - enough; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:enough], ", "), more)
	}
	return strings.Join(list, ", ")
}

package postgres

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
)

var update = flag.Bool("update", false, "write what the migrations make to shape.txt")

// What is looked for at start is what the migrations make, all of it.
func TestShapeIsFresh(t *testing.T) {
	db := server.Database(t)
	target, err := parse(server.URL(db))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		shape = "" // nothing is missing
	}
	if _, _, err := prepare(t.Context(), target, Options{}.bounds(), nil, func(*start) {}); err != nil {
		t.Fatal(err)
	}
	rows, err := asker(t, server.URL(db)).Query(t.Context(), found, pgx.QueryExecModeExec, "gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile("shape.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != shape {
		t.Errorf("shape.txt is stale: run make generate. A database has\n%s", got)
	}
	c := asker(t, server.URL(db))
	for what, query := range map[string]string{
		": column ":      `SELECT count(*)::text FROM information_schema.columns WHERE table_schema = 'gatehouse'`,
		"index (":        `SELECT count(*)::text FROM pg_index JOIN pg_class r ON r.oid = indrelid WHERE relnamespace = 'gatehouse'::regnamespace`,
		": foreign key ": `SELECT count(*)::text FROM pg_constraint WHERE contype = 'f' AND connamespace = 'gatehouse'::regnamespace`,
	} {
		if there, listed := answer(t, c, query), fmt.Sprint(strings.Count(shape, what)); there != listed || listed == "0" {
			t.Errorf("of %s %q %s are listed", there, what, listed)
		}
	}
}

// A schema that is not complete is refused, by whoever comes to it, with what is
// missing and what to do. What is merely more is no reason.
func TestAnIncompleteSchema(t *testing.T) {
	ctx := t.Context()
	for change, lacks := range map[string]string{
		`ALTER TABLE gatehouse.users DROP CONSTRAINT users_email_key_key`:                                                                     `unique index (email_key) of table users`,
		`ALTER TABLE gatehouse.sessions DROP CONSTRAINT sessions_pkey`:                                                                        `unique index (id) of table sessions`,
		`DROP TABLE gatehouse.tasks`:                                                                                                          `lacks table tasks: `,
		`ALTER TABLE gatehouse.tasks RENAME TO t; CREATE VIEW gatehouse.tasks AS SELECT * FROM gatehouse.t`:                                   `lacks table tasks: `,
		`ALTER TABLE gatehouse.sessions DROP COLUMN ends_at`:                                                                                  `lacks column ends_at as bigint of table sessions: `,
		`ALTER TABLE gatehouse.sessions ALTER COLUMN ends_at TYPE timestamptz USING to_timestamp(ends_at)`:                                    `column ends_at as bigint`,
		`ALTER TABLE gatehouse.users ALTER COLUMN email_key TYPE text COLLATE "default"`:                                                      `bytewise order of column email_key of table users`,
		`ALTER TABLE gatehouse.user_keys DROP CONSTRAINT user_keys_user_id_fkey`:                                                              `foreign key (user_id) to users ON DELETE CASCADE of table user_keys`,
		`DROP TABLE gatehouse.tasks, gatehouse.sessions, gatehouse.events, gatehouse.settings`:                                                `and 1 more`,
		`DELETE FROM gatehouse.gatehouse_schema`:                                                                                              `restore all of a backup`,
		`ALTER TABLE gatehouse.users DROP CONSTRAINT users_email_key_key; CREATE UNIQUE INDEX ON gatehouse.users (email_key) WHERE name = ''`: `unique index (email_key)`,
		`ALTER TABLE gatehouse.users DROP CONSTRAINT users_email_key_key; ALTER TABLE gatehouse.users ADD UNIQUE (email_key) DEFERRABLE`:      `unique index (email_key)`,
	} {
		db := server.Database(t)
		url := server.URL(db)
		if _, _, err := Migrate(ctx, url, Options{}); err != nil {
			t.Fatal(err)
		}
		server.Run(t, db, change)
		_, err := Open(ctx, url, Options{})
		_, _, err2 := Migrate(ctx, url, Options{})
		_, _, err3 := SchemaVersion(ctx, url)
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), lacks) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: err = %v, want one that says %s", change, err, lacks)
			}
		}
	}

	db := server.Database(t)
	if _, _, err := Migrate(ctx, server.URL(db), Options{}); err != nil {
		t.Fatal(err)
	}
	server.Run(t, db, `ALTER TABLE gatehouse.users ADD COLUMN mine TEXT COLLATE "C", ALTER COLUMN name TYPE TEXT COLLATE "C", DROP CONSTRAINT users_email_key_key;
CREATE UNIQUE INDEX ON gatehouse.users (email_key) INCLUDE (name); CREATE INDEX ON gatehouse.users (lower(name)); CREATE INDEX ON gatehouse.events (address);
CREATE TABLE gatehouse.mine (id INT PRIMARY KEY, user_id TEXT REFERENCES gatehouse.users (id) ON DELETE CASCADE); DROP INDEX gatehouse.events_kind`)
	s := openStore(t, server.URL(db), Options{})
	if err := errors.Join(s.CreateUser(ctx, user(1)), is(s.CreateUser(ctx, &gatehouse.User{ID: "u2", EmailKey: "u1@example.com"}), gatehouse.ErrExists)); err != nil {
		t.Error(err)
	}
	if !slices.Contains(s.Warnings(), "schema gatehouse lacks index (kind, id) of table events: what needs it reads all of the table") {
		t.Errorf("warnings: %q", s.Warnings())
	}
}

// A restore that was broken off before the constraints were made is refused at every
// version of the schema, and so is nothing that was restored as a whole.
func TestARestoreThatWasBrokenOff(t *testing.T) {
	ctx := t.Context()
	now := server.Database(t)
	s := openStore(t, server.URL(now), Options{})
	if err := s.CreateUser(ctx, user(1, "key")); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"this schema": now, "schema 1": schemaOne(t)} {
		half, whole := server.Database(t), server.Database(t)
		server.Run(t, half, server.Dump(t, from, "--inserts", "--section=pre-data", "--section=data"))
		server.Run(t, whole, server.Dump(t, from, "--inserts"))
		before := server.Dump(t, half)
		if _, err := Open(ctx, server.URL(half), Options{}); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), " more: a restore was broken off") {
			t.Errorf("%s, half: err = %v", name, err)
		}
		if after := server.Dump(t, half); after != before {
			t.Errorf("%s: what was half restored has been changed to\n%s", name, after)
		}
		if list, err := openStore(t, server.URL(whole), Options{}).Users(ctx, "", 9); err != nil || len(list) != 1 {
			t.Errorf("%s: %d users, %v", name, len(list), err)
		}
	}
}

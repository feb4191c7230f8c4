package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// testdata/schema1.sql is a database as the first schema left it, with a user and
// three events. schemaOne is the name of one with it.
func schemaOne(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := server.Database(t)
	server.Run(t, db, string(script))
	return db
}

// asker is a connection of a test, which belongs to no store.
func asker(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

// answer is the one value that a query finds, as text.
func answer(t *testing.T, c *pgx.Conn, query string, args ...any) string {
	t.Helper()
	var text string
	if err := c.QueryRow(t.Context(), query, args...).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

// The statements of a program of schema 1, as it has them: how it writes an event
// and a session, and how it refreshes one.
const (
	appendOfSchemaOne = `INSERT INTO gatehouse.events (id, at, kind, outcome, user_id, actor_id, session_id, address, user_agent, ref, data, expires_at) ` +
		`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`
	createOfSchemaOne = `INSERT INTO gatehouse.sessions (id, version, user_id, created_at, expires_at, epoch, generation, rotated_at, ` +
		`authenticated_at, last_seen_at, methods, inactive_at, ends_at, terminated_at, user_agent, address, extra) ` +
		`VALUES ($1, 1, $2, $3, $4, 1, 1, $3, $3, $3, '["pwd"]', $4, $4, NULL, '', '', NULL) ON CONFLICT DO NOTHING`
	refreshOfSchemaOne = `UPDATE gatehouse.sessions SET version = $2, generation = generation + 1 WHERE id = $1 AND version = $2 - 1`
	eventsOfSchemaOne  = `SELECT id, at, kind, outcome, user_id, actor_id, session_id, address, user_agent, ref, data, expires_at FROM gatehouse.events ORDER BY id DESC LIMIT $1`
)

// A database of schema 1 is brought up to date: what is in it is what it was, and
// a program of schema 1 that is still running works on beside this one.
func TestSchemaOneIsMigrated(t *testing.T) {
	db, ctx := schemaOne(t), t.Context()
	url := server.URL(db)
	if current, wanted, err := SchemaVersion(ctx, url); err != nil || current != 1 || wanted < 2 {
		t.Fatalf("SchemaVersion = %d, %d, %v", current, wanted, err)
	}
	before := asker(t, url) // it keeps prepared statements across the migration
	work := func(n int) {
		t.Helper()
		now := time.Now().UnixMilli()
		session := fmt.Sprint("session of schema 1, ", n)
		for _, s := range []struct {
			query string
			args  []any
		}{
			{appendOfSchemaOne, []any{fmt.Sprintf("01a210d%d-0000-7000-8000-000000000000", n), now, "login", "ok", "u", "", "s", "192.0.2.1", "curl/8", "r", nil, nil}},
			{createOfSchemaOne, []any{session, "u", now, now + 1e9}},
			{refreshOfSchemaOne, []any{session, 2}},
		} {
			if tag, err := before.Exec(ctx, s.query, s.args...); err != nil || tag.RowsAffected() != 1 {
				t.Fatalf("%s: %d rows, %v", s.query, tag.RowsAffected(), err)
			}
		}
		rows, err := before.Query(ctx, eventsOfSchemaOne, 2)
		if err == nil {
			_, err = pgx.CollectRows(rows, pgx.RowToMap)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	work(1)
	s := openStore(t, url, Options{})
	work(2)

	u, err := s.UserByEmail(ctx, "ann@example.com")
	if err != nil || u.Email != "Ann@Example.com" || !u.HasRole("editor") {
		t.Errorf("the user: %+v, %v", u, err)
	}
	list, err := s.Events(ctx, gatehouse.EventQuery{Limit: 10})
	if err != nil || len(list) != 5 {
		t.Fatalf("%d events, %v, want 5", len(list), err)
	}
	for _, e := range list {
		if e.Chain != "" || e.Sequence != 0 || e.Proof != nil {
			t.Errorf("an event of schema 1 has a chain: %+v", e)
		}
	}
	// What one wrote the other goes on with.
	x, err := s.Session(ctx, "session of schema 1, 2")
	if err != nil || x.Version != 2 || x.Generation != 2 {
		t.Fatalf("the session: %+v, %v", x, err)
	}
	if err := s.SaveSession(ctx, x); err != nil {
		t.Error(err)
	}
	if tag, err := before.Exec(ctx, refreshOfSchemaOne, x.ID, 4); err != nil || tag.RowsAffected() != 1 {
		t.Errorf("a refresh by schema 1 after one by this: %d rows, %v", tag.RowsAffected(), err)
	}

	secret := gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
	a := gatehousetest.New(t, gatehouse.Config{Store: s, Secret: secret})
	if _, err := a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: "ann@example.com", Password: "correct horse battery"}); err != nil {
		t.Errorf("the password of before: %v", err)
	}
}

// A migration that fails in the middle leaves no trace.
func TestAMigrationIsAllOrNothing(t *testing.T) {
	db := schemaOne(t)
	// The last thing that migration 2 does cannot be done.
	server.Run(t, db, `ALTER TABLE gatehouse.events ADD COLUMN proof BIGINT`)
	if _, err := Open(t.Context(), server.URL(db), Options{}); err == nil || !strings.Contains(err.Error(), "0002_chains") {
		t.Fatalf("err = %v, want one that names the migration", err)
	}
	c := asker(t, server.URL(db))
	if got := answer(t, c, `SELECT version::text FROM gatehouse.gatehouse_schema`); got != "1" {
		t.Errorf("version %s, want 1", got)
	}
	if got := answer(t, c, `SELECT count(*)::text FROM information_schema.columns WHERE table_schema = 'gatehouse' AND column_name IN ('chain', 'sequence')`); got != "0" {
		t.Errorf("%s columns of migration 2 are there", got)
	}
	server.Run(t, db, `ALTER TABLE gatehouse.events DROP COLUMN proof`)
	openStore(t, server.URL(db), Options{})
}

// A migration waits for who is using a table, and gives up in the end.
func TestAMigrationDoesNotWaitForEver(t *testing.T) {
	db := schemaOne(t)
	c := asker(t, server.URL(db))
	if _, err := c.Exec(t.Context(), `BEGIN; LOCK TABLE gatehouse.events IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	target, err := parse(server.URL(db))
	if err != nil {
		t.Fatal(err)
	}
	b := Options{}.bounds()
	b.tables = 20 * time.Millisecond
	_, _, err = prepare(t.Context(), target, b, nil, func(*start) {})
	if !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "another transaction holds the tables") {
		t.Errorf("err = %v", err)
	}
}

func TestANewerSchema(t *testing.T) {
	db := server.Database(t)
	openStore(t, server.URL(db), Options{})
	server.Run(t, db, `UPDATE gatehouse.gatehouse_schema SET version = 1000, oldest = 999`)
	if _, err := Open(t.Context(), server.URL(db), Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("Open: err = %v, want ErrNewer", err)
	}
	if _, _, err := Migrate(t.Context(), server.URL(db), Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("Migrate: err = %v, want ErrNewer", err)
	}
	if current, _, err := SchemaVersion(t.Context(), server.URL(db)); err != nil || current != 1000 {
		t.Errorf("SchemaVersion = %d, %v", current, err)
	}
}

// A later schema that has taken nothing away is one to work on: while a service is
// brought up to date, instances of before are still started.
func TestALaterSchemaThatOnlyAdds(t *testing.T) {
	db := server.Database(t)
	openStore(t, server.URL(db), Options{})
	server.Run(t, db, `ALTER TABLE gatehouse.users ADD COLUMN later TEXT NOT NULL DEFAULT 'x';
		UPDATE gatehouse.gatehouse_schema SET version = 1000`)
	s := openStore(t, server.URL(db), Options{})
	if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000001", Email: "ann@example.com", EmailKey: "ann@example.com"}); err != nil {
		t.Error(err)
	}
	if from, to, err := Migrate(t.Context(), server.URL(db), Options{}); err != nil || from != to {
		t.Errorf("Migrate: from %d to %d, %v; want nothing to do", from, to, err)
	}
}

// Whatever else is in the database, a schema of somebody else is left alone.
func TestForeignSchemas(t *testing.T) {
	for name, make := range map[string]string{
		"a table":                     `CREATE SCHEMA gatehouse; CREATE TABLE gatehouse.users (id INT)`,
		"a function":                  `CREATE SCHEMA gatehouse; CREATE FUNCTION gatehouse.f() RETURNS INT LANGUAGE SQL AS 'SELECT 1'`,
		"a table of that name":        `CREATE SCHEMA gatehouse; CREATE TABLE gatehouse.gatehouse_schema (id TEXT, version TEXT)`,
		"the table without a version": `CREATE SCHEMA gatehouse; CREATE TABLE gatehouse.gatehouse_schema (id BIGINT, version BIGINT)`,
		"a view":                      `CREATE SCHEMA gatehouse; CREATE VIEW gatehouse.v AS SELECT 1`,
		"a type":                      `CREATE SCHEMA gatehouse; CREATE TYPE gatehouse.mood AS ENUM ('good')`,
	} {
		t.Run(name, func(t *testing.T) {
			db, ctx := server.Database(t), t.Context()
			server.Run(t, db, make)
			c := asker(t, server.URL(db))
			const all = `SELECT coalesce(string_agg(r.relname || coalesce(a.attname, ''), ' ' ORDER BY 1), '') FROM pg_class r LEFT JOIN pg_attribute a ON a.attrelid = r.oid ` +
				`WHERE r.relnamespace = 'gatehouse'::regnamespace`
			before := answer(t, c, strings.Replace(all, "ORDER BY 1", "ORDER BY r.relname, a.attname", 1))
			if _, err := Open(ctx, server.URL(db), Options{}); !errors.Is(err, ErrForeign) {
				t.Errorf("Open: err = %v, want ErrForeign", err)
			}
			if _, _, err := Migrate(ctx, server.URL(db), Options{}); !errors.Is(err, ErrForeign) {
				t.Errorf("Migrate: err = %v, want ErrForeign", err)
			}
			if _, _, err := SchemaVersion(ctx, server.URL(db)); !errors.Is(err, ErrForeign) {
				t.Errorf("SchemaVersion: err = %v, want ErrForeign", err)
			}
			if after := answer(t, c, strings.Replace(all, "ORDER BY 1", "ORDER BY r.relname, a.attname", 1)); after != before {
				t.Errorf("the schema was %s, and is %s", before, after)
			}
			// Under another name there is room.
			s := openStore(t, server.URL(db)+"?schema=user", Options{})
			if err := s.CreateUser(ctx, user(1)); err != nil {
				t.Error(err)
			}
			if got := answer(t, c, `SELECT email_key FROM "user".users`); got != "u1@example.com" {
				t.Error(got)
			}
		})
	}
}

// jobs are what this test binary does as another process.
var jobs = map[string]func(url string) error{
	"open": func(url string) error {
		s, err := Open(context.Background(), url, Options{MaxConns: 2})
		if err != nil {
			return err
		}
		if err := s.Ready(context.Background()); err != nil {
			return err
		}
		return s.Close()
	},
}

// Of eight processes that start at once on an empty database, or on an old one,
// one makes the schema, and all go on with it.
func TestManyStartAtOnce(t *testing.T) {
	for name, db := range map[string]string{"empty": server.Database(t), "old": schemaOne(t)} {
		t.Run(name, func(t *testing.T) {
			var started []*exec.Cmd
			for range 8 {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), "POSTGRES_TEST_JOB=open", "POSTGRES_TEST_URL="+server.URL(db))
				cmd.Stderr = os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				started = append(started, cmd)
			}
			for _, cmd := range started {
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
			}
			if current, wanted, err := SchemaVersion(t.Context(), server.URL(db)); err != nil || current != wanted {
				t.Errorf("SchemaVersion = %d, %v, want %d", current, err, wanted)
			}
			c := asker(t, server.URL(db))
			if got := answer(t, c, `SELECT count(*)::text FROM gatehouse.gatehouse_probe`); got != "1" {
				t.Errorf("%s rows in the probe", got)
			}
		})
	}
}

package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// What keeps a database from being opened is said, with what to do, and without
// the password; and the kind of the error tells whether it may pass.
func TestOpenExplains(t *testing.T) {
	ctx := t.Context()
	db := server.Database(t)
	const password = "plain pass/word"
	server.Run(t, db, `CREATE ROLE plain LOGIN PASSWORD '`+password+`'; CREATE ROLE crowded LOGIN PASSWORD '`+password+`' CONNECTION LIMIT 0;
CREATE ROLE reader LOGIN PASSWORD '`+password+`'; ALTER ROLE reader SET default_transaction_read_only TO on`)
	server.Run(t, "postgres", `CREATE DATABASE narrow ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	away := fmt.Sprintf("postgres://postgres:%s@127.0.0.1:1/postgres", url.QueryEscape(password))
	used := server.Database(t)
	openStore(t, server.URL(used), Options{})

	for _, c := range []struct {
		name, url string
		want      error
		says      string
	}{
		{"nobody there", away, gatehouse.ErrUnavailable, "127.0.0.1:1: connect: connection refused: is PostgreSQL running, and does it listen"},
		{"no such host", strings.Replace(away, "127.0.0.1:1", "no.such.host.invalid", 1), gatehouse.ErrUnavailable, "check the name of the host"},
		{"no such socket", strings.Replace(away, "127.0.0.1:1", "%2Fno%2Fsuch%2Ffolder", 1), gatehouse.ErrUnavailable, "is that where its socket is?"},
		{"no TLS", server.URL(db) + "?sslmode=verify-full", gatehouse.ErrUnavailable, "turn ssl on in the settings of the server"},
		{"a wrong password", server.URLOf("postgres", "wrong "+password, db), gatehouse.ErrUnavailable, "check user and password"},
		{"an unknown user", server.URLOf("nobody", password, db), gatehouse.ErrUnavailable, "check user and password"},
		{"no such database", server.URL("missing"), gatehouse.ErrUnavailable, `CREATE DATABASE "missing" OWNER "postgres"`},
		{"another encoding", server.URL("narrow"), ErrUnfit, "ENCODING 'UTF8'"},
		{"read-only", server.URLOf("reader", password, db), gatehouse.ErrUnavailable, "default_transaction_read_only"},
		{"too many connections", server.URLOf("crowded", password, db), gatehouse.ErrUnavailable, "pool_max_conns"},
		{"no right to make a schema", server.URLOf("plain", password, db), gatehouse.ErrUnavailable,
			`CREATE SCHEMA gatehouse AUTHORIZATION "plain"`},
		{"no right to the schema", server.URLOf("plain", password, used), gatehouse.ErrUnavailable,
			`GRANT USAGE, CREATE ON SCHEMA gatehouse TO "plain"`},
		{"an unknown parameter", server.URL(db) + "?shema=x", nil, "shema"},
	} {
		_, err := Open(ctx, c.url, Options{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: err = %v, want %v that says %s", c.name, err, c.want, c.says)
		} else if strings.Contains(err.Error(), "pass/word") || strings.Contains(err.Error(), service.PostgresPassword) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error has the password: %v", c.name, err)
		} else if strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "refused") > 1 || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: the error is not a plain line: %v", c.name, err)
		}
	}
	c := asker(t, server.URL(db))
	if got := answer(t, c, `SELECT count(*)::text FROM pg_namespace WHERE nspname = 'gatehouse'`); got != "0" {
		t.Error("what could not be opened was changed")
	}
}

func TestOldServers(t *testing.T) {
	good := backend{version: 130000, encoding: "UTF8"}
	if err := good.fit(); err != nil {
		t.Errorf("13.0: %v", err)
	}
	old := good
	old.version = 120022
	if err := old.fit(); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "PostgreSQL 12") {
		t.Errorf("12.22: err = %v", err)
	}
}

// Nobody needs to be a superuser: whoever may make a schema makes it, whoever owns
// one uses it, and who may only change rows works on the tables that others have
// made.
func TestRights(t *testing.T) {
	ctx := t.Context()
	const password = "x"
	db := server.Database(t)
	server.Run(t, db, `CREATE ROLE builder LOGIN PASSWORD 'x'; CREATE ROLE owner LOGIN PASSWORD 'x'; CREATE ROLE worker LOGIN PASSWORD 'x';
REVOKE ALL ON DATABASE `+db+` FROM PUBLIC; GRANT CONNECT, CREATE ON DATABASE `+db+` TO builder; GRANT CONNECT ON DATABASE `+db+` TO owner, worker;
CREATE SCHEMA ids AUTHORIZATION owner; REVOKE ALL ON SCHEMA public FROM PUBLIC`)
	work := func(s *Store) {
		t.Helper()
		u := user(1, "key")
		_, taken := s.TakeChallenge(ctx, "none")
		loaded, err := s.Load(ctx, &gatehouse.Records{Users: []*gatehouse.User{user(2, "another")}})
		if err := errors.Join(s.CreateUser(ctx, u), s.SaveUser(ctx, u), is(taken, gatehouse.ErrNotFound), err, s.Ready(ctx),
			s.DeleteUser(ctx, "u1", 2), s.DeleteUser(ctx, "u2", 0)); err != nil || loaded.Len() != 0 {
			t.Error(err)
		}
		if slices.ContainsFunc(s.Warnings(), func(w string) bool { return strings.Contains(w, "superuser") }) {
			t.Errorf("warnings: %q", s.Warnings())
		}
	}
	work(openStore(t, server.URLOf("builder", password, db), Options{}))
	work(openStore(t, server.URLOf("owner", password, db)+"?schema=ids", Options{}))

	worker := server.URLOf("worker", password, db) + "?schema=ids"
	server.Run(t, db, `GRANT USAGE ON SCHEMA ids TO worker`)
	if _, err := Open(ctx, worker, Options{}); !errors.Is(err, gatehouse.ErrUnavailable) ||
		!strings.Contains(err.Error(), `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ids TO "worker"`) {
		t.Errorf("err = %v", err)
	}
	server.Run(t, db, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ids TO worker`)
	work(openStore(t, worker, Options{}))

	// Who may only work cannot migrate, and works again once somebody has.
	old := schemaOne(t)
	server.Run(t, old, `GRANT USAGE ON SCHEMA gatehouse TO worker; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gatehouse TO worker`)
	worker = server.URLOf("worker", password, old)
	if _, err := Open(ctx, worker, Options{}); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "gatehouse migrate") {
		t.Errorf("err = %v", err)
	}
	if from, to, err := Migrate(ctx, server.URL(old), Options{}); err != nil || from != 1 || to < 2 {
		t.Errorf("Migrate = %d, %d, %v", from, to, err)
	}
	work(openStore(t, worker, Options{}))

	if s := openStore(t, database(t), Options{}); !slices.ContainsFunc(s.Warnings(), func(w string) bool { return strings.Contains(w, "superuser") }) ||
		!slices.ContainsFunc(s.Warnings(), func(w string) bool { return strings.Contains(w, "fsync is off") }) {
		t.Errorf("warnings: %q", s.Warnings())
	}
}

// An application may join to the users and refer to them.
func TestAnApplicationRefersToUsers(t *testing.T) {
	ctx, db := t.Context(), server.Database(t)
	s := openStore(t, server.URL(db), Options{})
	for n := range 3 {
		if err := s.CreateUser(ctx, user(n)); err != nil {
			t.Fatal(err)
		}
	}
	server.Run(t, db, `CREATE TABLE public.orders (id INT, user_id TEXT REFERENCES gatehouse.users (id) ON DELETE CASCADE);
CREATE TABLE public.bills (id INT, user_id TEXT REFERENCES gatehouse.users (id)); INSERT INTO orders VALUES (1, 'u1'), (2, 'u2'); INSERT INTO bills VALUES (1, 'u2')`)
	c := asker(t, server.URL(db))
	if got := answer(t, c, `SELECT u.email_key FROM orders o JOIN gatehouse.users u ON u.id = o.user_id WHERE o.id = 1`); got != "u1@example.com" {
		t.Error(got)
	}
	// A column with a collation of its own is compared by ours.
	server.Run(t, db, `CREATE TABLE public.carts (user_id TEXT COLLATE "en-x-icu"); INSERT INTO carts VALUES ('u1')`)
	const join = `SELECT u.email_key FROM carts o JOIN gatehouse.users u ON u.id = o.user_id`
	if err := c.QueryRow(ctx, join).Scan(new(string)); err == nil || !strings.Contains(err.Error(), "could not determine which collation to use") {
		t.Errorf("err = %v", err)
	}
	if got := answer(t, c, join+` COLLATE "C"`); got != "u1@example.com" {
		t.Error(got)
	}
	if err := s.DeleteUser(ctx, "u1", 1); err != nil {
		t.Error(err)
	}
	if got := answer(t, c, `SELECT count(*)::text FROM orders`); got != "1" {
		t.Errorf("%s orders", got)
	}
	if err := s.DeleteUser(ctx, "u2", 1); err == nil || !strings.Contains(err.Error(), "table public.bills refers to it") || errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
	u, err := s.User(ctx, "u2")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveUser(ctx, u); err != nil {
		t.Error(err)
	}
}

package postgres

import (
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for _, c := range []struct {
		url, user, password, host, database, schema string
		port                                        uint16
	}{
		{"postgres://ann:pw@db.example.com:6432/auth", "ann", "pw", "db.example.com", "auth", "gatehouse", 6432},
		{"postgresql://ann:p%40%2F%3Aw@db/auth?schema=ids", "ann", "p@/:w", "db", "auth", "ids", 5432},
		{"postgres://ann@db/auth?password=p%26w&sslmode=disable", "ann", "p&w", "db", "auth", "gatehouse", 5432},
		{"postgres://a%40b:@[::1]:5433/auth", "a@b", "", "::1", "auth", "gatehouse", 5433},
		{"postgres://ann:pw@one:5433,two:5434/auth", "ann", "pw", "one", "auth", "gatehouse", 5433},
		{"postgres://ann:pw@%2Frun%2Fpostgresql/auth", "ann", "pw", "/run/postgresql", "auth", "gatehouse", 5432},
		{"postgres://ann:pw@/auth?host=/run/postgresql", "ann", "pw", "/run/postgresql", "auth", "gatehouse", 5432},
	} {
		got, err := parse(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		p := got.pool.ConnConfig
		if p.User != c.user || p.Password != c.password || p.Host != c.host || p.Port != c.port || p.Database != c.database || got.schema != c.schema {
			t.Errorf("%s: user %q password %q host %q port %d database %q schema %q", c.url, p.User, p.Password, p.Host, p.Port, p.Database, got.schema)
		}
		if s := got.String(); c.password != "" && strings.Contains(s, c.password) {
			t.Errorf("%s: it is shown as %s", c.url, s)
		}
	}
	if several, err := parse("postgres://ann:pw@one:5433,two:5434/auth"); err != nil || several.pool.ConnConfig.ValidateConnect == nil {
		t.Errorf("of several servers it does not look for the primary: %v", err)
	}
}

// What is wrong with a URL is said without saying what the password is.
func TestURLsThatWillNotDo(t *testing.T) {
	for _, url := range []string{
		"", "postgres", "postgres:", "mysql://ann:hunter2@db/auth", "postgres://ann:hunter2%@db/auth", "postgres://ann:hunter2%zz@db/auth",
		"postgres://ann:hunter2@db:port/auth", "postgres://ann:hunter2@db/auth?sslmode=sure", "postgres://ann:hunter2@db/auth?schema=",
		"postgres://ann:hunter2@db/auth?schema=Gatehouse", "postgres://ann:hunter2@db/auth?schema=a.b", "postgres://ann:hunter2@db/auth?schema=pg_ids",
		"postgres://ann:hunter2@db/auth?schema=information_schema", `postgres://ann:hunter2@db/auth?schema=a"b`, "postgres://ann:hunter2@db/auth?schema=" + strings.Repeat("a", 49),
		"postgres://ann:hunter2@db/auth?pool_max_conns=many", "postgres://ann:hunter2@db/auth?a=%zz", "postgres://ann:hunter2@db:99999/auth?connect_timeout=x",
		"postgres://ann:hunter2@d b/auth", "postgres://ann:hun ter2@db:x/auth", "postgres://ann:hunter2/@db:x/auth", "postgres://ann:hunter2?@db:x/auth",
		"postgres://ann@db/auth?password=hunter2&sslmode=sure", "postgres://ann@db/auth?pass%77ord=hunter2&sslmode=sure", "host=db password=hunter2",
		"postgres://ann@db/auth?sslpassword=hunter2&sslmode=sure",
	} {
		_, err := Open(t.Context(), url, Options{})
		if err == nil {
			t.Errorf("%s was taken", url)
		} else if strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: the error has the password: %v", url, err)
		}
	}
	for parameter, says := range map[string]string{
		"pool_max_conns=0":               "in the URL of the database a parameter is wrong, correct it or leave it out: pool_max_conns too small",
		"pool_max_conns=many":            "cannot parse pool_max_conns",
		"sslmode=sure":                   "sslmode",
		"connect_timeout=x":              "invalid connect_timeout",
		"default_query_exec_mode=always": "invalid default_query_exec_mode",
	} {
		_, err := Open(t.Context(), "postgres://ann:hunter2@db/auth?"+parameter, Options{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "%!") || strings.Contains(err.Error(), "ann:") {
			t.Errorf("%s: err = %v, want one that says %s", parameter, err, says)
		}
	}
}

// How statements are run is found out, unless the URL says it.
func TestTheModeOfStatements(t *testing.T) {
	db := server.Database(t)
	for parameter, want := range map[string]string{"": "true", "?default_query_exec_mode=exec": "false", "?default_query_exec_mode=cache_statement": "true"} {
		s := openStore(t, server.URL(db)+parameter, Options{MaxConns: 1})
		for range 3 {
			if _, err := s.Users(t.Context(), "", 1); err != nil {
				t.Fatal(err)
			}
		}
		held, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(t, held.Conn(), `SELECT (count(*) > 0)::text FROM pg_prepared_statements WHERE statement LIKE '%users%'`); got != want {
			t.Errorf("%q: statements are prepared: %s, want %s", parameter, got, want)
		}
		held.Release()
	}
}

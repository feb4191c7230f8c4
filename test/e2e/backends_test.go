//go:build linux

package e2e

import (
	"database/sql"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", to look into the file itself

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// backend is where an instance under test keeps its records, in processes that
// can be killed.
type backend struct {
	place
	people      int                             // who use it at once, of each kind
	pace        time.Duration                   // between two things that one of them does
	kill, start func()                          // the database; nil if it is part of the instance
	sound       func(t *testing.T, file string) // what must hold after each blow, beside all else
	slowest     time.Duration                   // to the first answer after a crash; zero: that depends on others
}

// backends are the databases under test, each with what makes a new one.
var backends = map[string]func(*testing.T) backend{
	"SQLite": func(*testing.T) backend {
		return backend{people: 8, sound: checkIntegrity, slowest: 2 * time.Second}
	},
	"PostgreSQL": func(t *testing.T) backend {
		p := service.Postgres(t, service.PostgresOptions{Durable: true})
		return backend{
			people: 8,
			place:  place{database: p.URL(p.Database(t))},
			kill:   func() { must(t, p.Kill()) },
			start:  func() { must(t, p.Start()) },
		}
	},
	// Sessions are in Redis, and all else in SQLite: what is killed is Redis.
	"Redis before SQLite": func(t *testing.T) backend {
		r := service.Redis(t)
		return backend{
			people: 8,
			place:  place{redis: r.URL()},
			kill:   r.Kill,
			start:  func() { must(t, r.Start()) },
		}
	},
	"MongoDB": func(t *testing.T) backend {
		m := service.Mongo(t)
		return backend{
			people: 2,
			pace:   50 * time.Millisecond, // the stand-in carries out one command at a time
			place:  place{database: m.URI("gatehouse")},
			kill:   m.Kill,
			start:  func() { must(t, m.Start()) },
		}
	},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkIntegrity asks SQLite whether the file is sound.
func checkIntegrity(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %q %v", verdict, err)
	}
}

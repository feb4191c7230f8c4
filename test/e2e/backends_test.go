//go:build linux

package e2e

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// backends are the databases under test, each with what makes a new one.
var backends = map[string]func(*testing.T) backend{
	"PostgreSQL": func(t *testing.T) backend {
		p := service.Postgres(t, service.PostgresOptions{Durable: true})
		return backend{
			people: 8,
			env:    []string{"GATEHOUSE_DATABASE=" + p.URL(p.Database(t))},
			kill:   func() { must(t, p.Kill()) },
			start:  func() { must(t, p.Start()) },
		}
	},
	// Sessions are in Redis, and all else in SQLite: what is killed is Redis.
	"Redis before SQLite": func(t *testing.T) backend {
		r := service.Redis(t)
		return backend{
			people: 8,
			env:    []string{"GATEHOUSE_REDIS=" + r.URL()},
			kill:   r.Kill,
			start:  func() { must(t, r.Start()) },
		}
	},
	"MongoDB": func(t *testing.T) backend {
		m := service.Mongo(t)
		return backend{
			people: 2,
			pace:   30 * time.Millisecond, // the stand-in carries out one command at a time
			env:    []string{"GATEHOUSE_DATABASE=" + m.URI("gatehouse")},
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

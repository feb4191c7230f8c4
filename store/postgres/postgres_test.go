package postgres

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// server is the PostgreSQL that all tests share that do not stop or break it.
var server *service.PostgresServer

func TestMain(m *testing.M) {
	if job := os.Getenv("POSTGRES_TEST_JOB"); job != "" {
		if err := jobs[job](os.Getenv("POSTGRES_TEST_URL")); err != nil {
			fmt.Fprintln(os.Stderr, job+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(func() int {
		var err error
		if server, err = service.StartPostgres(service.PostgresOptions{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Close()
		return m.Run()
	}())
}

// database is the URL of an empty database.
func database(tb testing.TB) string { return server.URL(server.Database(tb)) }

func openStore(tb testing.TB, url string, opts Options) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), url, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

func user(n int, keys ...string) *gatehouse.User {
	return &gatehouse.User{ID: fmt.Sprint("u", n), EmailKey: fmt.Sprintf("u%d@example.com", n), Keys: keys}
}

func session(n int) *gatehouse.Session {
	return &gatehouse.Session{ID: fmt.Sprint("s", n), UserID: "u"}
}

// The contract, and besides: every statement that the suite makes the store run
// finds its rows by an index, and in the order of an index.
func TestStore(t *testing.T) {
	statements := make(map[string]bool)
	empty := func(t *testing.T) gatehouse.Store {
		s := openStore(t, database(t), Options{MaxConns: 20})
		t.Cleanup(func() {
			s.qualified.Range(func(_, sent any) bool {
				statements[sent.(string)] = true
				return true
			})
		})
		return s
	}
	storetest.Run(t, empty)
	t.Run("Mover", func(t *testing.T) { storetest.Mover(t, empty) })
	s := populated(t)
	looked := 0
	for query := range statements {
		if verb, _, _ := strings.Cut(query, " "); !strings.Contains("SELECT INSERT UPDATE DELETE", verb) || strings.Contains(query, "_probe ") {
			continue
		}
		looked++
		plan := planOf(t, s, query)
		if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") {
			t.Errorf("%s\n%s", query, plan)
		}
	}
	if looked < 40 {
		t.Errorf("only %d statements were looked at", looked)
	}
}

// Handles on one database are what processes have.
func TestSeveralHandles(t *testing.T) {
	storetest.Races(t, func(t *testing.T) []gatehouse.Store {
		url := database(t)
		return []gatehouse.Store{openStore(t, url, Options{}), openStore(t, url, Options{}), openStore(t, url, Options{MaxConns: 1})}
	})
}

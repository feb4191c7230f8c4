package sqlite

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

// The contract, and besides: every statement that the suite makes the store run
// finds its rows by an index, and in the order of an index.
func TestStore(t *testing.T) {
	statements := make(map[string]bool)
	opened := func(t *testing.T) gatehouse.Store {
		s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
		t.Cleanup(func() {
			for query := range prepared(s) {
				statements[query] = true
			}
		})
		return s
	}
	storetest.Run(t, opened)
	t.Run("Mover", func(t *testing.T) { storetest.Mover(t, opened) })
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	looked := 0
	for query := range statements {
		verb, _, _ := strings.Cut(query, " ")
		if !strings.Contains("SELECT INSERT UPDATE DELETE", verb) || strings.Contains(query, "sqlite_schema") {
			continue
		}
		looked++
		plan := planOf(t, s, query)
		// Without a condition the newest events are the last of the table, which
		// is in the order of ids: "SCAN" is to walk it backwards up to the limit.
		if strings.Contains(query, " FROM events ORDER BY id DESC LIMIT $1") {
			plan = strings.Replace(plan, "SCAN events", "", 1)
		}
		// The rows that a load inserts are scanned where they stand: in the statement.
		plan = scanOfValues.ReplaceAllString(plan, "")
		if strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "AUTOMATIC") {
			t.Errorf("%s\n%s", query, plan)
		}
	}
	if looked < 65 {
		t.Errorf("only %d statements were looked at", looked)
	}
}

var scanOfValues = regexp.MustCompile(`SCAN \d+-ROW VALUES CLAUSE`)

// prepared is the texts of the statements that the store has prepared. Nobody
// else may be using it.
func prepared(s *Store) map[string]bool {
	texts := make(map[string]bool)
	for query := range s.writer.stmts {
		texts[query] = true
	}
	for range s.opts.Readers {
		r := <-s.readers
		if r.conn != nil {
			for query := range r.conn.stmts {
				texts[query] = true
			}
		}
		defer func() { s.readers <- r }()
	}
	return texts
}

func planOf(t *testing.T, s *Store, query string) string {
	t.Helper()
	var plan strings.Builder
	args := make([]any, strings.Count(query, "$"))
	err := s.read(t.Context(), func(c sqlstore.Conn) error {
		return c.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args, func(r sqlstore.Row) error {
			fmt.Fprintln(&plan, r[3])
			return nil
		})
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return plan.String()
}

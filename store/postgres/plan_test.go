package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// populated is a store with so much in it that to read all of a table is dear.
func populated(t *testing.T) *Store {
	t.Helper()
	s := openStore(t, database(t), Options{})
	const fill = `
INSERT INTO gatehouse.users (id, version, email, email_key, name, roles, keys, credentials, epoch)
  SELECT 'u' || n, 1, '', 'u' || n || '@example.com', 'Ann', '[]', '["k' || n || '"]', '[]', 1 FROM generate_series(1, 20000) n;
INSERT INTO gatehouse.user_keys SELECT 'k' || n, 'u' || n FROM generate_series(1, 20000) n;
INSERT INTO gatehouse.sessions (id, version, user_id, epoch, generation, methods, created_at, expires_at, user_agent, address)
  SELECT 's' || n, 1, 'u' || n % 10000, 1, 1, '["pwd"]', n, n, 'Mozilla/5.0', '192.0.2.1' FROM generate_series(1, 20000) n;
INSERT INTO gatehouse.challenges (id, version, kind, user_id, attempts, expires_at)
  SELECT 'c' || n, 1, 'link', 'u' || n, 0, n FROM generate_series(1, 20000) n;
INSERT INTO gatehouse.events (id, at, kind, outcome, user_id, actor_id, session_id, address, user_agent, ref, expires_at)
  SELECT 'e' || n, n, 'kind' || n % 20, 'ok', 'u' || n % 1000, '', '', '', '', '', n FROM generate_series(1, 60000) n;
INSERT INTO gatehouse.settings SELECT 'x' || n, 1, NULL, n FROM generate_series(1, 5000) n;
INSERT INTO gatehouse.tasks (id, version, kind, attempts, due_at, expires_at)
  SELECT 't' || n, 1, 'mail', 0, n, n FROM generate_series(1, 20000) n;
ANALYZE gatehouse.users; ANALYZE gatehouse.user_keys; ANALYZE gatehouse.sessions; ANALYZE gatehouse.challenges;
ANALYZE gatehouse.events; ANALYZE gatehouse.settings; ANALYZE gatehouse.tasks`
	server.Run(t, s.target.pool.ConnConfig.Database, fill)
	return s
}

// planOf is how the server goes about a statement whose arguments it does not know.
// That is the worst it may do: with them it may do better.
func planOf(t *testing.T, s *Store, query string) string {
	t.Helper()
	ctx := t.Context()
	c, err := pgx.ConnectConfig(ctx, s.target.pool.ConnConfig.Copy())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	n := strings.Count(query, "$")
	for ; n > 0 && !strings.Contains(query, fmt.Sprint("$", n)); n-- {
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	text := `SET plan_cache_mode = force_generic_plan; PREPARE it AS ` + query + `; EXPLAIN (COSTS OFF) EXECUTE it` + nulls
	results, err := c.PgConn().Exec(ctx, text).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var plan strings.Builder
	for _, r := range results[len(results)-1].Rows {
		fmt.Fprintf(&plan, "%s\n", r[0])
	}
	return plan.String()
}

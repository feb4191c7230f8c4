package service

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncerBin is the environment variable that names another pgbouncer than the
// one installed.
const PgBouncerBin = "GATEHOUSE_TEST_PGBOUNCER"

// PgBouncerServer is a pgbouncer in front of a PostgreSQL server.
type PgBouncerServer struct{ port int }

// PgBouncer starts a pgbouncer in front of p that gives server processes to its
// clients by mode: "transaction" or "session". It has few of them, so that clients
// do get each other's. Further settings are lines of its configuration.
func PgBouncer(tb testing.TB, p *PostgresServer, mode string, settings ...string) *PgBouncerServer {
	tb.Helper()
	path, err := pgbouncer()
	check(tb, err)
	port, err := freePort()
	check(tb, err)
	folder, err := os.MkdirTemp("", "gatehouse-pgbouncer-")
	check(tb, err)
	tb.Cleanup(func() { os.RemoveAll(folder) })
	quoted := strings.ReplaceAll(PostgresPassword, `"`, `""`)
	conf := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = %s\npool_mode = %s\ndefault_pool_size = 6\nmax_client_conn = 300\n"+
		"server_round_robin = 1\n%s\n", p.Port(), port, filepath.Join(folder, "users"), mode, strings.Join(settings, "\n"))
	check(tb, os.WriteFile(filepath.Join(folder, "ini"), []byte(conf), 0o644))
	check(tb, os.WriteFile(filepath.Join(folder, "users"), []byte(`"postgres" "`+quoted+"\"\n"), 0o644))
	log, err := os.Create(filepath.Join(folder, "log"))
	check(tb, err)
	cmd := exec.Command(path, filepath.Join(folder, "ini"))
	cmd.Stdout, cmd.Stderr = log, log
	check(tb, unprivileged(cmd, folder))
	check(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		log.Close()
	})
	b := &PgBouncerServer{port: port}
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, b.URL("postgres"))
		if err == nil {
			check(tb, c.Close(ctx))
			return b
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(filepath.Join(folder, "log"))
			tb.Fatalf("pgbouncer has not started: %v\n%s", err, said)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// PgBouncerMinor is the second number of the version of pgbouncer that the tests run
// on: 18 for 1.18. Since 21 it can keep the prepared statements of its clients, and
// since 26 it tells them whether it does.
func PgBouncerMinor(tb testing.TB) (minor int) {
	tb.Helper()
	path, err := pgbouncer()
	check(tb, err)
	out, err := exec.Command(path, "--version").Output()
	check(tb, err)
	if _, err := fmt.Sscanf(string(out), "PgBouncer 1.%d", &minor); err != nil {
		tb.Fatalf("which version is this? %s", out)
	}
	return minor
}

func pgbouncer() (string, error) {
	return program(os.Getenv(PgBouncerBin), "pgbouncer", "pgbouncer", "/usr/sbin")
}

// URL leads the superuser to a database of that name, through pgbouncer.
func (b *PgBouncerServer) URL(database string) string {
	return postgresURL(b.port, "postgres", PostgresPassword, database)
}

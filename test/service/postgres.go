package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresBin is the environment variable that names a folder with the programs of
// another PostgreSQL than the one installed.
const PostgresBin = "GATEHOUSE_TEST_POSTGRES_BIN"

// PostgresOptions are choices of [StartPostgres].
type PostgresOptions struct {
	// Durable has the server sync what it commits, as one in use does. Default
	// no, which is quicker, and the same unless the machine loses its power.
	Durable bool
	// Settings are added to postgresql.conf, a line each.
	Settings []string
	// WAL is the folder for the write-ahead log, which is then kept as small as it
	// can be. Default beside the rest.
	WAL string
	// FileSize is how many MiB a file of the server can have at most; what would grow
	// beyond them is refused as by a file system that has no more for one file or one
	// user. Below 16 it needs WAL as well. Default no limit.
	FileSize int
}

// PostgresServer is a PostgreSQL server of a test. Its superuser is postgres, with
// the password [PostgresPassword]; passwords are asked for over the network.
type PostgresServer struct {
	bin, folder string
	fileSize    int
	port        int
	cmd         *exec.Cmd
	ended       chan struct{}
	log         *os.File
	databases   atomic.Int64
}

// PostgresPassword is that of the superuser. It has what must be escaped in a URL.
const PostgresPassword = "s3cret/pass word@%"

// Postgres starts a server that is stopped, and removed, when the test ends.
func Postgres(tb testing.TB, opts PostgresOptions) *PostgresServer {
	tb.Helper()
	p, err := StartPostgres(opts)
	check(tb, err)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the log of PostgreSQL ends with:\n%s", p.tail())
		}
		p.Close()
	})
	return p
}

// StartPostgres starts a server with an empty data folder, for a TestMain. Close
// it in the end.
func StartPostgres(opts PostgresOptions) (*PostgresServer, error) {
	chosen := os.Getenv(PostgresBin)
	if chosen != "" {
		chosen = filepath.Join(chosen, "initdb")
	}
	initdb, err := program(chosen, "initdb", "postgresql", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	// Beside it is all the rest.
	if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
		return nil, err
	}
	p := &PostgresServer{bin: filepath.Dir(initdb), fileSize: opts.FileSize}
	if p.folder, err = os.MkdirTemp("", "gatehouse-postgres-"); err != nil {
		return nil, err
	}
	if err := p.create(opts); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.Start(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *PostgresServer) data() string { return filepath.Join(p.folder, "data") }

func (p *PostgresServer) create(opts PostgresOptions) error {
	password := filepath.Join(p.folder, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword+"\n"), 0o644); err != nil {
		return err
	}
	args := []string{
		"-D", p.data(), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile=" + password, "--no-sync",
	}
	if opts.WAL != "" {
		args = append(args, "--waldir="+filepath.Join(opts.WAL, "wal"), "--wal-segsize=1")
		opts.Settings = append([]string{"min_wal_size = 2MB", "max_wal_size = 4MB"}, opts.Settings...)
	}
	cmd := exec.Command(filepath.Join(p.bin, "initdb"), args...)
	cmd.Dir = p.folder
	if err := unprivileged(cmd, p.folder); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	p.port = port
	settings := append([]string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", port), "unix_socket_directories = ''",
		"max_connections = 200", "shared_buffers = 64MB", "log_min_messages = warning",
	}, opts.Settings...)
	if !opts.Durable {
		settings = append(settings, "fsync = off")
	}
	conf, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString("\n" + strings.Join(settings, "\n") + "\n")
	if p.log == nil && err == nil {
		p.log, err = os.Create(filepath.Join(p.folder, "log"))
	}
	return errors.Join(err, conf.Close())
}

// Start starts the server on the data and the port that it had, and waits until it
// lets somebody in.
func (p *PostgresServer) Start() error {
	const patience = 60 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := p.start(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("PostgreSQL has not started within %v: %w\n%s", patience, err, p.tail())
		}
		// Processes of a server that was killed may be there for a moment yet.
		time.Sleep(50 * time.Millisecond)
	}
}

func (p *PostgresServer) start(ctx context.Context) error {
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data())
	if p.fileSize > 0 {
		// Blocks of 512 bytes.
		cmd = exec.Command("sh", "-c", fmt.Sprintf(`ulimit -S -f %d && exec "$0" "$@"`, p.fileSize<<11), cmd.Path, "-D", p.data())
	}
	cmd.Dir = p.folder
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := unprivileged(cmd); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	for {
		c, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			p.cmd, p.ended = cmd, ended
			return c.Close(ctx)
		}
		select {
		case <-ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			_ = cmd.Process.Kill()
			<-ended
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the server in order, and does not wait for its clients to leave.
func (p *PostgresServer) Stop() error {
	return p.end(func() error { return p.cmd.Process.Signal(os.Interrupt) })
}

// Kill kills all processes of the server at the same moment, as a crash does.
func (p *PostgresServer) Kill() error {
	return p.end(func() error {
		// It must not notice that the others have died: it would tell its clients.
		err := freeze(p.cmd.Process)
		for _, pid := range children(p.cmd.Process.Pid) {
			if child, e := os.FindProcess(pid); e == nil {
				_ = child.Kill() // it may have ended by itself
			}
		}
		return errors.Join(err, p.cmd.Process.Kill())
	})
}

func (p *PostgresServer) end(how func() error) error {
	if p.cmd == nil {
		return nil
	}
	err := how()
	<-p.ended
	p.cmd = nil
	return err
}

// Revive starts the server again if it has ended by itself, as a supervisor does.
func (p *PostgresServer) Revive() error {
	select {
	case <-p.ended:
		return p.Start()
	default:
		return nil
	}
}

// Restart stops the server and starts it again.
func (p *PostgresServer) Restart() error { return errors.Join(p.Stop(), p.Start()) }

// Standby restarts the server as one that follows another: it can only be read.
// Promote makes it one that can be written to again.
func (p *PostgresServer) Standby() error {
	if err := p.Stop(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.data(), "standby.signal"), nil, 0o644); err != nil {
		return err
	}
	return p.Start()
}

// Promote ends what Standby began.
func (p *PostgresServer) Promote() error {
	if err := p.Stop(); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(p.data(), "standby.signal")); err != nil {
		return err
	}
	return p.Start()
}

// Close kills the server and removes all it has.
func (p *PostgresServer) Close() {
	_ = p.Kill() // its data is not needed any more
	if p.log != nil {
		p.log.Close()
	}
	os.RemoveAll(p.folder)
}

func (p *PostgresServer) tail() []byte {
	all, err := os.ReadFile(filepath.Join(p.folder, "log"))
	if err != nil {
		return nil
	}
	return bytes.TrimSpace(all[max(0, len(all)-4000):])
}

// Port is the one on which the server listens, on 127.0.0.1.
func (p *PostgresServer) Port() int { return p.port }

// URL leads the superuser to a database of that name.
func (p *PostgresServer) URL(database string) string {
	return p.URLOf("postgres", PostgresPassword, database)
}

// URLOf leads that user to a database.
func (p *PostgresServer) URLOf(user, password, database string) string {
	return postgresURL(p.port, user, password, database)
}

func postgresURL(port int, user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/" + database}
	return u.String()
}

// Database makes an empty database, and returns its name.
func (p *PostgresServer) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", p.databases.Add(1))
	p.Run(tb, "postgres", `CREATE DATABASE `+name)
	return name
}

// DatabaseIn is Database with everything in that folder, which may be on a disk of
// its own.
func (p *PostgresServer) DatabaseIn(tb testing.TB, folder string) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", p.databases.Add(1))
	place := filepath.Join(folder, name)
	check(tb, os.Mkdir(place, 0o700))
	check(tb, unprivileged(&exec.Cmd{}, place))
	p.Run(tb, "postgres", `CREATE TABLESPACE `+name+` LOCATION '`+place+`'`)
	p.Run(tb, "postgres", `CREATE DATABASE `+name+` TABLESPACE `+name)
	return name
}

// Run runs statements as the superuser in a database.
func (p *PostgresServer) Run(tb testing.TB, database, statements string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	c, err := pgx.Connect(ctx, p.URL(database))
	check(tb, err)
	defer c.Close(ctx)
	if _, err := c.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		tb.Fatalf("%s: %v", statements, err)
	}
}

// Shell runs a line of a shell in a folder, with the programs of this PostgreSQL, which
// work on this server as that user unless they are told otherwise. It returns all
// that the line says.
func (p *PostgresServer) Shell(tb testing.TB, folder, user, password, line string) (string, error) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "sh", "-c", line)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"),
		"PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", p.port), "PGUSER="+user, "PGPASSWORD="+password)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Dump is what pg_dump writes of a database, with arguments of its own if there are
// any: all of it as SQL by default.
func (p *PostgresServer) Dump(tb testing.TB, database string, args ...string) string {
	tb.Helper()
	out, err := p.Shell(tb, p.folder, "postgres", PostgresPassword, "pg_dump "+strings.Join(append(args, database), " "))
	if err != nil {
		tb.Fatalf("pg_dump: %v\n%s", err, out)
	}
	var text strings.Builder
	for line := range strings.Lines(out) {
		// Commands of psql, which have a new random word each time.
		if !strings.HasPrefix(line, `\restrict `) && !strings.HasPrefix(line, `\unrestrict `) {
			text.WriteString(line)
		}
	}
	return text.String()
}

// Processes are those of the server at this moment.
func (p *PostgresServer) Processes() []int {
	return append(children(p.cmd.Process.Pid), p.cmd.Process.Pid)
}

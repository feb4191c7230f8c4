package cli

import (
	"bufio"
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"modernc.org/sqlite"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gatehouse": func() { os.Exit(Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the stories in testdata: people who use the program.
//
//	gh STATUS [<FILE] ARGS…   runs gatehouse; what it writes is in out and err
//	start [ARGS…]             runs gatehouse and waits until it is ready
//	request STATUS METHOD PATH [FILE]   talks to it, with cookies; the answer is in out
//	halt                      sends it SIGTERM; it must end with 0
//	mode PERM PATH            checks the mode of a file
//	append FILE               adds a byte to a file
//	keep NAME PATTERN FILE    sets a variable to what the pattern finds
//	sql STATEMENT             changes the database behind its back
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// The cheapest hash there is: these stories are not about hashing.
			e.Setenv("GATEHOUSE_HASH_MEMORY", "64KiB")
			e.Setenv("GATEHOUSE_HASH_TIME", "1")
			e.Setenv("GATEHOUSE_LISTEN", "127.0.0.1:0")
			e.Setenv("GATEHOUSE_SHUTDOWN_DELAY", "0s")
			e.Values["service"] = &service{jar: map[string]string{}}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"gh": gh, "start": startService, "request": request, "halt": halt, "mode": mode, "append": appendByte, "keep": keep, "sql": sql,
		},
	})
}

func binary(ts *testscript.TestScript, args ...string) *exec.Cmd {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, "gatehouse")); err == nil {
			c := exec.Command(path, args...)
			c.Dir = ts.MkAbs(".")
			for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
				c.Env = append(c.Env, name+"="+ts.Getenv(name))
			}
			for _, name := range settings {
				c.Env = append(c.Env, name+"="+ts.Getenv(name))
			}
			return c
		}
	}
	ts.Fatalf("gatehouse is not on the path")
	return nil
}

// settings are the variables that a script may set.
var settings = []string{
	"GATEHOUSE_HASH_MEMORY", "GATEHOUSE_HASH_TIME", "GATEHOUSE_LISTEN", "GATEHOUSE_LISTN", "GATEHOUSE_SHUTDOWN_DELAY", "GATEHOUSE_DATA", "GATEHOUSE_URL",
	"GATEHOUSE_SECRET", "GATEHOUSE_SECRET_FILE", "GATEHOUSE_SITE_NAME", "GATEHOUSE_ALGORITHM", "GATEHOUSE_BREACH_FILE", "NODE_ENV", "MONGODB_URI", "JWT_ACCESS_SECRET",
}

func write(ts *testscript.TestScript, name string, b []byte) {
	ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o600))
}

func gh(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	var in io.Reader
	if len(args) > 0 && strings.HasPrefix(args[0], "<") {
		in, args = strings.NewReader(ts.ReadFile(args[0][1:])), args[1:]
	}
	c := binary(ts, args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = in, &out, &errs
	began := time.Now()
	err = c.Run()
	write(ts, "out", out.Bytes())
	write(ts, "err", errs.Bytes())
	if got := c.ProcessState.ExitCode(); got != want {
		ts.Fatalf("gatehouse %q: status %d, want %d (%v)\n%s%s", args, got, want, err, &out, &errs)
	}
	ts.Logf("%s%s", &out, &errs)
	if d := time.Since(began); want == exitUsage && d > 5*time.Second {
		ts.Fatalf("refused after %v only", d)
	}
}

// service is the one that start has started.
type service struct {
	cmd  *exec.Cmd
	url  string
	jar  map[string]string
	mu   sync.Mutex
	log  bytes.Buffer
	done chan struct{}
}

func (s *service) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func startService(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("service").(*service)
	s.cmd, s.done = binary(ts, args...), make(chan struct{})
	s.cmd.Stderr = s
	out, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	cmd, done := s.cmd, s.done
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	lines := bufio.NewScanner(out)
	var said strings.Builder
	for lines.Scan() {
		line := lines.Text()
		said.WriteString(line + "\n")
		if strings.HasPrefix(line, "Data folder: ") {
			break
		}
	}
	go func() { _ = cmd.Wait(); close(done) }()
	write(ts, "out", []byte(said.String()))
	m := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(said.String())
	if m == "" {
		<-done
		ts.Fatalf("gatehouse did not become ready: %s%s", said.String(), s.log.String())
	}
	s.url = "http://" + m
	ts.Setenv("ADDRESS", m)
}

func request(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("service").(*service)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(ts.ReadFile(args[3]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, args[1], s.url+args[2], body)
	ts.Check(err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range s.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	for _, c := range resp.Cookies() {
		s.jar[c.Name] = c.Value
	}
	write(ts, "out", answer)
	ts.Logf("%d %s", resp.StatusCode, answer)
	if resp.StatusCode != want {
		ts.Fatalf("%s %s: %s, want %d", args[1], args[2], resp.Status, want)
	}
}

func halt(ts *testscript.TestScript, _ bool, _ []string) {
	s := ts.Value("service").(*service)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		ts.Fatalf("gatehouse did not stop")
	}
	write(ts, "err", s.log.Bytes())
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("stopped with %d: %s", code, s.log.String())
	}
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); runtime.GOOS != "windows" && got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

func keep(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[1]).FindString(ts.ReadFile(args[2]))
	if m == "" {
		ts.Fatalf("%s does not match %s", args[2], args[1])
	}
	ts.Setenv(args[0], m)
}

func appendByte(ts *testscript.TestScript, _ bool, args []string) {
	write(ts, args[0], append([]byte(ts.ReadFile(args[0])), 0))
}

func sql(ts *testscript.TestScript, _ bool, args []string) {
	d, err := new(sqlite.Driver).Open(ts.MkAbs("gatehouse-data/gatehouse.db"))
	ts.Check(err)
	defer d.Close()
	result, err := d.(driver.ExecerContext).ExecContext(context.Background(), args[0], nil)
	ts.Check(err)
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("%s: %d rows, %v", args[0], n, err)
	}
}

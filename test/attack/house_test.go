//go:build linux

package attack

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cheap makes hashing a matter of microseconds, and measured one of a millisecond
// or so; only development mode accepts them.
var (
	cheap    = []string{"--mode", "development", "--hash-memory", "64KiB", "--hash-time", "1", "--hash-queue", "10000"}
	measured = []string{"--mode", "development", "--hash-memory", "8MiB", "--hash-time", "1", "--hash-queue", "10000"}
)

// hs256Secret is known to the attacks that need valid signatures: what else is
// wrong with such a token must be noticed as well.
const hs256Secret = "zPq4rT8wXv2mKb6nYc9dLf3gHj5sAe7u"

// kinds are the services that are attacked, each started when it is first
// asked for, and shared by all cases.
var kinds = map[string]struct {
	args, env []string
	hash      []string                        // cheap by default
	prepare   func(t *testing.T, data string) // before the start
}{
	"plain": {},
	"es256": {args: []string{"--algorithm", "ES256"}},
	"hs256": {args: []string{"--algorithm", "HS256"}, env: []string{"GATEHOUSE_HS256_SECRET=" + hs256Secret}},
	"https": {args: []string{"--url", "https://auth.example.com"}},
	"proxy": {args: []string{"--trusted-proxies", "127.0.0.1/32"}},
	// quick has the shortest times that can be set.
	"quick":   {args: []string{"--rotation-grace", "1s", "--header-timeout", "1s", "--read-timeout", "1s"}},
	"limited": {args: []string{"--trusted-proxies", "127.0.0.1/32"}, env: []string{"GATEHOUSE_LIMITS=on"}},
	"brief":   {args: []string{"--access-token-lifetime", "10s"}},
	"timed":   {hash: measured},
	"mixed":   {hash: measured, prepare: importUsers},
}

var (
	housesMu sync.Mutex
	houses   = map[string]*server{}
)

// house is the running service of this kind.
func house(t *testing.T, kind string) *server {
	t.Helper()
	housesMu.Lock()
	defer housesMu.Unlock()
	if s := houses[kind]; s != nil {
		return s
	}
	k, ok := kinds[kind]
	if !ok {
		t.Fatalf("no kind %q", kind)
	}
	data, err := os.MkdirTemp("", "gatehouse-attack-data-")
	if err != nil {
		t.Fatal(err)
	}
	if k.prepare != nil {
		k.prepare(t, data)
	}
	hash := k.hash
	if hash == nil {
		hash = cheap
	}
	s := &server{data: data, args: append(k.args, hash...), env: k.env}
	s.start(t)
	houses[kind] = s
	return s
}

// closeHouses ends everything. None of them may have panicked.
func closeHouses(t *testing.T) {
	for kind, s := range houses {
		s.kill()
		if log := s.log.String(); strings.Contains(log, `"panic"`) || strings.Contains(log, "panic:") || strings.Contains(log, "fatal error:") {
			t.Errorf("the service %q panicked:\n%s", kind, log)
		}
		os.RemoveAll(s.data)
		delete(houses, kind)
	}
}

// server is a process of the binary.
type server struct {
	data      string
	args, env []string
	cmd       *exec.Cmd
	log       *output
	host      string // 127.0.0.1:PORT
}

// output keeps what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var listening = regexp.MustCompile(`(?:: http://|Listening on )(127\.0\.0\.1:[0-9]+)\n`)

// start starts the process on a free port, with an environment that holds no
// settings but its own. The limits are off, since all cases come from one
// address and would use up its allowance.
func (s *server) start(t testing.TB) {
	t.Helper()
	s.log = &output{}
	s.cmd = exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", s.data}, s.args...)...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.cmd.Dir, "GATEHOUSE_LIMITS=off"}, s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.host = ""
	defer func() {
		if s.host == "" {
			t.Logf("the service says:\n%s", s.log)
		}
	}()
	eventually(t, "the service says where it is", func() bool {
		if found := listening.FindStringSubmatch(s.log.String()); found != nil {
			s.host = found[1]
		}
		return s.host != ""
	})
}

// kill ends the process at once.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
}

// operate calls a command of the binary on the data of the service.
func (s *server) operate(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "GATEHOUSE_DATA=" + s.data}, s.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// database is the file with the records.
func (s *server) database() string { return filepath.Join(s.data, "gatehouse.db") }

// eventually tries until ok, and fails the test after a time in which
// everything that will happen has happened.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/http"
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

// cheap makes hashing a matter of microseconds, for tests that hash by the
// thousand; only development mode accepts it.
var cheap = []string{"--mode", "development", "--hash-memory", "64KiB", "--hash-time", "1", "--hash-queue", "1000", "--limits", "off"}

// server is a running process of the binary.
type server struct {
	t    testing.TB
	cmd  *exec.Cmd
	url  string // http://127.0.0.1:PORT
	data string
	log  *output
	done chan struct{} // closed when it has ended, with code then set
	code int
}

// output keeps what a process writes, and can be waited on.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced with each write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait is the first match of the pattern in what is written, or nil when done
// is closed or the time is over.
func (o *output) wait(pattern *regexp.Regexp, timeout time.Duration, done <-chan struct{}) []string {
	deadline := time.After(timeout)
	for over := false; ; {
		o.mu.Lock()
		found, more := pattern.FindStringSubmatch(o.text.String()), o.more
		o.mu.Unlock()
		if found != nil || over {
			return found
		}
		select {
		case <-more:
		case <-done:
			over = true // what was written last may be it
		case <-deadline:
			over = true
		}
	}
}

var address = regexp.MustCompile(`(?:: http://|Listening on )(127\.0\.0\.1:[0-9]+)\n`)

// start starts a server on the data folder, which need not exist, and waits
// until it says where it is. At the end of the test it must not have panicked.
func start(t testing.TB, data string, args ...string) *server {
	t.Helper()
	return startWith(t, data, nil, args...)
}

func startWith(t testing.TB, data string, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, data: data, log: newOutput(), done: make(chan struct{})}
	s.cmd = command(t, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := launch(s.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // the status is in ProcessState
		s.code = s.cmd.ProcessState.ExitCode()
		close(s.done)
	}()
	t.Cleanup(func() {
		s.kill()
		if log := s.log.String(); strings.Contains(log, `"panic"`) || strings.Contains(log, "panic:") || strings.Contains(log, "fatal error:") {
			t.Errorf("the server panicked:\n%s", log)
		}
	})
	found := s.log.wait(address, 20*time.Second, s.done)
	if found == nil {
		t.Fatalf("the server did not say where it is:\n%s", s.log)
	}
	s.url = "http://" + found[1]
	return s
}

// command is a call of the binary in an empty folder and an environment without
// settings but those given.
func command(t testing.TB, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir}, env...)
	return cmd
}

// call runs a command of the binary to its end, with what it reads, and returns
// all that it says, and its exit status.
func call(t testing.TB, env []string, stdin string, args ...string) (string, int) {
	t.Helper()
	cmd := command(t, env, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("gatehouse %s: %v", strings.Join(args, " "), err)
	}
	return string(out), 0
}

// mustCall is call for what must succeed.
func mustCall(t testing.TB, data, stdin string, args ...string) string {
	t.Helper()
	out, code := call(t, []string{"GATEHOUSE_DATA=" + data}, stdin, args...)
	if code != 0 {
		t.Fatalf("gatehouse %s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// kill ends the process as a power switch would, as far as the process goes.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// stop asks the server to end and returns its exit status.
func (s *server) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the server did not stop in 30 seconds:\n%s", s.log)
	}
	return s.code
}

// eventually tries until ok, and fails the test when the time is over.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
		pause(20 * time.Millisecond)
	}
	return time.Since(began)
}

// pause is for load that has a length, and for the distance of two tries.
func pause(d time.Duration) { <-time.After(d) }

// firstAnswer is how long it takes from now until /readyz is 200.
func (s *server) firstAnswer(began time.Time) time.Duration {
	s.t.Helper()
	eventually(s.t, 10*time.Second, "/readyz", func() bool {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == 200
	})
	return time.Since(began)
}

// database is the file with the records.
func (s *server) database() string { return filepath.Join(s.data, "gatehouse.db") }

//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestBlockedLog lets nobody read the log, until the pipe is full and far
// beyond: logging in goes on, and so does the orderly stop.
func TestBlockedLog(t *testing.T) {
	t.Chdir(t.TempDir())
	path, err := exec.LookPath("gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	unread, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	cmd := exec.Command(path, "--listen", "127.0.0.1:0", "--hash-memory", "64KiB", "--hash-time", "1", "--shutdown-delay", "0s", "--limits", "off")
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	stderr.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(line[strings.Index(line, "http://"):])

	// A pipe holds 64 KiB; a refused login is a line of some 200 bytes.
	const requests = 1000
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range requests / 8 {
				resp, err := http.Post(url+"/api/auth/login", "application/json", strings.NewReader(`{"email":"nobody@example.com","password":"not the password"}`))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("login: %s", resp.Status)
					return
				}
			}
		})
	}
	wg.Wait()
	if resp, err := http.Get(url + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %v %v", resp, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	b := make([]byte, 1<<20)
	n, _ := unread.Read(b)
	if lines := bytes.Count(b[:n], []byte("\n")); n < 60<<10 || lines >= requests {
		t.Errorf("the pipe holds %d bytes in %d lines: it was not full, so this has shown nothing", n, lines)
	}
}

// TestClosedLog: the reader of the log goes away.
func TestClosedLog(t *testing.T) {
	t.Chdir(t.TempDir())
	path, err := exec.LookPath("gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	gone, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--listen", "127.0.0.1:0", "--log-level", "debug", "--shutdown-delay", "0s", "--limits", "off")
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	stderr.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	url := strings.TrimSpace(line[strings.Index(line, "http://"):])
	for range 3 { // the first makes a line, and so the signal
		resp, err := http.Post(url+"/api/auth/login", "application/json", strings.NewReader(`{"email":"nobody@example.com","password":"not the password"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

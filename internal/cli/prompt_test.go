//go:build unix

package cli

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// screen is a program on a terminal, and a person before it.
type screen struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen bytes.Buffer
	more chan struct{}
}

func onTerminal(t *testing.T, args ...string) *screen {
	t.Helper()
	path, err := exec.LookPath("gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, cmd: exec.Command(path, args...), more: make(chan struct{}, 1)}
	s.cmd.Env = append(os.Environ(), "GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1", "GATEHOUSE_LISTEN=127.0.0.1:0", "GATEHOUSE_SHUTDOWN_DELAY=0s")
	if s.tty, err = pty.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.tty.Close() })
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := s.tty.Read(b)
			s.mu.Lock()
			s.seen.Write(b[:n])
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
			if err != nil {
				close(s.more)
				return
			}
		}
	}()
	return s
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// wait waits until the text is on the screen.
func (s *screen) wait(text string) {
	s.t.Helper()
	late := time.After(10 * time.Second)
	for !strings.Contains(s.text(), text) {
		select {
		case _, open := <-s.more:
			if !open && !strings.Contains(s.text(), text) {
				s.t.Fatalf("the program has ended without %q:\n%s", text, s.text())
			}
		case <-late:
			s.t.Fatalf("no %q on the screen:\n%s", text, s.text())
		}
	}
}

func (s *screen) write(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) ends(want int) {
	s.t.Helper()
	_ = s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != want {
		s.t.Errorf("status %d, want %d:\n%s", got, want, s.text())
	}
}

func TestPasswordIsAskedForTwiceAndNotShown(t *testing.T) {
	t.Chdir(t.TempDir())
	const password = "correct horse battery"
	s := onTerminal(t, "user", "add", "ann@example.com")
	s.wait("Password for ann@example.com: ")
	s.write(password + "\n")
	s.wait("The same again: ")
	s.write(password + "\n")
	s.ends(0)
	if strings.Contains(s.text(), password) {
		t.Errorf("the password is on the screen:\n%s", s.text())
	}

	s = onTerminal(t, "user", "set-password", "ann@example.com")
	s.wait("New password for ann@example.com: ")
	s.write("one password\n")
	s.wait("The same again: ")
	s.write("two password\n")
	s.wait("are not the same")
	s.ends(1)
}

// TestInterruptedPrompt: the terminal shows again what is typed on it.
func TestInterruptedPrompt(t *testing.T) {
	t.Chdir(t.TempDir())
	s := onTerminal(t, "user", "add", "ann@example.com")
	s.wait("Password for")
	s.write("\x03")
	s.ends(130)
	after, err := term.GetState(int(s.tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	fresh, err := term.GetState(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if *after != *fresh {
		t.Errorf("the terminal is left as %+v, want %+v", *after, *fresh)
	}
}

func TestDeleteAsks(t *testing.T) {
	t.Chdir(t.TempDir())
	s := onTerminal(t, "user", "add", "ann@example.com")
	for _, prompt := range []string{"Password for", "The same again"} {
		s.wait(prompt)
		s.write("correct horse battery\n")
	}
	s.ends(0)
	s = onTerminal(t, "user", "delete", "ann@example.com")
	s.wait("Delete ann@example.com for good? [y/N] ")
	s.write("\n")
	s.wait("nothing was changed")
	s.ends(1)
	s = onTerminal(t, "user", "delete", "ann@example.com")
	s.wait("[y/N] ")
	s.write("y\n")
	s.ends(0)
	s = onTerminal(t, "user", "show", "ann@example.com")
	s.ends(3)
}

// A password to look for is asked for once, and not shown.
func TestBreachCheckAsks(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("list.txt", []byte("A94A8FE5CCB19BA61C4C0873D391E987982FBBD3:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	onTerminal(t, "breach", "build", "list.txt").ends(0)
	for password, answer := range map[string]string{"test": "\nin the list", "other one": "not in the list"} {
		s := onTerminal(t, "breach", "check", "list.breach")
		s.wait("Password to look for: ")
		s.write(password + "\n")
		s.wait(answer)
		s.ends(0)
		if strings.Contains(s.text(), password) {
			t.Errorf("the password is on the screen:\n%s", s.text())
		}
	}
	s := onTerminal(t, "breach", "check", "list.breach")
	s.wait("Password to look for: ")
	s.write("\x03")
	s.ends(130)
}

// TestServeOnATerminal: a person reads text, and Ctrl+C stops in good order.
func TestServeOnATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	s := onTerminal(t, "serve")
	s.wait("Data folder: ")
	s.write("\x03")
	s.wait("level=INFO msg=stopping")
	s.ends(0)
}

// TestSecondSignalStopsAtOnce: a request that never ends is not waited for.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	s := onTerminal(t, "serve")
	s.wait("Data folder: ")
	address, _, _ := strings.Cut(s.text()[strings.Index(s.text(), "http://")+len("http://"):], "\r")
	// A request whose body never comes is under way.
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // 100 Continue: it is being read
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait("msg=stopping")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait("stopped at once")
	s.ends(1)
}

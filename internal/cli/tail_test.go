//go:build unix

package cli

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestEventsTail follows what other processes do, each event once, and ends well
// when it is interrupted.
func TestEventsTail(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GATEHOUSE_HASH_MEMORY", "64KiB")
	t.Setenv("GATEHOUSE_HASH_TIME", "1")
	path, err := exec.LookPath("gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader("correct horse battery\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gatehouse %q: %v\n%s", args, err, out)
		}
	}
	run("user", "add", "ann@example.com", "--password-stdin")
	run("user", "add", "bob@example.com", "--password-stdin")

	cmd := exec.Command(path, "events", "tail", "--lines", "1", "--json")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(stdout)
	want := func(what, kind string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("%s: no line: %v", what, lines.Err())
		}
		if line := lines.Text(); !strings.Contains(line, `"kind":"`+kind+`"`) {
			t.Fatalf("%s: %s, want %s", what, line, kind)
		}
	}
	want("the last event of before", "register")
	run("user", "grant", "ann@example.com", "admin")
	want("as it happens", "role_granted")
	run("user", "disable", "ann@example.com")
	run("user", "enable", "ann@example.com")
	want("as it happens", "user_disabled")
	want("as it happens", "user_enabled")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("after the interrupt: %s", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v, want status 0", err)
	}
	run("events", "verify")
}

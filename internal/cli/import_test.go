//go:build unix

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An import that somebody interrupts ends between two batches, says so, keeps
// what came in, and the same command brings in the rest.
func TestImportInterrupted(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GATEHOUSE_HASH_MEMORY", "64KiB")
	t.Setenv("GATEHOUSE_HASH_TIME", "1")
	path, err := exec.LookPath("gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	const records = 60_000
	var export strings.Builder
	for n := range records {
		fmt.Fprintf(&export, "{\"id\":\"u%d\",\"email\":\"u%d@example.com\",\"created_at\":\"2020-01-02T03:04:05Z\"}\n", n, n)
	}
	if err := os.WriteFile("users.ndjson", []byte(export.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(path, "import", "users.ndjson", "--format", "generic")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Some batches are in when the log of the database has a megabyte.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat("gatehouse-data/gatehouse.db-wal"); err == nil && info.Size() > 1<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing comes in")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	exit, _ := errors.AsType[*exec.ExitError](err)
	if exit == nil || exit.ExitCode() != exitInterrupted || !strings.Contains(errs.String(), "interrupted; what came in stays") {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	in := number(t, `(?m)^imported +(\d+)`, out.String())
	if in == 0 || in == records {
		t.Fatalf("%d of %d were in when it was interrupted: it tells nothing", in, records)
	}
	again, err := exec.Command(path, "import", "users.ndjson", "--format", "generic").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, again)
	}
	// The batch under way may have come in without being counted.
	before, added := number(t, `imported before +(\d+)`, string(again)), number(t, `(?m)^imported +(\d+)`, string(again))
	if before < in || before > in+1000 || before+added != records {
		t.Errorf("interrupted after %d; then %d were there and %d came in", in, before, added)
	}
}

func number(t *testing.T, pattern, text string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

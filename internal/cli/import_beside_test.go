//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// bcryptOf is the hash of it, of the least cost.
const (
	oldPassword = "J8eHUDuxBB520"
	bcryptOf    = "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."
)

// An import is killed several times and begun again, beside a service at which
// people register with addresses that are about to come in: everybody is there
// once, whoever was first, with the password of who was first.
func TestImportBesideAServiceAndThroughKills(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GATEHOUSE_HASH_MEMORY", "64KiB")
	t.Setenv("GATEHOUSE_HASH_TIME", "1")
	t.Setenv("GATEHOUSE_LIMITS", "off")
	path, err := exec.LookPath("gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	const records = 40_000
	var export strings.Builder
	for n := range records {
		fmt.Fprintf(&export, "{\"id\":\"u%d\",\"email\":\"u%d@example.com\",\"password\":%q,\"created_at\":\"2020-01-02T03:04:05Z\"}\n", n, n, bcryptOf)
	}
	if err := os.WriteFile("users.ndjson", []byte(export.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	address := serving(t, path)

	// People register from the end of the file to its beginning, in another spelling.
	first := map[int]bool{} // who was faster than the import
	register := func(n int) {
		status := post(t, address+"/api/auth/register", fmt.Sprintf(`{"email":"U%d@Example.com","password":"correct horse battery"}`, n))
		if status != http.StatusCreated && status != http.StatusConflict {
			t.Errorf("register %d: %d", n, status)
		}
		first[n] = status == http.StatusCreated
	}
	over, registered := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(registered)
		for n := records - 1; n > records/2; n -= 97 {
			select {
			case <-over:
				return
			default:
				register(n)
			}
		}
	}()
	there, err := sqlite.Open("gatehouse-data/gatehouse.db", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	killed := 0
	for _, reached := range []string{"u300", "u3000", "u6000"} {
		var out bytes.Buffer
		cmd := exec.Command(path, "import", "users.ndjson", "--format", "generic")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if _, err := there.User(t.Context(), reached); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("nothing comes in\n%s", &out)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); ok && exit.ExitCode() < 0 {
			killed++
		}
	}
	if killed == 0 {
		t.Fatal("every import was faster than the kill: it tells nothing")
	}
	last, err := exec.Command(path, "import", "users.ndjson", "--format", "generic").CombinedOutput()
	close(over)
	<-registered
	for n := range 5 {
		register(n) // too late
	}
	faster := 0
	for _, was := range first {
		if was {
			faster++
		}
	}
	added, before := number(t, `(?m)^imported +(\d+)`, string(last)), number(t, `imported before +(\d+)`, string(last))
	aside := number(t, `set aside +(\d+)`, string(last))
	if faster == 0 || faster == len(first) || added+before+aside != records || aside != faster {
		t.Errorf("%d registered first of %d who tried; imported %d, before %d, set aside %d of %d: %v\n%s", faster, len(first), added, before, aside, records, err, last)
	}
	list, err := exec.Command(path, "user", "list", "--json").Output()
	if n := bytes.Count(list, []byte(`"email"`)); err != nil || n != records {
		t.Errorf("%d users are there, %v, want %d", n, err, records)
	}
	tried := 0
	for n, was := range first {
		if tried++; tried > 40 {
			break
		}
		password := map[bool]string{true: "correct horse battery", false: oldPassword}[was]
		if status := post(t, address+"/api/auth/login", fmt.Sprintf(`{"email":"u%d@example.com","password":%q}`, n, password)); status != http.StatusOK {
			t.Errorf("login of user %d, registered first: %v: %d", n, was, status)
		}
	}
	if out, err := exec.Command(path, "events", "verify").CombinedOutput(); err != nil {
		t.Errorf("events verify: %v\n%s", err, out)
	}
}

// serving runs a service until the test ends, and is where it can be reached.
func serving(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`http://\S+`).FindString(lines.Text()); m != "" {
			return m
		}
	}
	t.Fatal("the service is not ready")
	return ""
}

func post(t *testing.T, url, body string) int {
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}

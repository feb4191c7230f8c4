//go:build linux

package attack

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	binaryFlag = flag.String("binary", "", "the binary to attack; built from the source by default")
	casesFlag  = flag.String("cases", "", "names of the cases to run, separated by commas; all by default")
)

// attack is a case. Its name, after that of its family, is what the mutations
// of package weaken call it by.
type attack struct {
	name string
	run  func(*testing.T)
}

// families is everything that is tried, in this order.
var families = []struct {
	name    string
	attacks []attack
	waits   bool // more than it works, so that it can do so beside others
}{
	{"token", tokenAttacks, false},
	{"refresh", refreshAttacks, false},
	{"session", sessionAttacks, false},
	{"race", raceAttacks, false},
	{"csrf", csrfAttacks, false},
	{"redirect", redirectAttacks, false},
	{"host", hostAttacks, false},
	{"path", pathAttacks, false},
	{"method", methodAttacks, false},
	{"cookie", cookieAttacks, false},
	{"header", headerAttacks, false},
	{"cache", cacheAttacks, false},
	{"input", inputAttacks, false},
	{"assign", assignAttacks, false},
	{"unicode", unicodeAttacks, false},
	{"script", scriptAttacks, false},
	{"split", splitAttacks, false},
	{"smuggle", smuggleAttacks, true},
	{"protocol", protocolAttacks, false},
	{"bomb", bombAttacks, false},
	{"address", addressAttacks, false},
	{"guess", guessAttacks, false},
	{"tell", tellAttacks, false},
	{"slow", slowAttacks, true},
}

// TestAttacks first uses the service as everybody does, since a service that
// does not work refuses every attack.
func TestAttacks(t *testing.T) {
	t.Cleanup(func() { closeHouses(t) })
	if !t.Run("ordinary use", ordinaryUse) {
		t.FailNow()
	}
	var chosen []string
	if *casesFlag != "" {
		chosen = strings.Split(*casesFlag, ",")
	}
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if f.waits {
				t.Parallel()
			}
			for _, a := range f.attacks {
				if chosen == nil || slices.Contains(chosen, f.name+"/"+a.name) {
					t.Run(a.name, a.run)
				}
			}
		})
	}
}

// ordinaryUse is one user's day, by programs and by pages.
func ordinaryUse(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	c.get(t, "/api/auth/me").want(t, 200)
	c.get(t, "/dashboard", asBrowser...).want(t, 200)
	c.post(t, "/api/auth/refresh", "").want(t, 200)
	c.get(t, "/api/auth/sessions").want(t, 200)
	if a := c.form(t, "/account/profile", "name", "Ann Lee").want(t, 303); a.header.Get("Location") != "/account?notice=name_changed" {
		t.Errorf("a new name leads to %q", a.header.Get("Location"))
	}
	c.form(t, "/logout").want(t, 303)
	c.get(t, "/dashboard", asBrowser...).want(t, 303)
	c.form(t, "/login", "email", c.email, "password", password).want(t, 303)
	if a := c.get(t, "/account", asBrowser...).want(t, 200); !strings.Contains(string(a.body), "Ann Lee") {
		t.Error("the page lacks the name")
	}
}

// binary is the program under attack.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if binary = *binaryFlag; binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "gatehouse-attack-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/gatehouse")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

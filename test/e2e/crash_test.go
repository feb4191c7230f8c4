//go:build linux

package e2e

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", to look into the file itself
)

const (
	crashes      = 25              // of each kind
	slowestStart = 2 * time.Second // to the first answer, after a crash
)

// ledger is every act that was acknowledged, and those of which it is not known.
type ledger struct {
	mu      sync.Mutex
	done    []string
	unclear []string
}

func (l *ledger) book(email string, acknowledged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if acknowledged {
		l.done = append(l.done, email)
	} else {
		l.unclear = append(l.unclear, email)
	}
}

// TestKilledWhileRegistering kills the server in bursts of registrations, and
// looks for everybody who was told to be registered.
func TestKilledWhileRegistering(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, append(cheap, "--log-level", "warn")...)
	var everybody []string
	slowest := time.Duration(0)
	for round := range crashes {
		var book ledger
		load(s, 8, func(b *browser, worker, n int) bool {
			email := fmt.Sprintf("user-%d-%d-%d@example.com", round, worker, n)
			a, err := b.try("POST", "/api/auth/register", jsonKind, credentials(email))
			if err == nil && a.status != 201 {
				t.Errorf("register: %v", a)
			}
			book.book(email, err == nil)
			return err == nil
		})
		slowest = max(slowest, restart(t, &s))
		everybody = append(everybody, book.done...)
		canLogIn(t, s, book.done)
		b := newBrowser(s)
		for _, email := range book.unclear {
			// It happened or it did not; nothing is half-made.
			in := b.post(t, "/api/auth/login", credentials(email))
			again := b.post(t, "/api/auth/register", credentials(email))
			if !(in.status == 200 && again.status == 409 || in.status == 401 && again.status == 201) {
				t.Errorf("round %d: %s, whose registration was cut off: login %v, register %v", round, email, in, again)
			}
		}
	}
	t.Logf("%d registrations in %d rounds, slowest start %v", len(everybody), crashes, slowest)
	if len(everybody) < crashes {
		t.Errorf("%d registrations prove nothing", len(everybody))
	}
	rand.Shuffle(len(everybody), func(i, j int) { everybody[i], everybody[j] = everybody[j], everybody[i] })
	canLogIn(t, s, everybody[:min(len(everybody), 500)])
}

func canLogIn(t *testing.T, s *server, emails []string) {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b := newBrowser(s)
			for i := int(next.Add(1)) - 1; i < len(emails); i = int(next.Add(1)) - 1 {
				a, err := b.send(t.Context(), nil, "POST", "/api/auth/login", jsonKind, credentials(emails[i]))
				if err != nil || a.status != 200 {
					t.Errorf("%s was registered, and cannot log in: %v %v", emails[i], a, err)
				}
			}
		})
	}
	all.Wait()
}

// TestKilledWhileRefreshing kills the server while browsers refresh. Each goes
// on with the last token it got; nobody is logged out.
func TestKilledWhileRefreshing(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, append(cheap, "--log-level", "warn")...)
	browsers := make([]*browser, 16)
	for i := range browsers {
		browsers[i] = member(t, s, fmt.Sprintf("user%d@example.com", i))
	}
	var acknowledged atomic.Int64
	slowest := time.Duration(0)
	for round := range crashes {
		load(s, len(browsers), func(_ *browser, worker, _ int) bool {
			a, err := browsers[worker].try("POST", "/api/auth/refresh", "", "")
			if err != nil {
				return false
			}
			if a.status != 200 {
				t.Errorf("refresh: %v", a)
			}
			acknowledged.Add(1)
			return true
		})
		slowest = max(slowest, restart(t, &s))
		for i, b := range browsers {
			b.base = s.url
			if a := b.do(t, "POST", "/api/auth/refresh", "", ""); a.status != 200 {
				t.Fatalf("round %d: browser %d is logged out: %v", round, i, a)
			}
			if a := b.get(t, "/api/auth/me"); a.status != 200 {
				t.Errorf("round %d: me of browser %d: %v", round, i, a)
			}
		}
	}
	t.Logf("%d refreshes in %d rounds, slowest start %v", acknowledged.Load(), crashes, slowest)
	if acknowledged.Load() < crashes {
		t.Errorf("%d refreshes prove nothing", acknowledged.Load())
	}
	for i, b := range browsers {
		if n := sessions(b.get(t, "/api/auth/sessions")); n != 1 {
			t.Errorf("browser %d has %d sessions, want 1", i, n)
		}
	}
}

// load lets workers act until the server is killed under them, at a random
// moment; a worker ends when act says so.
func load(s *server, workers int, act func(b *browser, worker, n int) bool) {
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			b := newBrowser(s)
			for n := 0; act(b, w, n); n++ {
			}
		})
	}
	pause(time.Duration(30+rand.IntN(370)) * time.Millisecond)
	s.kill()
	all.Wait()
}

// restart starts the server again on its folder, and checks the file.
func restart(t *testing.T, s **server) time.Duration {
	t.Helper()
	began := time.Now()
	next := start(t, (*s).data, append(cheap, "--log-level", "warn")...)
	took := next.firstAnswer(began)
	if took > slowestStart {
		t.Errorf("the start after the crash took %v", took)
	}
	*s = next
	checkIntegrity(t, next.database())
	return took
}

// checkIntegrity asks SQLite whether the file is sound.
func checkIntegrity(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %q %v", verdict, err)
	}
}

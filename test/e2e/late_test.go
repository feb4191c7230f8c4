//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

var (
	metricsAddress = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/metrics`)
	goroutines     = regexp.MustCompile(`(?m)^go_goroutines ([0-9]+)$`)
)

// TestSlowDatabase has each answer of the database take three seconds while many
// people come: every one of them gets an answer in time, which is 503 if it is not
// the one they want; the process is alive meanwhile and does not grow; and a moment
// after the database is quick again, so is everything.
func TestSlowDatabase(t *testing.T) {
	t.Parallel()
	const late, longest, people = 3 * time.Second, 25 * time.Second, 100
	for name, open := range map[string]func(*testing.T) (env []string, way *road){
		"PostgreSQL": func(t *testing.T) ([]string, *road) {
			p := service.Postgres(t, service.PostgresOptions{})
			way := newRoad(t, "127.0.0.1:"+strconv.Itoa(p.Port()))
			return []string{"GATEHOUSE_DATABASE=" + strings.Replace(p.URL(p.Database(t)), strconv.Itoa(p.Port()), way.port(), 1)}, way
		},
		"Redis": func(t *testing.T) ([]string, *road) {
			r := service.Redis(t)
			way := newRoad(t, r.Address())
			return []string{"GATEHOUSE_REDIS=redis://127.0.0.1:" + way.port()}, way
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, way := open(t)
			s := startWith(t, filepath.Join(t.TempDir(), "data"), append([]string{secretOf}, env...), append(cheap, "--metrics-listen", "127.0.0.1:0", "--log-format", "json")...)
			metrics := metricsAddress.FindString(s.log.String())
			running := func() int {
				t.Helper()
				resp, err := http.Get(metrics)
				must(t, err)
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				must(t, err)
				n, err := strconv.Atoi(string(goroutines.FindSubmatch(text)[1]))
				must(t, err)
				return n
			}
			members := make([]*browser, people)
			for i := range members {
				members[i] = member(t, s, fmt.Sprintf("member%d@example.com", i))
			}
			before := running()
			way.length.Store(int64(late))
			pause(time.Second) // what is remembered is forgotten
			most, slowest := before, atomic.Int64{}
			stop := make(chan struct{})
			var all, watcher sync.WaitGroup
			watcher.Go(func() {
				b := newBrowser(s)
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					began := time.Now()
					b.get(t, "/livez").want(t, "livez", 200)
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("livez took %v", took)
					}
					most = max(most, running())
				}
			})
			var counts [3]struct{ well, refused atomic.Int64 }
			for i, b := range members {
				all.Go(func() {
					kind := i % 3
					began := time.Now()
					var a *answer
					switch kind {
					case 0:
						a = b.post(t, "/api/auth/refresh", "")
					case 1:
						a = b.get(t, "/api/auth/me")
					case 2:
						a = newBrowser(s).post(t, "/api/auth/login", credentials(fmt.Sprintf("member%d@example.com", i)))
					}
					took := time.Since(began)
					if took > longest {
						t.Errorf("an answer took %v", took)
					}
					for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
					}
					if a.status == 200 {
						counts[kind].well.Add(1)
					} else {
						unavailable(t, "with a slow database", a)
						counts[kind].refused.Add(1)
					}
				})
			}
			all.Wait()
			way.length.Store(0)
			took := eventually(t, 15*time.Second, "it is quick again", func() bool {
				began := time.Now()
				a, err := newBrowser(s).try("POST", "/api/auth/login", jsonKind, credentials("member0@example.com"))
				return err == nil && a.status == 200 && time.Since(began) < time.Second
			})
			close(stop)
			watcher.Wait()
			for i, b := range members {
				b.post(t, "/api/auth/refresh", "").want(t, fmt.Sprintf("refresh of member %d afterwards", i), 200)
				b.client.CloseIdleConnections()
			}
			for kind, what := range []string{"refresh", "me", "login"} {
				t.Logf("%s: %d answered, %d told to come back", what, counts[kind].well.Load(), counts[kind].refused.Load())
			}
			t.Logf("slowest %v; quick again after %v; goroutines: %d before, %d at most", time.Duration(slowest.Load()), took, before, most)
			// Two for a connection, and what each request starts.
			if most > before+people*12 {
				t.Errorf("there were %d goroutines, and %d before", most, before)
			}
			eventually(t, 20*time.Second, "what was begun has ended", func() bool { return running() <= before+10 })
		})
	}
}

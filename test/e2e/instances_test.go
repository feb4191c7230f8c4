//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// cluster is several instances on one database, behind a load balancer.
type cluster struct {
	t         testing.TB
	args, env []string
	front     *httptest.Server

	mu        sync.Mutex
	instances []*server
	next      atomic.Int64

	// What may go wrong at the moment.
	away    atomic.Int64 // a store: 503
	killing atomic.Int64 // an instance: 502
}

// secretOf is what all instances of a test have in common.
const secretOf = "GATEHOUSE_SECRET=q7Jw2nXv9RkT4mZs8LpYc3HbGd6FfAeU1oViNtWx"

func startCluster(t testing.TB, n int, env []string, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, args: args, env: append([]string{secretOf}, env...), instances: make([]*server, n)}
	for i := range n {
		c.restart(i)
	}
	c.front = httptest.NewServer(c.balancer())
	t.Cleanup(c.front.Close)
	return c
}

// restart starts an instance that is down or was never up.
func (c *cluster) restart(i int) {
	c.t.Helper()
	s := startWith(c.t, filepath.Join(c.t.TempDir(), "data"), c.env, c.args...)
	s.firstAnswer(time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances[i] = s
}

func (c *cluster) instance(i int) *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.instances[i]
}

// balancer hands requests to the instances in turn. One that cannot be reached is
// passed over; an answer that breaks off is a 502, as with any balancer.
func (c *cluster) balancer() http.Handler {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		// Who asks is what the client says: that lets a test come from everywhere.
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			var err error
			for range len(c.instances) {
				out := r.Clone(r.Context())
				out.URL.Scheme = "http"
				out.URL.Host = c.instance(int(c.next.Add(1)) % len(c.instances)).url[len("http://"):]
				var resp *http.Response
				if resp, err = transport.RoundTrip(out); err == nil {
					return resp, nil
				}
				if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) {
					return nil, err
				}
			}
			return nil, err
		}),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *cluster) browser() *browser {
	return &browser{base: c.front.URL, jar: map[string]string{}, client: newClient()}
}

// act sends a request through the balancer and holds the answer to what may go
// wrong at the moment; ok says whether it was one of those wanted.
func (c *cluster) act(b *browser, method, path, body string, want ...int) (a *answer, ok bool) {
	kind := ""
	if body != "" {
		kind = jsonKind
	}
	away, killing := c.away.Load() > 0, c.killing.Load() > 0
	a, err := b.try(method, path, kind, body)
	away, killing = away || c.away.Load() > 0, killing || c.killing.Load() > 0
	switch {
	case err != nil:
		c.t.Errorf("%s %s: %v", method, path, err)
	case slices.Contains(want, a.status):
		return a, true
	case a.status == 502 && killing:
	case a.status == 503 && away:
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
			c.t.Errorf("%s %s: 503 without Retry-After", method, path)
		}
	default:
		c.t.Errorf("%s %s: %v while a store was away: %v, an instance being killed: %v", method, path, a, away, killing)
	}
	return a, false
}

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

// visitors use a cluster until they are sent home.
type visitors struct {
	c        *cluster
	stop     chan struct{}
	all      sync.WaitGroup
	sendHome func() // closes stop and waits for them
	browsers []*browser

	me, refreshed, refused atomic.Int64
	book                   ledger // of registrations
	mu                     sync.Mutex
	dead                   []*browser // that were told to be logged out
}

func (c *cluster) visit(n int) *visitors {
	v := &visitors{c: c, stop: make(chan struct{})}
	v.sendHome = sync.OnceFunc(func() { close(v.stop); v.all.Wait() })
	c.t.Cleanup(v.sendHome) // if the test ends early
	for i := range n {
		b := c.browser()
		email := fmt.Sprintf("visitor%d@example.com", i)
		b.post(c.t, "/api/auth/register", credentials(email)).want(c.t, "register", 201)
		b.post(c.t, "/api/auth/login", credentials(email)).want(c.t, "login", 200)
		v.browsers = append(v.browsers, b)
		v.all.Go(func() { v.wander(b, i) })
	}
	return v
}

// wander does what people do, one thing after the other, and hops from instance
// to instance with each.
func (v *visitors) wander(b *browser, who int) {
	for n := 0; ; n++ {
		select {
		case <-v.stop:
			return
		case <-time.After(time.Duration(rand.IntN(8)) * time.Millisecond):
		}
		switch r := rand.IntN(100); {
		case r < 60:
			if _, ok := v.c.act(b, "GET", "/api/auth/me", "", 200); ok {
				v.me.Add(1)
			} else {
				v.refused.Add(1)
			}
		case r < 90:
			if _, ok := v.c.act(b, "POST", "/api/auth/refresh", "", 200); ok {
				v.refreshed.Add(1)
			} else {
				v.refused.Add(1)
			}
		default:
			v.newcomer(fmt.Sprintf("new-%d-%d@example.com", who, n))
		}
	}
}

// newcomer registers, logs in, and may log out.
func (v *visitors) newcomer(email string) {
	b := v.c.browser()
	defer b.client.CloseIdleConnections()
	if _, ok := v.c.act(b, "POST", "/api/auth/register", credentials(email), 201); !ok {
		return
	}
	v.book.book(email, true)
	if _, ok := v.c.act(b, "POST", "/api/auth/login", credentials(email), 200); !ok || rand.IntN(2) == 0 {
		return
	}
	before := &browser{base: b.base, client: newClient(), jar: b.cookies()}
	if _, ok := v.c.act(b, "POST", "/api/auth/logout", "", 204, 200); ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.dead = append(v.dead, before)
	}
}

// leave ends the visits and checks what is left of them: nobody was logged out
// who did not log out, whoever did is out everywhere, and everybody who was told
// to be registered can log in.
func (v *visitors) leave() {
	t := v.c.t
	t.Helper()
	v.sendHome()
	for i, b := range v.browsers {
		b.do(t, "POST", "/api/auth/refresh", "", "").want(t, fmt.Sprintf("refresh of visitor %d", i), 200)
		if n := sessions(b.get(t, "/api/auth/sessions")); n != 1 {
			t.Errorf("visitor %d has %d sessions, want 1", i, n)
		}
	}
	pause(time.Second)
	for _, b := range v.dead {
		for range len(v.c.instances) {
			if a := b.get(t, "/api/auth/me"); a.status != 401 {
				t.Errorf("me of a session that was logged out: %v", a)
			}
		}
		if a, err := b.send(t.Context(), b.cookies(), "POST", "/api/auth/refresh", "", ""); err != nil || a.status != 401 {
			t.Errorf("refresh of a session that was logged out: %v %v", a, err)
		}
	}
	rand.Shuffle(len(v.book.done), func(i, j int) { v.book.done[i], v.book.done[j] = v.book.done[j], v.book.done[i] })
	for _, email := range v.book.done[:min(len(v.book.done), 300)] {
		v.c.browser().post(t, "/api/auth/login", credentials(email)).want(t, "login of "+email, 200)
	}
	t.Logf("%d times me, %d refreshes, %d registrations, %d logouts; %d times told to come back",
		v.me.Load(), v.refreshed.Load(), len(v.book.done), len(v.dead), v.refused.Load())
	if v.me.Load() < 200 || v.refreshed.Load() < 100 || len(v.book.done) < 50 || len(v.dead) < 10 {
		t.Error("so little happened that it proves nothing")
	}
}

// recovered waits until every instance answers everything again, without any help.
func (c *cluster) recovered(within time.Duration) time.Duration {
	c.t.Helper()
	return eventually(c.t, within, "every instance answers again", func() bool {
		for i := range c.instances {
			resp, err := http.Get(c.instance(i).url + "/readyz")
			if err != nil {
				return false
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				return false
			}
		}
		return true
	})
}

// interrupt takes a store away for a while.
func (c *cluster) interrupt(what string, stop, start func(), length time.Duration) {
	c.t.Helper()
	c.away.Add(1)
	stop()
	pause(length)
	start()
	took := c.recovered(15 * time.Second)
	pause(time.Second) // those that are under way
	c.away.Add(-1)
	c.t.Logf("%s was away for %v, and all instances answered %v after it was back", what, length, took)
	pause(time.Second)
}

// killInTurn kills each instance and starts it again.
func (c *cluster) killInTurn() {
	for i := range c.instances {
		c.killing.Add(1)
		c.instance(i).kill()
		pause(time.Second)
		c.restart(i)
		c.killing.Add(-1)
		pause(500 * time.Millisecond)
	}
}

// delays terminates sessions at one instance, and says how long each of the
// others went on accepting them, sorted.
func (c *cluster) delays(n int) []time.Duration {
	t := c.t
	t.Helper()
	var mu sync.Mutex
	var list []time.Duration
	for i := range n {
		email := fmt.Sprintf("revoked%d@example.com", i)
		b := c.browser()
		b.post(t, "/api/auth/register", credentials(email)).want(t, "register", 201)
		b.post(t, "/api/auth/login", credentials(email)).want(t, "login", 200)
		at := make([]*browser, len(c.instances))
		for j := range at {
			at[j] = &browser{base: c.instance(j).url, client: newClient(), jar: b.cookies()}
			at[j].get(t, "/api/auth/me").want(t, "me before", 200)
		}
		at[i%len(at)].post(t, "/api/auth/logout", "{}")
		ended := time.Now()
		var all sync.WaitGroup
		for j, other := range at {
			all.Go(func() {
				defer other.client.CloseIdleConnections()
				for {
					asked := time.Since(ended)
					a, err := other.send(t.Context(), b.cookies(), "GET", "/api/auth/me", "", "")
					if err != nil || asked > 5*time.Second {
						t.Errorf("me at instance %d: %v %v after %v", j, a, err, asked)
						return
					}
					if a.status == 401 {
						mu.Lock()
						defer mu.Unlock()
						if j != i%len(at) {
							list = append(list, asked)
						}
						return
					}
					pause(2 * time.Millisecond)
				}
			})
		}
		all.Wait()
	}
	slices.Sort(list)
	return list
}

// percentile is the value that p of the sorted values do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// TestInstances has people hop between three instances on PostgreSQL and Redis
// while each of these is killed and comes back, and Redis is away for ten seconds
// and PostgreSQL for five: nothing that was acknowledged is lost, nobody is logged
// out, and what cannot be done is answered 503 for as long as something is away.
func TestInstances(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{Durable: true})
	r := service.Redis(t)
	c := startCluster(t, 3, []string{"GATEHOUSE_DATABASE=" + p.URL(p.Database(t)), "GATEHOUSE_REDIS=" + r.URL()},
		append(cheap, "--log-level", "error")...)
	v := c.visit(16)
	pause(2 * time.Second)
	c.killInTurn()
	c.interrupt("Redis", r.Stop, func() { must(t, r.Start()) }, 10*time.Second)
	c.interrupt("PostgreSQL", func() { must(t, p.Stop()) }, func() { must(t, p.Start()) }, 5*time.Second)
	c.killInTurn()
	v.leave()
}

// TestTerminatedAcrossInstances measures how long a session that was terminated at
// one instance is accepted at the others: never for longer than a second.
func TestTerminatedAcrossInstances(t *testing.T) {
	for name, env := range map[string]func(*testing.T) []string{
		"hints through Redis": func(t *testing.T) []string {
			p := service.Postgres(t, service.PostgresOptions{})
			return []string{"GATEHOUSE_DATABASE=" + p.URL(p.Database(t)), "GATEHOUSE_REDIS=" + service.Redis(t).URL()}
		},
		"hints through PostgreSQL": func(t *testing.T) []string {
			p := service.Postgres(t, service.PostgresOptions{})
			return []string{"GATEHOUSE_DATABASE=" + p.URL(p.Database(t))}
		},
		"MongoDB, without hints": func(t *testing.T) []string {
			return []string{"GATEHOUSE_DATABASE=" + service.Mongo(t).URI("gatehouse")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, 3, env(t), append(cheap, "--log-level", "error")...)
			pause(1500 * time.Millisecond) // they listen
			d := c.delays(30)
			t.Logf("accepted for longer elsewhere: median %v, 99th percentile %v, longest %v, of %d", percentile(d, 0.5), percentile(d, 0.99), d[len(d)-1], len(d))
			if longest := d[len(d)-1]; longest > time.Second {
				t.Errorf("a session was accepted for %v after it had been terminated elsewhere", longest)
			}
		})
	}
}

// TestLimitsAcrossInstances spreads guesses over instances that share a Redis: all
// of them together let through what one would.
func TestLimitsAcrossInstances(t *testing.T) {
	for _, use := range []string{"all", "limits"} {
		t.Run(use, func(t *testing.T) {
			p := service.Postgres(t, service.PostgresOptions{})
			c := startCluster(t, 3, []string{
				"GATEHOUSE_DATABASE=" + p.URL(p.Database(t)), "GATEHOUSE_REDIS=" + service.Redis(t).URL(), "GATEHOUSE_REDIS_USE=" + use,
				"GATEHOUSE_LIMIT_LOGIN_USER=7 then every 1h", "GATEHOUSE_TRUSTED_PROXIES=127.0.0.1",
			}, "--mode", "development", "--hash-memory", "64KiB", "--hash-time", "1", "--hash-queue", "1000", "--log-level", "error")
			c.browser().post(t, "/api/auth/register", credentials("ann@example.com")).want(t, "register", 201)
			var checked, limited atomic.Int64
			var all sync.WaitGroup
			for i := range 60 {
				all.Go(func() {
					b := c.browser()
					defer b.client.CloseIdleConnections()
					a, err := b.try("POST", "/api/auth/login", jsonKind, `{"email":"ann@example.com","password":"not the right one"}`,
						"X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
					switch {
					case err == nil && a.status == 401:
						checked.Add(1)
					case err == nil && a.status == 429:
						limited.Add(1)
					default:
						t.Errorf("a guess: %v %v", a, err)
					}
				})
			}
			all.Wait()
			if checked.Load() != 7 || limited.Load() != 53 {
				t.Errorf("%d guesses were looked at and %d refused, want 7 and 53", checked.Load(), limited.Load())
			}
		})
	}
}

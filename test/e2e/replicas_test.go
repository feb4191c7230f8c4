//go:build linux

package e2e

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// TestRedisReplicas has people hop between two instances in front of a Redis with two
// replicas, of which one is waited for, at an address that follows the primary. One
// of three that is away is missed by nobody. When the primary dies after it has lost
// touch, and somebody puts a replica in its place, nothing that was acknowledged is
// lost and nobody is logged out; what cannot be done meanwhile is answered 503. The
// same is so while there is no replica at all; access tokens go on then, and so does
// an instance that waits for none.
func TestRedisReplicas(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{})
	primary := service.Redis(t)
	order := func(r *service.RedisServer, host, port string) {
		t.Helper()
		if out, err := r.Do("REPLICAOF", host, port); out != "OK" {
			t.Fatal(out, err)
		}
	}
	follow := func(r, leader *service.RedisServer) {
		t.Helper()
		order(r, "127.0.0.1", strconv.Itoa(leader.Port))
		eventually(t, 10*time.Second, "the replica is in touch", func() bool { return fact(t, r, "master_link_status") == "up" })
	}
	replicas := []*service.RedisServer{service.Redis(t), service.Redis(t)}
	for _, r := range replicas {
		follow(r, primary)
	}
	way := newRoad(t, primary.Address())
	env := []string{"GATEHOUSE_DATABASE=" + p.URL(p.Database(t)), "GATEHOUSE_REDIS=redis://127.0.0.1:" + way.port()}
	c := startCluster(t, 2, env, append(cheap, "--log-level", "error")...)
	ann := c.browser()
	ann.post(t, "/api/auth/register", credentials("ann@example.com")).want(t, "register", 201)
	ann.post(t, "/api/auth/login", credentials("ann@example.com")).want(t, "login", 200)
	v := c.visit(12)
	pause(time.Second)

	replicas[0].Kill()
	pause(2 * time.Second)
	must(t, replicas[0].Start())
	follow(replicas[0], primary)

	// Replicas that lag behind are what acknowledged writes are lost by.
	c.away.Add(1)
	for _, r := range replicas {
		order(r, "127.0.0.1", "1")
	}
	pause(300 * time.Millisecond)
	primary.Kill()
	// Whoever chooses one takes the one that has more.
	heir, other := replicas[0], replicas[1]
	if offset(t, other) > offset(t, heir) {
		heir, other = other, heir
	}
	order(heir, "NO", "ONE")
	follow(other, heir)
	way.lead(heir.Address())
	t.Logf("failover: all instances answered %v after the address had moved", c.recovered(15*time.Second))
	pause(time.Second) // those that are under way
	c.away.Add(-1)
	pause(time.Second)

	c.away.Add(1)
	other.Kill()
	eventually(t, 10*time.Second, "no instance is ready", func() bool {
		for i := range c.instances {
			resp, err := http.Get(c.instance(i).url + "/readyz")
			must(t, err)
			resp.Body.Close()
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				return false
			}
		}
		return true
	})
	ann.get(t, "/api/auth/me").want(t, "me without a replica", 200)
	ann.do(t, "POST", "/api/auth/logout", "", "").want(t, "logout without a replica", 503)
	alone := startWith(t, filepath.Join(t.TempDir(), "data"), append([]string{secretOf, "GATEHOUSE_REDIS_REPLICAS=0"}, env...), cheap...)
	alone.firstAnswer(time.Now())
	newBrowser(alone).post(t, "/api/auth/login", credentials("ann@example.com")).want(t, "login where no replica is waited for", 200)
	alone.stop()
	must(t, primary.Start())
	follow(primary, heir)
	t.Logf("a new replica: all instances answered %v after it was in touch", c.recovered(15*time.Second))
	pause(time.Second) // those that are under way
	c.away.Add(-1)
	v.leave()
}

// fact is what a Redis says of its replication.
func fact(t *testing.T, r *service.RedisServer, name string) string {
	t.Helper()
	told, err := r.Do("INFO", "replication")
	must(t, err)
	for line := range strings.Lines(told) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// offset is how much of what its primary has written a replica has.
func offset(t *testing.T, r *service.RedisServer) int {
	t.Helper()
	n, err := strconv.Atoi(fact(t, r, "master_repl_offset"))
	must(t, err)
	return n
}

package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// visitor is somebody who logs in, refreshes and logs out, and remembers what was
// acknowledged. Two tabs share the tokens.
type visitor struct {
	email   string
	at      []*gatehousetest.Auth
	token   string   // the last refresh token that was acknowledged; empty: logged out
	leaving bool     // a logout was refused, and is repeated until it is not
	ended   []string // tokens of sessions whose end was acknowledged
	count   *atomic.Int64
}

// step does one thing. What is refused because the store is away is repeated by a
// later step.
func (v *visitor) step(t *testing.T) {
	g := v.at[rand.IntN(len(v.at))]
	switch {
	case v.token == "":
		l, err := g.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: v.email, Password: gatehousetest.Password})
		if v.acknowledged(t, "login", err) {
			v.token = l.RefreshToken
		}
	case v.leaving || rand.IntN(20) == 0:
		if v.leaving = !v.acknowledged(t, "logout", g.Logout(t.Context(), "", v.token)); !v.leaving {
			v.ended = append(v.ended, v.token)
			v.token = ""
		}
	default:
		var other string
		var tab sync.WaitGroup
		if rand.IntN(4) == 0 {
			presented := v.token
			tab.Go(func() { other = v.refresh(t, v.at[rand.IntN(len(v.at))], presented) })
		}
		mine := v.refresh(t, g, v.token)
		tab.Wait()
		if mine != "" && other != "" && mine != other {
			t.Errorf("%s: two tabs got two tokens", v.email)
		}
		if mine == "" {
			mine = other
		}
		if mine != "" {
			v.token = mine
		}
	}
}

func (v *visitor) refresh(t *testing.T, g *gatehousetest.Auth, token string) string {
	l, err := g.Refresh(t.Context(), token)
	if !v.acknowledged(t, "refresh", err) {
		return ""
	}
	return l.RefreshToken
}

func (v *visitor) acknowledged(t *testing.T, what string, err error) bool {
	switch {
	case err == nil:
		v.count.Add(1)
		return true
	case !errors.Is(err, gatehouse.Unavailable):
		t.Errorf("%s: %s: %v", v.email, what, err)
	}
	time.Sleep(2 * time.Millisecond) // as whoever tries again does
	return false
}

// check holds what is there against what was acknowledged.
func (v *visitor) check(t *testing.T, when string) {
	for v.leaving && !t.Failed() {
		v.step(t)
	}
	if v.token != "" {
		eventually(t, func() error {
			l, err := v.at[0].Refresh(t.Context(), v.token)
			switch {
			case errors.Is(err, gatehouse.Unavailable):
				return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
			case err != nil:
				t.Errorf("%s: %s was logged out: %v", when, v.email, err)
			default:
				v.token = l.RefreshToken
			}
			return nil
		})
	}
	for _, token := range v.ended {
		eventually(t, func() error {
			_, err := v.at[1].Refresh(t.Context(), token)
			if errors.Is(err, gatehouse.Unavailable) {
				return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
			}
			if !errors.Is(err, gatehouse.Unauthenticated) {
				t.Errorf("%s: a session of %s that was ended lives again: %v", when, v.email, err)
			}
			return nil
		})
	}
	v.ended = nil
}

// topology is a Redis with replicas.
type topology struct {
	url string
	// pair is a primary and a replica that is to take over.
	pair func() (primary, replica *service.RedisServer)
	// cut takes the replica out of touch with its primary.
	cut func(replica *service.RedisServer)
	// back ends that, when the replica has taken over, and makes the former primary a
	// replica, if nobody else does so soon.
	back func(former, primary *service.RedisServer)
}

// With Sentinel, half of the times after the replica was out of touch for a while. On
// a machine with too much to do the Sentinel replaces a primary that lives, too; so
// it is asked which one that is.
func TestFailover(t *testing.T) {
	setup := service.RedisWithSentinel(t)
	do := func(r *service.RedisServer, command ...string) {
		t.Helper()
		if out, err := r.Do(command...); err != nil || strings.HasPrefix(out, "ERR") {
			t.Fatalf("%q: %s %v", command, out, err)
		}
	}
	named := func() (primary, replica *service.RedisServer) {
		told, err := setup.Sentinel.Do("SENTINEL", "get-master-addr-by-name", "main")
		switch {
		case err != nil:
			t.Fatal(err)
		case strings.HasSuffix(told, fmt.Sprint("\n", setup.Primary.Port)):
			return setup.Primary, setup.Replica
		}
		return setup.Replica, setup.Primary
	}
	// The replica knocks at its primary with a name that is not known there. A server
	// that has just become the primary does not mind.
	knock := func(r *service.RedisServer, name string) {
		do(r, "CONFIG", "SET", "masteruser", name)
		do(r, "CONFIG", "SET", "masterauth", name)
	}
	failover(t, 10, topology{
		url: setup.URL(),
		pair: func() (primary, replica *service.RedisServer) {
			eventually(t, func() error {
				primary, replica = named()
				a, err1 := primary.Do("INFO", "replication")
				b, err2 := replica.Do("INFO", "replication")
				x, y := facts(a), facts(b)
				if err1 != nil || err2 != nil || !strings.Contains(x["slave0"], "state=online") ||
					y["master_port"] != fmt.Sprint(primary.Port) || y["master_link_status"] != "up" {
					return fmt.Errorf("%w: they do not agree on who follows whom: %v %v", gatehouse.ErrUnavailable, x, y)
				}
				return nil
			})
			return primary, replica
		},
		cut: func(replica *service.RedisServer) {
			knock(replica, "nobody")
			do(replica, "CLIENT", "KILL", "TYPE", "master")
		},
		back: func(former, primary *service.RedisServer) {
			knock(primary, "")
			if now, _ := named(); now == primary {
				// The Sentinel does the same, at once or after 10 seconds.
				do(former, "REPLICAOF", "127.0.0.1", fmt.Sprint(primary.Port))
			}
		},
	})
}

// In a Cluster a third of the records moves to another server each time, and the
// others can be reached meanwhile.
func TestClusterFailover(t *testing.T) {
	servers, url := service.RedisCluster(t, 1)
	byPort := map[string]*service.RedisServer{}
	for _, r := range servers {
		byPort[fmt.Sprint(r.Port)] = r
	}
	next := 0
	failover(t, 3, topology{
		url: url,
		pair: func() (primary, replica *service.RedisServer) {
			eventually(t, func() error {
				for range servers {
					next++
					r := servers[next%len(servers)]
					told, err := r.Do("INFO", "replication")
					if err != nil {
						t.Fatal(err)
					}
					if info := facts(told); info["role"] == "master" && strings.Contains(info["slave0"], "state=online") {
						_, rest, _ := strings.Cut(info["slave0"], "port=")
						port, _, _ := strings.Cut(rest, ",")
						primary, replica = r, byPort[port]
						return nil
					}
				}
				return fmt.Errorf("%w: nobody has a replica", gatehouse.ErrUnavailable)
			})
			return primary, replica
		},
		cut:  func(*service.RedisServer) {}, // nobody else than the Cluster says who follows whom
		back: func(_, _ *service.RedisServer) {},
	})
}

// failover kills the primary again and again while people refresh, log in and log
// out, and the replica takes over each time. Nothing that was acknowledged is lost,
// nobody is logged out, and no session that was ended lives.
func failover(t *testing.T, rounds int, place topology) {
	behind, o := memory.New(), Options{Prefix: prefix(), Timeout: time.Second}
	var at []*gatehousetest.Auth
	for range 2 {
		s := openStore(t, place.url, o, behind)
		if s.c.replicas != 1 {
			t.Fatalf("%d replicas are waited for, want 1", s.c.replicas)
		}
		at = append(at, gatehousetest.New(t, gatehouse.Config{
			Store: s, Secret: testKey, Limits: gatehouse.Limits{Off: true},
			// How long a failover takes is a matter of the machine.
			RotationGrace: 5 * time.Minute,
		}))
	}
	var count atomic.Int64
	visitors := make([]*visitor, 8)
	for n := range visitors {
		visitors[n] = &visitor{email: fmt.Sprintf("visitor%d@example.com", n), at: at, count: &count}
		at[0].Register(visitors[n].email)
	}
	for round := range rounds {
		stop := make(chan struct{})
		var all sync.WaitGroup
		leave := sync.OnceFunc(func() { close(stop); all.Wait() })
		defer leave()
		for _, v := range visitors {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						v.step(t)
					}
				}
			})
		}
		more := func(n int64) func() error {
			from := count.Load()
			return func() error {
				if got := count.Load() - from; got < n && !t.Failed() {
					return fmt.Errorf("%w: only %d were acknowledged", gatehouse.ErrUnavailable, got)
				}
				return nil
			}
		}
		eventually(t, more(200))
		primary, replica := place.pair()
		if round%2 == 1 {
			place.cut(replica)
		}
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond) // anywhere in the load
		primary.Kill()
		eventually(t, func() error {
			if told, err := replica.Do("INFO", "replication"); err != nil || facts(told)["role"] != "master" {
				return fmt.Errorf("%w: the replica has not taken over: %v %s", gatehouse.ErrUnavailable, err, told)
			}
			return nil
		})
		if err := primary.Start(); err != nil {
			t.Fatal(err)
		}
		place.back(primary, replica)
		eventually(t, more(100))
		leave()
		for _, v := range visitors {
			v.check(t, fmt.Sprintf("round %d", round))
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds, %d acknowledged", rounds, count.Load())
}

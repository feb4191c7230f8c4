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

// TestFailover kills the primary again and again while people refresh, log in and log
// out, half of the times after the replica was out of touch for a while. The replica
// takes over each time. Nothing that was acknowledged is lost, nobody is logged out,
// and no session that was ended lives.
func TestFailover(t *testing.T) {
	const rounds = 10
	setup := service.RedisWithSentinel(t)
	failover(t, rounds, setup.URL(), func() (primary, replica *service.RedisServer) {
		return setup.Primary, setup.Replica
	}, func() {
		setup.Primary, setup.Replica = setup.Replica, setup.Primary
	})
}

func failover(t *testing.T, rounds int, url string, servers func() (primary, replica *service.RedisServer), swap func()) {
	behind, o := memory.New(), Options{Prefix: prefix(), Timeout: time.Second}
	var at []*gatehousetest.Auth
	for range 2 {
		at = append(at, gatehousetest.New(t, gatehouse.Config{
			Store: openStore(t, url, o, behind), Secret: testKey, Limits: gatehouse.Limits{Off: true},
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
		primary, replica := servers()
		if round%2 == 1 {
			cut(t, replica)
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
		// A Sentinel does the same, at once or after 10 seconds.
		if out, err := primary.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(replica.Port)); !strings.HasPrefix(out, "OK") {
			t.Fatal(out, err)
		}
		swap()
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

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	attackers = 32
	visitors  = 4
	// Visitors who are in no hurry ask this often, all together: enough to see
	// how they fare, and little enough to leave the processors to the flood.
	calmPace = 100
	// The pool gives its memory back after three seconds.
	rest = 6 * time.Second
)

// flood is what attackers with wrong passwords do to everybody else.
type flood struct {
	calm, eager, paced visit // without the flood, in it, and in it at a pace
	hashes             float64
	eagerHashes        float64
	known              time.Duration // the slowest login from a known device
	idle, most, after  int64         // resident memory
}

// visit is how visitors fared.
type visit struct {
	rate        float64 // of me, in a second
	me, refresh time.Duration
}

// measureFlood has visitors ask who they are, and refresh every tenth time, with
// and without attackers beside them.
//
// Visitors who ask again as soon as they have an answer take all the processor
// time they can get, and are to get it: so their rate shows what the flood does
// to them. What they leave says nothing about hashing; so the rate of hashes is
// taken beside visitors who ask at a pace.
func measureFlood(ctx context.Context, binary, folder string, each time.Duration) (*flood, error) {
	p, err := startGatehouse(ctx, binary, folder, 1_000)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	f := &flood{}
	people := make([]*client, visitors)
	for i := range people {
		if people[i], err = newClient(p.url, userEmail(i)); err != nil {
			return nil, err
		}
	}
	if f.calm, err = visits(people, 0, each); err != nil {
		return nil, err
	}
	// Idle is what it was before the flood: with the caches of those who were here.
	time.Sleep(rest)
	if f.idle, err = p.resident(); err != nil {
		return nil, err
	}

	attack := beginAttack(p)
	time.Sleep(each / 3) // so that the queue is what it will be
	count := attack.hashes.Load()
	began := time.Now()
	if f.eager, err = visits(people, 0, each); err != nil {
		return nil, err
	}
	f.eagerHashes = float64(attack.hashes.Load()-count) / time.Since(began).Seconds()
	time.Sleep(each / 3)
	count, began = attack.hashes.Load(), time.Now()
	if f.paced, err = visits(people, calmPace, each); err != nil {
		return nil, err
	}
	f.hashes = float64(attack.hashes.Load()-count) / time.Since(began).Seconds()
	if f.known, err = knownLogins(people, each); err != nil {
		return nil, err
	}
	if err := attack.end(); err != nil {
		return nil, err
	}
	f.most = attack.most

	time.Sleep(rest)
	f.after, err = p.resident()
	return f, err
}

// attack is a flood that goes on.
type attack struct {
	stop   chan struct{}
	all    sync.WaitGroup
	hashes atomic.Int64 // passwords that were refused as wrong
	failed chan error
	most   int64 // resident memory of the server
}

func beginAttack(p *process) *attack {
	a := &attack{stop: make(chan struct{}), failed: make(chan error, attackers+1)}
	going := func() bool {
		select {
		case <-a.stop:
			return false
		default:
			return true
		}
	}
	for i := range attackers {
		a.all.Go(func() {
			c := anonymous(p.url)
			body := fmt.Sprintf(`{"email":%q,"password":"not the password"}`, userEmail(100+i))
			for going() {
				status, _, _, err := c.exchange("POST", "/api/auth/login", body)
				switch {
				case err != nil:
					a.failed <- err
					return
				case status == 401:
					a.hashes.Add(1)
				case status == 503:
					time.Sleep(100 * time.Millisecond)
				default:
					a.failed <- fmt.Errorf("a wrong password: status %d", status)
					return
				}
			}
		})
	}
	a.all.Go(func() {
		for going() {
			n, err := p.resident()
			if err != nil {
				a.failed <- err
				return
			}
			a.most = max(a.most, n)
			time.Sleep(50 * time.Millisecond)
		}
	})
	return a
}

func (a *attack) end() error {
	close(a.stop)
	a.all.Wait()
	select {
	case err := <-a.failed:
		return err
	default:
		return nil
	}
}

// visits has people ask for a while, at a pace of so many requests a second of
// them all, or as fast as they can if it is 0.
func visits(people []*client, pace int, each time.Duration) (visit, error) {
	var mu sync.Mutex
	var me, refresh []time.Duration
	failed := make(chan error, len(people))
	var all sync.WaitGroup
	began := time.Now()
	for i, c := range people {
		all.Go(func() {
			var mine, mineRefresh []time.Duration
			for n := 0; time.Since(began) < each; n++ {
				if pace > 0 {
					due := time.Duration(n*len(people)+i) * time.Second / time.Duration(pace)
					time.Sleep(due - time.Since(began))
				}
				start := time.Now()
				op, to := getMe, &mine
				if n%10 == 9 {
					op, to = postRefresh, &mineRefresh
				}
				if err := op(c); err != nil {
					failed <- err
					return
				}
				*to = append(*to, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			me, refresh = append(me, mine...), append(refresh, mineRefresh...)
		})
	}
	all.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return visit{}, err
	default:
	}
	return visit{float64(len(me)) / took.Seconds(), percentile(me, 99), percentile(refresh, 99)}, nil
}

// knownLogins is how long the slowest login took of people who log in again and
// again on devices that know them.
func knownLogins(people []*client, each time.Duration) (time.Duration, error) {
	var mu sync.Mutex
	var slowest time.Duration
	failed := make(chan error, len(people))
	var all sync.WaitGroup
	began := time.Now()
	for _, c := range people {
		all.Go(func() {
			for time.Since(began) < each {
				start := time.Now()
				if err := postLogin(c); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				slowest = max(slowest, time.Since(start))
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return slowest, nil
	}
}

// percentile is the duration that n of a hundred stay below.
func percentile(d []time.Duration, n int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)*n/100, len(d)-1)]
}

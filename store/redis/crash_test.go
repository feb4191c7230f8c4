package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// history is what one worker was told, and what it does not know.
type history struct {
	sessions map[string]int64 // the version that was acknowledged
	unknown  map[string]bool  // sessions with a write whose answer was lost
	waiting  map[string]bool  // challenges that were created and not taken
	taken    map[string]int   // how often each was handed out
	lost     map[string]bool  // challenges of whose creation or taking the answer was lost
}

func newHistory() *history {
	return &history{map[string]int64{}, map[string]bool{}, map[string]bool{}, map[string]int{}, map[string]bool{}}
}

// TestCrash kills Redis again and again while it is written to. Everything that was
// acknowledged is there afterwards, and no challenge is handed out twice.
func TestCrash(t *testing.T) {
	const rounds, workers = 12, 8
	r := service.Redis(t)
	behind := memory.New()
	var stores []*Store
	for range 2 {
		stores = append(stores, openStore(t, r.URL(), Options{}, behind))
	}
	histories := make([]*history, workers)
	for w := range histories {
		histories[w] = newHistory()
	}
	acknowledged := 0
	for round := range rounds {
		var all sync.WaitGroup
		stop, begun := make(chan struct{}), make(chan struct{}, workers)
		for w, h := range histories {
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if n == 20 {
						begun <- struct{}{}
					}
					h.act(t, stores[n%2], fmt.Sprintf("%d-%d-%d", w, round, n))
				}
			})
		}
		for range workers {
			<-begun
		}
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond) // anywhere in the load
		r.Kill()
		close(stop)
		all.Wait()
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged = 0
		for w, h := range histories {
			h.check(t, stores[round%2], fmt.Sprintf("round %d, worker %d", round, w))
			acknowledged += len(h.sessions) + len(h.waiting) + len(h.taken)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds; %d records", rounds, acknowledged)
	if acknowledged < rounds*workers*10 {
		t.Errorf("only %d records in all: the load was no load", acknowledged)
	}
}

// act does one of the things that a worker does.
func (h *history) act(t *testing.T, s *Store, id string) {
	known := func(err error) bool {
		if err != nil && !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("%s: %v", id, err)
		}
		return err == nil
	}
	switch rand.IntN(4) {
	case 0:
		x := &gatehouse.Session{ID: id, UserID: "u" + id}
		if known(s.CreateSession(t.Context(), x)) {
			h.sessions[id] = 1
		}
	case 1:
		for id, version := range h.sessions {
			if h.unknown[id] {
				continue
			}
			if known(s.SaveSession(t.Context(), &gatehouse.Session{ID: id, UserID: "u" + id, Version: version, Generation: version})) {
				h.sessions[id] = version + 1
			} else {
				h.unknown[id] = true
			}
			break
		}
	case 2:
		if known(s.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: id, Kind: "link"})) {
			h.waiting[id] = true
		} else {
			h.lost[id] = true
		}
	case 3:
		for id := range h.waiting {
			delete(h.waiting, id)
			if _, err := s.TakeChallenge(t.Context(), id); known(err) {
				h.taken[id]++
			} else {
				h.lost[id] = true
			}
			break
		}
	}
}

// check holds what is there against what was acknowledged.
func (h *history) check(t *testing.T, s *Store, when string) {
	for id, version := range h.sessions {
		x, err := s.Session(t.Context(), id)
		if err != nil {
			t.Errorf("%s: session %s: %v", when, id, err)
			continue
		}
		if x.Version != version && (x.Version != version+1 || !h.unknown[id]) {
			t.Errorf("%s: session %s is of version %d, and %d was acknowledged", when, id, x.Version, version)
		}
		h.sessions[id] = x.Version
		delete(h.unknown, id)
		if list, err := s.SessionsOf(t.Context(), "u"+id); err != nil || len(list) != 1 {
			t.Errorf("%s: session %s is listed %d times, %v", when, id, len(list), err)
		}
	}
	for id := range h.waiting {
		if _, err := s.Challenge(t.Context(), id); err != nil {
			t.Errorf("%s: challenge %s: %v", when, id, err)
		}
	}
	// What was handed out is gone, and what may have been is handed out once at most.
	for id := range h.lost {
		if _, err := s.TakeChallenge(t.Context(), id); err == nil {
			h.taken[id]++
		}
		delete(h.lost, id)
	}
	for id, times := range h.taken {
		if _, err := s.TakeChallenge(t.Context(), id); !errors.Is(err, gatehouse.ErrNotFound) || times > 1 {
			t.Errorf("%s: challenge %s was handed out %d times, and then: %v", when, id, times, err)
		}
	}
}

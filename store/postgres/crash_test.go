package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// history is what one caller was told by the store, and what it was not: the last
// call of a round may or may not have taken place.
type history struct {
	name     string
	sessions map[string]int64 // by id, the version that was acknowledged
	unsure   map[string]bool  // by id, whether one more may have been written
	taken    map[string]bool  // challenges; false: it is not known
}

// live does what users do until the store fails, and returns how.
func (h *history) live(ctx context.Context, s *Store, round int) error {
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s, round %d, %d", h.name, round, n)
		x := &gatehouse.Session{ID: id, UserID: h.name}
		h.unsure[id] = true
		if err := s.CreateSession(ctx, x); err != nil {
			return err
		}
		h.sessions[id] = 1
		for range 3 {
			if err := s.SaveSession(ctx, x); err != nil {
				return err
			}
			h.sessions[id] = x.Version
		}
		delete(h.unsure, id)
		if err := s.CreateChallenge(ctx, &gatehouse.Challenge{ID: id}); err != nil {
			return err
		}
		h.taken[id] = false
		if _, err := s.TakeChallenge(ctx, id); err != nil {
			return err
		}
		h.taken[id] = true
		u := &gatehouse.User{ID: id, EmailKey: id, Keys: []string{"a " + id, "b " + id}}
		if err := s.CreateUser(ctx, u); err != nil {
			return err
		}
		h.sessions["user "+id] = 1
	}
}

// check compares the history with what is there.
func (h *history) check(t *testing.T, s *Store) (acknowledged int) {
	t.Helper()
	ctx := t.Context()
	for id, version := range h.sessions {
		acknowledged++
		if name, ok := strings.CutPrefix(id, "user "); ok {
			for _, key := range []string{"a ", "b "} {
				if u, err := s.UserByKey(ctx, key+name); err != nil || u.ID != name {
					t.Errorf("the user %s, who was acknowledged: %v", name, err)
				}
			}
			continue
		}
		x, err := s.Session(ctx, id)
		if err != nil {
			t.Errorf("the session %s, which was acknowledged: %v", id, err)
		} else if x.Version != version && (x.Version != version+1 || !h.unsure[id]) {
			t.Errorf("the session %s has version %d, and %d was acknowledged", id, x.Version, version)
		}
	}
	for id, known := range h.taken {
		if _, err := s.TakeChallenge(ctx, id); err == nil && known {
			t.Errorf("the challenge %s was taken twice", id)
		} else if err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("the challenge %s: %v", id, err)
		}
	}
	return acknowledged
}

// All processes of the database are killed in the middle of the work, again and
// again. What was acknowledged is there afterwards, and the store goes on by
// itself.
func TestTheDatabaseIsKilled(t *testing.T) {
	const rounds, callers = 12, 8
	p := service.Postgres(t, service.PostgresOptions{Durable: true})
	s := openStore(t, p.URL("postgres"), Options{})
	histories := make([]*history, callers)
	for n := range histories {
		histories[n] = &history{name: fmt.Sprint("caller ", n), sessions: make(map[string]int64), unsure: make(map[string]bool), taken: make(map[string]bool)}
	}
	for round := range rounds {
		var wg sync.WaitGroup
		for _, h := range histories {
			wg.Go(func() {
				if err := h.live(t.Context(), s, round); !errors.Is(err, gatehouse.ErrUnavailable) {
					t.Errorf("%s: err = %v, want ErrUnavailable", h.name, err)
				}
			})
		}
		// So many writes into the round, which is another moment each time.
		x := &gatehouse.Setting{Name: fmt.Sprint("round ", round)}
		for range 20 + 13*round {
			if err := s.SaveSetting(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Fatalf("after the database has come back: %v", err)
		}
		if got, err := s.Setting(t.Context(), x.Name); err != nil || got.Version != x.Version {
			t.Errorf("a setting: %+v, %v, want version %d", got, err, x.Version)
		}
		acknowledged := 0
		for _, h := range histories {
			acknowledged += h.check(t, s)
		}
		if round == rounds-1 {
			t.Logf("%d records were acknowledged in %d rounds", acknowledged, rounds)
			if acknowledged < 1000 {
				t.Errorf("only %d records were acknowledged", acknowledged)
			}
		}
	}
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// racers is how many goroutines compete in each race.
const racers = 16

// Races tests that of any number of callers exactly one wins. It calls open for
// each race: open returns one or more handles on one and the same empty
// database, as several processes would have, and the callers are spread over
// them.
func Races(t *testing.T, open func(t *testing.T) []gatehouse.Store) {
	for _, r := range races {
		t.Run(r.name, func(t *testing.T) { r.run(t, open(t)) })
	}
}

var races = []struct {
	name string
	run  func(t *testing.T, stores []gatehouse.Store)
}{
	{"one of all saves the user", func(t *testing.T, stores []gatehouse.Store) {
		ok(t, "create", stores[0].CreateUser(t.Context(), user(1)))
		for round := range 5 {
			oneWins(t, stores, gatehouse.ErrStale, func(ctx context.Context, s gatehouse.Store, n int) error {
				u := user(1)
				u.Version, u.Epoch = int64(round+1), int64(n)
				return s.SaveUser(ctx, u)
			})
		}
		equal(t, "Version", must(stores[0].User(t.Context(), uid(1)))(t, "User").Version, int64(6))
	}},
	{"one of all saves the session", func(t *testing.T, stores []gatehouse.Store) {
		ok(t, "create", stores[0].CreateSession(t.Context(), session(1, uid(9))))
		for round := range 5 {
			winner := oneWins(t, stores, gatehouse.ErrStale, func(ctx context.Context, s gatehouse.Store, n int) error {
				x := session(1, uid(9))
				x.Version, x.Generation = int64(round+1), int64(n)
				return s.SaveSession(ctx, x)
			})
			for _, s := range stores {
				equal(t, "what the winner wrote", must(s.Session(t.Context(), uid(1)))(t, "Session").Generation, int64(winner))
			}
		}
	}},
	{"one of all gets the address", func(t *testing.T, stores []gatehouse.Store) {
		winner := oneWins(t, stores, gatehouse.ErrExists, func(ctx context.Context, s gatehouse.Store, n int) error {
			u := user(n)
			u.EmailKey = "ann@example.com"
			return s.CreateUser(ctx, u)
		})
		equal(t, "owner", must(stores[0].UserByEmail(t.Context(), "ann@example.com"))(t, "UserByEmail").ID, uid(winner))
		equal(t, "users", len(must(stores[0].Users(t.Context(), "", racers))(t, "Users")), 1)
	}},
	{"one of all gets the key", func(t *testing.T, stores []gatehouse.Store) {
		winner := oneWins(t, stores, gatehouse.ErrExists, func(ctx context.Context, s gatehouse.Store, n int) error {
			u := user(n)
			u.Keys = []string{fmt.Sprintf("a:%d", n), "passkey:shared"}
			return s.CreateUser(ctx, u)
		})
		equal(t, "owner", must(stores[0].UserByKey(t.Context(), "passkey:shared"))(t, "UserByKey").ID, uid(winner))
		for n := range racers {
			want := gatehouse.ErrNotFound
			if n == winner {
				want = nil
			}
			_, err := stores[0].UserByKey(t.Context(), fmt.Sprintf("a:%d", n))
			is(t, "the other keys", err, want)
		}
	}},
	{"one of all adds the key to its user", func(t *testing.T, stores []gatehouse.Store) {
		for n := range racers {
			ok(t, "create", stores[0].CreateUser(t.Context(), user(n)))
		}
		winner := oneWins(t, stores, gatehouse.ErrExists, func(ctx context.Context, s gatehouse.Store, n int) error {
			u := user(n)
			u.Version = 1
			u.Keys = append(u.Keys, "zz:shared")
			return s.SaveUser(ctx, u)
		})
		equal(t, "owner", must(stores[0].UserByKey(t.Context(), "zz:shared"))(t, "UserByKey").ID, uid(winner))
	}},
	{"one of all creates the session", func(t *testing.T, stores []gatehouse.Store) {
		oneWins(t, stores, gatehouse.ErrExists, func(ctx context.Context, s gatehouse.Store, n int) error {
			return s.CreateSession(ctx, session(1, uid(n)))
		})
	}},
	{"one of all takes the challenge", func(t *testing.T, stores []gatehouse.Store) {
		for n := range 5 {
			ok(t, "create", stores[0].CreateChallenge(t.Context(), challenge(n)))
			oneWins(t, stores, gatehouse.ErrNotFound, func(ctx context.Context, s gatehouse.Store, _ int) error {
				c, err := s.TakeChallenge(ctx, uid(n))
				if err == nil && c.ID != uid(n) {
					return fmt.Errorf("took challenge %s", c.ID)
				}
				return err
			})
		}
	}},
	{"one of all deletes the user", func(t *testing.T, stores []gatehouse.Store) {
		ok(t, "create", stores[0].CreateUser(t.Context(), user(1)))
		oneWins(t, stores, gatehouse.ErrStale, func(ctx context.Context, s gatehouse.Store, _ int) error {
			return s.DeleteUser(ctx, uid(1), 1)
		})
	}},
	{"one of all creates the setting", func(t *testing.T, stores []gatehouse.Store) {
		winner := oneWins(t, stores, gatehouse.ErrStale, func(ctx context.Context, s gatehouse.Store, n int) error {
			return s.SaveSetting(ctx, &gatehouse.Setting{Name: "keys", Value: []byte{byte(n)}, UpdatedAt: at(n)})
		})
		equal(t, "value", must(stores[0].Setting(t.Context(), "keys"))(t, "Setting").Value, []byte{byte(winner)})
	}},
	{"every change counted by versions is there in the end", func(t *testing.T, stores []gatehouse.Store) {
		const each = 10
		ok(t, "create", stores[0].SaveSetting(t.Context(), &gatehouse.Setting{Name: "n"}))
		all(t, stores, func(ctx context.Context, s gatehouse.Store, n int) error {
			for done := 0; done < each; {
				x, err := s.Setting(ctx, "n")
				if err != nil {
					return err
				}
				x.Value = append(x.Value, byte(n))
				switch err := s.SaveSetting(ctx, x); {
				case err == nil:
					done++
				case !errors.Is(err, gatehouse.ErrStale):
					return err
				}
			}
			return nil
		})
		got := must(stores[0].Setting(t.Context(), "n"))(t, "Setting")
		equal(t, "Version", got.Version, int64(1+racers*each))
		equal(t, "changes", len(got.Value), racers*each)
		for n := range racers {
			if count := len(slices.DeleteFunc(slices.Clone(got.Value), func(b byte) bool { return int(b) != n })); count != each {
				t.Errorf("of the changes of caller %d %d are there, want %d", n, count, each)
			}
		}
	}},
	{"each task goes to one worker", func(t *testing.T, stores []gatehouse.Store) {
		const many = 60
		for n := range many {
			ok(t, "create", stores[0].CreateTask(t.Context(), task(n)))
		}
		var mu sync.Mutex
		claimed := make(map[string]int)
		all(t, stores, func(ctx context.Context, s gatehouse.Store, _ int) error {
			for {
				k, err := s.ClaimTask(ctx, []string{"mail"}, at(many), at(2*many))
				if errors.Is(err, gatehouse.ErrNotFound) {
					return nil
				}
				if err != nil {
					return err
				}
				mu.Lock()
				claimed[k.ID]++
				mu.Unlock()
			}
		})
		for n := range many {
			equal(t, "times a task was claimed", claimed[uid(n)], 1)
		}
		equal(t, "tasks claimed", len(claimed), many)
	}},
	{"a read that starts after a write sees it", func(t *testing.T, stores []gatehouse.Store) {
		all(t, stores, func(ctx context.Context, s gatehouse.Store, n int) error {
			for i := range 10 {
				x := session(n*100+i, uid(n))
				if err := s.CreateSession(ctx, x); err != nil {
					return err
				}
				for _, other := range stores {
					if _, err := other.Session(ctx, x.ID); err != nil {
						return fmt.Errorf("session %d right after it was created: %w", i, err)
					}
				}
			}
			return nil
		})
	}},
}

// all runs f in as many goroutines as there are racers, which start at once.
func all(t *testing.T, stores []gatehouse.Store, f func(ctx context.Context, s gatehouse.Store, n int) error) {
	t.Helper()
	for n, err := range errs(t, stores, f) {
		if err != nil {
			t.Errorf("caller %d: %v", n, err)
		}
	}
}

// oneWins expects one success, returns whose, and expects lost of the others.
func oneWins(t *testing.T, stores []gatehouse.Store, lost error, f func(ctx context.Context, s gatehouse.Store, n int) error) int {
	t.Helper()
	winner, winners := -1, 0
	for n, err := range errs(t, stores, f) {
		switch {
		case err == nil:
			winner = n
			winners++
		case !errors.Is(err, lost):
			t.Errorf("caller %d: err = %v, want %v", n, err, lost)
		}
	}
	if winners != 1 {
		t.Fatalf("%d of %d callers won, want 1", winners, racers)
	}
	return winner
}

func errs(t *testing.T, stores []gatehouse.Store, f func(ctx context.Context, s gatehouse.Store, n int) error) []error {
	t.Helper()
	list := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n := range racers {
		wg.Go(func() {
			<-start
			list[n] = f(t.Context(), stores[n%len(stores)], n)
		})
	}
	close(start)
	wg.Wait()
	return list
}

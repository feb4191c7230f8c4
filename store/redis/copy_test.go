package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

func ann(id string) *gatehouse.User {
	day := time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	return &gatehouse.User{
		ID: id, Email: "Ann@Example.com", EmailKey: "ann@example.com", Name: "Ann", Roles: []string{"admin"}, Keys: []string{"k:1"},
		Credentials: []gatehouse.Credential{{ID: "c", Kind: "password", Hash: "$argon2id$secret", CreatedAt: day, Data: []byte(`{"a": "<b>"}`)}},
		Epoch:       7, CreatedAt: day, UpdatedAt: day.Add(time.Hour), Extra: []byte(`{ "kept": "as <it> is" }`),
	}
}

// counting counts the reads of users.
type counting struct {
	gatehouse.Store
	reads atomic.Int64
}

func (c *counting) User(ctx context.Context, id string) (*gatehouse.User, error) {
	c.reads.Add(1)
	return c.Store.User(ctx, id)
}

func TestCopyIsTheUser(t *testing.T) {
	behind := &counting{Store: memory.New()}
	o := Options{Prefix: prefix()}
	s := openStore(t, shared.URL(), o, behind)
	if err := behind.CreateUser(t.Context(), ann("u")); err != nil {
		t.Fatal(err)
	}
	want, err := behind.Store.User(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, err := s.User(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n := behind.reads.Load(); n != 1 {
		t.Errorf("the store behind was read %d times, want once", n)
	}
	if _, err := s.User(t.Context(), "nobody"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}

	// It is sealed, for this user.
	key := s.c.key(userKey, "u")
	kept, err := shared.Do("GET", key)
	if err != nil || !strings.HasPrefix(kept, "V") {
		t.Fatalf("GET = %q, %v", kept, err)
	}
	for _, secret := range []string{"argon2id", "Example", "Ann", "admin"} {
		if strings.Contains(kept, secret) {
			t.Errorf("%q can be read in Redis", secret)
		}
	}
	if _, err := shared.Do("COPY", key, s.c.key(userKey, "u2")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), "u2"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("the copy of another user: %v, want that it is not believed", err)
	}
	o.Key = gatehouse.NewSecret([]byte(strings.Repeat("x", 32)))
	if got, err := openStore(t, shared.URL(), o, behind).User(t.Context(), "u"); err != nil || got.Version != 1 {
		t.Errorf("with another key: %v, %v", got, err)
	}
	if n := behind.reads.Load(); n < 3 {
		t.Error("a copy of another key or user was believed")
	}
}

func TestUserWritesNeedRedis(t *testing.T) {
	behind := memory.New()
	s := openStore(t, shared.URL(), Options{Prefix: prefix()}, behind)
	if err := s.CreateUser(t.Context(), ann("u")); err != nil {
		t.Fatal(err)
	}
	s.c.wire = away{}
	u := ann("u")
	u.Version, u.Name = 1, "Changed"
	if err := s.SaveUser(t.Context(), u); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("SaveUser: %v, want ErrUnavailable", err)
	}
	if err := s.DeleteUser(t.Context(), "u", 1); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("DeleteUser: %v, want ErrUnavailable", err)
	}
	if got, err := s.User(t.Context(), "u"); err != nil || got.Version != 1 || got.Name != "Ann" {
		t.Errorf("User: %+v, %v, want the one behind as it was", got, err)
	}
}

// stepKey is where a ctx carries what an actor calls between its steps.
type stepKey struct{}

func step(ctx context.Context) {
	if yield, ok := ctx.Value(stepKey{}).(func()); ok {
		yield()
	}
}

// stepping stops before each command to Redis.
type stepping struct{ wire }

func (w stepping) do(ctx context.Context, list ...command) []answer {
	step(ctx)
	return w.wire.do(ctx, list...)
}

// world is a store behind that stops before and after what it does with users, and
// that may answer a write late.
type world struct {
	gatehouse.Store
	late []func() // writes whose outcome nobody knows, that may yet take place
}

type lateKey struct{}

func (w *world) User(ctx context.Context, id string) (*gatehouse.User, error) {
	step(ctx)
	defer step(ctx)
	return w.Store.User(ctx, id)
}

func (w *world) SaveUser(ctx context.Context, u *gatehouse.User) error {
	step(ctx)
	defer step(ctx)
	if ctx.Value(lateKey{}) != nil {
		later := *u
		w.late = append(w.late, func() { _ = w.Store.SaveUser(context.Background(), &later) })
		return gatehouse.ErrUnavailable
	}
	return w.Store.SaveUser(ctx, u)
}

func (w *world) DeleteUser(ctx context.Context, id string, version int64) error {
	step(ctx)
	defer step(ctx)
	return w.Store.DeleteUser(ctx, id, version)
}

// actor is a call that is taken step by step.
type actor struct {
	next func() (struct{}, bool)
	end  func() // what is checked when it has ended
}

// Any number of readers and writers, in any order of their steps: whoever starts to
// read after a write was acknowledged, or after somebody has seen what it wrote, sees
// that or something later. Nor does a copy stay that is older than the user.
func TestCopyIsNeverOld(t *testing.T) {
	c := open(t, shared.URL(), Options{})
	rapid.Check(t, func(t *rapid.T) {
		c := *c
		c.options.Prefix = prefix()
		c.wire = stepping{c.wire}
		behind := &world{Store: memory.New()}
		s, err := c.Store(t.Context(), behind)
		if err != nil {
			t.Fatal(err)
		}
		if err := behind.CreateUser(t.Context(), ann("u")); err != nil {
			t.Fatal(err)
		}
		var actors []actor
		writers := 0
		floor := int64(1) // what a reader that starts now must see at least
		start := func(f func(ctx context.Context), end func()) {
			next, _ := iter.Pull(func(yield func(struct{}) bool) {
				f(context.WithValue(context.Background(), stepKey{}, func() { yield(struct{}{}) }))
			})
			t.Cleanup(func() {
				for more := true; more; {
					_, more = next()
				}
			})
			actors = append(actors, actor{next, end})
		}
		current := func() int64 {
			u, err := behind.Store.User(t.Context(), "u")
			if errors.Is(err, gatehouse.ErrNotFound) {
				return math.MaxInt64
			}
			return u.Version
		}
		advance := func(i int) {
			a := actors[i]
			if _, more := a.next(); !more {
				actors = append(actors[:i], actors[i+1:]...)
				a.end()
			}
		}
		write := func(late bool, back int64) {
			version := current() - back
			var err error
			writers++
			start(func(ctx context.Context) {
				if late {
					ctx = context.WithValue(ctx, lateKey{}, true)
				}
				u := ann("u")
				u.Version = version
				err = s.SaveUser(ctx, u)
			}, func() {
				writers--
				if err == nil {
					floor = max(floor, version+1)
				}
			})
		}
		del := func(key string) { c.wire.do(t.Context(), command{word: []string{"DEL"}, keys: []string{key}}) }
		read := func() {
			atLeast := floor
			var seen int64
			start(func(ctx context.Context) {
				u, err := s.User(ctx, "u")
				switch {
				case errors.Is(err, gatehouse.ErrNotFound):
					seen = math.MaxInt64
				case err != nil:
					t.Fatal(err)
				default:
					seen = u.Version
				}
			}, func() {
				if seen < atLeast {
					t.Fatalf("saw version %d, and %d was there before", seen, atLeast)
				}
				floor = max(floor, seen)
			})
		}
		remove := func() {
			version := current()
			writers++
			var err error
			start(func(ctx context.Context) { err = s.DeleteUser(ctx, "u", version) }, func() {
				writers--
				if err == nil {
					floor = math.MaxInt64
				}
			})
		}
		look := func() {
			a := c.wire.do(t.Context(), command{word: []string{"GET"}, keys: []string{s.c.key(userKey, "u")}})[0]
			if writers > 0 || !strings.HasPrefix(a.text, "V") {
				return
			}
			if u, err := s.open("u", a.text[1:]); err != nil || u.Version != current() {
				t.Fatalf("the copy is %+v, %v, and the user is of version %d", u, err, current())
			}
		}
		for range rapid.IntRange(10, 150).Draw(t, "moves") {
			switch move := rapid.IntRange(0, 99).Draw(t, "move"); {
			case move < 60 && len(actors) > 0 || len(actors) > 4:
				advance(move % len(actors))
			case move < 73:
				read()
			case move < 78:
				write(false, 0)
			case move < 84:
				write(false, 1) // stale
			case move < 88:
				write(true, 0) // nobody knows what becomes of it
			case move == 88:
				remove()
			case move < 92:
				if len(behind.late) > 0 {
					behind.late[0]()
					behind.late = behind.late[1:]
				}
			case move < 95:
				del(s.c.key(userKey, "u")) // a copy or a lease expires
			case writers == 0 && len(behind.late) == 0:
				del(s.c.key(blockKey, "u")) // blocks outlast every write
			}
			look()
		}
	})
}

// Writers and readers on several clients at once.
func TestCopyRaces(t *testing.T) {
	behind := memory.New()
	o := Options{Prefix: prefix()}
	var stores []*Store
	for range 4 {
		stores = append(stores, openStore(t, shared.URL(), o, behind))
	}
	const users = 3
	var floor [users]atomic.Int64
	for n := range users {
		u := ann(fmt.Sprint(n))
		u.EmailKey, u.Keys = fmt.Sprint(n), nil
		if err := behind.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		floor[n].Store(1)
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	var reads, writes atomic.Int64
	for n := range 6 {
		s, user := stores[n%4], n%users
		writers.Go(func() {
			for range 60 {
				u, err := s.User(t.Context(), fmt.Sprint(user))
				if err != nil {
					t.Error(err)
					return
				}
				u.Epoch++
				switch err := s.SaveUser(t.Context(), u); {
				case err == nil:
					raise(&floor[user], u.Version)
					writes.Add(1)
				case !errors.Is(err, gatehouse.ErrStale):
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 8 {
		s, user := stores[n%4], n%users
		readers.Go(func() {
			for !done.Load() {
				atLeast := floor[user].Load()
				u, err := s.User(t.Context(), fmt.Sprint(user))
				if err != nil {
					t.Error(err)
					return
				}
				if u.Version < atLeast {
					t.Errorf("saw version %d, and %d was acknowledged before", u.Version, atLeast)
					return
				}
				reads.Add(1)
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	if reads.Load() == 0 || writes.Load() == 0 {
		t.Errorf("%d reads and %d writes", reads.Load(), writes.Load())
	}
}

func raise(a *atomic.Int64, to int64) {
	for {
		if now := a.Load(); now >= to || a.CompareAndSwap(now, to) {
			return
		}
	}
}

// withOthers is a store whose users an application changes as well.
type withOthers struct{ gatehouse.Store }

func (withOthers) WrittenByOthers() bool { return true }

// What an application writes past Redis is seen at once.
func TestUsersOfOthersAreNotCopied(t *testing.T) {
	behind, ctx := withOthers{memory.New()}, t.Context()
	s := openStore(t, shared.URL(), Options{Prefix: prefix()}, behind)
	u := &gatehouse.User{ID: "u", Epoch: 1}
	if err := s.CreateUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.User(ctx, "u"); err != nil || got.Epoch != 1 {
			t.Fatal(got, err)
		}
	}
	u.Epoch = 2
	if err := behind.SaveUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if got, err := s.User(ctx, "u"); err != nil || got.Epoch != 2 {
		t.Errorf("after a change past Redis: %+v, %v, want epoch 2", got, err)
	}
}

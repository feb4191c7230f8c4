package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Mover tests what a store has beside the port so that all of its records can be
// moved: every sentence of [gatehouse.Mover]. It calls open, as [Run] does, for
// each case; the stores must be movers.
func Mover(t *testing.T, open func(t *testing.T) gatehouse.Store) {
	for _, c := range moves {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			m, ok := s.(gatehouse.Mover)
			if !ok {
				t.Fatalf("%T is no gatehouse.Mover", s)
			}
			c.run(t, s, m)
		})
	}
}

// some are n records of each kind, with something in every field, from number
// first on.
func some(first, n int) *gatehouse.Records {
	r := &gatehouse.Records{}
	for i := first; i < first+n; i++ {
		u, x, c, k, p := user(i), session(i, uid(i)), challenge(i), task(i), setting(fmt.Sprintf("setting %04d", i))
		u.Version, x.Version, c.Version, k.Version, p.Version = int64(i+2), int64(i+3), int64(i+4), int64(i+5), int64(i+6)
		k.Attempts, k.LeasedUntil = 3, at(9)
		x.TerminatedAt = at(7)
		r.Users, r.Sessions, r.Challenges = append(r.Users, u), append(r.Sessions, x), append(r.Challenges, c)
		r.Events, r.Settings, r.Tasks = append(r.Events, event(i)), append(r.Settings, p), append(r.Tasks, k)
	}
	return r
}

// walked is all that Walk hands over, in the order of ids.
func walked(t *testing.T, m gatehouse.Mover) *gatehouse.Records {
	t.Helper()
	all := &gatehouse.Records{}
	ok(t, "Walk", m.Walk(t.Context(), func(r *gatehouse.Records) error {
		if len(all.Events) > 0 && r.Len() != len(r.Events) {
			t.Error("Walk handed over something else after events")
		}
		if r.Len() == 0 || r.Len() > 999 {
			t.Errorf("Walk handed over %d records at once, want some hundreds at most", r.Len())
		}
		add(all, r)
		return nil
	}))
	sort(all)
	return all
}

func add(to, r *gatehouse.Records) {
	to.Users, to.Sessions, to.Challenges = append(to.Users, r.Users...), append(to.Sessions, r.Sessions...), append(to.Challenges, r.Challenges...)
	to.Events, to.Settings, to.Tasks = append(to.Events, r.Events...), append(to.Settings, r.Settings...), append(to.Tasks, r.Tasks...)
}

func sort(r *gatehouse.Records) {
	slices.SortFunc(r.Users, func(a, b *gatehouse.User) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Sessions, func(a, b *gatehouse.Session) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Challenges, func(a, b *gatehouse.Challenge) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Events, func(a, b *gatehouse.Event) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Settings, func(a, b *gatehouse.Setting) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Tasks, func(a, b *gatehouse.Task) int { return strings.Compare(a.ID, b.ID) })
}

// loads expects that nothing is taken.
func loads(t *testing.T, m gatehouse.Mover, r *gatehouse.Records) {
	t.Helper()
	taken, err := m.Load(t.Context(), r)
	ok(t, "Load", err)
	equal(t, "taken", taken, &gatehouse.Records{})
}

var errEnough = errors.New("enough")

var moves = []struct {
	name string
	run  func(t *testing.T, s gatehouse.Store, m gatehouse.Mover)
}{
	{"walks through an empty store, and loads nothing", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		ok(t, "Walk", m.Walk(t.Context(), func(r *gatehouse.Records) error {
			t.Errorf("Walk hands over %d records of an empty store", r.Len())
			return nil
		}))
		loads(t, m, &gatehouse.Records{})
		equal(t, "what is there", walked(t, m), &gatehouse.Records{})
	}},
	{"loads records of every kind as they are, and walks through each of them once", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(0, 1100))
		equal(t, "what is there", walked(t, m), some(0, 1100))
	}},
	{"loads what the methods of the store find, and walks through what they made", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		ctx, want := t.Context(), some(1, 1)
		loads(t, m, some(1, 1))
		u := want.Users[0]
		equal(t, "User", must(s.User(ctx, u.ID))(t, "User"), u)
		equal(t, "UserByEmail", must(s.UserByEmail(ctx, u.EmailKey))(t, "UserByEmail"), u)
		for _, key := range u.Keys {
			equal(t, "UserByKey", must(s.UserByKey(ctx, key))(t, "UserByKey"), u)
		}
		equal(t, "Session", must(s.Session(ctx, uid(1)))(t, "Session"), want.Sessions[0])
		equal(t, "Challenge", must(s.Challenge(ctx, uid(1)))(t, "Challenge"), want.Challenges[0])
		equal(t, "Events", must(s.Events(ctx, gatehouse.EventQuery{Limit: 9}))(t, "Events"), want.Events)
		equal(t, "Setting", must(s.Setting(ctx, want.Settings[0].Name))(t, "Setting"), want.Settings[0])

		// Each can be saved under the version that it was loaded with.
		u.Name = "another"
		u.Keys = []string{"new"}
		ok(t, "SaveUser", s.SaveUser(ctx, u))
		ok(t, "SaveSession", s.SaveSession(ctx, want.Sessions[0]))
		ok(t, "SaveChallenge", s.SaveChallenge(ctx, want.Challenges[0]))
		ok(t, "SaveSetting", s.SaveSetting(ctx, want.Settings[0]))
		ok(t, "SaveTask", s.SaveTask(ctx, want.Tasks[0]))
		ok(t, "CreateSession", s.CreateSession(ctx, session(2, u.ID)))
		x := session(2, u.ID)
		x.Version = 1
		want.Sessions = append(want.Sessions, x)
		equal(t, "what is there", walked(t, m), want)
	}},
	{"lists the sessions of a user that were loaded, but not those that are terminated", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		r := some(1, 2)
		r.Sessions[0].UserID, r.Sessions[1].UserID = uid(9), uid(9)
		r.Sessions[1].TerminatedAt = time.Time{}
		loads(t, m, r)
		equal(t, "SessionsOf", must(s.SessionsOf(t.Context(), uid(9)))(t, "SessionsOf"), r.Sessions[1:])
	}},
	{"gives a loaded task to whoever claims it when its lease has run out", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		k := task(1)
		k.Version, k.Attempts, k.LeasedUntil = 4, 2, at(50)
		loads(t, m, &gatehouse.Records{Tasks: []*gatehouse.Task{k}})
		_, err := s.ClaimTask(t.Context(), []string{"mail"}, at(49), at(60))
		is(t, "claim under the lease", err, gatehouse.ErrNotFound)
		got := must(s.ClaimTask(t.Context(), []string{"mail"}, at(50), at(60)))(t, "ClaimTask")
		equal(t, "Attempts", got.Attempts, 3)
		equal(t, "Version", got.Version, int64(5))
	}},
	{"sweeps what was loaded when its time has come", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(1, 3))
		for {
			n, err := s.Sweep(t.Context(), at(5000), 100)
			ok(t, "Sweep", err)
			if n == 0 {
				break
			}
		}
		left := some(1, 3)
		equal(t, "what is there", walked(t, m), &gatehouse.Records{Users: left.Users, Settings: left.Settings})
	}},
	{"moves any value byte by byte", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		values := func() *gatehouse.Records {
			r := &gatehouse.Records{}
			for i, text := range texts {
				r.Users = append(r.Users, &gatehouse.User{
					ID: text, Version: math.MaxInt64, Email: text, EmailKey: text, Name: text, Roles: []string{text}, Keys: []string{text, text + "2"},
					Credentials: []gatehouse.Credential{{ID: text, Kind: text, Hash: text, Data: []byte(`{"z":"<&>","a":[1.0,1e2]}`)}},
					Epoch:       math.MinInt64, Extra: []byte(` { "z" : 1.50, "a":"\u003c<", "z":12345678901234567890 }`),
				})
				r.Sessions = append(r.Sessions, &gatehouse.Session{
					ID: text, Version: -1, UserID: text, Generation: math.MaxInt64, Methods: []string{text, text}, UserAgent: text, Address: text,
					Extra: []byte(`[ null ]`), TerminatedAt: at(-1_000_000_000),
				})
				r.Challenges = append(r.Challenges, &gatehouse.Challenge{ID: text, Version: 9, Kind: text, UserID: text, Data: []byte(`"` + strings.Repeat("x", i) + `" `)})
				r.Events = append(r.Events, &gatehouse.Event{
					ID: text, Kind: text, Outcome: text, UserID: text, ActorID: text, SessionID: text, Address: text, UserAgent: text,
					Ref: text, Data: map[string]string{text: text, "": ""}, Chain: text, Sequence: -5, Proof: []byte{0, 255, byte(i)},
				})
				r.Settings = append(r.Settings, &gatehouse.Setting{Name: text, Version: 7, Value: []byte(text + "\x00\xff")})
				r.Tasks = append(r.Tasks, &gatehouse.Task{ID: text, Version: 3, Kind: text, Data: []byte(`0.0`), Attempts: i})
			}
			sort(r)
			return r
		}
		loads(t, m, values())
		got := walked(t, m)
		equal(t, "what is there", got, values())
		loads(t, m, &gatehouse.Records{Users: []*gatehouse.User{{ID: uid(1)}, {ID: uid(2)}}, Events: []*gatehouse.Event{{ID: uid(1)}}})
	}},
	{"leaves out what is taken, says so, and loads the rest", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(1, 3))
		again := some(2, 4) // 4 and 5 are new
		for _, u := range again.Users {
			u.Name = "changed"
		}
		for _, e := range again.Events {
			e.Kind = "changed"
		}
		taken, err := m.Load(t.Context(), again)
		ok(t, "Load", err)
		sort(taken)
		first := func(r *gatehouse.Records) *gatehouse.Records {
			return &gatehouse.Records{
				Users: r.Users[:2], Sessions: r.Sessions[:2], Challenges: r.Challenges[:2],
				Events: r.Events[:2], Settings: r.Settings[:2], Tasks: r.Tasks[:2],
			}
		}
		equal(t, "taken", taken, first(again))
		want := some(1, 5)
		want.Users[3].Name, want.Users[4].Name = "changed", "changed"
		want.Events[3].Kind, want.Events[4].Kind = "changed", "changed"
		equal(t, "what is there", walked(t, m), want)
	}},
	{"leaves out users whose email key or key is taken, with all of their keys", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		ok(t, "create", s.CreateUser(t.Context(), user(1)))
		users := []*gatehouse.User{user(2), user(3), user(4), user(5)}
		users[0].EmailKey = "ann.1@example.com"
		users[1].Keys = []string{"aa", "passkey:1"}
		users[2].Keys = []string{"oidc:1", "zz"}
		taken, err := m.Load(t.Context(), &gatehouse.Records{Users: users})
		ok(t, "Load", err)
		sort(taken)
		equal(t, "taken", taken, &gatehouse.Records{Users: users[:3]})
		equal(t, "the one who is free", must(s.User(t.Context(), uid(5)))(t, "User"), users[3])
		loads(t, m, &gatehouse.Records{Users: []*gatehouse.User{
			{ID: uid(2), Version: 1, EmailKey: "ann.3@example.com", Keys: []string{"aa", "oidc:2", "passkey:2", "zz"}},
		}})
		equal(t, "owner", must(s.UserByKey(t.Context(), "passkey:1"))(t, "UserByKey").ID, uid(1))
	}},
	{"leaves out what is taken by an earlier one of the same load", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		r := &gatehouse.Records{
			Users:    []*gatehouse.User{user(1), user(2), user(3), user(1), user(4), user(3)},
			Sessions: []*gatehouse.Session{session(1, uid(1)), session(1, uid(2))},
			Events:   []*gatehouse.Event{event(1), event(1)},
			Settings: []*gatehouse.Setting{setting("x"), setting("y"), setting("x")},
			Tasks:    []*gatehouse.Task{task(1), task(1)},
			Challenges: []*gatehouse.Challenge{
				challenge(1), challenge(2), challenge(1),
			},
		}
		r.Users[1].EmailKey = "ann.1@example.com"
		r.Users[2].Keys = []string{"free", "oidc:1"}
		r.Users[3].Name = "the second one with this id"
		r.Users[4].Keys = []string{"free"} // of a user who was left out,
		r.Users[5].Keys = nil              // and this has the id of that one
		taken, err := m.Load(t.Context(), r)
		ok(t, "Load", err)
		sort(taken)
		equal(t, "taken", taken, &gatehouse.Records{
			Users:    []*gatehouse.User{r.Users[3], r.Users[1], r.Users[2]},
			Sessions: r.Sessions[1:], Events: r.Events[1:], Settings: r.Settings[2:], Tasks: r.Tasks[1:], Challenges: r.Challenges[2:],
		})
		equal(t, "User", must(s.User(t.Context(), uid(1)))(t, "User"), r.Users[0])
		equal(t, "the owner of a key that was freed", must(s.UserByKey(t.Context(), "free"))(t, "UserByKey").ID, uid(4))
		equal(t, "the user with an id that was freed", must(s.User(t.Context(), uid(3)))(t, "User"), r.Users[5])
	}},
	{"loads the same again without a change", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(1, 40))
		taken, err := m.Load(t.Context(), some(1, 40))
		ok(t, "Load", err)
		sort(taken)
		equal(t, "taken", taken, some(1, 40))
		equal(t, "what is there", walked(t, m), some(1, 40))
	}},
	{"leaves alone what it was given, and shares nothing with it", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		r := some(1, 1)
		loads(t, m, r)
		equal(t, "what was loaded", r, some(1, 1))
		scribble := func(r *gatehouse.Records) {
			scribbleUser(r.Users[0])
			r.Sessions[0].Methods[0], r.Sessions[0].Extra[2] = "scribbled", '!'
			r.Challenges[0].Data[2], r.Settings[0].Value[0], r.Tasks[0].Data[2] = '!', '!', '!'
			r.Events[0].Data["method"], r.Events[0].Proof[0] = "scribbled", '!'
		}
		scribble(r)
		scribble(walked(t, m))
		equal(t, "what is there", walked(t, m), some(1, 1))
	}},
	{"hands over what is whoever's who walks, to change it", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(0, 700))
		n := 0
		ok(t, "Walk", m.Walk(t.Context(), func(r *gatehouse.Records) error {
			n += r.Len()
			for i, u := range r.Users {
				u.ID, r.Users[i] = "", nil
			}
			for i, x := range r.Settings {
				x.Name, r.Settings[i] = "", nil
			}
			clear(r.Sessions)
			clear(r.Challenges)
			clear(r.Events)
			clear(r.Tasks)
			*r = gatehouse.Records{}
			return nil
		}))
		equal(t, "records", n, 6*700)
		equal(t, "what is there", walked(t, m), some(0, 700))
	}},
	{"ends a walk with the error of whoever walks", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(0, 700))
		for stop := range 3 {
			calls := 0
			err := m.Walk(t.Context(), func(*gatehouse.Records) error {
				if calls++; calls > stop {
					return errEnough
				}
				return nil
			})
			is(t, "Walk", err, errEnough)
			equal(t, "calls", calls, stop+1)
		}
	}},
	{"moves nothing for a ctx that is done", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(1, 1))
		for _, ctx := range []context.Context{cancelled(t), expired(t)} {
			_, err := m.Load(ctx, some(2, 1))
			gaveUp(t, "Load", ctx, err)
			gaveUp(t, "Walk", ctx, m.Walk(ctx, func(*gatehouse.Records) error { return nil }))
		}
		equal(t, "what is there", walked(t, m), some(1, 1))
	}},
	{"ends a walk when its ctx is done meanwhile", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		loads(t, m, some(0, 700))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		err := m.Walk(ctx, func(*gatehouse.Records) error {
			calls++
			cancel()
			return nil
		})
		gaveUp(t, "Walk", ctx, err)
		equal(t, "calls", calls, 1)
	}},
	{"lets others in while somebody walks", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		// Whoever walks waits for somebody else who writes: a walk that locked
		// the store would never end.
		loads(t, m, some(0, 700))
		seen := map[string]int{}
		n := 0
		ok(t, "Walk", m.Walk(t.Context(), func(r *gatehouse.Records) error {
			for _, u := range r.Users {
				seen[u.ID]++
			}
			if n++; n > 3 {
				return nil
			}
			done := make(chan error)
			go func() { // another user of the store, not f
				u, err := s.User(t.Context(), uid(n))
				if err == nil {
					u.Name = "changed meanwhile"
					err = s.SaveUser(t.Context(), u)
				}
				if err == nil {
					err = s.CreateSession(t.Context(), session(5000+n, uid(n)))
				}
				for _, id := range []string{fmt.Sprint("! before all others ", n), fmt.Sprint("~ after all others ", n)} {
					if err == nil {
						err = s.CreateUser(t.Context(), &gatehouse.User{ID: id})
					}
				}
				done <- err
			}()
			return <-done
		}))
		for n := range 700 {
			equal(t, "times a user was handed over", seen[uid(n)], 1)
		}
		for id, times := range seen {
			equal(t, "times "+id+" was handed over", times, 1)
		}
	}},
	{"gives what two load at once to one of them", func(t *testing.T, _ gatehouse.Store, m gatehouse.Mover) {
		const many = 300
		var taken [2]*gatehouse.Records
		var errs [2]error
		var wg sync.WaitGroup
		for i := range taken {
			wg.Go(func() {
				taken[i] = &gatehouse.Records{}
				for first := 0; first < many && errs[i] == nil; first += 50 {
					r := some(first, 50)
					for _, u := range r.Users {
						u.Name = fmt.Sprint("loader ", i)
					}
					left, err := m.Load(t.Context(), r)
					if errs[i] = err; err == nil {
						add(taken[i], left)
					}
				}
			})
		}
		wg.Wait()
		ok(t, "first loader", errs[0])
		ok(t, "second loader", errs[1])
		equal(t, "records left out by either", taken[0].Len()+taken[1].Len(), 6*many)
		got := walked(t, m)
		equal(t, "users", len(got.Users), many)
		left := map[string]string{} // user id to who left the user out
		for i, r := range taken {
			for _, u := range r.Users {
				left[u.ID] = fmt.Sprint("loader ", i)
			}
		}
		for _, u := range got.Users {
			if u.Name == left[u.ID] || left[u.ID] == "" {
				t.Errorf("user %s is of %s, and was left out by %q", u.ID, u.Name, left[u.ID])
			}
			u.Name = user(0).Name
		}
		equal(t, "what is there", got, some(0, many))
	}},
	{"loads beside others that write", func(t *testing.T, s gatehouse.Store, m gatehouse.Mover) {
		const many = 200
		created := make([]bool, many)
		var wg sync.WaitGroup
		wg.Go(func() { // registers the same addresses, from the end
			for n := many - 1; n >= 0; n-- {
				u := user(n)
				u.ID, u.Keys = uid(10_000+n), []string{fmt.Sprintf("oidc:%d", n)}
				err := s.CreateUser(t.Context(), u)
				if created[n] = err == nil; err != nil && !errors.Is(err, gatehouse.ErrExists) {
					t.Errorf("create user %d: %v", n, err)
				}
			}
		})
		left := map[string]bool{}
		wg.Go(func() {
			for first := 0; first < many; first += 20 {
				taken, err := m.Load(t.Context(), &gatehouse.Records{Users: some(first, 20).Users})
				if err != nil {
					t.Errorf("Load: %v", err)
					return
				}
				for _, u := range taken.Users {
					left[u.ID] = true
				}
			}
		})
		wg.Wait()
		for n := range many {
			if created[n] != left[uid(n)] {
				t.Errorf("user %d: created %v, left out by Load %v: want one or the other", n, created[n], left[uid(n)])
			}
			owner := uid(n)
			if created[n] {
				owner = uid(10_000 + n)
			}
			equal(t, "owner of the address", must(s.UserByEmail(t.Context(), fmt.Sprintf("ann.%d@example.com", n)))(t, "UserByEmail").ID, owner)
			equal(t, "owner of the key", must(s.UserByKey(t.Context(), fmt.Sprintf("oidc:%d", n)))(t, "UserByKey").ID, owner)
		}
		equal(t, "users", len(walked(t, m).Users), many)
	}},
}

func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithDeadline(t.Context(), at(-1_000_000_000))
	t.Cleanup(cancel)
	return ctx
}

// gaveUp expects the error that the port has for a ctx that is done.
func gaveUp(t *testing.T, what string, ctx context.Context, err error) {
	t.Helper()
	if !errors.Is(err, ctx.Err()) && !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Fatalf("%s with a ctx that is done: err = %v, want %v", what, err, ctx.Err())
	}
}

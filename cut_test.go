package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/mongo"
	"github.com/gatehouse-auth/gatehouse/store/postgres"
	"github.com/gatehouse-auth/gatehouse/store/redis"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// cutStore breaks one write: the n-th since it was armed. Whether the write
// took place is what the caller cannot know, so both are tried.
type cutStore struct {
	gatehouse.Store

	mu    sync.Mutex
	left  int  // writes until the one that breaks; 0: none breaks
	after bool // it takes place all the same
	broke string
}

func (s *cutStore) arm(n int, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.after, s.broke = n, after, ""
}

// whole makes the store whole again, and says which write broke.
func (s *cutStore) whole() (broke string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = 0
	return s.broke
}

func (s *cutStore) write(name string, do func() error) error {
	s.mu.Lock()
	cut := s.left == 1
	if s.left > 0 {
		s.left--
	}
	if cut {
		s.broke = name
	}
	after := s.after
	s.mu.Unlock()
	if !cut {
		return do()
	}
	if after {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: the line was cut: %w", name, gatehouse.ErrUnavailable)
}

func (s *cutStore) CreateUser(ctx context.Context, u *gatehouse.User) error {
	return s.write("create user", func() error { return s.Store.CreateUser(ctx, u) })
}

func (s *cutStore) SaveUser(ctx context.Context, u *gatehouse.User) error {
	return s.write("save user", func() error { return s.Store.SaveUser(ctx, u) })
}

func (s *cutStore) DeleteUser(ctx context.Context, id string, version int64) error {
	return s.write("delete user", func() error { return s.Store.DeleteUser(ctx, id, version) })
}

func (s *cutStore) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	return s.write("create session", func() error { return s.Store.CreateSession(ctx, x) })
}

func (s *cutStore) SaveSession(ctx context.Context, x *gatehouse.Session) error {
	return s.write("save session", func() error { return s.Store.SaveSession(ctx, x) })
}

func (s *cutStore) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	return s.write("append event", func() error { return s.Store.AppendEvent(ctx, e) })
}

func (s *cutStore) SaveSetting(ctx context.Context, x *gatehouse.Setting) error {
	return s.write("save setting", func() error { return s.Store.SaveSetting(ctx, x) })
}

const replacement = "another horse altogether"

// scene is what a flow finds: ann, with a session that takes part in it and one
// that does not, and bob, whom nothing may touch.
type scene struct {
	t           testing.TB
	a           *gatehousetest.Auth
	ann, bob    *gatehouse.User
	mine, other *gatehouse.Login
	bobs        *gatehouse.Login
	keys        int
}

// logsIn says whether ann can log in with a password.
func (s *scene) logsIn(email, password string) bool {
	s.t.Helper()
	_, err := s.a.Gatehouse.Login(s.t.Context(), gatehouse.PasswordLogin{Email: email, Password: password})
	if err != nil && !errors.Is(err, gatehouse.Unauthenticated) {
		s.t.Fatalf("login with the store whole again: %v", err)
	}
	return err == nil
}

// alive says whether a session can be used; both its tokens have to agree.
func (s *scene) alive(l *gatehouse.Login) bool {
	s.t.Helper()
	_, err := s.a.Authenticate(s.t.Context(), l.AccessToken)
	if err != nil && !errors.Is(err, gatehouse.Unauthenticated) {
		s.t.Fatalf("authenticate with the store whole again: %v", err)
	}
	_, err2 := s.a.Refresh(s.t.Context(), l.RefreshToken)
	if (err == nil) != (err2 == nil) {
		s.t.Errorf("the access token: %v, but the refresh token: %v", err, err2)
	}
	return err == nil
}

func (s *scene) check(ok bool, promise string) {
	s.t.Helper()
	if !ok {
		s.t.Errorf("broken: %s", promise)
	}
}

// onePassword holds that exactly one of the two logs in, and that sessions of
// before live if and only if it is the old one.
func (s *scene) onePassword() (changed bool) {
	s.t.Helper()
	before, after := s.logsIn(ann, password), s.logsIn(ann, replacement)
	s.check(before != after, fmt.Sprintf("either password logs in, and not both (old: %v, new: %v)", before, after))
	s.check(s.alive(s.other) == before, "a session of before lives if and only if the old password is in force")
	s.check(s.alive(s.mine) == before, "the caller's session of before lives if and only if the old password is in force")
	return after
}

// cutFlow is an act, and what holds after it was cut anywhere.
type cutFlow struct {
	prepare func(*scene) // if anything more than the scene is needed
	act     func(*scene) (*gatehouse.Login, error)
	// holds is asked after every try, the acknowledged one included; done is
	// whether it was acknowledged.
	holds func(s *scene, done bool)
	// already is the answer to a repetition of what took place unnoticed.
	already gatehouse.Kind
}

func act1[T any](f func(*scene) (T, error)) func(*scene) (*gatehouse.Login, error) {
	return func(s *scene) (*gatehouse.Login, error) {
		_, err := f(s)
		return nil, err
	}
}

func act0(f func(*scene) error) func(*scene) (*gatehouse.Login, error) {
	return func(s *scene) (*gatehouse.Login, error) { return nil, f(s) }
}

var cutFlows = map[string]cutFlow{
	"register": {
		act: act1(func(s *scene) (*gatehouse.User, error) {
			return s.a.Gatehouse.Register(s.t.Context(), gatehouse.Registration{Email: "new@example.com", Password: password})
		}),
		holds: func(s *scene, done bool) {
			if done {
				s.check(s.logsIn("new@example.com", password), "an acknowledged registration logs in")
			}
			s.check(s.alive(s.mine), "nobody is logged out")
		},
		already: gatehouse.Conflict,
	},
	"login": {
		act: func(s *scene) (*gatehouse.Login, error) {
			return s.a.Gatehouse.Login(s.t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password, Former: s.mine.RefreshToken})
		},
		holds: func(s *scene, done bool) {
			if done {
				s.check(!s.alive(s.mine), "an acknowledged login has ended the browser's former session")
			}
			s.check(s.alive(s.other), "the session of another browser lives")
		},
	},
	"login with an imported hash": {
		prepare: func(s *scene) { importHash(s.t, s.a.Store, s.ann.ID, bcryptOf(s.t, password)) },
		act: func(s *scene) (*gatehouse.Login, error) {
			return s.a.Gatehouse.Login(s.t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password})
		},
		holds: func(s *scene, _ bool) {
			s.check(s.logsIn(ann, password), "the password logs in")
			s.check(s.alive(s.mine) && s.alive(s.other), "nobody is logged out")
		},
	},
	"refresh": {
		act: func(s *scene) (*gatehouse.Login, error) {
			l, err := s.a.Refresh(s.t.Context(), s.mine.RefreshToken)
			return l, err
		},
		holds: func(s *scene, _ bool) {
			s.check(s.alive(s.mine), "the session lives: the token that was sent is good within the grace")
			s.check(s.alive(s.other), "the other session lives")
		},
	},
	"reauthenticate": {
		act: func(s *scene) (*gatehouse.Login, error) { return s.a.Reauthenticate(s.t.Context(), s.mine, password) },
		holds: func(s *scene, _ bool) {
			l, err := s.a.Authenticate(s.t.Context(), s.mine.AccessToken)
			s.check(err == nil && l.Session.ID == s.mine.Session.ID, "the session lives")
			s.check(s.alive(s.other), "the other session lives")
		},
	},
	"logout": {
		act: act0(func(s *scene) error { return s.a.Logout(s.t.Context(), s.mine.AccessToken, s.mine.RefreshToken) }),
		holds: func(s *scene, done bool) {
			if done {
				s.check(!s.alive(s.mine), "an acknowledged logout has ended the session")
			}
			s.check(s.alive(s.other), "the other session lives")
		},
	},
	"change password": {
		act: func(s *scene) (*gatehouse.Login, error) {
			return s.a.ChangePassword(s.t.Context(), s.mine, password, replacement)
		},
		holds: func(s *scene, done bool) {
			if changed := s.onePassword(); done {
				s.check(changed, "an acknowledged change is in force")
			}
		},
		already: gatehouse.Unauthenticated,
	},
	"set password": {
		act: act0(func(s *scene) error { return s.a.SetPassword(s.t.Context(), s.ann.ID, replacement) }),
		holds: func(s *scene, done bool) {
			if changed := s.onePassword(); done {
				s.check(changed, "an acknowledged change is in force")
			}
		},
	},
	"change name": {
		act: act1(func(s *scene) (*gatehouse.User, error) { return s.a.ChangeName(s.t.Context(), s.ann.ID, "Ann") }),
		holds: func(s *scene, done bool) {
			name := must(s.a.User(s.t.Context(), s.ann.ID))(s.t).Name
			s.check(name == "Ann" || name == "" && !done, "an acknowledged name is kept")
			s.check(s.alive(s.mine), "nobody is logged out")
		},
	},
	"disable": {
		act: act1(func(s *scene) (*gatehouse.User, error) { return s.a.DisableUser(s.t.Context(), s.ann.ID) }),
		holds: func(s *scene, done bool) {
			enabled := must(s.a.User(s.t.Context(), s.ann.ID))(s.t).Enabled()
			s.check(!done || !enabled, "an acknowledged disabling is in force")
			s.check(s.logsIn(ann, password) == enabled, "who is disabled does not log in")
			s.check(s.alive(s.mine) == enabled && s.alive(s.other) == enabled, "who is disabled has no session")
		},
	},
	"enable": {
		prepare: func(s *scene) { must(s.a.DisableUser(s.t.Context(), s.ann.ID))(s.t) },
		act: act1(func(s *scene) (*gatehouse.User, error) {
			return s.a.EnableUser(s.t.Context(), s.ann.ID)
		}),
		holds: func(s *scene, done bool) {
			enabled := must(s.a.User(s.t.Context(), s.ann.ID))(s.t).Enabled()
			s.check(!done || enabled, "an acknowledged enabling is in force")
			s.check(s.logsIn(ann, password) == enabled, "who is enabled logs in")
		},
	},
	"delete": {
		act: act0(func(s *scene) error { return s.a.DeleteUser(s.t.Context(), s.ann.ID) }),
		holds: func(s *scene, done bool) {
			_, err := s.a.User(s.t.Context(), s.ann.ID)
			gone := errors.Is(err, gatehouse.NotFound)
			s.check(!done || gone, "who was deleted is gone")
			s.check(s.alive(s.mine) != gone && s.alive(s.other) != gone, "sessions live as long as their user")
			s.check(s.logsIn(ann, password) != gone, "who was deleted does not log in")
		},
		already: gatehouse.NotFound,
	},
	"grant": {
		act: act1(func(s *scene) (*gatehouse.User, error) { return s.a.GrantRole(s.t.Context(), s.ann.ID, "admin") }),
		holds: func(s *scene, done bool) {
			stored := must(s.a.User(s.t.Context(), s.ann.ID))(s.t).HasRole("admin")
			seen := must(s.a.Authenticate(s.t.Context(), s.mine.AccessToken))(s.t).User.HasRole("admin")
			s.check(stored == seen, "a session sees the roles of the store")
			s.check(!done || stored, "an acknowledged role is kept")
		},
	},
	"revoke": {
		act: act1(func(s *scene) (*gatehouse.User, error) { return s.a.RevokeRole(s.t.Context(), s.ann.ID, "staff") }),
		holds: func(s *scene, done bool) {
			stored := must(s.a.User(s.t.Context(), s.ann.ID))(s.t).HasRole("staff")
			seen := must(s.a.Authenticate(s.t.Context(), s.mine.AccessToken))(s.t).User.HasRole("staff")
			s.check(stored == seen, "a session sees the roles of the store")
			s.check(!done || !stored, "an acknowledged role is gone")
		},
	},
	"terminate one": {
		act: act0(func(s *scene) error { return s.a.TerminateSession(s.t.Context(), s.mine, s.other.Session.ID) }),
		holds: func(s *scene, done bool) {
			alive := s.alive(s.other)
			s.check(!done || !alive, "an acknowledged end is one")
			s.check(s.alive(s.mine), "the session at hand lives")
		},
		already: gatehouse.NotFound,
	},
	"terminate others": {
		act: act1(func(s *scene) (int, error) { return s.a.TerminateOtherSessions(s.t.Context(), s.mine) }),
		holds: func(s *scene, done bool) {
			alive := s.alive(s.other)
			s.check(!done || !alive, "an acknowledged end is one")
			s.check(s.alive(s.mine), "the session at hand lives")
		},
	},
	"terminate all": {
		act: act0(func(s *scene) error { return s.a.TerminateSessions(s.t.Context(), s.ann.ID) }),
		holds: func(s *scene, done bool) {
			mine, other := s.alive(s.mine), s.alive(s.other)
			s.check(mine == other, "all sessions end, or none")
			s.check(!done || !mine, "an acknowledged end is one")
		},
	},
	"rotate keys": {
		act: act1(func(s *scene) (gatehouse.Key, error) { return s.a.RotateKeys(s.t.Context()) }),
		holds: func(s *scene, done bool) {
			keys := must(s.a.Keys(s.t.Context()))(s.t)
			s.check(!done || len(keys) > s.keys, "an acknowledged rotation took place")
			s.check(s.alive(s.mine) && s.alive(s.other), "tokens of before are good")
		},
	},
}

func setScene(t *testing.T, open opener, flow cutFlow) (*scene, *cutStore) {
	t.Helper()
	store := &cutStore{Store: open(t)}
	s := &scene{t: t, a: gatehousetest.New(t, gatehouse.Config{Store: store})}
	s.ann, s.bob = s.a.Register(ann), s.a.Register("bob@example.com")
	s.ann = must(s.a.GrantRole(t.Context(), s.ann.ID, "staff"))(t)
	s.mine, s.other, s.bobs = s.a.Login(ann), s.a.Login(ann), s.a.Login("bob@example.com")
	s.keys = len(must(s.a.Keys(t.Context()))(t))
	if flow.prepare != nil {
		flow.prepare(s)
	}
	return s, store
}

// Every flow, cut at every one of its writes, before and after the write took
// place, leaves what is promised; the answer is Unavailable, and never that the
// caller is nobody; and a repetition with the store whole again ends where an
// undisturbed one would have.
func TestCuts(t *testing.T) {
	for store, open := range cutStores(t) {
		t.Run(store, func(t *testing.T) {
			for name, flow := range cutFlows {
				t.Run(name, func(t *testing.T) {
					for _, after := range []bool{false, true} {
						n := 1
						for cut(t, open, flow, n, after) {
							n++
						}
						if n == 1 {
							t.Error("no write was broken")
						}
					}
				})
			}
		})
	}
}

// opener makes an empty store that is closed with the test.
type opener func(testing.TB) gatehouse.Store

// cutStores are the stores there are, on real servers. What a cut leaves behind is
// up to the order of the writes, which is the same on all of them, and up to what
// each makes of a write that is repeated.
func cutStores(t *testing.T) map[string]opener {
	postgresServer, redisServer, mongoServer := service.Postgres(t, service.PostgresOptions{}), service.Redis(t), service.Mongo(t)
	n := 0
	next := func() string {
		n++
		return fmt.Sprint("cut", n)
	}
	closed := func(t testing.TB, s gatehouse.Store) gatehouse.Store {
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	return map[string]opener{
		"memory": func(testing.TB) gatehouse.Store { return memory.New() },
		"SQLite": func(t testing.TB) gatehouse.Store {
			return closed(t, must(sqlite.Open(filepath.Join(t.TempDir(), "cut.db"), sqlite.Options{}))(t))
		},
		"PostgreSQL": func(t testing.TB) gatehouse.Store {
			return closed(t, must(postgres.Open(t.Context(), postgresServer.URL(postgresServer.Database(t)), postgres.Options{MaxConns: 2}))(t))
		},
		"MongoDB": func(t testing.TB) gatehouse.Store {
			return closed(t, must(mongo.Open(t.Context(), mongoServer.URI(next()), mongo.Options{}))(t))
		},
		"Redis before memory": func(t testing.TB) gatehouse.Store {
			client := must(redis.Open(t.Context(), redisServer.URL(), redis.Options{
				Key: gatehouse.NewSecret([]byte(strings.Repeat("k", 32))), Prefix: next(),
			}))(t)
			return closed(t, must(client.Store(t.Context(), memory.New()))(t))
		},
	}
}

// cut runs a flow whose n-th write breaks, and says whether it has that many.
func cut(t *testing.T, open opener, flow cutFlow, n int, after bool) (broken bool) {
	t.Run(fmt.Sprintf("write %d, took place %v", n, after), func(t *testing.T) {
		s, store := setScene(t, open, flow)
		store.arm(n, after)
		_, err := flow.act(s)
		broke := store.whole()
		broken = broke != ""
		if !broken {
			if err != nil {
				t.Fatalf("with no write broken: %v", err)
			}
			flow.holds(s, true)
			return
		}
		// What only tidies up may break unnoticed, if all that was promised holds;
		// an event is no such thing.
		if err == nil && broke == "append event" {
			t.Fatal("acknowledged, although it is not on record")
		}
		if err != nil && !errors.Is(err, gatehouse.Unavailable) {
			t.Fatalf("after %s broke: err = %v, want Unavailable: nothing was decided about the caller", broke, err)
		}
		flow.holds(s, err == nil)
		s.check(s.alive(s.bobs), "bob is still logged in")

		// From the same beginning once more, without a look at it in between:
		// what a caller does who is told to try again.
		s, store = setScene(t, open, flow)
		store.arm(n, after)
		_, err = flow.act(s)
		store.whole()
		if err == nil {
			return // nothing to try again
		}
		if _, err = flow.act(s); err != nil && (flow.already == 0 || !errors.Is(err, flow.already)) {
			t.Fatalf("a repetition after %s broke: %v", broke, err)
		}
		flow.holds(s, true)
		s.check(s.alive(s.bobs), "bob is still logged in")
	})
	return broken && !t.Failed()
}

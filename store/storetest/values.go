package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

var values = []testCase{
	{"copies on the way in", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		u, x, c := user(1), session(1, uid(9)), challenge(1)
		e, p, k := event(1), setting("keys"), task(1)
		ok(t, "create user", s.CreateUser(ctx, u))
		ok(t, "create session", s.CreateSession(ctx, x))
		ok(t, "create challenge", s.CreateChallenge(ctx, c))
		ok(t, "append event", s.AppendEvent(ctx, e))
		ok(t, "save setting", s.SaveSetting(ctx, p))
		ok(t, "create task", s.CreateTask(ctx, k))

		scribbleUser(u)
		x.Methods[0], x.Extra[2] = "scribbled", '!'
		c.Data[2], p.Value[0], k.Data[2] = '!', '!', '!'
		e.Data["method"], e.Proof[0] = "scribbled", '!'
		expectOriginals(t, s)
	}},
	{"copies on the way in when it saves", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		u, x, c := user(1), session(1, uid(9)), challenge(1)
		ok(t, "create user", s.CreateUser(ctx, u))
		ok(t, "create session", s.CreateSession(ctx, x))
		ok(t, "create challenge", s.CreateChallenge(ctx, c))
		ok(t, "save user", s.SaveUser(ctx, u))
		ok(t, "save session", s.SaveSession(ctx, x))
		ok(t, "save challenge", s.SaveChallenge(ctx, c))
		scribbleUser(u)
		x.Methods[0], x.Extra[2], c.Data[2] = "scribbled", '!', '!'

		wantU, wantX, wantC := user(1), session(1, uid(9)), challenge(1)
		wantU.Version, wantX.Version, wantC.Version = 2, 2, 2
		equal(t, "user", must(s.User(ctx, uid(1)))(t, "User"), wantU)
		equal(t, "session", must(s.Session(ctx, uid(1)))(t, "Session"), wantX)
		equal(t, "challenge", must(s.Challenge(ctx, uid(1)))(t, "Challenge"), wantC)
	}},
	{"copies on the way out", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		ok(t, "create user", s.CreateUser(ctx, user(1)))
		ok(t, "create session", s.CreateSession(ctx, session(1, uid(9))))
		ok(t, "create challenge", s.CreateChallenge(ctx, challenge(1)))
		ok(t, "append event", s.AppendEvent(ctx, event(1)))
		ok(t, "save setting", s.SaveSetting(ctx, setting("keys")))
		ok(t, "create task", s.CreateTask(ctx, task(1)))

		for range 2 {
			scribbleUser(must(s.User(ctx, uid(1)))(t, "User"))
			scribbleUser(must(s.UserByEmail(ctx, "ann.1@example.com"))(t, "UserByEmail"))
			scribbleUser(must(s.UserByKey(ctx, "oidc:1"))(t, "UserByKey"))
			scribbleUser(must(s.Users(ctx, "", 1))(t, "Users")[0])
			for _, x := range append(must(s.SessionsOf(ctx, uid(9)))(t, "SessionsOf"), must(s.Session(ctx, uid(1)))(t, "Session")) {
				x.Methods[0], x.Extra[2] = "scribbled", '!'
			}
			must(s.Challenge(ctx, uid(1)))(t, "Challenge").Data[2] = '!'
			e := must(s.Events(ctx, gatehouse.EventQuery{Limit: 1}))(t, "Events")[0]
			e.Data["method"], e.Proof[0] = "scribbled", '!'
			must(s.Setting(ctx, "keys"))(t, "Setting").Value[0] = '!'
		}
		expectOriginals(t, s)
	}},
	{"keeps a claimed task apart from its copy", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create task", s.CreateTask(t.Context(), task(1)))
		must(s.ClaimTask(t.Context(), []string{"mail"}, at(1), at(2)))(t, "ClaimTask").Data[2] = '!'
		again := must(s.ClaimTask(t.Context(), []string{"mail"}, at(2), at(3)))(t, "ClaimTask again")
		equal(t, "Data", again.Data, task(1).Data)
	}},
	{"takes empty for nil", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		empty := &gatehouse.User{
			ID: uid(1), Roles: []string{}, Keys: []string{}, Credentials: []gatehouse.Credential{}, Extra: []byte{},
		}
		ok(t, "create user", s.CreateUser(ctx, empty))
		equal(t, "user", must(s.User(ctx, uid(1)))(t, "User"), &gatehouse.User{ID: uid(1), Version: 1})
		ok(t, "save user", s.SaveUser(ctx, empty))
		ok(t, "create session", s.CreateSession(ctx, &gatehouse.Session{ID: uid(1), Methods: []string{}, Extra: []byte{}}))
		equal(t, "session", must(s.Session(ctx, uid(1)))(t, "Session"), &gatehouse.Session{ID: uid(1), Version: 1})
		ok(t, "append event", s.AppendEvent(ctx, &gatehouse.Event{ID: uid(1), Data: map[string]string{}, Proof: []byte{}}))
		equal(t, "events", must(s.Events(ctx, gatehouse.EventQuery{Limit: 1}))(t, "Events"), []*gatehouse.Event{{ID: uid(1)}})
		ok(t, "save setting", s.SaveSetting(ctx, &gatehouse.Setting{Name: "x", Value: []byte{}}))
		equal(t, "setting", must(s.Setting(ctx, "x"))(t, "Setting"), &gatehouse.Setting{Name: "x", Version: 1})
	}},
	{"keeps times in UTC and whole milliseconds", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		there := time.FixedZone("there", -5*3600)
		for i, moment := range []time.Time{
			time.Unix(0, 0), // not the zero time
			time.Date(1969, 12, 31, 23, 59, 59, 999e6, time.UTC),
			time.Date(2026, 3, 1, 7, 0, 0, 123_456_789, there),
			time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
			{},
		} {
			want := moment
			if !moment.IsZero() {
				want = time.UnixMilli(moment.UnixMilli()).UTC()
			}
			id := uid(i)
			ok(t, "create user", s.CreateUser(ctx, &gatehouse.User{
				ID: id, DisabledAt: moment, CreatedAt: moment, UpdatedAt: moment,
				Credentials: []gatehouse.Credential{{ID: "c", Kind: "password", CreatedAt: moment, ChangedAt: moment}},
			}))
			u := must(s.User(ctx, id))(t, "User")
			ok(t, "create session", s.CreateSession(ctx, &gatehouse.Session{
				ID: id, RotatedAt: moment, CreatedAt: moment, AuthenticatedAt: moment, LastSeenAt: moment,
				InactiveAt: moment, EndsAt: moment, TerminatedAt: moment, ExpiresAt: moment,
			}))
			x := must(s.Session(ctx, id))(t, "Session")
			ok(t, "create challenge", s.CreateChallenge(ctx, &gatehouse.Challenge{ID: id, CreatedAt: moment, ExpiresAt: moment}))
			c := must(s.Challenge(ctx, id))(t, "Challenge")
			ok(t, "append event", s.AppendEvent(ctx, &gatehouse.Event{ID: id, At: moment, ExpiresAt: moment}))
			e := must(s.Events(ctx, gatehouse.EventQuery{Limit: 1}))(t, "Events")[0]
			ok(t, "save setting", s.SaveSetting(ctx, &gatehouse.Setting{Name: id, UpdatedAt: moment}))
			p := must(s.Setting(ctx, id))(t, "Setting")
			ok(t, "create task", s.CreateTask(ctx, &gatehouse.Task{ID: id, Kind: id, DueAt: at(0), CreatedAt: moment, ExpiresAt: moment}))
			k := must(s.ClaimTask(ctx, []string{id}, at(1), at(2)))(t, "ClaimTask")
			for j, got := range []time.Time{
				u.DisabledAt, u.CreatedAt, u.UpdatedAt, u.Credentials[0].CreatedAt, u.Credentials[0].ChangedAt,
				x.RotatedAt, x.CreatedAt, x.AuthenticatedAt, x.LastSeenAt, x.InactiveAt, x.EndsAt, x.TerminatedAt, x.ExpiresAt,
				c.CreatedAt, c.ExpiresAt, e.At, e.ExpiresAt, p.UpdatedAt, k.CreatedAt, k.ExpiresAt,
			} {
				if !got.Equal(want) || got.Location() != time.UTC || got.IsZero() != want.IsZero() {
					t.Errorf("field %d: %v was kept as %v, want %v", j, moment, got, want)
				}
			}
		}
	}},
	{"keeps any text without NUL, and tells apart what is not the same", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		texts := slices.Clone(texts)
		for _, text := range texts {
			u := &gatehouse.User{
				ID: text, Email: text, EmailKey: text, Name: text, Roles: []string{text, text + "2"}, Keys: []string{text},
				Credentials: []gatehouse.Credential{{ID: text, Kind: text, Hash: text}},
			}
			ok(t, "create user", s.CreateUser(ctx, u))
			x := &gatehouse.Session{ID: text, UserID: text, Methods: []string{text}, UserAgent: text, Address: text}
			ok(t, "create session", s.CreateSession(ctx, x))
			ok(t, "create challenge", s.CreateChallenge(ctx, &gatehouse.Challenge{ID: text, Kind: text, UserID: text}))
			e := &gatehouse.Event{
				ID: text, Kind: text, Outcome: text, UserID: text, ActorID: text, SessionID: text, Address: text,
				UserAgent: text, Ref: text, Data: map[string]string{text: text}, Chain: text, Proof: []byte(text),
			}
			ok(t, "append event", s.AppendEvent(ctx, e))
			ok(t, "save setting", s.SaveSetting(ctx, &gatehouse.Setting{Name: text, Value: []byte(text)}))
			ok(t, "create task", s.CreateTask(ctx, &gatehouse.Task{ID: text, Kind: text, DueAt: at(0)}))

			equal(t, "User", must(s.User(ctx, text))(t, "User"), u)
			equal(t, "UserByEmail", must(s.UserByEmail(ctx, text))(t, "UserByEmail"), u)
			equal(t, "UserByKey", must(s.UserByKey(ctx, text))(t, "UserByKey"), u)
			equal(t, "SessionsOf", must(s.SessionsOf(ctx, text))(t, "SessionsOf"), []*gatehouse.Session{x})
			equal(t, "Challenge", must(s.Challenge(ctx, text))(t, "Challenge").Kind, text)
			equal(t, "Events of a user", must(s.Events(ctx, gatehouse.EventQuery{UserID: text, Limit: 9}))(t, "Events"), []*gatehouse.Event{e})
			equal(t, "Events of a kind", must(s.Events(ctx, gatehouse.EventQuery{Kind: text, Limit: 9}))(t, "Events"), []*gatehouse.Event{e})
			equal(t, "Setting", string(must(s.Setting(ctx, text))(t, "Setting").Value), text)
			equal(t, "ClaimTask", must(s.ClaimTask(ctx, []string{text}, at(1), at(2)))(t, "ClaimTask").ID, text)
		}
		slices.Sort(texts)
		got := must(s.Users(ctx, "", len(texts)+1))(t, "Users")
		equal(t, "order of ids is that of their bytes", ids(got, func(u *gatehouse.User) string { return u.ID }), texts)
	}},
	{"keeps whole numbers and large values", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		x := &gatehouse.Session{ID: uid(1), Epoch: math.MaxInt64, Generation: math.MinInt64}
		ok(t, "create session", s.CreateSession(ctx, x))
		equal(t, "Session", must(s.Session(ctx, uid(1)))(t, "Session"), x)

		u := user(1)
		u.Roles, u.Keys = nil, nil
		for n := range 300 {
			u.Keys = append(u.Keys, "key:"+uid(n))
		}
		u.Extra = []byte(`"` + strings.Repeat("x", 60_000) + `"`)
		ok(t, "create user", s.CreateUser(ctx, u))
		equal(t, "User", must(s.UserByKey(ctx, "key:"+uid(299)))(t, "UserByKey"), u)
		p := &gatehouse.Setting{Name: "big", Value: make([]byte, 200_000)}
		for i := range p.Value {
			p.Value[i] = byte(i * 7)
		}
		ok(t, "save setting", s.SaveSetting(ctx, p))
		equal(t, "Setting", must(s.Setting(ctx, "big"))(t, "Setting"), p)
	}},
	{"is ready", func(t *testing.T, s gatehouse.Store) {
		ok(t, "Ready", s.Ready(t.Context()))
		ok(t, "Ready again", s.Ready(t.Context()))
	}},
}

// texts are distinct, and a store that folds, trims, pads, normalises,
// matches patterns or builds queries by hand mixes some of them up.
var texts = []string{
	"a", "A", "b", "B", "a ", " a", "á", "a\u0301", "ß", "ss", "ı", "i", "I",
	"'", "''", `"`, `\`, `\\`, "%", "_", "a%", "$1", "?", "{}", "[]", "null", `["a"]`, `a","b`,
	"'; DROP TABLE users; --", "<script>&amp;", "tab\tline\nreturn\r", "\u2028\u202e", "日本語", "🔑👩‍🚀", "\U0010ffff", "\u007f\u0001",
	strings.Repeat("long", 60), strings.Repeat("long", 60) + ".", strings.Repeat("é", 250),
}

func scribbleUser(u *gatehouse.User) {
	u.Roles[0], u.Keys[0] = "scribbled", "scribbled"
	u.Credentials[0].Hash = "scribbled"
	u.Credentials[0].Data[2], u.Extra[2] = '!', '!'
}

// expectOriginals expects the first record of each kind as it was created.
func expectOriginals(t *testing.T, s gatehouse.Store) {
	t.Helper()
	ctx := t.Context()
	u, x, c, p := user(1), session(1, uid(9)), challenge(1), setting("keys")
	u.Version, x.Version, c.Version, p.Version = 1, 1, 1, 1
	equal(t, "user", must(s.User(ctx, uid(1)))(t, "User"), u)
	equal(t, "session", must(s.Session(ctx, uid(1)))(t, "Session"), x)
	equal(t, "challenge", must(s.Challenge(ctx, uid(1)))(t, "Challenge"), c)
	equal(t, "events", must(s.Events(ctx, gatehouse.EventQuery{Limit: 9}))(t, "Events"), []*gatehouse.Event{event(1)})
	equal(t, "setting", must(s.Setting(ctx, "keys"))(t, "Setting"), p)
	equal(t, "task", must(s.ClaimTask(ctx, []string{"mail"}, at(1), at(2)))(t, "ClaimTask").Data, task(1).Data)
}

var contexts = []testCase{
	{"does nothing for a ctx that is done", func(t *testing.T, s gatehouse.Store) {
		u, x, c, p, k := user(1), session(1, uid(9)), challenge(1), setting("keys"), task(1)
		ok(t, "create user", s.CreateUser(t.Context(), u))
		ok(t, "create session", s.CreateSession(t.Context(), x))
		ok(t, "create challenge", s.CreateChallenge(t.Context(), c))
		ok(t, "save setting", s.SaveSetting(t.Context(), p))
		ok(t, "create task", s.CreateTask(t.Context(), k))
		ok(t, "append event", s.AppendEvent(t.Context(), event(1)))

		ctx := cancelled(t)
		calls := []struct {
			name string
			call func(ctx context.Context) error
		}{
			{"CreateUser", func(ctx context.Context) error { return s.CreateUser(ctx, user(2)) }},
			{"User", func(ctx context.Context) error { _, err := s.User(ctx, uid(1)); return err }},
			{"UserByEmail", func(ctx context.Context) error { _, err := s.UserByEmail(ctx, u.EmailKey); return err }},
			{"UserByKey", func(ctx context.Context) error { _, err := s.UserByKey(ctx, "oidc:1"); return err }},
			{"SaveUser", func(ctx context.Context) error { return s.SaveUser(ctx, u) }},
			{"DeleteUser", func(ctx context.Context) error { return s.DeleteUser(ctx, u.ID, 1) }},
			{"Users", func(ctx context.Context) error { _, err := s.Users(ctx, "", 1); return err }},
			{"CreateSession", func(ctx context.Context) error { return s.CreateSession(ctx, session(2, uid(9))) }},
			{"Session", func(ctx context.Context) error { _, err := s.Session(ctx, uid(1)); return err }},
			{"SaveSession", func(ctx context.Context) error { return s.SaveSession(ctx, x) }},
			{"SessionsOf", func(ctx context.Context) error { _, err := s.SessionsOf(ctx, uid(9)); return err }},
			{"CreateChallenge", func(ctx context.Context) error { return s.CreateChallenge(ctx, challenge(2)) }},
			{"Challenge", func(ctx context.Context) error { _, err := s.Challenge(ctx, uid(1)); return err }},
			{"SaveChallenge", func(ctx context.Context) error { return s.SaveChallenge(ctx, c) }},
			{"TakeChallenge", func(ctx context.Context) error { _, err := s.TakeChallenge(ctx, uid(1)); return err }},
			{"AppendEvent", func(ctx context.Context) error { return s.AppendEvent(ctx, event(2)) }},
			{"Events", func(ctx context.Context) error {
				_, err := s.Events(ctx, gatehouse.EventQuery{Limit: 1})
				return err
			}},
			{"Setting", func(ctx context.Context) error { _, err := s.Setting(ctx, "keys"); return err }},
			{"SaveSetting", func(ctx context.Context) error { return s.SaveSetting(ctx, p) }},
			{"CreateTask", func(ctx context.Context) error { return s.CreateTask(ctx, task(2)) }},
			{"ClaimTask", func(ctx context.Context) error {
				_, err := s.ClaimTask(ctx, []string{"mail"}, at(100), at(200))
				return err
			}},
			{"SaveTask", func(ctx context.Context) error { return s.SaveTask(ctx, k) }},
			{"DeleteTask", func(ctx context.Context) error { return s.DeleteTask(ctx, k.ID, 1) }},
			{"Sweep", func(ctx context.Context) error { _, err := s.Sweep(ctx, at(5000), 10); return err }},
			{"Ready", func(ctx context.Context) error { return s.Ready(ctx) }},
		}
		for _, c := range calls {
			if err := c.call(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Errorf("%s with a cancelled ctx: err = %v", c.name, err)
			}
		}
		expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		for _, c := range calls {
			if err := c.call(expired); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Errorf("%s with an expired ctx: err = %v", c.name, err)
			}
		}

		// A store is free to finish what had begun, but these had not.
		for _, version := range []int64{u.Version, x.Version, c.Version, p.Version, k.Version} {
			equal(t, "Version", version, int64(1))
		}
		equal(t, "users", len(must(s.Users(t.Context(), "", 9))(t, "Users")), 1)
		equal(t, "sessions", len(must(s.SessionsOf(t.Context(), uid(9)))(t, "SessionsOf")), 1)
		expectOriginals(t, s)
	}},
}

package storetest

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

var tasks = []testCase{
	{"gives back every field of a task to whoever claims it", func(t *testing.T, s gatehouse.Store) {
		x := task(1)
		ok(t, "create", s.CreateTask(t.Context(), x))
		equal(t, "Version after CreateTask", x.Version, int64(1))
		want := task(1)
		want.Version, want.Attempts, want.LeasedUntil = 2, 1, at(60)
		equal(t, "claimed", must(s.ClaimTask(t.Context(), []string{"mail"}, at(1), at(60)))(t, "ClaimTask"), want)

		again := task(1)
		is(t, "create again", s.CreateTask(t.Context(), again), gatehouse.ErrExists)
		equal(t, "Version after ErrExists", again.Version, int64(0))
	}},
	{"leases what has been due for longest", func(t *testing.T, s gatehouse.Store) {
		for _, n := range []int{5, 2, 4, 3} {
			x := task(n)
			x.ID = uid(10 - n) // the order is that of DueAt, not of the ids
			ok(t, "create", s.CreateTask(t.Context(), x))
		}
		never := task(9)
		never.DueAt = time.Time{}
		ok(t, "create one that is never due", s.CreateTask(t.Context(), never))
		for n := 2; n <= 4; n++ {
			got := must(s.ClaimTask(t.Context(), []string{"mail"}, at(4), at(60)))(t, "ClaimTask")
			equal(t, "claimed", got.ID, uid(10-n))
		}
		_, err := s.ClaimTask(t.Context(), []string{"mail"}, at(4), at(60))
		is(t, "when the rest is leased or not yet due", err, gatehouse.ErrNotFound)
		_, err = s.ClaimTask(t.Context(), []string{"mail"}, at(5).Add(-time.Millisecond), at(60))
		is(t, "a millisecond before it is due", err, gatehouse.ErrNotFound)
		got := must(s.ClaimTask(t.Context(), []string{"mail"}, at(5), at(60)))(t, "ClaimTask when it is due")
		equal(t, "claimed", got.ID, uid(5))
	}},
	{"leases tasks of the kinds that were asked for", func(t *testing.T, s gatehouse.Store) {
		for n, kind := range []string{"mail", "webhook", "sweep"} {
			x := task(n)
			x.Kind = kind
			ok(t, "create", s.CreateTask(t.Context(), x))
		}
		for _, kinds := range [][]string{nil, {}, {"other"}, {"MAIL"}, {"mail,webhook"}, {"%"}} {
			_, err := s.ClaimTask(t.Context(), kinds, at(9), at(60))
			is(t, "other kinds", err, gatehouse.ErrNotFound)
		}
		got := must(s.ClaimTask(t.Context(), []string{"other", "sweep", "webhook"}, at(9), at(60)))(t, "ClaimTask")
		equal(t, "first", got.Kind, "webhook")
		got = must(s.ClaimTask(t.Context(), []string{"other", "sweep", "webhook"}, at(9), at(60)))(t, "ClaimTask")
		equal(t, "second", got.Kind, "sweep")
		_, err := s.ClaimTask(t.Context(), []string{"other", "sweep", "webhook"}, at(9), at(60))
		is(t, "third", err, gatehouse.ErrNotFound)
	}},
	{"leases a task again when the lease has ended", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateTask(t.Context(), task(1)))
		first := must(s.ClaimTask(t.Context(), []string{"mail"}, at(10), at(20)))(t, "ClaimTask")
		_, err := s.ClaimTask(t.Context(), []string{"mail"}, at(20).Add(-time.Millisecond), at(40))
		is(t, "under the lease", err, gatehouse.ErrNotFound)

		second := must(s.ClaimTask(t.Context(), []string{"mail"}, at(20), at(40)))(t, "ClaimTask after the lease")
		want := task(1)
		want.Version, want.Attempts, want.LeasedUntil = 3, 2, at(40)
		equal(t, "claimed again", second, want)

		is(t, "save by the former holder", s.SaveTask(t.Context(), first), gatehouse.ErrStale)
		equal(t, "Version after ErrStale", first.Version, int64(2))
		is(t, "delete by the former holder", s.DeleteTask(t.Context(), first.ID, first.Version), gatehouse.ErrStale)
		ok(t, "delete by the holder", s.DeleteTask(t.Context(), second.ID, second.Version))
		is(t, "delete again", s.DeleteTask(t.Context(), second.ID, second.Version), gatehouse.ErrStale)
		is(t, "save of what is gone", s.SaveTask(t.Context(), second), gatehouse.ErrStale)
		_, err = s.ClaimTask(t.Context(), []string{"mail"}, at(90), at(99))
		is(t, "ClaimTask of what is gone", err, gatehouse.ErrNotFound)
	}},
	{"saves every field of a task", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateTask(t.Context(), task(1)))
		x := must(s.ClaimTask(t.Context(), []string{"mail"}, at(10), at(20)))(t, "ClaimTask")
		x.Kind, x.Data, x.Attempts, x.DueAt = "webhook", []byte(`[]`), 7, at(30)
		x.LeasedUntil, x.CreatedAt, x.ExpiresAt = time.Time{}, at(31), at(32)
		want := *x
		want.Version, want.Attempts, want.LeasedUntil = 4, 8, at(50)
		ok(t, "save", s.SaveTask(t.Context(), x))
		equal(t, "Version after SaveTask", x.Version, int64(3))
		_, err := s.ClaimTask(t.Context(), []string{"webhook"}, at(29), at(50))
		is(t, "before it is due again", err, gatehouse.ErrNotFound)
		equal(t, "saved", must(s.ClaimTask(t.Context(), []string{"webhook"}, at(30), at(50)))(t, "ClaimTask"), &want)
	}},
}

var sweeps = []testCase{
	{"deletes what has expired and nothing else", func(t *testing.T, s gatehouse.Store) {
		ctx := t.Context()
		ok(t, "create user", s.CreateUser(ctx, user(1)))
		ok(t, "save setting", s.SaveSetting(ctx, setting("keys")))
		for n, expires := range []time.Time{{}, at(9), at(10), at(10).Add(time.Millisecond)} {
			x, c, e, k := session(n, uid(99)), challenge(n), event(n), task(n)
			x.ExpiresAt, c.ExpiresAt, e.ExpiresAt, k.ExpiresAt = expires, expires, expires, expires
			ok(t, "create session", s.CreateSession(ctx, x))
			ok(t, "create challenge", s.CreateChallenge(ctx, c))
			ok(t, "append event", s.AppendEvent(ctx, e))
			ok(t, "create task", s.CreateTask(ctx, k))
		}
		equal(t, "deleted", must(s.Sweep(ctx, at(10), 100))(t, "Sweep"), 8)
		equal(t, "deleted again", must(s.Sweep(ctx, at(10), 100))(t, "Sweep"), 0)

		left := []string{uid(3), uid(0)}
		equal(t, "sessions", ids(must(s.SessionsOf(ctx, uid(99)))(t, "SessionsOf"), func(x *gatehouse.Session) string { return x.ID }), left)
		equal(t, "events", ids(must(s.Events(ctx, gatehouse.EventQuery{Limit: 9}))(t, "Events"), func(e *gatehouse.Event) string { return e.ID }), left)
		for n, want := range []error{nil, gatehouse.ErrNotFound, gatehouse.ErrNotFound, nil} {
			_, err := s.Challenge(ctx, uid(n))
			is(t, "Challenge", err, want)
		}
		for _, n := range []int{0, 3} {
			equal(t, "task", must(s.ClaimTask(ctx, []string{"mail"}, at(50), at(60)))(t, "ClaimTask").ID, uid(n))
		}
		_, err := s.ClaimTask(ctx, []string{"mail"}, at(50), at(60))
		is(t, "ClaimTask", err, gatehouse.ErrNotFound)
		must(s.User(ctx, uid(1)))(t, "User")
		must(s.Setting(ctx, "keys"))(t, "Setting")
	}},
	{"deletes no more than the limit of each kind", func(t *testing.T, s gatehouse.Store) {
		for n := range 5 {
			ok(t, "create session", s.CreateSession(t.Context(), session(n, uid(99))))
			if n < 3 {
				ok(t, "create challenge", s.CreateChallenge(t.Context(), challenge(n)))
			}
		}
		for _, want := range []int{4, 3, 1, 0} {
			equal(t, "deleted", must(s.Sweep(t.Context(), at(1000), 2))(t, "Sweep"), want)
		}
	}},
}

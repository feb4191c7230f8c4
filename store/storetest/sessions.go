package storetest

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

var sessions = []testCase{
	{"gives back every field of a session", func(t *testing.T, s gatehouse.Store) {
		x := session(1, uid(9))
		ok(t, "create", s.CreateSession(t.Context(), x))
		equal(t, "Version after CreateSession", x.Version, int64(1))
		want := session(1, uid(9))
		want.Version = 1
		equal(t, "Session", must(s.Session(t.Context(), x.ID))(t, "Session"), want)

		ok(t, "create a bare one", s.CreateSession(t.Context(), &gatehouse.Session{ID: uid(2)}))
		equal(t, "bare Session", must(s.Session(t.Context(), uid(2)))(t, "Session"), &gatehouse.Session{ID: uid(2), Version: 1})
	}},
	{"refuses a session id that is taken, and finds none that is not there", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateSession(t.Context(), session(1, uid(9))))
		again := session(1, uid(8))
		is(t, "create again", s.CreateSession(t.Context(), again), gatehouse.ErrExists)
		equal(t, "Version after ErrExists", again.Version, int64(0))
		equal(t, "user of the session", must(s.Session(t.Context(), uid(1)))(t, "Session").UserID, uid(9))
		_, err := s.Session(t.Context(), uid(2))
		is(t, "Session", err, gatehouse.ErrNotFound)
	}},
	{"saves every field of a session", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateSession(t.Context(), session(1, uid(9))))

		// First what changes with a refresh, then all the rest.
		refreshed := session(1, uid(9))
		refreshed.Version, refreshed.Generation, refreshed.RotatedAt, refreshed.LastSeenAt = 1, 8, at(30), at(31)
		refreshed.InactiveAt, refreshed.Address, refreshed.UserAgent = at(32), "192.0.2.8", "Mozilla/6.0"
		want := *refreshed
		want.Version = 2
		ok(t, "save", s.SaveSession(t.Context(), refreshed))
		equal(t, "Version after SaveSession", refreshed.Version, int64(2))
		equal(t, "refreshed session", must(s.Session(t.Context(), uid(1)))(t, "Session"), &want)

		other := &gatehouse.Session{
			ID: uid(1), Version: 2, UserID: uid(8), Epoch: 4, Generation: 9, RotatedAt: at(40), CreatedAt: at(41),
			AuthenticatedAt: at(42), LastSeenAt: at(43), Methods: []string{"hwk"}, InactiveAt: at(44), EndsAt: at(45),
			TerminatedAt: at(46), ExpiresAt: at(47), UserAgent: "b", Address: "c", Extra: []byte(`{}`),
		}
		want = *other
		want.Version = 3
		ok(t, "save all", s.SaveSession(t.Context(), other))
		equal(t, "changed session", must(s.Session(t.Context(), uid(1)))(t, "Session"), &want)
		equal(t, "sessions of the former user", len(must(s.SessionsOf(t.Context(), uid(9)))(t, "SessionsOf")), 0)

		ok(t, "save without anything", s.SaveSession(t.Context(), &gatehouse.Session{ID: uid(1), Version: 3}))
		equal(t, "emptied session", must(s.Session(t.Context(), uid(1)))(t, "Session"), &gatehouse.Session{ID: uid(1), Version: 4})
		ok(t, "save again", s.SaveSession(t.Context(), &gatehouse.Session{ID: uid(1), Version: 4, Generation: 1}))
		equal(t, "saved again", must(s.Session(t.Context(), uid(1)))(t, "Session"), &gatehouse.Session{ID: uid(1), Version: 5, Generation: 1})
	}},
	{"does not save a session that is stale or gone", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateSession(t.Context(), session(1, uid(9))))
		for _, version := range []int64{0, 2} {
			x := session(1, uid(9))
			x.Version, x.Generation = version, 99
			is(t, "save of a wrong version", s.SaveSession(t.Context(), x), gatehouse.ErrStale)
			equal(t, "Version after ErrStale", x.Version, version)
		}
		want := session(1, uid(9))
		want.Version = 1
		equal(t, "session after ErrStale", must(s.Session(t.Context(), uid(1)))(t, "Session"), want)
		gone := session(2, uid(9))
		gone.Version = 1
		is(t, "save of a session that is not there", s.SaveSession(t.Context(), gone), gatehouse.ErrStale)
	}},
	{"lists the sessions of a user that were not terminated, the one created last first", func(t *testing.T, s gatehouse.Store) {
		for _, n := range []int{2, 1, 3} {
			x := session(n, uid(9))
			x.ID = uid(10 - n) // the order is that of CreatedAt, not of the ids
			ok(t, "create", s.CreateSession(t.Context(), x))
		}
		expired := session(4, uid(9))
		expired.ExpiresAt = at(0).AddDate(-1, 0, 0)
		ok(t, "create an expired one", s.CreateSession(t.Context(), expired))
		terminated := session(6, uid(9))
		terminated.TerminatedAt = at(0).AddDate(0, 0, -1)
		ok(t, "create a terminated one", s.CreateSession(t.Context(), terminated))
		ok(t, "create somebody else's", s.CreateSession(t.Context(), session(5, uid(8))))

		got := must(s.SessionsOf(t.Context(), uid(9)))(t, "SessionsOf")
		equal(t, "order", ids(got, func(x *gatehouse.Session) string { return x.ID }), []string{uid(4), uid(7), uid(8), uid(9)})
		want := session(3, uid(9))
		want.ID, want.Version = uid(7), 1
		equal(t, "a listed session", got[1], want)
		equal(t, "sessions of nobody", len(must(s.SessionsOf(t.Context(), uid(1)))(t, "SessionsOf")), 0)
	}},
}

var challenges = []testCase{
	{"gives back every field of a challenge", func(t *testing.T, s gatehouse.Store) {
		c := challenge(1)
		ok(t, "create", s.CreateChallenge(t.Context(), c))
		equal(t, "Version after CreateChallenge", c.Version, int64(1))
		want := challenge(1)
		want.Version = 1
		equal(t, "Challenge", must(s.Challenge(t.Context(), c.ID))(t, "Challenge"), want)

		ok(t, "create a bare one", s.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: uid(2)}))
		equal(t, "bare Challenge", must(s.Challenge(t.Context(), uid(2)))(t, "Challenge"), &gatehouse.Challenge{ID: uid(2), Version: 1})

		again := challenge(1)
		is(t, "create again", s.CreateChallenge(t.Context(), again), gatehouse.ErrExists)
		equal(t, "Version after ErrExists", again.Version, int64(0))
		_, err := s.Challenge(t.Context(), uid(3))
		is(t, "Challenge", err, gatehouse.ErrNotFound)
	}},
	{"saves a challenge of its version", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateChallenge(t.Context(), challenge(1)))
		c := &gatehouse.Challenge{
			ID: uid(1), Version: 1, Kind: "code", UserID: "", Attempts: 3, Data: []byte(`null`), CreatedAt: at(8), ExpiresAt: at(9),
		}
		want := *c
		want.Version = 2
		ok(t, "save", s.SaveChallenge(t.Context(), c))
		equal(t, "Version after SaveChallenge", c.Version, int64(2))
		equal(t, "saved", must(s.Challenge(t.Context(), uid(1)))(t, "Challenge"), &want)

		stale := challenge(1)
		stale.Version = 1
		is(t, "save of a former version", s.SaveChallenge(t.Context(), stale), gatehouse.ErrStale)
		equal(t, "Version after ErrStale", stale.Version, int64(1))
		equal(t, "after ErrStale", must(s.Challenge(t.Context(), uid(1)))(t, "Challenge"), &want)
		gone := challenge(2)
		gone.Version = 1
		is(t, "save of one that is not there", s.SaveChallenge(t.Context(), gone), gatehouse.ErrStale)
	}},
	{"gives a challenge away once", func(t *testing.T, s gatehouse.Store) {
		c := challenge(1)
		ok(t, "create", s.CreateChallenge(t.Context(), c))
		ok(t, "create another", s.CreateChallenge(t.Context(), challenge(2)))
		equal(t, "TakeChallenge", must(s.TakeChallenge(t.Context(), uid(1)))(t, "TakeChallenge"), c)
		_, err := s.TakeChallenge(t.Context(), uid(1))
		is(t, "take again", err, gatehouse.ErrNotFound)
		_, err = s.Challenge(t.Context(), uid(1))
		is(t, "Challenge after it was taken", err, gatehouse.ErrNotFound)
		is(t, "save after it was taken", s.SaveChallenge(t.Context(), c), gatehouse.ErrStale)
		must(s.Challenge(t.Context(), uid(2)))(t, "the other challenge")
	}},
}

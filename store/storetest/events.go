package storetest

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

var events = []testCase{
	{"gives back every field of an event", func(t *testing.T, s gatehouse.Store) {
		ok(t, "append", s.AppendEvent(t.Context(), event(1)))
		ok(t, "append a bare one", s.AppendEvent(t.Context(), &gatehouse.Event{ID: uid(2)}))
		got := must(s.Events(t.Context(), gatehouse.EventQuery{Limit: 10}))(t, "Events")
		equal(t, "Events", got, []*gatehouse.Event{{ID: uid(2)}, event(1)})
	}},
	{"does not append an event whose id is taken", func(t *testing.T, s gatehouse.Store) {
		ok(t, "append", s.AppendEvent(t.Context(), event(1)))
		again := event(1)
		again.Kind = "changed"
		is(t, "append again", s.AppendEvent(t.Context(), again), gatehouse.ErrExists)
		got := must(s.Events(t.Context(), gatehouse.EventQuery{Limit: 10}))(t, "Events")
		equal(t, "Events", got, []*gatehouse.Event{event(1)})
	}},
	{"chooses events by user, kind and id, the newest first", func(t *testing.T, s gatehouse.Store) {
		// The odd events are Ann's, every third is a logout. They come in no order.
		for _, n := range []int{4, 1, 6, 3, 2, 5} {
			e := event(n)
			e.UserID, e.Kind = "bob", "login"
			if n%2 == 1 {
				e.UserID = "ann"
			}
			if n%3 == 0 {
				e.Kind = "logout"
			}
			ok(t, "append", s.AppendEvent(t.Context(), e))
		}
		for _, c := range []struct {
			q    gatehouse.EventQuery
			want []int
		}{
			{gatehouse.EventQuery{Limit: 10}, []int{6, 5, 4, 3, 2, 1}},
			{gatehouse.EventQuery{Limit: 2}, []int{6, 5}},
			{gatehouse.EventQuery{Limit: 2, Before: uid(5)}, []int{4, 3}},
			{gatehouse.EventQuery{Limit: 2, Before: uid(1)}, nil},
			{gatehouse.EventQuery{Limit: 10, UserID: "ann"}, []int{5, 3, 1}},
			{gatehouse.EventQuery{Limit: 1, UserID: "ann", Before: uid(5)}, []int{3}},
			{gatehouse.EventQuery{Limit: 10, Kind: "logout"}, []int{6, 3}},
			{gatehouse.EventQuery{Limit: 10, Kind: "logout", Before: uid(6)}, []int{3}},
			{gatehouse.EventQuery{Limit: 10, UserID: "bob", Kind: "login"}, []int{4, 2}},
			{gatehouse.EventQuery{Limit: 10, UserID: "bob", Kind: "login", Before: uid(4)}, []int{2}},
			{gatehouse.EventQuery{Limit: 10, After: uid(4)}, []int{6, 5}},
			{gatehouse.EventQuery{Limit: 1, After: uid(4)}, []int{6}},
			{gatehouse.EventQuery{Limit: 10, After: uid(6)}, nil},
			{gatehouse.EventQuery{Limit: 10, Before: uid(5), After: uid(2)}, []int{4, 3}},
			{gatehouse.EventQuery{Limit: 10, Before: uid(2), After: uid(4)}, nil},
			{gatehouse.EventQuery{Limit: 10, UserID: "ann", After: uid(1)}, []int{5, 3}},
			{gatehouse.EventQuery{Limit: 10, UserID: "ann", Before: uid(5), After: uid(1)}, []int{3}},
			{gatehouse.EventQuery{Limit: 10, Kind: "logout", After: uid(3)}, []int{6}},
			{gatehouse.EventQuery{Limit: 10, Kind: "login", Before: uid(5), After: uid(2)}, []int{4}},
			{gatehouse.EventQuery{Limit: 10, UserID: "bob", Kind: "login", After: uid(2)}, []int{4}},
			{gatehouse.EventQuery{Limit: 10, UserID: "bob", Kind: "login", Before: uid(4), After: uid(1)}, []int{2}},
			{gatehouse.EventQuery{Limit: 10, UserID: "eve"}, nil},
			{gatehouse.EventQuery{Limit: 10, UserID: "ANN"}, nil},
		} {
			var want []string
			for _, n := range c.want {
				want = append(want, uid(n))
			}
			got := must(s.Events(t.Context(), c.q))(t, "Events")
			if list := ids(got, func(e *gatehouse.Event) string { return e.ID }); len(list)+len(want) > 0 {
				equal(t, "Events", list, want)
			}
		}
	}},
}

var settings = []testCase{
	{"creates a setting of version 0, and replaces one of its version", func(t *testing.T, s gatehouse.Store) {
		_, err := s.Setting(t.Context(), "keys")
		is(t, "Setting", err, gatehouse.ErrNotFound)

		x := setting("keys")
		ok(t, "create", s.SaveSetting(t.Context(), x))
		equal(t, "Version after creation", x.Version, int64(1))
		want := setting("keys")
		want.Version = 1
		equal(t, "Setting", must(s.Setting(t.Context(), "keys"))(t, "Setting"), want)

		x.Value, x.UpdatedAt = []byte("new"), at(2)
		ok(t, "save", s.SaveSetting(t.Context(), x))
		equal(t, "Version after SaveSetting", x.Version, int64(2))
		want = &gatehouse.Setting{Name: "keys", Version: 2, Value: []byte("new"), UpdatedAt: at(2)}
		equal(t, "saved", must(s.Setting(t.Context(), "keys"))(t, "Setting"), want)

		x.Value, x.UpdatedAt = nil, at(3)
		ok(t, "save without a value", s.SaveSetting(t.Context(), x))
		equal(t, "emptied", len(must(s.Setting(t.Context(), "keys"))(t, "Setting").Value), 0)
	}},
	{"does not save a setting that is stale or missing", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.SaveSetting(t.Context(), setting("keys")))
		ok(t, "create another", s.SaveSetting(t.Context(), setting("Keys")))
		for _, version := range []int64{0, 2} {
			x := setting("keys")
			x.Version, x.Value = version, []byte("changed")
			is(t, "save of a wrong version", s.SaveSetting(t.Context(), x), gatehouse.ErrStale)
			equal(t, "Version after ErrStale", x.Version, version)
		}
		want := setting("keys")
		want.Version = 1
		equal(t, "after ErrStale", must(s.Setting(t.Context(), "keys"))(t, "Setting"), want)

		gone := setting("other")
		gone.Version = 1
		is(t, "save of one that is not there", s.SaveSetting(t.Context(), gone), gatehouse.ErrStale)
		_, err := s.Setting(t.Context(), "other")
		is(t, "Setting", err, gatehouse.ErrNotFound)
	}},
}

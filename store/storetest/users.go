package storetest

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

var users = []testCase{
	{"gives back every field of a user, by id, email key and key", func(t *testing.T, s gatehouse.Store) {
		u := user(1)
		ok(t, "create", s.CreateUser(t.Context(), u))
		equal(t, "Version after CreateUser", u.Version, int64(1))

		want := user(1)
		want.Version = 1
		equal(t, "User", must(s.User(t.Context(), u.ID))(t, "User"), want)
		equal(t, "UserByEmail", must(s.UserByEmail(t.Context(), "ann.1@example.com"))(t, "UserByEmail"), want)
		equal(t, "UserByKey", must(s.UserByKey(t.Context(), "oidc:1"))(t, "UserByKey oidc:1"), want)
		equal(t, "UserByKey", must(s.UserByKey(t.Context(), "passkey:1"))(t, "UserByKey passkey:1"), want)
	}},
	{"keeps a user with nothing but an id", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateUser(t.Context(), &gatehouse.User{ID: uid(1)}))
		ok(t, "create another", s.CreateUser(t.Context(), &gatehouse.User{ID: uid(2)}))
		want := &gatehouse.User{ID: uid(1), Version: 1}
		equal(t, "User", must(s.User(t.Context(), uid(1)))(t, "User"), want)
	}},
	{"does not find a user by an empty email key or key", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateUser(t.Context(), &gatehouse.User{ID: uid(1)}))
		_, err := s.UserByEmail(t.Context(), "")
		is(t, "UserByEmail", err, gatehouse.ErrNotFound)
		_, err = s.UserByKey(t.Context(), "")
		is(t, "UserByKey", err, gatehouse.ErrNotFound)
	}},
	{"does not find users that are not there", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateUser(t.Context(), user(1)))
		for _, find := range []struct {
			name string
			by   func() (*gatehouse.User, error)
		}{
			{"User", func() (*gatehouse.User, error) { return s.User(t.Context(), uid(2)) }},
			{"UserByEmail", func() (*gatehouse.User, error) { return s.UserByEmail(t.Context(), "ann.2@example.com") }},
			{"UserByEmail of another case", func() (*gatehouse.User, error) { return s.UserByEmail(t.Context(), "ANN.1@example.com") }},
			{"UserByEmail with a space", func() (*gatehouse.User, error) { return s.UserByEmail(t.Context(), "ann.1@example.com ") }},
			{"UserByEmail with a pattern", func() (*gatehouse.User, error) { return s.UserByEmail(t.Context(), "ann._@example.com") }},
			{"UserByEmail with a key", func() (*gatehouse.User, error) { return s.UserByEmail(t.Context(), "oidc:1") }},
			{"UserByKey", func() (*gatehouse.User, error) { return s.UserByKey(t.Context(), "oidc:2") }},
			{"UserByKey of another case", func() (*gatehouse.User, error) { return s.UserByKey(t.Context(), "OIDC:1") }},
			{"UserByKey with the list of keys", func() (*gatehouse.User, error) { return s.UserByKey(t.Context(), `["oidc:1","passkey:1"]`) }},
			{"UserByKey with an email", func() (*gatehouse.User, error) { return s.UserByKey(t.Context(), "ann.1@example.com") }},
		} {
			u, err := find.by()
			is(t, find.name, err, gatehouse.ErrNotFound)
			if u != nil {
				t.Errorf("%s: a user beside the error: %v", find.name, u)
			}
		}
	}},
	{"does not create a user whose id, email key or key is taken", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateUser(t.Context(), user(1)))
		for _, c := range []struct {
			name   string
			change func(u *gatehouse.User)
		}{
			{"id", func(u *gatehouse.User) { u.ID = uid(1) }},
			{"email key", func(u *gatehouse.User) { u.EmailKey = "ann.1@example.com" }},
			{"first key", func(u *gatehouse.User) { u.Keys = []string{"oidc:1", "zz"} }},
			{"last key", func(u *gatehouse.User) { u.Keys = []string{"aa", "passkey:1"} }},
		} {
			u := user(2)
			c.change(u)
			is(t, c.name, s.CreateUser(t.Context(), u), gatehouse.ErrExists)
			equal(t, c.name+": Version after ErrExists", u.Version, int64(0))
		}
		// Nothing of the refused users stayed behind, not even a free key.
		ok(t, "create with the keys that were free", s.CreateUser(t.Context(), &gatehouse.User{
			ID: uid(2), EmailKey: "ann.2@example.com", Keys: []string{"aa", "oidc:2", "passkey:2", "zz"},
		}))
		want := user(1)
		want.Version = 1
		equal(t, "the first user", must(s.User(t.Context(), uid(1)))(t, "User"), want)
		equal(t, "number of users", len(must(s.Users(t.Context(), "", 10))(t, "Users")), 2)
	}},
	{"saves every field of a user", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateUser(t.Context(), user(1)))
		u := &gatehouse.User{
			ID: uid(1), Version: 1, Email: "b@example.com", EmailKey: "b@example.com", Name: "B",
			Roles: []string{"viewer"}, Keys: []string{"new"},
			Credentials: []gatehouse.Credential{{ID: "c9", Kind: "password", Hash: "$2b$12$x", CreatedAt: at(20)}},
			Epoch:       4, DisabledAt: at(21), CreatedAt: at(22), UpdatedAt: at(23), Extra: []byte(`[1]`),
		}
		want := *u
		want.Version = 2
		ok(t, "save", s.SaveUser(t.Context(), u))
		equal(t, "Version after SaveUser", u.Version, int64(2))
		equal(t, "saved user", must(s.User(t.Context(), uid(1)))(t, "User"), &want)

		empty := &gatehouse.User{ID: uid(1), Version: 2}
		ok(t, "save without anything", s.SaveUser(t.Context(), empty))
		equal(t, "emptied user", must(s.User(t.Context(), uid(1)))(t, "User"), &gatehouse.User{ID: uid(1), Version: 3})
	}},
	{"does not save a user that is stale or gone", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create", s.CreateUser(t.Context(), user(1)))
		for _, version := range []int64{0, 2, -1} {
			u := user(1)
			u.Version, u.Name, u.Keys, u.EmailKey = version, "changed", []string{"k"}, "k@example.com"
			is(t, "save of a wrong version", s.SaveUser(t.Context(), u), gatehouse.ErrStale)
			equal(t, "Version after ErrStale", u.Version, version)
		}
		want := user(1)
		want.Version = 1
		equal(t, "user after ErrStale", must(s.User(t.Context(), uid(1)))(t, "User"), want)
		_, err := s.UserByKey(t.Context(), "k")
		is(t, "the key of a refused save", err, gatehouse.ErrNotFound)

		gone := user(2)
		gone.Version = 1
		is(t, "save of a user that is not there", s.SaveUser(t.Context(), gone), gatehouse.ErrStale)
	}},
	{"moves keys on saving, and frees the former ones", func(t *testing.T, s gatehouse.Store) {
		u := user(1)
		ok(t, "create", s.CreateUser(t.Context(), u))
		u.EmailKey, u.Keys = "moved@example.com", []string{"a", "oidc:1", "z"}
		ok(t, "save", s.SaveUser(t.Context(), u))

		for _, key := range u.Keys {
			equal(t, key, must(s.UserByKey(t.Context(), key))(t, key).ID, u.ID)
		}
		equal(t, "by the new address", must(s.UserByEmail(t.Context(), "moved@example.com"))(t, "UserByEmail").ID, u.ID)
		_, err := s.UserByEmail(t.Context(), "ann.1@example.com")
		is(t, "by the former address", err, gatehouse.ErrNotFound)
		_, err = s.UserByKey(t.Context(), "passkey:1")
		is(t, "by the former key", err, gatehouse.ErrNotFound)

		next := user(2)
		next.EmailKey, next.Keys = "ann.1@example.com", []string{"passkey:1"}
		ok(t, "create with what was freed", s.CreateUser(t.Context(), next))
	}},
	{"does not save a user with a key of somebody else", func(t *testing.T, s gatehouse.Store) {
		ok(t, "create 1", s.CreateUser(t.Context(), user(1)))
		ok(t, "create 2", s.CreateUser(t.Context(), user(2)))
		for _, c := range []struct {
			name   string
			change func(u *gatehouse.User)
		}{
			{"email key", func(u *gatehouse.User) { u.EmailKey = "ann.1@example.com" }},
			{"a key", func(u *gatehouse.User) { u.Keys = []string{"aa", "passkey:1"} }},
		} {
			u := user(2)
			u.Version, u.Name = 1, "changed"
			c.change(u)
			is(t, c.name, s.SaveUser(t.Context(), u), gatehouse.ErrExists)
			equal(t, c.name+": Version after ErrExists", u.Version, int64(1))
		}
		want := user(2)
		want.Version = 1
		equal(t, "user after ErrExists", must(s.User(t.Context(), uid(2)))(t, "User"), want)
		equal(t, "own key after ErrExists", must(s.UserByKey(t.Context(), "oidc:2"))(t, "UserByKey").ID, uid(2))
		equal(t, "the other's key after ErrExists", must(s.UserByKey(t.Context(), "passkey:1"))(t, "UserByKey").ID, uid(1))
		_, err := s.UserByKey(t.Context(), "aa")
		is(t, "the free key of a refused save", err, gatehouse.ErrNotFound)
	}},
	{"deletes a user of the version, and frees the keys", func(t *testing.T, s gatehouse.Store) {
		u := user(1)
		ok(t, "create", s.CreateUser(t.Context(), u))
		ok(t, "create session", s.CreateSession(t.Context(), session(5, u.ID)))
		ok(t, "save", s.SaveUser(t.Context(), u))

		is(t, "delete with a former version", s.DeleteUser(t.Context(), u.ID, 1), gatehouse.ErrStale)
		is(t, "delete of nobody", s.DeleteUser(t.Context(), uid(2), 1), gatehouse.ErrStale)
		equal(t, "user after ErrStale", must(s.UserByKey(t.Context(), "oidc:1"))(t, "UserByKey").ID, u.ID)

		ok(t, "delete", s.DeleteUser(t.Context(), u.ID, 2))
		is(t, "delete again", s.DeleteUser(t.Context(), u.ID, 2), gatehouse.ErrStale)
		_, err := s.User(t.Context(), u.ID)
		is(t, "User", err, gatehouse.ErrNotFound)
		_, err = s.UserByEmail(t.Context(), u.EmailKey)
		is(t, "UserByEmail", err, gatehouse.ErrNotFound)
		_, err = s.UserByKey(t.Context(), "oidc:1")
		is(t, "UserByKey", err, gatehouse.ErrNotFound)
		must(s.Session(t.Context(), uid(5)))(t, "the session of a deleted user")

		again := user(1)
		again.ID = uid(3)
		ok(t, "create with the freed keys", s.CreateUser(t.Context(), again))
	}},
	{"lists users by id, a page at a time", func(t *testing.T, s gatehouse.Store) {
		equal(t, "no users", len(must(s.Users(t.Context(), "", 10))(t, "Users")), 0)
		for _, n := range []int{5, 1, 4, 2, 3} {
			ok(t, "create", s.CreateUser(t.Context(), user(n)))
		}
		for _, c := range []struct {
			after string
			limit int
			want  []string
		}{
			{"", 10, []string{uid(1), uid(2), uid(3), uid(4), uid(5)}},
			{"", 2, []string{uid(1), uid(2)}},
			{uid(2), 2, []string{uid(3), uid(4)}},
			{uid(4), 2, []string{uid(5)}},
			{uid(5), 2, nil},
			{"0", 1, []string{uid(1)}},
			{"z", 1, nil},
		} {
			got := must(s.Users(t.Context(), c.after, c.limit))(t, "Users")
			equal(t, "Users after "+c.after, ids(got, func(u *gatehouse.User) string { return u.ID }), c.want)
		}
		want := user(1)
		want.Version = 1
		equal(t, "a listed user", must(s.Users(t.Context(), "", 1))(t, "Users")[0], want)
	}},
}

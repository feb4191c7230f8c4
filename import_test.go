package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// foreign is a user as another system has them.
func foreign(id, email, hash string) *gatehouse.User {
	u := &gatehouse.User{ID: id, Email: email, CreatedAt: time.Date(2020, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("", 3600))}
	if hash != "" {
		u.Credentials = []gatehouse.Credential{{Kind: "password", Hash: hash}}
	}
	return u
}

const (
	djangoHash = "pbkdf2_sha256$1000$WMGuIYAZyWCmV91DjzGPWU$F15Hgajn/ZzCNh7jfr4aHGtTLsnMAFx9tsUCeRRx9uo=" // of "correct horse é"
	sha1Hash   = "sha1$h03Z17gQFJGSIuLAuqTln1$d54f14df35339ee97e44358e46406bed99d372b7"                   // the same
)

func importUsers(t *testing.T, g *gatehouse.Gatehouse, users ...*gatehouse.User) []gatehouse.Imported {
	t.Helper()
	in := must(g.BeginImport(t.Context(), "test"))(t)
	list := must(in.Add(t.Context(), users))(t)
	if err := in.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestImport(t *testing.T) {
	store := memory.New()
	a := gatehousetest.New(t, gatehouse.Config{Store: store, HashMemory: 64, HashTime: 1})
	ann := foreign("42", " Ann@Example.com ", djangoHash)
	ann.Name, ann.Roles, ann.Keys = "  Ann ", []string{"b", "a", "b"}, []string{"y", "x", "y"}
	ann.Epoch, ann.Version, ann.Extra = 7, 9, []byte(`{"x":1}`)
	bob := foreign("auth0|60425dc43519d90068f82973", "bob@example.com", sha1Hash)
	carl := foreign("carl", "carl@example.com", "")
	carl.DisabledAt = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)

	// Looking changes nothing.
	for i, r := range must(a.CheckImport(t.Context(), []*gatehouse.User{foreign("42", "ann@example.com", djangoHash), foreign("bob", "bob@example.com", sha1Hash)}))(t) {
		if want := []string{"pbkdf2-sha256 i=1000,l=32", "wrapped-sha1 m=64,t=1,p=1"}[i]; r.Refusal != nil || r.Present || r.HashKind != want {
			t.Errorf("looking: %+v, want %s", r, want)
		}
	}
	if list := must(a.Users(t.Context(), "", 10))(t); len(list) != 0 {
		t.Fatalf("looking made %d users", len(list))
	}

	for i, r := range importUsers(t, a.Gatehouse, ann, bob, carl) {
		if want := []string{"pbkdf2-sha256 i=1000,l=32", "wrapped-sha1 m=64,t=1,p=1", ""}[i]; r.Refusal != nil || r.Present || r.HashKind != want {
			t.Errorf("user %d: %+v, want %s", i, r, want)
		}
	}
	u := must(store.User(t.Context(), "42"))(t)
	if u.Email != "Ann@Example.com" || u.EmailKey != "ann@example.com" || u.Name != "Ann" || fmt.Sprint(u.Roles, u.Keys) != "[a b] [x y]" || u.Version != 1 || u.Epoch != 0 ||
		u.CreatedAt.Format(time.RFC3339Nano) != "2020-01-02T02:04:05.678Z" || string(u.Extra) != `{"x":1}` || u.UpdatedAt.IsZero() || !u.Credentials[0].ChangedAt.Equal(u.CreatedAt) {
		t.Errorf("%+v", u)
	}
	if hash := must(store.User(t.Context(), bob.ID))(t).Credentials[0].Hash; !strings.HasPrefix(hash, "$wrapped-sha1$sp$") || strings.Contains(hash, "1U8U3zUznul+RDWORkBr7Zncbbc") {
		t.Errorf("the digest is stored: %s", hash)
	}
	for _, email := range []string{"ann@example.com", "bob@example.com"} {
		l, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: email, Password: "correct horse é"})
		if err != nil {
			t.Errorf("%s: %v", email, err)
			continue
		}
		if u := must(store.User(t.Context(), l.User.ID))(t); !strings.HasPrefix(u.Credentials[0].Hash, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("%s: the hash was not replaced: %s", email, u.Credentials[0].Hash)
		}
	}
	if _, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: "carl@example.com", Password: "correct horse é"}); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("who has no password, and is disabled: %v", err)
	}

	// Again, and what is in the way of whom.
	again := importUsers(t, a.Gatehouse, foreign("42", "ann@example.com", djangoHash), foreign("new", "ANN@example.com", sha1Hash), foreign("42", "other@example.com", ""), foreign("dan", "dan@example.com", djangoHash))
	for i, want := range []struct {
		code, other string
		present     bool
	}{{"", "", true}, {"user_exists", "42", false}, {"id_taken", "42", false}, {"", "", false}} {
		code := ""
		if again[i].Refusal != nil {
			code = again[i].Refusal.Code
		}
		if code != want.code || again[i].Other != want.other || again[i].Present != want.present {
			t.Errorf("again, user %d: %+v, want %+v", i, again[i], want)
		}
	}
	key := foreign("eve", "eve@example.com", "")
	key.Keys = []string{"x"}
	if r := importUsers(t, a.Gatehouse, key)[0]; r.Refusal == nil || r.Refusal.Code != "key_taken" || r.Other != "42" {
		t.Errorf("a key that is taken: %+v", r)
	}
	events := must(a.Events(t.Context(), gatehouse.EventQuery{Kind: gatehouse.EventUsersImported, Limit: 9}))(t)
	begun := must(a.Events(t.Context(), gatehouse.EventQuery{Kind: gatehouse.EventImportBegun, Limit: 9}))(t)
	if len(events) != 3 || len(begun) != 3 || fmt.Sprint(events[1].Data) != "map[added:1 from:test present:1 refused:2]" {
		t.Errorf("%d and %d events, %v", len(events), len(begun), events[1].Data)
	}
}

func TestImportRefuses(t *testing.T) {
	store := memory.New()
	a := gatehousetest.New(t, gatehouse.Config{Store: store, HashMemory: 64, HashTime: 1, HashMemoryBudget: 1024})
	with := func(change func(*gatehouse.User)) *gatehouse.User {
		u := foreign("id", "ann@example.com", djangoHash)
		change(u)
		return u
	}
	for code, users := range map[string][]*gatehouse.User{
		"missing_fields": {with(func(u *gatehouse.User) { u.Email = "" })},
		"invalid_email":  {with(func(u *gatehouse.User) { u.Email = "ann" })},
		"name_invalid":   {with(func(u *gatehouse.User) { u.Name = "a\x00b" })},
		"role_invalid":   {with(func(u *gatehouse.User) { u.Roles = []string{"Admin"} })},
		"hash_unknown": {
			with(func(u *gatehouse.User) { u.Credentials[0].Hash = "hunter2hunter2" }),
			with(func(u *gatehouse.User) { u.Credentials[0].Hash = "" }),
			with(func(u *gatehouse.User) {
				u.Credentials[0].Hash = "pbkdf2_sha256$99999999$salt$" + strings.Repeat("A", 43)
			}),
		},
		"hash_too_large": {with(func(u *gatehouse.User) {
			u.Credentials[0].Hash = "$scrypt$ln=11,r=8,p=1$AAAA$" + strings.Repeat("A", 43)
		})},
		"import_invalid": {
			with(func(u *gatehouse.User) { u.ID = "" }),
			with(func(u *gatehouse.User) { u.ID = "a@b" }),
			with(func(u *gatehouse.User) { u.ID = "-a" }),
			with(func(u *gatehouse.User) { u.ID = "a/b" }),
			with(func(u *gatehouse.User) { u.ID = strings.Repeat("a", 129) }),
			with(func(u *gatehouse.User) { u.Keys = []string{""} }),
			with(func(u *gatehouse.User) { u.Keys = []string{"a\x00b"} }),
			with(func(u *gatehouse.User) { u.Extra = []byte("[]") }),
			with(func(u *gatehouse.User) { u.Extra = []byte("{") }),
			with(func(u *gatehouse.User) { u.Extra = []byte(`{"x":"` + strings.Repeat("x", 1<<16) + `"}`) }),
			with(func(u *gatehouse.User) { u.CreatedAt = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) }),
			with(func(u *gatehouse.User) { u.DisabledAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }),
			with(func(u *gatehouse.User) { u.Credentials[0].Kind = "totp" }),
			with(func(u *gatehouse.User) { u.Credentials = append(u.Credentials, u.Credentials[0]) }),
		},
	} {
		for i, u := range users {
			if r := importUsers(t, a.Gatehouse, u)[0]; r.Refusal == nil || r.Refusal.Code != code || strings.Contains(fmt.Sprint(r.Refusal, r.Refusal.Err), "AAAA") {
				t.Errorf("%s %d: %+v", code, i, r)
			}
		}
	}
	if list := must(a.Users(t.Context(), "", 10))(t); len(list) != 0 {
		t.Errorf("%d users came in", len(list))
	}
}

// A kind of hash that nobody had before is one that absent users have at once, in
// every process within a minute, and after a restart.
func TestImportedKindsAreInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := gatehouse.Config{Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
		a, b := gatehousetest.New(t, cfg), gatehousetest.New(t, cfg)
		synctest.Wait()
		u := foreign("a", "a@example.com", djangoHash)
		u.CreatedAt = time.Time{} // which is now, in the year 2000
		if r := importUsers(t, a.Gatehouse, u)[0]; r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
		if k := a.FictitiousKind("nobody@example.com"); k != "pbkdf2-sha256 i=1000,l=32" {
			t.Errorf("here: %q", k)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if k := b.FictitiousKind("nobody@example.com"); k != "pbkdf2-sha256 i=1000,l=32" {
			t.Errorf("in another process: %q", k)
		}
	})
}

// cutMover is a store whose next Load breaks, before or after it took place.
type cutMover struct {
	*memory.Store
	before, after bool
}

func (s *cutMover) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	if s.before {
		return nil, gatehouse.ErrUnavailable
	}
	taken, err := s.Store.Load(ctx, r)
	if s.after {
		return nil, gatehouse.ErrUnavailable
	}
	return taken, err
}

// An import that breaks is done again, and ends where an undisturbed one does.
func TestImportAgain(t *testing.T) {
	for _, after := range []bool{false, true} {
		store := &cutMover{Store: memory.New(), before: !after, after: after}
		a := gatehousetest.New(t, gatehouse.Config{Store: store, HashMemory: 64, HashTime: 1})
		users := func() []*gatehouse.User {
			return []*gatehouse.User{foreign("a", "a@example.com", djangoHash), foreign("b", "b@example.com", sha1Hash)}
		}
		in := must(a.BeginImport(t.Context(), "test"))(t)
		if _, err := in.Add(t.Context(), users()); !errors.Is(err, gatehouse.Unavailable) {
			t.Fatalf("cut: %v, want Unavailable", err)
		}
		store.before, store.after = false, false
		for _, r := range must(in.Add(t.Context(), users()))(t) {
			if r.Refusal != nil || r.Present != after {
				t.Errorf("again: %+v", r)
			}
		}
		for _, email := range []string{"a@example.com", "b@example.com"} {
			if _, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: email, Password: "correct horse é"}); err != nil {
				t.Errorf("%s: %v", email, err)
			}
		}
	}
	bare := gatehousetest.New(t, gatehouse.Config{Store: struct{ gatehouse.Store }{memory.New()}})
	if _, err := bare.BeginImport(t.Context(), "test"); err == nil {
		t.Error("a store that cannot load: no error")
	}
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

const (
	bcryptAnn  = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	bcryptBob  = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW"
	bcryptNext = "$2b$12$GixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW"
)

func oid(n int) bson.ObjectID {
	id, _ := bson.ObjectIDFromHex(fmt.Sprintf("66a1b2c3d4e5f60718%06x", n))
	return id
}

func day(n int) bson.DateTime {
	return bson.NewDateTimeFromTime(time.Date(2025, 3, n, 8, 0, 0, 123e6, time.UTC))
}

// application is a database of the tutorial's application.
func application(t *testing.T, uri string, more ...bson.D) *driver.Collection {
	t.Helper()
	c := bare(t, uri).Collection("users")
	must(c.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: d("email", 1), Options: options.Index().SetUnique(true)}))(t)
	for _, document := range append([]bson.D{
		d("_id", oid(1), "name", "Ann", "email", "Ann@Example.com", "password", bcryptAnn, "role", "admin",
			"createdAt", day(1), "updatedAt", day(2), "__v", int32(0)),
		// Fields that nobody here knows, of every type that travels, between the known ones.
		d("_id", oid(2), "z", int64(1)<<60, "email", "bob@example.com", "avatar", bson.Binary{Subtype: 0, Data: []byte{0, 255}},
			"password", bcryptBob, "theme", d("b", 1.5, "a", bson.A{nil, true, d("x", int32(7))}), "role", "user",
			"createdAt", day(3), "ref", oid(99), "updatedAt", day(3), "__v", int32(4), "nothing", nil),
		d("_id", oid(3), "email", "carla@example.com", "password", bcryptBob), // without a name, a role and dates
	}, more...) {
		must(c.InsertOne(t.Context(), document))(t)
	}
	return c
}

// content is the documents of the collection, byte by byte.
func content(t *testing.T, c *driver.Collection) map[string]string {
	t.Helper()
	all := make(map[string]string)
	cursor := must(c.Find(t.Context(), bson.D{}))(t)
	for cursor.Next(t.Context()) {
		all[cursor.Current.Lookup("_id").String()] = string(cursor.Current)
	}
	if err := cursor.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d documents, want %d", what, len(got), len(want))
	}
	for id, document := range want {
		if got[id] != document {
			t.Errorf("%s: document %s is\n%v, want\n%v", what, id, bson.Raw(got[id]), bson.Raw(document))
		}
	}
}

func indexNames(t *testing.T, c *driver.Collection) (names []string) {
	t.Helper()
	for _, i := range must(c.Indexes().ListSpecifications(t.Context()))(t) {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}

func adopt(t *testing.T, uri string, opts AdoptOptions) *Report {
	t.Helper()
	return must(Adopt(t.Context(), uri, opts))(t)
}

func user(t *testing.T, s *Store, id bson.ObjectID) *gatehouse.User {
	t.Helper()
	return must(s.User(t.Context(), id.Hex()))(t)
}

func password(u *gatehouse.User) string {
	if i := passwordOf(u); i >= 0 {
		return u.Credentials[i].Hash
	}
	return ""
}

func stored(t *testing.T, c *driver.Collection, id any) bson.Raw {
	t.Helper()
	return must(c.FindOne(t.Context(), d("_id", id)).Raw())(t)
}

// An adopted collection keeps every promise of the port.
func TestAdoptedStore(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		plans := newPlans()
		storetest.Run(t, func(t *testing.T) gatehouse.Store {
			uri := database(t)
			adopt(t, uri, AdoptOptions{})
			return open(t, uri, Options{monitor: plans.monitor()})
		})
		plans.check(t, 30)
	})
}

func TestAdopt(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		report := adopt(t, uri, AdoptOptions{})
		if report.Documents != 3 || report.Changed != 3 || report.State != "adopted" {
			t.Errorf("report %+v", report)
		}
		s := open(t, uri, Options{})
		ann := must(s.UserByEmail(t.Context(), "ann@example.com"))(t)
		if ann.ID != oid(1).Hex() || ann.Name != "Ann" || ann.Email != "Ann@Example.com" || password(ann) != bcryptAnn ||
			!slices.Equal(ann.Roles, []string{"admin"}) || !ann.CreatedAt.Equal(day(1).Time()) {
			t.Errorf("Ann is %+v", ann)
		}
		if carla := user(t, s, oid(3)); carla.EmailKey != "carla@example.com" || carla.CreatedAt.IsZero() {
			t.Errorf("Carla is %+v", carla)
		}
		if list := must(s.Users(t.Context(), "", 10))(t); len(list) != 3 {
			t.Errorf("%d users", len(list))
		}
		// All else of the documents is as it was, and again finds nothing to do.
		before := content(t, c)
		if report = adopt(t, uri, AdoptOptions{}); report.Changed != 0 {
			t.Errorf("again: %+v", report)
		}
		same(t, "adopted again", content(t, c), before)
	})
}

// What is given back is what was taken, byte by byte, whatever happened between.
func TestUndo(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		before, indexesBefore := content(t, c), indexNames(t, c)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		ann, carla := user(t, s, oid(1)), user(t, s, oid(3))
		ann.Name, ann.Roles, ann.Email, ann.EmailKey = "Anna", nil, "anna@example.com", "anna@example.com"
		change(ann, "$argon2id$v=19$new")
		carla.Name, carla.DisabledAt = "Carla", time.Unix(9, 0)
		dora := &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000001", Email: "dora@example.com", EmailKey: "dora@example.com"}
		for _, err := range []error{s.SaveUser(t.Context(), ann), s.SaveUser(t.Context(), carla), s.CreateUser(t.Context(), dora), s.Close()} {
			if err != nil {
				t.Fatal(err)
			}
		}
		// The application changes a name of its own accord: that stays.
		must(c.UpdateOne(t.Context(), d("_id", oid(2)), d("$set", d("z", "changed"))))(t)
		changed := stored(t, c, oid(2))

		dry := must(Undo(t.Context(), uri, AdoptOptions{AsItWas: true, DryRun: true}))(t)
		report := must(Undo(t.Context(), uri, AdoptOptions{AsItWas: true}))(t)
		for _, r := range []*Report{dry, report} {
			if r.Changed != 4 || len(r.Registered) != 1 || r.Registered[0].Email != "dora@example.com" || len(r.Reverted) != 1 || r.Reverted[0].ID != oid(1).Hex() {
				t.Errorf("report %+v", r)
			}
		}
		after := content(t, c)
		for id, document := range after {
			raw := bson.Raw(document)
			if raw.Lookup("email").StringValue() == "dora@example.com" {
				if _, err := raw.LookupErr("gatehouse"); err == nil || raw.Lookup("password").StringValue() != noPassword {
					t.Errorf("Dora is %v", raw)
				}
				delete(after, id)
			}
		}
		bob := bson.RawValue{Type: bson.TypeObjectID, Value: func() []byte { id := oid(2); return id[:] }()}.String()
		var is bson.D
		bson.Unmarshal(changed, &is)
		want := make(map[string]string)
		maps.Copy(want, before)
		want[bob] = func() string { // as the application left it, without our field
			var left bson.D
			for _, e := range is {
				if e.Key != "gatehouse" {
					left = append(left, e)
				}
			}
			raw, _ := bson.Marshal(left)
			return string(raw)
		}()
		same(t, "given back", after, want)
		if names := indexNames(t, c); !slices.Equal(names, indexesBefore) {
			t.Errorf("indexes %q, want %q", names, indexesBefore)
		}
		if _, err := Undo(t.Context(), uri, AdoptOptions{}); !errors.Is(err, ErrAdoption) {
			t.Errorf("undo of nothing: %v", err)
		}
	})
}

// change gives the user another password, as the core does.
func change(u *gatehouse.User, hash string) {
	u.Epoch++
	u.Credentials[passwordOf(u)].Hash = hash
	u.Credentials[passwordOf(u)].ChangedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
}

// What the application writes, Gatehouse sees.
func TestApplicationWrites(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		set := func(id bson.ObjectID, pairs ...any) {
			t.Helper()
			must(c.UpdateOne(t.Context(), d("_id", id), d("$set", d(pairs...))))(t)
		}
		before := user(t, s, oid(1))

		set(oid(1), "name", "Annabel", "role", "user", "updatedAt", day(9))
		u := user(t, s, oid(1))
		if u.Name != "Annabel" || !slices.Equal(u.Roles, []string{"user"}) || u.Epoch != before.Epoch || u.Version != before.Version+1 {
			t.Errorf("after a new name and role: %+v", u)
		}
		if err := s.SaveUser(t.Context(), before); !errors.Is(err, gatehouse.ErrStale) {
			t.Errorf("save of what was read before: %v", err)
		}

		// Another password ends every session.
		set(oid(1), "password", bcryptNext)
		if next := user(t, s, oid(1)); password(next) != bcryptNext || next.Epoch == u.Epoch {
			t.Errorf("after a new password: %+v", next)
		}
		set(oid(1), "password", "in the clear")
		if next := user(t, s, oid(1)); password(next) != "" {
			t.Errorf("a password in the clear was taken for a hash: %q", password(next))
		}

		// A write between reading and saving makes the save stale, and stays.
		u = user(t, s, oid(2))
		set(oid(2), "name", "Robert")
		u.Name = "Bobby"
		if err := s.SaveUser(t.Context(), u); !errors.Is(err, gatehouse.ErrStale) {
			t.Errorf("save over a change of the application: %v", err)
		}
		if u = user(t, s, oid(2)); u.Name != "Robert" {
			t.Errorf("the name is %q", u.Name)
		}

		// Another address leads to the user, the former one to nobody.
		set(oid(2), "email", "robert@example.com")
		if _, err := s.UserByEmail(t.Context(), "bob@example.com"); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("by the former address: %v", err)
		}
		set(oid(3), "email", "carola@example.com")
		for id, key := range map[bson.ObjectID]string{oid(2): "robert@example.com", oid(3): "carola@example.com"} {
			if u := must(s.UserByEmail(t.Context(), key))(t); u.ID != id.Hex() {
				t.Errorf("%s leads to %s", key, u.ID)
			}
		}

		// Who registers there is known here, in whatever spelling.
		must(c.InsertOne(t.Context(), d("_id", oid(4), "name", "Eve", "email", "EVE@example.com", "password", bcryptBob, "role", "user")))(t)
		if u := must(s.UserByEmail(t.Context(), "eve@example.com"))(t); u.ID != oid(4).Hex() || password(u) != bcryptBob {
			t.Errorf("Eve is %+v", u)
		}
		must(c.InsertOne(t.Context(), d("_id", oid(5), "email", "Fay@example.com", "password", bcryptBob)))(t)
		fay := &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000002", Email: "fay@example.com", EmailKey: "fay@example.com"}
		if err := s.CreateUser(t.Context(), fay); !errors.Is(err, gatehouse.ErrExists) {
			t.Errorf("register with an address of the application: %v", err)
		}
		must(c.InsertOne(t.Context(), d("_id", oid(6), "email", "gus@example.com")))(t)
		if u := user(t, s, oid(6)); u.EmailKey != "gus@example.com" {
			t.Errorf("by id: %+v", u)
		}

		// An address that somebody else has is not taken over, and nobody is merged.
		set(oid(3), "email", "Eve@Example.com")
		if u := user(t, s, oid(3)); u.EmailKey != "carola@example.com" {
			t.Errorf("Carla took %s", u.EmailKey)
		}
		if u := must(s.UserByEmail(t.Context(), "eve@example.com"))(t); u.ID != oid(4).Hex() {
			t.Errorf("Eve is %s", u.ID)
		}

		// A document that is replaced by one without our field begins with another epoch.
		epoch := user(t, s, oid(6)).Epoch
		must(c.ReplaceOne(t.Context(), d("_id", oid(6)), d("email", "gus@example.com")))(t)
		if u := user(t, s, oid(6)); u.Epoch == epoch {
			t.Error("sessions of before the document was replaced are valid again")
		}
	})
}

// What Gatehouse writes, the application sees, as far as it can.
func TestGatehouseWrites(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		there := func(id bson.ObjectID, name string) string {
			t.Helper()
			text, _ := stored(t, c, id).Lookup(name).StringValueOK()
			return text
		}
		save := func(id bson.ObjectID, f func(*gatehouse.User)) {
			t.Helper()
			u := user(t, s, id)
			f(u)
			if err := s.SaveUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			if again := user(t, s, id); again.Version != u.Version {
				t.Errorf("what Gatehouse wrote was taken for the application's")
			}
		}

		// To hash the same password anew leaves the application its own hash.
		save(oid(1), func(u *gatehouse.User) { u.Credentials[0].Hash = "$argon2id$v=19$same" })
		if p := there(oid(1), "password"); p != bcryptAnn {
			t.Errorf("after a rehash the application has %q", p)
		}
		// Another password shuts the former one out there as well.
		save(oid(1), func(u *gatehouse.User) { change(u, "$argon2id$v=19$new") })
		if p := there(oid(1), "password"); p != noPassword {
			t.Errorf("after a change the application has %q", p)
		}
		// One that the application understands it gets.
		save(oid(1), func(u *gatehouse.User) { change(u, bcryptNext) })
		if p := there(oid(1), "password"); p != bcryptNext {
			t.Errorf("after a change to bcrypt the application has %q", p)
		}
		// Who is disabled gets in nowhere, and gets back what was.
		save(oid(1), func(u *gatehouse.User) { u.DisabledAt = time.Unix(9, 0) })
		if p := there(oid(1), "password"); p != noPassword {
			t.Errorf("the application lets a disabled user in with %q", p)
		}
		save(oid(1), func(u *gatehouse.User) { u.DisabledAt = time.Time{} })
		if p := there(oid(1), "password"); p != bcryptNext {
			t.Errorf("after enabling the application has %q", p)
		}
		// A role that was revoked is revoked there.
		save(oid(1), func(u *gatehouse.User) { u.Roles = nil })
		if r := there(oid(1), "role"); r != "user" {
			t.Errorf("the role is %q", r)
		}
		save(oid(2), func(u *gatehouse.User) { u.Name, u.Email, u.EmailKey = "Bob", "b@example.com", "b@example.com" })
		if n, e := there(oid(2), "name"), there(oid(2), "email"); n != "Bob" || e != "b@example.com" {
			t.Errorf("name %q, email %q", n, e)
		}
		// Who registers here is a user there.
		dora := &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000001", Email: "dora@example.com", EmailKey: "dora@example.com", Name: "Dora"}
		if err := s.CreateUser(t.Context(), dora); err != nil {
			t.Fatal(err)
		}
		document := must(c.FindOne(t.Context(), d("email", "dora@example.com")).Raw())(t)
		if _, ok := document.Lookup("_id").ObjectIDOK(); !ok || document.Lookup("name").StringValue() != "Dora" || document.Lookup("password").StringValue() != noPassword {
			t.Errorf("Dora is %v", document)
		}
		if err := s.DeleteUser(t.Context(), dora.ID, 1); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
}

func TestConflicts(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri,
			d("_id", oid(7), "name", "Other Ann", "email", "ann@example.com", "password", bcryptBob),
			d("_id", oid(8), "name", "No address", "email", "nobody", "password", "secret"),
			d("_id", int32(9), "email", "nine@example.com"))
		before := content(t, c)
		for _, opts := range []AdoptOptions{{}, {DryRun: true}, {Keep: []string{oid(1).Hex(), oid(7).Hex()}}} {
			report, err := Adopt(t.Context(), uri, opts)
			if !errors.Is(err, ErrConflict) || strings.Contains(err.Error(), "@") {
				t.Errorf("%+v: err = %v, want ErrConflict", opts, err)
			}
			if len(report.Conflicts) != 1 || len(report.Conflicts[0]) != 2 || report.Conflicts[0][0].ID != oid(1).Hex() || report.Conflicts[0][1].Name != "Other Ann" {
				t.Errorf("%+v: conflicts %+v", opts, report.Conflicts)
			}
			if len(report.NoAddress) != 1 || len(report.NoPassword) != 1 || len(report.SetAside) != 1 {
				t.Errorf("%+v: report %+v", opts, report)
			}
			same(t, "after a conflict", content(t, c), before)
			if names := must(bare(t, uri).ListCollectionNames(t.Context(), bson.D{}))(t); !slices.Equal(names, []string{"users"}) {
				t.Errorf("%+v: collections %q", opts, names)
			}
		}
		opts := AdoptOptions{Keep: []string{oid(1).Hex()}, DryRun: true}
		if report := adopt(t, uri, opts); report.Changed != 5 || report.State != "" {
			t.Errorf("dry run: %+v", report)
		}
		same(t, "after a dry run", content(t, c), before)
		opts.DryRun = false
		if report := adopt(t, uri, opts); report.Changed != 5 {
			t.Errorf("adopted: %+v", report)
		}
		s := open(t, uri, Options{})
		if u := must(s.UserByEmail(t.Context(), "ann@example.com"))(t); u.ID != oid(1).Hex() {
			t.Errorf("the address leads to %s", u.ID)
		}
		if u := user(t, s, oid(7)); u.EmailKey != "" || u.Email != "ann@example.com" {
			t.Errorf("the other is %+v", u)
		}
	})
}

func TestFinish(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		adopt(t, uri, AdoptOptions{})
		before := content(t, c)
		must(Finish(t.Context(), uri, AdoptOptions{DryRun: true}))(t)
		same(t, "after a dry run", content(t, c), before)
		// The application's last word counts.
		must(c.UpdateOne(t.Context(), d("_id", oid(1)), d("$set", d("password", bcryptNext))))(t)
		if report := must(Finish(t.Context(), uri, AdoptOptions{}))(t); report.State != "finished" || report.Changed != 3 {
			t.Errorf("report %+v", report)
		}
		for id, document := range content(t, c) {
			raw := bson.Raw(document)
			for _, path := range [][]string{{"password"}, {"gatehouse", "seen"}, {"gatehouse", "before"}} {
				if _, err := raw.LookupErr(path...); err == nil {
					t.Errorf("%s still has %q", id, path)
				}
			}
		}
		s := open(t, uri, Options{})
		if u := user(t, s, oid(1)); password(u) != bcryptNext {
			t.Errorf("the password is %q", password(u))
		}
		// What the application writes has no effect, and does not stand in the way.
		must(c.UpdateOne(t.Context(), d("_id", oid(1)), d("$set", d("password", bcryptBob, "role", "root"))))(t)
		u := user(t, s, oid(1))
		if password(u) != bcryptNext || slices.Contains(u.Roles, "root") {
			t.Errorf("the application gave %+v", u)
		}
		u.Name = "Anna"
		if err := s.SaveUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if name := stored(t, c, oid(1)).Lookup("name").StringValue(); name != "Anna" {
			t.Errorf("the application reads %q", name)
		}
		if _, err := Undo(t.Context(), uri, AdoptOptions{}); !errors.Is(err, ErrAdoption) {
			t.Errorf("undo of what is finished: %v", err)
		}
	})
}

// fuse is a context that ends after it was asked some times whether it has.
type fuse struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func (f *fuse) Err() error {
	if f.left.Add(-1) < 0 {
		f.cancel()
	}
	return f.Context.Err()
}

func burning(t *testing.T, n int64) *fuse {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fuse{Context: ctx, cancel: cancel}
	f.left.Store(n)
	return f
}

// Interrupted anywhere, each step is finished by running it again; until then no
// service starts on what is half done.
func TestInterrupted(t *testing.T) {
	uri := fresh(t)
	c := application(t, uri)
	before := content(t, c)
	interrupted := 0
	through := func(step func(context.Context, string, AdoptOptions) (*Report, error)) {
		t.Helper()
		for n := int64(0); ; n += 3 {
			_, err := step(burning(t, n), uri, AdoptOptions{})
			if err == nil {
				return
			}
			if !errors.Is(err, context.Canceled) && !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Fatalf("after %d: %v", n, err)
			}
			interrupted++
			if n%12 == 0 {
				if s, err := Open(t.Context(), uri, Options{}); err == nil {
					state := must(s.adoption(t.Context()))(t).State
					if s.Close(); state != "" && state != isAdopted {
						t.Fatalf("a service starts while the state is %q", state)
					}
				} else if !errors.Is(err, ErrAdoption) {
					t.Fatal(err)
				}
			}
		}
	}
	through(Adopt)
	s := open(t, uri, Options{})
	for n := 1; n <= 3; n++ {
		user(t, s, oid(n))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	through(Undo)
	same(t, "given back", content(t, c), before)
	through(Adopt)
	through(Finish)
	if interrupted < 20 {
		t.Errorf("interrupted only %d times", interrupted)
	}
}

func TestAdoptRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, uri string)
		want  error
	}{
		{"users of Gatehouse's own", func(t *testing.T, uri string) {
			s := open(t, uri, Options{})
			if err := errors.Join(s.CreateUser(t.Context(), &gatehouse.User{ID: "u"}), s.Close()); err != nil {
				t.Fatal(err)
			}
		}, ErrAdoption},
		{"a field of that name", func(t *testing.T, uri string) {
			must(bare(t, uri).Collection("users").InsertOne(t.Context(), d("email", "x@example.com", "gatehouse", "mine")))(t)
		}, ErrForeign},
		{"an object of that name", func(t *testing.T, uri string) {
			must(bare(t, uri).Collection("users").InsertOne(t.Context(), d("email", "x@example.com", "gatehouse", d("id", "x", "version", int64(1)))))(t)
		}, ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			uri := fresh(t)
			users := application(t, uri)
			c.spoil(t, uri)
			before := content(t, users)
			if _, err := Adopt(t.Context(), uri, AdoptOptions{}); !errors.Is(err, c.want) {
				t.Errorf("err = %v, want %v", err, c.want)
			}
			same(t, "after the refusal", content(t, users), before)
		})
	}
}

// An adopted collection can be moved, and moved into.
func TestAdoptedMoves(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		free := &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000001", Version: 7, Email: "dora@example.com", EmailKey: "dora@example.com", Epoch: 3}
		known := &gatehouse.User{ID: oid(1).Hex(), Version: 1, Email: "x@example.com", EmailKey: "x@example.com"}
		address := &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000002", Version: 1, Email: "Bob@example.com", EmailKey: "bob@example.com"}
		taken := must(s.Load(t.Context(), &gatehouse.Records{Users: []*gatehouse.User{known, free, address}}))(t)
		if len(taken.Users) != 2 || taken.Users[0] != known || taken.Users[1] != address {
			t.Errorf("taken: %+v", taken.Users)
		}
		must(c.InsertOne(t.Context(), d("_id", oid(5), "email", "fay@example.com")))(t)
		var ids []string
		err := s.Walk(t.Context(), func(r *gatehouse.Records) error {
			for _, u := range r.Users {
				ids = append(ids, u.ID)
				if u.ID == free.ID && (u.Version != 7 || u.Epoch != 3) {
					t.Errorf("loaded as %+v", u)
				}
			}
			return nil
		})
		if want := []string{free.ID, oid(1).Hex(), oid(2).Hex(), oid(3).Hex(), oid(5).Hex()}; err != nil || !slices.Equal(ids, want) {
			t.Errorf("walked through %q, %v, want %q", ids, err, want)
		}
	})
}

// Whoever makes many users in the application with one address in many spellings
// hides nobody who arrives there, and makes no look-up slow for long.
func TestAdoptedArrivalsAreNotHidden(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		must(c.InsertOne(t.Context(), d("_id", oid(200), "email", "Dora@Example.com", "password", bcryptBob)))(t)
		for i := range pending + 1 {
			spelling := []byte("carla@example.com")
			for bit, place := range []int{0, 1, 2, 3, 4, 6, 7} {
				if (i+1)>>bit&1 == 1 {
					spelling[place] -= 'a' - 'A'
				}
			}
			must(c.InsertOne(t.Context(), d("_id", oid(1000+i), "email", string(spelling), "password", bcryptBob)))(t)
		}
		for range 3 { // each takes over some of them
			_, _ = s.UserByEmail(t.Context(), "nobody@example.com")
		}
		if u, err := s.UserByEmail(t.Context(), "dora@example.com"); err != nil || u.ID != oid(200).Hex() {
			t.Errorf("who arrived before them: %+v, %v", u, err)
		}
		if u, err := s.UserByEmail(t.Context(), "carla@example.com"); err != nil || u.ID != oid(3).Hex() {
			t.Errorf("who has the address: %+v, %v", u, err)
		}
		if n, err := c.CountDocuments(t.Context(), d("gatehouse.id", nil)); err != nil || n != 0 {
			t.Errorf("%d are still to be taken over, %v", n, err)
		}
	})
}

package mongo

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/gatehouse-auth/gatehouse"
)

// pages makes few documents more than a page.
var pages = Options{page: 8, Timeout: time.Minute}

// mixed is a collection with ids of many types, of which two fill more than a page
// each. It has as many users, and outsiders are the ids that can be none of a user.
func mixed(t *testing.T, uri string) (c *driver.Collection, users int, outsiders []string) {
	t.Helper()
	c = bare(t, uri).Collection("users")
	var documents []any
	add := func(id any, email string) {
		documents = append(documents, d("_id", id, "email", email, "password", bcryptBob, "role", "user", "__v", int32(0)))
	}
	for i := range pages.page + 4 {
		add(fmt.Sprintf("u-%04d", i), fmt.Sprintf("s%d@example.com", i))
		add(oid(i), fmt.Sprintf("o%d@example.com", i))
	}
	users = len(documents)
	for i, id := range []any{
		nil, int32(7), int64(1) << 40, 1.5, d("a", int32(1), "b", "x"), bson.Binary{Subtype: 4, Data: bytes.Repeat([]byte{7}, 16)},
		true, day(1), "", "not an id@example.com",
	} {
		add(id, fmt.Sprintf("odd%d@example.com", i))
	}
	for i := range pending + 1 { // enough to hide who arrives, above all others in the order of ids
		add(day(10+i), fmt.Sprintf("day%d@example.com", i))
	}
	must(c.InsertMany(t.Context(), documents))(t)
	for id, document := range content(t, c) {
		if idOf(bson.Raw(document).Lookup("_id")) == "" {
			outsiders = append(outsiders, id)
		}
	}
	slices.Sort(outsiders)
	return c, users, outsiders
}

// Whatever the types of the ids: every document is looked at in each step, who
// cannot be taken over is named with the reason, and nobody else is touched.
func TestAdoptMixedIDs(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c, users, outsiders := mixed(t, uri)
		before := content(t, c)
		checkReport := func(what string, r *Report) {
			t.Helper()
			if r.Documents != len(before) || r.Changed != users {
				t.Errorf("%s: %d documents, %d changed, want %d and %d", what, r.Documents, r.Changed, len(before), users)
			}
		}
		report := adopt(t, uri, AdoptOptions{Options: pages})
		checkReport("adopt", report)
		var aside []string
		reasons := make(map[string]int)
		for _, u := range report.SetAside {
			aside = append(aside, u.ID)
			reasons[u.Note]++
		}
		slices.Sort(aside)
		if !slices.Equal(aside, outsiders) {
			t.Errorf("set aside: %q\nwant %q", aside, outsiders)
		}
		if want := map[string]int{
			"its _id is of type null": 1, "its _id is of type 32-bit integer": 1, "its _id is of type 64-bit integer": 1,
			"its _id is of type double": 1, "its _id is of type embedded document": 1, "its _id is of type binary": 1,
			"its _id is of type boolean": 1, "its _id is of type UTC datetime": pending + 2,
			"its _id is not 1 to 128 of letters, digits, '-', '_', '.', ':', '|'": 2,
		}; !maps.Equal(reasons, want) {
			t.Errorf("reasons %v, want %v", reasons, want)
		}

		s := open(t, uri, pages)
		var walked int
		if err := s.Walk(t.Context(), func(r *gatehouse.Records) error { walked += len(r.Users); return nil }); err != nil || walked != users {
			t.Errorf("walked through %d users, %v, want %d", walked, err, users)
		}
		// Who arrives is found past those who never will be users.
		must(c.InsertOne(t.Context(), d("_id", "late", "email", "LATE@example.com", "password", bcryptBob)))(t)
		if u, err := s.UserByEmail(t.Context(), "late@example.com"); err != nil || u.ID != "late" {
			t.Errorf("who has arrived: %+v, %v", u, err)
		}
		must(c.DeleteOne(t.Context(), d("_id", "late")))(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		checkReport("undo", must(Undo(t.Context(), uri, AdoptOptions{Options: pages}))(t))
		same(t, "given back", content(t, c), before)

		adopt(t, uri, AdoptOptions{Options: pages})
		checkReport("finish", must(Finish(t.Context(), uri, AdoptOptions{Options: pages}))(t))
		for id, document := range content(t, c) {
			if _, err := bson.Raw(document).LookupErr("gatehouse", "seen"); err == nil {
				t.Errorf("%s is not finished", id)
			}
			if slices.Contains(outsiders, id) && document != before[id] {
				t.Errorf("%s was touched", id)
			}
		}
	})
}

// Two users with one address are found, however far apart their ids are.
func TestConflictBetweenTypesOfIDs(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c, _, _ := mixed(t, uri)
		for _, id := range []any{oid(2000), "z"} {
			must(c.InsertOne(t.Context(), d("_id", id, "email", fmt.Sprintf("Same%v@example.com", id), "password", bcryptBob)))(t)
		}
		must(c.UpdateOne(t.Context(), d("_id", oid(2000)), d("$set", d("email", "SAME@example.com"))))(t)
		must(c.UpdateOne(t.Context(), d("_id", "z"), d("$set", d("email", "same@example.com"))))(t)
		before := content(t, c)
		report, err := Adopt(t.Context(), uri, AdoptOptions{Options: pages})
		if !errors.Is(err, ErrConflict) || len(report.Conflicts) != 1 || len(report.Conflicts[0]) != 2 {
			t.Fatalf("conflicts %+v, %v", report.Conflicts, err)
		}
		same(t, "after the refusal", content(t, c), before)
		adopt(t, uri, AdoptOptions{Options: pages, Keep: []string{"z"}})
	})
}

// An ObjectId and its digits are two documents, but one id. (The stand-in takes them
// for one.)
func TestAdoptOneIDTwice(t *testing.T) {
	f := &fake{}
	digits := d("_id", oid(2).Hex(), "email", "digits@example.com", "password", bcryptBob)
	var updates atomic.Int64
	object := d("_id", oid(2), "email", "object@example.com", "password", bcryptBob)
	f.answer = func(c bson.D) (bson.D, bool) {
		answer := bson.A{}
		switch filter, _ := field(c, "filter").(bson.D); {
		case c[0].Key == "update" && c[0].Value == "users":
			// The first one gets the id, and the unique index refuses the second.
			if updates.Add(1) > 1 {
				return d("ok", 1.0, "n", 0, "writeErrors", bson.A{d("index", 0, "code", 11000, "errmsg", "E11000")}), true
			}
			return healthy(c), true
		case c[0].Key != "find":
			return healthy(c), true
		case c[0].Value == "users":
			answer = bson.A{digits, object}
		case field(filter, "_id") == "schema":
			return healthy(c), true
		}
		return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", answer)), true
	}
	uri := f.start(t)
	for _, opts := range []AdoptOptions{{DryRun: true}, {}} {
		report, err := Adopt(t.Context(), uri, opts)
		if err != nil || len(report.SetAside) != 1 || report.SetAside[0].ID != oid(2).Hex() || report.SetAside[0].Email != "object@example.com" || report.SetAside[0].Note != twice {
			t.Errorf("%+v: %+v, %v", opts, report, err)
		}
		if report.Documents != 2 || report.Changed != 1 {
			t.Errorf("%+v: %d documents, %d changed, want 2 and 1", opts, report.Documents, report.Changed)
		}
	}
}

// Who arrives is found by an id that is a text, also if an ObjectId reads like it.
func TestArrivalByDigits(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		must(c.InsertOne(t.Context(), d("_id", oid(51).Hex(), "email", "later@example.com")))(t)
		if u := user(t, s, oid(51)); u.Email != "later@example.com" {
			t.Errorf("%+v", u)
		}
	})
}

// In a collection of Gatehouse's own there are only ids that are text. Somebody
// else's document among them is told, and not left out of a copy in silence.
func TestWalkMeetsForeignIDs(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		for _, id := range []any{oid(1), int32(1)} {
			uri := database(t)
			s := open(t, uri, pages)
			var users []*gatehouse.User
			for i := range pages.page + 1 {
				users = append(users, &gatehouse.User{ID: fmt.Sprintf("u%04d", i), Version: 1})
			}
			must(s.Load(t.Context(), &gatehouse.Records{Users: users}))(t)
			must(bare(t, uri).Collection("gatehouse_users").InsertOne(t.Context(), d("_id", id, "version", int64(1), "epoch", int64(0))))(t)
			if err := s.Walk(t.Context(), func(*gatehouse.Records) error { return nil }); !errors.Is(err, errRecord) {
				t.Errorf("%v: err = %v, want errRecord", id, err)
			}
		}
	})
}

package mongo

import (
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// indexed is a database in order but for the index due of tasks, which is there
// with these fields instead of its own; nil is not there. The collection has these
// options.
func indexed(options, due bson.D) *fake {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) {
		answer := func(documents bson.A) (bson.D, bool) {
			return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", documents)), true
		}
		switch {
		case c[0].Key == "listCollections":
			return answer(bson.A{d("name", "gatehouse_tasks", "type", "collection", "options", options)})
		case c[0].Key == "listIndexes" && c[0].Value == "gatehouse_tasks":
			list := bson.A{d("name", "_id_", "key", d("_id", 1)), d("name", "expiry", "key", d("expires_at", 1))}
			if due != nil {
				list = append(list, due)
			}
			return answer(list)
		case c[0].Key == "createIndexes" && due != nil:
			return refused(85, "Index already exists with a different name"), true
		}
		return healthy(c), true
	}
	return f
}

// An index that does not do what it must is refused, in one line that says in what
// it differs and what to do.
func TestIndexThatIsNot(t *testing.T) {
	key := d("due_at", 1, "_id", 1)
	with := func(name string, pairs ...any) bson.D {
		return append(d("v", 2, "name", name, "key", key), d(pairs...)...)
	}
	const drop = `drop it (db.gatehouse_tasks.dropIndex("due"))`
	for _, c := range []struct {
		name    string
		options bson.D
		due     bson.D
		says    []string // nothing: it is accepted
	}{
		{"as it must be", nil, with("due"), nil},
		{"missing", nil, nil, nil},
		{"numbers of another type", nil, d("name", "due", "key", d("due_at", 1.0, "_id", int64(1)), "unique", false, "sparse", false, "hidden", false), nil},
		{"the same under another name", nil, with("mine"), nil},
		{"the collation that is none", nil, with("due", "collation", d("locale", "simple")), nil},
		{"over another field", nil, d("name", "due", "key", d("due_at", 1)), []string{"is over", drop}},
		{"downwards", nil, d("name", "due", "key", d("due_at", -1, "_id", 1)), []string{"is over", drop}},
		{"over digests", nil, d("name", "due", "key", d("due_at", "hashed")), []string{"is over", drop}},
		{"unique", nil, with("due", "unique", true), []string{"unique: true", drop}},
		{"sparse", nil, with("due", "sparse", true), []string{"sparse: true", drop}},
		{"partial", nil, with("due", "partialFilterExpression", d("kind", "mail")), []string{"leaves out documents", drop}},
		{"with a collation", nil, with("due", "collation", d("locale", "en", "strength", 2)), []string{"collation en", drop}},
		{"deleting", nil, with("due", "expireAfterSeconds", 60), []string{"expireAfterSeconds", drop}},
		{"hidden", nil, with("due", "hidden", true), []string{"hidden", `db.gatehouse_tasks.unhideIndex("due")`}},
		{"hidden under another name", nil, with("mine", "hidden", true), []string{"due of gatehouse_tasks", "beside mine", "hidden", `unhideIndex("mine")`}},
		{"partial under another name", nil, with("mine", "partialFilterExpression", d("kind", "mail")), []string{"beside mine", `dropIndex("mine")`}},
		{"both with a collation", d("collation", d("locale", "fr")), with("due", "collation", d("locale", "fr")), []string{"collation fr of the collection", "copy its documents"}},
		{"a collection with a collation", d("collation", d("locale", "fr")), nil, []string{"collation fr of the collection", "copy its documents"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := indexed(c.options, c.due)
			s, err := Open(t.Context(), f.start(t), Options{})
			if err == nil {
				err = s.Close()
			}
			if (err == nil) != (c.says == nil) || err != nil && !errors.Is(err, ErrIndex) {
				t.Fatalf("err = %v, want one: %t", err, c.says != nil)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("err = %v, want it to say %q", err, says)
				}
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}

// What stands in the way of an adoption is said before anything is begun.
func TestAdoptLooksAtIndexesFirst(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		err := c.Database().RunCommand(t.Context(), d("createIndexes", "users", "indexes", bson.A{d("key", d("name", 1), "name", "gatehouse_email")})).Err()
		if err != nil {
			t.Fatal(err)
		}
		before := everything(t, uri)
		for _, opts := range []AdoptOptions{{DryRun: true}, {}} {
			if _, err := Adopt(t.Context(), uri, opts); !errors.Is(err, ErrIndex) || !strings.Contains(err.Error(), `db.users.dropIndex("gatehouse_email")`) {
				t.Errorf("err = %v, want ErrIndex and what to do", err)
			}
		}
		if after := everything(t, uri); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

func TestAdoptRefusesView(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) {
		filter, _ := field(c, "filter").(bson.D)
		switch {
		case c[0].Key == "listCollections":
			return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", bson.A{d("name", "users", "type", "view", "options", d())})), true
		case c[0].Key == "listIndexes" && c[0].Value == "users":
			return refused(166, "Namespace test.users is a view, not a collection"), true
		case c[0].Key == "find" && field(filter, "_id") != "schema":
			return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", bson.A{})), true
		}
		return healthy(c), true
	}
	if _, err := Adopt(t.Context(), f.start(t), AdoptOptions{}); !errors.Is(err, ErrIndex) || !strings.Contains(err.Error(), "is a view") {
		t.Errorf("err = %v, want it to say that users is a view", err)
	}
}

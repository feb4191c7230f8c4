package mongo

import (
	"math"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// ofEveryType are values that a document can hold, by their types. The second group is
// of types that the server the tests start does not take.
func ofEveryType(t *testing.T) (usual, rare map[string]any) {
	t.Helper()
	decimal := must(bson.ParseDecimal128("1.50E+3"))(t)
	usual = map[string]any{
		"nothing": nil, "a truth": true, "a number": int32(4), "a long number": int64(1) << 60, "a fraction": -0.1, "a date": day(3),
		"a text that is empty": "", "a long text": strings.Repeat("é", 3000), "an id": oid(7), "a timestamp": bson.Timestamp{T: 1, I: 2},
		"a pattern": bson.Regex{Pattern: "^a.b", Options: "i"}, "a UUID": bson.Binary{Subtype: 4, Data: make([]byte, 16)},
		"bytes": bson.Binary{Subtype: 128, Data: []byte{0, 255}}, "a list": bson.A{"a@example.com", nil, d("x", int32(1))}, "an empty list": bson.A{},
		"a document": d("b", "x@example.com", "a", d("z", 1.5, "y", bson.A{d("x", nil)})), "an empty document": bson.D{},
	}
	rare = map[string]any{
		"a decimal": decimal, "lists in a list": bson.A{bson.A{bson.A{}}}, "no number": math.NaN(), "no end": math.Inf(1), "the least": bson.MinKey{}, "the most": bson.MaxKey{}, "code": bson.JavaScript("x = 1"),
		"code with a scope": bson.CodeWithScope{Code: "x", Scope: d("a", 1)}, "undefined": bson.Undefined{}, "a symbol": bson.Symbol("s"),
		"a pointer": bson.DBPointer{DB: "app.users", Pointer: oid(1)}, "a reference": d("$ref", "users", "$id", oid(3)),
		"a name with a dot": d("a.b", 1, "$c", 2), "a name twice": bson.D{{Key: "a", Value: 1}, {Key: "a", Value: 2}},
	}
	return usual, rare
}

// Whatever an application has in the fields that both sides write comes back as it was,
// and does not stop the others from being adopted.
func TestFieldsOfEveryType(t *testing.T) {
	usual, _ := ofEveryType(t)
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c, n := bare(t, uri).Collection("users"), 100
		for what, value := range usual {
			for _, field := range []string{"name", "email", "role", "password", "other"} {
				document := d("_id", oid(n), "first", n, field, value, "what", what, "last", true)
				if n++; field != "email" {
					document = append(document, bson.E{Key: "email", Value: oid(n).Hex() + "@example.com"})
				}
				must(c.InsertOne(t.Context(), document))(t)
			}
		}
		before := content(t, c)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		for id := 100; id < n; id++ {
			u := user(t, s, oid(id))
			u.Name, u.Email, u.EmailKey, u.Roles = "new", oid(id).Hex()+"@example.org", oid(id).Hex()+"@example.org", nil
			if err := s.SaveUser(t.Context(), u); err != nil {
				t.Errorf("%v: %v", stored(t, c, oid(id)), err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		must(Undo(t.Context(), uri, AdoptOptions{AsItWas: true}))(t)
		same(t, "given back", content(t, c), before)
	})
}

// What is kept of a field is kept to the byte, whatever its type.
func TestWhatIsKeptOfAField(t *testing.T) {
	usual, rare := ofEveryType(t)
	for _, group := range []map[string]any{usual, rare} {
		for what, value := range group {
			for i, field := range sharedNames {
				document := must(marshal(d("_id", oid(1), field, value)))(t)
				read := must(decodeAdopted(document))(t)
				u := newcomer(document, read)
				seen := must(marshal(read.shared.document()))(t)
				note := must(remember(nil, i, read.shared[i], false))(t)
				read.Gatehouse = &adoptedFields{ID: u.ID, Fields: encodeFields(u, 1), Seen: seen, Before: note}
				again := must(decodeAdopted(must(marshal(d("_id", oid(1), field, value, "gatehouse", read.Gatehouse)))(t)))(t)
				if !again.current() {
					t.Errorf("%s, %s: taken for a change of the application", field, what)
				}
				take(u, sharedOf(seen), again.shared, time.Time{})
				r := must((&adopter{opts: AdoptOptions{AsItWas: true}}).reversion(again))(t)
				given := must(marshal(r.update()))(t)
				if got := given.Lookup("$set", field); !got.Equal(read.shared[i]) {
					t.Errorf("%s, %s: given back as %v, want %v", field, what, got, read.shared[i])
				}
			}
		}
	}
}

package importing

import (
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// The collection of a tutorial's application is read while it is in use, and is
// as it was afterwards.
func TestCollection(t *testing.T) {
	uri := service.Mongo(t).URI("app")
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context()) //nolint:errcheck // the server ends with the test
	users := client.Database("app").Collection("users")
	id := func(n byte) bson.ObjectID { return bson.ObjectID{0x50, 0x7f, 0x1f, 0x77, 11: n} }
	created := bson.NewDateTimeFromTime(must(t, "2023-04-05T06:07:08.009Z"))
	for _, doc := range []bson.D{
		{{Key: "_id", Value: id(2)}, {Key: "email", Value: "Bob@Example.com"}, {Key: "password", Value: "plain"}},
		{
			{Key: "_id", Value: id(1)}, {Key: "name", Value: "Ann"}, {Key: "email", Value: "Ann@Example.com"},
			{Key: "password", Value: "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."}, {Key: "role", Value: "admin"},
			{Key: "createdAt", Value: created}, {Key: "__v", Value: int32(0)}, {Key: "seats", Value: int64(1) << 40},
		},
		{{Key: "_id", Value: id(3)}, {Key: "email", Value: "carl@example.com"}},
	} {
		if _, err := users.InsertOne(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
	}
	source, err := NewCollection(uri, "users")
	if err != nil {
		t.Fatal(err)
	}
	a := auth(t, memory.New())
	for n := range 2 {
		ids, aside, report, err := do(t, Run{Source: source, Reader: &Reader{Format: mongoDB}}, a)
		if want := fmt.Sprintf("[%s %s] [2:hash_unknown]", id(1).Hex(), id(3).Hex()); fmt.Sprint(ids, aside) != want || err != nil || report.Present != 2*n {
			t.Fatalf("%v, %v, %+v, %v, want %s", ids, aside, report, err, want)
		}
	}
	u, err := a.Gatehouse.User(t.Context(), id(1).Hex())
	if err != nil || u.CreatedAt.UnixMilli() != int64(created) || !strings.Contains(string(u.Extra), `"fields":{"__v":0,"seats":1099511627776}`) {
		t.Errorf("%+v, %v", u, err)
	}
	checkUser(t, a.Gatehouse, "mongodb", u, known{
		id(1).Hex(), "Ann@Example.com", "Ann", "admin", "2023-04-05T06:07:08.009Z", bcrypted, "bcrypt 4", false, false, `{"__v":0,"seats":1099511627776}`,
	})
	if n, err := users.CountDocuments(t.Context(), bson.D{{Key: "password", Value: "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."}}); n != 1 || err != nil {
		t.Errorf("the collection was changed: %d, %v", n, err)
	}
}

// Ids may be of several types: nobody is passed over.
func TestCollectionWithMixedIDs(t *testing.T) {
	uri := service.Mongo(t).URI("app")
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context()) //nolint:errcheck // the server ends with the test
	var documents []any
	add := func(id any) {
		documents = append(documents, bson.D{{Key: "_id", Value: id}, {Key: "email", Value: fmt.Sprintf("u%d@example.com", len(documents))}})
	}
	for i := range 150 { // more than a cursor hands over at first
		add(fmt.Sprintf("u-%03d", i))
		add(bson.ObjectID{0x50, 0x7f, 10: byte(i >> 8), 11: byte(i)})
		add(int32(i))
	}
	for _, id := range []any{nil, 1.5, bson.D{{Key: "a", Value: 1}}, true, bson.Binary{Subtype: 4, Data: make([]byte, 16)}, "not an id@example.com"} {
		add(id)
	}
	if _, err := client.Database("app").Collection("users").InsertMany(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	source, err := NewCollection(uri, "users")
	if err != nil {
		t.Fatal(err)
	}
	a := auth(t, memory.New())
	for n := range 2 {
		ids, aside, report, err := do(t, Run{Source: source, Reader: &Reader{Format: mongoDB}}, a)
		// Nothing, a document, bytes and an address are no ids.
		if want := "[1:import_invalid 153:import_invalid 304:import_invalid 305:import_invalid]"; fmt.Sprint(aside) != want || err != nil {
			t.Errorf("set aside: %v, %v, want %s", aside, err, want)
		}
		if want := len(documents) - 4; len(ids) != want || report.Added+report.Present != want || report.Present != n*want {
			t.Errorf("%d users, %+v, want %d", len(ids), report, want)
		}
	}
}

func TestCollectionAway(t *testing.T) {
	for _, uri := range []string{"mongodb://ann:s3cret@127.0.0.1:1/app", "mongodb://ann:s3cr/et@127.0.0.1/app"} {
		source, err := NewCollection(uri, "users")
		if err == nil {
			_, _, _, err = do(t, Run{Source: source, Reader: &Reader{Format: mongoDB}}, auth(t, memory.New()))
		}
		if err == nil || strings.ContainsAny(err.Error(), "\n{") || strings.Contains(err.Error(), "s3cr") {
			t.Errorf("%v, want one line that does not tell the password", err)
		}
	}
}

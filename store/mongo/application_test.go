package mongo

import (
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

// Whoever points Gatehouse at the database of an application reads how its users
// come to be users here, for as long as there are none.
func TestHintAtApplication(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		hinted := func(uri string) bool {
			t.Helper()
			s := must(Open(t.Context(), uri, Options{}))(t)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(s.Warnings(), func(w string) bool {
				return strings.Contains(w, "collection users") && strings.Contains(w, "gatehouse adopt") && strings.Contains(w, "gatehouse import") && !strings.Contains(w, "\n")
			})
		}
		uri := database(t)
		if hinted(uri) {
			t.Error("of a database without an application")
		}
		must(bare(t, uri).Collection("users").InsertOne(t.Context(), d("email", "invited@example.com", "team", 7)))(t)
		if hinted(uri) {
			t.Error("of documents that are no users")
		}
		application(t, uri)
		if !hinted(uri) {
			t.Error("not of the users of an application")
		}
		adopt(t, uri, AdoptOptions{})
		if hinted(uri) {
			t.Error("of what was adopted")
		}
		must(Undo(t.Context(), uri, AdoptOptions{}))(t)
		s := open(t, uri, Options{})
		if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "u"}); err != nil {
			t.Fatal(err)
		}
		if hinted(uri) {
			t.Error("although Gatehouse has users")
		}
	})
}

// Who may not read the collection of the application gets in all the same.
func TestHintNeedsNoRight(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) {
		if c[0].Key == "find" && c[0].Value == "users" {
			return refused(13, "not authorized"), true
		}
		return healthy(c), true
	}
	open(t, f.start(t), Options{})
	if len(f.said("find")) == 0 {
		t.Error("nothing was looked for")
	}
}

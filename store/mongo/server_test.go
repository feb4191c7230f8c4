package mongo

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse/test/service"
)

// standIn is the server that all tests of this package share. Each test has a
// database of its own in it.
var standIn *service.MongoServer

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "gatehouse-mongo")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		if standIn, err = service.StartMongo(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer standIn.Kill()
		return m.Run()
	}())
}

// onEach runs f on the stand-in, and on the server of TEST_MONGODB_URI if there
// is one. What f gets makes names of new databases into connection strings.
func onEach(t *testing.T, f func(t *testing.T, database func(t *testing.T) string)) {
	t.Run("stand-in", func(t *testing.T) { f(t, fresh) })
	if uri := os.Getenv("TEST_MONGODB_URI"); uri != "" {
		t.Run("TEST_MONGODB_URI", func(t *testing.T) {
			f(t, func(t *testing.T) string {
				named, err := service.MongoDatabase(uri, newName())
				if err != nil {
					t.Fatal(err)
				}
				return dropped(t, named)
			})
		})
	}
}

// fresh is the connection string of a new database on the stand-in.
func fresh(t *testing.T) string { return dropped(t, standIn.URI(newName())) }

func newName() string { return "gatehouse_test_" + strings.ToLower(rand.Text()[:12]) }

// dropped drops the database of the connection string when the test ends.
func dropped(t *testing.T, uri string) string {
	t.Cleanup(func() {
		if err := bare(t, uri).Drop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return uri
}

// bare is the database without Gatehouse.
func bare(t *testing.T, uri string) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(uri).SetBSONOptions(&options.BSONOptions{DefaultDocumentM: false}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(t.Context()) })
	name, err := database(uri)
	if err != nil {
		t.Fatal(err)
	}
	return client.Database(name)
}

func open(t *testing.T, uri string, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), uri, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// must is for what cannot fail unless the test is wrong.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func d(pairs ...any) bson.D {
	var doc bson.D
	for i := 0; i < len(pairs); i += 2 {
		doc = append(doc, bson.E{Key: pairs[i].(string), Value: pairs[i+1]})
	}
	return doc
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

func TestURI(t *testing.T) {
	for uri, want := range map[string]string{
		"mongodb://localhost":                            "gatehouse",
		"mongodb://localhost/":                           "gatehouse",
		"mongodb://localhost/?tls=true":                  "gatehouse",
		"mongodb://localhost:27017/app?tls=true":         "app",
		"mongodb://u:p@a:1,b:2,c/app":                    "app",
		"mongodb+srv://u:p@cluster.example.net/app?w=1":  "app",
		"mongodb://localhost/%C3%A4":                     "ä",
		"mongodb://localhost/admin":                      "",
		"mongodb://localhost/a%2fb":                      "",
		"mongodb://localhost/a.b":                        "",
		"mongodb://localhost/%zz":                        "",
		"mongodb://localhost/" + strings.Repeat("a", 64): "",
		"postgres://localhost/app":                       "",
		"localhost/app":                                  "",
		"":                                               "",
	} {
		name, err := database(uri)
		if name != want || (want == "") != errors.Is(err, ErrURI) {
			t.Errorf("%s: database %q, err = %v, want %q", uri, name, err, want)
		}
	}
}

// Nothing of a connection string that cannot be read is repeated.
func TestUnreadableURI(t *testing.T) {
	for _, uri := range []string{
		"mongodb://user:hunter2@x@localhost/app",
		"mongodb://user:hunter2/localhost/app",
		"mongodb://user:hunter2",
		"mongodb://user:hunter2@localhost:port/app",
		"mongodb://user:hunter2%zz@localhost/app",
		"mongodb://user:hunter2@localhost/app?authMechanism=hunter2",
		"mongodb://user:hunter2@localhost/app?w=hunter2&readPreference=hunter2",
		"hunter2",
	} {
		_, err := Open(t.Context(), uri, Options{})
		if !errors.Is(err, ErrURI) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: err = %v, want ErrURI without any of it", uri, err)
		}
	}
}

func TestOldServer(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) {
		if c[0].Key == "buildInfo" {
			return d("ok", 1.0, "version", "4.4.29", "versionArray", bson.A{4, 4, 29, 0}), true
		}
		return healthy(c), true
	}
	_, err := Open(t.Context(), f.start(t), Options{})
	if !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), "4.4.29") {
		t.Errorf("err = %v, want ErrServer and the version", err)
	}
}

func TestWarnings(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) { return healthy(c), true }
	if w := open(t, f.start(t), Options{}).Warnings(); len(w) != 1 || !strings.Contains(w[0], "single server") {
		t.Errorf("a single server: %q", w)
	}
	f = &fake{hello: replicaSet, answer: f.answer}
	if w := open(t, f.start(t), Options{}).Warnings(); len(w) != 0 {
		t.Errorf("a replica set: %q", w)
	}
	if w := open(t, fresh(t), Options{}).Warnings(); !strings.Contains(strings.Join(w, "\n"), "FerretDB") {
		t.Errorf("the stand-in: %q", w)
	}
	for host, remote := range map[string]bool{
		"localhost:27017": false, "127.0.0.1": false, "[::1]:27017": false, "::1": false, "/tmp/mongodb-27017.sock": false,
		"db.example.net:27017": true, "192.0.2.1": true, "localhost.example.net": true,
	} {
		if isRemote(host) != remote {
			t.Errorf("isRemote(%s) is not %t", host, remote)
		}
	}
}

// A server that compares whole arrays would let two users have one key. Open
// finds out before anything is kept there.
func TestServerThatDoesNotLookIntoArrays(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) {
		switch c[0].Key {
		case "find", "listIndexes", "listCollections":
			return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", bson.A{})), true
		}
		return healthy(c), true
	}
	_, err := Open(t.Context(), f.start(t), Options{})
	if !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), "arrays") {
		t.Errorf("err = %v, want ErrServer", err)
	}
	drops := f.said("drop")
	if len(drops) != 1 || !strings.HasPrefix(drops[0][0].Value.(string), "gatehouse_probe_") {
		t.Errorf("what was tried with was not dropped: %v", drops)
	}
}

func TestFirstStart(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		db := bare(t, uri)
		if _, err := db.Collection("users").InsertOne(t.Context(), d("name", "of the application")); err != nil {
			t.Fatal(err)
		}
		// Many at once, as after a power failure.
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := Open(t.Context(), uri, Options{})
				if err != nil {
					t.Errorf("one of six: %v", err)
					return
				}
				if err := errors.Join(s.Ready(t.Context()), s.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		open(t, uri, Options{})
		names := must(db.ListCollectionNames(t.Context(), bson.D{}))(t)
		names = slices.DeleteFunc(names, func(n string) bool { return n == "gatehouse_settings" }) // comes into being by use
		slices.Sort(names)
		want := []string{"gatehouse_challenges", "gatehouse_events", "gatehouse_meta", "gatehouse_sessions", "gatehouse_tasks", "gatehouse_users", "users"}
		if !slices.Equal(names, want) {
			t.Errorf("collections %q, want %q", names, want)
		}
		if n := must(db.Collection("users").CountDocuments(t.Context(), bson.D{}))(t); n != 1 {
			t.Errorf("the application has %d users, want 1", n)
		}
	})
}

// Every read and every condition has an index that begins with its fields.
func TestIndexesAreMade(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		s := open(t, uri, Options{})
		for collection, wanted := range indexes {
			c := bare(t, uri).Collection("gatehouse_" + collection)
			if _, missing, err := s.missing(t.Context(), c, wanted); len(missing) > 0 || err != nil {
				t.Errorf("%s: missing %v, %v", collection, missing, err)
			}
		}
	})
}

func TestIndexIsMadeAnew(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		open(t, uri, Options{})
		users := bare(t, uri).Collection("gatehouse_users")
		if err := users.Indexes().DropOne(t.Context(), "email_key"); err != nil {
			t.Fatal(err)
		}
		s := open(t, uri, Options{})
		if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "1", EmailKey: "ann@example.com"}); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "2", EmailKey: "ann@example.com"}); !errors.Is(err, gatehouse.ErrExists) {
			t.Errorf("err = %v, want ErrExists", err)
		}
	})
}

func TestRefusedDatabases(t *testing.T) {
	prepared := func(t *testing.T, uri string) { open(t, uri, Options{}) }
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, uri string)
		want  error
		says  string
	}{
		{"a foreign collection of our name", func(t *testing.T, uri string) {
			must(bare(t, uri).Collection("gatehouse_users").InsertOne(t.Context(), d("_id", "x")))(t)
		}, ErrForeign, "gatehouse_users"},
		{"a newer schema", func(t *testing.T, uri string) {
			prepared(t, uri)
			must(bare(t, uri).Collection("gatehouse_meta").UpdateOne(t.Context(), d("_id", "schema"), d("$set", d("version", int64(2), "oldest", int64(2)))))(t)
		}, ErrNewer, "version 2"},
		{"a schema that is none", func(t *testing.T, uri string) {
			must(bare(t, uri).Collection("gatehouse_meta").InsertOne(t.Context(), d("_id", "schema", "version", int64(-3))))(t)
		}, ErrForeign, "-3"},
		{"an index that is not unique", func(t *testing.T, uri string) {
			prepared(t, uri)
			remake(t, uri, "gatehouse_users", "email_key", d("email_key", 1), false)
		}, ErrIndex, `dropIndex("email_key")`},
		{"an index over something else", func(t *testing.T, uri string) {
			prepared(t, uri)
			remake(t, uri, "gatehouse_tasks", "due", d("due_at", -1), false)
		}, ErrIndex, "due of gatehouse_tasks"},
		{"two users with one address and no index", func(t *testing.T, uri string) {
			prepared(t, uri)
			users := bare(t, uri).Collection("gatehouse_users")
			if err := users.Indexes().DropOne(t.Context(), "email_key"); err != nil {
				t.Fatal(err)
			}
			for n := range 2 {
				must(users.InsertOne(t.Context(), d("_id", fmt.Sprint(n), "version", int64(1), "epoch", int64(0), "email_key", "ann@example.com")))(t)
			}
		}, ErrIndex, "same value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, database func(*testing.T) string) {
				uri := database(t)
				c.spoil(t, uri)
				before := everything(t, uri)
				_, err := Open(t.Context(), uri, Options{})
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "ann@") {
					t.Errorf("err = %v, want %v that says %q", err, c.want, c.says)
				}
				if after := everything(t, uri); after != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
			})
		})
	}
}

// While a service is brought up to date, instances of before start as well.
func TestNewerSchemaThatServesOlderPrograms(t *testing.T) {
	uri := fresh(t)
	open(t, uri, Options{})
	must(bare(t, uri).Collection("gatehouse_meta").UpdateOne(t.Context(), d("_id", "schema"), d("$set", d("version", int64(2), "oldest", int64(1)))))(t)
	open(t, uri, Options{})
	if current, wanted, err := SchemaVersion(t.Context(), uri); current != wanted || err != nil {
		t.Errorf("version %d, wanted %d, %v", current, wanted, err)
	}
}

// remake makes another index under the name of one of ours.
func remake(t *testing.T, uri, collection, name string, key bson.D, unique bool) {
	t.Helper()
	db := bare(t, uri)
	if err := db.Collection(collection).Indexes().DropOne(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	err := db.RunCommand(t.Context(), d("createIndexes", collection, "indexes", bson.A{d("key", key, "name", name, "unique", unique)})).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// everything is all documents of the database.
func everything(t *testing.T, uri string) string {
	t.Helper()
	db := bare(t, uri)
	names := must(db.ListCollectionNames(t.Context(), bson.D{}))(t)
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		cursor := must(db.Collection(name).Find(t.Context(), bson.D{}))(t)
		for cursor.Next(t.Context()) {
			fmt.Fprintln(&b, name, cursor.Current)
		}
	}
	return b.String()
}

// Somebody else may have written to a collection. What cannot be a record is an
// error, and not a user without a password.
func TestDocumentThatIsNoRecord(t *testing.T) {
	uri := fresh(t)
	s := open(t, uri, Options{})
	must(bare(t, uri).Collection("gatehouse_users").InsertOne(t.Context(), d("_id", "u", "version", int64(1), "credentials", "none")))(t)
	if u, err := s.User(t.Context(), "u"); err == nil || errors.Is(err, gatehouse.ErrUnavailable) || errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("user %v, err = %v", u, err)
	}
}

// While the server is away every method says so; when it is back, so is the
// store, with everything that was acknowledged.
func TestServerDiesAndComesBack(t *testing.T) {
	server := service.Mongo(t)
	s := open(t, server.URI("app"), Options{Timeout: time.Second})
	acknowledged := make(chan string) // read by one who counts
	var known []string
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for writer := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%d-%d", writer, n)
				if err := s.CreateSession(ctx, &gatehouse.Session{ID: id}); err == nil {
					select {
					case acknowledged <- id:
					case <-ctx.Done():
					}
				} else if !errors.Is(err, gatehouse.ErrUnavailable) && !errors.Is(err, context.Canceled) {
					t.Errorf("create session: %v", err)
				}
			}
		})
	}
	for range 2 {
		for range 20 {
			known = append(known, <-acknowledged)
		}
		server.Kill()
		if err := s.Ready(t.Context()); !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("Ready without a server: err = %v", err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("Ready with the server back: %v", err)
		}
	}
	cancel()
	wg.Wait()
	for _, id := range known {
		if _, err := s.Session(t.Context(), id); err != nil {
			t.Errorf("session %s was acknowledged: %v", id, err)
		}
	}
}

func TestClosed(t *testing.T) {
	s := open(t, fresh(t), Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), "u"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("User after Close: err = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

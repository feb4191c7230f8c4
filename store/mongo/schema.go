package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

// schemaVersion is the version of the collections that this program works with.
const schemaVersion = 1

// indexes are those of each collection. A unique index over an array is one over
// its elements: that is what makes each of a user's keys lead to that user alone.
var indexes = map[string][]index{
	"users": {
		{"email_key", bson.D{{Key: "email_key", Value: 1}}, true},
		{"keys", bson.D{{Key: "keys", Value: 1}}, true},
	},
	"sessions": {
		{"of_user", bson.D{{Key: "user_id", Value: 1}, {Key: "terminated_at", Value: 1}, {Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}, false},
		{"expiry", bson.D{{Key: "expires_at", Value: 1}}, false},
	},
	"challenges": {{"expiry", bson.D{{Key: "expires_at", Value: 1}}, false}},
	"events": {
		{"of_user", bson.D{{Key: "user_id", Value: 1}, {Key: "_id", Value: 1}}, false},
		{"of_kind", bson.D{{Key: "kind", Value: 1}, {Key: "_id", Value: 1}}, false},
		{"of_user_and_kind", bson.D{{Key: "user_id", Value: 1}, {Key: "kind", Value: 1}, {Key: "_id", Value: 1}}, false},
		{"expiry", bson.D{{Key: "expires_at", Value: 1}}, false},
	},
	"settings": nil,
	"tasks": {
		{"due", bson.D{{Key: "due_at", Value: 1}, {Key: "_id", Value: 1}}, false},
		{"expiry", bson.D{{Key: "expires_at", Value: 1}}, false},
	},
}

type schemaDocument struct {
	ID      string `bson:"_id"`
	Version int64  `bson:"version"`
	// Oldest is the oldest schema whose programs can work on this one: while a
	// service is brought up to date, instances of before are still started.
	Oldest int64 `bson:"oldest"`
}

// prepare sees to it that the collections are there, ours, and as they must be.
func (s *Store) prepare(ctx context.Context) error {
	version, err := s.version(ctx)
	if errors.Is(err, gatehouse.ErrNotFound) {
		err = s.begin(ctx)
		version = schemaVersion
	}
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: its collections are of schema version %d, and this program knows %d: use the newer program, or restore a backup of before",
			ErrNewer, version, schemaVersion)
	}
	for name, wanted := range indexes {
		if err := s.ensure(ctx, s.db.Collection(s.opts.Prefix+name), wanted); err != nil {
			return err
		}
	}
	return nil
}

// version is that of the schema, or ErrNotFound if there is none. A later schema
// on which this program can work counts as the one that it works with.
func (s *Store) version(ctx context.Context) (int64, error) {
	d, err := find(ctx, s, "schema version", s.meta, byID("schema"), func(d *schemaDocument) *schemaDocument { return d })
	if err != nil {
		return 0, err
	}
	if d.Version < 1 {
		return 0, fmt.Errorf("%w: its schema has version %d", ErrForeign, d.Version)
	}
	if d.Version > schemaVersion && d.Oldest >= 1 && d.Oldest <= schemaVersion {
		return schemaVersion, nil
	}
	return d.Version, nil
}

// begin makes a new database of ours, of which the first document says so. No
// other collection is made before it: one that is there without it is not ours.
func (s *Store) begin(ctx context.Context) error {
	var names []string
	err := s.attempt(ctx, "collections", func(ctx context.Context) (err error) {
		names, err = s.db.ListCollectionNames(ctx, bson.D{})
		return err
	})
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		kind, ours := strings.CutPrefix(name, s.opts.Prefix)
		_, known := indexes[kind]
		return !ours || !known
	})
	if len(names) > 0 {
		// Another process may have begun since the version was looked for.
		if _, err := s.version(ctx); !errors.Is(err, gatehouse.ErrNotFound) {
			return err
		}
		slices.Sort(names)
		return fmt.Errorf("%w: the database %s has the collection %s, and no document that says it belongs to Gatehouse; "+
			"name another database in the connection string", ErrForeign, s.db.Name(), strings.Join(names, " and "))
	}
	if err := s.probe(ctx); err != nil {
		return err
	}
	err = create(ctx, s, "schema version", s.meta, schemaDocument{"schema", schemaVersion, 1})
	if errors.Is(err, gatehouse.ErrExists) { // another process was faster
		return nil
	}
	return err
}

// probe tries what the keys of users rest on, which not every server that
// speaks the protocol of MongoDB does: that a unique index over an array looks
// at its elements.
func (s *Store) probe(ctx context.Context) (err error) {
	c := s.db.Collection(s.opts.Prefix + "probe_" + strings.ToLower(rand.Text()[:10]))
	if err := s.ensure(ctx, c, indexes["users"]); err != nil {
		return err
	}
	defer func() {
		dropped := s.attempt(ctx, "drop probe", func(ctx context.Context) error { return c.Drop(ctx) })
		err = errors.Join(err, dropped)
	}()
	for i, keys := range [][]string{{"a", "b"}, {"c"}, {"b", "d"}} {
		err := create(ctx, s, "probe", c, userDocument{fmt.Sprint(i), userFields{Keys: keys}})
		if i < 2 && err != nil {
			return err
		}
		if i == 2 && !errors.Is(err, gatehouse.ErrExists) {
			return errors.Join(fmt.Errorf("%w: its unique indexes do not look into arrays, so that two users could have one key", ErrServer), err)
		}
	}
	return nil
}

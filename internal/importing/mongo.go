package importing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse/internal/reach"
)

// Collection is a collection of MongoDB that may be in use. It is only read.
type Collection struct {
	uri, database, name string
}

// NewCollection is the collection with this name in the database that the
// connection string names, or in "test", as the driver of JavaScript has it. The
// error quotes nothing of the string, which may hold a password.
func NewCollection(uri, name string) (Collection, error) {
	o := options.Client().ApplyURI(uri)
	if o.Validate() != nil {
		return Collection{}, errors.New("the connection string of MongoDB cannot be read; in the user and the password each of : / ? # [ ] @ % stands as %XX")
	}
	_, rest, _ := strings.Cut(uri, "://")
	_, rest, _ = strings.Cut(rest, "/")
	database, _, _ := strings.Cut(rest, "?")
	return Collection{uri, cmp.Or(database, "test"), name}, nil
}

// IsMongoDB reports whether a source is named by a connection string.
func IsMongoDB(source string) bool {
	return strings.HasPrefix(source, "mongodb://") || strings.HasPrefix(source, "mongodb+srv://")
}

// Records implements [Source]: documents by their _id, as Extended JSON.
func (c Collection) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		client, err := mongo.Connect(options.Client().ApplyURI(c.uri).SetAppName("gatehouse import").SetServerSelectionTimeout(5 * time.Second))
		if err != nil {
			yield(Record{}, errors.New("mongodb: the connection string cannot be used")) // the cause may quote the password in it
			return
		}
		defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read from
		cursor, err := client.Database(c.database).Collection(c.name).Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
		if err != nil {
			yield(Record{}, fmt.Errorf("mongodb: read %s: %w", c.name, cmp.Or(reach.Explain(err), err)))
			return
		}
		defer cursor.Close(context.WithoutCancel(ctx)) //nolint:errcheck // as above
		for n := 1; cursor.Next(ctx); n++ {
			rec := Record{Line: n}
			if rec.Raw, err = bson.MarshalExtJSON(cursor.Current, false, false); err != nil {
				rec.Err = &Fault{"malformed", "The document cannot be read."}
			} else if len(rec.Raw) > MaxRecord {
				rec.Err = errTooBig
			}
			if !yield(rec, nil) {
				return
			}
		}
		if err := cursor.Err(); err != nil {
			yield(Record{}, fmt.Errorf("mongodb: read %s: %w", c.name, cmp.Or(reach.Explain(err), err)))
		}
	}
}

package mongo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
)

// Each kind of record has a document type whose fields are named as in SQL and
// JSON. What is empty or zero is left out, so that a unique index passes over
// it. Times are dates; a date is UTC in whole milliseconds. Raw JSON is a string,
// which comes back byte for byte. A store is written to by others at times, so a
// document that cannot be read is an error and never half a record.

// errRecord: a document cannot be made of a record, or the other way round.
var errRecord = errors.New("the document and the record do not fit")

// unmarshal decodes one document, and decode makes the record of it.
func unmarshal[D, R any](raw bson.Raw, decode func(*D) *R) (*R, error) {
	var d D
	if err := bson.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return decode(&d), nil
}

func marshal(d any) (bson.Raw, error) {
	raw, err := bson.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return raw, nil
}

// find is the record of the one document that the filter finds.
func find[D, R any](ctx context.Context, s *Store, what string, c *driver.Collection, filter bson.D, decode func(*D) *R) (r *R, err error) {
	err = s.attempt(ctx, what, func(ctx context.Context) error {
		raw, err := c.FindOne(ctx, filter).Raw()
		if err != nil {
			return err
		}
		r, err = unmarshal(raw, decode)
		return err
	})
	return r, err
}

// list is the records of what the filter finds, in this order, up to limit; 0 is
// no limit.
func list[D, R any](ctx context.Context, s *Store, what string, c *driver.Collection, filter, sort bson.D, limit int, decode func(*D) *R) (rs []*R, err error) {
	err = s.attempt(ctx, what, func(ctx context.Context) error {
		rs = nil
		cursor, err := c.Find(ctx, filter, findOptions(sort, limit))
		if err != nil {
			return err
		}
		defer cursor.Close(ctx)
		for cursor.Next(ctx) {
			r, err := unmarshal(cursor.Current, decode)
			if err != nil {
				return err
			}
			rs = append(rs, r)
		}
		return cursor.Err()
	})
	if err != nil {
		return nil, err
	}
	return rs, nil
}

func findOptions(sort bson.D, limit int) *options.FindOptionsBuilder {
	return options.Find().SetSort(sort).SetLimit(int64(limit))
}

// create inserts d.
func create(ctx context.Context, s *Store, what string, c *driver.Collection, d any) error {
	return s.attempt(ctx, what, func(ctx context.Context) error {
		raw, err := marshal(d)
		if err != nil {
			return err
		}
		_, err = c.InsertOne(ctx, raw)
		return err
	})
}

// save puts d in the place of the document of this id and version.
func save(ctx context.Context, s *Store, what string, c *driver.Collection, id string, version int64, d any) error {
	return s.attempt(ctx, what, func(ctx context.Context) error {
		raw, err := marshal(d)
		if err != nil {
			return err
		}
		result, err := c.ReplaceOne(ctx, ofVersion(id, version), raw)
		if err == nil && result.MatchedCount == 0 {
			return gatehouse.ErrStale
		}
		return err
	})
}

// remove deletes the document of this id and version.
func remove(ctx context.Context, s *Store, what string, c *driver.Collection, id string, version int64) error {
	return s.attempt(ctx, what, func(ctx context.Context) error {
		result, err := c.DeleteOne(ctx, ofVersion(id, version))
		if err == nil && result.DeletedCount == 0 {
			return gatehouse.ErrStale
		}
		return err
	})
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

func ofVersion(id string, version int64) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "version", Value: version}}
}

// upTo is a condition on a date; documents without one do not meet it.
func upTo(t time.Time) bson.D { return bson.D{{Key: "$lte", Value: bson.NewDateTimeFromTime(t)}} }

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

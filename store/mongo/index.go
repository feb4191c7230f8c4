package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// index is an index that a collection must have.
type index struct {
	name   string
	key    bson.D
	unique bool // and sparse: documents without the field are passed over
}

// foundIndex is an index as the server lists it. The driver has a type for that,
// which leaves out what decides here.
type foundIndex struct {
	Name      string         `bson:"name"`
	Key       bson.D         `bson:"key"`
	Unique    bool           `bson:"unique"`
	Sparse    bool           `bson:"sparse"`
	Hidden    bool           `bson:"hidden"`
	Partial   bson.Raw       `bson:"partialFilterExpression"`
	Collation *collation     `bson:"collation"`
	Expire    *bson.RawValue `bson:"expireAfterSeconds"`
}

type collation struct {
	Locale string `bson:"locale"`
}

// ensure makes the indexes that are missing, and checks those that are there.
func (s *Store) ensure(ctx context.Context, c *driver.Collection, wanted []index) error {
	found, missing, err := s.missing(ctx, c, wanted)
	if err != nil {
		return err
	}
	for _, w := range missing {
		if err := w.make(ctx, c, found); err != nil {
			return err
		}
	}
	return nil
}

// missing checks the indexes that are there, and returns them and those that are
// not.
func (s *Store) missing(ctx context.Context, c *driver.Collection, wanted []index) (found []foundIndex, missing []index, err error) {
	if len(wanted) == 0 {
		return nil, nil, nil
	}
	err = s.attempt(ctx, "indexes of "+c.Name(), func(ctx context.Context) error {
		found = nil
		cursor, err := c.Indexes().List(ctx)
		if server, ok := errors.AsType[driver.ServerError](err); ok && server.HasErrorCode(26) { // there is no such collection
			return nil
		}
		if err != nil {
			return err
		}
		return cursor.All(ctx, &found)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, w := range wanted {
		there, err := w.in(c, found)
		if err != nil {
			if err := s.simple(ctx, c); err != nil { // it would be made anew as it is
				return nil, nil, err
			}
			return nil, nil, err
		}
		if !there {
			missing = append(missing, w)
		}
	}
	if len(missing) > 0 {
		err = s.simple(ctx, c)
	}
	return found, missing, err
}

// in reports whether the index, or an equal one under another name, is among those
// that were found.
func (w index) in(c *driver.Collection, found []foundIndex) (bool, error) {
	i := slices.IndexFunc(found, func(f foundIndex) bool { return f.Name == w.name })
	if i < 0 {
		return slices.ContainsFunc(found, func(f foundIndex) bool { return w.differs(f) == "" }), nil
	}
	if differs := w.differs(found[i]); differs != "" {
		return true, fmt.Errorf("%w: %s of %s %s; %s", ErrIndex, w.name, c.Name(), differs, found[i].remedy(c))
	}
	return true, nil
}

// make makes an index that is not among those that were found.
func (w index) make(ctx context.Context, c *driver.Collection, found []foundIndex) error {
	o := options.Index().SetName(w.name)
	if w.unique {
		o.SetUnique(true).SetSparse(true)
	}
	// To index what is there already takes as long as it takes.
	_, err := c.Indexes().CreateOne(ctx, driver.IndexModel{Keys: w.key, Options: o})
	if driver.IsDuplicateKeyError(err) {
		return fmt.Errorf("%w: %s of %s cannot be made unique, because documents have the same value; restore a backup", ErrIndex, w.name, c.Name())
	}
	if server, ok := errors.AsType[driver.ServerError](err); ok && (server.HasErrorCode(85) || server.HasErrorCode(86)) {
		// The server makes no second one over the same fields.
		for _, f := range found {
			if w.over(f) {
				return fmt.Errorf("%w: %s of %s cannot be made beside %s, which is over the same fields and %s; %s",
					ErrIndex, w.name, c.Name(), f.Name, w.differs(f), f.remedy(c))
			}
		}
	}
	if err = explain(err); err != nil {
		return fmt.Errorf("make the index %s of %s: %w", w.name, c.Name(), err)
	}
	return nil
}

// over reports whether f is over the same fields.
func (w index) over(f foundIndex) bool {
	return slices.EqualFunc(f.Key, w.key, func(a, b bson.E) bool {
		return a.Key == b.Key && fmt.Sprint(a.Value) == fmt.Sprint(b.Value)
	})
}

// differs is in what f is not as it must be; empty if it is.
func (w index) differs(f foundIndex) string {
	switch {
	case !w.over(f):
		return fmt.Sprintf("is over %v instead of %v", f.Key, w.key)
	case f.Unique != w.unique:
		return fmt.Sprintf("has unique: %t", f.Unique)
	case f.Sparse != w.unique:
		return fmt.Sprintf("has sparse: %t", f.Sparse)
	case len(f.Partial) > 0:
		return "leaves out documents (partialFilterExpression)"
	case f.Collation != nil && f.Collation.Locale != "simple":
		return fmt.Sprintf("takes different texts for the same (collation %s)", f.Collation.Locale)
	case f.Expire != nil:
		return "deletes documents by itself (expireAfterSeconds)"
	case f.Hidden:
		return "is hidden, so that nothing is looked up in it"
	}
	return ""
}

// remedy is what to do about an index that is not as it must be.
func (f foundIndex) remedy(c *driver.Collection) string {
	if f.Hidden {
		return fmt.Sprintf("show it (db.%s.unhideIndex(%q))", c.Name(), f.Name)
	}
	return fmt.Sprintf("drop it (db.%s.dropIndex(%q)), and what is needed is made at the next start", c.Name(), f.Name)
}

// simple is nil if the collection compares texts byte by byte, or does not exist. A
// collation of the collection is one of every index and of every condition.
func (s *Store) simple(ctx context.Context, c *driver.Collection) error {
	var found []struct {
		Type    string `bson:"type"`
		Options struct {
			Collation *collation `bson:"collation"`
		} `bson:"options"`
	}
	err := s.attempt(ctx, "collection "+c.Name(), func(ctx context.Context) error {
		cursor, err := s.db.ListCollections(ctx, bson.D{{Key: "name", Value: c.Name()}})
		if err != nil {
			return err
		}
		return cursor.All(ctx, &found)
	})
	if err != nil || len(found) == 0 {
		return err
	}
	if kind := cmp.Or(found[0].Type, "collection"); kind != "collection" {
		return fmt.Errorf("%w: %s is a %s and not a collection; name the collection itself", ErrIndex, c.Name(), kind)
	}
	if by := found[0].Options.Collation; by != nil && by.Locale != "simple" {
		return fmt.Errorf("%w: those of %s would have the collation %s of the collection, which takes different texts for the same; "+
			"copy its documents into a collection without one", ErrIndex, c.Name(), by.Locale)
	}
	return nil
}

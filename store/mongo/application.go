package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// application warns of users of an application in this database while Gatehouse has
// none: whoever pointed it there expects that they can log in.
func (s *Store) application(ctx context.Context) error {
	const name = "users"
	if s.adopted != nil || s.users.Name() == name {
		return nil
	}
	var found []bson.Raw
	err := s.attempt(ctx, "collection users", func(ctx context.Context) error {
		for _, c := range []*driver.Collection{s.users, s.db.Collection(name)} {
			cursor, err := c.Find(ctx, bson.D{}, options.Find().SetLimit(10))
			if err != nil {
				return err
			}
			if err := cursor.All(ctx, &found); err != nil {
				return err
			}
			if c == s.users && len(found) > 0 {
				found = nil
				return nil
			}
		}
		return nil
	})
	if err == nil && slices.ContainsFunc(found, looksLikeUser) {
		s.warnings = append(s.warnings, "nobody can log in yet, but this database has a collection users with those of an application: "+
			"gatehouse adopt makes them users of Gatehouse where they are, gatehouse import copies them")
	}
	return err
}

// looksLikeUser reports whether a document has an address and a password, as those
// have that are written with Mongoose.
func looksLikeUser(document bson.Raw) bool {
	is := func(name string) bool {
		v, err := document.LookupErr(name)
		return err == nil && v.Type == bson.TypeString
	}
	return is("email") && slices.ContainsFunc([]string{"password", "hashedPassword", "passwordHash"}, is)
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
)

// Walk implements [gatehouse.Mover]. It goes by the ids, so that what is changed
// meanwhile is met once.
func (s *Store) Walk(ctx context.Context, f func(*gatehouse.Records) error) error {
	return inTurn([]func() error{
		func() error {
			return s.walkUsers(ctx, func(rs []*gatehouse.User) error { return f(&gatehouse.Records{Users: rs}) })
		},
		func() error {
			return walk(ctx, s, s.sessions, decodeSession, func(r *gatehouse.Session) string { return r.ID },
				func(rs []*gatehouse.Session) error { return f(&gatehouse.Records{Sessions: rs}) })
		},
		func() error {
			return walk(ctx, s, s.challenges, decodeChallenge, func(r *gatehouse.Challenge) string { return r.ID },
				func(rs []*gatehouse.Challenge) error { return f(&gatehouse.Records{Challenges: rs}) })
		},
		func() error {
			return walk(ctx, s, s.settings, decodeSetting, func(r *gatehouse.Setting) string { return r.Name },
				func(rs []*gatehouse.Setting) error { return f(&gatehouse.Records{Settings: rs}) })
		},
		func() error {
			return walk(ctx, s, s.tasks, decodeTask, func(r *gatehouse.Task) string { return r.ID },
				func(rs []*gatehouse.Task) error { return f(&gatehouse.Records{Tasks: rs}) })
		},
		func() error {
			return walk(ctx, s, s.events, decodeEvent, func(r *gatehouse.Event) string { return r.ID },
				func(rs []*gatehouse.Event) error { return f(&gatehouse.Records{Events: rs}) })
		},
	})
}

// Load implements [gatehouse.Mover].
func (s *Store) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	taken := new(gatehouse.Records)
	err := inTurn([]func() error{
		func() (err error) {
			if a := s.adopted; a != nil {
				taken.Users, err = load(ctx, s, a.c, r.Users, func(r *gatehouse.User) (any, error) { return a.document(r, r.Version) })
			} else {
				taken.Users, err = load(ctx, s, s.users, r.Users, func(r *gatehouse.User) (any, error) { return encodeUser(r, r.Version), nil })
			}
			return err
		},
		func() (err error) {
			taken.Sessions, err = load(ctx, s, s.sessions, r.Sessions, func(r *gatehouse.Session) (any, error) { return encodeSession(r, r.Version), nil })
			return err
		},
		func() (err error) {
			taken.Challenges, err = load(ctx, s, s.challenges, r.Challenges, func(r *gatehouse.Challenge) (any, error) { return encodeChallenge(r, r.Version), nil })
			return err
		},
		func() (err error) {
			taken.Events, err = load(ctx, s, s.events, r.Events, func(r *gatehouse.Event) (any, error) { return encodeEvent(r), nil })
			return err
		},
		func() (err error) {
			taken.Settings, err = load(ctx, s, s.settings, r.Settings, func(r *gatehouse.Setting) (any, error) { return encodeSetting(r, r.Version), nil })
			return err
		},
		func() (err error) {
			taken.Tasks, err = load(ctx, s, s.tasks, r.Tasks, func(r *gatehouse.Task) (any, error) { return encodeTask(r, r.Version), nil })
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func inTurn(steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) walkUsers(ctx context.Context, f func([]*gatehouse.User) error) error {
	if s.adopted == nil {
		return walk(ctx, s, s.users, decodeUser, func(r *gatehouse.User) string { return r.ID }, f)
	}
	for after := ""; ; {
		users, err := s.Users(ctx, after, s.opts.page)
		if err != nil || len(users) == 0 {
			return err
		}
		after = users[len(users)-1].ID
		if err := f(users); err != nil {
			return err
		}
	}
}

// walk hands all records of a collection to f, a page at a time. They are of ours,
// with a text as _id; one with another was made by somebody else, and would be
// passed over, since ids are compared within their type alone.
func walk[D, R any](ctx context.Context, s *Store, c *driver.Collection, decode func(*D) *R, id func(*R) string, f func([]*R) error) error {
	filter := bson.D{}
	for {
		rs, err := list(ctx, s, "walk "+c.Name(), c, filter, bson.D{{Key: "_id", Value: 1}}, s.opts.page, decode)
		if err != nil {
			return err
		}
		if len(rs) == 0 {
			return s.onlyTexts(ctx, c)
		}
		last := id(rs[len(rs)-1]) // f may keep them, and change them
		if err := f(rs); err != nil {
			return err
		}
		filter = bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: last}}}}
	}
}

// onlyTexts is nil if every _id of the collection is a text.
func (s *Store) onlyTexts(ctx context.Context, c *driver.Collection) error {
	return s.attempt(ctx, "walk "+c.Name(), func(ctx context.Context) error {
		_, err := c.FindOne(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$type", Value: "string"}}}}}}).Raw()
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%w: a document of %s was made by somebody else: its _id is not a text", errRecord, c.Name())
		}
		return err
	})
}

// load inserts the records, and returns those for which there was no place.
func load[R any](ctx context.Context, s *Store, c *driver.Collection, rs []*R, encode func(*R) (any, error)) (taken []*R, err error) {
	for part := range slices.Chunk(rs, s.opts.page) {
		documents := make([]any, len(part))
		for i, r := range part {
			d, err := encode(r)
			if err != nil {
				return nil, err
			}
			if documents[i], err = marshal(d); err != nil {
				return nil, err
			}
		}
		err := s.attempt(ctx, "load "+c.Name(), func(ctx context.Context) error {
			_, err := c.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
			bulk, ok := errors.AsType[driver.BulkWriteException](err)
			if !ok {
				return err
			}
			if bulk.WriteConcernError != nil {
				return fmt.Errorf("%w: no majority of the replica set has confirmed the write", gatehouse.ErrUnavailable)
			}
			for _, w := range bulk.WriteErrors {
				if !w.HasErrorCode(duplicateKey) {
					return w.WriteError
				}
				taken = append(taken, part[w.Index])
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return taken, nil
}

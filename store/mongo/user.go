package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

type userDocument struct {
	ID     string     `bson:"_id"`
	Fields userFields `bson:",inline"`
}

type userFields struct {
	Version     int64                `bson:"version"`
	Email       string               `bson:"email,omitempty"`
	EmailKey    string               `bson:"email_key,omitempty"`
	Name        string               `bson:"name,omitempty"`
	Roles       []string             `bson:"roles,omitempty"`
	Keys        []string             `bson:"keys,omitempty"`
	Credentials []credentialDocument `bson:"credentials,omitempty"`
	Epoch       int64                `bson:"epoch"`
	DisabledAt  time.Time            `bson:"disabled_at,omitempty"`
	CreatedAt   time.Time            `bson:"created_at,omitempty"`
	UpdatedAt   time.Time            `bson:"updated_at,omitempty"`
	Extra       string               `bson:"extra,omitempty"`
}

type credentialDocument struct {
	ID        string    `bson:"id"`
	Kind      string    `bson:"kind"`
	Hash      string    `bson:"hash,omitempty"`
	CreatedAt time.Time `bson:"created_at,omitempty"`
	ChangedAt time.Time `bson:"changed_at,omitempty"`
	Data      string    `bson:"data,omitempty"`
}

// encodeUser is the document of u, with the version that it will have.
func encodeUser(u *gatehouse.User, version int64) userDocument {
	return userDocument{u.ID, encodeFields(u, version)}
}

func encodeFields(u *gatehouse.User, version int64) userFields {
	credentials := make([]credentialDocument, len(u.Credentials))
	for i, c := range u.Credentials {
		credentials[i] = credentialDocument{c.ID, c.Kind, c.Hash, c.CreatedAt, c.ChangedAt, string(c.Data)}
	}
	return userFields{
		Version: version, Email: u.Email, EmailKey: u.EmailKey, Name: u.Name, Roles: u.Roles, Keys: u.Keys,
		Credentials: credentials, Epoch: u.Epoch,
		DisabledAt: u.DisabledAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Extra: string(u.Extra),
	}
}

func decodeUser(d *userDocument) *gatehouse.User { return d.Fields.decode(d.ID) }

func (f *userFields) decode(id string) *gatehouse.User {
	var credentials []gatehouse.Credential
	for _, c := range f.Credentials {
		credentials = append(credentials, gatehouse.Credential{
			ID: c.ID, Kind: c.Kind, Hash: c.Hash, CreatedAt: c.CreatedAt, ChangedAt: c.ChangedAt, Data: raw(c.Data),
		})
	}
	return &gatehouse.User{
		ID: id, Version: f.Version, Email: f.Email, EmailKey: f.EmailKey, Name: f.Name, Roles: f.Roles, Keys: f.Keys,
		Credentials: credentials, Epoch: f.Epoch,
		DisabledAt: f.DisabledAt, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt, Extra: raw(f.Extra),
	}
}

// CreateUser implements [gatehouse.Store].
func (s *Store) CreateUser(ctx context.Context, u *gatehouse.User) (err error) {
	if s.adopted != nil {
		err = s.attempt(ctx, "create user", func(ctx context.Context) error { return s.adopted.create(ctx, u) })
	} else {
		err = create(ctx, s, "create user", s.users, encodeUser(u, 1))
	}
	if err != nil {
		return err
	}
	u.Version = 1
	return nil
}

// User implements [gatehouse.Store].
func (s *Store) User(ctx context.Context, id string) (*gatehouse.User, error) {
	if s.adopted != nil {
		return s.fromAdopted(ctx, "user", id, s.adopted.byID)
	}
	return find(ctx, s, "user", s.users, byID(id), decodeUser)
}

// UserByEmail implements [gatehouse.Store].
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (*gatehouse.User, error) {
	if s.adopted != nil {
		return s.fromAdopted(ctx, "user by email", emailKey, s.adopted.byEmail)
	}
	return find(ctx, s, "user by email", s.users, bson.D{{Key: "email_key", Value: emailKey}}, decodeUser)
}

// UserByKey implements [gatehouse.Store].
func (s *Store) UserByKey(ctx context.Context, key string) (*gatehouse.User, error) {
	if s.adopted != nil {
		return s.fromAdopted(ctx, "user by key", key, s.adopted.byKey)
	}
	return find(ctx, s, "user by key", s.users, bson.D{{Key: "keys", Value: key}}, decodeUser)
}

func (s *Store) fromAdopted(ctx context.Context, what, by string, f func(context.Context, string) (*gatehouse.User, error)) (u *gatehouse.User, err error) {
	err = s.attempt(ctx, what, func(ctx context.Context) (err error) {
		u, err = f(ctx, by)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// SaveUser implements [gatehouse.Store].
func (s *Store) SaveUser(ctx context.Context, u *gatehouse.User) (err error) {
	if s.adopted != nil {
		err = s.attempt(ctx, "save user", func(ctx context.Context) error { return s.adopted.save(ctx, u) })
	} else {
		err = save(ctx, s, "save user", s.users, u.ID, u.Version, encodeUser(u, u.Version+1))
	}
	if err != nil {
		return err
	}
	u.Version++
	return nil
}

// DeleteUser implements [gatehouse.Store].
func (s *Store) DeleteUser(ctx context.Context, id string, version int64) error {
	if s.adopted != nil {
		return s.attempt(ctx, "delete user", func(ctx context.Context) error { return s.adopted.delete(ctx, id, version) })
	}
	return remove(ctx, s, "delete user", s.users, id, version)
}

// Users implements [gatehouse.Store].
func (s *Store) Users(ctx context.Context, after string, limit int) (users []*gatehouse.User, err error) {
	if s.adopted != nil {
		err = s.attempt(ctx, "users", func(ctx context.Context) (err error) {
			users, err = s.adopted.list(ctx, after, limit)
			return err
		})
		return users, err
	}
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}
	return list(ctx, s, "users", s.users, filter, bson.D{{Key: "_id", Value: 1}}, limit, decodeUser)
}

package mongo

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

type challengeDocument struct {
	ID        string    `bson:"_id"`
	Version   int64     `bson:"version"`
	Kind      string    `bson:"kind"`
	UserID    string    `bson:"user_id,omitempty"`
	Attempts  int64     `bson:"attempts"`
	Data      string    `bson:"data,omitempty"`
	CreatedAt time.Time `bson:"created_at,omitempty"`
	ExpiresAt time.Time `bson:"expires_at,omitempty"`
}

func encodeChallenge(c *gatehouse.Challenge, version int64) challengeDocument {
	return challengeDocument{c.ID, version, c.Kind, c.UserID, int64(c.Attempts), string(c.Data), c.CreatedAt, c.ExpiresAt}
}

func decodeChallenge(d *challengeDocument) *gatehouse.Challenge {
	return &gatehouse.Challenge{
		ID: d.ID, Version: d.Version, Kind: d.Kind, UserID: d.UserID, Attempts: int(d.Attempts),
		Data: raw(d.Data), CreatedAt: d.CreatedAt, ExpiresAt: d.ExpiresAt,
	}
}

// CreateChallenge implements [gatehouse.Store].
func (s *Store) CreateChallenge(ctx context.Context, c *gatehouse.Challenge) error {
	if err := create(ctx, s, "create challenge", s.challenges, encodeChallenge(c, 1)); err != nil {
		return err
	}
	c.Version = 1
	return nil
}

// Challenge implements [gatehouse.Store].
func (s *Store) Challenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	return find(ctx, s, "challenge", s.challenges, byID(id), decodeChallenge)
}

// SaveChallenge implements [gatehouse.Store].
func (s *Store) SaveChallenge(ctx context.Context, c *gatehouse.Challenge) error {
	if err := save(ctx, s, "save challenge", s.challenges, c.ID, c.Version, encodeChallenge(c, c.Version+1)); err != nil {
		return err
	}
	c.Version++
	return nil
}

// TakeChallenge implements [gatehouse.Store].
func (s *Store) TakeChallenge(ctx context.Context, id string) (c *gatehouse.Challenge, err error) {
	err = s.attempt(ctx, "take challenge", func(ctx context.Context) error {
		document, err := s.challenges.FindOneAndDelete(ctx, byID(id)).Raw()
		if err != nil {
			return err
		}
		c, err = unmarshal(document, decodeChallenge)
		return err
	})
	return c, err
}

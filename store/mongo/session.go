package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

type sessionDocument struct {
	ID              string    `bson:"_id"`
	Version         int64     `bson:"version"`
	UserID          string    `bson:"user_id,omitempty"`
	Epoch           int64     `bson:"epoch"`
	Generation      int64     `bson:"generation"`
	RotatedAt       time.Time `bson:"rotated_at,omitempty"`
	CreatedAt       time.Time `bson:"created_at,omitempty"`
	AuthenticatedAt time.Time `bson:"authenticated_at,omitempty"`
	LastSeenAt      time.Time `bson:"last_seen_at,omitempty"`
	Methods         []string  `bson:"methods,omitempty"`
	InactiveAt      time.Time `bson:"inactive_at,omitempty"`
	EndsAt          time.Time `bson:"ends_at,omitempty"`
	TerminatedAt    time.Time `bson:"terminated_at,omitempty"`
	ExpiresAt       time.Time `bson:"expires_at,omitempty"`
	UserAgent       string    `bson:"user_agent,omitempty"`
	Address         string    `bson:"address,omitempty"`
	Extra           string    `bson:"extra,omitempty"`
}

func encodeSession(x *gatehouse.Session, version int64) sessionDocument {
	return sessionDocument{
		ID: x.ID, Version: version, UserID: x.UserID, Epoch: x.Epoch, Generation: x.Generation,
		RotatedAt: x.RotatedAt, CreatedAt: x.CreatedAt, AuthenticatedAt: x.AuthenticatedAt, LastSeenAt: x.LastSeenAt,
		Methods: x.Methods, InactiveAt: x.InactiveAt, EndsAt: x.EndsAt, TerminatedAt: x.TerminatedAt,
		ExpiresAt: x.ExpiresAt, UserAgent: x.UserAgent, Address: x.Address, Extra: string(x.Extra),
	}
}

func decodeSession(d *sessionDocument) *gatehouse.Session {
	return &gatehouse.Session{
		ID: d.ID, Version: d.Version, UserID: d.UserID, Epoch: d.Epoch, Generation: d.Generation,
		RotatedAt: d.RotatedAt, CreatedAt: d.CreatedAt, AuthenticatedAt: d.AuthenticatedAt, LastSeenAt: d.LastSeenAt,
		Methods: d.Methods, InactiveAt: d.InactiveAt, EndsAt: d.EndsAt, TerminatedAt: d.TerminatedAt,
		ExpiresAt: d.ExpiresAt, UserAgent: d.UserAgent, Address: d.Address, Extra: raw(d.Extra),
	}
}

// CreateSession implements [gatehouse.Store].
func (s *Store) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	if err := create(ctx, s, "create session", s.sessions, encodeSession(x, 1)); err != nil {
		return err
	}
	x.Version = 1
	return nil
}

// Session implements [gatehouse.Store].
func (s *Store) Session(ctx context.Context, id string) (*gatehouse.Session, error) {
	return find(ctx, s, "session", s.sessions, byID(id), decodeSession)
}

// SaveSession implements [gatehouse.Store].
func (s *Store) SaveSession(ctx context.Context, x *gatehouse.Session) error {
	if err := save(ctx, s, "save session", s.sessions, x.ID, x.Version, encodeSession(x, x.Version+1)); err != nil {
		return err
	}
	x.Version++
	return nil
}

// SessionsOf implements [gatehouse.Store]. The index leads to the sessions that
// have no terminated_at, in this order.
func (s *Store) SessionsOf(ctx context.Context, userID string) ([]*gatehouse.Session, error) {
	filter := bson.D{{Key: "user_id", Value: userID}, {Key: "terminated_at", Value: nil}}
	return list(ctx, s, "sessions of user", s.sessions, filter, bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}, 0, decodeSession)
}

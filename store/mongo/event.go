package mongo

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

type eventDocument struct {
	ID        string         `bson:"_id"`
	At        time.Time      `bson:"at,omitempty"`
	Kind      string         `bson:"kind"`
	Outcome   string         `bson:"outcome,omitempty"`
	UserID    string         `bson:"user_id,omitempty"`
	ActorID   string         `bson:"actor_id,omitempty"`
	SessionID string         `bson:"session_id,omitempty"`
	Address   string         `bson:"address,omitempty"`
	UserAgent string         `bson:"user_agent,omitempty"`
	Ref       string         `bson:"ref,omitempty"`
	Data      []dataDocument `bson:"data,omitempty"`
	ExpiresAt time.Time      `bson:"expires_at,omitempty"`
	Chain     string         `bson:"chain,omitempty"`
	Sequence  int64          `bson:"sequence,omitempty"`
	Proof     []byte         `bson:"proof,omitempty"`
}

// dataDocument is one entry of Data: not every string can be the name of a field.
type dataDocument struct {
	Name  string `bson:"name"`
	Value string `bson:"value"`
}

func encodeEvent(e *gatehouse.Event) eventDocument {
	var data []dataDocument
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		data = append(data, dataDocument{name, e.Data[name]})
	}
	return eventDocument{
		ID: e.ID, At: e.At, Kind: e.Kind, Outcome: e.Outcome, UserID: e.UserID, ActorID: e.ActorID, SessionID: e.SessionID,
		Address: e.Address, UserAgent: e.UserAgent, Ref: e.Ref, Data: data, ExpiresAt: e.ExpiresAt,
		Chain: e.Chain, Sequence: e.Sequence, Proof: e.Proof,
	}
}

func decodeEvent(d *eventDocument) *gatehouse.Event {
	var data map[string]string
	for _, x := range d.Data {
		if data == nil {
			data = make(map[string]string, len(d.Data))
		}
		data[x.Name] = x.Value
	}
	return &gatehouse.Event{
		ID: d.ID, At: d.At, Kind: d.Kind, Outcome: d.Outcome, UserID: d.UserID, ActorID: d.ActorID, SessionID: d.SessionID,
		Address: d.Address, UserAgent: d.UserAgent, Ref: d.Ref, Data: data, ExpiresAt: d.ExpiresAt,
		Chain: d.Chain, Sequence: d.Sequence, Proof: d.Proof,
	}
}

// AppendEvent implements [gatehouse.Store].
func (s *Store) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	return create(ctx, s, "append event", s.events, encodeEvent(e))
}

// Events implements [gatehouse.Store].
func (s *Store) Events(ctx context.Context, q gatehouse.EventQuery) ([]*gatehouse.Event, error) {
	filter := bson.D{}
	if q.UserID != "" {
		filter = append(filter, bson.E{Key: "user_id", Value: q.UserID})
	}
	if q.Kind != "" {
		filter = append(filter, bson.E{Key: "kind", Value: q.Kind})
	}
	between := bson.D{{Key: "$gt", Value: q.After}}
	if q.Before != "" {
		between = append(between, bson.E{Key: "$lt", Value: q.Before})
	}
	filter = append(filter, bson.E{Key: "_id", Value: between})
	return list(ctx, s, "events", s.events, filter, bson.D{{Key: "_id", Value: -1}}, q.Limit, decodeEvent)
}

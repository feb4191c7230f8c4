package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
)

type taskDocument struct {
	ID          string    `bson:"_id"`
	Version     int64     `bson:"version"`
	Kind        string    `bson:"kind"`
	Data        string    `bson:"data,omitempty"`
	Attempts    int64     `bson:"attempts"`
	DueAt       time.Time `bson:"due_at,omitempty"`
	LeasedUntil time.Time `bson:"leased_until,omitempty"`
	CreatedAt   time.Time `bson:"created_at,omitempty"`
	ExpiresAt   time.Time `bson:"expires_at,omitempty"`
}

func encodeTask(t *gatehouse.Task, version int64) taskDocument {
	return taskDocument{t.ID, version, t.Kind, string(t.Data), int64(t.Attempts), t.DueAt, t.LeasedUntil, t.CreatedAt, t.ExpiresAt}
}

func decodeTask(d *taskDocument) *gatehouse.Task {
	return &gatehouse.Task{
		ID: d.ID, Version: d.Version, Kind: d.Kind, Data: raw(d.Data), Attempts: int(d.Attempts),
		DueAt: d.DueAt, LeasedUntil: d.LeasedUntil, CreatedAt: d.CreatedAt, ExpiresAt: d.ExpiresAt,
	}
}

// CreateTask implements [gatehouse.Store].
func (s *Store) CreateTask(ctx context.Context, t *gatehouse.Task) error {
	if err := create(ctx, s, "create task", s.tasks, encodeTask(t, 1)); err != nil {
		return err
	}
	t.Version = 1
	return nil
}

// ClaimTask implements [gatehouse.Store].
func (s *Store) ClaimTask(ctx context.Context, kinds []string, now, until time.Time) (t *gatehouse.Task, err error) {
	if len(kinds) == 0 {
		return nil, gatehouse.ErrNotFound
	}
	due := bson.D{
		{Key: "due_at", Value: upTo(now)},
		{Key: "kind", Value: bson.D{{Key: "$in", Value: kinds}}},
		{Key: "$or", Value: bson.A{bson.D{{Key: "leased_until", Value: nil}}, bson.D{{Key: "leased_until", Value: upTo(now)}}}},
	}
	lease := bson.D{
		{Key: "$set", Value: bson.D{{Key: "leased_until", Value: bson.NewDateTimeFromTime(until)}}},
		{Key: "$inc", Value: bson.D{{Key: "attempts", Value: int64(1)}, {Key: "version", Value: int64(1)}}},
	}
	longestFirst := bson.D{{Key: "due_at", Value: 1}, {Key: "_id", Value: 1}}
	err = s.attempt(ctx, "claim task", func(ctx context.Context) error {
		document, err := s.tasks.FindOneAndUpdate(ctx, due, lease,
			options.FindOneAndUpdate().SetSort(longestFirst).SetReturnDocument(options.After)).Raw()
		if err != nil {
			return err
		}
		t, err = unmarshal(document, decodeTask)
		return err
	})
	return t, err
}

// SaveTask implements [gatehouse.Store].
func (s *Store) SaveTask(ctx context.Context, t *gatehouse.Task) error {
	if err := save(ctx, s, "save task", s.tasks, t.ID, t.Version, encodeTask(t, t.Version+1)); err != nil {
		return err
	}
	t.Version++
	return nil
}

// DeleteTask implements [gatehouse.Store].
func (s *Store) DeleteTask(ctx context.Context, id string, version int64) error {
	return remove(ctx, s, "delete task", s.tasks, id, version)
}

// Sweep implements [gatehouse.Store]. There are no TTL indexes: they would
// delete by the clock of the server, and Gatehouse sweeps anyway.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (deleted int, err error) {
	expired := bson.E{Key: "expires_at", Value: upTo(now)}
	for _, c := range []*driver.Collection{s.sessions, s.challenges, s.events, s.tasks} {
		err := s.attempt(ctx, "sweep", func(ctx context.Context) error {
			cursor, err := c.Find(ctx, bson.D{expired}, options.Find().SetLimit(int64(limit)).
				SetSort(bson.D{{Key: "expires_at", Value: 1}}).SetProjection(bson.D{{Key: "_id", Value: 1}}))
			if err != nil {
				return err
			}
			var found []struct {
				ID string `bson:"_id"`
			}
			if err := cursor.All(ctx, &found); err != nil || len(found) == 0 {
				return err
			}
			ids := make([]string, len(found))
			for i, f := range found {
				ids[i] = f.ID
			}
			// What was given more time since is no longer expired, and stays.
			result, err := c.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, expired})
			if err == nil {
				deleted += int(result.DeletedCount)
			}
			return err
		})
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

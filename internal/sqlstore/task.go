package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const taskColumns = `id, version, kind, data, attempts, due_at, leased_until, created_at, expires_at`

func decodeTask(r Row) (*gatehouse.Task, error) {
	v := r.values()
	t := &gatehouse.Task{
		ID: v.text(), Version: v.int(), Kind: v.text(), Data: v.raw(), Attempts: int(v.int()),
		DueAt: v.time(), LeasedUntil: v.time(), CreatedAt: v.time(), ExpiresAt: v.time(),
	}
	if v.err != nil {
		return nil, fmt.Errorf("decode task: %w", v.err)
	}
	return t, nil
}

func encodeTask(t *gatehouse.Task, version int64) []any {
	return []any{
		t.ID, version, t.Kind, raw(t.Data), int64(t.Attempts),
		millis(t.DueAt), millis(t.LeasedUntil), millis(t.CreatedAt), millis(t.ExpiresAt),
	}
}

// CreateTask implements [gatehouse.Store].
func (s *Store) CreateTask(ctx context.Context, t *gatehouse.Task) error {
	const insert = `INSERT INTO tasks (` + taskColumns + `) ` +
		`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`
	if err := s.write(ctx, "create task", gatehouse.ErrExists, insert, encodeTask(t, 1)...); err != nil {
		return err
	}
	t.Version = 1
	return nil
}

// ClaimTask implements [gatehouse.Store].
func (s *Store) ClaimTask(ctx context.Context, kinds []string, now, until time.Time) (*gatehouse.Task, error) {
	if len(kinds) == 0 {
		return nil, gatehouse.ErrNotFound
	}
	// The outer condition on the lease is for engines in which two callers may
	// choose the same row: the second finds it leased, and changes nothing.
	const free = `(leased_until IS NULL OR leased_until <= $1)`
	args := []any{now.UnixMilli(), millis(until)}
	places := make([]string, len(kinds))
	for i, kind := range kinds {
		args = append(args, kind)
		places[i] = "$" + strconv.Itoa(len(args))
	}
	claim := `UPDATE tasks SET leased_until = $2, attempts = attempts + 1, version = version + 1 WHERE id = (` +
		`SELECT id FROM tasks WHERE due_at <= $1 AND kind IN (` + strings.Join(places, ", ") + `) AND ` + free +
		` ORDER BY due_at, id LIMIT 1` + s.dialect.SkipLocked + `) AND ` + free + ` RETURNING ` + taskColumns
	var t *gatehouse.Task
	err := s.db.Write(ctx, func(c Conn) (err error) {
		t, err = one(ctx, c, claim, decodeTask, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim task: %w", err)
	}
	return t, nil
}

// SaveTask implements [gatehouse.Store].
func (s *Store) SaveTask(ctx context.Context, t *gatehouse.Task) error {
	const update = `UPDATE tasks SET version = $2, kind = $3, data = $4, attempts = $5, due_at = $6, ` +
		`leased_until = $7, created_at = $8, expires_at = $9 WHERE id = $1 AND version = $10`
	args := append(encodeTask(t, t.Version+1), t.Version)
	if err := s.write(ctx, "save task", gatehouse.ErrStale, update, args...); err != nil {
		return err
	}
	t.Version++
	return nil
}

// DeleteTask implements [gatehouse.Store].
func (s *Store) DeleteTask(ctx context.Context, id string, version int64) error {
	return s.write(ctx, "delete task", gatehouse.ErrStale, `DELETE FROM tasks WHERE id = $1 AND version = $2`, id, version)
}

// Sweep implements [gatehouse.Store]. Each kind is a write of its own, so that
// others get their turn in between. Where rows are locked, those that somebody is
// changing are left: the change may be that they live longer.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	var deleted int
	for _, table := range []string{"sessions", "challenges", "events", "tasks"} {
		query := `DELETE FROM ` + table + ` WHERE id ` + s.dialect.Among + `SELECT id FROM ` + table +
			` WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2` + s.dialect.SkipLocked + s.dialect.AmongEnd
		var n int64
		err := s.db.Write(ctx, func(c Conn) (err error) {
			n, err = c.Exec(ctx, query, now.UnixMilli(), int64(limit))
			return err
		})
		if err != nil {
			return deleted, fmt.Errorf("sweep %s: %w", table, err)
		}
		deleted += int(n)
	}
	return deleted, nil
}

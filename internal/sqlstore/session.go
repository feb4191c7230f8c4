package sqlstore

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

const sessionColumns = `id, version, user_id, created_at, expires_at, epoch, generation, rotated_at, ` +
	`authenticated_at, last_seen_at, methods, inactive_at, ends_at, terminated_at, user_agent, address, extra`

func decodeSession(r Row) (*gatehouse.Session, error) {
	v := r.values()
	x := &gatehouse.Session{
		ID: v.text(), Version: v.int(), UserID: v.text(), CreatedAt: v.time(), ExpiresAt: v.time(),
		Epoch: v.int(), Generation: v.int(), RotatedAt: v.time(),
		AuthenticatedAt: v.time(), LastSeenAt: v.time(), Methods: v.texts(),
		InactiveAt: v.time(), EndsAt: v.time(), TerminatedAt: v.time(),
		UserAgent: v.text(), Address: v.text(), Extra: v.raw(),
	}
	if v.err != nil {
		return nil, fmt.Errorf("decode session: %w", v.err)
	}
	return x, nil
}

// encodeSession is the arguments for sessionColumns, with the version it will
// have.
func encodeSession(x *gatehouse.Session, version int64) ([]any, error) {
	methods, err := texts(x.Methods)
	if err != nil {
		return nil, fmt.Errorf("encode methods: %w", err)
	}
	return []any{
		x.ID, version, x.UserID, millis(x.CreatedAt), millis(x.ExpiresAt),
		x.Epoch, x.Generation, millis(x.RotatedAt),
		millis(x.AuthenticatedAt), millis(x.LastSeenAt), methods,
		millis(x.InactiveAt), millis(x.EndsAt), millis(x.TerminatedAt),
		whatever(x.UserAgent), x.Address, raw(x.Extra),
	}, nil
}

// CreateSession implements [gatehouse.Store].
func (s *Store) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	const insert = `INSERT INTO sessions (` + sessionColumns + `) ` +
		`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`
	args, err := encodeSession(x, 1)
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	if err := s.write(ctx, "create session", gatehouse.ErrExists, insert, args...); err != nil {
		return err
	}
	x.Version = 1
	return nil
}

// Session implements [gatehouse.Store].
func (s *Store) Session(ctx context.Context, id string) (*gatehouse.Session, error) {
	return find(ctx, s, "session", `SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, decodeSession, id)
}

// SQLite writes the entries of an index anew when a statement names one of its
// columns, changed or not. A refresh changes none of them, and refreshes are
// most of all writes: so the first statement leaves these columns out, and
// finds the row only if they are the same. The second is for all other cases.
const (
	sessionFields = `version = $2, epoch = $6, generation = $7, rotated_at = $8, authenticated_at = $9, ` +
		`last_seen_at = $10, methods = $11, inactive_at = $12, ends_at = $13, terminated_at = $14, ` +
		`user_agent = $15, address = $16, extra = $17`
	refreshSession = `UPDATE sessions SET ` + sessionFields + ` WHERE id = $1 AND version = $18 ` +
		`AND user_id = $3 AND created_at IS NOT DISTINCT FROM $4 AND expires_at IS NOT DISTINCT FROM $5`
	changeSession = `UPDATE sessions SET user_id = $3, created_at = $4, expires_at = $5, ` + sessionFields +
		` WHERE id = $1 AND version = $18`
)

// SaveSession implements [gatehouse.Store].
func (s *Store) SaveSession(ctx context.Context, x *gatehouse.Session) error {
	args, err := encodeSession(x, x.Version+1)
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	args = append(args, x.Version)
	err = s.db.Write(ctx, func(c Conn) error {
		if n, err := c.Exec(ctx, refreshSession, args...); err != nil || n > 0 {
			return err
		}
		n, err := c.Exec(ctx, changeSession, args...)
		return changed(n, err, gatehouse.ErrStale)
	})
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	x.Version++
	return nil
}

// SessionsOf implements [gatehouse.Store].
func (s *Store) SessionsOf(ctx context.Context, userID string) ([]*gatehouse.Session, error) {
	const query = `SELECT ` + sessionColumns + ` FROM sessions WHERE user_id = $1 AND terminated_at IS NULL ORDER BY created_at DESC, id DESC`
	return list(ctx, s, "sessions", query, decodeSession, userID)
}

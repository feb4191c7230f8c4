package sqlstore

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

const challengeColumns = `id, version, kind, user_id, attempts, data, created_at, expires_at`

func decodeChallenge(r Row) (*gatehouse.Challenge, error) {
	v := r.values()
	x := &gatehouse.Challenge{
		ID: v.text(), Version: v.int(), Kind: v.text(), UserID: v.text(), Attempts: int(v.int()),
		Data: v.raw(), CreatedAt: v.time(), ExpiresAt: v.time(),
	}
	if v.err != nil {
		return nil, fmt.Errorf("decode challenge: %w", v.err)
	}
	return x, nil
}

func encodeChallenge(x *gatehouse.Challenge, version int64) []any {
	return []any{
		x.ID, version, x.Kind, x.UserID, int64(x.Attempts), raw(x.Data), millis(x.CreatedAt), millis(x.ExpiresAt),
	}
}

// CreateChallenge implements [gatehouse.Store].
func (s *Store) CreateChallenge(ctx context.Context, x *gatehouse.Challenge) error {
	const insert = `INSERT INTO challenges (` + challengeColumns + `) ` +
		`VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	if err := s.write(ctx, "create challenge", gatehouse.ErrExists, insert, encodeChallenge(x, 1)...); err != nil {
		return err
	}
	x.Version = 1
	return nil
}

// Challenge implements [gatehouse.Store].
func (s *Store) Challenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	return find(ctx, s, "challenge", `SELECT `+challengeColumns+` FROM challenges WHERE id = $1`, decodeChallenge, id)
}

// SaveChallenge implements [gatehouse.Store].
func (s *Store) SaveChallenge(ctx context.Context, x *gatehouse.Challenge) error {
	const update = `UPDATE challenges SET version = $2, kind = $3, user_id = $4, attempts = $5, data = $6, ` +
		`created_at = $7, expires_at = $8 WHERE id = $1 AND version = $9`
	args := append(encodeChallenge(x, x.Version+1), x.Version)
	if err := s.write(ctx, "save challenge", gatehouse.ErrStale, update, args...); err != nil {
		return err
	}
	x.Version++
	return nil
}

// TakeChallenge implements [gatehouse.Store].
func (s *Store) TakeChallenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	const take = `DELETE FROM challenges WHERE id = $1 RETURNING ` + challengeColumns
	var x *gatehouse.Challenge
	err := s.db.Write(ctx, func(c Conn) (err error) {
		x, err = one(ctx, c, take, decodeChallenge, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take challenge: %w", err)
	}
	return x, nil
}

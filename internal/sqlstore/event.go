package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
)

const eventColumns = `id, at, kind, outcome, user_id, actor_id, session_id, address, user_agent, ref, data, expires_at, chain, sequence, proof`

func decodeEvent(r Row) (*gatehouse.Event, error) {
	v := r.values()
	e := &gatehouse.Event{
		ID: v.text(), At: v.time(), Kind: v.text(), Outcome: v.text(), UserID: v.text(), ActorID: v.text(),
		SessionID: v.text(), Address: v.text(), UserAgent: v.text(), Ref: v.text(),
	}
	v.json(&e.Data)
	e.ExpiresAt, e.Chain, e.Sequence, e.Proof = v.time(), v.text(), v.int(), v.bytes()
	if v.err != nil {
		return nil, fmt.Errorf("decode event: %w", v.err)
	}
	return e, nil
}

func encodeEvent(e *gatehouse.Event) ([]any, error) {
	var data, proof any
	if len(e.Proof) > 0 {
		proof = bytes.Clone(e.Proof)
	}
	if len(e.Data) > 0 {
		j, err := text(e.Data)
		if err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
		data = j
	}
	return []any{
		e.ID, millis(e.At), e.Kind, e.Outcome, e.UserID, e.ActorID,
		e.SessionID, e.Address, whatever(e.UserAgent), e.Ref, data, millis(e.ExpiresAt),
		e.Chain, e.Sequence, proof,
	}, nil
}

// AppendEvent implements [gatehouse.Store].
func (s *Store) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	const insert = `INSERT INTO events (` + eventColumns + `) ` +
		`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`
	args, err := encodeEvent(e)
	if err != nil {
		return fmt.Errorf("append event: %w", err)
	}
	return s.write(ctx, "append event", gatehouse.ErrExists, insert, args...)
}

// Events implements [gatehouse.Store]. Each combination of conditions is a text
// of its own, and has an index that holds its rows in their order.
func (s *Store) Events(ctx context.Context, q gatehouse.EventQuery) ([]*gatehouse.Event, error) {
	var where string
	var args []any
	for _, c := range []struct{ condition, value string }{
		{"user_id = $", q.UserID}, {"kind = $", q.Kind}, {"id < $", q.Before}, {"id > $", q.After},
	} {
		if c.value == "" {
			continue
		}
		args = append(args, c.value)
		if where == "" {
			where = ` WHERE `
		} else {
			where += ` AND `
		}
		where += c.condition + strconv.Itoa(len(args))
	}
	args = append(args, int64(q.Limit))
	query := `SELECT ` + eventColumns + ` FROM events` + where + ` ORDER BY id DESC LIMIT $` + strconv.Itoa(len(args))
	return list(ctx, s, "events", query, decodeEvent, args...)
}

package sqlstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

const settingColumns = `name, version, value, updated_at`

func decodeSetting(r Row) (*gatehouse.Setting, error) {
	v := r.values()
	x := &gatehouse.Setting{Name: v.text(), Version: v.int(), Value: v.bytes(), UpdatedAt: v.time()}
	if v.err != nil {
		return nil, fmt.Errorf("decode setting: %w", v.err)
	}
	return x, nil
}

func encodeSetting(x *gatehouse.Setting) []any {
	var value any
	if len(x.Value) > 0 {
		value = bytes.Clone(x.Value)
	}
	return []any{x.Name, x.Version, value, millis(x.UpdatedAt)}
}

// Setting implements [gatehouse.Store].
func (s *Store) Setting(ctx context.Context, name string) (*gatehouse.Setting, error) {
	return find(ctx, s, "setting", `SELECT `+settingColumns+` FROM settings WHERE name = $1`, decodeSetting, name)
}

// SaveSetting implements [gatehouse.Store].
func (s *Store) SaveSetting(ctx context.Context, x *gatehouse.Setting) error {
	const (
		insert = `INSERT INTO settings (name, version, value, updated_at) VALUES ($1, 1, $2, $3) ON CONFLICT DO NOTHING`
		update = `UPDATE settings SET value = $2, updated_at = $3, version = version + 1 WHERE name = $1 AND version = $4`
	)
	var value any
	if len(x.Value) > 0 {
		value = bytes.Clone(x.Value)
	}
	query, args := insert, []any{x.Name, value, millis(x.UpdatedAt)}
	if x.Version != 0 {
		query, args = update, append(args, x.Version)
	}
	if err := s.write(ctx, "save setting", gatehouse.ErrStale, query, args...); err != nil {
		return err
	}
	x.Version++
	return nil
}

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
)

const userColumns = `id, version, email, email_key, name, roles, keys, credentials, epoch, ` +
	`disabled_at, created_at, updated_at, extra`

func decodeUser(r Row) (*gatehouse.User, error) {
	v := r.values()
	u := &gatehouse.User{
		ID: v.text(), Version: v.int(), Email: v.text(), EmailKey: v.optional(), Name: v.text(),
		Roles: v.texts(), Keys: v.texts(), Credentials: v.credentials(), Epoch: v.int(),
		DisabledAt: v.time(), CreatedAt: v.time(), UpdatedAt: v.time(), Extra: v.raw(),
	}
	if v.err != nil {
		return nil, fmt.Errorf("decode user: %w", v.err)
	}
	return u, nil
}

func (v *values) credentials() (list []gatehouse.Credential) {
	v.json(&list)
	for i := range list {
		c := &list[i]
		c.CreatedAt, c.ChangedAt = whole(c.CreatedAt), whole(c.ChangedAt)
	}
	return list
}

// encodeUser is the arguments for userColumns, with the version it will have.
func encodeUser(u *gatehouse.User, version int64) ([]any, error) {
	roles, err := texts(u.Roles)
	if err != nil {
		return nil, fmt.Errorf("encode roles: %w", err)
	}
	keys, err := texts(u.Keys)
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	credentials := "[]"
	if len(u.Credentials) > 0 {
		list := slices.Clone(u.Credentials)
		for i := range list {
			c := &list[i]
			c.CreatedAt, c.ChangedAt = whole(c.CreatedAt), whole(c.ChangedAt)
		}
		if credentials, err = text(list); err != nil {
			return nil, fmt.Errorf("encode credentials: %w", err)
		}
	}
	return []any{
		u.ID, version, u.Email, orNull(u.EmailKey), u.Name, roles, keys, credentials, u.Epoch,
		millis(u.DisabledAt), millis(u.CreatedAt), millis(u.UpdatedAt), raw(u.Extra),
	}, nil
}

const insertUser = `INSERT INTO users (` + userColumns + `) ` +
	`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`

const insertKey = `INSERT INTO user_keys (key, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`

// CreateUser implements [gatehouse.Store].
func (s *Store) CreateUser(ctx context.Context, u *gatehouse.User) error {
	args, err := encodeUser(u, 1)
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	if len(u.Keys) == 0 {
		err = s.write(ctx, "create user", gatehouse.ErrExists, insertUser, args...)
	} else {
		id, keys := u.ID, slices.Clone(u.Keys)
		err = s.writeAll(ctx, "create user", func(c Conn) error {
			n, err := c.Exec(ctx, insertUser, args...)
			if err := changed(n, err, gatehouse.ErrExists); err != nil {
				return err
			}
			for _, key := range keys {
				if err := addKey(ctx, c, id, key); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	u.Version = 1
	return nil
}

func addKey(ctx context.Context, c Conn, userID, key string) error {
	n, err := c.Exec(ctx, insertKey, key, userID)
	return changed(n, err, gatehouse.ErrExists)
}

func (s *Store) writeAll(ctx context.Context, what string, f func(Conn) error) error {
	if err := s.db.WriteAll(ctx, f); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// User implements [gatehouse.Store].
func (s *Store) User(ctx context.Context, id string) (*gatehouse.User, error) {
	return find(ctx, s, "user", `SELECT `+userColumns+` FROM users WHERE id = $1`, decodeUser, id)
}

// UserByEmail implements [gatehouse.Store].
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (*gatehouse.User, error) {
	return find(ctx, s, "user by email", `SELECT `+userColumns+` FROM users WHERE email_key = $1`, decodeUser, emailKey)
}

// UserByKey implements [gatehouse.Store].
func (s *Store) UserByKey(ctx context.Context, key string) (*gatehouse.User, error) {
	const query = `SELECT ` + userColumns + ` FROM users WHERE id = (SELECT user_id FROM user_keys WHERE key = $1)`
	return find(ctx, s, "user by key", query, decodeUser, key)
}

// SaveUser implements [gatehouse.Store].
func (s *Store) SaveUser(ctx context.Context, u *gatehouse.User) error {
	const update = `UPDATE users SET version = $2, email = $3, email_key = $4, name = $5, roles = $6, keys = $7, ` +
		`credentials = $8, epoch = $9, disabled_at = $10, created_at = $11, updated_at = $12, extra = $13 ` +
		`WHERE id = $1 AND version = $14`
	args, err := encodeUser(u, u.Version+1)
	if err != nil {
		return fmt.Errorf("save user: %w", err)
	}
	args = append(args, u.Version)
	id, keys := u.ID, slices.Clone(u.Keys)
	err = s.writeAll(ctx, "save user", func(c Conn) error {
		n, err := c.Exec(ctx, update, args...)
		if errors.Is(err, ErrDuplicate) {
			return gatehouse.ErrExists
		}
		if err := changed(n, err, gatehouse.ErrStale); err != nil {
			return err
		}
		return moveKeys(ctx, c, id, keys)
	})
	if err != nil {
		return err
	}
	u.Version++
	return nil
}

// moveKeys makes the rows of user_keys the same as keys. They are read from the
// table, because what else it holds for this user would be a key that leads to
// the user although the user does not have it.
func moveKeys(ctx context.Context, c Conn, userID string, keys []string) error {
	var stored []string
	err := c.Query(ctx, `SELECT key FROM user_keys WHERE user_id = $1`, []any{userID}, func(r Row) error {
		v := r.values()
		stored = append(stored, v.text())
		return v.err
	})
	if err != nil {
		return err
	}
	for _, key := range stored {
		if !slices.Contains(keys, key) {
			if _, err := c.Exec(ctx, `DELETE FROM user_keys WHERE key = $1`, key); err != nil {
				return err
			}
		}
	}
	for _, key := range keys {
		if !slices.Contains(stored, key) {
			if err := addKey(ctx, c, userID, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteUser implements [gatehouse.Store]. The keys go with the user.
func (s *Store) DeleteUser(ctx context.Context, id string, version int64) error {
	return s.write(ctx, "delete user", gatehouse.ErrStale, `DELETE FROM users WHERE id = $1 AND version = $2`, id, version)
}

// Users implements [gatehouse.Store].
func (s *Store) Users(ctx context.Context, after string, limit int) ([]*gatehouse.User, error) {
	const query = `SELECT ` + userColumns + ` FROM users WHERE id > $1 ORDER BY id LIMIT $2`
	return list(ctx, s, "users", query, decodeUser, after, int64(limit))
}

package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// OpenTrial opens a Gatehouse to try out what would happen. It knows the users of
// the database that the settings choose, or nobody if there is none yet. Nothing is
// made, no secret and no folder either, and what it writes is gone with it. A
// database of an older schema is refused: to read it means to migrate it.
func OpenTrial(ctx context.Context, s *Settings, log *slog.Logger) (*Instance, error) {
	d := DatabaseOf(s)
	there, err := d.Exists(ctx)
	if err != nil {
		return nil, err
	}
	t := &trial{Store: memory.New()}
	t.users = t.Store
	if there {
		current, wanted, err := d.SchemaVersion(ctx)
		if err != nil {
			return nil, err
		}
		if current < wanted {
			return nil, fmt.Errorf("%s has schema %d and this version works with %d: run gatehouse migrate first, for to try something out changes nothing", d, current, wanted)
		}
		if t.users, err = d.Open(ctx); err != nil {
			return nil, err
		}
	}
	g, err := gatehouse.New(s.core(t, gatehouse.NewSecret([]byte(rand.Text()+rand.Text())), log))
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return &Instance{g, t, records{store: t}, &breachLists{}}, nil
}

// trial is a store in memory with the users of another one, which is only read.
type trial struct {
	*memory.Store
	users gatehouse.Store
}

// User implements [gatehouse.Store].
func (t *trial) User(ctx context.Context, id string) (*gatehouse.User, error) {
	return t.users.User(ctx, id)
}

// UserByEmail implements [gatehouse.Store].
func (t *trial) UserByEmail(ctx context.Context, emailKey string) (*gatehouse.User, error) {
	return t.users.UserByEmail(ctx, emailKey)
}

// UserByKey implements [gatehouse.Store].
func (t *trial) UserByKey(ctx context.Context, key string) (*gatehouse.User, error) {
	return t.users.UserByKey(ctx, key)
}

// Close implements [gatehouse.Store].
func (t *trial) Close() error { return t.users.Close() }

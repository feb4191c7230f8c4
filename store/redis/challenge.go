package redis

import (
	"context"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
)

// CreateChallenge implements [gatehouse.Store].
func (s *Store) CreateChallenge(ctx context.Context, c *gatehouse.Challenge) error {
	created := *c
	created.Version = 1
	text, err := writeChallenge(&created)
	if err != nil {
		return err
	}
	if err := s.create(ctx, challengeKey, c.ID, text, c.ExpiresAt); err != nil {
		return err
	}
	c.Version = 1
	return nil
}

// Challenge implements [gatehouse.Store].
func (s *Store) Challenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	text, err := s.record(ctx, challengeKey, id)
	if err != nil {
		return nil, err
	}
	return readChallenge(id, text)
}

// SaveChallenge implements [gatehouse.Store].
func (s *Store) SaveChallenge(ctx context.Context, c *gatehouse.Challenge) error {
	saved := *c
	saved.Version = s.c.next(c.Version)
	text, err := writeChallenge(&saved)
	if err != nil {
		return err
	}
	// What was counted stays counted.
	kept := func(string) (command, bool) { return command{}, false }
	if _, err := s.save(ctx, challengeKey, c.ID, strconv.FormatInt(c.Version, 10), text, c.ExpiresAt, unowned, true, kept); err != nil {
		return err
	}
	c.Version = saved.Version
	return nil
}

// TakeChallenge implements [gatehouse.Store]. One that was taken stays taken, even
// if too few replicas know of it and nobody gets it.
func (s *Store) TakeChallenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	a, err := s.c.replicated(ctx, "take", command{
		script: takeScript, keys: []string{s.c.key(challengeKey, id), s.c.expiries(challengeKey, id)}, args: []string{id},
	}, nil)
	if err != nil {
		return nil, err
	}
	if a.none {
		return nil, gatehouse.ErrNotFound
	}
	return readChallenge(id, a.text)
}

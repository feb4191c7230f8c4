package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// markSetting is the setting of the store behind that names its Redis. It is empty
// if there is none any more.
const markSetting = "redis"

// ErrOtherRedis: the database is in use with another Redis. Two of them would each
// show users as they were before the processes on the other one changed them.
var ErrOtherRedis = errors.New("the database is in use with another Redis than this one: all processes need the same GATEHOUSE_REDIS")

// ErrLostRedis: the database is in use with a Redis, and this one knows nothing of
// it. To begin anew on one that was named by mistake would shut out all processes
// that have the right one, so somebody has to say that it is meant.
var ErrLostRedis = errors.New("this Redis knows nothing of the database, which is in use with one: is it the same GATEHOUSE_REDIS as before? " +
	"If it has lost its data, or is to take the place of another, stop all instances, run gatehouse redis leave, and start them; everybody has to log in again")

// ErrNeedsRedis: the sessions of the database are in a Redis.
var ErrNeedsRedis = errors.New("the sessions of this database are in a Redis, and none is set: set GATEHOUSE_REDIS as it is for the other processes")

// Absent is nil if the store is one that can be used without Redis, and
// [ErrNeedsRedis] if it was last used behind one.
func Absent(ctx context.Context, store gatehouse.Store) error {
	s, err := readMark(ctx, store)
	if err == nil && len(s.Value) > 0 {
		return ErrNeedsRedis
	}
	return err
}

// Leave ends that a store needs its Redis, or makes way for another one. The
// sessions and challenges there are given up, and so are those that the store still
// has from the time before Redis: who ended a session since, or used a challenge,
// did that in Redis alone. No process may be using the store, which has to be a
// [gatehouse.Mover].
func Leave(ctx context.Context, store gatehouse.Store) error {
	s, err := readMark(ctx, store)
	if err != nil || len(s.Value) == 0 {
		return err
	}
	if err := giveUp(ctx, store); err != nil {
		return fmt.Errorf("redis: give up sessions and challenges: %w", err)
	}
	s.Value = nil
	if err := store.SaveSetting(ctx, s); err != nil {
		return fmt.Errorf("redis: mark of the database: %w", err)
	}
	return nil
}

// giveUp ends the sessions and removes the challenges of a store.
func giveUp(ctx context.Context, store gatehouse.Store) error {
	mover, ok := store.(gatehouse.Mover)
	if !ok {
		return errNoMover
	}
	var sessions []*gatehouse.Session
	var challenges []string
	err := mover.Walk(ctx, func(r *gatehouse.Records) error {
		for _, x := range r.Sessions {
			if x.TerminatedAt.IsZero() {
				sessions = append(sessions, x)
			}
		}
		for _, x := range r.Challenges {
			challenges = append(challenges, x.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range sessions {
		x.TerminatedAt = time.Now().UTC().Truncate(time.Millisecond)
		x.ExpiresAt = x.TerminatedAt
		if err := store.SaveSession(ctx, x); err != nil && !errors.Is(err, gatehouse.ErrStale) {
			return err
		}
	}
	for _, id := range challenges {
		if _, err := store.TakeChallenge(ctx, id); err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
			return err
		}
	}
	return nil
}

func readMark(ctx context.Context, store gatehouse.Store) (*gatehouse.Setting, error) {
	return settingOf(ctx, store, markSetting)
}

// settingOf is a setting of the store, without a value if there is none.
func settingOf(ctx context.Context, store gatehouse.Store, name string) (*gatehouse.Setting, error) {
	s, err := store.Setting(ctx, name)
	if errors.Is(err, gatehouse.ErrNotFound) {
		return &gatehouse.Setting{Name: name}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redis: %s of the database: %w", name, err)
	}
	return s, nil
}

// pair gives both the same mark. Redis gets it first: if a process ends between the
// two, the next one goes on from there.
func (c *Client) pair(ctx context.Context, behind gatehouse.Store) error {
	differ := 0
	for {
		s, err := readMark(ctx, behind)
		if err != nil {
			return err
		}
		here, err := c.readMark(ctx)
		if err != nil {
			return err
		}
		if here != "" && here == string(s.Value) {
			return nil
		}
		if here != "" && len(s.Value) > 0 {
			// Another process may be between the two.
			if differ++; differ > 10 {
				return ErrOtherRedis
			}
			if err := wait(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		if here == "" {
			if len(s.Value) > 0 {
				return ErrLostRedis
			}
			if here, err = c.claimMark(ctx); err != nil {
				return err
			}
		}
		s.Value, s.UpdatedAt = []byte(here), time.Now().UTC().Truncate(time.Millisecond)
		if err := behind.SaveSetting(ctx, s); err != nil && !errors.Is(err, gatehouse.ErrStale) {
			return fmt.Errorf("redis: mark of the database: %w", err)
		}
	}
}

func (c *Client) markKey() []string { return []string{c.key("mark", "")} }

func (c *Client) readMark(ctx context.Context) (string, error) {
	a, err := c.one(ctx, "read mark", command{word: []string{"GET"}, keys: c.markKey(), reads: true})
	return a.text, err
}

// claimMark gives this Redis a mark, unless somebody was faster.
func (c *Client) claimMark(ctx context.Context) (string, error) {
	if _, err := c.replicated(ctx, "write mark", command{word: []string{"SET"}, keys: c.markKey(), args: []string{rand.Text(), "NX"}}, nil); err != nil {
		return "", err
	}
	return c.readMark(ctx)
}

// stillPaired is nil while Redis has the mark of the store behind. A Redis that has
// lost its data gets it back, since it is the one that was in use.
func (s *Store) stillPaired(ctx context.Context, theirs *gatehouse.Setting) error {
	if len(theirs.Value) > 0 {
		back := command{word: []string{"SET"}, keys: s.c.markKey(), args: []string{string(theirs.Value), "NX"}}
		if _, err := s.c.one(ctx, "keep mark", back); err != nil {
			return err
		}
	}
	here, err := s.c.readMark(ctx)
	if err == nil && here != string(theirs.Value) {
		return fmt.Errorf("redis: %w: %w", gatehouse.ErrUnavailable, ErrOtherRedis)
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redis: %w", ctx.Err())
	}
}

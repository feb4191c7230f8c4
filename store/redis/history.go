package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
)

// A restored database is one with another history, and Redis knows things of the
// former. What it knows is told apart by the note that every restoration leaves in
// the database: nobody who restores has to reach Redis, or to think of it.
//
//   - copies of users are sealed to the history;
//   - sessions are decided about by the epochs of their users, which rise;
//   - challenges are removed by the first process that finds the note.

// ErrRestored: the database was restored while a process was using it.
var ErrRestored = errors.New("the database was restored while this process was running: restart it")

// whole is [gatehouse.ErrPartial] if more is to be loaded into the store.
func whole(ctx context.Context, store gatehouse.Store) error {
	r, err := gatehouse.LastRestoration(ctx, store)
	if err == nil && r != nil && r.Partial {
		return gatehouse.ErrPartial
	}
	return err
}

// historyOf names the history of a store: the time of the restoration in which it
// began, or 0.
func historyOf(r *gatehouse.Restoration) string {
	if r == nil {
		return "0"
	}
	return strconv.FormatInt(r.At.UnixMilli(), 10)
}

// begin finds out in which history the store behind is, and removes the challenges
// of a former one. If it ends in the middle, the next process goes on. Those that
// were made since the restoration are of other processes that begin now.
func (s *Store) begin(ctx context.Context) error {
	r, err := gatehouse.LastRestoration(ctx, s.behind)
	if err != nil {
		return err
	}
	s.history = historyOf(r)
	if r == nil {
		return nil
	}
	key := []string{s.c.key("history", "")}
	known, err := s.c.one(ctx, "read history", command{word: []string{"GET"}, keys: key, reads: true})
	if err != nil || known.text == s.history {
		return err
	}
	if r.Keep != gatehouse.KeepAll {
		err := walkKind(ctx, s.c, challengeKey, readChallenge, func(list []*gatehouse.Challenge) error {
			for _, x := range list {
				if x.CreatedAt.After(r.At) {
					continue
				}
				if _, err := s.TakeChallenge(ctx, x.ID); err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err = s.c.one(ctx, "write history", command{word: []string{"SET"}, keys: key, args: []string{s.history}})
	return err
}

// sameHistory is nil unless the store behind was restored since it was opened.
func (s *Store) sameHistory(ctx context.Context) error {
	r, err := gatehouse.LastRestoration(ctx, s.behind)
	if err == nil && historyOf(r) != s.history {
		return fmt.Errorf("redis: %w: %w", gatehouse.ErrUnavailable, ErrRestored)
	}
	return err
}

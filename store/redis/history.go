package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// A restored database is one with another history, and so is one that was used
// without this Redis for a while; and Redis knows things of the former. The two are
// told apart by what stands in the database: the note that every restoration leaves,
// and how often the mark was changed. Nobody who restores has to reach Redis, or to
// think of it.
//
//   - Copies of users are sealed to the history.
//   - Challenges are removed by the first process in the new history.
//   - Sessions are decided about by the epochs of their users, which a restoration
//     raises. When Redis was left in between they are ended: they were given up.

// ErrRestored: the database was restored while a process was using it.
var ErrRestored = errors.New("the database was restored, or used without this Redis, while this process was running: restart it")

// era is the history of a store behind, as it is known to a Redis.
type era struct {
	paired   int64 // version of the mark
	restored int64 // time of the last restoration, or 0
}

// readEra reads it from the store behind, with what it is made of.
func readEra(ctx context.Context, behind gatehouse.Store) (era, *gatehouse.Setting, *gatehouse.Restoration, error) {
	mark, err := readMark(ctx, behind)
	if err != nil {
		return era{}, nil, nil, err
	}
	h := era{paired: mark.Version}
	r, err := gatehouse.LastRestoration(ctx, behind)
	if r != nil {
		h.restored = r.At.UnixMilli()
	}
	return h, mark, r, err
}

func (h era) String() string { return fmt.Sprintf("%d %d", h.paired, h.restored) }

// begin finds out in which history the store behind is, ends what is of a former one,
// and carries over what the store has from a time without Redis. If it stops in the
// middle, the next process goes on. What was made since is of other processes that
// begin now.
func (s *Store) begin(ctx context.Context) error {
	h, mark, r, err := readEra(ctx, s.behind)
	if err != nil {
		return err
	}
	s.history = h
	key := []string{s.c.key("history", "")}
	a, err := s.c.one(ctx, "read history", command{word: []string{"GET"}, keys: key, reads: true})
	if err != nil {
		return err
	}
	if a.text != h.String() {
		if err := s.enter(ctx, h, a.text, mark, r); err != nil {
			return err
		}
		if _, err = s.c.one(ctx, "write history", command{word: []string{"SET"}, keys: key, args: []string{h.String()}}); err != nil {
			return err
		}
	}
	return s.join(ctx, mark) // now that what was here before has been told from it
}

// enter ends what Redis has of another history than h.
func (s *Store) enter(ctx context.Context, h era, before string, mark *gatehouse.Setting, r *gatehouse.Restoration) error {
	var known era
	if _, err := fmt.Sscan(before, &known.paired, &known.restored); err != nil {
		known.paired = h.paired // it knows of none
	}
	if known.paired != h.paired {
		if err := s.endSessions(ctx, mark.UpdatedAt); err != nil {
			return err
		}
		if err := s.removeChallenges(ctx, mark.UpdatedAt); err != nil {
			return err
		}
	}
	if r != nil && known.restored != h.restored && r.Keep != gatehouse.KeepAll {
		return s.removeChallenges(ctx, r.At)
	}
	return nil
}

func (s *Store) removeChallenges(ctx context.Context, until time.Time) error {
	return walkKind(ctx, s.c, challengeKey, readChallenge, func(list []*gatehouse.Challenge) error {
		for _, x := range list {
			if x.CreatedAt.After(until) {
				continue
			}
			if _, err := s.TakeChallenge(ctx, x.ID); err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

func (s *Store) endSessions(ctx context.Context, until time.Time) error {
	return walkKind(ctx, s.c, sessionKey, readSession, func(list []*gatehouse.Session) error {
		for _, x := range list {
			if x.CreatedAt.After(until) || !x.TerminatedAt.IsZero() {
				continue
			}
			// One that is alive in the store behind began while there was no Redis, and
			// another process has carried it over already.
			if live, err := s.behind.Session(ctx, x.ID); err == nil && live.TerminatedAt.IsZero() {
				continue
			} else if err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
				return err
			}
			x.TerminatedAt = until
			if err := s.SaveSession(ctx, x); err != nil && !errors.Is(err, gatehouse.ErrStale) {
				return err
			}
		}
		return nil
	})
}

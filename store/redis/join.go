package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// A database that was used without Redis has sessions and challenges of its own.
// When Redis is put in front of it they are carried over, before anybody is served,
// so that nobody is logged out by it.
//
// That is done once. What the store behind still has of sessions is of before, and
// who ended one since did it in Redis alone: to look there again, when Redis has lost
// something, would bring it to life. So a note in the store says for which mark it was
// done, and until then everybody who begins does it, too.
//
// A challenge is taken out of the store behind before it is put into Redis: so only
// one process has it, and if that ends between the two a link has to be sent again,
// but none is used twice.

// joinedSetting is the setting of the store behind that has the version of the mark
// for which its sessions were carried over.
const joinedSetting = "redis_joined"

// ErrServedWithout: what is ended there would go on in Redis.
var ErrServedWithout = errors.New("instances that do not have this Redis are running on the database: stop them first; who is logged in stays so")

// Carried is how many sessions were carried over into Redis when the store was
// opened, because it was put in front of a database that had been used without.
func (s *Store) Carried() int { return s.carried }

// UsedWithout reports whether a store is used without Redis: it has users, and no mark.
// To put Redis in front of it carries its sessions over, and no process may be using
// it meanwhile.
func UsedWithout(ctx context.Context, store gatehouse.Store) (bool, error) {
	mark, err := readMark(ctx, store)
	if err != nil || len(mark.Value) > 0 {
		return false, err
	}
	some, err := store.Users(ctx, "", 1)
	return len(some) > 0, err
}

// unserved is [ErrServedWithout] if a running service is heard on a store that is
// used without Redis.
func unserved(ctx context.Context, behind gatehouse.Store) error {
	used, err := UsedWithout(ctx, behind)
	if err != nil || !used {
		return err // it takes seconds to hear nobody
	}
	served, err := gatehouse.Served(ctx, behind)
	if err == nil && served {
		return ErrServedWithout
	}
	return err
}

// join carries over what the store behind has of sessions and challenges, unless that
// was done for this mark.
func (s *Store) join(ctx context.Context, mark *gatehouse.Setting) error {
	note, err := settingOf(ctx, s.behind, joinedSetting)
	if err != nil {
		return err
	}
	version := strconv.FormatInt(mark.Version, 10)
	if string(note.Value) == version {
		return nil
	}
	if mover, ok := s.behind.(gatehouse.Mover); ok {
		if err := s.carry(ctx, mover); err != nil {
			return fmt.Errorf("redis: carry over the sessions of the database: %w", err)
		}
	}
	note.Value, note.UpdatedAt = []byte(version), time.Now().UTC().Truncate(time.Millisecond)
	if err := s.behind.SaveSetting(ctx, note); err != nil && !errors.Is(err, gatehouse.ErrStale) { // another has done the same
		return fmt.Errorf("redis: note of the database: %w", err)
	}
	return nil
}

// errCarried ends a walk: events are the last that it hands over.
var errCarried = errors.New("what follows is not carried over")

func (s *Store) carry(ctx context.Context, from gatehouse.Mover) error {
	var challenges []string
	err := from.Walk(ctx, func(r *gatehouse.Records) error {
		if len(r.Events) > 0 {
			return errCarried
		}
		for _, x := range r.Challenges {
			challenges = append(challenges, x.ID)
		}
		there, err := s.loadSessions(ctx, r.Sessions)
		s.carried += len(r.Sessions) - len(there)
		return err
	})
	if err != nil && !errors.Is(err, errCarried) {
		return err
	}
	for _, id := range challenges {
		x, err := s.behind.TakeChallenge(ctx, id)
		if errors.Is(err, gatehouse.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := s.loadChallenges(ctx, []*gatehouse.Challenge{x}); err != nil {
			return err
		}
	}
	return s.c.replicatedEverywhere(ctx)
}

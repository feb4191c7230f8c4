package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

var errNoMover = fmt.Errorf("redis: the store behind cannot be moved: %w", errors.ErrUnsupported)

// Walk implements [gatehouse.Mover]. Sessions and challenges are those in Redis:
// what the store behind still has of them, from the time before it was used with
// Redis, counts for nothing. Nor does the mark leave that ties it to this Redis.
func (s *Store) Walk(ctx context.Context, f func(*gatehouse.Records) error) error {
	mover, ok := s.behind.(gatehouse.Mover)
	if !ok {
		return errNoMover
	}
	err := walkKind(ctx, s.c, sessionKey, readSession, func(list []*gatehouse.Session) error {
		return f(&gatehouse.Records{Sessions: list})
	})
	if err != nil {
		return err
	}
	err = walkKind(ctx, s.c, challengeKey, readChallenge, func(list []*gatehouse.Challenge) error {
		return f(&gatehouse.Records{Challenges: list})
	})
	if err != nil {
		return err
	}
	return mover.Walk(ctx, func(r *gatehouse.Records) error {
		rest := *r
		rest.Sessions, rest.Challenges, rest.Settings = nil, nil, nil
		for _, x := range r.Settings {
			if !tiesToRedis(x) {
				rest.Settings = append(rest.Settings, x)
			}
		}
		if rest.Len() == 0 {
			return nil
		}
		return f(&rest)
	})
}

// tiesToRedis reports whether a setting is about this Redis, and would say something
// wrong about another one.
func tiesToRedis(x *gatehouse.Setting) bool { return x.Name == markSetting || x.Name == joinedSetting }

// walkKind goes through the indexes of expiries, which name every record.
func walkKind[R any](ctx context.Context, c *Client, kind string, read func(id, text string) (*R, error), f func([]*R) error) error {
	for n := range uint32(buckets) {
		seen := map[string]bool{} // ZSCAN may name one twice
		for cursor := "0"; ; {
			a, err := c.one(ctx, "walk", command{
				word: []string{"ZSCAN"}, keys: []string{c.inBucket(n, expiryKey+kind)}, args: []string{cursor, "COUNT", "200"}, reads: true,
			})
			if err != nil {
				return err
			}
			var ids []string
			for i := 0; i+1 < len(a.list[1].list); i += 2 { // ids and scores take turns
				if id := a.list[1].list[i].text; !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
			list, err := readAll(ctx, c, kind, ids, read)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				if err := f(list); err != nil {
					return err
				}
			}
			if cursor = a.list[0].text; cursor == "0" {
				break
			}
		}
	}
	return nil
}

func readAll[R any](ctx context.Context, c *Client, kind string, ids []string, read func(id, text string) (*R, error)) ([]*R, error) {
	reads := make([]command, len(ids))
	for i, id := range ids {
		reads[i] = c.reading(kind, id)
	}
	answers, err := c.all(ctx, "walk", reads...)
	if err != nil {
		return nil, err
	}
	var list []*R
	for i, a := range answers {
		if a.none {
			continue
		}
		r, err := read(ids[i], a.text)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// Load implements [gatehouse.Mover].
func (s *Store) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	mover, ok := s.behind.(gatehouse.Mover)
	if !ok {
		return nil, errNoMover
	}
	rest := *r
	rest.Sessions, rest.Challenges, rest.Settings = nil, nil, nil
	var marks []*gatehouse.Setting
	for _, x := range r.Settings {
		if tiesToRedis(x) {
			marks = append(marks, x) // this store has one of its own
		} else {
			rest.Settings = append(rest.Settings, x)
		}
	}
	taken, err := mover.Load(ctx, &rest)
	if err != nil {
		return nil, err
	}
	if taken == nil {
		taken = &gatehouse.Records{}
	}
	taken.Settings = append(taken.Settings, marks...)
	if taken.Sessions, err = s.loadSessions(ctx, r.Sessions); err != nil {
		return nil, err
	}
	if taken.Challenges, err = s.loadChallenges(ctx, r.Challenges); err != nil {
		return nil, err
	}
	return taken, nil
}

func (s *Store) loadChallenges(ctx context.Context, list []*gatehouse.Challenge) ([]*gatehouse.Challenge, error) {
	return loadKind(ctx, s.c, challengeKey, list, writeChallenge,
		func(c *gatehouse.Challenge) (string, time.Time) { return c.ID, c.ExpiresAt })
}

// loadSessions lists them first, as CreateSession does.
func (s *Store) loadSessions(ctx context.Context, list []*gatehouse.Session) ([]*gatehouse.Session, error) {
	var listing []command
	for _, x := range list {
		if x.TerminatedAt.IsZero() {
			listing = append(listing, command{script: listScript, keys: []string{s.c.key(listKey, x.UserID)}, args: []string{x.ID}})
		}
	}
	if _, err := s.c.all(ctx, "load", listing...); err != nil {
		return nil, err
	}
	return loadKind(ctx, s.c, sessionKey, list, writeSession,
		func(x *gatehouse.Session) (string, time.Time) { return x.ID, x.ExpiresAt })
}

func loadKind[R any](ctx context.Context, c *Client, kind string, list []*R, write func(*R) (string, error), about func(*R) (id string, expires time.Time)) (taken []*R, err error) {
	creations := make([]command, len(list))
	for i, r := range list {
		text, err := write(r)
		if err != nil {
			return nil, err
		}
		id, expires := about(r)
		creations[i] = c.creation(kind, id, text, expires)
	}
	answers, err := c.all(ctx, "load", creations...)
	if err != nil {
		return nil, err
	}
	for i, a := range answers {
		if a.number == 0 {
			taken = append(taken, list[i])
		}
	}
	return taken, nil
}

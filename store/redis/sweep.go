package redis

import (
	"context"
	"strconv"
	"time"
)

// atOnce is how many records one script deletes: others wait while it runs.
const atOnce = 200

// Sweep implements [gatehouse.Store]. Keys have no time to live of their own: they
// would go by the clock of Redis, and a record is swept by that of the caller.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	swept, err := s.behind.Sweep(ctx, now, limit)
	for _, kind := range []string{sessionKey, challengeKey} {
		if err != nil {
			return swept, err
		}
		var n int
		n, err = s.sweepKind(ctx, kind, now, limit)
		swept += n
	}
	return swept, err
}

func (s *Store) sweepKind(ctx context.Context, kind string, now time.Time, limit int) (swept int, err error) {
	until := strconv.FormatInt(now.UnixMilli(), 10)
	for swept < limit {
		some := strconv.Itoa(min(atOnce, limit-swept))
		ranges := make([]command, buckets)
		for n := range ranges {
			ranges[n] = command{
				word: []string{"ZRANGEBYSCORE"}, keys: []string{s.c.inBucket(uint32(n), expiryKey+kind)},
				args: []string{"-inf", until, "LIMIT", "0", some}, reads: true,
			}
		}
		expired, err := s.c.all(ctx, "sweep", ranges...)
		if err != nil {
			return swept, err
		}
		before := swept
		for n, a := range expired {
			ids := a.list[:min(len(a.list), limit-swept)]
			if len(ids) == 0 {
				continue
			}
			deleted, err := s.sweepBucket(ctx, uint32(n), kind, until, ids)
			swept += deleted
			if err != nil {
				return swept, err
			}
		}
		if swept == before {
			break
		}
	}
	return swept, nil
}

// sweepBucket deletes those of a bucket, and then strikes sessions from the lists
// that they stand in: what is listed too long does no harm.
func (s *Store) sweepBucket(ctx context.Context, bucket uint32, kind, until string, ids []answer) (int, error) {
	c := command{script: sweepScript, keys: []string{s.c.inBucket(bucket, expiryKey+kind)}, args: []string{until}}
	for _, id := range ids {
		c.keys = append(c.keys, s.c.key(kind, id.text))
		c.args = append(c.args, id.text)
	}
	owners, err := s.c.one(ctx, "sweep", c)
	if err != nil {
		return 0, err
	}
	swept := 0
	lists := map[string][]string{}
	for i, id := range ids {
		owner := owners.list[i].text
		if owner != "" {
			swept++
		}
		if user, ok := userOf(owner); ok {
			lists[user] = append(lists[user], id.text)
		}
	}
	for user, struck := range lists {
		s.strike(ctx, user, struck...)
	}
	return swept, nil
}

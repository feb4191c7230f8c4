package redis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// NoReplicas as Options.Replicas waits for none.
const NoReplicas = -1

var errTooFew = errors.New("too few replicas have confirmed it in time: a failover could lose it")

// patience is how long replicas may take. What is left of the timeout is for the
// rest of the call, so that too few of them is told as that.
func (c *Client) patience() time.Duration { return c.options.Timeout / 2 }

// replicated is one for what is told to somebody as done: it returns when enough
// replicas have it. If too few have it in time, that is [gatehouse.ErrUnavailable],
// and undo, unless it is nil, says from the answer how to take the write back.
//
// Taking back is for those who try again later. A refresh that was refused here has
// rotated the token, and it may be minutes until a replica is there again: longer
// than the token of before is good for. If it does not come to that, because this
// process or Redis ends, the write stands, as it does when an answer is lost.
func (c *Client) replicated(ctx context.Context, doing string, cmd command, undo func(answer) (command, bool)) (answer, error) {
	if c.replicas == 0 {
		return c.one(ctx, doing, cmd)
	}
	if err := ctx.Err(); err != nil {
		return answer{}, fmt.Errorf("redis: %s: %w", doing, err)
	}
	bounded, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	a, confirmed := c.wire.replicate(bounded, cmd, c.replicas, c.patience())
	if a.err != nil {
		return answer{}, fault(ctx, doing, a.err)
	}
	if confirmed >= int64(c.replicas) {
		return a, nil
	}
	if undo != nil {
		if back, ok := undo(a); ok {
			c.takeBack(ctx, back)
		}
	}
	return answer{}, fmt.Errorf("redis: %s: %w: %w", doing, gatehouse.ErrUnavailable, errTooFew)
}

// replicatedEverywhere returns when enough replicas have all that was written by now,
// on every server.
func (c *Client) replicatedEverywhere(ctx context.Context) error {
	if c.replicas == 0 {
		return nil
	}
	for n := range uint32(buckets) {
		probe := command{word: []string{"SET"}, keys: []string{c.inBucket(n, "probe")}, args: []string{"1", "PX", "60000"}}
		if _, err := c.replicated(ctx, "write", probe, nil); err != nil {
			return err
		}
	}
	return nil
}

// leap is by how much a version is counted up at most, while replicas are waited for.
const leap = 1 << 20

// next is the version of what follows on a record of this one. A failover loses what
// was not confirmed, though somebody may have read it, and then another one follows on
// the same record. With the same version, who goes on from what is lost would save
// over what was acknowledged since. So each of them draws its own.
func (c *Client) next(version int64) int64 {
	if c.replicas == 0 {
		return version + 1
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return version + 1 + int64(binary.BigEndian.Uint32(b[:])%leap)
}

// undoScript: KEYS record, expiries; ARGV the record that was written, the one to
// put in its place or "", its expiry, id. It does nothing to a record that is
// another one by now, on whichever server: that may have been told to somebody.
var undoScript = newScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[4])
else
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
end
return 1`)

func (c *Client) undoing(kind, id, written, former string, expires time.Time) command {
	return command{
		script: undoScript, keys: []string{c.key(kind, id), c.expiries(kind, id)},
		args: []string{written, former, score(expires), id},
	}
}

// undoSave puts back what a session was before it was saved, under a version that it
// never had: who has read the one that is taken back saves nothing on top of it. The
// end of a session is never taken back.
func (c *Client) undoSave(saved *gatehouse.Session, written, former string) (command, bool) {
	_, fields, err := split3(former)
	if err != nil || !saved.TerminatedAt.IsZero() || ownerIn(former) == terminated {
		return command{}, false
	}
	was, err := readSession(saved.ID, former)
	if err != nil {
		return command{}, false
	}
	return c.undoing(sessionKey, saved.ID, written, versioned(c.next(saved.Version), ownerIn(former), fields), was.ExpiresAt), true
}

var (
	// again: KEYS record. The record, written once more as it is: what waits for this
	// write waits for every one before it.
	againScript = newScript(`
local record = redis.call('GET', KEYS[1])
if record then redis.call('SET', KEYS[1], record) end
return record`)

	// settle: KEYS record; ARGV the record, and the same with a version that follows. From
	// then on nobody takes the record back. False if it is another one than that, in
	// more than its version.
	settleScript = newScript(`
local record = redis.call('GET', KEYS[1])
if record == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2])
  return ARGV[2]
end
local rest = '^%-?%d+ (.*)$'
if record and string.match(record, rest) == string.match(ARGV[1], rest) then return record end
return false`)
)

// settleTries is how often a session may change while it is looked at.
const settleTries = 8

// SettledSession implements [gatehouse.Settler]. What [Store.Session] shows may be
// on its way to the replicas, and lost by a failover, or about to be taken back.
func (s *Store) SettledSession(ctx context.Context, id string) (*gatehouse.Session, error) {
	if s.c.replicas == 0 {
		return s.Session(ctx, id)
	}
	for range settleTries {
		seen, err := s.c.replicated(ctx, "settle", command{script: againScript, keys: []string{s.c.key(sessionKey, id)}}, nil)
		if err != nil {
			return nil, err
		}
		if seen.none {
			return nil, gatehouse.ErrNotFound
		}
		version, fields, err := split3(seen.text)
		if err != nil {
			return nil, err
		}
		settled, err := s.c.one(ctx, "settle", command{
			script: settleScript, keys: []string{s.c.key(sessionKey, id)},
			args: []string{seen.text, versioned(s.c.next(version), ownerIn(seen.text), fields)},
		})
		if err != nil {
			return nil, err
		}
		if !settled.none {
			return readSession(id, settled.text)
		}
	}
	return nil, fmt.Errorf("redis: settle: %w: a session changed %d times while it was read", gatehouse.ErrUnavailable, settleTries)
}

// ownerIn is the owner of a record.
func ownerIn(record string) string {
	_, rest, _ := strings.Cut(record, " ")
	owner, _, _ := strings.Cut(rest, " ")
	return owner
}

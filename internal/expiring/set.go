// Package expiring holds a set whose members leave it by themselves.
package expiring

import (
	"encoding/binary"
	"sync"
	"time"
)

const shards = 16

// Key is a member: 16 bytes that are spread evenly, at least the last eight, as
// those of a UUID are.
type Key [16]byte

// Set is a bounded set of keys, each with the time until which it is a member. To
// look one up takes some 50 ns, whatever the size; a member takes about 30 bytes.
// Any number of goroutines may use it.
type Set struct {
	shards [shards]shard
	most   int // members of a shard
}

type shard struct {
	mu      sync.RWMutex
	members map[Key]int64 // until when, in Unix milliseconds
}

// NewSet makes a set that holds up to about size members.
func NewSet(size int) *Set {
	return &Set{most: max(1, size/shards)}
}

func (s *Set) shard(k Key) *shard {
	return &s.shards[binary.LittleEndian.Uint64(k[8:])%shards]
}

// Add makes k a member until then. In a full set it takes the place of what has
// left, and if nothing has, of any other.
func (s *Set) Add(k Key, until, now time.Time) {
	h := s.shard(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.members == nil {
		h.members = make(map[Key]int64)
	}
	if _, ok := h.members[k]; !ok && len(h.members) >= s.most {
		h.makeRoom(now.UnixMilli())
	}
	h.members[k] = max(h.members[k], until.UnixMilli())
}

// makeRoom removes one member at least. One in eight of the places is freed at
// once, so that a full set does not look through all of them for each new one.
func (h *shard) makeRoom(now int64) {
	free := 0
	for k, until := range h.members {
		if until <= now {
			delete(h.members, k)
			free++
		}
	}
	for k := range h.members {
		if free > len(h.members)/8 {
			return
		}
		delete(h.members, k)
		free++
	}
}

// Has reports whether k is a member at now.
func (s *Set) Has(k Key, now time.Time) bool {
	until, ok := s.until(k)
	return ok && now.UnixMilli() < until
}

// Until is when k leaves, or left if it was not swept; the zero time if it is unknown.
func (s *Set) Until(k Key) time.Time {
	until, ok := s.until(k)
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(until).UTC()
}

func (s *Set) until(k Key) (int64, bool) {
	h := s.shard(k)
	h.mu.RLock()
	defer h.mu.RUnlock()
	until, ok := h.members[k]
	return until, ok
}

// Sweep removes those that have left.
func (s *Set) Sweep(now time.Time) {
	t := now.UnixMilli()
	for i := range s.shards {
		h := &s.shards[i]
		h.mu.Lock()
		for k, until := range h.members {
			if until <= t {
				delete(h.members, k)
			}
		}
		h.mu.Unlock()
	}
}

// Len is how many members there are, those included that have left and were not
// swept.
func (s *Set) Len() int {
	n := 0
	for i := range s.shards {
		h := &s.shards[i]
		h.mu.RLock()
		n += len(h.members)
		h.mu.RUnlock()
	}
	return n
}

// Package cache remembers what was read or computed, within a bound.
package cache

import (
	"hash/maphash"
	"sync"
)

const shards = 16

// Cache is a bounded map. When it is full it forgets what was not asked for
// lately: each shard keeps two generations, and what is found in the older one
// moves to the newer. All methods may be called by any number of goroutines.
type Cache[K comparable, V any] struct {
	seed   maphash.Seed
	shards [shards]shard[K, V]
}

type shard[K comparable, V any] struct {
	mu       sync.Mutex
	young    map[K]V
	old      map[K]V
	most     int
	deletion uint64
}

// New makes a cache that holds at most about size entries.
func New[K comparable, V any](size int) *Cache[K, V] {
	c := &Cache[K, V]{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].most = max(1, size/shards/2)
		c.shards[i].young = make(map[K]V)
	}
	return c
}

func (c *Cache[K, V]) shard(k K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, k)%shards]
}

// Get is what was put under k.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.young[k]
	if ok {
		return v, true
	}
	if v, ok = s.old[k]; ok {
		s.put(k, v)
	}
	return v, ok
}

// Put remembers v.
func (c *Cache[K, V]) Put(k K, v V) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(k, v)
}

func (s *shard[K, V]) put(k K, v V) {
	if len(s.young) >= s.most {
		s.old, s.young = s.young, make(map[K]V)
	}
	s.young[k] = v
}

// Delete forgets k, and makes every [Mark] taken before it void.
func (c *Cache[K, V]) Delete(k K) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deletion++
	delete(s.young, k)
	delete(s.old, k)
}

// Mark is a moment in the life of one key.
type Mark uint64

// Mark is to be taken before reading what will be put with [Cache.PutSince].
func (c *Cache[K, V]) Mark(k K) Mark {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Mark(s.deletion)
}

// PutSince remembers v unless k was deleted since the mark was taken. Whoever
// reads a record, is overtaken by a change and its Delete, and only then comes
// to put what it read, puts nothing.
func (c *Cache[K, V]) PutSince(k K, v V, m Mark) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if Mark(s.deletion) == m {
		s.put(k, v)
	}
}

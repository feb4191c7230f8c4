package limit

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// ways is how many keys share a set: two lines of a processor's cache.
const ways = 8

// page is how many sets are allocated at once: 4 KiB.
const page = 32

// Table keeps the numbers of one kind of key: 16 bytes for each, in pages that
// are made when they are needed, up to a fixed amount of memory. All methods may
// be called at the same time.
//
// It never opens because it is full. A key that finds no place takes that of the
// one in its set that would have worn off first, and begins with what that one
// had booked (as in the Space-Saving algorithm of Metwally, Agrawal and El Abbadi):
// no key is ever remembered with less than it booked, some with more. Keys that
// booked much stay, however many others come along.
type Table struct {
	secret []byte
	sets   uint64
	pages  []paged
	made   atomic.Int64 // pages: with none there is nothing to look through
}

type paged struct {
	mu   sync.Mutex
	sets *[page]set // nil: nothing is booked in them
}

type set [ways]entry

type entry struct {
	key   uint64 // 0: free
	until int64  // milliseconds, shifted by one; the lowest bit: a refusal was told
}

func (e entry) time() int64 { return e.until >> 1 }
func (e entry) told() bool  { return e.until&1 == 1 }

// NewTable makes a table for size keys, rounded up to a power of two and at least
// 256. Which keys share a set depends on the secret, so that nobody can choose
// with whom to share one.
func NewTable(size int, secret []byte) *Table {
	pages := 1
	for pages*page*ways < size {
		pages *= 2
	}
	return &Table{secret: slices.Clone(secret), sets: uint64(pages * page), pages: make([]paged, pages)}
}

// Take books one try of key at now, in milliseconds, or refuses it.
func (t *Table) Take(key string, r Rate, now int64) Result {
	id := t.id(key)
	set, unlock := t.lock(id)
	defer unlock()
	e := set.place(id, now)
	next, res := r.take(e.time(), now)
	res.First = !res.Allowed && !e.told()
	*e = entry{key: id, until: next << 1}
	if !res.Allowed {
		e.until |= 1
	}
	return res
}

// Give takes back one try of key that was booked. A key that is not known, or
// has nothing booked, is left as it is.
func (t *Table) Give(key string, r Rate, now int64) {
	id := t.id(key)
	set, unlock := t.lock(id)
	defer unlock()
	for i := range set {
		if set[i].key == id {
			set[i].until = r.give(set[i].time(), now) << 1
		}
	}
}

// Entry is a key, as it is kept, and when all that it booked will have worn off.
type Entry struct {
	Key   uint64
	Until int64 // milliseconds
}

// Longest are up to n entries that wear off after the given time, those that do
// so last first.
func (t *Table) Longest(n int, after int64) []Entry {
	var list []Entry
	if t.made.Load() == 0 {
		return nil
	}
	for i := range t.pages {
		p := &t.pages[i]
		p.mu.Lock()
		if p.sets != nil {
			for _, s := range p.sets {
				for _, e := range s {
					if e.time() > after {
						list = append(list, Entry{e.key, e.time()})
					}
				}
			}
		}
		p.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Until, a.Until), cmp.Compare(a.Key, b.Key))
	})
	return slices.Clip(list[:min(n, len(list))])
}

// Merge adds what another table with the same secret has booked: of each key the
// later time counts.
func (t *Table) Merge(list []Entry, now int64) {
	for _, other := range list {
		if other.Key == 0 || other.Until <= now {
			continue
		}
		set, unlock := t.lock(other.Key)
		if e := set.place(other.Key, now); e.time() < other.Until {
			e.until = other.Until << 1
		}
		unlock()
	}
}

// Sweep gives the pages back in which everything has worn off.
func (t *Table) Sweep(now int64) {
	if t.made.Load() == 0 {
		return
	}
	for i := range t.pages {
		p := &t.pages[i]
		p.mu.Lock()
		if p.sets != nil && !p.booked(now) {
			p.sets = nil
			t.made.Add(-1)
		}
		p.mu.Unlock()
	}
}

func (p *paged) booked(now int64) bool {
	for i := range p.sets {
		for _, e := range p.sets[i] {
			if e.time() > now {
				return true
			}
		}
	}
	return false
}

// Entry is the Key under which a key is kept.
func (t *Table) Entry(key string) uint64 { return t.id(key) }

// id is what a key is kept as. Two keys that share one share their bookings; with
// 64 bits that does not happen.
func (t *Table) id(key string) uint64 {
	h := sha256.New()
	h.Write(t.secret)
	h.Write([]byte(key))
	var sum [sha256.Size]byte
	return max(1, binary.LittleEndian.Uint64(h.Sum(sum[:0])))
}

// lock is the set that a key belongs to, for the caller alone until unlock.
func (t *Table) lock(id uint64) (s *set, unlock func()) {
	i := id % t.sets
	p := &t.pages[i/page]
	p.mu.Lock()
	if p.sets == nil {
		p.sets = new([page]set)
		t.made.Add(1)
	}
	return &p.sets[i%page], p.mu.Unlock
}

// place is where a key is kept. If it was not, it takes a place that is free or
// worn off, or else that of the entry that wears off first, with what that one
// has booked.
func (s *set) place(id uint64, now int64) *entry {
	first := &s[0]
	for i := range s {
		if s[i].key == id {
			return &s[i]
		}
		if s[i].time() < first.time() {
			first = &s[i]
		}
	}
	first.key = id
	first.until &^= 1
	if first.time() <= now {
		first.until = 0
	}
	return first
}

package gatehouse

import (
	"maps"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/hashing"
)

// Stats is what this process is doing and has done since New, for metrics.
type Stats struct {
	Hashing HashingStats
	Events  map[EventCount]uint64 // recorded, by kind and outcome
	Limited map[string]uint64     // tries refused, by the limit that refused
	Hints   HintStats
	Differ  []string // settings in which a process that started later differs
}

// EventCount is a kind of event with an outcome.
type EventCount struct{ Kind, Outcome string }

// HashingStats is what the pool that hashes passwords is doing.
type HashingStats struct {
	Workers, Running               int
	WaitingKnown, WaitingStrangers int   // who wait, from known devices and others
	MemoryHeld, MemoryBudget       int64 // bytes
	Done, Refused                  uint64
	WaitTime, HashTime             Histogram // of those done
}

// Histogram counts durations. Counts[i] is how many were at most Bounds[i] and
// above the bound before; the last of Counts is those above all bounds.
type Histogram struct {
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// Stats is cheap and may be called often.
func (g *Gatehouse) Stats() Stats {
	h := g.hashes.Stats()
	events, limited := g.counts.copy()
	return Stats{
		Hashing: HashingStats{
			Workers: h.Workers, Running: h.Running, WaitingKnown: h.Known, WaitingStrangers: h.Strangers,
			MemoryHeld: int64(h.MemoryHeld) << 10, MemoryBudget: int64(h.MemoryBudget) << 10,
			Done: h.Done, Refused: h.Refused, WaitTime: histogram(h.Waited), HashTime: histogram(h.Took),
		},
		Events: events, Limited: limited, Hints: g.hintStats(), Differ: g.settingsThatDiffer(),
	}
}

func histogram(d hashing.Durations) Histogram {
	return Histogram{Bounds: hashing.Bounds[:], Counts: d.Buckets[:], Sum: d.Sum}
}

// counts is what has happened so often. Kinds, outcomes and limits are ours, so
// the maps stay small.
type counts struct {
	mu      sync.Mutex
	events  map[EventCount]uint64
	limited map[string]uint64
}

func (c *counts) event(kind, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.events == nil {
		c.events = map[EventCount]uint64{}
	}
	c.events[EventCount{kind, outcome}]++
}

func (c *counts) limit(lane string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limited == nil {
		c.limited = map[string]uint64{}
	}
	c.limited[lane]++
}

func (c *counts) copy() (events map[EventCount]uint64, limited map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.events), maps.Clone(c.limited)
}

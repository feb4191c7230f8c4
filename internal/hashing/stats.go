package hashing

import "time"

// Stats is what a pool is doing and has done.
type Stats struct {
	Workers, Running         int
	Known, Strangers         int // who wait
	MemoryHeld, MemoryBudget int // KiB

	Done    uint64    // hashes that were computed
	Refused uint64    // callers who got ErrBusy
	Waited  Durations // in the queue, of those that were computed
	Took    Durations // to compute, on the clock on the wall
}

// Bounds are the upper ends of the buckets of Durations.
var Bounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second,
}

// Durations counts durations in buckets. The last bucket is of those above all
// bounds.
type Durations struct {
	Sum     time.Duration
	Buckets [len(Bounds) + 1]uint64
}

func (d *Durations) add(t time.Duration) {
	d.Sum += t
	i := 0
	for i < len(Bounds) && t > Bounds[i] {
		i++
	}
	d.Buckets[i]++
}

// Stats is cheap: it copies some numbers.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Workers, s.Running = p.workers, p.running
	s.Known, s.Strangers = p.waiting.known.jobs, p.waiting.strangers.jobs
	s.MemoryHeld, s.MemoryBudget = p.memory.held, p.memory.budget
	return s
}

package hashing

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// A pool that has had nothing to do for a few seconds gives its memory back to
// the operating system, and the processors that it made the runtime see.
const (
	idleAfter = 3 * time.Second
	idleLeast = 16 << 10 // KiB on the Go heap below which a collection is not worth the while
	perCall   = 64       // KiB that whoever wants a hash is taken to leave there: a request and its answer
)

// idle is what happens then. The methods of idle are called under the lock of
// the pool.
type idle struct {
	timer *time.Timer // stopped unless the pool is at rest
	left  int         // KiB on the Go heap since the last collection
}

// init prepares the timer.
func (i *idle) init(rest func()) {
	i.timer = time.AfterFunc(math.MaxInt64, rest)
	i.timer.Stop()
}

func (i *idle) stop()  { i.timer.Stop() }
func (i *idle) start() { i.timer.Reset(idleAfter) }

// used counts a hash of memory KiB of argon2, and heap KiB on the Go heap.
func (i *idle) used(memory, heap int) {
	i.left += perCall + heap
	if !argon2.OffHeap() {
		i.left += memory
	}
}

// due reports whether a flood has left so much on the Go heap that somebody
// should collect it now: nothing else does as long as nothing is allocated, and
// the runtime gives free pages back over minutes. A collection costs in
// proportion to what is alive: beside a large heap it has to be earned by more
// hashes, as it would be by the collector's own rule.
func (i *idle) due() bool {
	if i.left < idleLeast || i.left < live()/4 {
		return false
	}
	i.left = 0
	return true
}

// live is the size, in KiB, of what the last collection found alive.
func live() int {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int(sample[0].Value.Uint64() >> 10)
}

// rest is called by the timer.
func (p *Pool) rest() {
	p.mu.Lock()
	if p.closed || p.running > 0 || p.waiting.len() > 0 {
		p.mu.Unlock()
		return // somebody came at the same moment
	}
	p.memory.releaseFree()
	p.lower()
	collect := p.idle.due()
	p.mu.Unlock()
	if collect {
		debug.FreeOSMemory()
	}
}

package hashing

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// A burst of hashes leaves tens of megabytes behind: the blocks of the last
// ones, which nothing collects as long as nothing is allocated, and free pages
// that the runtime gives back over minutes. A pool that has had nothing to do
// for a few seconds gives them back at once.
const (
	idleAfter = 3 * time.Second
	idleLeast = 16 << 10 // KiB of hashing below which it is not worth the while
)

// idle gives the memory of past hashes back to the operating system. Its
// methods are called under the lock of the pool.
type idle struct {
	timer  *time.Timer // stopped unless a release is due
	hashed int         // KiB since the last release
}

// init prepares the timer, which takes the lock of the pool for itself.
func (i *idle) init(lock sync.Locker) {
	i.timer = time.AfterFunc(math.MaxInt64, func() {
		lock.Lock()
		i.hashed = 0
		lock.Unlock()
		debug.FreeOSMemory()
	})
	i.timer.Stop()
}

func (i *idle) used(memory int) { i.hashed += memory }

func (i *idle) stop() { i.timer.Stop() }

// start releases in a while, unless it is stopped before. A collection costs in
// proportion to what is alive: beside a large heap it has to be earned by more
// hashes, as it would be by the collector's own rule.
func (i *idle) start() {
	if i.hashed >= idleLeast && i.hashed >= live()/4 {
		i.timer.Reset(idleAfter)
	}
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

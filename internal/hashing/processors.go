package hashing

import (
	"runtime"
	"sync"
)

// processors raises GOMAXPROCS while pools are at work, by the number of their
// workers. A goroutine that computes occupies what the runtime takes for a
// processor: with bcrypt until it is done, with argon2 for the moments between
// two hashes (package argon2 says why). With as many more of those, the real
// processors are shared out by the operating system, which knows that workers
// are less important than all other threads, and not by the runtime, which does
// not.
//
// GOMAXPROCS belongs to the whole process, and so does this.
type processors struct {
	mu        sync.Mutex
	extra     int  // what all pools at work have asked for
	raised    int  // what GOMAXPROCS was set to for it
	base      int  // what it was before
	automatic bool // base was the choice of the runtime, which follows the limits of the container
}

var process processors

// add raises GOMAXPROCS by n, or lowers it if n is negative. What the program
// sets by itself meanwhile stays, and counts as what it was before.
func (p *processors) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := runtime.GOMAXPROCS(0)
	if p.extra == 0 || now != p.raised {
		p.base, p.automatic = now, automatic(now)
	}
	p.extra += n
	switch {
	case p.extra > 0:
		p.raised = p.base + p.extra
		runtime.GOMAXPROCS(p.raised)
	case p.automatic:
		runtime.SetDefaultGOMAXPROCS()
	default:
		runtime.GOMAXPROCS(p.base)
	}
}

// automatic reports whether n, which is in force, is what the runtime would
// choose.
func automatic(n int) bool {
	runtime.SetDefaultGOMAXPROCS()
	if runtime.GOMAXPROCS(0) == n {
		return true
	}
	runtime.GOMAXPROCS(n)
	return false
}

// raise and lower are called under the lock of the pool.
func (p *Pool) raise() {
	if threads && !p.raised {
		p.raised = true
		process.add(p.workers)
	}
}

func (p *Pool) lower() {
	if p.raised {
		p.raised = false
		process.add(-p.workers)
	}
}

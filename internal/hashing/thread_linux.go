package hashing

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// threads says that a worker has a thread of its own.
const threads = true

// niceness is how much a worker gives way to everybody else: where others want
// a whole processor, it gets a tenth of it. With the lowest of all, 19, that is a
// seventieth, and no better for the others: a worker that is kept from its
// processor for a fifth of a second in the few moments between two hashes, when
// the runtime has to wait for it, keeps everybody waiting. And logins would stop
// on a machine that is busy with something else.
const niceness = 10

// ownThread gives the calling goroutine a thread of its own, of low priority: it
// computes when nobody else wants to. The thread ends with the goroutine, since
// it must not be given to another one. If the priority is refused, the thread
// shares the processors with the others as an equal.
func ownThread() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness) // on Linux that is the one thread
}

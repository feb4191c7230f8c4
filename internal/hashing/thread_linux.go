package hashing

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// threads says that a worker has a thread of its own.
const threads = true

// ownThread gives the calling goroutine a thread of its own, of the lowest
// priority there is: it computes when nobody else wants to. The thread ends with
// the goroutine, since it must not be given to another one. If the priority is
// refused, the thread shares the processors with the others as an equal.
func ownThread() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) // on Linux that is the one thread
}

package hashing

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// threads says that a worker has a thread of its own.
const threads = true

// niceness is how much more than the rest of the program a worker gives way to
// others: where they want a whole processor, it gets a tenth of it. With the most
// there is, 19, that is a seventieth, and no better for the others: a worker that
// is kept from its processor for a fifth of a second in the few moments between
// two hashes, when the runtime has to wait for it, keeps everybody waiting. And
// logins would stop on a machine that is busy with something else.
const niceness = 10

// ownThread gives the calling goroutine a thread of its own, of low priority: it
// computes when nobody else wants to. The thread ends with the goroutine, since
// it must not be given to another one. If the priority is refused, the thread
// shares the processors with the others as an equal.
func ownThread() {
	runtime.LockOSThread()
	thread := unix.Gettid() // on Linux a priority is that of a thread
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err == nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(20-n+niceness, 19)) // the kernel answers 20 minus it
	}
}

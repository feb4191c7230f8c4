//go:build !linux

package hashing

// threads says that a worker has a thread of its own. Elsewhere than on Linux
// there is no lower priority for one thread that could be taken through Go's
// own packages, and workers are goroutines like all others.
const threads = false

func ownThread() {}

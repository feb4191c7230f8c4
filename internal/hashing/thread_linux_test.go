package hashing

import (
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// nice is that of the thread that asks.
func nice(t *testing.T) int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		t.Error(err)
	}
	return 20 - n // what the kernel answers
}

// Jobs are run with a low priority, and nothing else is, not even when the
// worker has ended and threads are used again.
func TestPriority(t *testing.T) {
	base := nice(t)
	for range 5 {
		p := newPool(t, Config{Params: small, Workers: 3})
		if err := do(t.Context(), p, 1, 1, func() error {
			if n := nice(t); n != min(base+niceness, 19) {
				t.Errorf("a job is run with a niceness of %d, want %d more than %d", n, niceness, base)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		p.Close()
		var others sync.WaitGroup
		for range 30 {
			others.Go(func() {
				runtime.LockOSThread() // so that it is one more thread
				defer runtime.UnlockOSThread()
				if n := nice(t); n != base {
					t.Errorf("something else has a niceness of %d, want %d", n, base)
				}
			})
		}
		others.Wait()
	}
}

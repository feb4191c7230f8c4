//go:build linux

package e2e

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// launch starts a process that does not outlive the tests. Linux ends such a
// process with the thread that has started it, and threads come to an end: those of
// a hashing pool do with the pool, and any of them may have started something
// before. So one that lasts starts them all.
func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := make(chan error)
	launches() <- func() { err <- cmd.Start() }
	return <-err
}

var launches = sync.OnceValue(func() chan<- func() {
	orders := make(chan func())
	go func() {
		runtime.LockOSThread() // and never again without it
		for start := range orders {
			start()
		}
	}()
	return orders
})

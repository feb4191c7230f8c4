package argon2

import _ "unsafe" // for linkname

// apart is write for a thread that may be kept from its processor, because it has
// the lowest priority there is. The runtime takes it for a system call: it does
// not wait for it when it stops the world to collect garbage, and lends the
// processor to other goroutines. Otherwise a flood of logins beside a program
// that uses all processors makes everything wait: collections were seen to take
// four seconds instead of some milliseconds. A raised GOMAXPROCS does not help
// against that, since what is waited for is the thread.
//
// The runtime has no official name for it but cgo's, which a static binary cannot
// have. It keeps these two for gVisor and says that they will not change
// (go.dev/issue/67401); if they went, write alone would do, with that fault.
// Between the two nothing may touch the runtime: write is assembly, without a
// stack.
//
//go:nosplit
//go:norace
func apart(s *segment) {
	enterSyscallBlock()
	write(s)
	exitSyscall()
}

//go:linkname enterSyscallBlock runtime.entersyscallblock
func enterSyscallBlock()

//go:linkname exitSyscall runtime.exitsyscall
func exitSyscall()

//go:build amd64 && go1.26 && !go1.27

package argon2

import _ "unsafe" // for linkname

// apart is write for a thread of low priority, which may be kept from its
// processor. The runtime takes it for a system call: it does not wait for the
// thread when it stops the world to collect garbage, and lends its place to other
// goroutines. Otherwise everything would wait for hashes in a program beside
// which others use all processors: there, half of all collections took more than
// 30 ms to stop the world, and one in a hundred more than a second. A raised
// GOMAXPROCS does not help against that, since the thread itself is waited for.
//
// The runtime has no other name for it than cgo, which a static binary cannot
// have. It keeps these two for gVisor and promises not to change them
// (go.dev/issue/67401). All the same this file is for the versions of Go with which
// it was tried; for others write alone has to do, with that fault.
// Between the two nothing may need the runtime: write is assembly, without a
// stack.
//
//go:nosplit
//go:norace
func apart(s *segment, n int) {
	enterSyscall()
	write(s, n)
	exitSyscall()
}

//go:linkname enterSyscall runtime.entersyscall
func enterSyscall()

//go:linkname exitSyscall runtime.exitsyscall
func exitSyscall()

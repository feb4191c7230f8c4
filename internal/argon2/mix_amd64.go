package argon2

import "golang.org/x/sys/cpu"

// fast reports whether what is declared here can be called. It is written in
// assembly, for AVX2.
var fast = cpu.X86.HasAVX2

// mix is the compression function of RFC 9106, section 3.5: out becomes G(a, b)
// XOR old. The old block may be out itself, as in every pass but the first, or
// zero; scratch is overwritten.
//
//go:noescape
func mix(out, old, a, b, scratch *block)

// write writes the blocks of n segments, at least one, that follow s in memory:
// each block is mix of the one before it and of one that is chosen by a random
// number (sections 3.4.1.3 and 3.4.2).
//
//go:noescape
func write(s *segment, n int)

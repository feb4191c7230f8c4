package argon2

import "golang.org/x/sys/cpu"

// fast reports whether mix can be called.
var fast = cpu.X86.HasAVX2

// mix is the compression function of RFC 9106, section 3.5: out becomes G(a, b)
// XOR old. The old block may be out itself, as in every pass but the first, or
// zero; scratch is overwritten. It is written in assembly, for AVX2.
//
//go:noescape
func mix(out, old, a, b, scratch *block)

//go:build !amd64

package argon2

// fast reports whether mix and write can be called.
const fast = false

func mix(_, _, _, _, _ *block) { panic("argon2: no mix on this architecture") }

func write(*segment, int) { panic("argon2: no write on this architecture") }

//go:build !amd64 || !go1.26 || go1.27

package argon2

// apart is write, for which the runtime waits.
func apart(s *segment, n int) { write(s, n) }

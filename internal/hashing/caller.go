package hashing

// Caller is on whose behalf a password is hashed: it decides whose turn is next.
type Caller struct {
	// Source is the network that the request came from, such as an IPv4 address
	// or an IPv6 /64. All of a source share one place in the order; all callers
	// without one are one source.
	Source string
	// Known says that somebody has logged in on this device before. They go
	// before strangers.
	Known bool
}

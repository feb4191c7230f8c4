package gatehouse

import "context"

// Announcer is what a store may have beside [Store]: a way to tell something to
// all processes that use it. What it carries are hints that make changes known
// sooner; they may get lost, and nothing is wrong if they do.
type Announcer interface {
	// Announce sends a message of at most 4000 bytes of printable ASCII to every
	// process that listens, this one included.
	Announce(ctx context.Context, message string) error

	// Listen hands to f what is announced, one message after the other, until ctx
	// is done or the connection is lost, and returns why. It calls begun when it
	// has begun to listen: what is announced after that arrives, until Listen
	// returns. An error for which errors.Is(err, errors.ErrUnsupported) holds says
	// that it never will work on this connection.
	Listen(ctx context.Context, begun func(), f func(message string)) error
}

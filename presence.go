package gatehouse

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

// Served reports whether a running Gatehouse is heard on the store within three
// seconds. One that hears the hints of others shows a sign of life every second; a
// store that is no [Announcer], or a connection on which nothing can be heard, says
// nothing of anybody, so false is no proof.
func Served(ctx context.Context, s Store) (bool, error) {
	a, ok := s.(Announcer)
	if !ok {
		return false, nil
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	var heard atomic.Bool
	begun := func() {
		enough := time.AfterFunc(heartbeatLost, stop)
		context.AfterFunc(listening, func() { enough.Stop() })
	}
	err := a.Listen(listening, begun, func(message string) {
		for line := range strings.Lines(message) {
			if strings.HasPrefix(line, "b ") {
				heard.Store(true)
				stop()
			}
		}
	})
	switch {
	case heard.Load():
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case listening.Err() != nil, errors.Is(err, errors.ErrUnsupported):
		return false, nil
	}
	return false, err
}

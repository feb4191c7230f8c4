package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

func (s *Store) channel() string { return s.c.options.Prefix + ":announcements" }

// Announce implements [gatehouse.Announcer] by PUBLISH.
func (s *Store) Announce(ctx context.Context, message string) error {
	_, err := s.c.one(ctx, "announce", command{word: []string{"PUBLISH", s.channel(), message}})
	return err
}

// behindBy is how many announcements may wait for f. While more wait, the connection
// on which other answers come as well would stand still.
const behindBy = 1000

var errBehind = errors.New("redis: announcements came faster than they were handled")

// Listen implements [gatehouse.Announcer] by SUBSCRIBE.
func (s *Store) Listen(ctx context.Context, begun func(), f func(message string)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	calls := make(chan func(), behindBy)
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		for call := range calls {
			call()
		}
	}()
	hand := func(call func()) {
		select {
		case calls <- call:
		default:
			stop(errBehind)
		}
	}
	err := s.c.wire.listen(ctx, s.channel(), func() { hand(begun) }, func(m string) { hand(func() { f(m) }) })
	close(calls)
	<-handled
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("redis: listen: %w", cause)
	}
	return fmt.Errorf("redis: listen: %w: %w", gatehouse.ErrUnavailable, err)
}

package redis

import (
	"context"
	"errors"
	"time"
)

// away is a Redis that cannot be reached.
type away struct{}

var errAway = errors.New("dial tcp: connect: connection refused")

func (away) do(_ context.Context, list ...command) []answer {
	answers := make([]answer, len(list))
	for i := range answers {
		answers[i].err = errAway
	}
	return answers
}
func (away) replicate(context.Context, command, int, time.Duration) (answer, int64) {
	return answer{err: errAway}, 0
}
func (away) listen(context.Context, string, func(), func(string)) error { return errAway }
func (away) servers() map[string]wire                                   { return nil }
func (away) close()                                                     {}

package breach

import (
	"context"
	"crypto/sha1" //nolint:gosec // what such lists are made of; nothing is protected by it
	"errors"
	"log/slog"
)

// List is a gatehouse.BreachList.
type List interface {
	Contains(ctx context.Context, sum [sha1.Size]byte) (bool, error)
}

// Lenient is a list whose faults count as "has not leaked", with a warning in
// the log for each: people can choose passwords while it is away, and some of
// those will be on it.
type Lenient struct {
	List List
	Log  *slog.Logger
}

// Contains is that of the list. The error is not nil only when the caller has
// gone.
func (l Lenient) Contains(ctx context.Context, sum [sha1.Size]byte) (bool, error) {
	found, err := l.List.Contains(ctx, sum)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return found, err
	}
	l.Log.WarnContext(ctx, "a new password was not held against the leaked ones", "error", err)
	return false, nil
}

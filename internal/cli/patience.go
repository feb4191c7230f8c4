package cli

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// patience waits out the moments in which a database is away. It is for what is
// harmless to do twice.
type patience struct {
	progress *progress
	most     time.Duration // without a sign of life; default a minute
	since    time.Time     // of the present outage
}

const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// works says that there was a sign of life.
func (w *patience) works() {
	if !w.since.IsZero() {
		w.progress.end()
		w.progress.p.say("It can be used again.")
	}
	w.since = time.Time{}
}

// try does something on a database, and again while that is away.
func (w *patience) try(ctx context.Context, what string, do func() error) error {
	most := w.most
	if most == 0 {
		most = time.Minute
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := do()
		if err == nil {
			w.works()
			return nil
		}
		if !errors.Is(err, gatehouse.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		switch {
		case w.since.IsZero():
			w.since, pause = time.Now(), firstPause
			w.progress.end()
			w.progress.p.say(what + " cannot be used, and is tried again for " + most.String() + ": " + err.Error())
		case time.Since(w.since) >= most:
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

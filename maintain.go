package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

const (
	sweepTask  = "sweep"
	sweepEvery = 10 * time.Minute
	sweepBatch = 500 // records of each kind in one write, so that others get between
)

// maintain does in the background what is due, until ctx is done: it reads the
// signing keys and rotates them when their time has come, sweeps expired records,
// and keeps what is booked on limits. What fails is tried again a minute later.
func (g *Gatehouse) maintain(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.attempt(ctx, "read signing keys", g.loadKeys)
			g.attempt(ctx, "sweep", g.sweep)
			g.attempt(ctx, "keep limits", g.keepLimits)
		}
	}
}

// attempt survives whatever happens in do: nothing in the background takes the
// process down.
func (g *Gatehouse) attempt(ctx context.Context, what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			g.log.LogAttrs(ctx, slog.LevelError, "panic in the background",
				slog.String("doing", what), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := do(ctx); err != nil && !errors.Is(err, context.Canceled) {
		g.log.LogAttrs(ctx, slog.LevelWarn, "background work failed; it will be tried again",
			slog.String("doing", what), slog.Any("error", err))
	}
}

// sweep deletes expired records, if it is due and no other process is at it:
// the task is leased to one at a time.
func (g *Gatehouse) sweep(ctx context.Context) error {
	t := now()
	first := &Task{ID: sweepTask, Kind: sweepTask, DueAt: t, CreatedAt: t}
	task, err := g.store.ClaimTask(ctx, []string{sweepTask}, t, t.Add(time.Minute))
	if errors.Is(err, ErrNotFound) {
		// Not due, leased, or never made: the id tells the last from the others.
		if err := g.store.CreateTask(ctx, first); errors.Is(err, ErrExists) {
			return nil
		} else if err != nil {
			return fmt.Errorf("create task: %w", err)
		}
		task, err = g.store.ClaimTask(ctx, []string{sweepTask}, t, t.Add(time.Minute))
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim task: %w", err)
	}
	for {
		n, err := g.store.Sweep(ctx, t, sweepBatch)
		if err != nil {
			return fmt.Errorf("sweep: %w", err) // the lease runs out, and somebody tries again
		}
		if n == 0 {
			break
		}
	}
	task.DueAt, task.LeasedUntil, task.Attempts = now().Add(sweepEvery), time.Time{}, 0
	if err := g.store.SaveTask(ctx, task); err != nil && !errors.Is(err, ErrStale) {
		return fmt.Errorf("save task: %w", err)
	}
	return nil
}

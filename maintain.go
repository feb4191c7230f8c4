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
// signing keys and rotates them when their time has come, compares the settings
// with those of other processes, sweeps expired records,
// keeps what is booked on limits, and writes checkpoints into the audit log. What
// fails is tried again a minute later.
func (g *Gatehouse) maintain(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.attempt(ctx, "read signing keys", 30*time.Second, g.loadKeys)
			g.attempt(ctx, "compare settings", 30*time.Second, g.compareSettings)
			g.attempt(ctx, "sweep", 30*time.Second, g.sweep)
			g.terminated.Sweep(now())
			g.attempt(ctx, "keep limits", 30*time.Second, g.keepLimits)
			g.attempt(ctx, "checkpoint of events", 30*time.Second, g.checkpoint)
		case <-g.chain.due:
			g.attempt(ctx, "checkpoint of events", 30*time.Second, g.checkpoint)
		}
	}
}

// takeCensus counts the kinds of hashes, at the start and whenever it is due. With
// many users that takes a while, so it is apart from the rest.
func (g *Gatehouse) takeCensus(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		g.attempt(ctx, "count the kinds of hashes", censusLease, g.census)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// attempt survives whatever happens in do, which has to be done within a time:
// nothing in the background takes the process down.
func (g *Gatehouse) attempt(ctx context.Context, what string, within time.Duration, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			g.log.LogAttrs(ctx, slog.LevelError, "panic in the background",
				slog.String("doing", what), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := do(ctx); err != nil && !errors.Is(err, context.Canceled) {
		g.log.LogAttrs(ctx, slog.LevelWarn, "background work failed",
			slog.String("doing", what), slog.Any("error", err))
	}
}

// sweep deletes expired records, if it is due and no other process is at it.
func (g *Gatehouse) sweep(ctx context.Context) error {
	task, err := g.claim(ctx, sweepTask, time.Minute)
	if task == nil || err != nil {
		return err
	}
	for {
		n, err := g.store.Sweep(ctx, now(), sweepBatch)
		if err != nil {
			return fmt.Errorf("sweep: %w", err) // the lease runs out, and somebody tries again
		}
		if n == 0 {
			break
		}
	}
	return g.release(ctx, task, sweepEvery)
}

// claim is the task of this kind, of which there is one, for this process alone
// as long as the lease lasts; nil if it is not due or another process is at it.
func (g *Gatehouse) claim(ctx context.Context, kind string, lease time.Duration) (*Task, error) {
	t := now()
	task, err := g.store.ClaimTask(ctx, []string{kind}, t, t.Add(lease))
	if errors.Is(err, ErrNotFound) {
		// Not due, leased, or never made: the id tells the last from the others.
		if err := g.store.CreateTask(ctx, &Task{ID: kind, Kind: kind, DueAt: t, CreatedAt: t}); errors.Is(err, ErrExists) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("create task %s: %w", kind, err)
		}
		task, err = g.store.ClaimTask(ctx, []string{kind}, t, t.Add(lease))
	}
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claim task %s: %w", kind, err)
	}
	return task, nil
}

// release gives a task back, to be done again in a while.
func (g *Gatehouse) release(ctx context.Context, task *Task, in time.Duration) error {
	task.DueAt, task.LeasedUntil, task.Attempts = now().Add(in), time.Time{}, 0
	if err := g.store.SaveTask(ctx, task); err != nil && !errors.Is(err, ErrStale) {
		return fmt.Errorf("save task %s: %w", task.Kind, err)
	}
	return nil
}

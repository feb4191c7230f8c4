package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// maxBatch is how many writes share a transaction at most. More would not be
// cheaper for each, and the first would wait longer.
const maxBatch = 256

// write is what a caller wants written.
type write struct {
	f     func(sqlstore.Conn) error
	undo  bool // f has several statements, which stand or fall together
	state atomic.Int32
	done  chan error
}

const (
	waiting = iota // in the queue: the caller can still take it back
	running        // the writer has begun
	left           // the caller has gone, and nothing happens
)

// submit queues w and waits for its answer. If ctx is done first, w is taken
// back, or, if it has begun, its fate is not known to the caller.
func (s *Store) submit(ctx context.Context, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	w.done = make(chan error, 1) // the writer never waits for a caller
	select {
	case s.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	if w.state.CompareAndSwap(waiting, left) {
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	default:
		return fmt.Errorf("%w: given up while it was being written: %w", gatehouse.ErrUnavailable, ctx.Err())
	}
}

// write is the one goroutine that writes. It takes what has been queued while
// the last commit ran, and never waits for more to come.
func (s *Store) write() {
	defer close(s.stopped)
	batch := make([]*write, 0, maxBatch)
	for w := range s.queue {
		batch = append(batch[:0], w)
		for more := true; more && len(batch) < maxBatch; {
			select {
			case w, more = <-s.queue:
				if more {
					batch = append(batch, w)
				}
			default:
				more = false
			}
		}
		s.commit(batch)
		clear(batch)
	}
}

// commit writes a batch in one transaction, and answers when it is on the disk.
// If anything but a single statement fails, then nothing of the batch was
// written, and all hear of it: also who found a record stale, because what made
// it stale may have been undone.
func (s *Store) commit(batch []*write) {
	answers := make([]error, len(batch))
	err := s.begin()
	begun := err == nil
	for i, w := range batch {
		if !w.state.CompareAndSwap(waiting, running) {
			batch[i] = nil
			continue
		}
		if err == nil {
			answers[i] = s.writer.run(w)
			err = s.writer.fault
		}
	}
	if err == nil {
		if s.beforeCommit != nil {
			s.beforeCommit(batch)
		}
		_, err = s.writer.Exec(context.Background(), `COMMIT`)
	}
	if begun && err != nil {
		s.suspect = err
	}
	for i, w := range batch {
		if w == nil {
			continue
		}
		if err != nil {
			answers[i] = err
		}
		w.done <- answers[i]
	}
}

// run runs one write within the transaction.
func (c *conn) run(w *write) error {
	if !w.undo {
		return w.f(c)
	}
	ctx := context.Background()
	if _, err := c.Exec(ctx, `SAVEPOINT write`); err != nil {
		return err
	}
	err := w.f(c)
	if err != nil && c.fault == nil {
		if _, e := c.Exec(ctx, `ROLLBACK TO write`); e != nil {
			c.fault = e // what f did is still there: the batch must not be committed
			return errors.Join(err, e)
		}
	}
	if _, e := c.Exec(ctx, `RELEASE write`); e != nil && c.fault == nil {
		c.fault = e
	}
	return err
}

// begin starts a transaction that nobody else can write beside.
func (s *Store) begin() error {
	if s.suspect != nil {
		if err := s.heal(); err != nil {
			return err
		}
	}
	err := s.writer.patiently(s.opts.BusyTimeout, func() error {
		_, err := s.writer.Exec(context.Background(), `BEGIN IMMEDIATE`)
		return err
	})
	if err != nil && !busy(err) {
		s.suspect = err
	}
	return err
}

// heal makes sure, after a write has failed, that the next one can be trusted.
//
// When a sync fails, the kernel may give up the pages it could not write and
// report the next sync as a success. So nothing that was written before may be
// needed by what is written after. The connection still knows where the last
// good commit in the -wal file ends. From there a checkpoint copies everything
// anew into the database file, syncs it, and empties the -wal file. Only then
// the connections are replaced: one that was opened earlier would read the -wal
// file from the start, and could take for committed what never reached the
// disk.
//
// While the fault lasts the checkpoint fails, and with it every write. If another
// file has taken the name, then there is nothing to save but to go on with that.
func (s *Store) heal() error {
	ctx := context.Background()
	if file, err := os.Stat(s.path); err != nil {
		return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
	} else if s.writer != nil && os.SameFile(file, s.file) {
		_, _ = s.writer.Exec(ctx, `ROLLBACK`) // it fails if SQLite has done so itself
		s.writer.fault = nil
		if err := s.writer.patiently(s.opts.BusyTimeout, func() error { return s.writer.checkpoint(ctx) }); err != nil {
			return err
		}
	}
	s.generation.Add(1)
	s.writer.abandon()
	s.writer = nil
	if err := s.openWriter(ctx, false); err != nil {
		return err
	}
	s.suspect = nil
	return nil
}

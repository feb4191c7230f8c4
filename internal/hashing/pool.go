package hashing

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// ErrBusy is what a [BusyError] is, whatever it carries.
var ErrBusy = errors.New("hashing: busy")

// BusyError says that a password was not looked at, because the queue is full
// or would take longer than the caller can wait.
type BusyError struct {
	// RetryAfter is an estimate of when there is room again, at least a
	// second. Whoever hands it to many callers should spread it.
	RetryAfter time.Duration
}

// Error is that of [ErrBusy].
func (e *BusyError) Error() string { return ErrBusy.Error() }

// Unwrap is [ErrBusy].
func (e *BusyError) Unwrap() error { return ErrBusy }

// ErrClosed is the answer of a pool after Close.
var ErrClosed = errors.New("hashing: pool is closed")

// Config is how a [Pool] works.
type Config struct {
	// Params are those of new hashes. Default, field by field, [DefaultParams].
	Params Params
	// Workers is how many hashes are computed at once. Default GOMAXPROCS.
	Workers int
	// Queue is how many callers may wait for a worker. Default 16 per
	// worker, and at least 64: a burst of two seconds is no overload.
	Queue int
	// MemoryBudget bounds, in KiB, the memory of all hashes that are being
	// computed. It matters for stored hashes with larger parameters than
	// Params: they wait until there is enough, and one that needs more than
	// the whole budget is computed alone, so that its owner is not locked out.
	// Default Workers × Params.Memory.
	MemoryBudget int
}

// Pool computes password hashes. All methods may be called at the same time.
type Pool struct {
	params  Params
	queue   int
	workers int
	budget  int
	decoy   Hash // what Waste verifies against

	done sync.WaitGroup // the workers

	mu      sync.Mutex
	wake    sync.Cond // the queue, the memory in use, or closed has changed
	waiting []*job    // oldest first
	backlog int64     // the work of those waiting
	running int       // jobs
	memory  int       // KiB, of those running
	pace    float64   // nanoseconds for a unit of work, a moving average; 0 before the first
	closed  bool
	idle    idle
}

// job is a piece of work, and what it is expected to take.
type job struct {
	memory int
	work   int64
	run    func() error
	err    error
	done   chan struct{} // closed when err is set
}

// New starts a pool. Close ends it. The error names every setting that is out
// of range.
func New(cfg Config) (*Pool, error) {
	cfg.Params.Memory = cmp.Or(cfg.Params.Memory, DefaultParams.Memory)
	cfg.Params.Time = cmp.Or(cfg.Params.Time, DefaultParams.Time)
	cfg.Params.Parallelism = cmp.Or(cfg.Params.Parallelism, DefaultParams.Parallelism)
	cfg.Workers = cmp.Or(cfg.Workers, runtime.GOMAXPROCS(0))
	cfg.Queue = cmp.Or(cfg.Queue, max(64, 16*cfg.Workers))
	var errs []error
	if err := cfg.Params.check(); err != nil {
		errs = append(errs, err)
	}
	if cfg.Workers < 0 {
		errs = append(errs, fmt.Errorf("workers is %d, want 1 or more", cfg.Workers))
	}
	if cfg.Queue < 0 {
		errs = append(errs, fmt.Errorf("queue is %d, want 1 or more", cfg.Queue))
	}
	if cfg.MemoryBudget < 0 {
		errs = append(errs, fmt.Errorf("memory budget is %d KiB, want 1 or more", cfg.MemoryBudget))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &Pool{
		params:  cfg.Params,
		queue:   cfg.Queue,
		workers: cfg.Workers,
		budget:  cmp.Or(cfg.MemoryBudget, cfg.Workers*int(cfg.Params.Memory)),
		decoy:   newHash(cfg.Params),
	}
	p.wake.L = &p.mu
	p.idle.init(&p.mu)
	for range cfg.Workers {
		p.done.Go(p.worker)
	}
	return p, nil
}

// Close refuses new work, finishes what was accepted, and returns when the
// workers have ended. It may be called again.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.idle.stop()
	p.wake.Broadcast()
	p.mu.Unlock()
	p.done.Wait()
}

// Hash is the PHC string of a new argon2id hash of password, with the current
// parameters and a salt of 16 random bytes.
//
// The error is an [ErrBusy] if nothing was done for lack of room, and that of
// ctx if ctx ended first. It is the same for Verify and Waste.
func (p *Pool) Hash(ctx context.Context, password []byte) (string, error) {
	h := newHash(p.params)
	password = bytes.Clone(password)
	err := p.do(ctx, h.memory(), h.work(), func() error {
		h.key = h.derive(password)
		return nil
	})
	if err != nil {
		return "", err
	}
	return h.encode(), nil
}

// Verify reports whether password leads to the stored hash encoded, and whether
// the hash is due for a new one: because it is not argon2id, or not with the
// current parameters. A caller that knows the password to be right then calls
// Hash and stores the answer.
//
// A stored hash that cannot be read is an error, an [ErrMalformed], and never a
// match. A user without a hash is a case for Waste.
//
// A hash that is cheaper than a current one is filled up to the cost of one, so
// that the time does not tell its owner from a user who does not exist. One that
// is dearer stays so until it is replaced.
func (p *Pool) Verify(ctx context.Context, encoded string, password []byte) (ok, rehash bool, err error) {
	h, err := Parse(encoded)
	if err != nil {
		return false, false, err
	}
	ok, err = p.verify(ctx, h, password)
	if err != nil {
		return false, false, err
	}
	return ok, !h.current(p.params), nil
}

// Waste costs what Verify of a current hash costs, in time, memory and place in
// the queue, and has no result. It is for users who do not exist.
func (p *Pool) Waste(ctx context.Context, password []byte) error {
	_, err := p.verify(ctx, p.decoy, password)
	return err
}

func (p *Pool) verify(ctx context.Context, h Hash, password []byte) (bool, error) {
	var ok bool
	fill, short := p.shortfall(h)
	memory, work := h.memory(), h.work()
	if short {
		memory, work = max(memory, fill.memory()), work+fill.work()
	}
	password = bytes.Clone(password) // the caller may leave before the worker does
	err := p.do(ctx, memory, work, func() (err error) {
		if short {
			fill.derive(password)
		}
		ok, err = h.matches(password)
		return err
	})
	if err != nil {
		return false, err
	}
	return ok, nil
}

// shortfall is a hash that costs what h lacks to the cost of a current one, and
// whether that is worth the while.
func (p *Pool) shortfall(h Hash) (Hash, bool) {
	missing := p.decoy.work() - h.work()
	if missing < p.decoy.work()/100 {
		return Hash{}, false
	}
	fill := p.decoy
	fill.params.Memory = max(uint32(missing/int64(p.params.Time)), 8*uint32(p.params.Parallelism))
	return fill, true
}

// do runs a function on a worker and waits for it. If ctx ends while the job
// is in the queue, the job leaves it and is never run; if it ends while the job
// is being run, the worker finishes without us.
func (p *Pool) do(ctx context.Context, memory int, work int64, run func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{memory: memory, work: work, run: run, done: make(chan struct{})}
	if err := p.admit(ctx, j); err != nil {
		return err
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		p.leave(j)
		return ctx.Err()
	}
}

// admit puts j into the queue or refuses it. Nothing has been computed by then.
func (p *Pool) admit(ctx context.Context, j *job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	wait := p.wait()
	// Those who go straight to a worker do not count against the queue.
	if len(p.waiting)-(p.workers-p.running) >= p.queue {
		return &BusyError{RetryAfter: max(wait, time.Second)}
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return &BusyError{RetryAfter: max(wait, time.Second)}
	}
	p.idle.stop()
	p.waiting = append(p.waiting, j)
	p.backlog += j.work
	p.wake.Signal()
	return nil
}

// wait is how long a job that comes now will at least stay in the queue.
func (p *Pool) wait() time.Duration {
	return time.Duration(float64(p.backlog) * p.pace / float64(p.workers))
}

// leave takes j out of the queue, if it is still there.
func (p *Pool) leave(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, j); i >= 0 {
		p.remove(i)
		p.wake.Broadcast() // j may have been the one that waited for memory
	}
}

func (p *Pool) remove(i int) *job {
	j := p.waiting[i]
	p.waiting = slices.Delete(p.waiting, i, i+1)
	p.backlog -= j.work
	return j
}

// worker runs jobs until the pool is closed and the queue is empty. Everything
// that a job computes is computed below this function.
func (p *Pool) worker() {
	for {
		j := p.take()
		if j == nil {
			return
		}
		start := time.Now()
		j.err = protect(j.run)
		p.finish(j, time.Since(start))
		close(j.done)
	}
}

// take is the oldest job, as soon as there is one and memory for it, or nil
// when there will be none. A job that waits for memory keeps those behind it
// waiting too, for they could otherwise keep it waiting for ever.
func (p *Pool) take() *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if len(p.waiting) > 0 {
			if j := p.waiting[0]; p.running == 0 || p.memory+j.memory <= p.budget {
				p.remove(0)
				p.running++
				p.memory += j.memory
				return j
			}
		} else if p.closed {
			return nil
		}
		p.wake.Wait()
	}
}

func (p *Pool) finish(j *job, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.memory -= j.memory
	pace := float64(took) / float64(max(j.work, 1))
	if p.pace == 0 {
		p.pace = pace
	} else {
		p.pace += (pace - p.pace) / 8
	}
	p.wake.Broadcast() // the memory may be enough for several
	p.idle.used(j.memory)
	if p.running == 0 && len(p.waiting) == 0 && !p.closed {
		p.idle.start()
	}
}

// protect makes an error of a panic, so that a fault in the reading of one
// stored hash ends neither the process nor the worker.
func protect(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("hashing: panic: %v\n%s", v, debug.Stack())
		}
	}()
	return run()
}

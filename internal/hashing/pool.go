package hashing

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
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

// ErrTooLarge says that a stored hash needs more memory than the whole budget.
// It is the operator's to solve, who set the budget or brought the hash.
var ErrTooLarge = errors.New("a stored hash needs more memory than the budget for hashes")

// Config is how a [Pool] works.
type Config struct {
	// Params are those of new hashes. Default, field by field, [DefaultParams].
	Params Params
	// Workers is how many hashes are computed at once, if the memory is enough
	// for so many. Default GOMAXPROCS.
	Workers int
	// Queue is how many callers may wait for a worker. Default 16 per
	// worker, and at least 64: a burst of two seconds is no overload.
	Queue int
	// MemoryBudget bounds, in KiB, the memory of argon2 that is held at any
	// time. It must be enough for one new hash. Default Workers × Params.Memory,
	// and at least 64 MiB, so that a hash of the sort that others make by default
	// (PHP, RFC 9106) can be verified, one at a time.
	MemoryBudget int
}

const leastDefaultBudget = 64 << 10 // KiB

// Pool computes password hashes. All methods may be called at the same time.
type Pool struct {
	params  Params
	queue   int
	workers int
	current argon2Hash // what is written today, for nobody

	done sync.WaitGroup // the workers

	mu      sync.Mutex
	wake    sync.Cond // a worker is needed
	waiting queue
	memory  memories
	running int     // jobs
	asleep  int     // workers who wait for memory though there are jobs
	pace    float64 // nanoseconds for a unit of work, a moving average; 0 before the first
	raised  bool    // GOMAXPROCS, for us
	closed  bool
	idle    idle
	stats   Stats // what is counted, not what is so at the moment
}

// job is a piece of work, and what it is expected to take.
type job struct {
	caller Caller
	memory int // KiB
	heap   int // KiB of it that are garbage afterwards
	work   int64
	run    func(*argon2.Memory) error
	secret []byte // what run reads; cleared when it has, or never will
	since  time.Time
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
	one := int(cfg.Params.Memory)
	cfg.MemoryBudget = cmp.Or(cfg.MemoryBudget, max(cfg.Workers*one, leastDefaultBudget))
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
	if cfg.MemoryBudget < one {
		errs = append(errs, fmt.Errorf("memory budget is %d KiB, want at least the %d of one hash", cfg.MemoryBudget, one))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &Pool{
		params:  cfg.Params,
		queue:   cfg.Queue,
		workers: min(cfg.Workers, cfg.MemoryBudget/one), // more would only wait for memory
		current: newHash(cfg.Params),
		memory:  memories{budget: cfg.MemoryBudget, keep: one},
	}
	p.wake.L = &p.mu
	p.idle.init(p.rest)
	for range p.workers {
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.memory.releaseFree()
	p.lower()
}

// Hash is the PHC string of a new argon2id hash of password, with the current
// parameters and a salt of 16 random bytes.
//
// The error is an [ErrBusy] if nothing was done for lack of room, and that of
// ctx if ctx ended first. It is the same for Verify and Waste.
func (p *Pool) Hash(ctx context.Context, c Caller, password []byte) (string, error) {
	h := newHash(p.params)
	secret := bytes.Clone(password)
	err := p.do(ctx, &job{
		caller: c, memory: h.memory(), work: h.work(len(password)), secret: secret,
		run: func(m *argon2.Memory) (err error) {
			h.key, err = h.derive(m, secret)
			return err
		},
	})
	if err != nil {
		return "", err
	}
	return h.encode(), nil
}

// Import is [Foreign] for hashes that Verify will look at, and their kind as it
// will be stored: that of a digest is of the hash that Wrap makes of it. The error
// is an [ErrMalformed] or an [ErrTooLarge].
func (p *Pool) Import(text string) (encoded string, k Kind, err error) {
	if encoded, err = Foreign(text); err != nil {
		return "", "", err
	}
	if IsDigest(encoded) {
		d, _, err := readDigest(encoded)
		return encoded, wrapped{d, p.current}.kind(), err
	}
	h, err := Parse(encoded)
	if err != nil {
		return "", "", err
	}
	if n := h.memory(); n > p.memory.budget {
		return "", "", tooLarge(n, p.memory.budget)
	}
	return encoded, h.kind(), nil
}

// Verify reports whether password leads to the stored hash encoded, and whether
// the hash is due for a new one: because it is not argon2id, or not with the
// current parameters. A caller that knows the password to be right then calls
// Hash and stores the answer.
//
// A stored hash that cannot be read is an error, an [ErrMalformed], and never a
// match; one that needs more memory than there is for hashes is an
// [ErrTooLarge]. A user without a hash is a case for Waste.
//
// A hash that is cheaper than a current one is filled up to the cost of one, so
// that the time does not tell its owner from a user who does not exist. One that
// is dearer stays so until it is replaced.
func (p *Pool) Verify(ctx context.Context, c Caller, encoded string, password []byte) (ok, rehash bool, err error) {
	h, err := Parse(encoded)
	if err != nil {
		return false, false, err
	}
	ok, err = p.verify(ctx, c, h, password)
	if err != nil {
		return false, false, err
	}
	own, is := h.function.(argon2Hash)
	return ok, !is || !own.current(p.params), nil
}

// Waste costs what Verify of a stored hash of the kind k costs, in time, memory
// and place in the queue, and has no result. It is for users who do not exist.
// The empty kind is that of a current hash. The error is an [ErrMalformed] if
// there is no such kind.
func (p *Pool) Waste(ctx context.Context, c Caller, k Kind, password []byte) error {
	h, err := cmp.Or(k, p.current.kind()).decoy()
	if err != nil {
		return err
	}
	_, err = p.verify(ctx, c, h, password)
	return err
}

func (p *Pool) verify(ctx context.Context, c Caller, h Hash, password []byte) (bool, error) {
	var ok bool
	fill, short := p.shortfall(h, len(password))
	memory, work := h.memory(), h.work(len(password))
	if short {
		memory, work = max(memory, fill.memory()), work+fill.work(len(password))
	}
	heap := 0
	if s, ok := h.function.(scryptHash); ok {
		heap = s.memory()
	}
	secret := bytes.Clone(password) // the caller may leave before the worker does
	err := p.do(ctx, &job{
		caller: c, memory: memory, heap: heap, work: work, secret: secret,
		run: func(m *argon2.Memory) (err error) {
			if short {
				if _, err := fill.derive(m, secret); err != nil {
					return err
				}
			}
			ok, err = h.matches(m, secret)
			return err
		},
	})
	if err != nil {
		return false, err
	}
	return ok, nil
}

// shortfall is a hash that costs what h lacks to the cost of a current one, and
// whether that is worth the while.
func (p *Pool) shortfall(h Hash, length int) (argon2Hash, bool) {
	now := p.current.work(length)
	missing := now - h.work(length)
	if missing < now/100 {
		return argon2Hash{}, false
	}
	fill := p.current
	fill.params.Memory = max(uint32(missing/int64(p.params.Time)), 8*uint32(p.params.Parallelism))
	return fill, true
}

// do has a worker run a job and waits for it. If ctx ends while the job is in
// the queue, the job leaves it and is never run; if it ends while the job is
// being run, the worker finishes without us.
func (p *Pool) do(ctx context.Context, j *job) error {
	j.done = make(chan struct{})
	if err := p.admit(ctx, j); err != nil {
		clear(j.secret)
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
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.memory > p.memory.budget {
		return tooLarge(j.memory, p.memory.budget)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	wait := p.time(p.waiting.ahead(j.caller))
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return p.busy(wait)
	}
	// Those who go straight to a worker do not count against the queue.
	if p.waiting.len()-(p.workers-p.running) >= p.queue {
		other := p.waiting.displaced(j.caller, p.queue)
		if other == nil {
			return p.busy(wait)
		}
		p.waiting.remove(other)
		p.dismiss(other, p.busy(wait))
	}
	j.since = time.Now()
	p.waiting.push(j)
	p.idle.stop()
	p.raise() // here: if a worker stopped the world, it could itself be kept from its processor
	p.rouse()
	return nil
}

func tooLarge(memory, budget int) error {
	return fmt.Errorf("%w: %d KiB, which has %d", ErrTooLarge, memory, budget)
}

// time is how long the workers take for work.
func (p *Pool) time(work int64) time.Duration {
	return time.Duration(float64(work) * p.pace / float64(p.workers))
}

// busy refuses somebody who would wait so long.
func (p *Pool) busy(wait time.Duration) error {
	p.stats.Refused++
	return &BusyError{RetryAfter: max(wait, time.Second)}
}

// dismiss ends a job that is in the queue no more and was not run.
func (p *Pool) dismiss(j *job, err error) {
	clear(j.secret)
	j.err = err
	close(j.done)
}

// leave takes j out of the queue, if it is still there.
func (p *Pool) leave(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting.remove(j) {
		return
	}
	clear(j.secret)
	p.rouse() // j may have been the one that waited for memory
	p.settle()
}

// rouse wakes a worker, or all if some wait for memory: it may be enough for
// several.
func (p *Pool) rouse() {
	if p.asleep > 0 || p.closed {
		p.wake.Broadcast()
		return
	}
	p.wake.Signal()
}

// settle begins the time of rest if there is nothing to do.
func (p *Pool) settle() {
	if p.running == 0 && p.waiting.len() == 0 && !p.closed {
		p.idle.start()
	}
}

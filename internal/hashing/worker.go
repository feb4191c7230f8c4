package hashing

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// worker runs jobs until the pool is closed and the queue is empty. Everything
// that a job computes is computed below this function.
func (p *Pool) worker() {
	ownThread()
	for {
		j, m := p.take()
		if j == nil {
			return
		}
		before := m.Size()
		start := time.Now()
		err := protect(func() error { return j.run(m) })
		clear(j.secret)
		j.err = err
		p.finish(j, m, before, start)
		close(j.done)
	}
}

// take is the job whose turn it is, as soon as there is one and memory for it,
// or nil when there will be none. A job that waits for memory keeps those behind
// it waiting too, for they could otherwise keep it waiting for ever.
func (p *Pool) take() (*job, *argon2.Memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		starved := false
		if next := p.waiting.next(); next != nil {
			if m := p.memory.take(next.memory); m != nil {
				p.running++
				p.stats.Waited.add(time.Since(next.since))
				return p.waiting.take(), m
			}
			starved = true
		} else if p.closed {
			return nil, nil
		}
		if starved {
			p.asleep++
		}
		p.wake.Wait()
		if starved {
			p.asleep--
		}
	}
}

func (p *Pool) finish(j *job, m *argon2.Memory, before int, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(start)
	p.running--
	p.memory.give(m, j.memory, before)
	p.stats.Done++
	p.stats.Took.add(took)
	pace := float64(took) / float64(max(j.work, 1))
	if p.pace == 0 {
		p.pace = pace
	} else {
		p.pace += (pace - p.pace) / 8
	}
	if p.asleep > 0 || p.closed {
		p.rouse()
	}
	p.idle.used(j.memory, j.heap)
	p.settle()
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

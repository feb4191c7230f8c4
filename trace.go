package gatehouse

import (
	"fmt"
	"slices"
	"sync"
)

// Trace is what was seen and decided about one request, for the operator alone:
// the client gets uniform words and the reference under which this is kept. It
// holds no secret, token, password or address of a mailbox. The nil Trace takes
// notes of nothing. Any number of goroutines may use it.
type Trace struct {
	mu     sync.Mutex
	steps  []Step
	budget *Budget
}

// Step is one thing that was seen or decided.
type Step struct {
	About  string `json:"about"`  // "access token", "limit login-user", …
	Detail string `json:"detail"` // in words
}

// maxSteps bounds what a request can make us remember.
const maxSteps = 32

// Note adds a step. What comes from outside is to be quoted with %q.
func (t *Trace) Note(about, format string, args ...any) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.steps) < maxSteps {
		t.steps = append(t.steps, Step{about, fmt.Sprintf(format, args...)})
	}
}

// Steps are the notes, in the order in which they were taken.
func (t *Trace) Steps() []Step {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.steps)
}

// Budget is how much of a limit a request has left, for its client to see.
type Budget struct {
	Lane    string
	Limit   Limit
	Booking Booking
}

// Budget is that of the limit which applied to the request, or which refused it;
// nil if none did.
func (t *Trace) Budget() *Budget {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.budget
}

func (t *Trace) bound(c Claim, b Booking) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budget = &Budget{c.Lane, c.Limit, b}
}

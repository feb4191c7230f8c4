package redis

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// moving is a wire to the one address of a Redis, at which another server may answer
// one day: a name or an address that follows the primary, as managed services have
// it. Connections to the server of before may outlive that, and it is a replica then
// that refuses to write. Sentinel and Cluster say so themselves; here that refusal is
// what tells, and all connections are made anew.
type moving struct {
	dial    func() (wire, error)
	longest time.Duration // how long a call may last

	mu     sync.Mutex
	now    wire
	tried  time.Time // when it was last dialled
	closed bool
}

// redialAfter is how long it is left at that if the address leads to a replica still.
const redialAfter = time.Second

func (m *moving) current() wire {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *moving) do(ctx context.Context, list ...command) []answer {
	w := m.current()
	answers := w.do(ctx, list...)
	for _, a := range answers {
		m.heard(w, a.err)
	}
	return answers
}

func (m *moving) replicate(ctx context.Context, c command, replicas int, patience time.Duration) (answer, int64) {
	w := m.current()
	a, confirmed := w.replicate(ctx, c, replicas, patience)
	m.heard(w, a.err)
	return a, confirmed
}

func (m *moving) listen(ctx context.Context, channel string, begun func(), f func(string)) error {
	return m.current().listen(ctx, channel, begun, f)
}

func (m *moving) servers() map[string]wire { return m.current().servers() }

func (m *moving) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.now.close()
}

// heard takes the place of a wire that has answered as a replica does.
func (m *moving) heard(from wire, err error) {
	if !ofReplica(err) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.now != from || time.Since(m.tried) < redialAfter {
		return
	}
	m.tried = time.Now()
	go m.renew()
}

func (m *moving) renew() {
	w, err := m.dial()
	if err != nil {
		return // who asks next is refused once more, and it is tried again
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		w.close()
		return
	}
	time.AfterFunc(m.longest, m.now.close) // after what is under way
	m.now = w
}

// replicaSays are pieces of these answers; before Redis 7 those to scripts begin
// otherwise.
var replicaSays = []string{"READONLY", "UNBLOCKED", "WAIT cannot be used with replica"}

// ofReplica reports whether err is what only a replica answers, or a primary that
// has just become one.
func ofReplica(err error) bool {
	if err == nil {
		return false
	}
	text := errText(err)
	return slices.ContainsFunc(replicaSays, func(piece string) bool { return strings.Contains(text, piece) })
}

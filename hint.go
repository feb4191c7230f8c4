package gatehouse

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/expiring"
)

// believed is for how long a record is used without being read again: what
// another process decided on the same store holds here within a second even if
// nothing but reading the store tells of it.
const believed = 900 * time.Millisecond

const (
	heartbeat     = time.Second // between those of one process
	heartbeatLost = 3 * time.Second
	hintsWaiting  = 1024 // that have not been announced yet; more are dropped
	hintsAtOnce   = 40   // in one message
	maxHintID     = 64   // bytes
	terminatedMax = 200_000
)

// hints tell the processes on one store of changes sooner than they would read of
// them: which session was terminated, which user was changed. A hint can only
// make a process forget what it remembers, or refuse a session, so that one which
// is lost, late or repeated does no harm.
//
// A message is a line for each hint: "s ID MILLISECONDS" for a session that was
// terminated, and until when a token of it could be good; "u ID" for a user; "b
// PROCESS NUMBER" for a heartbeat.
type hints struct {
	announcer Announcer // nil: reading the store has to do
	process   string
	waiting   chan string

	mu        sync.Mutex
	listening bool
	beat      int64 // number of the last heartbeat
	sent      time.Time
	echo      time.Time // when one of ours was last heard, and how long it took
	stats     HintStats
}

// HintStats is what processes on one store tell each other.
type HintStats struct {
	// Listening is whether hints of other processes arrive at the moment.
	Listening bool
	// Staleness is how long a change in another process may go unnoticed here:
	// the time of the last heartbeat there and back, or, while there are none, the
	// time for which a record is believed.
	Staleness time.Duration
	// Announced, Heard and Dropped count hints; those dropped could not be sent.
	Announced, Heard, Dropped uint64
	// Terminated is how many sessions this process refuses without asking the
	// store.
	Terminated int
}

func (g *Gatehouse) newHints(store Store) *hints {
	a, _ := store.(Announcer)
	return &hints{announcer: a, process: uuid.NewString(), waiting: make(chan string, hintsWaiting)}
}

// terminatedHere makes this process refuse the session from now on, and tells the
// others.
func (g *Gatehouse) terminatedHere(s *Session) {
	if g.knowTerminated(s.ID, s.ExpiresAt) {
		g.hints.announce("s " + s.ID + " " + strconv.FormatInt(s.ExpiresAt.UnixMilli(), 10))
	}
}

// knowTerminated makes this process refuse a session without asking the store until a
// time at which no token of it is good any more.
func (g *Gatehouse) knowTerminated(sid string, until time.Time) bool {
	id, err := uuid.Parse(sid)
	if err != nil {
		return false
	}
	t := now()
	// No longer than we would ourselves: a hint is not the store.
	if latest := t.Add(2 * g.cfg.AccessTokenLifetime); until.After(latest) {
		until = latest
	}
	g.terminated.Add(expiring.Key(id), until, t)
	return true
}

// refused reports whether the session is known to have been terminated, and when.
func (g *Gatehouse) refused(sid string) (at time.Time, is bool) {
	id, err := uuid.Parse(sid)
	if err != nil || !g.terminated.Has(expiring.Key(id), now()) {
		return time.Time{}, false
	}
	return g.terminated.Until(expiring.Key(id)).Add(-2 * g.cfg.AccessTokenLifetime), true // see end
}

// changedHere tells the others that a user was changed or deleted.
func (g *Gatehouse) changedHere(userID string) {
	g.users.Delete(userID)
	if sendable(userID) {
		g.hints.announce("u " + userID)
	}
}

// sendable reports whether an id can be a word of a hint.
func sendable(id string) bool {
	return id != "" && len(id) <= maxHintID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (h *hints) announce(hint string) {
	if h.announcer == nil {
		return
	}
	select {
	case h.waiting <- hint:
	default:
		h.count(func(s *HintStats) { s.Dropped++ })
	}
}

func (h *hints) count(f func(*HintStats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.stats)
}

// exchange announces the hints of this process and hears those of the others,
// until ctx is done; what waits then is still announced.
func (g *Gatehouse) exchange(ctx context.Context) {
	h := g.hints
	var listening sync.WaitGroup
	listening.Go(func() { g.listen(ctx) })
	defer listening.Wait()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			// For a second in all: who stops a service does not wait for a store that
			// is away, and others read of what they were not told.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			for len(h.waiting) > 0 && last.Err() == nil {
				g.tell(last, time.Second, <-h.waiting)
			}
			return
		case hint := <-h.waiting:
			g.tell(ctx, 5*time.Second, hint)
		case <-beat.C:
			if hint, ok := h.nextBeat(); ok {
				g.tell(ctx, heartbeatLost, hint)
			}
		}
	}
}

// tell announces a hint, and with it what else waits.
func (g *Gatehouse) tell(ctx context.Context, within time.Duration, hint string) {
	h := g.hints
	message := []string{hint}
	for more := true; more && len(message) < hintsAtOnce; {
		select {
		case hint := <-h.waiting:
			message = append(message, hint)
		default:
			more = false
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	n := uint64(len(message))
	if err := h.announcer.Announce(ctx, strings.Join(message, "\n")); err != nil {
		// Others read of it within a second. What the store has to say about itself
		// is said where something depends on it.
		g.log.LogAttrs(ctx, slog.LevelDebug, "hints were not announced", slog.Any("error", err))
		h.count(func(s *HintStats) { s.Dropped += n })
		return
	}
	h.count(func(s *HintStats) { s.Announced += n })
}

// nextBeat is the next heartbeat, if somebody would hear it.
func (h *hints) nextBeat() (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.listening {
		return "", false
	}
	h.beat++
	h.sent = monotonic()
	return "b " + h.process + " " + strconv.FormatInt(h.beat, 10), true
}

// listen hears the hints of other processes until ctx is done. A connection that
// is lost is made again.
func (g *Gatehouse) listen(ctx context.Context) {
	h := g.hints
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	pause := shortest
	for {
		err := h.announcer.Listen(ctx, func() {
			pause = shortest
			h.setListening(true)
		}, g.hear)
		h.setListening(false)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errors.ErrUnsupported) {
			g.log.LogAttrs(ctx, slog.LevelInfo, "changes made by other processes are read from the store, and hold here within a second",
				slog.Any("because", err))
			return
		}
		g.log.LogAttrs(ctx, slog.LevelWarn, "hints of other processes do not arrive; what they change holds here within a second all the same",
			slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
	}
}

func (h *hints) setListening(is bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listening, h.echo = is, time.Time{}
}

// hear takes in a message. Whoever can write to the store can send one, so what
// is not understood is passed over: a later version may say more.
func (g *Gatehouse) hear(message string) {
	h := g.hints
	for line := range strings.Lines(message) {
		word := strings.Fields(line)
		switch {
		case len(word) == 3 && word[0] == "s":
			g.sessions.Delete(word[1])
			if ms, err := strconv.ParseInt(word[2], 10, 64); err == nil {
				g.knowTerminated(word[1], time.UnixMilli(ms))
			}
			h.count(func(s *HintStats) { s.Heard++ })
		case len(word) == 2 && word[0] == "u":
			g.users.Delete(word[1])
			h.count(func(s *HintStats) { s.Heard++ })
		case len(word) == 3 && word[0] == "b" && word[1] == h.process:
			h.mu.Lock()
			if word[2] == strconv.FormatInt(h.beat, 10) {
				h.echo = monotonic()
				h.stats.Staleness = h.echo.Sub(h.sent)
			}
			h.mu.Unlock()
		}
	}
}

// hintStats is the state of the exchange.
func (g *Gatehouse) hintStats() HintStats {
	h := g.hints
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Listening = h.listening && !h.echo.IsZero() && time.Since(h.echo) < heartbeatLost
	if !s.Listening || s.Staleness > believed {
		s.Staleness = believed
	}
	s.Terminated = g.terminated.Len()
	return s
}

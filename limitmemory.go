package gatehouse

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/limit"
)

// memoryLimiter counts the tries of one process.
type memoryLimiter struct {
	tables map[string]*limit.Table
	limits map[string]limit.Rate
	began  time.Time

	mu       sync.Mutex
	underWay map[Claim]int // tries in the lanes that are kept, which may yet be given back
}

func newMemoryLimiter(l *Limits, secret []byte) *memoryLimiter {
	m := &memoryLimiter{tables: map[string]*limit.Table{}, limits: map[string]limit.Rate{}, underWay: map[Claim]int{}, began: monotonic()}
	for _, x := range l.lanes() {
		m.tables[x.name] = limit.NewTable(x.size, secret)
		m.limits[x.name] = limit.Rate(*x.limit)
	}
	return m
}

// now goes on evenly from when the process began, however the clock is set.
func (m *memoryLimiter) now() int64 {
	return m.began.UnixMilli() + time.Since(m.began).Milliseconds()
}

// Take implements [Limiter].
func (m *memoryLimiter) Take(_ context.Context, claims []Claim) ([]Booking, error) {
	m.count(claims, 1) // before anybody can see it booked
	now := m.now()
	bookings := make([]Booking, 0, len(claims))
	for i, c := range claims {
		b := Booking(m.tables[c.Lane].Take(c.Key, limit.Rate(c.Limit), now))
		bookings = append(bookings, b)
		if !b.Allowed {
			m.give(claims[:i], now)
			m.count(claims, -1)
			break
		}
	}
	return bookings, nil
}

// Give implements [Limiter].
func (m *memoryLimiter) Give(_ context.Context, claims []Claim) error {
	m.give(claims, m.now())
	m.count(claims, -1)
	return nil
}

// settle says that tries which were booked will not be given back.
func (m *memoryLimiter) settle(claims []Claim) { m.count(claims, -1) }

// count counts tries that are under way.
func (m *memoryLimiter) count(claims []Claim, by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range claims {
		if !slices.Contains(keptLanes, c.Lane) {
			continue
		}
		if m.underWay[c] += by; m.underWay[c] <= 0 {
			delete(m.underWay, c)
		}
	}
}

func (m *memoryLimiter) give(claims []Claim, now int64) {
	for _, c := range claims {
		m.tables[c.Lane].Give(c.Key, limit.Rate(c.Limit), now)
	}
}

// sweep gives back the memory of what has worn off.
func (m *memoryLimiter) sweep() {
	for _, t := range m.tables {
		t.Sweep(m.now())
	}
}

// What is booked for long outlives the process, so that a restart gives nobody
// another burst, and what one process has booked reaches the others on the store.
const (
	limitSetting = "limits"
	keptLeast    = time.Hour // what wears off sooner is not worth a write
	keptMost     = 4096      // keys of a lane: those that are booked longest
)

// keptLanes are those that are about users; a source is forgotten.
var keptLanes = []string{laneLoginUser, laneLoginDevice, laneReauthenticate}

// keepLimits exchanges what is booked with what is in the store: of each key the
// longer booking counts, here and there. A try that is under way is not told: it may
// be given back, and what others know cannot be.
func (g *Gatehouse) keepLimits(ctx context.Context) error {
	m, ok := g.limiter.(*memoryLimiter)
	if !ok || g.cfg.Limits.Off {
		return nil
	}
	m.sweep()
	for range maxRaces {
		s, err := g.store.Setting(ctx, limitSetting)
		if errors.Is(err, ErrNotFound) {
			s, err = &Setting{Name: limitSetting}, nil
		}
		if err != nil {
			return fmt.Errorf("read limits: %w", err)
		}
		m.merge(s.Value)
		value, err := m.booked()
		if err != nil {
			return err
		}
		if bytes.Equal(value, s.Value) {
			return nil
		}
		s.Value, s.UpdatedAt = value, now()
		err = g.store.SaveSetting(ctx, s)
		if errors.Is(err, ErrStale) {
			continue // another process was faster: what it has booked counts as well
		}
		if err != nil {
			return fmt.Errorf("save limits: %w", err)
		}
		return nil
	}
	return fmt.Errorf("save limits: %w after %d tries", ErrStale, maxRaces)
}

// booked is what the store keeps: of each lane its keys, 16 bytes each, with the
// time by the clock, which other processes share, in whole minutes. It is empty if
// nothing is booked for long.
func (m *memoryLimiter) booked() ([]byte, error) {
	ahead := time.Now().UnixMilli() - m.now()
	kept := map[string][]byte{}
	underWay := m.underWayByEntry()
	for _, lane := range keptLanes {
		for _, e := range m.tables[lane].Longest(keptMost, m.now()+keptLeast.Milliseconds()) {
			e.Until -= int64(underWay[lane][e.Key]) * m.limits[lane].Every.Milliseconds()
			if e.Until <= m.now()+keptLeast.Milliseconds() {
				continue
			}
			b := binary.BigEndian.AppendUint64(kept[lane], e.Key)
			kept[lane] = binary.BigEndian.AppendUint64(b, uint64(e.Until+ahead)/60_000)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	return b, nil
}

// underWayByEntry is how many tries of each lane and key are under way.
func (m *memoryLimiter) underWayByEntry() map[string]map[uint64]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := map[string]map[uint64]int{}
	for c, tries := range m.underWay {
		if n[c.Lane] == nil {
			n[c.Lane] = map[uint64]int{}
		}
		n[c.Lane][m.tables[c.Lane].Entry(c.Key)] += tries
	}
	return n
}

// merge adds what was booked elsewhere. What cannot be read is passed over: it
// would be written anew.
func (m *memoryLimiter) merge(value []byte) {
	var kept map[string][]byte
	if json.Unmarshal(value, &kept) != nil {
		return
	}
	now, ahead := m.now(), time.Now().UnixMilli()-m.now()
	for _, lane := range keptLanes {
		var list []limit.Entry
		for b := kept[lane]; len(b) >= 16; b = b[16:] {
			until := int64(min(binary.BigEndian.Uint64(b[8:]), 1<<32))*60_000 - ahead
			// A clock that is wrong shuts nobody out for longer than the limit does.
			list = append(list, limit.Entry{Key: binary.BigEndian.Uint64(b), Until: min(until, now+m.limits[lane].Window().Milliseconds())})
		}
		m.tables[lane].Merge(list, now)
	}
}

package gatehouse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A checkpoint is an event that binds the chains together: it says how far the
// chains of other processes had come in the store, and which numbers of its own
// chain were lost because a write failed. Who takes out the end of a chain has
// to take out the checkpoints that saw it, and those leave holes in chains that
// have gone on since.
const (
	checkpointEvery = 500 // events, or a minute
	mostHeads       = 200 // other chains in one checkpoint
	mostLost        = 500 // stretches of lost numbers in one checkpoint
	firstLook       = 1000
	lookBack        = 10 * time.Minute
)

// The words in the data of a checkpoint.
const (
	dataEvents  = "events"  // of its own chain since the checkpoint before
	dataHeads   = "heads"   // how far other chains had come
	dataLost    = "lost"    // numbers of its own chain that are not in the store
	dataClosing = "closing" // the process ends in good order
)

// head is the last event of a chain that somebody has seen.
type head struct {
	chain    string
	sequence int64
	mac      [sha256.Size]byte
	expires  time.Time
}

// String is the head as checkpoints and anchors write it.
func (h head) String() string {
	return fmt.Sprintf("%s:%d:%s:%d", h.chain, h.sequence, base64.RawURLEncoding.EncodeToString(h.mac[:]), h.expires.UnixMilli())
}

// parseHead reads what String has written.
func parseHead(text string) (head, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 4 {
		return head{}, errHead
	}
	mac, err1 := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	n, err2 := strconv.ParseInt(parts[1], 10, 64)
	ms, err3 := strconv.ParseInt(parts[3], 10, 64)
	if errors.Join(err1, err2, err3) != nil || len(mac) != sha256.Size || n < 1 || parts[0] == "" {
		return head{}, errHead
	}
	return head{parts[0], n, [sha256.Size]byte(mac), time.UnixMilli(ms).UTC()}, nil
}

var errHead = errors.New("not CHAIN:SEQUENCE:MAC:TIME")

// witness is what this process knows of the chains of others.
type witness struct {
	mu     sync.Mutex          // one checkpoint at a time
	others map[string]sighting // by chain; nil: nobody has looked yet
}

// sighting is how far another chain had come.
type sighting struct {
	head
	news   bool // there is more to it than a checkpoint that saw others
	stated bool // a checkpoint of ours says so
}

// checkpoint looks what others have added, and writes a checkpoint if there is
// anything to say that none has said yet. A process that has recorded nothing
// leaves no traces by looking on.
func (g *Gatehouse) checkpoint(ctx context.Context) error {
	if !g.chain.begun() {
		return nil
	}
	return g.writeCheckpoint(ctx, false)
}

func (g *Gatehouse) writeCheckpoint(ctx context.Context, closing bool) error {
	w := &g.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	news, err := g.look(ctx)
	if err != nil {
		return err
	}
	fresh, lost := g.chain.news()
	if fresh == 0 && !lost && !news && !closing {
		return nil
	}
	data := map[string]string{dataEvents: strconv.Itoa(fresh)}
	if closing {
		data[dataClosing] = "true"
	}
	heads := w.unstated()
	if len(heads) > 0 {
		words := make([]string, len(heads))
		for i, h := range heads {
			words[i] = h.String()
		}
		data[dataHeads] = strings.Join(words, " ")
	}
	if lost := g.chain.declare(mostLost); len(lost) > 0 {
		data[dataLost] = lost.String()
	}
	err = g.record(ctx, Event{Kind: EventCheckpoint, Data: data})()
	g.chain.declared(err == nil)
	if err != nil {
		return err
	}
	w.state(heads)
	return nil
}

// closeChain waits until nothing is being written, and ends the chain with a
// checkpoint. A chain without an event needs none. If it cannot be written that is
// logged, and the chain stays open.
func (g *Gatehouse) closeChain() {
	if !g.chain.open() {
		return
	}
	g.attempt(context.Background(), "closing checkpoint of events", 10*time.Second, func(ctx context.Context) error {
		select {
		case <-g.chain.wait():
		case <-ctx.Done(): // what is still being written stays unsettled
			return ctx.Err()
		}
		return g.writeCheckpoint(ctx, true)
	})
}

// look reads what others have added to the store lately, and reports whether
// there is any news in it that no checkpoint of ours has.
func (g *Gatehouse) look(ctx context.Context) (news bool, err error) {
	w := &g.witness
	// What others left before us: the ends of their chains, whichever events those
	// are. Checkpoints come so often that all of them are among the newest events.
	q, most := EventQuery{Limit: firstLook}, firstLook
	if w.others != nil {
		q, most = EventQuery{Kind: EventCheckpoint, After: EventIDAt(now().Add(-lookBack)), Limit: 1000}, 10_000
	}
	seen := maps.Clone(w.others)
	if seen == nil {
		seen = make(map[string]sighting)
	}
	for e, err := range g.WalkEvents(ctx, q) {
		if err != nil {
			return false, err
		}
		g.sight(seen, e, w.others == nil)
		if most--; most == 0 {
			break
		}
	}
	w.others = seen
	for _, s := range seen {
		news = news || s.news
	}
	return news, nil
}

// sight notes how far the chain of e has come. A checkpoint that has only seen
// what others did is no news: otherwise two idle processes would go on telling
// each other for ever. What is not genuine is left to those who verify.
func (g *Gatehouse) sight(seen map[string]sighting, e *Event, first bool) {
	before := seen[e.Chain]
	if e.Chain == "" || e.Chain == g.chain.id || e.Sequence <= before.sequence {
		return
	}
	p, err := parseProof(e.Proof)
	if err != nil || !slices.ContainsFunc(g.auditKeys, func(k auditKey) bool { return k.id == p.key && k.genuine(&p, e) }) {
		return
	}
	seen[e.Chain] = sighting{
		head: head{e.Chain, e.Sequence, p.mac, e.ExpiresAt},
		news: first || before.news || e.Kind != EventCheckpoint || e.Data[dataEvents] != "0",
	}
}

// unstated is what has been seen and is in no checkpoint of ours, the longest
// seen first.
func (w *witness) unstated() []head {
	var list []head
	for _, s := range w.others {
		if !s.stated {
			list = append(list, s.head)
		}
	}
	slices.SortFunc(list, func(a, b head) int { return cmp.Compare(a.chain, b.chain) })
	return list[:min(len(list), mostHeads)]
}

// state notes that a checkpoint of ours says so, and forgets chains that have
// not moved for longest when there are too many.
func (w *witness) state(heads []head) {
	for _, h := range heads {
		if s := w.others[h.chain]; s.sequence == h.sequence {
			w.others[h.chain] = sighting{head: h, stated: true}
		}
	}
	const most = 5000
	if len(w.others) > most {
		ids := slices.Sorted(maps.Keys(w.others)) // the oldest first
		for _, id := range ids[:most/2] {
			delete(w.others, id)
		}
	}
}

// EventIDAt is an id that is greater than those of all events before t and
// smaller than those of all others, for the After and Before of an [EventQuery].
// It goes by the clock of whoever made the id, which never runs backwards.
func EventIDAt(t time.Time) string {
	var id uuid.UUID
	ms := max(t.UnixMilli(), 0)
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	id[6] = 7 << 4
	return id.String()
}

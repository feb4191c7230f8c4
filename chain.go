package gatehouse

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The audit log is a chain of events for each Gatehouse that was ever opened:
//
//	chain a   1 ◀─ 2 ◀─ 3 ◀─ 4 ◀─ checkpoint 5   "b stands at 2"
//	                              ╱
//	chain b   1 ◀─ 2 ◀───────────╯
//
// Each event holds the MAC of the one before it and one of its own over all its
// fields, under a key derived from the master secret. Who can write to the
// database, and does not have that secret, can make no event and change none;
// taking one out leaves a hole in the numbers. Taking out the end of a chain
// leaves no hole, which is what checkpoints of other chains are for.
//
// Several writers never wait for each other: a number and a MAC are handed out
// in a microsecond, and the events are written at the same time, in any order.

// auditKey makes the MACs of events. Its id says which master secret it is of.
type auditKey struct {
	id     [4]byte
	secret []byte
}

func newAuditKey(s Secret) auditKey {
	k := auditKey{secret: derive(s, "gatehouse/audit/1")}
	sum := sha256.Sum256(k.secret)
	copy(k.id[:], sum[:])
	return k
}

// proof is what makes an event a link of its chain. Stores keep it as bytes:
//
//	version 1 │ key id 4 │ settled 8 │ previous expires 8 │ previous MAC 32 │ MAC 32
//
// The MAC is over everything before it and the canonical form of the event.
type proof struct {
	key [4]byte
	// settled: all of the chain up to here was known to be in the store when the
	// event was made. So what lacks up to here was taken out later, and not lost
	// when a process came to a sudden end.
	settled int64
	// previousExpires is when the event before may have been swept.
	previousExpires time.Time
	previous        [sha256.Size]byte // MAC of the event before; zero for the first
	mac             [sha256.Size]byte
}

const (
	proofVersion = 1
	proofHead    = 1 + 4 + 8 + 8 + sha256.Size
	proofBytes   = proofHead + sha256.Size
)

// head is all of the proof that the MAC is over.
func (p *proof) head() []byte {
	b := make([]byte, 0, proofBytes)
	b = append(b, proofVersion)
	b = append(b, p.key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.settled))
	b = binary.BigEndian.AppendUint64(b, uint64(p.previousExpires.UnixMilli()))
	return append(b, p.previous[:]...)
}

func (p *proof) bytes() []byte { return append(p.head(), p.mac[:]...) }

var errProof = errors.New("no proof of a version that is known")

func parseProof(b []byte) (proof, error) {
	var p proof
	if len(b) != proofBytes || b[0] != proofVersion {
		return p, errProof
	}
	copy(p.key[:], b[1:])
	p.settled = int64(binary.BigEndian.Uint64(b[5:]))
	p.previousExpires = time.UnixMilli(int64(binary.BigEndian.Uint64(b[13:]))).UTC()
	copy(p.previous[:], b[21:])
	copy(p.mac[:], b[proofHead:])
	return p, nil
}

// canonical is the event as bytes: every field in a fixed order, each text and
// each list with its length before it, so that two events that differ anywhere
// never have one form.
func canonical(e *Event) []byte {
	b := make([]byte, 0, 512)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text("gatehouse event 1")
	text(e.Chain)
	number(e.Sequence)
	text(e.ID)
	number(e.At.UnixMilli())
	number(e.ExpiresAt.UnixMilli())
	for _, s := range []string{e.Kind, e.Outcome, e.UserID, e.ActorID, e.SessionID, e.Address, e.UserAgent, e.Ref} {
		text(s)
	}
	number(int64(len(e.Data)))
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		text(name)
		text(e.Data[name])
	}
	return b
}

// linkMAC is the MAC of e with this proof.
func linkMAC(h hash.Hash, p *proof, e *Event) (mac [sha256.Size]byte) {
	h.Reset()
	h.Write(p.head())
	h.Write(canonical(e))
	h.Sum(mac[:0])
	return mac
}

// genuine reports whether the MAC of e was made with this key.
func (k auditKey) genuine(p *proof, e *Event) bool {
	mac := linkMAC(hmac.New(sha256.New, k.secret), p, e)
	return hmac.Equal(mac[:], p.mac[:])
}

// chain hands out the places in the chain of this process.
type chain struct {
	id  string
	key auditKey

	// due says that so many events were added that a checkpoint should follow.
	due chan struct{}

	mu       sync.Mutex
	hmac     hash.Hash
	sequence int64             // of the last event
	mac      [sha256.Size]byte // of the last event
	expires  time.Time         // when the last event does
	fresh    int               // events since the last checkpoint, none of them one
	closed   int64             // sequence of the last closing checkpoint

	// Of the numbers that were handed out, those up to settled are in the store,
	// or a checkpoint there says that they were lost; written and lost are the
	// ones after it whose fate is known, and flying is how many are left.
	settled       int64
	written, lost spans
	declaring     spans // what was lost, and a checkpoint that is being written says so
	flying        int
	landed        chan struct{} // closed when nothing flies any more; nil: nobody waits
}

func newChain(s Secret) (*chain, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("chain id: %w", err)
	}
	k := newAuditKey(s)
	return &chain{id: id.String(), key: k, hmac: hmac.New(sha256.New, k.secret), due: make(chan struct{}, 1)}, nil
}

// link gives e its id and its place at the end of the chain. Whoever calls it
// says to settle what became of the write.
func (c *chain) link(e *Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Made here, so that ids rise with the sequence.
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("event id: %w", err)
	}
	e.ID, e.Chain, e.Sequence = id.String(), c.id, c.sequence+1
	settled := c.settled
	if e.Kind == EventCheckpoint {
		// Where it can be read that this much is in the store, there it can also
		// be read what was lost.
		settled = c.decided()
	}
	p := proof{key: c.key.id, settled: settled, previousExpires: c.expires, previous: c.mac}
	p.mac = linkMAC(c.hmac, &p, e)
	e.Proof = p.bytes()

	c.sequence, c.mac, c.expires = e.Sequence, p.mac, e.ExpiresAt
	c.flying++
	if e.Kind == EventCheckpoint {
		c.fresh = 0
		if e.Data[dataClosing] != "" {
			c.closed = e.Sequence
		}
		return nil
	}
	if c.fresh++; c.fresh%checkpointEvery == 0 {
		select {
		case c.due <- struct{}{}:
		default:
		}
	}
	return nil
}

// settle notes whether the event of that number is in the store for certain.
func (c *chain) settle(sequence int64, written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if written {
		c.written.add(sequence, sequence)
	} else {
		c.lost.add(sequence, sequence)
	}
	c.advance()
	if c.flying--; c.flying == 0 && c.landed != nil {
		close(c.landed)
		c.landed = nil
	}
}

func (c *chain) advance() {
	if len(c.written) > 0 && c.written[0].from <= c.settled+1 {
		c.settled = max(c.settled, c.written[0].to)
		c.written = c.written[1:]
	}
}

// declare takes what was lost so far, up to most stretches of it, for a
// checkpoint to say so.
func (c *chain) declare(most int) spans {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(most, len(c.lost))
	c.declaring = slices.Clone(c.lost[:n])
	c.lost = slices.Clone(c.lost[n:])
	return c.declaring
}

// decided is how far the chain is settled with what is being declared.
func (c *chain) decided() int64 {
	known := slices.Clone(c.written)
	for _, s := range c.declaring {
		known.add(s.from, s.to)
	}
	if len(known) > 0 && known[0].from <= c.settled+1 {
		return max(c.settled, known[0].to)
	}
	return c.settled
}

// declared notes whether the checkpoint that said so is in the store.
func (c *chain) declared(written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.declaring {
		if written {
			c.written.add(s.from, s.to)
		} else {
			c.lost.add(s.from, s.to)
		}
	}
	c.declaring = nil
	c.advance()
}

// wait is closed as soon as nothing is being written.
func (c *chain) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.landed == nil {
		c.landed = make(chan struct{})
		if c.flying == 0 {
			landed := c.landed
			close(landed)
			c.landed = nil
			return landed
		}
	}
	return c.landed
}

// news reports what a checkpoint would have to say of this chain.
func (c *chain) news() (fresh int, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh, len(c.lost) > 0
}

// begun reports whether the chain has events.
func (c *chain) begun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sequence > 0
}

// open reports whether the chain has events, and the last is no closing
// checkpoint.
func (c *chain) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sequence > c.closed
}

// span is the numbers from one to another, both included.
type span struct{ from, to int64 }

// spans are numbers in rising order, as few stretches as there can be.
type spans []span

// add puts from … to among them.
func (s *spans) add(from, to int64) {
	// The first stretch that is not wholly before, with a gap between.
	i, _ := slices.BinarySearchFunc(*s, from, func(x span, from int64) int { return cmp.Compare(x.to, from-1) })
	j := i
	for ; j < len(*s) && (*s)[j].from <= to+1; j++ {
		from, to = min(from, (*s)[j].from), max(to, (*s)[j].to)
	}
	*s = slices.Replace(*s, i, j, span{from, to})
}

// without is the stretches of x that are not among s.
func (s spans) without(x span) (rest spans) {
	for _, y := range s {
		if y.to < x.from || y.from > x.to {
			continue
		}
		if y.from > x.from {
			rest = append(rest, span{x.from, y.from - 1})
		}
		x.from = y.to + 1
	}
	if x.from <= x.to {
		rest = append(rest, x)
	}
	return rest
}

// count is how many numbers there are.
func (s spans) count() (n int64) {
	for _, x := range s {
		n += x.to - x.from + 1
	}
	return n
}

// String is as people write it: 3-5,8.
func (s spans) String() string {
	words := make([]string, len(s))
	for i, x := range s {
		words[i] = x.String()
	}
	return strings.Join(words, ",")
}

func (x span) String() string {
	if x.from == x.to {
		return strconv.FormatInt(x.from, 10)
	}
	return fmt.Sprintf("%d-%d", x.from, x.to)
}

// parseSpans reads what String has written.
func parseSpans(text string) (s spans, err error) {
	if text == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		low, high, ok := strings.Cut(word, "-")
		if !ok {
			high = low
		}
		from, err1 := strconv.ParseInt(low, 10, 64)
		to, err2 := strconv.ParseInt(high, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("sequences %q: %w", text, err)
		}
		s.add(from, to)
	}
	return s, nil
}

func keyName(id [4]byte) string { return hex.EncodeToString(id[:]) }

package gatehouse

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Audit holds events against their chains. Give it all events of a store, the
// newest first, and ask for the report. It keeps a few hundred bytes for each
// chain, that is for each process that ever wrote an event, and none for an event.
//
//	a := gatehouse.NewAudit(secret)
//	for e, err := range g.WalkEvents(ctx, gatehouse.EventQuery{Limit: 1000}) {
//		…
//		a.Add(e)
//	}
//	report := a.Report(time.Now())
type Audit struct {
	// UnchainedUntil accepts events without a chain up to this time, and those
	// that are older than every chain in any case. Later ones were written by an
	// older version that ran beside this one, or by somebody else.
	UnchainedUntil time.Time

	keys      []auditKey
	chains    map[string]*auditChain
	newest    time.Time // At of the newest genuine event
	events    int64
	unchained int64
	suspect   int64 // without a chain, and not excused so far
	late      int64 // of these, how many are newer than some event of a chain
	unknown   map[[4]byte]int64
	report    AuditReport
}

// AuditReport is what an audit has found.
type AuditReport struct {
	Events    int64 // of any kind
	Unchained int64 // of them, how many have no chain
	Chains    []AuditChain
	// Problems is what was changed or is missing: the first 1000 of them, and
	// More says how many there are beyond.
	Problems []AuditProblem
	More     int64
}

// AuditChain is what was found of one chain, that is of one process.
type AuditChain struct {
	ID          string
	First, Last time.Time // of the events that are there
	Events      int64
	Sequence    int64 // of the last event
	// Anchor stands for the chain up to its last event; see [Audit.Anchor].
	Anchor string
	// Closed: the process ended in good order. Otherwise it is still running, or
	// came to a sudden end.
	Closed bool
	// Swept is how many events were deleted because their time had come, Lost how
	// many were never written because the store had failed: the chain says so.
	Swept, Lost int64
	// Unsettled are numbers near an open end that were given to events which, for
	// all the chain says, were never acknowledged: they were being written when
	// the process came to a sudden end, or are being written just now.
	Unsettled string
}

// AuditProblem is something that no fault of a process or of a store explains.
type AuditProblem struct {
	Kind   string // "changed", "missing", "cut_off", "unknown_key", "unchained"
	Chain  string
	Events string // sequences such as 3-5, or the id of an event
	Text   string
}

// String is a line for people.
func (p AuditProblem) String() string {
	words := []string{strings.ReplaceAll(p.Kind, "_", " ") + ":"}
	if p.Chain != "" {
		words = append(words, "chain", p.Chain+",")
	}
	if p.Events != "" {
		words = append(words, p.Events+":")
	}
	return strings.Join(append(words, p.Text), " ")
}

// auditChain is what is known of a chain so far.
type auditChain struct {
	id          string
	events      int64
	first, last time.Time
	present     []stretch
	lost        spans
	settled     int64 // all up to here was in the store once, or is among lost
	closed      int64
	heads       map[int64]seen // what must be there, and was not met yet
	top         head           // the last genuine event
	near        link           // the event added last
}

// stretch is events without a gap, and until when the event before them was kept.
type stretch struct {
	span
	before time.Time
}

// seen is a head that a checkpoint, or an anchor, says was there.
type seen struct {
	head
	by string
}

// link is what ties an event to its neighbours.
type link struct {
	sequence      int64
	previous, mac [sha256.Size]byte
}

// NewAudit is an audit of events whose MACs were made under one of the master
// secrets.
func NewAudit(secrets ...Secret) *Audit {
	a := &Audit{chains: make(map[string]*auditChain), unknown: make(map[[4]byte]int64)}
	for _, s := range secrets {
		a.keys = append(a.keys, newAuditKey(s))
	}
	return a
}

// Anchor demands that an event is there, and that everything before it is what
// it was: text is what a report or the log of the service gave as its anchor. Kept where nobody who can write to the database can, it also uncovers that
// the end of a chain or the whole database was set back, and it binds those who
// have the master secret.
func (a *Audit) Anchor(text string) error {
	h, err := parseHead(text)
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	a.expect(h, "an anchor")
	return nil
}

// anchorOf is the anchor that e is.
func anchorOf(e *Event) string {
	p, err := parseProof(e.Proof)
	if err != nil {
		return ""
	}
	return head{e.Chain, e.Sequence, p.mac, e.ExpiresAt}.String()
}

// Add takes the next event, which is older than those before.
func (a *Audit) Add(e *Event) {
	a.events++
	if e.Chain == "" && e.Sequence == 0 && len(e.Proof) == 0 {
		a.unchained++
		if e.At.After(a.UnchainedUntil) {
			a.suspect++
		}
		return
	}
	p, err := parseProof(e.Proof)
	i := slices.IndexFunc(a.keys, func(k auditKey) bool { return k.id == p.key })
	switch {
	case err != nil:
		a.changed(e, "its proof is damaged")
		return
	case i < 0:
		a.unknown[p.key]++
		a.doubtful(e)
		return
	case !a.keys[i].genuine(&p, e):
		a.changed(e, "it is not what was written, or was never written by Gatehouse")
		return
	}
	a.late = a.suspect
	if e.At.After(a.newest) {
		a.newest = e.At
	}
	c := a.chain(e.Chain)
	if !c.add(e.Sequence, p.previousExpires) {
		a.problem("changed", c.id, span{e.Sequence, e.Sequence}.String(), "this event is there twice")
		return
	}
	c.events++
	if c.first.IsZero() || e.At.Before(c.first) {
		c.first = e.At
	}
	if e.At.After(c.last) {
		c.last = e.At
	}
	if e.Sequence > c.top.sequence {
		c.top = head{e.Chain, e.Sequence, p.mac, e.ExpiresAt}
	}
	c.settled = max(c.settled, p.settled)
	now := link{e.Sequence, p.previous, p.mac}
	if n := c.near; n.sequence == now.sequence+1 && n.previous != now.mac || n.sequence == now.sequence-1 && now.previous != n.mac {
		// The MACs are good, so this takes the master secret.
		a.problem("changed", c.id, span{min(n.sequence, now.sequence), max(n.sequence, now.sequence)}.String(), "the chain is broken between them")
	}
	c.near = now
	if s, ok := c.heads[e.Sequence]; ok {
		if s.mac != p.mac {
			a.problem("changed", c.id, span{e.Sequence, e.Sequence}.String(), "this is not the event that "+s.by+" saw")
		}
		delete(c.heads, e.Sequence)
	}
	if e.Kind == EventCheckpoint {
		a.checkpoint(c, e)
	}
}

// checkpoint takes what a genuine checkpoint says.
func (a *Audit) checkpoint(c *auditChain, e *Event) {
	by := "checkpoint " + c.id + ":" + span{e.Sequence, e.Sequence}.String() + " of " + e.At.Format(time.RFC3339)
	if e.Data[dataClosing] != "" {
		c.closed = max(c.closed, e.Sequence)
	}
	lost, err := parseSpans(e.Data[dataLost])
	for _, s := range lost {
		c.lost.add(s.from, s.to)
	}
	for text := range strings.FieldsSeq(e.Data[dataHeads]) {
		h, herr := parseHead(text)
		if err = cmp.Or(err, herr); herr == nil {
			a.expect(h, by)
		}
	}
	if err != nil {
		a.problem("changed", c.id, span{e.Sequence, e.Sequence}.String(), "this checkpoint cannot be read: "+err.Error())
	}
}

// expect notes that an event must be there.
func (a *Audit) expect(h head, by string) {
	c := a.chain(h.chain)
	if c.has(h.sequence) {
		return
	}
	if c.heads == nil {
		c.heads = make(map[int64]seen)
	}
	c.heads[h.sequence] = seen{h, by}
}

func (a *Audit) chain(id string) *auditChain {
	c := a.chains[id]
	if c == nil {
		c = &auditChain{id: id}
		a.chains[id] = c
	}
	return c
}

// changed notes an event that is not genuine.
func (a *Audit) changed(e *Event, why string) {
	a.problem("changed", "", "event "+e.ID, fmt.Sprintf("%s (kind %q, at %s)", why, e.Kind, e.At.Format(time.RFC3339)))
	a.doubtful(e)
}

// doubtful keeps an event that proves nothing from being reported as missing as
// well. It opens no chain: whoever can write could make as many as memory holds.
func (a *Audit) doubtful(e *Event) {
	if c := a.chains[e.Chain]; c != nil && e.Sequence > 0 {
		c.add(e.Sequence, time.Time{})
		delete(c.heads, e.Sequence)
	}
}

func (a *Audit) problem(kind, chain, events, text string) {
	if len(a.report.Problems) == 1000 {
		a.report.More++
		return
	}
	a.report.Problems = append(a.report.Problems, AuditProblem{kind, chain, events, text})
}

func (c *auditChain) has(sequence int64) bool {
	i, _ := c.find(sequence)
	return i < len(c.present) && c.present[i].from <= sequence
}

// find is the first stretch that does not end before the sequence.
func (c *auditChain) find(sequence int64) (int, bool) {
	return slices.BinarySearchFunc(c.present, sequence, func(s stretch, n int64) int { return cmp.Compare(s.to, n) })
}

// add puts an event among those that are there, and is false if it is already.
func (c *auditChain) add(n int64, before time.Time) bool {
	if c.has(n) {
		return false
	}
	i, _ := c.find(n)
	s := stretch{span{n, n}, before}
	if i < len(c.present) && c.present[i].from == n+1 { // the next one goes on here
		s.to = c.present[i].to
		c.present = slices.Delete(c.present, i, i+1)
	}
	if i > 0 && c.present[i-1].to == n-1 { // the one before ends here
		c.present[i-1].to = s.to
		return true
	}
	c.present = slices.Insert(c.present, i, s)
	return true
}

// Report says what was found. The time is that of the look at the store: what
// had expired by then may be gone. With the zero time it is that of the newest
// event, for an export that is looked at later.
func (a *Audit) Report(at time.Time) *AuditReport {
	if at.IsZero() {
		at = a.newest
	}
	at = at.Add(clockSkew)
	a.report.Events, a.report.Unchained = a.events, a.unchained
	for _, id := range slices.Sorted(maps.Keys(a.chains)) {
		c := a.chains[id]
		found := a.holes(c, at)
		a.ends(c, at)
		if c.events > 0 {
			a.report.Chains = append(a.report.Chains, found)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(a.unknown), func(x, y [4]byte) int { return slices.Compare(x[:], y[:]) }) {
		a.problem("unknown_key", "", fmt.Sprintf("%d events", a.unknown[key]), "they cannot be verified, since key "+keyName(key)+
			" is of another master secret than those that were given")
	}
	if a.late > 0 {
		a.problem("unchained", "", fmt.Sprintf("%d events", a.late), "they have no chain and are newer than events that have one: "+
			"an older version has run since, or somebody else has written them")
	}
	return &a.report
}

// holes looks at the gaps between the events that are there.
func (a *Audit) holes(c *auditChain, at time.Time) AuditChain {
	found := AuditChain{
		ID: c.id, First: c.first, Last: c.last, Events: c.events, Sequence: c.top.sequence, Anchor: c.top.String(),
		Closed: c.closed != 0 && c.closed == c.top.sequence,
	}
	var unsettled spans
	after := int64(0)
	for _, s := range c.present {
		gap := span{after + 1, s.from - 1}
		after = s.to
		if gap.from > gap.to {
			continue
		}
		rest := c.lost.without(gap)
		size := rest.count()
		found.Lost += gap.to - gap.from + 1 - size
		if size > 0 && !s.before.IsZero() && !s.before.After(at) {
			found.Swept += size
			c.meet(gap)
			continue
		}
		for _, r := range rest {
			settled := c.settled
			for n := range c.heads { // somebody has seen it: it was there
				if n >= r.from && n <= r.to {
					settled = max(settled, n)
				}
			}
			if r.from <= settled {
				missing := span{r.from, min(r.to, settled)}
				a.problem("missing", c.id, missing.String(), "they were in the store, and were deleted before the time of the last of them")
			}
			if r.to > settled {
				unsettled.add(max(r.from, settled+1), r.to)
			}
			c.meet(r)
		}
	}
	found.Unsettled = unsettled.String()
	return found
}

// ends looks for events that others have seen behind the last one that is there.
func (a *Audit) ends(c *auditChain, at time.Time) {
	last := int64(0)
	if n := len(c.present); n > 0 {
		last = c.present[n-1].to
	}
	var furthest seen
	for n, s := range c.heads {
		if n > last && n > furthest.sequence && s.expires.After(at) {
			furthest = s
		}
	}
	switch {
	case furthest.sequence == 0:
	case last == 0:
		a.problem("cut_off", c.id, "1-"+span{furthest.sequence, furthest.sequence}.String(), "the whole chain is missing, which "+furthest.by+" saw")
	default:
		a.problem("cut_off", c.id, span{last + 1, furthest.sequence}.String(), "the end of the chain is missing, which "+furthest.by+" saw")
	}
}

// meet strikes out what was expected within a gap that is accounted for.
func (c *auditChain) meet(gap span) {
	maps.DeleteFunc(c.heads, func(n int64, _ seen) bool { return n >= gap.from && n <= gap.to })
}

package importing

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
)

// Sink takes users in, or says what would come of it.
type Sink func(ctx context.Context, users []*gatehouse.User) ([]gatehouse.Imported, error)

// Choice is what becomes of several records with the same address.
type Choice string

// All of them are set aside; or all but the first; or all but the one that was
// changed last, which is the last in the file of several at the same time.
const (
	Reject Choice = "reject"
	First  Choice = "first"
	Newest Choice = "newest"
)

// Run is one import.
type Run struct {
	Source      Source
	Reader      *Reader
	Sink        Sink
	OnDuplicate Choice
	// Rejected is where records go that are set aside, as lines of JSON; nil for
	// nowhere. They hold everything that the record holds.
	Rejected io.Writer
	// Progress hears now and then how far it is; nil for nobody. Nothing is done
	// while the source is read for the first time, and total grows.
	Progress func(done, total int)
}

// Report says what came of an import.
type Report struct {
	Records, Added, Present, Rejected, Other int // Other: records that are no users

	WithoutPassword, Disabled int
	Kinds                     map[string]int // of hashes, of those who were added
	Reasons                   map[string]*Reason
	LeftOut                   map[string]int // fields of all records, as Reader.LeftOut
}

// Reason is why records were set aside.
type Reason struct {
	Text     string
	N        int
	Examples []string // the first of them
}

const (
	batch        = 500
	mostExamples = 3
)

// pending is a user who has not been handed over yet.
type pending struct {
	user *gatehouse.User
	key  string // of the address
	at   time.Time
	place
	raw []byte

	fault  *Fault  // it is set aside,
	others []place // because of these
}

// place is where a record stands. Lines alone do not tell them apart: a document
// may have all of them in one.
type place struct{ line, number int }

func placeOf(rec Record) place { return place{rec.Line, rec.Number} }

func (p place) String() string {
	switch {
	case p.number == 0:
		return "line " + strconv.Itoa(p.line)
	case p.line == 1:
		return "record " + strconv.Itoa(p.number)
	}
	return "record " + strconv.Itoa(p.number) + " in line " + strconv.Itoa(p.line)
}

// short is what tells it from others of the same source.
func (p place) short() int { return cmp.Or(p.number, p.line) }

// Do imports. The source is read twice: the first time only to find the addresses
// and ids that are there more than once. What is kept in memory is eight bytes for
// each, those records, and some batches.
//
// The report is about what was done, also beside an error.
func (r *Run) Do(ctx context.Context) (*Report, error) {
	report := &Report{Kinds: map[string]int{}, Reasons: map[string]*Reason{}}
	defer func() { report.LeftOut = r.Reader.LeftOut }()
	twice, total, err := r.scan(ctx)
	if err != nil {
		return report, err
	}
	// While one batch is handed over, the next is read.
	hands := handing(ctx, r, report)
	err = r.readAll(ctx, report, twice, total, hands.give)
	if herr := hands.end(); herr != nil {
		return report, herr
	}
	if err != nil {
		return report, err
	}
	if r.Progress != nil {
		r.Progress(report.Records, total)
	}
	return report, nil
}

// readAll gives away all that are to be handed over, in batches.
func (r *Run) readAll(ctx context.Context, report *Report, twice fingerprints, total int, give func([]pending) error) error {
	var held, queue []pending
	for rec, err := range r.Source.Records(ctx) {
		if err != nil {
			return err
		}
		report.Records++
		if r.Progress != nil && report.Records%batch == 0 {
			r.Progress(report.Records, total)
		}
		p, err := r.read(rec)
		if errors.Is(err, errOther) {
			report.Other++
			continue
		}
		if err != nil {
			if err := give([]pending{{place: placeOf(rec), raw: slices.Clone(rec.Raw), fault: fault(err)}}); err != nil {
				return err
			}
			continue
		}
		if twice.has(p) {
			held = append(held, p)
			continue
		}
		if queue = append(queue, p); len(queue) == batch {
			if err := give(queue); err != nil {
				return err
			}
			queue = nil
		}
	}
	for some := range slices.Chunk(append(queue, r.choose(held)...), batch) {
		if err := give(some); err != nil {
			return err
		}
	}
	return nil
}

// hands hands over, one batch after the other, beside the reading. The parts of
// the report that are about what came of it are its.
type hands struct {
	batches chan []pending
	done    chan struct{}
	err     error // once done is closed
}

func handing(ctx context.Context, r *Run, report *Report) *hands {
	h := &hands{batches: make(chan []pending, 2), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		for some := range h.batches {
			if h.err = r.hand(ctx, report, some); h.err != nil {
				return
			}
		}
	}()
	return h
}

// errHands: the cause is the error of the hands.
var errHands = errors.New("what was read could not be handed over")

func (h *hands) give(some []pending) error {
	select {
	case h.batches <- some:
		return nil
	case <-h.done:
		return errHands
	}
}

func (h *hands) end() error {
	close(h.batches)
	<-h.done
	return h.err
}

// read makes a user of a record.
func (r *Run) read(rec Record) (pending, error) {
	u, err := r.Reader.User(rec)
	if err != nil {
		return pending{}, err
	}
	p := pending{user: u, at: u.UpdatedAt, place: placeOf(rec), raw: slices.Clone(rec.Raw)}
	// What is no address is for the core to refuse.
	if email, err := gatehouse.ParseEmail(u.Email); err == nil {
		p.key = email.Key
	}
	return p, nil
}

// fingerprints are those of addresses and ids that are there more than
// once. Another may have the same one, by chance: it is then held, and let go.
type fingerprints struct {
	seed maphash.Seed
	set  map[uint64]bool
}

func (f fingerprints) of(what, s string) uint64 {
	return maphash.String(f.seed, what+s)
}

func (f fingerprints) has(p pending) bool {
	return f.set[f.of("email ", p.key)] || f.set[f.of("id ", p.user.ID)]
}

func (r *Run) scan(ctx context.Context) (fingerprints, int, error) {
	f := fingerprints{maphash.MakeSeed(), map[uint64]bool{}}
	var all []uint64
	total := 0
	for rec, err := range r.Source.Records(ctx) {
		if err != nil {
			return f, total, err
		}
		if total++; r.Progress != nil && total%batch == 0 {
			r.Progress(0, total)
		}
		typed, id, err := r.Reader.identity(rec)
		if err != nil {
			continue // reported the second time
		}
		if email, err := gatehouse.ParseEmail(typed); err == nil {
			all = append(all, f.of("email ", email.Key))
		}
		if id != "" {
			all = append(all, f.of("id ", id))
		}
	}
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] {
			f.set[all[i]] = true
		}
	}
	return f, total, nil
}

// choose marks those of the held records that are not to be imported.
func (r *Run) choose(held []pending) []pending {
	byID, byEmail := map[string][]pending{}, map[string][]pending{}
	for _, p := range held {
		if p.user.ID != "" {
			byID[p.user.ID] = append(byID[p.user.ID], p)
		}
		if p.key != "" {
			byEmail[p.key] = append(byEmail[p.key], p)
		}
	}
	for i := range held {
		p := &held[i]
		if p.others = others(byID[p.user.ID], p.place); len(p.others) > 0 {
			p.fault = &Fault{"id_twice", "Several records have this id."}
		} else if !r.wins(*p, byEmail[p.key]) {
			p.others = others(byEmail[p.key], p.place)
			p.fault = &Fault{"email_twice", "Several records have this address, in whichever case."}
		}
	}
	return held
}

// wins reports whether p is the one to be imported of those with its address.
func (r *Run) wins(p pending, all []pending) bool {
	if len(all) < 2 {
		return true
	}
	switch r.OnDuplicate {
	case First:
		return p.place == all[0].place
	case Newest:
		newest := slices.MaxFunc(all, func(a, b pending) int {
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.short(), b.short()))
		})
		return p.place == newest.place
	}
	return false
}

func others(all []pending, but place) []place {
	var list []place
	for _, p := range all {
		if p.place != but {
			list = append(list, p.place)
		}
	}
	return list
}

// hand sets aside what of a batch is marked, and gives the others to the sink.
func (r *Run) hand(ctx context.Context, report *Report, batch []pending) error {
	var some []pending
	var users []*gatehouse.User
	for _, p := range batch {
		if p.fault == nil {
			some, users = append(some, p), append(users, p.user)
		} else if err := r.reject(report, p, p.fault, ""); err != nil {
			return err
		}
	}
	if len(users) == 0 {
		return nil
	}
	results, err := r.Sink(ctx, users)
	if err != nil {
		return err
	}
	for i, result := range results {
		switch {
		case result.Refusal != nil:
			f := &Fault{result.Refusal.Code, result.Refusal.Text}
			if result.Refusal.Err != nil {
				f.Text += " (" + result.Refusal.Err.Error() + ")"
			}
			if err := r.reject(report, some[i], f, result.Other); err != nil {
				return err
			}
		case result.Present:
			report.Present++
		default:
			report.Added++
			if result.HashKind == "" {
				report.WithoutPassword++
			} else {
				report.Kinds[result.HashKind]++
			}
			if !users[i].Enabled() {
				report.Disabled++
			}
		}
	}
	return nil
}

// rejected is a line of what was set aside.
type rejected struct {
	Line    int            `json:"line"`
	Number  int            `json:"number,omitzero"` // in a document, from 1
	Reason  string         `json:"reason"`
	Text    string         `json:"text"`
	Lines   []int          `json:"lines,omitzero"`   // of the records that it collides with
	Numbers []int          `json:"numbers,omitzero"` // of these, in a document
	User    string         `json:"user,omitzero"`    // whom it collides with, who is here already
	Record  jsontext.Value `json:"record,omitzero"`
	Base64  string         `json:"base64,omitzero"` // of a record that is no JSON
}

func (r *Run) reject(report *Report, p pending, f *Fault, user string) error {
	report.Rejected++
	reason := report.Reasons[f.Code]
	if reason == nil {
		reason = &Reason{Text: f.Text}
		report.Reasons[f.Code] = reason
	} else if reason.Text != f.Text {
		reason.Text, _, _ = strings.Cut(f.Text, " (") // the cause is each one's own
	}
	if reason.N++; len(reason.Examples) < mostExamples {
		reason.Examples = append(reason.Examples, example(p, user))
	}
	if r.Rejected == nil {
		return nil
	}
	out := rejected{Line: p.line, Number: p.number, Reason: f.Code, Text: f.Text, User: user}
	for _, o := range p.others {
		out.Lines = append(out.Lines, o.line)
		if o.number > 0 {
			out.Numbers = append(out.Numbers, o.number)
		}
	}
	if v := jsontext.Value(p.raw); utf8.Valid(p.raw) && v.IsValid() {
		out.Record = v
	} else {
		out.Base64 = base64.StdEncoding.EncodeToString(p.raw)
	}
	b, err := json.Marshal(out)
	if err == nil {
		_, err = r.Rejected.Write(append(b, '\n'))
	}
	return err
}

// example names a record, and what it collides with, without saying who it is.
func example(p pending, user string) string {
	var s strings.Builder
	s.WriteString(p.String())
	for i, o := range p.others {
		s.WriteString(map[bool]string{true: " with ", false: ", "}[i == 0] + strconv.Itoa(o.short()))
	}
	if user != "" {
		s.WriteString(" with user " + user)
	}
	return s.String()
}

func fault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{"malformed", "The record cannot be read."}
}

// Codes are those of Reasons, the most frequent first.
func (r *Report) Codes() []string {
	return frequent(r.Reasons, func(reason *Reason) int { return reason.N })
}

// Secrets are the names of LeftOut, the most frequent first.
func (r *Report) Secrets() []string {
	return frequent(r.LeftOut, func(n int) int { return n })
}

func frequent[V any](m map[string]V, n func(V) int) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(n(m[b]), n(m[a])), strings.Compare(a, b))
	})
}

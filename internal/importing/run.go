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
	// Progress hears now and then how far it is; nil for nobody.
	Progress func(done, total int)
}

// Report says what came of an import.
type Report struct {
	Records, Added, Present, Rejected, Other int // Other: records that are no users

	WithoutPassword, Disabled int
	Kinds                     map[string]int // of hashes, of those who were added
	Reasons                   map[string]*Reason
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
	line int
	raw  []byte
}

// Do imports. The source is read twice: the first time only to find the addresses
// and ids that are there more than once. What is kept in memory is eight bytes for
// each, those records, and some batches.
//
// The report is about what was done, also beside an error.
func (r *Run) Do(ctx context.Context) (*Report, error) {
	report := &Report{Kinds: map[string]int{}, Reasons: map[string]*Reason{}}
	twice, total, err := r.scan(ctx)
	if err != nil {
		return report, err
	}
	var held, queue []pending
	for rec, err := range r.Source.Records(ctx) {
		if err != nil {
			return report, err
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
			if err := r.reject(report, rec.Line, rec.Raw, fault(err), nil, ""); err != nil {
				return report, err
			}
			continue
		}
		if twice.has(p) {
			held = append(held, p)
			continue
		}
		if queue = append(queue, p); len(queue) == batch {
			if err := r.hand(ctx, report, queue); err != nil {
				return report, err
			}
			queue = queue[:0]
		}
	}
	chosen, err := r.choose(report, held)
	if err != nil {
		return report, err
	}
	for some := range slices.Chunk(append(queue, chosen...), batch) {
		if err := r.hand(ctx, report, some); err != nil {
			return report, err
		}
	}
	if r.Progress != nil {
		r.Progress(report.Records, total)
	}
	return report, nil
}

// read makes a user of a record.
func (r *Run) read(rec Record) (pending, error) {
	u, err := r.Reader.User(rec)
	if err != nil {
		return pending{}, err
	}
	p := pending{user: u, at: u.UpdatedAt, line: rec.Line, raw: slices.Clone(rec.Raw)}
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
		total++
		u, err := r.Reader.User(rec)
		if err != nil {
			continue // reported the second time
		}
		if email, err := gatehouse.ParseEmail(u.Email); err == nil {
			all = append(all, f.of("email ", email.Key))
		}
		if u.ID != "" {
			all = append(all, f.of("id ", u.ID))
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

// choose sets aside those of the held records that are not to be imported, and
// returns the others.
func (r *Run) choose(report *Report, held []pending) ([]pending, error) {
	byID, byEmail := map[string][]pending{}, map[string][]pending{}
	for _, p := range held {
		if p.user.ID != "" {
			byID[p.user.ID] = append(byID[p.user.ID], p)
		}
		if p.key != "" {
			byEmail[p.key] = append(byEmail[p.key], p)
		}
	}
	var chosen []pending
	for _, p := range held {
		others := linesOf(byID[p.user.ID], p.line)
		reason := &Fault{"id_twice", "Several records have this id."}
		if len(others) == 0 && !r.wins(p, byEmail[p.key]) {
			others = linesOf(byEmail[p.key], p.line)
			reason = &Fault{"email_twice", "Several records have this address, in whichever case."}
		}
		if len(others) == 0 {
			chosen = append(chosen, p)
			continue
		}
		if err := r.reject(report, p.line, p.raw, reason, others, ""); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// wins reports whether p is the one to be imported of those with its address.
func (r *Run) wins(p pending, all []pending) bool {
	if len(all) < 2 {
		return true
	}
	switch r.OnDuplicate {
	case First:
		return p.line == all[0].line
	case Newest:
		newest := slices.MaxFunc(all, func(a, b pending) int {
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.line, b.line))
		})
		return p.line == newest.line
	}
	return false
}

func linesOf(all []pending, but int) []int {
	var list []int
	for _, p := range all {
		if p.line != but {
			list = append(list, p.line)
		}
	}
	return list
}

// hand gives a batch to the sink.
func (r *Run) hand(ctx context.Context, report *Report, some []pending) error {
	if len(some) == 0 {
		return nil
	}
	users := make([]*gatehouse.User, len(some))
	for i, p := range some {
		users[i] = p.user
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
			if err := r.reject(report, some[i].line, some[i].raw, f, nil, result.Other); err != nil {
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
	Line   int            `json:"line"`
	Reason string         `json:"reason"`
	Text   string         `json:"text"`
	Lines  []int          `json:"lines,omitzero"` // of the records that it collides with
	User   string         `json:"user,omitzero"`  // whom it collides with, who is here already
	Record jsontext.Value `json:"record,omitzero"`
	Base64 string         `json:"base64,omitzero"` // of a record that is no JSON
}

func (r *Run) reject(report *Report, line int, raw []byte, f *Fault, lines []int, user string) error {
	report.Rejected++
	reason := report.Reasons[f.Code]
	if reason == nil {
		reason = &Reason{Text: f.Text}
		report.Reasons[f.Code] = reason
	}
	if reason.N++; len(reason.Examples) < mostExamples {
		reason.Examples = append(reason.Examples, example(line, lines, user))
	}
	if r.Rejected == nil {
		return nil
	}
	out := rejected{Line: line, Reason: f.Code, Text: f.Text, Lines: lines, User: user}
	if v := jsontext.Value(raw); utf8.Valid(raw) && v.IsValid() {
		out.Record = v
	} else {
		out.Base64 = base64.StdEncoding.EncodeToString(raw)
	}
	b, err := json.Marshal(out)
	if err == nil {
		_, err = r.Rejected.Write(append(b, '\n'))
	}
	return err
}

// example names a record, and what it collides with, without saying who it is.
func example(line int, lines []int, user string) string {
	s := "line " + strconv.Itoa(line)
	for i, l := range lines {
		s += map[bool]string{true: " with ", false: ", "}[i == 0] + strconv.Itoa(l)
	}
	if user != "" {
		s += " with user " + user
	}
	return s
}

func fault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{"malformed", "The record cannot be read."}
}

// Codes are those of Reasons, the most frequent first.
func (r *Report) Codes() []string {
	return slices.SortedFunc(maps.Keys(r.Reasons), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Reasons[b].N, r.Reasons[a].N), strings.Compare(a, b))
	})
}

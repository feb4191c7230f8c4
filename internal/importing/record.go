package importing

import (
	"context"
	"iter"
	"strings"
	"unicode/utf8"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxRecord is how many bytes a record may have.
const MaxRecord = 1 << 20

// Source is where records come from. A source that is asked again begins again,
// and hands over the same in the same order unless it was changed.
type Source interface {
	// Records are one after the other, in memory that does not grow with their
	// number. An error is the end: the source itself cannot be read any further.
	Records(ctx context.Context) iter.Seq2[Record, error]
}

// Record is what an export says of one user.
type Record struct {
	Line int // where it begins, from 1; its number in a source without lines
	// Number is its own in a source with several records in a line, from 1; 0 in
	// others.
	Number int
	Raw    []byte // as it was found; of CSV, as a JSON object. Valid until the next one.
	Err    error  // it cannot be read
}

// Fault is why a record was set aside.
type Fault struct {
	Code string // stable, for programs
	Text string // for people; quotes nothing of the record
}

func (f *Fault) Error() string { return f.Text }

var (
	errCSV    = &Fault{"malformed", "The line is not valid CSV: a quote is missing or in the wrong place."}
	errUTF8   = &Fault{"invalid_utf8", "The record is not valid UTF-8."}
	errTooBig = &Fault{"record_too_large", "The record is larger than 1 MiB."}
	errObject = &Fault{"malformed", "The record is not a JSON object, or has a member twice."}
)

// fields are the members of a record that have not been understood yet.
type fields map[string]jsontext.Value

// open reads the members of a record.
func (r Record) open() (fields, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	if !utf8.Valid(r.Raw) {
		return nil, errUTF8
	}
	var f fields
	if err := json.Unmarshal(r.Raw, &f); err != nil || f == nil {
		return nil, errObject
	}
	// What was set aside before, and mended, comes wrapped.
	if inner, ok := f["record"]; ok && len(f["line"]) > 0 && len(f["reason"]) > 0 {
		return Record{Raw: inner}.open()
	}
	return f, nil
}

// take is the first of the members with these names that says anything; it then
// counts as understood.
func (f fields) take(names ...string) jsontext.Value {
	for _, name := range names {
		if v := f[name]; !empty(v) {
			delete(f, name)
			return v
		}
	}
	return nil
}

// drop removes members that are not to be kept.
func (f fields) drop(names ...string) {
	for _, name := range names {
		delete(f, name)
	}
}

// empty reports whether a value says nothing: null, or no text.
func empty(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == 'n' || string(v) == `""` }

// opened is a value, or the object or list that it is as JSON in a text: columns
// have it so.
func opened(v jsontext.Value) jsontext.Value {
	if v.Kind() == '"' {
		if s := strings.TrimSpace(text(v)); strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
			return jsontext.Value(s)
		}
	}
	return v
}

// within is the members of a member that is an object.
func (f fields) within(name string) fields {
	v := opened(f[name])
	var inner fields
	if len(v) == 0 || json.Unmarshal(v, &inner) != nil {
		return fields{}
	}
	return inner
}

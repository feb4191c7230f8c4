package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Encoding: what a record's field is in an argument.

// whatever is a text that a client chose and nobody looks for: what is not UTF-8
// in it is replaced, because not every engine keeps it.
func whatever(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// millis is milliseconds since 1970, or nil for the zero time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// raw is JSON as text, or nil for none.
func raw(j json.RawMessage) any {
	if len(j) == 0 {
		return nil
	}
	return string(j)
}

// text is a list or a record as JSON text. It keeps <, > and & as they are, so
// that what was raw JSON comes back as it was.
func text(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// texts is a list of strings as JSON text.
func texts(list []string) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	return text(list)
}

// Decoding: the columns of a row, taken one after the other. The first that is
// not what it should be stops it, and err says which. A database that somebody
// else has written to may hold anything.

type values struct {
	row Row
	i   int
	err error
}

func (r Row) values() *values { return &values{row: r} }

func (v *values) next() any {
	if v.i >= len(v.row) {
		v.fail("is missing")
		return nil
	}
	v.i++
	return v.row[v.i-1]
}

func (v *values) fail(why string) {
	if v.err == nil {
		v.err = fmt.Errorf("column %d %s", v.i, why)
	}
}

func (v *values) int() int64 {
	n, ok := v.next().(int64)
	if !ok {
		v.fail("is not an integer")
	}
	return n
}

func (v *values) text() string {
	s, ok := v.next().(string)
	if !ok {
		v.fail("is not text")
	}
	return s
}

// optional is the text, or empty for NULL.
func (v *values) optional() string {
	switch s := v.next().(type) {
	case nil:
		return ""
	case string:
		return s
	}
	v.fail("is not text")
	return ""
}

func (v *values) time() time.Time {
	switch n := v.next().(type) {
	case nil:
		return time.Time{}
	case int64:
		return time.UnixMilli(n).UTC()
	}
	v.fail("is not a time")
	return time.Time{}
}

func (v *values) bytes() []byte {
	switch b := v.next().(type) {
	case nil:
		return nil
	case []byte:
		return b
	}
	v.fail("is not a blob")
	return nil
}

func (v *values) raw() json.RawMessage {
	if s := v.optional(); s != "" {
		return json.RawMessage(s)
	}
	return nil
}

// json decodes a column into p, unless it is NULL or an empty list.
func (v *values) json(p any) {
	s := v.optional()
	if s == "" || s == "[]" {
		return
	}
	if err := json.Unmarshal([]byte(s), p); err != nil {
		v.fail("is not the JSON it should be")
	}
}

func (v *values) texts() (list []string) {
	v.json(&list)
	return list
}

// whole is t as it is kept: UTC, whole milliseconds.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// orNull is NULL for an empty string, which a unique column may hold often.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

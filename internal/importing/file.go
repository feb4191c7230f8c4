package importing

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// File is an export: a JSON document, lines of JSON, or CSV with the names of the
// columns in the first line.
type File struct {
	Name string
	// Columns are those of a CSV without a line of names.
	Columns []string
}

// head is how much of a file tells which of these it is.
const head = 1 << 16

// Records implements [Source].
func (f File) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		file, err := os.Open(f.Name)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer file.Close()
		for rec, err := range f.read(file) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Record{}, fmt.Errorf("read %s: %w", f.Name, err))
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// read finds out what it is that is read, and reads it.
func (f File) read(from io.Reader) iter.Seq2[Record, error] {
	r := bufio.NewReaderSize(from, head)
	start, err := r.Peek(head)
	if err != nil && !errors.Is(err, io.EOF) {
		return func(yield func(Record, error) bool) { yield(Record{}, err) }
	}
	if bytes.HasPrefix(start, []byte("\xef\xbb\xbf")) {
		_, _ = r.Discard(3) // the byte order mark of Windows; they were just peeked at
		start = start[3:]
	}
	switch start = bytes.TrimSpace(start); {
	case len(start) == 0 || isLines(start):
		return lines(r)
	case start[0] == '{' || start[0] == '[':
		return document(r)
	}
	return table(r, f.Columns)
}

// isLines reports whether a file that begins so has a record in each line. One line
// is a record unless it is a container. Of several at least half are an object each,
// so that a bad one among the first does not hide it, and all together they are not
// one value, as they are in a document with a line for each user.
func isLines(start []byte) bool {
	all := bytes.Split(start, []byte("\n"))
	if len(all) == 1 {
		return start[0] == '{' && !isContainer(start)
	}
	objects := 0
	for _, line := range all {
		v := jsontext.Value(bytes.TrimSpace(line))
		if v.Kind() == '{' && v.IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) {
			objects++
		}
	}
	return objects > 0 && 2*objects >= len(all)-1 && !isOneValue(start) // the last may be cut
}

// isOneValue reports whether nothing is wrong with JSON that begins so.
func isOneValue(start []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(start), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if err := d.SkipValue(); err != nil {
		return errors.Is(err, io.ErrUnexpectedEOF)
	}
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}

// isContainer reports whether an object has one of the members in which exports
// keep their users, and before it none that a user would have.
func isContainer(start []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(start), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return false
		}
		name := token.String() // before the next is looked at, which voids it
		switch {
		case slices.Contains(containers, name) && d.PeekKind() == '[':
			return true
		case slices.Contains([]string{"email", "user_id", "_id", "localId", "traits"}, name), d.SkipValue() != nil:
			return false
		}
	}
	return false
}

// lines reads a record from each line. One that is too long does not end it.
func lines(r *bufio.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var line []byte
		for n := 1; ; n++ {
			rec := Record{Line: n}
			line = line[:0]
			var err error
			for {
				var part []byte
				part, err = r.ReadSlice('\n')
				if len(line)+len(part) > MaxRecord {
					rec.Err = errTooBig
				} else {
					line = append(line, part...)
				}
				if !errors.Is(err, bufio.ErrBufferFull) {
					break
				}
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Record{}, err)
				return
			}
			rec.Raw = bytes.TrimSpace(line)
			if (len(rec.Raw) > 0 || rec.Err != nil) && !yield(rec, nil) || err != nil {
				return
			}
		}
	}
}

// containers are the members of a document in which exports keep their users.
var containers = []string{"users", "user", "identities", "items", "records"}

// document reads the records of an array, or of arrays in an object.
func document(r *bufio.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		counted, number := &lineCounter{r: r}, 0
		d := jsontext.NewDecoder(counted, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
		fail := func(err error) {
			yield(Record{}, fmt.Errorf("line %d: the JSON is broken or ends too early: %w", counted.line(d.InputOffset()), errSyntax(err)))
		}
		array := func() bool {
			if _, err := d.ReadToken(); err != nil {
				fail(err)
				return false
			}
			for d.PeekKind() != ']' {
				kind := d.PeekKind() // reads on to where the value begins
				number++
				rec := Record{Line: counted.line(d.InputOffset() + int64(leading(d.UnreadBuffer()))), Number: number}
				v, err := d.ReadValue()
				if err != nil || kind == 0 {
					fail(err)
					return false
				}
				if rec.Raw = v; len(v) > MaxRecord {
					rec.Err = errTooBig
				}
				if !yield(rec, nil) {
					return false
				}
			}
			if _, err := d.ReadToken(); err != nil {
				fail(err)
				return false
			}
			return true
		}
		if d.PeekKind() == '[' {
			if !array() {
				return
			}
		} else {
			found := false
			if _, err := d.ReadToken(); err != nil {
				fail(err)
				return
			}
			for d.PeekKind() == '"' {
				name, err := d.ReadToken()
				if err != nil {
					fail(err)
					return
				}
				if slices.Contains(containers, name.String()) && d.PeekKind() == '[' {
					found = true
					if !array() {
						return
					}
				} else if err := d.SkipValue(); err != nil {
					fail(err)
					return
				}
			}
			if _, err := d.ReadToken(); err != nil {
				fail(err)
				return
			}
			if !found {
				yield(Record{}, errors.New("the JSON has no list of users"))
				return
			}
		}
		if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
			fail(err)
		}
	}
}

// leading is how many bytes stand before the next value.
func leading(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " \t\r\n,")) }

// errSyntax is an error of the decoder without what it quotes.
func errSyntax(err error) error {
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok || err == nil {
		return errors.New("a syntax error")
	}
	return err
}

// lineCounter knows in which line each byte is that has not been passed yet.
type lineCounter struct {
	r      io.Reader
	read   int64
	passed int     // lines
	ends   []int64 // offsets of the line ends after these
}

func (c *lineCounter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	for i, at := range b[:n] {
		if at == '\n' {
			c.ends = append(c.ends, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

// line is that of an offset, which must not be before the last one asked for.
func (c *lineCounter) line(offset int64) int {
	n, _ := slices.BinarySearch(c.ends, offset)
	c.passed += n
	c.ends = append(c.ends[:0], c.ends[n:]...)
	return c.passed + 1
}

// table reads a record from each line of CSV, whose cells are texts.
func table(r *bufio.Reader, columns []string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c := csv.NewReader(r)
		c.ReuseRecord, c.FieldsPerRecord = true, -1
		first, err := r.Peek(head)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(Record{}, err)
			return
		}
		line, _, _ := bytes.Cut(first, []byte("\n"))
		if bytes.Count(line, []byte(";")) > bytes.Count(line, []byte(",")) {
			c.Comma = ';'
		} else if bytes.Count(line, []byte("\t")) > bytes.Count(line, []byte(",")) {
			c.Comma = '\t'
		}
		named := len(columns) == 0
		c.LazyQuotes = !named // Firebase quotes names with a comma in them, and no others
		for {
			cells, err := c.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if broken, ok := errors.AsType[*csv.ParseError](err); ok && !named {
				if !yield(Record{Line: broken.StartLine, Err: errCSV}, nil) {
					return
				}
				continue
			}
			if err != nil {
				yield(Record{}, fmt.Errorf("the CSV is broken: %w", err))
				return
			}
			if named {
				columns, named = slices.Clone(cells), false
				if name, twice := repeated(columns); twice {
					yield(Record{}, fmt.Errorf("the first line, which names the columns, has the column %q twice; a CSV of Firebase names none: say --format firebase", name))
					return
				}
				continue
			}
			rec := Record{}
			rec.Line, _ = c.FieldPos(0)
			if rec.Raw, err = row(columns, cells); err != nil {
				rec.Err = err
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func repeated(names []string) (string, bool) {
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			return name, true
		}
	}
	return "", false
}

// row is a line of CSV as a JSON object. Cells without anything are left out, as
// are columns of Firebase that a shorter line does not have.
func row(columns, cells []string) (_ []byte, fault error) {
	for len(cells) > len(columns) && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1] // Firebase ends each line in a comma
	}
	if len(cells) > len(columns) {
		return nil, &Fault{"malformed", "The line has more cells than there are columns."}
	}
	var b bytes.Buffer
	e := jsontext.NewEncoder(&b, jsontext.AllowInvalidUTF8(true))
	if err := e.WriteToken(jsontext.BeginObject); err != nil {
		return nil, err
	}
	for i, cell := range cells {
		if cell == "" {
			continue
		}
		if !utf8.ValidString(cell) {
			fault = errUTF8
		}
		if err := errors.Join(e.WriteToken(jsontext.String(columns[i])), e.WriteToken(jsontext.String(cell))); err != nil {
			return nil, err
		}
	}
	if err := e.WriteToken(jsontext.EndObject); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), fault
}

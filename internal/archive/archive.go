package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"time"

	jsonx "github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// Format is the version of the format. Readers refuse what is newer; whatever a
// reader of this version would misunderstand makes it one more.
const Format = 1

const (
	longestLine = 64 << 20 // no record is near that
	batch       = 500      // records that are handed on together
)

// Header is what is known of an archive before its records.
type Header struct {
	Format    int       `json:"format"`
	Gatehouse string    `json:"gatehouse"` // the version of the program that wrote it
	CreatedAt time.Time `json:"created_at"`
}

// end is the last line.
type end struct {
	Counts map[string]int64 `json:"counts"`
	Digest string           `json:"digest"`
	SHA256 string           `json:"sha256"` // of all bytes before this line
}

// Errors of [Read].
var (
	// ErrForeign: it is no archive, or encrypted.
	ErrForeign = errors.New("not an archive of Gatehouse")
	// ErrNewer: it was made by a later version.
	ErrNewer = errors.New("the archive was made by a newer version of Gatehouse: use that version or a later one")
	// ErrDamaged: it is not what was written.
	ErrDamaged = errors.New("the archive is damaged or incomplete")
)

var errShort = fmt.Errorf("%w: it ends without its last line", ErrDamaged)

// Writer writes an archive, a record after the other.
type Writer struct {
	out    *bufio.Writer
	sha    hash.Hash
	digest Digest
	err    error
}

// NewWriter begins an archive.
func NewWriter(w io.Writer, h Header) *Writer {
	h.Format = Format
	h.CreatedAt = h.CreatedAt.UTC().Truncate(time.Millisecond)
	a := &Writer{out: bufio.NewWriterSize(w, 1<<16), sha: sha256.New()}
	a.line(&line{Header: &h})
	return a
}

// Write adds records.
func (a *Writer) Write(r *gatehouse.Records) error {
	if a.err == nil {
		a.err = each(r, func(kind int, line []byte) error {
			a.digest.add(kind, line)
			return a.put(line)
		})
	}
	return a.err
}

// Close ends the archive, without which it is none, and says what is in it. It
// does not close what it writes to.
func (a *Writer) Close() (*Digest, error) {
	a.line(&line{End: &end{a.digest.Counts(), a.digest.Sum(), hex.EncodeToString(a.sha.Sum(nil))}})
	if a.err == nil {
		a.err = a.out.Flush()
	}
	return &a.digest, a.err
}

func (a *Writer) line(l *line) {
	if a.err != nil {
		return
	}
	var b []byte
	if b, a.err = jsonx.Marshal(l, jsonx.Deterministic(true)); a.err == nil {
		a.err = a.put(b)
	}
}

func (a *Writer) put(line []byte) error {
	line = append(line, '\n')
	a.sha.Write(line)
	_, err := a.out.Write(line)
	return err
}

// Read reads an archive and hands its records to f, some hundreds at a time; f may
// be nil. Only when it returns without an error they are known to be whole: who
// cannot undo what f does reads twice. [ErrForeign], [ErrNewer] and [ErrDamaged]
// come with the line.
func Read(r io.Reader, f func(*gatehouse.Records) error) (*Header, *Digest, error) {
	in := &reader{in: bufio.NewReaderSize(r, 1<<16), sha: sha256.New()}
	h, err := in.header()
	if err != nil {
		return nil, nil, err
	}
	digest := &Digest{}
	for {
		some, last, err := in.records()
		if err != nil {
			return nil, nil, err
		}
		if err := digest.Add(some); err != nil {
			return nil, nil, in.damaged("%v", err)
		}
		if last != nil {
			if err := in.finish(last, digest); err != nil {
				return nil, nil, err
			}
		}
		if f != nil && some.Len() > 0 {
			if err := f(some); err != nil {
				return nil, nil, err
			}
		}
		if last != nil {
			return h, digest, nil
		}
	}
}

// reader reads lines.
type reader struct {
	in  *bufio.Reader
	n   int       // of the line that was read last
	sha hash.Hash // of all lines but that one
	was []byte    // that one
}

// header reads the first line. Nothing but the version may be asked of one that a
// later version wrote.
func (r *reader) header() (*Header, error) {
	text, err := r.next()
	if err != nil || !bytes.HasPrefix(text, []byte(`{"gatehouse_archive":`)) {
		if err == nil || errors.Is(err, errShort) {
			err = ErrForeign
		}
		return nil, err
	}
	var version struct {
		Header struct {
			Format int `json:"format"`
		} `json:"gatehouse_archive"`
	}
	if err := jsonx.Unmarshal(text, &version); err != nil {
		return nil, r.damaged("it cannot be read")
	}
	if f := version.Header.Format; f > Format {
		return nil, fmt.Errorf("format %d, this program knows %d: %w", f, Format, ErrNewer)
	} else if f < 1 {
		return nil, r.damaged("format %d", f)
	}
	l, err := r.parse(text)
	if err != nil {
		return nil, err
	}
	return l.Header, nil
}

// records reads up to a batch of records, or the last line.
func (r *reader) records() (*gatehouse.Records, *end, error) {
	some := &gatehouse.Records{}
	for range batch {
		text, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		l, err := r.parse(text)
		if err != nil {
			return nil, nil, err
		}
		if l.End != nil {
			return some, l.End, nil
		}
		if !l.add(some) {
			return nil, nil, r.damaged("no record of a kind that is known")
		}
	}
	return some, nil, nil
}

// finish holds the last line against what was read.
func (r *reader) finish(last *end, digest *Digest) error {
	if hex.EncodeToString(r.sha.Sum(nil)) != last.SHA256 || digest.Sum() != last.Digest || !maps.Equal(digest.Counts(), last.Counts) {
		return r.damaged("the records are not those that were written")
	}
	if _, err := r.in.ReadByte(); err == nil {
		return r.damaged("something follows it")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// next is the next line, without its line break; good until the next one.
func (r *reader) next() ([]byte, error) {
	r.sha.Write(r.was)
	r.was = r.was[:0]
	r.n++
	for {
		part, err := r.in.ReadSlice('\n')
		r.was = append(r.was, part...)
		switch {
		case err == nil:
			return r.was[:len(r.was)-1], nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: after line %d", errShort, r.n-1)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(r.was) > longestLine:
			return nil, r.damaged("it is too long")
		}
	}
}

// parse takes nothing that this version does not know, because that would be lost.
func (r *reader) parse(text []byte) (*line, error) {
	l := &line{}
	if err := jsonx.Unmarshal(text, l, jsonx.RejectUnknownMembers(true)); err != nil {
		return nil, r.damaged("it cannot be read") // what it holds is nobody's business
	}
	return l, nil
}

func (r *reader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrDamaged, r.n, fmt.Sprintf(format, args...))
}

package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// catalogue is every text by its id. {0} to {9} in a text stand for arguments.
type catalogue map[string]string

var placeholder = regexp.MustCompile(`\{[0-9]\}`)

// text is the message with its placeholders filled in. A placeholder without an
// argument stays as it is: a visible fault is found sooner than a gap.
func (c catalogue) text(id string, args ...any) (string, bool) {
	text, ok := c[id]
	if !ok || len(args) == 0 {
		return text, ok
	}
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if n := int(p[1] - '0'); n < len(args) {
			return fmt.Sprint(args[n])
		}
		return p
	}), true
}

// parameters is how many arguments a text asks for.
func parameters(text string) int {
	most := 0
	for _, p := range placeholder.FindAllString(text, -1) {
		most = max(most, int(p[1]-'0')+1)
	}
	return most
}

// parseCatalogue reads a flat object of strings. It is strict, because whoever
// edits it by hand wants to know: a duplicate or a value that is no text is a
// fault. All faults of the file are reported at once, each with its line.
func parseCatalogue(data []byte) (catalogue, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	at := func(err error) error {
		offset := d.InputOffset()
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = s.Offset
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		line := 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
		return fmt.Errorf("line %d: %w", line, err)
	}

	if open, err := d.Token(); err != nil {
		return nil, at(err)
	} else if open != json.Delim('{') {
		return nil, at(errors.New("want an object of ids and texts"))
	}
	c := catalogue{}
	var faults []error
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errors.Join(append(faults, at(err))...)
		}
		id, ok := key.(string)
		if !ok { // not reachable with a valid decoder, and cheap to say
			return nil, at(fmt.Errorf("want an id, got %v", key))
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, errors.Join(append(faults, at(err))...)
		}
		text, isText := value.(string)
		_, twice := c[id]
		switch {
		case !isText:
			faults = append(faults, at(fmt.Errorf("%s is not a text", strconv.Quote(id))))
		case twice:
			faults = append(faults, at(fmt.Errorf("%s is here twice", strconv.Quote(id))))
		default:
			c[id] = text
		}
	}
	if _, err := d.Token(); err != nil {
		faults = append(faults, at(err))
	} else if _, err := d.Token(); !errors.Is(err, io.EOF) {
		faults = append(faults, at(errors.New("something follows the object")))
	}
	return c, errors.Join(faults...)
}

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	opMsg      = 2013
	checksum   = 1 << 0
	moreToCome = 1 << 1 // of a request: no answer is expected
	headerSize = 16
	maxMessage = 64 << 20
)

// message is one message of the wire protocol, its header included.
type message []byte

func read(r io.Reader) (message, error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(header)
	if size < headerSize || size > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	m := append(header, make([]byte, size-headerSize)...)
	_, err := io.ReadFull(r, m[headerSize:])
	return m, err
}

func (m message) id() uint32 { return binary.LittleEndian.Uint32(m[4:]) }

func (m message) isCommand() bool {
	return binary.LittleEndian.Uint32(m[12:]) == opMsg && len(m) > headerSize+4
}

func (m message) flags() uint32 { return binary.LittleEndian.Uint32(m[headerSize:]) }

// answered reports whether a reply follows.
func (m message) answered() bool { return !m.isCommand() || m.flags()&moreToCome == 0 }

// command is what a message says: one document, into which the sequences that
// came beside it are put back as arrays.
func (m message) command() (bson.D, error) {
	if !m.isCommand() {
		return nil, errors.New("not a command")
	}
	rest := m[headerSize+4:]
	if m.flags()&checksum != 0 {
		rest = rest[:len(rest)-4]
	}
	var command, sequences bson.D
	for len(rest) > 0 {
		kind := rest[0]
		rest = rest[1:]
		if len(rest) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		size := binary.LittleEndian.Uint32(rest)
		if size < 4 || int(size) > len(rest) {
			return nil, io.ErrUnexpectedEOF
		}
		section := rest[:size]
		rest = rest[size:]
		switch kind {
		case 0:
			if err := bson.Unmarshal(section, &command); err != nil {
				return nil, err
			}
		case 1:
			name, list, err := sequence(section[4:])
			if err != nil {
				return nil, err
			}
			sequences = append(sequences, bson.E{Key: name, Value: list})
		default:
			return nil, fmt.Errorf("section of kind %d", kind)
		}
	}
	return append(command, sequences...), nil
}

func sequence(section []byte) (name string, list bson.A, err error) {
	for i, c := range section {
		if c == 0 {
			name, section = string(section[:i]), section[i+1:]
			break
		}
	}
	for len(section) >= 4 {
		size := binary.LittleEndian.Uint32(section)
		if size < 5 || int(size) > len(section) {
			return "", nil, io.ErrUnexpectedEOF
		}
		var d bson.D
		if err := bson.Unmarshal(section[:size], &d); err != nil {
			return "", nil, err
		}
		list = append(list, d)
		section = section[size:]
	}
	return name, list, nil
}

// encode is a message that says d.
func encode(d bson.D, id, responseTo uint32) (message, error) {
	body, err := bson.Marshal(d)
	if err != nil {
		return nil, err
	}
	m := make(message, headerSize+5, headerSize+5+len(body))
	binary.LittleEndian.PutUint32(m, uint32(cap(m)))
	binary.LittleEndian.PutUint32(m[4:], id)
	binary.LittleEndian.PutUint32(m[8:], responseTo)
	binary.LittleEndian.PutUint32(m[12:], opMsg)
	return append(m, body...), nil
}

// get is the value at a path of names with dots, or nil.
func get(d bson.D, path ...string) any {
	for _, e := range d {
		if e.Key != path[0] {
			continue
		}
		if len(path) == 1 {
			return e.Value
		}
		inner, _ := e.Value.(bson.D)
		return get(inner, path[1:]...)
	}
	return nil
}

// with is d with another value under key.
func with(d bson.D, key string, value any) bson.D {
	changed := make(bson.D, 0, len(d)+1)
	for _, e := range d {
		if e.Key != key {
			changed = append(changed, e)
		}
	}
	return append(changed, bson.E{Key: key, Value: value})
}

// number is what servers answer as int32, int64 or double.
func number(v any) int {
	switch n := v.(type) {
	case int32:
		return int(n)
	case int64:
		return int(n)
	case float64:
		return int(n)
	}
	return 0
}

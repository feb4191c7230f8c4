package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// Digest says what a store holds, whatever the order in which it is read: how
// many records of each kind, and the sum of the SHA-256 of every line that an
// archive would have, modulo 2^256. The zero value is that of an empty store.
type Digest struct {
	counts [len(kinds)]int64
	sum    [4]uint64 // the lowest first
}

// Add counts records in.
func (d *Digest) Add(r *gatehouse.Records) error {
	return each(r, func(kind int, line []byte) error {
		d.add(kind, line)
		return nil
	})
}

func (d *Digest) add(kind int, line []byte) {
	d.counts[kind]++
	h := sha256.Sum256(line)
	var carry uint64
	for i := range d.sum {
		d.sum[i], carry = bits.Add64(d.sum[i], binary.BigEndian.Uint64(h[24-8*i:]), carry)
	}
}

// Sum is the sum as 64 hexadecimal digits.
func (d *Digest) Sum() string {
	var b [32]byte
	for i, word := range d.sum {
		binary.BigEndian.PutUint64(b[24-8*i:], word)
	}
	return hex.EncodeToString(b[:])
}

// Len is how many records there are.
func (d *Digest) Len() (n int64) {
	for _, c := range d.counts {
		n += c
	}
	return n
}

// Counts is how many records there are of each kind, by its name.
func (d *Digest) Counts() map[string]int64 {
	m := make(map[string]int64, len(kinds))
	for i, name := range kinds {
		m[name] = d.counts[i]
	}
	return m
}

// String is a line for people.
func (d *Digest) String() string {
	words := make([]string, len(kinds))
	for i, name := range kinds {
		words[i] = fmt.Sprintf("%d %s", d.counts[i], name)
	}
	return strings.Join(words, ", ")
}

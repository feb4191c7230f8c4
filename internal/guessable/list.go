package guessable

import (
	"crypto/sha256"
	_ "embed"
	"sort"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MinLength is the length, in characters, from which on passwords are listed.
// Shorter ones are refused for their length whatever the settings.
const MinLength = 8

// Width is the number of bytes of a fingerprint. Of 2^49 passwords that are not
// on the list, one has the fingerprint of one that is.
const Width = 8

// The passwords dictionary of @zxcvbn-ts/language-common (see LICENSE.passwords),
// as far as it is long enough: fingerprints in order, one after the other. They
// are searched where they lie, so they cost nothing at start. tools/passwords/build
// makes the file.
//
//go:embed passwords.bin
var list string

func size() int { return len(list) / Width }

func at(i int) string { return list[i*Width : (i+1)*Width] }

// Common reports whether password is on the list of common ones, in whichever
// case. It is all of an entry, or none: nothing is taken off it and nothing is
// read into it.
func Common(password []byte) bool {
	f := Fingerprint(password)
	want := string(f[:])
	i := sort.Search(size(), func(i int) bool { return at(i) >= want })
	return i < size() && at(i) == want
}

// Fingerprint is what stands for a password on the list: the beginning of the
// SHA-256 of its NFC form in folded case.
func Fingerprint(password []byte) [Width]byte {
	sum := sha256.Sum256(norm.NFC.Bytes(cases.Fold().Bytes(password)))
	return [Width]byte(sum[:])
}

// Package commonpassword knows the passwords that most people come up with, and
// which attackers therefore try first.
//
// The list is the passwords dictionary of @zxcvbn-ts/language-common (see
// LICENSE.passwords), as far as it has at least [MinLength] characters. It is
// kept as sorted fingerprints in passwords.bin, which is part of the program and
// searched where it lies: nothing is unpacked at start. tools/passwords/build
// makes it.
package commonpassword

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

// Width is the number of bytes of a fingerprint. That a password which is not
// on the list has the fingerprint of one that is, happens once in 2^49 times.
const Width = 8

//go:embed passwords.bin
var list string

// Len is the number of passwords on the list.
func Len() int { return len(list) / Width }

// Contains reports whether the password is on the list, in whichever case.
// Nothing else about it is guessed at: it is all of an entry, or none.
func Contains(password []byte) bool {
	f := Fingerprint(password)
	want := string(f[:])
	i := sort.Search(Len(), func(i int) bool { return at(i) >= want })
	return i < Len() && at(i) == want
}

func at(i int) string { return list[i*Width : (i+1)*Width] }

// Fingerprint is what stands for a password on the list: the beginning of the
// SHA-256 of its NFC form in folded case.
func Fingerprint(password []byte) [Width]byte {
	sum := sha256.Sum256(norm.NFC.Bytes(cases.Fold().Bytes(password)))
	return [Width]byte(sum[:])
}

// Passwords makes the list of internal/guessable from a JSON array of
// passwords on standard input, and writes it to standard output. See build.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/guessable"
)

func main() {
	var words []string
	if err := json.NewDecoder(os.Stdin).Decode(&words); err != nil {
		fmt.Fprintln(os.Stderr, "passwords:", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(encode(words)); err != nil {
		fmt.Fprintln(os.Stderr, "passwords:", err)
		os.Exit(1)
	}
}

// encode is the list: the fingerprints of all words that are long enough, each
// once, in order.
func encode(words []string) []byte {
	var prints [][]byte
	for _, w := range words {
		if utf8.RuneCountInString(w) < guessable.MinLength {
			continue
		}
		f := guessable.Fingerprint([]byte(w))
		prints = append(prints, f[:])
	}
	slices.SortFunc(prints, bytes.Compare)
	prints = slices.CompactFunc(prints, bytes.Equal)
	return slices.Concat(prints...)
}

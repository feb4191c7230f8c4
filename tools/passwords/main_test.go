package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/guessable"
)

func TestEncode(t *testing.T) {
	got := encode([]string{"password", "1234567", "qwertyuiop", "PASSWORD", "éééééééé", "e\u0301é"})
	var want [][]byte
	for _, w := range []string{"password", "qwertyuiop", "éééééééé"} {
		f := guessable.Fingerprint([]byte(w))
		want = append(want, f[:])
	}
	slices.SortFunc(want, bytes.Compare)
	if !bytes.Equal(got, slices.Concat(want...)) {
		t.Errorf("got %x, want %x", got, want)
	}
}

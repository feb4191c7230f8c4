package ui

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// What the strict parser takes is what encoding/json reads, and it takes
// nothing with a duplicate or another type.
func FuzzParseCatalogue(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{"a":"{0}","b":""}`, `{}`, ``, `[]`, `{"a":1}`, `{"a":"b","a":"c"}`, `{"a":"b"} x`, `{"a":{"b":["c"]}}`, `null`, "{\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		got, err := parseCatalogue([]byte(data))
		if err != nil {
			for fault := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(fault, "line ") {
					t.Errorf("%q: %q names no line", data, fault)
				}
			}
			return
		}
		var want map[string]string
		if err := json.Unmarshal([]byte(data), &want); err != nil {
			t.Fatalf("%q was taken: %v", data, err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", data, got, want)
		}
		for id, text := range got {
			if filled, ok := got.text(id, "x", "y"); !ok || parameters(text) <= 2 && placeholder.MatchString(filled) {
				t.Errorf("%s: %q becomes %q", id, text, filled)
			}
		}
	})
}

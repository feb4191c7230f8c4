package web

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The table of operations and the description have the same lines. The two for
// health are of the program around this package.
func TestOpenAPIDescribesTheTable(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPIDocument, &doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, item := range doc.Paths {
		for method := range item {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	routes := map[string]bool{"GET /livez": true, "GET /readyz": true}
	for _, rt := range (&Web{cfg: Config{Prefix: "/api/auth"}}).operations() {
		routes[rt.method+" "+rt.path] = true
	}
	for _, line := range slices.Sorted(maps.Keys(routes)) {
		if !described[line] {
			t.Errorf("%s is not in openapi.json", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(described)) {
		if !routes[line] {
			t.Errorf("%s is in openapi.json and not in the table", line)
		}
	}
}

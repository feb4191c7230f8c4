package web

import (
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// What anybody may call stands in docs/security.md, line by line; everything
// else needs a login, and does not answer without one (ASVS 8.1.1, 8.2.1).
func TestWhoMayCallWhat(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Who may do what\n")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string]bool{}
	for i, span := range strings.Split(section, "`") {
		if method, _, ok := strings.Cut(span, " "); i%2 == 1 && ok && method == strings.ToUpper(method) {
			documented[span] = true
		}
	}
	s, err := New(Config{Gatehouse: gatehousetest.New(t, gatehouse.Config{}).Gatehouse})
	if err != nil {
		t.Fatal(err)
	}
	door := s.Handler()
	for _, rt := range append(s.operations(), s.pages()...) {
		line := rt.method + " " + strings.TrimSuffix(rt.path, "{$}")
		switch {
		case rt.who == anybody && !documented[line]:
			t.Errorf("anybody may call %s, and docs/security.md does not say so", line)
		case rt.who != anybody && documented[line]:
			t.Errorf("docs/security.md says that anybody may call %s", line)
		case rt.who == anybody:
			delete(documented, line)
			continue
		}
		r := httptest.NewRequest(rt.method, strings.ReplaceAll(rt.path, "{id}", "x"), strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code != 401 {
			t.Errorf("%s without a login: %d, want 401", line, w.Code)
		}
	}
	if left := slices.Sorted(maps.Keys(documented)); len(left) > 0 {
		t.Errorf("docs/security.md speaks of %q, which nobody may call", left)
	}
}

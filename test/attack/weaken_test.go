//go:build linux

package attack

import (
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/test/attack/weaken"
)

// TestEveryCaseCanFail holds the cases and the mutations together: each case has
// a mutation that must make it fail, each mutation fits the code, and names
// nothing that is not there. That the cases do fail is what "tools/attack
// --prove" shows.
func TestEveryCaseCanFail(t *testing.T) {
	proven := map[string]bool{}
	for _, f := range families {
		for _, a := range f.attacks {
			name := f.name + "/" + a.name
			if _, twice := proven[name]; twice {
				t.Errorf("there are two cases %s", name)
			}
			proven[name] = false
		}
	}
	names := map[string]bool{}
	for _, m := range weaken.All() {
		if names[m.Name] || len(m.Cases) == 0 || len(m.Edits) == 0 {
			t.Errorf("the mutation %q is there twice, or does nothing", m.Name)
		}
		names[m.Name] = true
		if err := m.Check(filepath.Join("..", "..")); err != nil {
			t.Error(err)
		}
		for _, c := range m.Cases {
			if _, ok := proven[c]; !ok {
				t.Errorf("the mutation %q is to make %s fail, which is no case", m.Name, c)
			}
			proven[c] = true
		}
	}
	for name, ok := range proven {
		if !ok {
			t.Errorf("no mutation makes %s fail: can it?", name)
		}
	}
	t.Logf("%d cases, %d mutations", len(proven), len(names))
}

// Package weaken has a list of changes that make the service weak, each with the
// attacks that must succeed against it. A change is text of a file that is
// replaced by other text; the file must hold it exactly once, so that a change
// that does not fit any more is noticed when the code moves on.
package weaken

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutation is a way to be weak.
type Mutation struct {
	Name  string
	Edits []Edit
	Cases []string // that must fail: family/name
}

// Edit replaces text of a file, which is named from the root of the module.
type Edit struct{ File, Old, New string }

// All is every mutation.
func All() []Mutation {
	var all []Mutation
	for _, list := range [][]Mutation{tokens, sessions, requests, inputs, answers} {
		all = append(all, list...)
	}
	return all
}

// imports is an edit that adds an import to a file.
func imports(file, path string) Edit {
	return Edit{file, "\nimport (\n", fmt.Sprintf("\nimport %q\n\nimport (\n", path)}
}

// Apply makes the edits in the module at root. It changes nothing if one of them
// does not fit.
func (m Mutation) Apply(root string) error {
	changed, err := m.edit(root)
	if err != nil {
		return err
	}
	for file, text := range changed {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Check is nil if the mutation fits the module at root.
func (m Mutation) Check(root string) error {
	_, err := m.edit(root)
	return err
}

func (m Mutation) edit(root string) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range m.Edits {
		text, ok := changed[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("%s: %s holds this %d times, want once: %q", m.Name, e.File, n, e.Old)
		}
		changed[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return changed, nil
}

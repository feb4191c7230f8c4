package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseYAML reads a file with one mapping of settings to scalars or lists of
// scalars. Anchors, aliases, tags and nested mappings have no use here and are
// refused, and with them everything that unfolds into more than was written.
func parseYAML(file, text string) ([]entry, []Fault) {
	at := func(line int, format string, args ...any) Fault {
		return Fault{Source: Source{Kind: "file", Name: file, Line: line}, Text: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxFile {
		return nil, []Fault{at(0, "the file is larger than %d KiB", maxFile>>10)}
	}
	tree, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		if y, ok := errors.AsType[yaml.Error](err); ok && y.GetToken() != nil {
			return nil, []Fault{at(y.GetToken().Position.Line, "not valid YAML: %s", y.GetMessage())}
		}
		return nil, []Fault{at(0, "not valid YAML")}
	}
	var entries []entry
	var faults []Fault
	seen := map[string]int{}
	documents := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if documents++; documents > 1 {
			return nil, []Fault{at(lineOf(doc.Body), "a second document begins here; settings are one document")}
		}
		pairs, ok := pairsOf(doc.Body)
		if !ok {
			return nil, []Fault{at(lineOf(doc.Body), "expected lines of the form name: value")}
		}
		for _, pair := range pairs {
			line := lineOf(pair.Key)
			name, ok := scalar(pair.Key)
			if !ok {
				faults = append(faults, at(line, "the name of a setting must be a plain word"))
				continue
			}
			if first, twice := seen[name]; twice {
				faults = append(faults, at(line, "%q is set a second time; the first is on line %d", name, first))
				continue
			}
			seen[name] = line
			value, set, err := yamlValue(pair.Value)
			if err != nil {
				faults = append(faults, at(line, "%s: %v", name, err))
				continue
			}
			if set {
				entries = append(entries, entry{name, value, line})
			}
		}
	}
	return entries, faults
}

func pairsOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil, true
	}
	return nil, false
}

// yamlValue is the text of a value; set is false for one that is left empty.
func yamlValue(n ast.Node) (text string, set bool, err error) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "", false, nil
	case *ast.SequenceNode:
		items := make([]string, len(n.Values))
		for i, v := range n.Values {
			item, ok := scalar(v)
			if !ok {
				return "", false, errors.New("a list must hold plain values")
			}
			items[i] = item
		}
		return strings.Join(items, ","), true, nil
	}
	text, ok := scalar(n)
	if !ok {
		return "", false, errors.New("must be a plain value or a list; anchors, tags and nested settings have no meaning here")
	}
	return text, true, nil
}

// scalar is a plain value as it was written: 0x10 and 1e3 stay what they are,
// and are judged by the setting they are for.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

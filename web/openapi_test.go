package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// description reads what openapi.json says.
var description = sync.OnceValues(func() (map[string]any, error) {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	return doc, json.Unmarshal(b, &doc)
})

// resolve follows a reference within the document.
func resolve(doc map[string]any, node any) map[string]any {
	m, _ := node.(map[string]any)
	for m != nil {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		var at any = doc
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = at.(map[string]any)[name]
		}
		m, _ = at.(map[string]any)
	}
	return nil
}

// checkDescribed holds an answer of an operation against its description: the
// status is documented for it, with this kind of content, and the fields of the
// body are those of the schema.
func checkDescribed(t *testing.T, r *http.Request, a *answer) {
	t.Helper()
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	operation, found := describedOperation(doc, r)
	if !found {
		return // an unknown path or method, or a page
	}
	responses, _ := operation["responses"].(map[string]any)
	response := resolve(doc, responses[fmt.Sprint(a.status)])
	if response == nil {
		t.Errorf("openapi.json: %s %s can answer %d: %s", r.Method, r.URL.Path, a.status, a.body)
		return
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	content, _ := response["content"].(map[string]any)
	media, ok := content[kind].(map[string]any)
	if !ok {
		if kind != "" || len(content) > 0 && a.status != 303 {
			t.Errorf("openapi.json: %s %s %d is described as %v, and was %q", r.Method, r.URL.Path, a.status, slices.Collect(maps.Keys(content)), kind)
		}
		return
	}
	if strings.HasSuffix(kind, "json") && r.Method != "HEAD" {
		var body any
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Errorf("%s %s: %v in %s", r.Method, r.URL.Path, err, a.body)
			return
		}
		for _, fault := range checkSchema(doc, "body", media["schema"], body) {
			t.Errorf("openapi.json: %s %s %d: %s, in %s", r.Method, r.URL.Path, a.status, fault, a.body)
		}
	}
}

func describedOperation(doc map[string]any, r *http.Request) (map[string]any, bool) {
	paths := doc["paths"].(map[string]any)
	if r.Method != strings.ToUpper(r.Method) {
		return nil, false // another method than the one in capitals
	}
	for template, item := range paths {
		is, want := strings.Split(r.URL.Path, "/"), strings.Split(template, "/")
		if !slices.EqualFunc(is, want, func(is, want string) bool { return is == want || strings.HasPrefix(want, "{") && is != "" }) {
			continue
		}
		operation, ok := item.(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
		return operation, ok
	}
	return nil, false
}

// checkSchema compares a value with the part of JSON Schema that the document
// uses.
func checkSchema(doc map[string]any, at string, node, value any) []string {
	schema := resolve(doc, node)
	if alternatives, ok := schema["oneOf"].([]any); ok {
		var all []string
		matches := 0
		for _, s := range alternatives {
			faults := checkSchema(doc, at, s, value)
			if len(faults) == 0 {
				matches++
			}
			all = append(all, faults...)
		}
		if matches == 1 {
			return nil
		}
		return append(all, fmt.Sprintf("%s matches %d alternatives", at, matches))
	}
	var faults []string
	switch schema["type"] {
	case "object":
		object, ok := value.(map[string]any)
		if !ok {
			return []string{at + " is not an object"}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, v := range object {
			if properties[name] == nil {
				if schema["additionalProperties"] != true {
					faults = append(faults, at+"."+name+" is not described")
				}
				continue
			}
			faults = append(faults, checkSchema(doc, at+"."+name, properties[name], v)...)
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := object[name.(string)]; !ok {
				faults = append(faults, fmt.Sprintf("%s.%s is missing", at, name))
			}
		}
	case "array":
		list, ok := value.([]any)
		if !ok {
			return []string{at + " is not an array"}
		}
		for _, v := range list {
			faults = append(faults, checkSchema(doc, at+"[]", schema["items"], v)...)
		}
	case "string":
		s, ok := value.(string)
		if allowed, has := schema["enum"].([]any); !ok || has && !slices.Contains(allowed, any(s)) {
			faults = append(faults, fmt.Sprintf("%s is %v", at, value))
		}
	case "integer":
		if n, ok := value.(float64); !ok || n != float64(int64(n)) {
			faults = append(faults, at+" is not an integer")
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			faults = append(faults, at+" is not a boolean")
		}
	default:
		faults = append(faults, fmt.Sprintf("%s has no type that this test knows: %v", at, schema))
	}
	return faults
}

// The check itself must be able to fail.
func TestOpenAPICheckNotices(t *testing.T) {
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]any{"$ref": "#/components/schemas/Error"}
	good := map[string]any{"error": "e", "code": "c", "ref": "r"}
	if faults := checkSchema(doc, "body", schema, good); faults != nil {
		t.Fatalf("a good error: %v", faults)
	}
	for name, change := range map[string]func(map[string]any){
		"a field more":      func(m map[string]any) { m["more"] = "x" },
		"a field less":      func(m map[string]any) { delete(m, "code") },
		"a field of a kind": func(m map[string]any) { m["retry_after"] = "soon" },
	} {
		bad := maps.Clone(good)
		change(bad)
		if checkSchema(doc, "body", schema, bad) == nil {
			t.Errorf("%s goes unnoticed", name)
		}
	}
}

// Every reference leads somewhere, and every operation is complete.
func TestOpenAPIIsWhole(t *testing.T) {
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi = %v, want 3.1.0", doc["openapi"])
	}
	var walk func(at string, node any)
	walk = func(at string, node any) {
		switch n := node.(type) {
		case map[string]any:
			if _, ok := n["$ref"].(string); ok && resolve(doc, n) == nil {
				t.Errorf("%s: %v leads nowhere", at, n["$ref"])
			}
			for name, child := range n {
				walk(at+"/"+name, child)
			}
		case []any:
			for i, child := range n {
				walk(fmt.Sprint(at, "/", i), child)
			}
		}
	}
	walk("", doc)
	ids := map[string]bool{}
	schemes := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
	for path, item := range doc["paths"].(map[string]any) {
		for method, node := range item.(map[string]any) {
			operation := node.(map[string]any)
			id, _ := operation["operationId"].(string)
			if id == "" || ids[id] || operation["summary"] == "" || operation["responses"] == nil {
				t.Errorf("%s %s: operationId %q, summary %q", method, path, id, operation["summary"])
			}
			ids[id] = true
			security, _ := operation["security"].([]any)
			for _, s := range security {
				for name := range s.(map[string]any) {
					if schemes[name] == nil {
						t.Errorf("%s %s: no security scheme %q", method, path, name)
					}
				}
			}
		}
	}
}

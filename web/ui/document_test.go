package ui_test

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

var (
	action  = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	tag     = regexp.MustCompile(`(?s)<[^>]*>`)
	letters = regexp.MustCompile(`\pL+`)
)

// document is a parsed page and the questions that tests ask of it.
type document struct {
	source string
	root   *html.Node
}

func parseDocument(source string) *document {
	root, err := html.Parse(strings.NewReader(source))
	if err != nil { // only a reader that fails makes it fail
		panic(err)
	}
	return &document{source, root}
}

func (d *document) elements() iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for n := range d.root.Descendants() {
			if n.Type == html.ElementNode && !yield(n) {
				return
			}
		}
	}
}

func (d *document) within(parent *html.Node, name string) []*html.Node {
	var found []*html.Node
	for n := range parent.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

func (d *document) all(name string) []*html.Node { return d.within(d.root, name) }

// one is the first element of that name.
func (d *document) one(name string) *html.Node {
	if found := d.all(name); len(found) > 0 {
		return found[0]
	}
	return nil
}

func (d *document) has(name, key, value string) bool {
	return slices.ContainsFunc(d.all(name), func(n *html.Node) bool { return attr(n, key) == value })
}

func (d *document) byID(id string) *html.Node {
	for n := range d.elements() {
		if attr(n, "id") == id {
			return n
		}
	}
	return nil
}

// text is what can be read, with single spaces.
func (d *document) text(n *html.Node) string {
	if n == nil {
		return ""
	}
	var words strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			words.WriteString(n.Data)
		}
		if n.Type == html.ElementNode && n.Data == "template" {
			return
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(n)
	return strings.Join(strings.Fields(words.String()), " ")
}

func attr(n *html.Node, key string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

// skeleton is the names of the elements and of their attributes, in order.
func skeleton(root *html.Node) string {
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			b.WriteString("<" + n.Data)
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
			}
			b.WriteString(">")
		}
	}
	return b.String()
}

// faults is everything that no page may have: what the policy forbids, what is
// not well formed, and what leaves somebody without sight or mouse behind.
func (d *document) faults() []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }

	for _, name := range []string{"h1", "main", "header", "title"} {
		if n := len(d.all(name)); n != 1 {
			fault("%d times <%s>", n, name)
		}
	}
	if attr(d.one("html"), "lang") == "" {
		fault("no language")
	}
	if skip := d.all("a"); len(skip) == 0 || attr(skip[0], "href") != "#main" {
		fault("the first link does not skip to the content")
	}
	ids := map[string]bool{}
	labelled := map[string]bool{}
	focused := 0
	for n := range d.elements() {
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				fault("id %s twice", id)
			}
			ids[id] = true
		}
		if n.Data == "label" {
			labelled[attr(n, "for")] = true
		}
		if has(n, "autofocus") {
			focused++
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				fault("<%s %s>", n.Data, a.Key)
			case strings.HasPrefix(a.Key, "data-") && strings.HasPrefix(a.Val, `"`):
				fault("%s was taken for script: %s", a.Key, a.Val)
			case a.Key == "href" || a.Key == "src" || a.Key == "action":
				if scheme := strings.ToLower(a.Val); strings.HasPrefix(scheme, "javascript:") || strings.HasPrefix(scheme, "data:") || strings.HasPrefix(a.Val, "//") {
					fault("<%s> leads to %s", n.Data, a.Val)
				}
			}
		}
		switch n.Data {
		case "script":
			if n.FirstChild != nil || !has(n, "defer") || !strings.HasPrefix(attr(n, "src"), "/assets/app.") {
				fault("a script that is not ours")
			}
		case "style", "img", "iframe", "object", "embed", "base", "b":
			fault("<%s>", n.Data)
		case "svg":
			if attr(n, "aria-hidden") != "true" {
				fault("a drawing without words")
			}
		case "button", "a":
			if d.text(n) == "" {
				fault("<%s> without words", n.Data)
			}
		}
	}
	if focused > 1 {
		fault("%d elements want the focus", focused)
	}
	for n := range d.elements() {
		for _, key := range []string{"aria-describedby", "aria-labelledby", "aria-controls", "data-length-of"} {
			for id := range strings.FieldsSeq(attr(n, key)) {
				if !ids[id] {
					fault("%s %s leads nowhere", key, id)
				}
			}
		}
		if target, ok := strings.CutPrefix(attr(n, "href"), "#"); ok && target != "ZgotmplZ" && !ids[target] {
			fault("#%s leads nowhere", target)
		}
		if n.Data == "input" && attr(n, "type") != "hidden" && !has(n, "hidden") && !labelled[attr(n, "id")] {
			fault("input %s has no label", attr(n, "id"))
		}
	}
	return append(faults, d.unbalanced()...)
}

// unbalanced reports end tags that close something else, which a browser (and
// html.Parse) silently mends.
func (d *document) unbalanced() []string {
	void := []string{"meta", "link", "input", "br", "path", "circle"}
	var open []string
	z := html.NewTokenizer(strings.NewReader(d.source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				return []string{"never closed: " + strings.Join(open, " ")}
			}
			return nil
		case html.StartTagToken:
			if name, _ := z.TagName(); !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				return []string{fmt.Sprintf("</%s> closes %v", name, open)}
			}
			open = open[:len(open)-1]
		}
	}
}

// classesMissing are classes of the page that the style sheet does not know:
// then it was not built since.
func classesMissing(d *document, css string) []string {
	var missing []string
	for n := range d.elements() {
		for class := range strings.FieldsSeq(attr(n, "class")) {
			if !regexp.MustCompile(`\.` + regexp.QuoteMeta(class) + `[^\w-]`).MatchString(css) {
				missing = append(missing, "no style for class "+class)
			}
		}
	}
	return missing
}

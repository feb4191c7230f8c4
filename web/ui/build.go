package ui

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template/parse"
	"time"
)

const messagesFile = "messages/en.json"

// shared are the templates that every page is made with.
var shared = []string{"layout.html", "parts.html"}

// builder puts templates and messages together and collects what is wrong.
type builder struct {
	ui      *UI
	sources map[string]string // of templates, by file name: "login.html"
	used    map[string]bool   // ids of messages that templates ask for
	added   []string          // ids of messages that only the overrides have
	faults  []error
	told    map[string]bool // faults, so that each is told once
}

// build fills u.messages and u.pages, with everything in overrides in the place
// of what is built in. Its error holds all faults.
func build(u *UI, overrides fs.FS) error {
	b := &builder{ui: u, sources: map[string]string{}, used: map[string]bool{}, told: map[string]bool{}}
	b.readTemplates(builtin)
	b.readMessages(builtin)
	if overrides != nil {
		b.readOverrides(overrides)
	}
	b.parse()
	for _, id := range b.added {
		if !b.used[id] {
			b.fault(messagesFile, fmt.Errorf("no page has a text %q", id))
		}
	}
	if overrides != nil && len(b.faults) == 0 {
		b.tryAll()
	}
	return errors.Join(b.faults...)
}

func (b *builder) fault(file string, err error) {
	err = fmt.Errorf("%s: %w", file, err)
	if !b.told[err.Error()] {
		b.told[err.Error()] = true
		b.faults = append(b.faults, err)
	}
}

func (b *builder) readOverrides(fsys fs.FS) {
	if _, err := fs.Stat(fsys, "."); err != nil {
		b.fault("overrides", err)
		return
	}
	if b.readTemplates(fsys)+b.readMessages(fsys) == 0 {
		b.fault("overrides", errors.New("neither templates/*.html nor "+messagesFile+" is there"))
	}
}

// readTemplates takes every template of fsys and returns how many there are.
func (b *builder) readTemplates(fsys fs.FS) int {
	files, err := fs.Glob(fsys, "templates/*.html")
	if err != nil {
		b.fault("templates", err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			b.fault(file, err)
			continue
		}
		b.sources[path.Base(file)] = string(text)
	}
	return len(files)
}

// readMessages takes the texts of fsys and returns how many files there are.
func (b *builder) readMessages(fsys fs.FS) int {
	data, err := fs.ReadFile(fsys, messagesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		b.fault(messagesFile, err)
		return 1
	}
	texts, err := parseCatalogue(data)
	if err != nil {
		b.fault(messagesFile, err)
	}
	if b.ui.messages == nil { // the built-in ones come first
		b.ui.messages = texts
		return 1
	}
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		old, known := b.ui.messages[id]
		if !known {
			b.added = append(b.added, id)
		} else if got, want := parameters(texts[id]), parameters(old); got > want {
			b.fault(messagesFile, fmt.Errorf("%q asks for {%d}, and there are %d values to fill in", id, got-1, want))
		}
		b.ui.messages[id] = texts[id]
	}
	return 1
}

// parse makes a set of templates for every page: the shared ones and its own.
func (b *builder) parse() {
	base := template.New("").Funcs(template.FuncMap{"t": b.ui.translate, "asset": b.ui.assetPath})
	whole := true
	for _, file := range shared {
		if _, err := base.New(file).Parse(b.sources[file]); err != nil {
			b.fault("templates/"+file, err)
			whole = false
		}
	}
	for _, file := range slices.Sorted(maps.Keys(b.sources)) {
		if slices.Contains(shared, file) {
			continue
		}
		page := template.Must(base.Clone()) // fails only after an execution
		if _, err := page.New(file).Parse(b.sources[file]); err != nil {
			b.fault("templates/"+file, err)
			continue
		}
		for _, part := range []string{"title", "main"} {
			if whole && page.Lookup(part) == nil {
				b.fault("templates/"+file, fmt.Errorf("does not define %q", part))
			}
		}
		for _, t := range page.Templates() {
			if t.Tree != nil {
				b.checkTexts("templates/"+t.Tree.ParseName, t.Tree.Root)
			}
		}
		b.ui.pages[strings.TrimSuffix(file, ".html")] = page
	}
}

// checkTexts looks at every t "id" below a node: the text must be there and
// must not ask for more than it is given.
func (b *builder) checkTexts(file string, n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			b.checkTexts(file, child)
		}
	case *parse.ActionNode:
		b.checkTexts(file, n.Pipe)
	case *parse.TemplateNode:
		b.checkTexts(file, n.Pipe)
	case *parse.IfNode:
		b.checkBranch(file, &n.BranchNode)
	case *parse.RangeNode:
		b.checkBranch(file, &n.BranchNode)
	case *parse.WithNode:
		b.checkBranch(file, &n.BranchNode)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, command := range n.Cmds {
			b.checkTexts(file, command)
		}
	case *parse.ChainNode:
		b.checkTexts(file, n.Node)
	case *parse.CommandNode:
		b.checkText(file, n.Args)
		for _, arg := range n.Args {
			b.checkTexts(file, arg)
		}
	}
}

func (b *builder) checkBranch(file string, n *parse.BranchNode) {
	b.checkTexts(file, n.Pipe)
	b.checkTexts(file, n.List)
	b.checkTexts(file, n.ElseList)
}

func (b *builder) checkText(file string, args []parse.Node) {
	if len(args) < 2 {
		return
	}
	name, ok := args[0].(*parse.IdentifierNode)
	if !ok || name.Ident != "t" {
		return
	}
	id, ok := args[1].(*parse.StringNode)
	if !ok {
		return // computed: looked up, and refused, when it is executed
	}
	b.used[id.Text] = true
	text, known := b.ui.messages[id.Text]
	if !known {
		b.fault(file, fmt.Errorf("unknown message id %q", id.Text))
	} else if got, want := len(args)-2, parameters(text); got < want {
		b.fault(file, fmt.Errorf("message %q asks for {%d}, and %d values are given", id.Text, want-1, got))
	}
}

// tryAll executes every page, bare and with everything in it, because a name
// that no Page has and HTML that cannot be escaped are found only then.
func (b *builder) tryAll() {
	at := time.Date(2026, 11, 23, 9, 14, 0, 0, time.UTC)
	session := Session{ID: "1", Device: "Firefox on Linux", Address: "192.0.2.1", LastSeen: at, CreatedAt: at}
	this := session
	this.Current = true
	everything := &Page{
		User: &User{Name: "Ann", Email: "ann@example.com", Roles: []string{"admin"}}, Notice: "registered",
		Error: &Error{Code: "internal", Text: "text", Ref: "ref"}, Values: map[string]string{"email": "ann@example.com"},
		Next: "/next", PasswordMin: 8, Sessions: []Session{this, session}, Status: 500, Cancel: "/cancel", Now: at,
	}
	for _, name := range slices.Sorted(maps.Keys(b.ui.pages)) {
		for _, p := range []*Page{everything, {User: everything.User}, {}} {
			if err := b.ui.Render(io.Discard, name, p); err != nil {
				b.fault("templates/"+name+".html", err)
			}
		}
	}
}

// translate is the template function t. An id that is not there is an error:
// half a page helps nobody.
func (u *UI) translate(id string, args ...any) (string, error) {
	text, ok := u.messages.text(id, args...)
	if !ok {
		return "", fmt.Errorf("unknown message id %q", id)
	}
	return text, nil
}

// assetPath is the template function asset.
func (u *UI) assetPath(name string) (string, error) {
	a, ok := u.assets[name]
	if !ok {
		return "", fmt.Errorf("unknown asset %q", name)
	}
	return a.path, nil
}

package ui

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"sync"
)

//go:embed templates/*.html messages/en.json assets/*
var builtin embed.FS

// Config says whose pages these are.
type Config struct {
	// Overrides holds templates/*.html and messages/en.json that replace or
	// extend the built-in ones; see the package comment. It is read once, by
	// New. Nil: nothing is replaced.
	Overrides fs.FS
	// SiteName is shown beside the mark and in titles. Default "Gatehouse".
	SiteName string
}

// UI renders pages and serves their assets. It is safe for concurrent use.
type UI struct {
	siteName string
	messages catalogue
	pages    map[string]*template.Template
	assets   map[string]*asset
	buffers  sync.Pool
}

// New reads and checks everything. What is wrong with the overrides is reported
// at once, each fault with the name of its file: a template that does not parse
// or cannot be executed, a text that no template has, JSON that is none. A
// folder without anything to override is an error too, as it is a wrong path
// more often than a wish.
func New(cfg Config) (*UI, error) {
	u := &UI{siteName: cmp.Or(cfg.SiteName, "Gatehouse"), pages: map[string]*template.Template{}}
	u.buffers.New = func() any { return new(bytes.Buffer) }

	var err error
	if u.assets, err = loadAssets(builtin, "assets"); err != nil {
		return nil, fmt.Errorf("ui: %w", err)
	}
	if err := build(u, cfg.Overrides); err != nil {
		return nil, fmt.Errorf("ui: %w", err)
	}
	return u, nil
}

// Message is the text with that id, {0} and so on replaced by args, or empty if
// there is none. It is plain text: whoever writes it into HTML escapes it.
func (u *UI) Message(id string, args ...any) string {
	text, _ := u.messages.text(id, args...)
	return text
}

// Render writes the page with that name ("login", not "login.html"). If the
// template fails, nothing is written. An error may also be one of w.
func (u *UI) Render(w io.Writer, name string, p *Page) error {
	t, ok := u.pages[name]
	if !ok {
		return fmt.Errorf("render %q: no such page", name)
	}
	v := &view{Page: *p, ui: u, template: name}
	v.Lang = cmp.Or(v.Lang, "en")
	v.SiteName = cmp.Or(v.SiteName, u.siteName)
	v.Home = cmp.Or(v.Home, "/dashboard")

	b := u.buffers.Get().(*bytes.Buffer)
	defer u.putBuffer(b)
	b.Reset()
	if err := t.ExecuteTemplate(b, "layout", v); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// putBuffer keeps a buffer for the next page, unless one large page has made
// it a burden.
func (u *UI) putBuffer(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 {
		u.buffers.Put(b)
	}
}

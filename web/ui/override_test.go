package ui_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gatehouse-auth/gatehouse/web/ui"
)

func folder(files ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		fsys[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return fsys
}

func TestOverrides(t *testing.T) {
	u := newUI(t, ui.Config{Overrides: folder(
		"messages/en.json", `{"login.title": "Sign in <b>", "terms.title": "Terms", "terms.text": "Be kind, {0}."}`,
		"templates/error.html", `{{define "title"}}Oh{{end}}{{define "main"}}<h1>{{.Status}} of ours</h1>{{end}}`,
		"templates/terms.html", `{{define "title"}}{{t "terms.title"}}{{end}}{{define "main"}}<h1>{{t "terms.text" .SiteName}}</h1>{{end}}`,
	)})
	login := parseDocument(render(t, u, "login", &ui.Page{}))
	if got, want := login.text(login.one("h1")), "Sign in <b>"; got != want {
		t.Errorf("a text: got %q, want %q", got, want)
	}
	if got, want := login.text(login.one("title")), "Sign in <b> · Gatehouse"; got != want {
		t.Errorf("a text in the title: got %q, want %q", got, want)
	}
	fault := parseDocument(render(t, u, "error", &ui.Page{Status: 404}))
	if got, want := fault.text(fault.one("main")), "404 of ours"; got != want {
		t.Errorf("a page: got %q, want %q", got, want)
	}
	terms := parseDocument(render(t, u, "terms", &ui.Page{}))
	if got, want := terms.text(terms.one("h1")), "Be kind, Gatehouse."; got != want {
		t.Errorf("a page of its own: got %q, want %q", got, want)
	}
	if got, want := u.Message("error.busy"), "There is a lot to do right now. Try again in a moment."; got != want {
		t.Errorf("a text that was left alone: got %q, want %q", got, want)
	}
}

func TestOverrideOfTheFrame(t *testing.T) {
	u := newUI(t, ui.Config{Overrides: folder("templates/layout.html",
		`{{define "layout"}}<title>{{template "title" .}}</title>{{template "main" .}}<footer>ours</footer>{{end}}`)})
	for page := range forms {
		if text := render(t, u, page, &ui.Page{}); !strings.HasSuffix(text, "<footer>ours</footer>") || strings.Contains(text, "<header") {
			t.Errorf("%s is not in the new frame", page)
		}
	}
}

// What one UI overrides does not show in another.
func TestOverridesStayApart(t *testing.T) {
	newUI(t, ui.Config{Overrides: folder("messages/en.json", `{"login.title": "Sign in"}`)})
	if got := newUI(t, ui.Config{}).Message("login.title"); got != "Log in" {
		t.Errorf("got %q", got)
	}
}

func TestOverridesFromDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "messages"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "messages", "en.json"), []byte(`{"login.title": "Sign in"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := newUI(t, ui.Config{Overrides: os.DirFS(dir)}).Message("login.title"); got != "Sign in" {
		t.Errorf("got %q", got)
	}
	if _, err := ui.New(ui.Config{Overrides: os.DirFS(filepath.Join(dir, "nowhere"))}); err == nil {
		t.Error("a folder that does not exist was taken")
	}
}

func TestFaultsOfOverrides(t *testing.T) {
	const page = `{{define "title"}}x{{end}}{{define "main"}}%{{end}}`
	with := func(main string) string { return strings.Replace(page, "%", main, 1) }
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"nothing there":       {nil, []string{"neither templates/*.html nor messages/en.json is there"}},
		"does not parse":      {[]string{"templates/login.html", "\n\n{{if}}"}, []string{"templates/login.html: template: login.html:3: missing value for if"}},
		"frame does not":      {[]string{"templates/layout.html", "{{end}}"}, []string{"templates/layout.html: template: layout.html:1: unexpected {{end}}"}},
		"no main":             {[]string{"templates/x.html", `{{define "title"}}x{{end}}`}, []string{`templates/x.html: does not define "main"`}},
		"no title":            {[]string{"templates/x.html", `{{define "main"}}x{{end}}`}, []string{`templates/x.html: does not define "title"`}},
		"unknown text":        {[]string{"templates/x.html", with(`{{t "login.heading"}}`)}, []string{`templates/x.html: unknown message id "login.heading"`}},
		"unknown text, deep":  {[]string{"templates/x.html", with(`{{if .User}}{{else}}{{range .Sessions}}{{with $x := .}}{{template "field" (($.Input "a" (t "nope") "name").WithHint (t "nope2"))}}{{end}}{{end}}{{end}}`)}, []string{`"nope"`, `"nope2"`}},
		"too few values":      {[]string{"templates/x.html", with(`{{t "home.heading"}}`)}, []string{`templates/x.html: message "home.heading" asks for {0}, and 0 values are given`}},
		"unknown field":       {[]string{"templates/x.html", with(`{{.Nickname}}`)}, []string{"templates/x.html", "Nickname"}},
		"unknown field, deep": {[]string{"templates/x.html", with(`{{range .Sessions}}{{.Nickname}}{{end}}`)}, []string{"templates/x.html", "Nickname"}},
		"unknown asset":       {[]string{"templates/x.html", with(`{{asset "logo.png"}}`)}, []string{"templates/x.html", `unknown asset "logo.png"`}},
		"unknown part":        {[]string{"templates/x.html", with(`{{template "fields" .}}`)}, []string{"templates/x.html", "fields"}},
		"unknown function":    {[]string{"templates/x.html", with(`{{translate "x"}}`)}, []string{"templates/x.html", "translate"}},
		"cannot be escaped":   {[]string{"templates/x.html", with(`<a href="{{if .User}}x{{else}}"{{end}}>`)}, []string{"templates/x.html"}},
		"no such message":     {[]string{"messages/en.json", `{"login.heading": "x"}`}, []string{`messages/en.json: no page has a text "login.heading"`}},
		"broken JSON":         {[]string{"messages/en.json", "{\n\"login.title\": \"x\",\n}"}, []string{"messages/en.json: line 3"}},
		"unfinished JSON":     {[]string{"messages/en.json", `{"login.title": "x"`}, []string{"messages/en.json: line 1: unexpected EOF"}},
		"empty JSON":          {[]string{"messages/en.json", ""}, []string{"messages/en.json: line 1: unexpected EOF"}},
		"a list":              {[]string{"messages/en.json", `["x"]`}, []string{"messages/en.json: line 1: want an object"}},
		"not a text":          {[]string{"messages/en.json", "{\n\"login.title\": {\"en\": 1}}"}, []string{`messages/en.json: line 2: "login.title" is not a text`}},
		"twice":               {[]string{"messages/en.json", "{\"login.title\": \"x\",\n\"login.title\": \"y\"}"}, []string{`messages/en.json: line 2: "login.title" is here twice`}},
		"two objects":         {[]string{"messages/en.json", `{} {}`}, []string{"messages/en.json: line 1: something follows"}},
		"asks for too much":   {[]string{"messages/en.json", `{"home.heading": "{0} and {1}"}`}, []string{`messages/en.json: "home.heading" asks for {1}, and there are 1 values to fill in`}},
		"everything at once": {
			[]string{"templates/a.html", "{{if}}", "templates/b.html", with(`{{t "nope"}}`), "messages/en.json", `{"x": 1, "y": "z"}`},
			[]string{"templates/a.html: ", `templates/b.html: unknown message id "nope"`, `"x" is not a text`, `no page has a text "y"`},
		},
	} {
		u, err := ui.New(ui.Config{Overrides: folder(c.files...)})
		if err == nil || u != nil {
			t.Errorf("%s: was taken", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
		told := map[string]bool{}
		for line := range strings.Lines(err.Error()) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "ui: ")
			if told[line] {
				t.Errorf("%s: told twice: %s", name, line)
			}
			told[line] = true
		}
	}
}

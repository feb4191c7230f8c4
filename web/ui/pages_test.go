package ui_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/web/ui"
	"golang.org/x/net/html"
)

var now = time.Date(2026, 11, 23, 9, 14, 0, 0, time.UTC)

// The forms of each page and the fields each sends: what the handlers decode.
var forms = map[string]map[string][]string{
	"home":           {},
	"register":       {"/register": {"name", "email", "password", "next"}},
	"login":          {"/login": {"email", "password", "next"}},
	"dashboard":      {},
	"profile":        {"/account/profile": {"name"}},
	"password":       {"/account/password": {"current_password", "new_password"}},
	"sessions":       {"/account/sessions/terminate": {"id"}, "/account/sessions/terminate-others": nil},
	"activity":       {},
	"reauthenticate": {"/reauthenticate": {"password", "next"}},
	"error":          {},
}

// Every kind of activity that has words of its own, and the details that have.
var activities = []string{
	"register", "login", "login.refused", "login.invalid_credentials", "login.unavailable", "logout", "reauthenticate", "reauthenticate.refused",
	"refresh_reused", "session_terminated", "session_terminated.replaced", "session_terminated.too_many", "sessions_terminated",
	"password_changed", "password_changed.refused", "name_changed", "user_disabled", "user_enabled", "role_granted", "role_revoked",
	"unfamiliar_login", "limited",
}

var notices = []string{"registered", "logged_out", "password_changed", "name_changed", "session_terminated", "sessions_terminated"}

// Every code that has words of its own.
var codes = []string{
	"missing_fields", "invalid_email", "invalid_credentials", "user_exists", "password_too_short",
	"password_too_long", "password_invalid", "password_common", "password_personal", "password_breached", "password_unchecked", "name_too_long", "name_invalid", "wrong_password", "same_password",
	"malformed_request", "cross_origin", "not_found", "method_not_allowed",
	"reauthentication_required", "session_not_found", "payload_too_large", "unsupported_media_type",
	"unavailable", "busy", "internal", "forbidden", "too_many_attempts",
}

// full is a page with everything in it that a page can have.
func full() ui.Page {
	return ui.Page{
		Path: "/here", Home: "/dashboard", Next: "/reports?year=2026&page=2", PasswordMin: 8, Cancel: "/account", Now: now,
		User:   &ui.User{Name: "Ann Example", Email: "ann@example.com", Roles: []string{"admin", "editor"}},
		Values: map[string]string{"name": "Ann typed", "email": "ann@typed.example", "password": "hunter22", "current_password": "hunter22", "new_password": "hunter22"},
		Activity: []ui.Activity{
			{Kind: "login", At: now, Device: "Firefox on Linux", Address: "192.0.2.1", Current: true},
			{Kind: "login", Detail: "invalid_credentials", Refused: true, At: now.Add(-time.Hour), Device: "curl", Address: "198.51.100.9"},
			{Kind: "role_granted", Detail: "editor", At: now.Add(-25 * time.Hour), ByOperator: true, Device: "hidden", Address: "203.0.113.1"},
			{Kind: "password_changed", Detail: "never_heard_of", Refused: true, At: now.AddDate(0, 0, -3)},
			{Kind: "unheard_of", At: now.AddDate(0, -2, 0)},
		},
		Sessions: []ui.Session{
			{ID: "0198-a", Device: "Firefox on Linux", Address: "192.0.2.1", LastSeen: now, CreatedAt: now.Add(-26 * time.Hour), Current: true},
			{ID: "0198-b", Device: "Safari on iPhone", Address: "2001:db8::1", LastSeen: now.Add(-2 * time.Hour), CreatedAt: now.AddDate(0, 0, -9)},
		},
	}
}

// states is every page in every state, by a name that says which.
func states() map[string]state {
	all := map[string]state{}
	for page, its := range forms {
		add := func(what string, change func(p *ui.Page)) {
			p := full()
			change(&p)
			all[page+" "+what] = state{page, p}
		}
		add("full", func(*ui.Page) {})
		add("anonymous", func(p *ui.Page) {
			p.User, p.Sessions, p.Activity, p.Values, p.Next, p.Cancel = nil, nil, nil, nil, "", ""
		})
		add("bare", func(p *ui.Page) { *p = ui.Page{} })
		add("without a now", func(p *ui.Page) { p.Now = time.Time{} })
		add("one session", func(p *ui.Page) { p.Sessions = p.Sessions[:1] })
		for _, n := range notices {
			add("notice "+n, func(p *ui.Page) { p.Notice = n })
		}
		add("unknown notice", func(p *ui.Page) { p.Notice = "nothing_like_it" })
		fields := []string{"", "id", "next"}
		for _, names := range its {
			fields = append(fields, names...)
		}
		for _, code := range append(slices.Clone(codes), "unknown_code") {
			for _, field := range fields {
				add("error "+code+" "+field, func(p *ui.Page) {
					p.Error, p.Status = &ui.Error{Code: code, Field: field, Text: "A sentence.", Ref: "REF123"}, 400
				})
			}
		}
		for _, status := range []int{400, 403, 404, 405, 429, 500, 503} {
			add(fmt.Sprint("status ", status), func(p *ui.Page) {
				p.Error, p.Status = &ui.Error{Code: "internal", Text: "A sentence.", Ref: "REF123"}, status
			})
		}
	}
	return all
}

type state struct {
	page string
	p    ui.Page
}

func newUI(t testing.TB, cfg ui.Config) *ui.UI {
	t.Helper()
	u, err := ui.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func render(t testing.TB, u *ui.UI, page string, p *ui.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := u.Render(&b, page, p); err != nil {
		t.Fatalf("render %s: %v", page, err)
	}
	return b.String()
}

func TestEveryPageInEveryState(t *testing.T) {
	u := newUI(t, ui.Config{})
	css, err := os.ReadFile("assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	all := states()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		text := render(t, u, s.page, &s.p)
		d := parseDocument(text)
		faults := append(d.faults(), classesMissing(d, string(css))...)
		faults = append(faults, formFaults(d, s)...)
		for _, never := range []string{"<no value>", "ZgotmplZ", "hunter22", "%!"} {
			if strings.Contains(text, never) {
				faults = append(faults, "holds "+never)
			}
		}
		if strings.Contains(strings.ReplaceAll(text, `data-more="{0} more characters"`, ""), "{0}") {
			faults = append(faults, "a placeholder was left")
		}
		title := d.text(d.one("title"))
		if got, want := strings.HasPrefix(title, "Error: "), s.p.Error != nil; got != want {
			faults = append(faults, fmt.Sprintf("title %q with error %v", title, s.p.Error))
		}
		if !strings.HasSuffix(title, " · Gatehouse") {
			faults = append(faults, fmt.Sprintf("title %q does not end with the site", title))
		}
		for _, f := range faults {
			t.Errorf("%s: %s", name, f)
		}
	}
}

// formFaults compares the forms with the contract of the handlers.
func formFaults(d *document, s state) []string {
	var faults []string
	for _, form := range d.all("form") {
		action := attr(form, "action")
		if attr(form, "method") != "post" {
			faults = append(faults, "form "+action+" is not sent by POST")
		}
		want, ok := forms[s.page][action]
		if action == "/logout" && s.p.User != nil {
			ok = true
		}
		if !ok {
			faults = append(faults, "form "+action+" does not belong here")
		}
		if s.p.Next == "" {
			want = slices.DeleteFunc(slices.Clone(want), func(f string) bool { return f == "next" })
		}
		var got []string
		for _, in := range d.within(form, "input") {
			if name := attr(in, "name"); name != "" { // without a name nothing is sent
				got = append(got, name)
			}
		}
		if !slices.Equal(got, want) {
			faults = append(faults, fmt.Sprintf("form %s sends %q, want %q", action, got, want))
		}
	}
	if got, want := d.has("form", "action", "/logout"), s.p.User != nil; got != want {
		faults = append(faults, fmt.Sprintf("a logout button: %v, want %v", got, want))
	}
	return faults
}

// An error stands beside its field, in the words of the catalogue, is read with
// the field, and takes the focus; the summary leads there.
func TestErrorBesideItsField(t *testing.T) {
	u := newUI(t, ui.Config{})
	for _, c := range []struct{ page, field, code, want string }{
		{"register", "name", "name_too_long", "This name is too long. Use at most 200 characters."},
		{"register", "email", "missing_fields", "Enter your email address."},
		{"register", "email", "user_exists", "Somebody has registered with this email address already. If it was you, log in."},
		{"register", "password", "password_too_short", "Use at least 8 characters."},
		{"register", "password", "password_common", "Many people use this password, so it is among the first that anybody would try. Choose another one."},
		{"password", "new_password", "password_personal", "This password is made of your name, your email address or the name of this site, which others can know. Choose another one."},
		{"password", "new_password", "password_breached", "This password has leaked somewhere, perhaps from somebody else, and is on the lists that attackers try. Choose another one."},
		{"login", "email", "invalid_email", "Enter an email address like name@example.com."},
		{"login", "password", "missing_fields", "Enter a password."},
		{"profile", "name", "not_in_the_catalogue", "A sentence."},
		{"password", "current_password", "wrong_password", "This is not your current password."},
		{"password", "new_password", "same_password", "This is the password you have already. Choose another one."},
		{"reauthenticate", "password", "wrong_password", "This is not your current password."},
	} {
		p := full()
		p.Error = &ui.Error{Code: c.code, Field: c.field, Text: "A sentence."}
		d := parseDocument(render(t, u, c.page, &p))
		in := d.byID(c.field)
		if in == nil {
			t.Errorf("%s: no input %s", c.page, c.field)
			continue
		}
		if attr(in, "aria-invalid") != "true" || !has(in, "autofocus") {
			t.Errorf("%s %s: aria-invalid %q, autofocus %v", c.page, c.field, attr(in, "aria-invalid"), has(in, "autofocus"))
		}
		if ids := strings.Fields(attr(in, "aria-describedby")); !slices.Contains(ids, c.field+"-problem") {
			t.Errorf("%s %s: described by %q", c.page, c.field, ids)
		} else if got := d.text(d.byID(c.field + "-problem")); got != "Error: "+c.want {
			t.Errorf("%s %s: beside it %q, want %q", c.page, c.field, got, "Error: "+c.want)
		}
		summary := d.byID("problem")
		if summary == nil || attr(summary, "role") != "alert" {
			t.Fatalf("%s %s: no summary with role alert", c.page, c.field)
		}
		links := d.within(summary, "a")
		if len(links) != 1 || attr(links[0], "href") != "#"+c.field || d.text(links[0]) != c.want {
			t.Errorf("%s %s: the summary does not lead there", c.page, c.field)
		}
		for _, other := range d.all("input") {
			if other != in && has(other, "aria-invalid") {
				t.Errorf("%s %s: %s is marked invalid as well", c.page, c.field, attr(other, "id"))
			}
		}
	}
}

func TestFocus(t *testing.T) {
	u := newUI(t, ui.Config{})
	for name, c := range map[string]struct {
		page, want string
		p          ui.Page
	}{
		"log in":                         {"login", "email", ui.Page{}},
		"log in, address known":          {"login", "password", ui.Page{Values: map[string]string{"email": "ann@example.com"}}},
		"log in, something to read":      {"login", "", ui.Page{Notice: "logged_out"}},
		"log in, mistyped":               {"login", "password", ui.Page{Error: &ui.Error{Code: "invalid_credentials"}}},
		"log in, our fault":              {"login", "problem", ui.Page{Error: &ui.Error{Code: "unavailable"}}},
		"an error of a field not there":  {"login", "problem", ui.Page{Error: &ui.Error{Code: "malformed_request", Field: "next"}}},
		"re-authenticate":                {"reauthenticate", "password", ui.Page{}},
		"register":                       {"register", "", ui.Page{}},
		"a page to read":                 {"sessions", "", full()},
		"an error on a page without any": {"sessions", "problem", ui.Page{Error: &ui.Error{Code: "session_not_found", Field: "id"}}},
	} {
		d := parseDocument(render(t, u, c.page, &c.p))
		var got strings.Builder
		for n := range d.elements() {
			if has(n, "autofocus") {
				got.WriteString(attr(n, "id"))
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: focus on %q, want %q", name, got.String(), c.want)
		}
	}
}

func TestInputsServePasswordManagers(t *testing.T) {
	u := newUI(t, ui.Config{})
	for _, c := range []struct{ page, id, kind, autocomplete string }{
		{"register", "name", "text", "name"},
		{"register", "email", "text", "username"},
		{"register", "password", "password", "new-password"},
		{"login", "email", "text", "username"},
		{"login", "password", "password", "current-password"},
		{"profile", "name", "text", "name"},
		{"password", "username", "text", "username"},
		{"password", "current_password", "password", "current-password"},
		{"password", "new_password", "password", "new-password"},
		{"reauthenticate", "username", "text", "username"},
		{"reauthenticate", "password", "password", "current-password"},
	} {
		p := full()
		in := parseDocument(render(t, u, c.page, &p)).byID(c.id)
		if in == nil || attr(in, "type") != c.kind || attr(in, "autocomplete") != c.autocomplete || has(in, "maxlength") {
			t.Errorf("%s %s: got %v, want type %s, autocomplete %s, no maxlength", c.page, c.id, in, c.kind, c.autocomplete)
			continue
		}
		if c.id == "username" {
			if attr(in, "value") != "ann@example.com" || !has(in, "hidden") || has(in, "name") {
				t.Errorf("%s: the user of the password is not told, or is sent", c.page)
			}
		} else if c.autocomplete != "name" && (attr(in, "spellcheck") != "false" || attr(in, "autocapitalize") != "none") {
			t.Errorf("%s %s: what is typed is corrected", c.page, c.id)
		}
		if got, want := attr(in, "inputmode"), map[bool]string{true: "email"}[c.id == "email"]; got != want {
			t.Errorf("%s %s: inputmode %q, want %q", c.page, c.id, got, want)
		}
	}
}

func TestValuesAreFilledInAgain(t *testing.T) {
	u := newUI(t, ui.Config{})
	value := func(page, id string, p ui.Page) string {
		return attr(parseDocument(render(t, u, page, &p)).byID(id), "value")
	}
	user := &ui.User{Name: "Ann", Email: "ann@example.com"}
	for _, c := range []struct{ what, got, want string }{
		{"what was typed", value("login", "email", ui.Page{Values: map[string]string{"email": "x@example.com"}}), "x@example.com"},
		{"the name there is", value("profile", "name", ui.Page{User: user}), "Ann"},
		{"the name that was typed", value("profile", "name", ui.Page{User: user, Values: map[string]string{"name": "Bea"}}), "Bea"},
		{"the name that was deleted", value("profile", "name", ui.Page{User: user, Values: map[string]string{"name": ""}}), ""},
		{"a password", value("login", "password", ui.Page{Values: map[string]string{"password": "hunter22"}}), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
}

// Whoever is logged in can log out wherever they are (ASVS 7.4.4).
func TestLogoutOnEveryPage(t *testing.T) {
	u := newUI(t, ui.Config{})
	for name, s := range states() {
		d := parseDocument(render(t, u, s.page, &s.p))
		if d.has("form", "action", "/logout") != (s.p.User != nil) {
			t.Errorf("%s: a way to log out, and somebody logged in: one without the other", name)
		}
	}
}

func TestWhatPagesSay(t *testing.T) {
	u := newUI(t, ui.Config{SiteName: "Acme"})
	nameless := full()
	nameless.User = &ui.User{Email: "ann@example.com"}
	notice := full()
	notice.Notice = "password_changed"
	lost := ui.Page{Status: 404, Error: &ui.Error{Code: "not_found", Ref: "REF123"}}
	fault := ui.Page{Status: 503, Error: &ui.Error{Code: "busy", Ref: "REF123"}}
	refused := ui.Page{Status: 401, Error: &ui.Error{Code: "invalid_credentials", Ref: "REF123"}}
	everything := full()
	for _, c := range []struct {
		page  string
		p     *ui.Page
		says  []string
		never []string
	}{
		{"home", &ui.Page{}, []string{"Welcome to Acme", "Register", "Log in"}, []string{"Log out", "Go to the dashboard"}},
		{"home", &everything, []string{"You are logged in as Ann Example.", "Go to the dashboard", "Log out"}, []string{"Register"}},
		{"dashboard", &everything, []string{
			"Hello, Ann Example", "Firefox on Linux", "192.0.2.1", "admin, editor",
			"just now (23 November 2026, 09:14 UTC)", "1 day ago (22 November 2026, 07:14 UTC)",
		}, []string{"Safari on iPhone"}},
		{"dashboard", &nameless, []string{"Hello, ann@example.com"}, []string{"Roles"}},
		{"profile", &notice, []string{"Your password is changed. Every other session has ended."}, nil},
		{"sessions", &everything, []string{
			"Firefox on Linux This device", "2001:db8::1", "2 hours ago (23 November 2026, 07:14 UTC)",
			"Terminate the session of Safari on iPhone at 2001:db8::1", "Terminate all other sessions",
		}, []string{"Terminate the session of Firefox on Linux"}},
		{"activity", &everything, []string{
			"Logged in This session", "just now (23 November 2026, 09:14 UTC)", "Firefox on Linux", "192.0.2.1",
			"Somebody tried to log in and was not let in Refused", "1 hour ago",
			"The role editor was given", "By an administrator", "Somebody tried to change the password Refused", "unheard_of",
		}, []string{"hidden", "203.0.113.1", "There is nothing to show"}},
		{"activity", &ui.Page{}, []string{"There is nothing to show yet."}, nil},
		{"error", &lost, []string{"404", "This page does not exist", "REF123"}, nil},
		{"error", &ui.Page{Status: 418}, []string{"418", "This did not work"}, []string{"reference"}},
		{"login", &fault, []string{"There is a lot to do right now.", "Reference: REF123"}, nil},
		{"login", &refused, []string{"The email address or the password is not right."}, []string{"REF123"}},
	} {
		d := parseDocument(render(t, u, c.page, c.p))
		text := d.text(d.one("body"))
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q: %s", c.page, want, text)
			}
		}
		for _, not := range c.never {
			if strings.Contains(text, not) {
				t.Errorf("%s says %q", c.page, not)
			}
		}
	}
}

func TestLinksKeepNext(t *testing.T) {
	u := newUI(t, ui.Config{})
	p := ui.Page{Next: "/reports?year=2026&page=2#top"}
	for page, want := range map[string]string{
		"login":    "/register?next=%2freports%3fyear%3d2026%26page%3d2%23top",
		"register": "/login?next=%2freports%3fyear%3d2026%26page%3d2%23top",
	} {
		if d := parseDocument(render(t, u, page, &p)); !d.has("a", "href", want) {
			t.Errorf("%s has no link to %s", page, want)
		}
	}
}

func TestWhereOneIs(t *testing.T) {
	u := newUI(t, ui.Config{})
	for page, want := range map[string][]string{
		"login": {"/login"}, "register": {"/register"}, "dashboard": {"/dashboard"},
		"profile": {"/account", "/account"}, "password": {"/account/password"}, "sessions": {"/account/sessions"},
		"activity": {"/account/activity"},
	} {
		p := full()
		p.Path = map[bool]string{true: "/dashboard"}[page == "dashboard"]
		if page == "login" || page == "register" {
			p.User = nil
		}
		var got []string
		for _, a := range parseDocument(render(t, u, page, &p)).all("a") {
			if attr(a, "aria-current") == "page" {
				got = append(got, attr(a, "href"))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: current are %q, want %q", page, got, want)
		}
	}
}

// Whatever comes from outside is text, wherever it is put.
func TestNothingFromOutsideIsMarkup(t *testing.T) {
	u := newUI(t, ui.Config{})
	for _, attack := range []string{
		`"'><script>alert(1)</script><img src=x onerror=alert(1)>`,
		`javascript:alert(1)//`,
		`data:text/html,<script>alert(1)</script>`,
		`</title></template></textarea><svg onload=alert(1)>`,
		`' autofocus onfocus=alert(1) x='`,
		`{{.User}} {0} {1} %s %d`,
		"\x00\u202e\ufeff\xff<b>",
	} {
		for page := range forms {
			for _, field := range []string{"", "name", "email", "password", attack} {
				p := ui.Page{
					Lang: attack, SiteName: attack, Path: attack, Home: attack, Notice: attack, Next: attack, Cancel: attack,
					User:  &ui.User{Name: attack, Email: attack, Roles: []string{attack, attack}},
					Error: &ui.Error{Code: attack, Field: field, Text: attack, Ref: attack}, Status: 500, Now: now,
					Values:   map[string]string{"name": attack, "email": attack, "next": attack},
					Sessions: []ui.Session{{ID: attack, Device: attack, Address: attack, Current: true}, {ID: attack, Device: attack, Address: attack}},
				}
				d := parseDocument(render(t, u, page, &p))
				for _, f := range d.faults() {
					t.Errorf("%s, field %q, %q: %s", page, field, attack, f)
				}
				clean, _ := html.Parse(strings.NewReader(render(t, u, page, &ui.Page{
					User: &ui.User{Name: "x", Email: "x", Roles: []string{"x", "x"}}, Path: "x", Home: "x", Next: "x", Cancel: "x", Status: 500, Now: now,
					Error:    &ui.Error{Code: "x", Field: field, Text: "x", Ref: "x"},
					Values:   map[string]string{"name": "x", "email": "x", "next": "x"},
					Sessions: []ui.Session{{ID: "x", Device: "x", Address: "x", Current: true}, {ID: "x", Device: "x", Address: "x"}},
				})))
				if got, want := skeleton(d.root), skeleton(clean); got != want {
					t.Errorf("%s, field %q: %q changes the elements:\n got %s\nwant %s", page, field, attack, got, want)
				}
			}
		}
	}
	// It is not enough that nothing breaks: the text must be there, whole.
	const name = `Ann <b>"O'Hara"</b> & {0}`
	p := full()
	p.User.Name = name
	d := parseDocument(render(t, u, "dashboard", &p))
	if got, want := d.text(d.one("h1")), "Hello, "+name; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryMessageIsUsed(t *testing.T) {
	data, err := os.ReadFile("messages/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var messages map[string]string
	if err := json.Unmarshal(data, &messages); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	var templates strings.Builder
	for _, f := range files {
		text, err := os.ReadFile("templates/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		templates.WriteString(string(text))
	}
	// Families that are looked up by a code, and the members there must be.
	families := map[string][]string{
		"error": codes, "notice": notices, "errorpage": {"403", "404", "405", "429", "500", "503", "other"},
		"time":     {"absolute", "now", "minute.one", "minute.other", "hour.one", "hour.other", "day.one", "day.other"},
		"activity": activities,
	}
	for i := range 12 {
		families["time"] = append(families["time"], fmt.Sprint("month.", i+1))
	}
	for family, members := range families {
		for _, m := range members {
			if messages[family+"."+m] == "" {
				t.Errorf("no text %s.%s", family, m)
			}
		}
	}
	for id, text := range messages {
		if strings.TrimSpace(text) != text || text == "" || strings.ContainsAny(text, "<>") {
			t.Errorf("%s: %q is empty, has space around it or markup in it", id, text)
		}
		if strings.Contains(templates.String(), `t "`+id+`"`) {
			continue
		}
		family, rest, _ := strings.Cut(id, ".")
		code, field, _ := strings.Cut(rest, ".")
		named := slices.Contains(families[family], rest)
		byField := family == "error" && slices.Contains(codes, code) && slices.Contains([]string{"email", "password", "current_password", "new_password"}, field)
		if !named && !byField {
			t.Errorf("nothing uses %s", id)
		}
	}
}

// No word of a page is written in a template: whatever stands between the tags
// and actions of one is space or punctuation.
func TestTemplatesHoldNoWords(t *testing.T) {
	files, err := os.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile("templates/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		bare := action.ReplaceAllString(string(text), "")
		bare = tag.ReplaceAllString(bare, "")
		if word := letters.FindString(bare); word != "" {
			t.Errorf("%s: %q is not in the catalogue", f.Name(), word)
		}
	}
}

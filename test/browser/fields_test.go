package browser

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Password managers, telephones and screen readers go by these.
func TestFields(t *testing.T) {
	t.Parallel()
	ann, b := someone(t), newTab(t, true)
	secret := func(autocomplete string) map[string]string {
		return map[string]string{"type": "password", "autocomplete": autocomplete, "autocapitalize": "none", "spellcheck": "false", "required": ""}
	}
	chosen := secret("new-password")
	chosen["minlength"] = "8"
	email := map[string]string{"type": "text", "inputmode": "email", "autocomplete": "username", "autocapitalize": "none", "spellcheck": "false", "required": ""}
	check := func(path string, fields map[string]map[string]string) {
		t.Helper()
		b.visit(path)
		b.wantPath(path)
		for id, want := range fields {
			b.mustExist("#" + id)
			got := run(b, chromedp.Attributes(chromedp.CSS("#"+id), chromedp.NodeReady))
			if got["name"] != id {
				t.Errorf("%s: the field %s is sent as %q", path, id, got["name"])
			}
			if _, ok := got["value"]; ok && want["type"] == "password" {
				t.Errorf("%s: the page holds a password", path)
			}
			maps.DeleteFunc(got, func(name, _ string) bool {
				_, ok := want[name]
				return !ok && name != "maxlength" && name != "onpaste" && name != "readonly"
			})
			for name, value := range want {
				if value == "" && name == "minlength" {
					delete(want, name)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: the field %s has %v, want %v", path, id, got, want)
			}
			if n := evaluate[int](b, fmt.Sprintf(`document.querySelectorAll('label[for="%s"]').length`, id)); n != 1 {
				t.Errorf("%s: the field %s has %d labels, want 1", path, id, n)
			}
		}
	}
	check("/register", map[string]map[string]string{"email": email, "password": chosen, "name": {"type": "text", "autocomplete": "name"}})
	check("/login", map[string]map[string]string{"email": email, "password": secret("current-password")})
	b.enter(ann)
	check("/account", map[string]map[string]string{"name": {"type": "text", "autocomplete": "name"}})
	check("/account/password", map[string]map[string]string{"current_password": secret("current-password"), "new_password": chosen})
	check("/reauthenticate", map[string]map[string]string{"password": secret("current-password")})
	if got := evaluate[string](b, `document.querySelector('form input[autocomplete=username]').value`); got != ann.email {
		t.Errorf("password managers are told of %q, want %q", got, ann.email)
	}
}

func TestShowPassword(t *testing.T) {
	t.Parallel()
	ann, b := someone(t), newTab(t, true)
	b.visit("/register")
	b.fill("email", ann.email)
	b.fill("password", "secret")
	state := func() string {
		return evaluate[string](b, `document.getElementById('password').type + ' ' + document.querySelector('.reveal').getAttribute('aria-pressed')`)
	}
	if got := state(); got != "password false" {
		t.Fatalf("at first: %s", got)
	}
	run(b, chromedp.Click(chromedp.CSS(".reveal")))
	if got := state(); got != "text true" {
		t.Errorf("after a click: %s, want text true", got)
	}
	b.wantText(".control:has(#password)", "The password is shown.")
	b.tabTo(".reveal")
	run(b, chromedp.KeyEvent(" "))
	if got := state(); got != "password false" {
		t.Errorf("after another, with the space bar: %s, want password false", got)
	}
	b.wantText(".control:has(#password)", "The password is hidden.")
	if got := b.value("password"); got != "secret" {
		t.Errorf("the field holds %q, want what was typed", got)
	}

	// Shown or not, it is sent as a password.
	run(b, chromedp.KeyEvent(kb.Enter))
	if got := state(); got != "text true" {
		t.Fatalf("after the enter key: %s, want text true", got)
	}
	evaluate[chromedp.Void](b, `document.querySelector('main form').addEventListener('submit', (e) => { e.preventDefault(); document.title = document.getElementById('password').type })`)
	run(b, chromedp.Click(chromedp.CSS("main form .button-primary")))
	// The click is carried out by and by.
	for range 50 {
		if evaluate[string](b, `document.title`) == "password" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := evaluate[string](b, `document.title`); got != "password" {
		t.Errorf("the field is sent as type %q, want password", got)
	}
}

func TestWithoutScriptNoButtonIsDead(t *testing.T) {
	t.Parallel()
	b := newTab(t, false)
	b.visit("/register")
	if b.exists("form .reveal") {
		t.Error("a button is there that does nothing")
	}
	if got := b.text(".length"); got != "" {
		t.Errorf("the length hint says %q for good", got)
	}
}

func TestLengthHint(t *testing.T) {
	t.Parallel()
	b := newTab(t, true)
	b.visit("/register")
	for _, c := range []struct{ password, want string }{
		{"abc", "5 more characters"},
		{"abcdefg", "1 more character"},
		{"abcdefgh", "Long enough"},
		{"🐎🐎🐎🐎🐎🐎🐎", "1 more character"}, // one each, though JavaScript counts two
		{"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", "2 more characters"},
	} {
		b.fill("password", c.password)
		b.waitFor(`document.querySelector('.length').innerText.trim() === ` + quote(c.want))
	}
	if got := evaluate[string](b, `document.querySelector('.length').getAttribute('aria-live')`); got != "polite" {
		t.Errorf("aria-live = %q, want polite", got)
	}
}

func quote(text string) string { return strconv.Quote(text) }

package browser

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Every page in every state keeps the rules of WCAG 2.2 AA that a program can
// check, bright and dark, on a telephone and on a wide screen, and fits the
// narrowest screen without scrolling sideways (WCAG 1.4.10).
func TestAccessibility(t *testing.T) {
	t.Parallel()
	ann, b := someone(t), newTab(t, true)
	i := 0
	look := func(state string) {
		t.Helper()
		i++
		b.look(fmt.Sprintf("%02d-%s", i, state))
	}
	b.visit("/")
	look("home")
	b.visit("/register")
	look("register")
	b.submit()
	look("register-nothing-filled-in")
	b.fill("name", ann.name)
	b.fill("email", ann.email)
	b.fill("password", "short")
	b.waitFor(`document.querySelector('.length').innerText !== ''`)
	run(b, chromedp.Click(chromedp.CSS(".reveal")))
	look("register-typing")
	b.submit()
	look("register-short-password")
	b.fill("password", "Password123")
	b.submit()
	look("register-common-password")
	b.fill("password", ann.password)
	b.submit()
	look("login-registered")
	b.visit("/register")
	b.fill("email", ann.email)
	b.fill("password", ann.password)
	b.submit()
	look("register-taken")
	b.visit("/login")
	look("login")
	b.login(person{email: ann.email, password: "not this one"})
	look("login-refused")
	for range 11 {
		b.login(person{email: "nobody@example.com", password: "not this one"})
	}
	b.wantText(".problem", "Too many")
	look("login-limited")
	b.login(ann)
	b.wantPath("/dashboard")
	look("dashboard")
	b.visit("/")
	look("home-user")
	b.visit("/account")
	look("account")
	b.submit()
	look("account-saved")
	b.fill("name", strings.Repeat("Ann ", 60))
	b.submit()
	look("account-name-too-long")
	b.visit("/account/sessions")
	look("sessions-one")
	other := newTab(t, true)
	other.visit("/login")
	other.login(ann)
	b.visit("/account/sessions")
	look("sessions-two")
	b.press(".session form button")
	look("sessions-terminated")
	b.visit("/account/activity")
	look("activity")
	b.visit("/account/password")
	look("password")
	b.fill("current_password", "not this one")
	b.fill("new_password", ann.password)
	b.submit()
	look("password-refused")
	b.fill("current_password", ann.password)
	b.fill("new_password", "another horse, another staple")
	b.submit()
	look("password-changed")
	b.visit("/reauthenticate?next=/account/sessions")
	look("reauthenticate")
	b.fill("password", "not this one")
	b.submit()
	look("reauthenticate-refused")
	if status := b.visit("/no/such/page"); status != http.StatusNotFound {
		t.Errorf("status = %d, want 404", status)
	}
	look("404")
	b.visit("/dashboard")
	b.press(`form[action="/logout"] button`)
	look("login-logged-out")

	// A name without a place to break it is no reason to scroll.
	long := person{strings.Repeat("W", 120), strings.Repeat("w", 50) + "@" + strings.Repeat("w", 60) + ".example.com", ann.password}
	b.enter(long)
	look("dashboard-long-name")
	b.visit("/account")
	look("account-long-name")
	b.visit("/")
	look("home-long-name")
	b.visit("/reauthenticate")
	look("reauthenticate-long-name")
}

// A check that finds nothing is worth as much as what it would have found.
func TestAccessibilityIsChecked(t *testing.T) {
	t.Parallel()
	b := newTab(t, true)
	b.visit("/login")
	evaluate[chromedp.Void](b, `document.querySelector('label').remove()`)
	if got := b.violations(); !strings.Contains(got, "label") {
		t.Errorf("a field without a label: violations are %q, want label", got)
	}
	evaluate[chromedp.Void](b, `document.querySelector('h1').style.width = '2000px'`)
	if got := b.overflow(); got == "" {
		t.Error("a heading of 2000 pixels is not noticed")
	}
}

// look holds what is shown to the rules, and takes a photograph if asked to.
func (b *tab) look(state string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme},
			{Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		for _, width := range []int64{360, 1280} {
			run(b, chromedp.EmulateViewport(width, 800))
			run(b, chromedp.Evaluate[chromedp.Void](`Promise.all(document.getAnimations().map((a) => a.finished.catch(() => {})))`, chromedp.EvalAwaitPromise))
			if got := b.violations(); got != "" {
				b.t.Errorf("%s, %s, %d pixels wide:\n%s", state, theme, width, got)
			}
			if got := b.overflow(); got != "" {
				b.t.Errorf("%s, %d pixels wide: %s", state, width, got)
			}
			b.photograph(fmt.Sprintf("%s-%s-%d", state, theme, width))
		}
	}
	run(b, chromedp.EmulateViewport(320, 640))
	if got := b.overflow(); got != "" {
		b.t.Errorf("%s, 320 pixels wide: %s", state, got)
	}
	b.photograph(state + "-dark-320")
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	run(b, chromedp.EmulateViewport(1280, 800))
	// A click goes where things were when they were last painted.
	run(b, chromedp.Evaluate[chromedp.Void](`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`, chromedp.EvalAwaitPromise))
}

// violations is what axe finds, or empty.
func (b *tab) violations() string {
	b.t.Helper()
	if evaluate[string](b, `typeof axe`) == "undefined" {
		evaluate[chromedp.Void](b, axe)
	}
	return run(b, chromedp.Evaluate[string](`axe.run({
		runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
		resultTypes: ['violations'],
	}).then((r) => r.violations.map((v) => v.id + ': ' + v.help + v.nodes.map((n) => '\n    ' + n.html + '\n    ' + n.failureSummary).join('')).join('\n'))`,
		chromedp.EvalAwaitPromise))
}

// overflow is what sticks out of the page at the side, or empty.
func (b *tab) overflow() string {
	b.t.Helper()
	return evaluate[string](b, `(() => {
		const root = document.documentElement
		if (root.scrollWidth <= root.clientWidth) return ''
		const out = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > root.clientWidth + 0.5)
		return root.scrollWidth + ' pixels of content: ' + out.map((e) => e.outerHTML.slice(0, 80)).join('\n')
	})()`)
}

// photograph writes the whole page as an image into the folder SCREENSHOTS.
func (b *tab) photograph(name string) {
	b.t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	whole := true
	image := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole}).Data
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

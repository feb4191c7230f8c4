package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A person without a mouse registers, logs in and logs out. What has the focus
// can be seen to have it at every step.
func TestKeyboard(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.visit("/")
		b.tabTo(`.skip`)
		b.tabTo(`main a[href="/register"]`)
		b.enterKey()
		b.wantPath("/register")

		b.tabTo(`#name`)
		b.typeText(ann.name)
		b.tabTo(`#email`)
		b.typeText(ann.email)
		b.tabTo(`#password`)
		b.typeText(ann.password)
		b.enterKey()
		b.wantPath("/login?notice=registered")

		b.tabTo(`#email`)
		b.typeText(ann.email)
		b.tabTo(`#password`)
		b.typeText(ann.password)
		b.tabTo(`main form .button-primary`)
		b.enterKey()
		b.wantPath("/dashboard")

		b.tabTo(`form[action="/logout"] button`)
		b.enterKey()
		b.wantPath("/login?notice=logged_out")
	})
}

// After a refusal the focus is where it has to be mended.
func TestFocusAfterRefusal(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.visit("/register")
		b.fill("email", ann.email)
		b.fill("password", "short")
		b.submit()
		b.waitFor(`document.activeElement.id === 'password'`)
		b.checkFocusVisible()
		b.visit("/login")
		b.login(ann)
		b.waitFor(`document.activeElement.id === 'password'`)
		if got := evaluate[string](b, `document.activeElement.getAttribute('aria-describedby')`); got != "problem" {
			t.Errorf("the field is described by %q, want the message", got)
		}
		b.wantText("#problem", "not right")
	})
}

// tabTo presses Tab until the element has the focus. Whatever has it on the way
// has to show it.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	b.mustExist(selector)
	for range 30 {
		if b.matches(selector) {
			return
		}
		run(b, chromedp.KeyEvent(kb.Tab))
		b.checkFocusVisible()
	}
	b.t.Fatalf("Tab does not lead to %s on %s", selector, b.path())
}

func (b *tab) matches(selector string) bool {
	b.t.Helper()
	return evaluate[bool](b, `document.activeElement.matches(`+quote(selector)+`)`)
}

// checkFocusVisible wants an outline around what has the focus, or a ring, and
// all of it in sight.
func (b *tab) checkFocusVisible() {
	b.t.Helper()
	const problem = `(() => {
		const e = document.activeElement
		if (e === document.body) return ''
		const what = e.outerHTML.slice(0, 80), style = getComputedStyle(e), box = e.getBoundingClientRect()
		if (!e.matches(':focus-visible')) return what + ': the focus is not visible'
		const outline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && !/, 0\)|transparent/.test(style.outlineColor)
		if (!outline && style.boxShadow === 'none') return what + ': neither an outline nor a ring'
		if (box.width < 2 || box.height < 2) return what + ': nothing to see'
		if (box.top < 0 || box.left < 0 || box.bottom > innerHeight || box.right > innerWidth) return what + ': out of sight'
		return ''
	})()`
	if got := evaluate[string](b, problem); got != "" {
		b.t.Error("focus:", got)
	}
}

func (b *tab) enterKey() {
	b.t.Helper()
	b.arrive(chromedp.KeyEvent(kb.Enter))
}

// typeText types as a keyboard does, key by key.
func (b *tab) typeText(text string) {
	b.t.Helper()
	run(b, chromedp.KeyEvent(text))
}

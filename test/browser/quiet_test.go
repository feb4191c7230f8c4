package browser

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The other tests rely on this: what a page should not do is stopped by its
// policy, and noticed.
func TestTroubleIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, want string }{
		"inline script": {`{ const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.append(s) }`, "ContentSecurityPolicyIssue"},
		"handler":       {`document.body.innerHTML += '<img src="/favicon.ico" onload="window.ran = true">'`, "ContentSecurityPolicyIssue"},
		"inline style":  {`document.body.innerHTML += '<p style="color: red">red</p>'`, "ContentSecurityPolicyIssue"},
		"other origin":  {`document.body.innerHTML += '<img src="http://127.0.0.1:1/x.png">'`, "ContentSecurityPolicyIssue"},
		"fetch":         {`fetch('/favicon.ico').catch(() => {})`, "ContentSecurityPolicyIssue"},
		"console":       {`console.log('hello')`, "console.log"},
		"dialog":        {`setTimeout(() => alert(1))`, "dialog: 1"},
		"missing asset": {`document.body.innerHTML += '<img src="/assets/missing.png">'`, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t, true)
			b.visit("/")
			b.checkQuiet()
			evaluate[chromedp.Void](b, `{ window.ran = false; `+c.script+` }`)
			b.wait("nobody noticed", func() bool {
				return slices.ContainsFunc(b.noticed(), func(s string) bool { return strings.Contains(s, c.want) })
			})
			if evaluate[bool](b, `window.ran`) {
				t.Error("the script ran")
			}
			b.visit("/")
			b.noticed()
		})
	}
}

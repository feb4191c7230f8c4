package browser

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a single step may take on a busy machine.
const patience = 20 * time.Second

// tab is a tab in which somebody uses the service. When its test ends, it has to
// have been quiet: nothing on the console, no dialog, no violation of the
// content security policy, nothing asked of anybody else, and nothing stored
// where a script can read it.
type tab struct {
	t     *testing.T
	ctx   context.Context
	base  string
	close func()

	mu       sync.Mutex
	trouble  []string
	expected map[string]bool // pages that were answered with an error status
}

// newTab opens a window of the shared browser with cookies of its own.
func newTab(t *testing.T, script bool) *tab {
	t.Helper()
	return openTab(t, window, shared.url, script, chromedp.WithNewBrowserContext())
}

// openTab opens a tab of a browser. Without script, pages run no JavaScript.
func openTab(t *testing.T, browser context.Context, base string, script bool, options ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, base: base, expected: map[string]bool{}}
	ctx, cancel := chromedp.NewContext(browser, append(options, chromedp.WithListener(b.watch))...)
	b.ctx = ctx
	b.close = sync.OnceFunc(func() {
		b.checkQuiet()
		b.checkStorage()
		cancel()
	})
	t.Cleanup(b.close)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("open a tab:", err)
	}
	call(b, audits.Enable, cdp.Empty{})
	if !script {
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	return b
}

// watch notes what a tab should not do.
func (b *tab) watch(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	note := func(format string, args ...any) { b.trouble = append(b.trouble, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		note("console.%s: %d arguments", e.Type, len(e.Args))
	case *runtime.EventExceptionThrown:
		note("exception: %s", e.ExceptionDetails.Text)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 && e.Type == network.ResourceTypeDocument {
			b.expected[e.Response.URL] = true
		}
	case *log.EventEntryAdded:
		// A page that answers with an error status is a line on the console;
		// what is merely said (that a logout has emptied the cache) is no trouble.
		refusal := e.Entry.Source == log.EntrySourceNetwork && b.expected[e.Entry.URL]
		if !refusal && e.Entry.Level != log.EntryLevelInfo {
			note("log: %s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		note("issue: %s", e.Issue.Code)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.base+"/") {
			note("request to another origin: %s", e.Request.URL)
		}
	case *page.EventJavascriptDialogOpening:
		note("dialog: %s", e.Message)
		go chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
	}
}

// noticed is what was noted since it was last asked for.
func (b *tab) noticed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	trouble := b.trouble
	b.trouble = nil
	return trouble
}

func (b *tab) checkQuiet() {
	b.t.Helper()
	for _, trouble := range b.noticed() {
		b.t.Error("the page was not quiet:", trouble)
	}
}

func (b *tab) checkStorage() {
	b.t.Helper()
	if b.t.Failed() || !strings.HasPrefix(evaluate[string](b, `location.href`), b.base) {
		return
	}
	if n := evaluate[int](b, `localStorage.length + sessionStorage.length`); n != 0 {
		b.t.Errorf("%d values in the storage of the page, want none", n)
	}
	if cookies := evaluate[string](b, `document.cookie`); cookies != "" {
		b.t.Errorf("a script can read cookies: %q", cookies)
	}
}

// run does what a step says, in time.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// call sends a command of the protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// evaluate is the value of an expression in the page, where the policy of the
// page does not hold.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](expression))
}

// arrive does something that leads to another page, and says with which status
// that page was answered.
func (b *tab) arrive(steps ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatalf("no page came: %v; noticed: %q; the page at %s has the focus on %s and says:\n%s", err, b.noticed(), b.path(),
			evaluate[string](b, `document.activeElement.outerHTML.slice(0, 200)`), b.text("body"))
	}
	return int(response.Status)
}

// visit types an address.
func (b *tab) visit(path string) int {
	b.t.Helper()
	return b.arrive(chromedp.Navigate(b.base + path))
}

// press clicks on what leads to another page.
func (b *tab) press(selector string) int {
	b.t.Helper()
	b.mustExist(selector)
	b.rest(selector)
	return b.arrive(chromedp.Click(chromedp.CSS(selector)))
}

// rest waits until an element stands still: the place of a click is found out
// before the click, and a page that is still being laid out moves away under it.
func (b *tab) rest(selector string) {
	b.t.Helper()
	at, last := fmt.Sprintf(`JSON.stringify(document.querySelector(%q).getBoundingClientRect())`, selector), ""
	b.wait(selector+" does not stand still", func() bool {
		now := evaluate[string](b, at)
		still := now == last && evaluate[string](b, `document.readyState`) == "complete"
		last = now
		return still
	})
}

// submit clicks on the button of the form in the page.
func (b *tab) submit() int {
	b.t.Helper()
	return b.press("main form .button-primary")
}

// fill replaces what stands in a field.
func (b *tab) fill(id, text string) {
	b.t.Helper()
	b.mustExist("#" + id)
	run(b, chromedp.Click(chromedp.CSS("#"+id)))
	evaluate[chromedp.Void](b, fmt.Sprintf(`document.getElementById(%q).select()`, id))
	if got := evaluate[string](b, `document.activeElement.id`); got != id {
		b.t.Fatalf("the focus is on %q, want %q", got, id)
	}
	call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// waitFor waits until an expression is true.
func (b *tab) waitFor(expression string) {
	b.t.Helper()
	b.wait("this does not come true: "+expression, func() bool { return evaluate[bool](b, expression) })
}

// wait asks again and again for what the browser reports by no event.
func (b *tab) wait(complaint string, done func() bool) {
	b.t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatal(complaint)
		}
	}
}

func (b *tab) exists(selector string) bool {
	b.t.Helper()
	return evaluate[bool](b, fmt.Sprintf(`document.querySelector(%q) !== null`, selector))
}

func (b *tab) mustExist(selector string) {
	b.t.Helper()
	if !b.exists(selector) {
		b.t.Fatalf("nothing on %s is %s; it says:\n%s", b.path(), selector, b.text("body"))
	}
}

// text is what is seen of an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ''`, selector))
}

func (b *tab) value(id string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`document.getElementById(%q).value`, id))
}

// path is where the tab is, with the query.
func (b *tab) path() string {
	b.t.Helper()
	return evaluate[string](b, `location.pathname + location.search`)
}

func (b *tab) wantPath(want string) {
	b.t.Helper()
	if got := b.path(); got != want {
		b.t.Fatalf("the browser is at %s, want %s; the page says:\n%s", got, want, b.text("body"))
	}
}

func (b *tab) wantText(selector, want string) {
	b.t.Helper()
	if got := b.text(selector); !strings.Contains(got, want) {
		b.t.Fatalf("%s on %s says %q, want %q in it", selector, b.path(), got, want)
	}
}

// cookies are the ones the browser would send.
func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	return call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{b.base}}).Cookies
}

func (b *tab) cookie(name string) *network.Cookie {
	b.t.Helper()
	cookies := b.cookies()
	i := slices.IndexFunc(cookies, func(c *network.Cookie) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return cookies[i]
}

// person is somebody with an account of their own.
type person struct{ name, email, password string }

// someone is a person whom no other test knows.
func someone(t *testing.T) person {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", " ", "-", "#", "-").Replace(t.Name()))
	return person{"Ann Example", fmt.Sprintf("%s-%d@example.com", url.PathEscape(name), people.Add(1)), "correct horse battery staple"}
}

var people atomic.Int64 // a test can be run again and again on one server

func (b *tab) register(p person) {
	b.t.Helper()
	b.visit("/register")
	b.fill("name", p.name)
	b.fill("email", p.email)
	b.fill("password", p.password)
	b.submit()
	b.wantPath("/login?notice=registered")
}

// login logs in on the page on which the tab is.
func (b *tab) login(p person) {
	b.t.Helper()
	b.fill("email", p.email)
	b.fill("password", p.password)
	b.submit()
}

// enter registers and logs in, and ends on the dashboard.
func (b *tab) enter(p person) {
	b.t.Helper()
	b.register(p)
	b.login(p)
	b.wantPath("/dashboard")
}

// withAndWithoutScript tells a story twice.
func withAndWithoutScript(t *testing.T, story func(t *testing.T, script bool)) {
	t.Parallel()
	t.Run("with script", func(t *testing.T) { t.Parallel(); story(t, true) })
	t.Run("without script", func(t *testing.T) { t.Parallel(); story(t, false) })
}

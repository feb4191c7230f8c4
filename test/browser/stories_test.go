package browser

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

func TestRegister(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.visit("/")
		b.press(`main a[href="/register"]`)
		b.wantPath("/register")

		b.fill("name", ann.name)
		b.fill("email", ann.email)
		b.fill("password", "short")
		if status := b.submit(); status != http.StatusBadRequest {
			t.Errorf("status = %d, want 400", status)
		}
		b.wantText("#password-problem", "at least 8 characters")
		if got := evaluate[string](b, `document.getElementById('password').getAttribute('aria-describedby')`); !slices.Contains(strings.Fields(got), "password-problem") {
			t.Errorf("the field is described by %q, want its message too", got)
		}
		if name, email, password := b.value("name"), b.value("email"), b.value("password"); name != ann.name || email != ann.email || password != "" {
			t.Errorf("the form holds %q, %q, %q; want the name, the address and no password", name, email, password)
		}

		b.fill("password", ann.password)
		b.submit()
		b.wantPath("/login?notice=registered")
		b.wantText(".notice", "You are registered")

		b.visit("/register")
		b.fill("email", strings.ToUpper(ann.email[:1])+ann.email[1:])
		b.fill("password", ann.password)
		if status := b.submit(); status != http.StatusConflict {
			t.Errorf("registering twice: status = %d, want 409", status)
		}
		b.wantText("#email-problem", "registered with this email address already")
	})
}

func TestLogin(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.register(ann)
		b.visit("/account/sessions")
		b.wantPath("/login?next=%2Faccount%2Fsessions")

		b.login(person{email: ann.email, password: "not this one"})
		b.wantText(".problem", "The email address or the password is not right.")
		if email, password := b.value("email"), b.value("password"); email != ann.email || password != "" {
			t.Errorf("the form holds %q and %q, want the address and no password", email, password)
		}

		b.login(ann)
		b.wantPath("/account/sessions")
		b.wantText(".session .badge", "This device")
		b.visit("/dashboard")
		b.wantText("h1", ann.name)

		b.visit("/login?next=/account")
		b.wantPath("/account")
	})
}

func TestNobodyIsLedAway(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.register(ann)
		b.visit("/login?next=https%3A%2F%2Fexample.com%2F")
		b.login(ann)
		b.wantPath("/dashboard")
		for _, next := range []string{"//example.com", "/%5Cexample.com", "/%09/example.com", "javascript:alert(1)"} {
			b.visit("/login?next=" + next)
			b.wantPath("/dashboard")
		}
	})
}

// What is on disk is all that is left of the browser, and of the service too.
func TestStillLoggedInTomorrow(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		profile := filepath.Join(t.TempDir(), "profile")
		browser, closeBrowser := mustLaunch(t, profile)
		ann, b := someone(t), openTab(t, browser, shared.url, script)
		b.enter(ann)
		b.close()

		b = openTab(t, browser, shared.url, script)
		b.visit("/dashboard")
		b.wantText("h1", ann.name)
		b.close()
		closeBrowser()

		browser, closeBrowser = mustLaunch(t, profile)
		defer closeBrowser()
		b = openTab(t, browser, shared.url, script)
		b.visit("/dashboard")
		b.wantPath("/dashboard")
		b.wantText("h1", ann.name)

		// The access token lives for minutes; after that the browser has only
		// the other one.
		before := b.cookie("refresh_token")
		call(b, network.DeleteCookies, network.DeleteCookiesParams{Name: "access_token", URL: b.base})
		if b.cookie("access_token") != nil {
			t.Fatal("the access cookie is still there")
		}
		b.visit("/dashboard")
		b.wantPath("/dashboard")
		b.wantText("h1", ann.name)
		if b.cookie("access_token") == nil {
			t.Error("no new access cookie")
		}
		if after := b.cookie("refresh_token"); after == nil || after.Value == before.Value {
			t.Error("the refresh token was not rotated")
		}
		b.close()
	})
}

func TestSessions(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		// A login is recent for as short as it can be set.
		s := mustStart(t, "--recent-authentication", "10s")
		ann, b := someone(t), openTab(t, window, s.url, script, chromedp.WithNewBrowserContext())
		b.enter(ann)
		elsewhere, closeBrowser := mustLaunch(t, filepath.Join(t.TempDir(), "profile"),
			chromedp.UserAgent("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"))
		defer closeBrowser()
		other := openTab(t, elsewhere, s.url, script)
		other.visit("/login")
		other.login(ann)
		other.wantPath("/dashboard")

		const terminate = `.session form button`
		b.visit("/account/sessions")
		if n := evaluate[int](b, `document.querySelectorAll('.session').length`); n != 2 {
			t.Fatalf("%d sessions listed, want 2:\n%s", n, b.text("main"))
		}
		b.wantText(".session:has(.badge)", "This device")
		b.wantText(".session:not(:has(.badge))", "Firefox")
		b.wantText(".session:not(:has(.badge))", "Windows")

		// Sooner or later the service asks who it is; until then it only says
		// that there is no such session.
		deadline, tick := time.After(patience), time.NewTicker(500*time.Millisecond)
		defer tick.Stop()
		for !strings.HasPrefix(b.path(), "/reauthenticate") {
			b.visit("/account/sessions")
			evaluate[chromedp.Void](b, `document.querySelector('.session input[name=id]').value = 'none'`)
			select {
			case <-tick.C:
				b.press(terminate)
			case <-deadline:
				t.Fatal("nobody was asked to authenticate again")
			}
		}
		b.wantPath("/reauthenticate?next=/account/sessions")
		b.fill("password", "not this one")
		b.submit()
		b.wantText("#password-problem", "This is not your current password.")
		b.fill("password", ann.password)
		b.submit()
		b.wantPath("/account/sessions")

		b.press(terminate)
		b.wantPath("/account/sessions?notice=session_terminated")
		b.wantText(".notice", "The session is terminated.")
		if n := evaluate[int](b, `document.querySelectorAll('.session').length`); n != 1 {
			t.Errorf("%d sessions listed, want 1", n)
		}

		other.press(`main a[href="/account"]`)
		other.wantPath("/login?next=%2Faccount")
		b.visit("/dashboard")
		b.wantPath("/dashboard")
		other.close()
		b.close()
	})
}

func TestTerminateAllOtherSessions(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.enter(ann)
		others := []*tab{newTab(t, script), newTab(t, script)}
		for _, other := range others {
			other.visit("/login")
			other.login(ann)
			other.wantPath("/dashboard")
		}
		b.visit("/account/sessions")
		b.press("form.others button")
		b.wantText(".notice", "All other sessions are terminated.")
		for _, other := range others {
			other.visit("/dashboard")
			other.wantPath("/login")
		}
		b.visit("/dashboard")
		b.wantPath("/dashboard")
	})
}

func TestChangeName(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.enter(ann)
		b.press(`nav a[href="/account"]`)
		if got := b.value("name"); got != ann.name {
			t.Errorf("the form holds %q, want %q", got, ann.name)
		}
		b.fill("name", "Ann O'Example & Söhne")
		b.submit()
		b.wantPath("/account?notice=name_changed")
		b.wantText(".notice", "Your name is saved.")
		b.visit("/dashboard")
		b.wantText("h1", "Hello, Ann O'Example & Söhne")
	})
}

// A name is text, whatever it looks like. The tab would have noticed a dialog,
// and that the policy had to step in.
func TestNameIsText(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		ann.name = `<script>alert(1)</script>`
		b.enter(ann)
		for _, payload := range []string{
			ann.name,
			`"><img src=x onerror=alert(1)>`,
			`</title></textarea><svg onload=alert(1)>`,
			`{{.User.Email}} ${alert(1)} javascript:alert(1)`,
		} {
			b.visit("/account")
			b.fill("name", payload)
			b.submit()
			b.wantPath("/account?notice=name_changed")
			if got := b.value("name"); got != payload {
				t.Errorf("the form holds %q, want %q", got, payload)
			}
			b.visit("/dashboard")
			b.wantText("h1", payload)
			b.visit("/")
			b.wantText("main", payload)
		}
	})
}

func TestChangePassword(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b, other := someone(t), newTab(t, script), newTab(t, script)
		b.enter(ann)
		other.visit("/login")
		other.login(ann)

		b.visit("/.well-known/change-password")
		b.wantPath("/account/password")
		b.fill("current_password", "not this one")
		b.fill("new_password", "another horse, another staple")
		b.submit()
		b.wantText("#current_password-problem", "This is not your current password.")

		b.fill("current_password", ann.password)
		b.fill("new_password", "another horse, another staple")
		b.submit()
		b.wantText(".notice", "Your password is changed. Every other session has ended.")
		b.visit("/dashboard")
		b.wantPath("/dashboard")
		other.visit("/dashboard")
		other.wantPath("/login")

		other.login(ann)
		other.wantText(".problem", "not right")
		ann.password = "another horse, another staple"
		other.login(ann)
		other.wantPath("/dashboard")
	})
}

func TestLogout(t *testing.T) {
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		ann, b := someone(t), newTab(t, script)
		b.enter(ann)
		b.press(`main a[href="/account"]`)
		old := b.cookies()
		for _, c := range old {
			if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" {
				t.Errorf("cookie %s: HttpOnly %v, SameSite %s, Path %s; want true, Lax, /", c.Name, c.HTTPOnly, c.SameSite, c.Path)
			}
		}
		if len(old) != 3 {
			t.Fatalf("%d cookies, want those of the two tokens and of the device", len(old))
		}

		b.press(`form[action="/logout"] button`)
		b.wantPath("/login?notice=logged_out")
		b.wantText(".notice", "You are logged out.")
		if left := b.cookies(); len(left) != 1 || left[0].Name != "device" {
			t.Errorf("%d cookies are left, want that of the device", len(left))
		}

		for range 2 { // to the account, and to the dashboard
			b.back()
			if text := b.text("body"); strings.Contains(text, ann.name) || strings.Contains(text, ann.email) || b.exists("dl.facts") {
				t.Fatalf("the back button leads to %s and shows:\n%s", b.path(), text)
			}
			if !strings.HasPrefix(b.path(), "/login") {
				t.Fatalf("the back button leads to %s, want the login page", b.path())
			}
		}
		b.visit("/dashboard")
		b.wantPath("/login")

		// Somebody has kept the cookies.
		wantRefused(t, "GET", b.base+"/dashboard", old, http.StatusSeeOther)
		wantRefused(t, "GET", b.base+"/api/auth/me", old, http.StatusUnauthorized)
		wantRefused(t, "POST", b.base+"/api/auth/refresh", old, http.StatusUnauthorized)
		for _, c := range old {
			call(b, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: b.base})
		}
		b.visit("/dashboard")
		b.wantPath("/login")
		call(b, network.ClearBrowserCookies, cdp.Empty{})
	})
}

// back presses the back button once. A page out of the memory of the browser
// comes without any event of a page that loads, so the history is asked.
func (b *tab) back() {
	b.t.Helper()
	history := call(b, page.GetNavigationHistory, cdp.Empty{})
	to := history.CurrentIndex - 1
	if to < 0 {
		b.t.Fatal("there is no page to go back to")
	}
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[to].ID})
	b.wait("the page before does not come", func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		// While one page takes the place of the other there is none to ask.
		now, err := chromedp.Call(ctx, page.GetNavigationHistory, cdp.Empty{})
		return err == nil && now.CurrentIndex == to
	})
	b.waitFor(`document.readyState === 'complete'`)
}

// wantRefused sends cookies by hand, and wants no session for them.
func wantRefused(t *testing.T, method, address string, cookies []*network.Cookie, status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		t.Errorf("%s %s: status = %d, want %d", method, address, answer.StatusCode, status)
	}
	if to := answer.Header.Get("Location"); to != "" && !strings.HasPrefix(to, "/login") {
		t.Errorf("%s %s leads to %s, want /login", method, address, to)
	}
	for _, c := range answer.Cookies() {
		if c.MaxAge >= 0 {
			t.Errorf("%s %s sets the cookie %s", method, address, c.Name)
		}
	}
}

func mustStart(t *testing.T, flags ...string) *service {
	t.Helper()
	s, err := startService(filepath.Join(t.TempDir(), "data"), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustLaunch(t *testing.T, profile string, options ...chromedp.ExecAllocatorOption) (context.Context, func()) {
	t.Helper()
	ctx, closeBrowser, err := launch(profile, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeBrowser)
	return ctx, closeBrowser
}

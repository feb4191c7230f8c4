package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web"
)

// guess posts wrong passwords until they are refused, and is the refusal.
func (h *house) guess(target string, asPage bool, headers ...string) *answer {
	h.t.Helper()
	in := map[string]string{"email": ann, "password": "wrong horse"}
	for range 50 {
		a := h.json(target, in, headers...)
		if asPage {
			a = h.form(target, in, headers...)
		}
		if a.status != 401 {
			return a
		}
	}
	h.t.Fatal("50 guesses were looked at")
	return nil
}

func TestLimitedAnswer(t *testing.T) {
	h := open(t)
	h.register()
	first := h.json("/api/auth/login", map[string]string{"email": ann, "password": "wrong horse"})
	if got := first.header.Get("RateLimit"); !strings.HasPrefix(got, `"login-source";r=99;t=`) {
		t.Errorf("RateLimit of a wrong password: %s", got)
	}
	a := h.guess("/api/auth/login", false)
	a.refused(t, 429, "Too many attempts. Try again later.", "too_many_attempts", "")
	after := a.header.Get("Retry-After")
	if after == "" || fmt.Sprint(a.fields["retry_after"]) != after {
		t.Errorf("Retry-After %q, retry_after %v", after, a.fields["retry_after"])
	}
	if got := a.header.Get("RateLimit"); got != `"login-user-source";r=0;t=`+after {
		t.Errorf("RateLimit: %s, with Retry-After %s", got, after)
	}
	if got := a.header.Get("RateLimit-Policy"); got != `"login-user-source";q=10;w=6000` {
		t.Errorf("RateLimit-Policy: %s", got)
	}
	isSilent(t, a)
	isNoStore(t, a)
	// The right password is not looked at either, and nobody is told whether there
	// is such a user.
	h.json("/api/auth/login", map[string]string{"email": ann, "password": password}).refused(t, 429, "", "too_many_attempts", "")
	page := h.form("/login", map[string]string{"email": ann, "password": password})
	if page.status != 429 || !strings.Contains(page.body, "Too many attempts") || !strings.Contains(page.body, `value="ann@example.com"`) || page.header.Get("Retry-After") == "" {
		t.Errorf("page: %d %s", page.status, page.body)
	}
	for _, word := range []string{"locked", "blocked", "account"} {
		if strings.Contains(strings.ToLower(a.body), word) {
			t.Errorf("the answer says %q", word)
		}
	}
}

// Behind a proxy that is trusted each client is a source of its own; behind one
// that is not, all are one, and the operator hears of it.
func TestSourcesBehindAProxy(t *testing.T) {
	wrong := func(h *house, n int) (limited int) {
		for i := range n {
			r := request("POST", "/api/auth/register", fmt.Sprintf(`{"email":"u%d@example.com","password":%q}`, i, password), asJSON,
				fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i))
			r.RemoteAddr = "10.0.0.5:1234"
			if a := h.serve(h.door, r); a.status == 429 {
				limited++
			}
		}
		return limited
	}
	trusting := open(t, func(_ *gatehouse.Config, e *web.Config) {
		e.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	if n := wrong(trusting, 90); n != 0 {
		t.Errorf("%d of 90 clients behind a trusted proxy are limited", n)
	}
	if strings.Contains(trusting.log.String(), "not trusted") {
		t.Error("a trusted proxy is complained about")
	}
	h := open(t)
	if n := wrong(h, 90); n != 30 {
		t.Errorf("%d of 90 clients behind an unknown proxy are limited, want them to share one limit of 60", n)
	}
	if n := strings.Count(h.log.String(), "a reverse proxy is not trusted"); n != 1 {
		t.Errorf("the log says it %d times, want once", n)
	}
	if n := strings.Count(h.log.String(), "an address of a private network has used up a limit"); n != 1 {
		t.Errorf("the log says %d times that a private address was limited, want once", n)
	}
	list, err := h.auth.Events(t.Context(), gatehouse.EventQuery{Kind: gatehouse.EventUntrustedProxy, Limit: 10})
	if err != nil || len(list) != 1 || list[0].Data["proxy"] != "10.0.0.5" {
		t.Errorf("events: %+v, %v", list, err)
	}
}

// explained collects what the operator is told.
type explained struct {
	mu   sync.Mutex
	list []web.Refusal
}

func (e *explained) into(_ *gatehouse.Config, edge *web.Config) {
	edge.Explain = func(r web.Refusal) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.list = append(e.list, r)
	}
}

func TestExplain(t *testing.T) {
	var e explained
	h := open(t, e.into)
	h.register()
	cookies := h.login()
	planted := "x" + strings.Repeat("y", 20)
	access := only(cookies, "access_token")
	for _, c := range []struct {
		what  string
		do    func() *answer
		code  string
		steps []string // one that begins so, and holds the rest
	}{
		{"no such user", func() *answer {
			return h.json("/api/auth/login", map[string]string{"email": "nobody@example.com", "password": planted})
		}, "invalid_credentials", []string{"user: none has this address", "cookie access_token: absent"}},
		{"wrong password", func() *answer {
			return h.json("/api/auth/login", map[string]string{"email": ann, "password": planted})
		}, "invalid_credentials", []string{"password: is not that of user"}},
		{"another key", func() *answer {
			other := open(t)
			other.register()
			return h.do("GET", "/api/auth/me", "", other.login())
		}, "invalid_token", []string{"access token: refused: ", "cookie access_token: "}},
		{"no token at all", func() *answer { return h.do("GET", "/api/auth/me", "") }, "not_authenticated", []string{"cookie access_token: absent"}},
		{"nonsense", func() *answer { return h.do("GET", "/api/auth/me", "", "Authorization: Bearer "+planted) }, "invalid_token",
			[]string{"header Authorization: a bearer token of 21 bytes", "access token: refused: it is no JWT"}},
		{"two cookies", func() *answer { return h.do("GET", "/api/auth/me", "", access+"; access_token="+planted) }, "not_authenticated",
			[]string{"cookie access_token: there 2 times with different values"}},
		{"another site", func() *answer {
			return h.do("POST", "/api/auth/login", "{}", asJSON, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example")
		}, "cross_origin", []string{`header Origin: "https://evil.example"`, `header Sec-Fetch-Site: "cross-site"`}},
		{"foreign refresh token", func() *answer {
			return h.do("POST", "/api/auth/refresh", "", "Cookie: refresh_token="+planted)
		}, "invalid_refresh_token", []string{"refresh token: of 21 bytes: not one of ours"}},
		{"limit", func() *answer { return h.guess("/api/auth/login", false) }, "too_many_attempts",
			[]string{"limit login-user-source: refused: 10 at once"}},
		{"ended session", func() *answer {
			h.do("POST", "/api/auth/logout", "", cookies)
			return h.do("GET", "/api/auth/me", "", cookies)
		}, "invalid_token", []string{"session: ", "was terminated at"}},
		{"ended session, refresh", func() *answer { return h.do("POST", "/api/auth/refresh", "", cookies) }, "invalid_refresh_token",
			[]string{"session: ", "was terminated at"}},
	} {
		a := c.do()
		i := slices.IndexFunc(e.list, func(r web.Refusal) bool { return r.Ref == a.str("ref") })
		if i < 0 {
			t.Errorf("%s: nothing is explained: %s", c.what, a.body)
			continue
		}
		r := e.list[i]
		if r.Code != c.code || r.Status != a.status || r.At.IsZero() || r.Address != "192.0.2.1" {
			t.Errorf("%s: %+v", c.what, r)
		}
		var text strings.Builder
		for _, s := range r.Steps {
			fmt.Fprintf(&text, "%s: %s\n", s.About, s.Detail)
		}
		for _, want := range c.steps {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: %q is not said, but:\n%s", c.what, want, text.String())
			}
		}
		for _, secret := range []string{planted, "nobody@", ann, only(cookies, "refresh_token")[len("Cookie: refresh_token="):]} {
			if strings.Contains(text.String(), secret) {
				t.Errorf("%s: %q is in it:\n%s", c.what, secret, text.String())
			}
		}
	}
}

// A page that sends people to the login is explained as well.
func TestExplainRedirect(t *testing.T) {
	var e explained
	h := open(t, e.into)
	a := h.do("GET", "/dashboard", "", "Accept: text/html", "Cookie: access_token=x")
	if a.status != http.StatusSeeOther || len(e.list) != 1 || e.list[0].Status != 303 || e.list[0].Ref != a.header.Get("X-Request-Id") {
		t.Errorf("%d, explained: %+v", a.status, e.list)
	}
}

// A client that keeps its tokens itself keeps that of its device, too.
func TestDeviceInTheBody(t *testing.T) {
	h := open(t)
	h.register()
	in := map[string]string{"email": ann, "password": password}
	a := h.json("/api/auth/login", in, "Gatehouse-Tokens: body")
	device := a.str("device_token")
	if a.status != 200 || device == "" || len(a.set()) != 0 {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	h.guess("/api/auth/login", false)
	h.json("/api/auth/login", in, "Gatehouse-Tokens: body").refused(t, 429, "", "too_many_attempts", "")
	if a = h.json("/api/auth/login", in, "Gatehouse-Tokens: body", "Gatehouse-Device: "+device); a.status != 200 {
		t.Errorf("with the device token: %d %s", a.status, a.body)
	}
}

// quiet is a mailer, which lets registration tell nothing.
type quiet struct{}

func (quiet) Send(context.Context, gatehouse.Notice) error { return nil }

// The two answers to a registration differ in what is new each time, and in
// nothing else.
func TestRegistrationTellsNothing(t *testing.T) {
	h := open(t, func(c *gatehouse.Config, _ *web.Config) { c.Mailer = quiet{} })
	in := map[string]string{"name": "Ann", "email": ann, "password": password}
	first, second := h.json("/api/auth/register", in), h.json("/api/auth/register", in)
	if first.status != 201 || second.status != 201 {
		t.Fatalf("registered: %d, again: %d %s", first.status, second.status, second.body)
	}
	a, b := isUser(t, first), isUser(t, second)
	for field := range a {
		if field != "id" && field != "created_at" && fmt.Sprint(a[field]) != fmt.Sprint(b[field]) {
			t.Errorf("%s: %v, and %v for one that is taken", field, a[field], b[field])
		}
	}
	// A time is written without the zeros at its end, of either.
	length := func(a *answer, user map[string]any) int { return len(a.body) - len(fmt.Sprint(user["created_at"])) }
	if len(a) != len(b) || length(first, a) != length(second, b) || a["id"] == b["id"] {
		t.Errorf("%s, and for one that is taken %s", first.body, second.body)
	}
	for name := range first.header {
		if name != "X-Request-Id" && name != "Content-Length" && first.header.Get(name) != second.header.Get(name) {
			t.Errorf("%s: %q, and %q for one that is taken", name, first.header.Get(name), second.header.Get(name))
		}
	}
	if len(first.header) != len(second.header) {
		t.Errorf("headers %v, and for one that is taken %v", first.header, second.header)
	}
	form := h.form("/register", in)
	if form.status != 303 || form.header.Get("Location") != "/login?notice=registered" {
		t.Errorf("form: %d %q", form.status, form.header.Get("Location"))
	}
}

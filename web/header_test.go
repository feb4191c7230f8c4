package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web"
)

// Every answer of ours carries the headers of safety, whatever became of the
// request.
func TestSecurityHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := open(t)
		if secure {
			h = open(t, https)
		}
		cookies := h.member()
		app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
		chunked := request("POST", "/api/auth/logout", "{}")
		chunked.TransferEncoding = []string{"chunked"}
		for _, c := range []struct {
			door   http.Handler
			r      *http.Request
			status int
		}{
			{h.door, request("GET", "/login", "", "Accept: text/html"), 200},
			{h.door, request("GET", "/api/auth/me", "", cookies), 200},
			{h.door, request("GET", "/.well-known/jwks.json", ""), 200},
			{h.door, request("GET", "/favicon.ico", ""), 200},
			{h.door, request("OPTIONS", "/login", ""), 204},
			{h.door, request("POST", "/logout", "", asForm, "Accept: text/html"), 303},
			{h.door, request("GET", "/dashboard", "", "Accept: text/html"), 303},
			{h.door, request("POST", "/api/auth/login", "{}", asJSON), 400},
			{h.door, request("POST", "/login", "", asForm), 400},
			{h.door, request("GET", "/api/auth/me", ""), 401},
			{h.door, request("POST", "/login", "", "Sec-Fetch-Site: cross-site"), 403},
			{h.door, request("GET", "/nothing", ""), 404},
			{h.door, request("GET", "/nothing", "", "Accept: text/html"), 404},
			{h.door, request("GET", "/assets/nothing", ""), 404},
			{h.door, request("PUT", "/login", ""), 405},
			{h.door, chunked, 411},
			{h.door, request("POST", "/login", strings.Repeat("x", 64<<10+1), asForm), 413},
			{h.door, request("POST", "/login", "x"), 415},
			{h.web.Require(app), request("GET", "/app", ""), 401},
			{h.web.Require(app), request("GET", "/app", "", "Accept: text/html"), 303},
			{h.web.Require(app), request("POST", "/app", "", "Sec-Fetch-Site: cross-site"), 403},
			{h.web.RequireRole("admin", app), request("GET", "/app", "", cookies), 403},
		} {
			a := h.serve(c.door, c.r)
			if a.status != c.status {
				t.Errorf("%s %s: %d, want %d", c.r.Method, c.r.URL, a.status, c.status)
			}
			isGuarded(t, c.r, a, secure)
		}
		h.store.broken.Store(true)
		for _, headers := range [][]string{{asJSON}, {asForm, "Accept: text/html"}} {
			body := `{"email":"ann@example.com","password":"` + password + `"}`
			if headers[0] == asForm {
				body = "email=ann%40example.com&password=correct+horse+battery"
			}
			r := request("POST", "/login", body, headers...)
			a := h.serve(h.door, r)
			if a.status != 500 || strings.Contains(a.body, "driver") || strings.Contains(a.body, "goroutine") {
				t.Errorf("panic: %d %s", a.status, a.body)
			}
			isGuarded(t, r, a, secure)
			isSilent(t, a)
			ref := a.header.Get("X-Request-Id")
			if !strings.Contains(a.body, ref) || !strings.Contains(h.log.String(), `"ref":"`+ref+`"`) {
				t.Errorf("the reference %q does not lead from the answer to the log", ref)
			}
		}
		if strings.Contains(h.log.String(), password) || strings.Contains(h.log.String(), "correct+horse") {
			t.Error("the password is in the log")
		}
	}
}

func isGuarded(t *testing.T, r *http.Request, a *answer, secure bool) {
	t.Helper()
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Vary":                         "Accept, Cookie, Authorization, Sec-Fetch-Site, Origin",
	}
	if secure {
		want["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
	} else if a.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("%s %s: HSTS over http", r.Method, r.URL)
	}
	for name, value := range want {
		if got := a.header.Values(name); !slices.Equal(got, []string{value}) {
			t.Errorf("%s %s %d: %s is %q, want %q", r.Method, r.URL, a.status, name, got, value)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("%s %s %d: Content-Security-Policy: %s", r.Method, r.URL, a.status, policy)
	}
	if len(a.header.Get("X-Request-Id")) != 16 {
		t.Errorf("%s %s %d: X-Request-Id: %q", r.Method, r.URL, a.status, a.header.Get("X-Request-Id"))
	}
	cacheable := a.status == 200 && (r.URL.Path == "/favicon.ico" || r.URL.Path == "/.well-known/jwks.json")
	if got := a.header.Get("Cache-Control"); !cacheable && got != "no-store" {
		t.Errorf("%s %s %d: Cache-Control: %q", r.Method, r.URL, a.status, got)
	}
	if a.header.Get("Server") != "" || a.header.Get("X-Powered-By") != "" {
		t.Errorf("%s %s: the answer says what it is made by", r.Method, r.URL)
	}
}

// Answers are each other's neighbours in memory: none may change the next.
func TestHeadersAreNotShared(t *testing.T) {
	h := open(t, https)
	h.register()
	for range 3 {
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, request("GET", "/login", ""))
		w.Header().Add("Vary", "X")
		w.Header().Add("Content-Security-Policy", "x")
		r := request("GET", "/api/auth/me", "")
		isGuarded(t, r, h.serve(h.door, r), true)
	}
}

func TestNewSaysEverything(t *testing.T) {
	_, err := web.New(web.Config{
		URL: "ftp://app.example/x", Prefix: "api/../auth/", Home: "//evil.example",
		AccessCookie: "bad name", RefreshCookie: "__Host-refresh_token",
		Overrides: fstest.MapFS{"templates/login.html": {Data: []byte("{{")}},
	})
	if err == nil {
		t.Fatal("New accepts all of it")
	}
	for _, want := range []string{"gatehouse is missing", "public URL", "prefix", "home", "bad name", "__Host-refresh_token", "login.html"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not speak of %q: %v", want, err)
		}
	}
	h := open(t)
	for _, u := range []string{"app.example", "https://", "https://app.example/base", "https://app.example?x", "https://user@app.example", "javascript:alert(1)", "https://app.example#x"} {
		if _, err := web.New(web.Config{Gatehouse: h.auth, URL: u}); err == nil {
			t.Errorf("the URL %q is accepted", u)
		}
	}
	if _, err := web.New(web.Config{Gatehouse: h.auth, AccessCookie: "one", RefreshCookie: "one"}); err == nil {
		t.Error("two cookies of one name are accepted")
	}
	other := open(t, func(_ *gatehouse.Config, edge *web.Config) { edge.Prefix = "/auth/v1" })
	if a := other.do("GET", "/auth/v1/me", ""); a.status != 401 {
		t.Errorf("another prefix: %d", a.status)
	}
	if a := other.do("PUT", "/api/auth/me", ""); a.status != 404 {
		t.Errorf("the default prefix beside another: %d", a.status)
	}
}

package web_test

import (
	"slices"
	"strings"
	"testing"
)

func TestMethods(t *testing.T) {
	h := open(t)
	cookies := h.member()
	for _, c := range []struct{ path, allow string }{
		{"/api/auth/register", "OPTIONS, POST"},
		{"/api/auth/login", "OPTIONS, POST"},
		{"/api/auth/refresh", "OPTIONS, POST"},
		{"/api/auth/logout", "OPTIONS, POST"},
		{"/api/auth/password", "OPTIONS, POST"},
		{"/api/auth/reauthenticate", "OPTIONS, POST"},
		{"/api/auth/me", "GET, HEAD, OPTIONS, PATCH"},
		{"/api/auth/sessions", "DELETE, GET, HEAD, OPTIONS"},
		{"/api/auth/sessions/x", "DELETE, OPTIONS"},
		{"/api/auth/activity", "GET, HEAD, OPTIONS"},
		{"/account/activity", "GET, HEAD, OPTIONS"},
		{"/api/auth/openapi.json", "GET, HEAD, OPTIONS"},
		{"/.well-known/jwks.json", "GET, HEAD, OPTIONS"},
		{"/login", "GET, HEAD, OPTIONS, POST"},
		{"/register", "GET, HEAD, OPTIONS, POST"},
		{"/logout", "OPTIONS, POST"},
		{"/dashboard", "GET, HEAD, OPTIONS"},
		{"/account/profile", "OPTIONS, POST"},
	} {
		allowed := strings.Split(c.allow, ", ")
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "FOO", "TRACE", "post", "CONNECT"} {
			if slices.Contains(allowed, method) {
				continue
			}
			a := h.do(method, c.path, `{}`, asJSON, cookies)
			a.refused(t, 405, "That method is not allowed here.", "method_not_allowed", "")
			if got := a.header.Get("Allow"); got != c.allow {
				t.Errorf("%s %s: Allow %q, want %q", method, c.path, got, c.allow)
			}
			isSilent(t, a)
		}
		a := h.do("OPTIONS", c.path, "", cookies, "Origin: https://evil.example", "Access-Control-Request-Method: POST")
		if a.status != 204 || a.header.Get("Allow") != c.allow || a.body != "" {
			t.Errorf("OPTIONS %s: %d %v", c.path, a.status, a.header)
		}
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("OPTIONS %s answers with %s", c.path, name)
			}
		}
	}
	if a := h.do("GET", "/api/auth/me", "", cookies); a.status != 200 {
		t.Errorf("me afterwards: %d", a.status)
	}
}

// A method override is an invitation to change things with a GET.
func TestMethodCannotBeOverridden(t *testing.T) {
	h := open(t)
	cookies := h.member()
	for _, header := range []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"} {
		h.login()
		if a := h.do("GET", "/api/auth/sessions?_method=DELETE", "", cookies, header); a.status != 200 || a.fields["sessions"] == nil {
			t.Errorf("%s: %d %s", header, a.status, a.body)
		}
	}
	if n := len(h.sessions()); n != 4 {
		t.Errorf("%d sessions, want all 4: a GET ended one", n)
	}
}

// Whatever is asked with GET, HEAD or OPTIONS, the records stay as they are.
func TestSafeMethodsChangeNothing(t *testing.T) {
	h := open(t)
	cookies := h.member()
	before := *h.sessions()[0]
	for _, path := range []string{
		"/", "/login", "/register", "/logout", "/dashboard", "/account", "/account/password", "/account/sessions", "/account/activity", "/reauthenticate",
		"/account/sessions/terminate?id=" + before.ID, "/account/sessions/terminate-others",
		"/api/auth/me", "/api/auth/refresh", "/api/auth/logout", "/api/auth/sessions", "/api/auth/activity", "/api/auth/sessions/" + before.ID, "/api/auth/password",
		"/api/auth/register?email=bob@example.com&password=" + "12345678", "/api/auth/login?email=ann@example.com&password=x",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			a := h.do(method, path, "", cookies, "Accept: text/html", "Sec-Fetch-Site: cross-site")
			if a.status >= 500 {
				t.Errorf("%s %s: %d", method, path, a.status)
			}
			isSilent(t, a)
		}
	}
	after := *h.sessions()[0]
	if after.Version != before.Version || !after.TerminatedAt.IsZero() || len(h.sessions()) != 1 {
		t.Errorf("the session changed from %+v to %+v", before, after)
	}
	if list, _ := h.auth.Users(t.Context(), "", 100); len(list) != 1 || list[0].Version != 1 {
		t.Errorf("the users changed: %+v", list)
	}
}

func TestUnknownPath(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/api/auth/", "/api/auth/nothing", "/api/auth/me/", "/api/auth/ME", "/api/auth/sessions/a/b"} {
		for _, method := range []string{"GET", "POST", "FOO"} {
			// In JSON under the prefix, even for a browser.
			h.do(method, path, "", "Accept: text/html").refused(t, 404, "There is nothing here.", "not_found", "")
		}
	}
	for _, path := range []string{"/nothing", "/.env", "/.git/config", "/LOGIN", "/wp-login.php", "/api/authx"} {
		a := h.do("GET", path, "", "Accept: text/html")
		if a.status != 404 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "404") {
			t.Errorf("%s: %d %s", path, a.status, a.header.Get("Content-Type"))
		}
		h.do("GET", path, "").refused(t, 404, "There is nothing here.", "not_found", "")
	}
}

// API is without the pages, and at another prefix if that is wanted.
func TestAPIAlone(t *testing.T) {
	h := open(t)
	api := h.web.API()
	if a := h.serve(api, request("GET", "/login", "", "Accept: text/html")); a.status != 404 {
		t.Errorf("/login: %d, want 404", a.status)
	}
	if a := h.serve(api, request("GET", "/api/auth/openapi.json", "")); a.status != 200 {
		t.Errorf("openapi: %d", a.status)
	}
}

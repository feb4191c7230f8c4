package web_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/web"
)

// greets is an application that says whom it serves.
var greets = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	u := web.UserFrom(r.Context())
	if u == nil {
		_, _ = io.WriteString(w, "nobody")
		return
	}
	_, _ = io.WriteString(w, u.Email+" "+strings.Join(u.Roles, ","))
})

func TestRequire(t *testing.T) {
	h := open(t)
	cookies := h.member()
	app := h.web.Require(greets)
	a := h.serve(app, request("GET", "/app", "", cookies))
	if a.status != 200 || a.body != "ann@example.com " {
		t.Errorf("with cookies: %d %s", a.status, a.body)
	}
	isSilent(t, a)
	isNoStore(t, a)

	tokens := h.json("/api/auth/login", map[string]string{"email": ann, "password": password}, "Gatehouse-Tokens: body")
	a = h.serve(app, request("GET", "/app", "", "Authorization: Bearer "+tokens.str("access_token")))
	if a.status != 200 || a.body != "ann@example.com " {
		t.Errorf("with a bearer token: %d %s", a.status, a.body)
	}
	if got := h.serve(greets, request("GET", "/app", "", cookies)); got.body != "nobody" {
		t.Errorf("without Require there is %s", got.body)
	}
	h.do("POST", "/api/auth/logout", "", cookies)
	h.serve(app, request("GET", "/app", "", cookies)).refused(t, 401, "Invalid or expired token", "invalid_token", "")
}

// Browsers are sent to the login page and back, programs get a 401.
func TestRequireRefuses(t *testing.T) {
	h := open(t)
	app := h.web.Require(greets)
	for _, c := range []struct {
		name, method, target string
		headers              []string
		location             string
	}{
		{"browser", "GET", "/app/x?y=1&z=2", []string{"Accept: text/html,*/*"}, "/login?next=%2Fapp%2Fx%3Fy%3D1%26z%3D2"},
		{"browser with metadata", "GET", "/app", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none"}, "/login?next=%2Fapp"},
		{"home", "GET", "/dashboard", []string{"Accept: text/html"}, "/login"},
		{"form", "POST", "/app", []string{asForm, "Accept: text/html"}, "/login"},
		{"elsewhere", "GET", "//evil.example/app", []string{"Accept: text/html"}, "/login"},
		{"elsewhere in disguise", "GET", "/%2f/evil.example", []string{"Accept: text/html"}, "/login"},
		{"program", "GET", "/app", []string{"Accept: application/json"}, ""},
		{"program without Accept", "GET", "/app", nil, ""},
		{"script", "GET", "/app", []string{"Sec-Fetch-Mode: cors", "Accept: text/html"}, ""},
		{"image", "GET", "/app", []string{"Sec-Fetch-Mode: no-cors", "Accept: image/*"}, ""},
		{"bearer", "GET", "/app", []string{"Authorization: Bearer x", "Accept: text/html"}, ""},
		{"under the prefix", "GET", "/api/auth/app", []string{"Accept: application/json, text/html"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.method, "/x", "", c.headers...)
			r.RequestURI = c.target
			r.URL.Path, _, _ = strings.Cut(c.target, "?")
			a := h.serve(app, r)
			if c.location != "" && (a.status != 303 || a.header.Get("Location") != c.location) {
				t.Errorf("got %d %q, want 303 %q", a.status, a.header.Get("Location"), c.location)
			}
			if c.location == "" && (a.status != 401 || a.header.Get("Location") != "") {
				t.Errorf("got %d %q, want 401", a.status, a.header.Get("Location"))
			}
			if strings.Contains(a.body, "nobody") || strings.Contains(a.body, "@") {
				t.Errorf("the application was reached: %s", a.body)
			}
			isSilent(t, a)
			isNoStore(t, a)
		})
	}
}

// After logging in people land where they wanted to go, if that is here.
func TestNext(t *testing.T) {
	h := open(t)
	h.register()
	for next, want := range map[string]string{
		"/reports?year=2026": "/reports?year=2026", "//evil.example": "/dashboard", "https://evil.example": "/dashboard", `/\evil.example`: "/dashboard", "": "/dashboard",
	} {
		a := h.form("/login", map[string]string{"email": ann, "password": password, "next": next})
		if a.status != 303 || a.header.Get("Location") != want {
			t.Errorf("next %q: %d %q, want %q", next, a.status, a.header.Get("Location"), want)
		}
		// The form is shown again with it, and after that leads there, too.
		b := h.form("/login", map[string]string{"email": ann, "password": "wrong horse", "next": next})
		if shown := strings.Contains(b.body, `name="next"`); shown != (want != "/dashboard") {
			t.Errorf("next %q is shown again: %v", next, shown)
		}
		c := h.do("GET", "/login?next="+strings.ReplaceAll(next, `\`, "%5C"), "", a.cookies(), "Accept: text/html")
		if c.status != 303 || c.header.Get("Location") != want {
			t.Errorf("logged in, next %q: %d %q, want %q", next, c.status, c.header.Get("Location"), want)
		}
	}
}

func TestRequireRole(t *testing.T) {
	h := open(t)
	cookies := h.member()
	app := h.web.RequireRole("admin", greets)
	u, err := h.auth.FindUser(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	get := func() *answer { return h.serve(app, request("GET", "/app", "", cookies)) }
	get().refused(t, 403, "You may not do this.", "forbidden", "")
	if _, err := h.auth.GrantRole(t.Context(), u.ID, "admin2"); err != nil {
		t.Fatal(err)
	}
	get().refused(t, 403, "You may not do this.", "forbidden", "")
	if a := h.serve(app, request("GET", "/app", "", cookies, "Accept: text/html")); a.status != 403 || a.header.Get("Location") != "" {
		t.Errorf("a browser: %d %q, want 403", a.status, a.header.Get("Location"))
	}
	h.serve(app, request("GET", "/app", "")).refused(t, 401, "Not authenticated", "not_authenticated", "")
	if _, err := h.auth.GrantRole(t.Context(), u.ID, "admin"); err != nil {
		t.Fatal(err)
	}
	cookies = h.login() // whose access token names the role
	if a := get(); a.status != 200 || a.body != "ann@example.com admin,admin2" {
		t.Errorf("with the role: %d %s", a.status, a.body)
	}
	// The next request after it is decided without, whatever the token says.
	if _, err := h.auth.RevokeRole(t.Context(), u.ID, "admin"); err != nil {
		t.Fatal(err)
	}
	get().refused(t, 403, "You may not do this.", "forbidden", "")
	if _, err := h.auth.DisableUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	get().refused(t, 401, "Invalid or expired token", "invalid_token", "")
}

// Twenty requests with one refresh token: the session is rotated once, all go
// on, and all are handed the same refresh token.
func TestRefreshInPassing(t *testing.T) {
	h := open(t)
	cookies := h.member()
	app := h.web.Require(greets)
	start := make(chan struct{})
	answers := make([]*httptest.ResponseRecorder, 20)
	var all sync.WaitGroup
	for i := range answers {
		answers[i] = httptest.NewRecorder()
		r := request("GET", "/app", "", only(cookies, "refresh_token"))
		all.Go(func() {
			<-start
			app.ServeHTTP(answers[i], r)
		})
	}
	close(start)
	all.Wait()
	if n := h.sessions()[0].Generation; n != 2 {
		t.Errorf("generation %d, want 2: one rotation", n)
	}
	refresh := ""
	for i, w := range answers {
		a := &answer{status: w.Code, header: w.Header(), body: w.Body.String()}
		if a.status != 200 || a.body != "ann@example.com " {
			t.Errorf("answer %d: %d %s", i, a.status, a.body)
		}
		isHanded(t, a, "access_token", "refresh_token", false)
		if refresh == "" {
			refresh = a.cookie("refresh_token")
		}
		if a.cookie("refresh_token") != refresh {
			t.Errorf("answer %d has another refresh token", i)
		}
	}
	if "Cookie: refresh_token="+refresh == only(cookies, "refresh_token") {
		t.Error("the refresh token stayed the same")
	}
}

// People are not thrown out when the access token expires, and are when the
// session is over.
func TestRefreshInPassingOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.auth.Close()
		cookies := h.member()
		app := h.web.Require(greets)
		time.Sleep(16 * time.Minute)
		me := h.do("GET", "/api/auth/me", "", cookies)
		me.refused(t, 401, "Invalid or expired token", "invalid_token", "")
		isSilent(t, me)
		a := h.serve(app, request("POST", "/app", "", cookies))
		if a.status != 200 || a.body != "ann@example.com " {
			t.Fatalf("after 16 minutes: %d %s", a.status, a.body)
		}
		isHanded(t, a, "access_token", "refresh_token", false)
		page := h.do("GET", "/dashboard", "", cookies, "Accept: text/html") // within the grace
		if page.status != 200 || page.cookie("refresh_token") != a.cookie("refresh_token") {
			t.Errorf("dashboard: %d, %v", page.status, page.set())
		}
		if me := h.do("GET", "/api/auth/me", "", a.cookies()); me.status != 200 {
			t.Errorf("me with the new cookies: %d", me.status)
		}
		// One line each, also if the operation hands out tokens itself.
		time.Sleep(16 * time.Minute)
		b := h.json("/api/auth/reauthenticate", map[string]string{"password": password}, a.cookies())
		isHanded(t, b, "access_token", "refresh_token", false)
		// A bearer token is not refreshed by cookies.
		if c := h.serve(app, request("GET", "/app", "", b.cookies(), "Authorization: Bearer "+a.cookie("access_token"))); c.status != 401 {
			t.Errorf("an expired bearer token: %d", c.status)
		}
		time.Sleep(7*24*time.Hour + time.Second)
		over := h.serve(app, request("GET", "/app", "", b.cookies()))
		over.refused(t, 401, "Invalid or expired token", "invalid_token", "")
		isSilent(t, over)
	})
}

// spellings of /dashboard that some server, framework or file system reads as
// it. Each is a request line as it goes over the wire.
var spellings = []string{
	"/dashboard", "/dashboard/", "/dashboard/x", "/dashboard?x", "/dashboard/?x=1",
	"//dashboard", "///dashboard", "/./dashboard", "/././/dashboard", "/x/../dashboard", "/x/./../dashboard",
	"/../dashboard", "/../../dashboard", "/dashboard/../dashboard", "/dashboard/..", "/dashboard/.", "/dashboard/./",
	"/dashboard//", "/dashboard/%2e", "/dashboard/%2e%2e/dashboard",
	"/%64ashboard", "/%64%61%73%68%62%6f%61%72%64", "/dashboar%64", "/%44ashboard", "/%2564ashboard", "/%252564ashboard",
	"/Dashboard", "/DASHBOARD", "/dAsHbOaRd", "/DA%C5%BFHBOARD",
	"/dashboard.", "/dashboard..", "/dashboard%2e", "/dashboard%20", "/dashboard%09", "/dashboard.%20.",
	"/dashboard;x=1", "/dashboard;jsessionid=1/", "/;x/dashboard", "/x;y/../dashboard", "/..;/dashboard", "/x/..;/dashboard",
	"/%2fdashboard", "/%2Fdashboard", "/x%2f..%2fdashboard", "/x%2f..%2Fdashboard%2f", "/%2e%2e/dashboard", "/.%2e/dashboard", "/x/%2e%2e/dashboard", "/x/..%252fdashboard",
	`/\dashboard`, `/x\..\dashboard`, "/%5cdashboard", "/x%5c..%5cdashboard", "/x/..%5cdashboard",
	"/dashboard%00", "/dashboard%00.png", "/dashboard%23x", "/dashboard%3fx", "/x/..%20/dashboard", "/dashboard#x", "/x%3f/../dashboard", "/x%3F/%2e%2e/dashboard",
	"http://app.example/dashboard", "http://app.example//dashboard", "http://app.example/%64ashboard",
	"/%25%36%34ashboard", "/dashboard%", "/%2%64ashboard/../dashboard",
}

// However a protected path is spelled, an application that serves everything is
// not reached without a login.
func TestRequirePaths(t *testing.T) {
	h := open(t)
	cookies := h.member()
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Reached", "yes")
		greets(w, r)
	})
	server := httptest.NewServer(h.web.RequirePaths([]string{"/dashboard", "/Admin/"}, app))
	defer server.Close()
	get := func(method, line string, headers ...string) *http.Response {
		t.Helper()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, method+" "+line+" HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n"+strings.Join(append(headers, "", ""), "\r\n"))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		res.Body.Close()
		return res
	}
	for _, line := range spellings {
		res := get("GET", line)
		if res.Header.Get("Reached") != "" || res.StatusCode != 401 && res.StatusCode != 400 {
			t.Errorf("%s: %d, reached %q; want 401", line, res.StatusCode, res.Header.Get("Reached"))
		}
		if res.StatusCode == 400 {
			continue // net/http did not understand it
		}
		if res := get("GET", line, cookies); res.Header.Get("Reached") != "yes" || res.StatusCode != 200 {
			t.Errorf("%s with cookies: %d", line, res.StatusCode)
		}
	}
	for _, method := range []string{"POST", "HEAD", "OPTIONS", "FOO", "CONNECT"} {
		if res := get(method, "/dashboard"); res.Header.Get("Reached") != "" {
			t.Errorf("%s reaches the application", method)
		}
	}
	for _, line := range []string{"/admin", "/ADMIN/x", "/admin/"} {
		if res := get("GET", line); res.Header.Get("Reached") != "" {
			t.Errorf("%s reaches the application", line)
		}
	}
	for _, line := range []string{"/", "/x", "/dashboards", "/dash", "/x/dashboard", "/x?next=/dashboard", "/x?/../dashboard", "/dashboard-x", "/dashboard.html"} {
		if res := get("GET", line); res.Header.Get("Reached") != "yes" {
			t.Errorf("%s does not reach the application: %d", line, res.StatusCode)
		}
	}
	// What a proxy or a framework may say of a request decides nothing.
	for _, header := range []string{
		"x-middleware-subrequest: middleware:middleware:middleware:middleware:middleware", "x-middleware-subrequest: src/middleware",
		"X-Original-URL: /x", "X-Rewrite-URL: /x", "X-Forwarded-Uri: /x", "X-Forwarded-Path: /x", "X-Original-URI: /x", "X-Forwarded-Prefix: /x",
		"X-Forwarded-User: ann@example.com", "X-Remote-User: ann@example.com", "Remote-User: ann@example.com", "X-Authenticated: true",
		"X-HTTP-Method-Override: OPTIONS", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost", "Referer: http://app.example/dashboard",
		"User-Agent: internal", "Purpose: prefetch", "X-Custom-IP-Authorization: 127.0.0.1", "Upgrade: websocket",
	} {
		if res := get("GET", "/dashboard", header); res.Header.Get("Reached") != "" || res.StatusCode != 401 {
			t.Errorf("%s: %d, reached %q", header, res.StatusCode, res.Header.Get("Reached"))
		}
		// Nor does it lead away from what is open, or move the door.
		if res := get("GET", "/x", strings.ReplaceAll(header, ": /x", ": /dashboard")); res.Header.Get("Reached") != "yes" {
			t.Errorf("%s keeps /x from being reached: %d", header, res.StatusCode)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(spellings)))); n < 44 {
		t.Errorf("%d spellings, want at least 44", n)
	}
}

// Everything is below the root.
func TestRequirePathsRoot(t *testing.T) {
	h := open(t)
	app := h.web.RequirePaths([]string{"/"}, greets)
	for _, target := range []string{"/", "/x", "/%2e%2e", "/x;y"} {
		if a := h.serve(app, request("GET", target, "")); a.status != 401 {
			t.Errorf("%s: %d, want 401", target, a.status)
		}
	}
}

// An application's own answer may be cached if it says so.
func TestRequireLeavesHeadersAlone(t *testing.T) {
	h := open(t)
	cookies := h.member()
	app := h.web.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=60")
	}))
	a := h.serve(app, request("GET", "/app", "", cookies))
	if got := a.header.Get("Cache-Control"); got != "private, max-age=60" {
		t.Errorf("Cache-Control: %q", got)
	}
	if a.header.Get("Content-Security-Policy") != "" {
		t.Error("the application's policy is decided for it")
	}
}

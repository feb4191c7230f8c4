package web_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web"
)

var (
	fromElsewhere = map[string][]string{
		"cross-site":                       {"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"},
		"cross-site alone":                 {"Sec-Fetch-Site: cross-site"},
		"same-site":                        {"Sec-Fetch-Site: same-site", "Origin: https://other.app.example"},
		"Origin null":                      {"Origin: null"},
		"cross-site null":                  {"Sec-Fetch-Site: cross-site", "Origin: null"},
		"other host":                       {"Origin: https://evil.example"},
		"http of this host":                {"Origin: http://app.example"},
		"other port":                       {"Origin: https://app.example:8443"},
		"subdomain":                        {"Origin: https://x.app.example"},
		"lookalike":                        {"Origin: https://app.example.evil.example"},
		"unknown value":                    {"Sec-Fetch-Site: somewhere"},
		"Origin of a Host that was forged": {"Host: evil.example", "Origin: https://evil.example"},
	}
	fromHere = map[string][]string{
		"same-origin":       {"Sec-Fetch-Site: same-origin", "Origin: https://app.example"},
		"same-origin alone": {"Sec-Fetch-Site: same-origin"},
		"typed":             {"Sec-Fetch-Site: none"},
		"old browser":       {"Origin: https://app.example"},
		"program":           {},
	}
)

func TestCrossOrigin(t *testing.T) {
	h := open(t, https)
	h.register()
	reached := 0
	app := h.web.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	for _, op := range []struct{ path, json, form string }{
		{"/login", `{"email":"ann@example.com","password":"` + password + `"}`, "email=ann%40example.com&password=correct+horse+battery"},
		{"/register", `{"email":"bob@example.com","password":"` + password + `"}`, "email=bob%40example.com&password=correct+horse+battery"},
		{"/logout", `{}`, ""},
		{"/refresh", `{}`, ""},
		{"/password", `{"current_password":"` + password + `","new_password":"another horse"}`, "current_password=correct+horse+battery&new_password=another+horse"},
		{"/reauthenticate", `{"password":"` + password + `"}`, "password=correct+horse+battery"},
		{"/sessions", "", ""},
		{"/app", `{}`, "a=b"},
	} {
		cookies := h.login()
		sessions := len(h.sessions())
		for name, headers := range fromElsewhere {
			for _, kind := range []string{asJSON, asForm, ""} {
				door, path, method, body := h.door, "/api/auth"+op.path, "POST", op.json
				switch op.path {
				case "/app":
					door, path = app, op.path
				case "/sessions":
					method = "DELETE"
				}
				lines := append([]string{"Host: app.example", cookies}, headers...)
				if kind != "" {
					lines = append(lines, kind)
				}
				if kind == asForm {
					body = op.form
				}
				a := h.serve(door, request(method, path, body, lines...))
				if a.status != 403 {
					t.Errorf("%s, %s, %q: %d %s, want 403", op.path, name, kind, a.status, a.body)
				}
				if kind != asForm {
					a.refused(t, 403, "The request came from another site.", "cross_origin", "")
				}
				isSilent(t, a)
			}
		}
		if n := len(h.sessions()); n != sessions {
			t.Errorf("%s: %d sessions, want %d", op.path, n, sessions)
		}
	}
	if reached != 0 {
		t.Errorf("the application was reached %d times", reached)
	}
	for _, s := range h.sessions() {
		if s.Generation != 1 || !s.TerminatedAt.IsZero() {
			t.Errorf("a session changed: %+v", s)
		}
	}
	if list, _ := h.auth.Users(t.Context(), "", 100); len(list) != 1 || list[0].Version != 1 {
		t.Errorf("the users changed: %+v", list)
	}
}

func TestSameOrigin(t *testing.T) {
	h := open(t, https)
	h.register()
	reached := 0
	app := h.web.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	for name, headers := range fromHere {
		headers = append([]string{"Host: app.example"}, headers...)
		cookies := h.login(headers...)
		if a := h.serve(app, request("POST", "/app", "{}", append(headers, cookies, asJSON)...)); a.status != 200 {
			t.Errorf("%s: the application's POST: %d %s", name, a.status, a.body)
		}
		if a := h.do("POST", "/api/auth/refresh", "", append(headers, cookies)...); a.status != 200 {
			t.Errorf("%s: refresh: %d %s", name, a.status, a.body)
		}
		if a := h.form("/logout", nil, append(headers, cookies)...); a.status != 303 {
			t.Errorf("%s: logout: %d %s", name, a.status, a.body)
		}
	}
	if reached != len(fromHere) {
		t.Errorf("the application was reached %d times, want %d", reached, len(fromHere))
	}
	// A proxy may speak to us under another name.
	h.login("Host: 10.0.0.7:8080", "Origin: https://app.example")
}

// However the public URL is written, it is compared as browsers write it.
func TestOriginIsNormalised(t *testing.T) {
	for _, u := range []string{"https://App.Example", "https://app.example:443", "https://app.example/"} {
		h := open(t, func(_ *gatehouse.Config, edge *web.Config) { edge.URL = u })
		h.register()
		h.login("Host: app.example", "Origin: https://app.example")
		h.json("/api/auth/logout", struct{}{}, "Host: app.example", "Origin: http://app.example").refused(t, 403, "", "cross_origin", "")
	}
}

// Without a public URL the host of the request is what counts.
func TestCrossOriginOnLoopback(t *testing.T) {
	h := open(t)
	h.register()
	h.login("Host: localhost:8080", "Origin: http://localhost:8080")
	for _, origin := range []string{"http://localhost:3000", "http://127.0.0.1:8080", "null", "https://evil.example"} {
		h.json("/api/auth/logout", struct{}{}, "Host: localhost:8080", "Origin: "+origin).refused(t, 403, "", "cross_origin", "")
	}
}

// A bearer token is not sent by a browser on its own: an application may be
// called with it from anywhere.
func TestBearerFromElsewhere(t *testing.T) {
	h := open(t, https)
	h.register()
	a := h.json("/api/auth/login", map[string]string{"email": ann, "password": password}, "Gatehouse-Tokens: body")
	app := h.web.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	got := h.serve(app, request("POST", "/app", "", "Origin: https://client.example", "Sec-Fetch-Site: cross-site", "Authorization: Bearer "+a.str("access_token")))
	if got.status != 204 {
		t.Errorf("got %d %s, want 204", got.status, got.body)
	}
}

// Cookies that were planted before a login do not survive it, and the session
// that the browser had before ends (fixation, login CSRF).
func TestFixation(t *testing.T) {
	h := open(t)
	h.register()
	planted := "Cookie: access_token=planted; refresh_token=" + only(h.login(), "refresh_token")[len("Cookie: refresh_token="):]
	a := h.json("/api/auth/login", map[string]string{"email": ann, "password": password}, planted)
	isHanded(t, a, "access_token", "refresh_token", false)
	if a.cookie("access_token") == "planted" || "Cookie: access_token=planted; refresh_token="+a.cookie("refresh_token") == planted {
		t.Error("a planted token was kept")
	}
	h.do("POST", "/api/auth/refresh", "", planted).refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
	if n := len(h.sessions()); n != 1 {
		t.Errorf("%d sessions, want the new one alone", n)
	}
	// A session id cannot be asked for.
	for _, s := range []string{"?sid=x", "?session=x", "?access_token=" + a.cookie("access_token")} {
		h.do("GET", "/api/auth/me"+s, "").refused(t, 401, "Not authenticated", "not_authenticated", "")
	}
	if b := h.json("/api/auth/login", map[string]string{"email": ann, "password": "wrong horse"}, a.cookies()); b.status != 401 {
		t.Errorf("wrong password: %d", b.status)
	}
	if me := h.do("GET", "/api/auth/me", "", a.cookies()); me.status != 200 {
		t.Error("a login that failed ended the session before it")
	}
}

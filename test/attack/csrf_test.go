//go:build linux

package attack

import (
	"strings"
	"testing"
)

// What another site makes a browser send, with the browser's cookies.
var csrfAttacks = []attack{
	{"fetch-site", csrfFetchSite},
	{"origin", csrfOrigin},
	{"origin-scheme", csrfScheme},
	{"login", csrfLogin},
	{"content-type", csrfContentType},
	{"upgrade", csrfUpgrade},
	{"spelled-path", csrfSpelledPath},
	{"get-changes-nothing", getChangesNothing},
	{"shared-with-others", sharedWithOthers},
}

// doors is everything that changes something, with a body that would do it.
func doors(c *client) []struct{ method, path, kind, body string } {
	change := toJSON(object{"current_password": password, "new_password": newPassword})
	return []struct{ method, path, kind, body string }{
		{"POST", "/api/auth/register", jsonKind, credentials(newEmail(), password)},
		{"POST", "/api/auth/login", jsonKind, credentials(c.email, password)},
		{"POST", "/api/auth/refresh", "", ""},
		{"PATCH", "/api/auth/me", jsonKind, `{"name":"Mallory"}`},
		{"POST", "/api/auth/reauthenticate", jsonKind, toJSON(object{"password": password})},
		{"DELETE", "/api/auth/sessions", "", ""},
		{"DELETE", "/api/auth/sessions/x", "", ""},
		{"POST", "/register", formKind, "email=" + newEmail() + "&password=" + newPassword},
		{"POST", "/login", formKind, "email=" + c.email + "&password=correct+horse+battery+staple"},
		{"POST", "/account/profile", formKind, "name=Mallory"},
		{"POST", "/account/sessions/terminate", formKind, "id=x"},
		{"POST", "/account/sessions/terminate-others", formKind, ""},
		{"POST", "/reauthenticate", formKind, "password=correct+horse+battery+staple"},
		{"POST", "/account/password", formKind, "current_password=correct+horse+battery+staple&new_password=" + newPassword},
		{"POST", "/api/auth/password", jsonKind, change},
		{"POST", "/logout", formKind, ""},
		{"POST", "/api/auth/logout", "", ""},
	}
}

// untouched makes sure that nothing has happened to the user and the session.
func untouched(t *testing.T, c *client) {
	t.Helper()
	a := c.get(t, "/api/auth/me")
	if a.status != 200 || a.text("user.name") != "" {
		t.Errorf("something has happened: %v", a)
	}
}

// forbidsEverywhere sends everything with these headers, and nothing happens.
func forbidsEverywhere(t *testing.T, s *server, sets ...[]string) {
	t.Helper()
	c := member(t, s)
	before := c.copy()
	for _, headers := range sets {
		for _, d := range doors(c) {
			a := c.do(t, d.method, d.path, d.kind, d.body, headers...)
			if a.status != 403 || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%q: %v %q", headers, a, a.header["Set-Cookie"])
				c = member(t, s)
				before = c.copy()
			}
		}
	}
	untouched(t, before)
}

func csrfFetchSite(t *testing.T) {
	forbidsEverywhere(t, house(t, "plain"), []string{"Sec-Fetch-Site", "cross-site"}, []string{"Sec-Fetch-Site", "same-site"}, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Accept", "text/html"}, []string{"Sec-Fetch-Site", "Same-Origin"}, []string{"Sec-Fetch-Site", "x"})
	forbidsEverywhere(t, house(t, "https"), []string{"Sec-Fetch-Site", "same-site"}, []string{"Sec-Fetch-Site", "cross-site", "X-Requested-With", "XMLHttpRequest"})
}

func csrfOrigin(t *testing.T) {
	s := house(t, "plain")
	host, port, _ := strings.Cut(s.host, ":")
	forbidsEverywhere(t, s,
		[]string{"Origin", "https://evil.example"}, []string{"Origin", "null"}, []string{"Origin", "http://" + host}, []string{"Origin", "http://" + s.host + ".evil.example"},
		[]string{"Origin", "http://evil.example:" + port}, []string{"Origin", "http://evil" + s.host}, []string{"Origin", "file://"}, []string{"Origin", "x"},
	)
	forbidsEverywhere(t, house(t, "https"),
		[]string{"Origin", "https://auth.example.com.evil.example"}, []string{"Origin", "https://evilauth.example.com"}, []string{"Origin", "https://example.com"}, []string{"Origin", "https://auth.example.com:8443"}, []string{"Origin", "https://auth-example.com"},
	)
}

// csrfScheme comes from the same host over plain http, where anybody on the way
// can be that host.
func csrfScheme(t *testing.T) {
	forbidsEverywhere(t, house(t, "https"), []string{"Host", "auth.example.com", "Origin", "http://auth.example.com"}, []string{"Host", "evil.example", "Origin", "https://evil.example"})
}

// csrfLogin logs a browser in as the attacker, who then reads what it does.
func csrfLogin(t *testing.T) {
	s := house(t, "plain")
	attacker := member(t, s)
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, d := range doors(attacker) {
			if !strings.Contains(d.path, "login") && !strings.Contains(d.path, "register") {
				continue
			}
			victim := newClient(s)
			a := victim.do(t, d.method, d.path, d.kind, d.body, append(headers, asBrowser...)...)
			if a.status != 403 || len(victim.jar) > 0 {
				t.Errorf("%q: %v, and cookies %v", headers, a, victim.jar)
			}
		}
	}
}

// csrfContentType sends JSON as something that needs no leave of the browser
// (Fetch, CORS-safelisted), from where there are no tell-tale headers.
func csrfContentType(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, d := range doors(c) {
		if d.kind != jsonKind {
			continue
		}
		for _, kind := range []string{
			"", "text/plain", "text/plain; application/json", "text/plain;charset=utf-8", "multipart/form-data; boundary=x", "text/html", "application/octet-stream", "*/*", "application/x-json", "application/json, text/plain", "json", "text/json",
			"application/json; charset=utf-7", "application/json;charset=utf-16", "application/jsonx", "x/application/json", "application/json;;", "application/merge-patch+json",
		} {
			if a := c.do(t, d.method, d.path, kind, d.body); a.status != 415 {
				t.Errorf("as %q: %v", kind, a)
			}
		}
		// A form field can be made to look like JSON.
		if a := c.do(t, d.method, d.path, formKind, d.body); a.status != 400 {
			t.Errorf("as a form: %v", a)
		}
		for _, kinds := range [][]string{{"Content-Type", "text/plain", "Content-Type", jsonKind}, {"Content-Type", jsonKind, "Content-Type", formKind}} {
			if a := c.do(t, d.method, d.path, "", d.body, kinds...); a.status != 415 {
				t.Errorf("with two types: %v", a)
			}
		}
	}
	untouched(t, c)
}

// csrfUpgrade opens a WebSocket from another site, which begins with a GET.
func csrfUpgrade(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, from := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		for _, path := range []string{"/dashboard", "/account", "/api/auth/me"} {
			c.get(t, path, append(from, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "x")...).want(t, 403)
		}
	}
}

// csrfSpelledPath looks for a spelling of a door at which nobody asks.
func csrfSpelledPath(t *testing.T) {
	c := member(t, house(t, "plain"))
	cookie := "Cookie: access_token=" + c.access() + "; refresh_token=" + c.refresh()
	for _, path := range []string{
		"//api/auth/logout", "/api//auth/logout", "/api/auth/logout/", "/api/auth/../auth/logout", "/%61pi/auth/logout", "/api/auth/log%6fut", "/API/auth/logout", "/api/auth/logout;x", "/api/auth/logout?x", "/api/auth/logout%00", "/x/../logout", "//logout", "/./logout", "/log%6fut", "http://HOST/logout", "http://HOST//logout",
	} {
		a := one(t, c.s, "POST "+path+" HTTP/1.1\r\nHost: HOST\r\nOrigin: https://evil.example\r\nConnection: close\r\nContent-Length: 0\r\n"+cookie+"\r\n\r\n")
		if a.status != 403 && a.status != 400 {
			t.Errorf("%v", a)
		}
	}
	untouched(t, c)
}

// getChangesNothing: links and pictures of other sites send cookies along.
func getChangesNothing(t *testing.T) {
	c := member(t, house(t, "plain"))
	before := c.copy()
	for _, d := range doors(c) {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for _, query := range []string{"", "?" + d.body, "?name=Mallory&id=x&_method=POST", "?email=" + c.email + "&password=correct+horse+battery+staple"} {
				if d.kind == jsonKind && query == "?"+d.body {
					continue
				}
				a := c.do(t, method, d.path+query, "", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Accept", "text/html", "X-Http-Method-Override", "POST")
				if len(a.header["Set-Cookie"]) > 0 {
					t.Errorf("%v sets %q", a, a.header["Set-Cookie"])
				}
			}
		}
	}
	untouched(t, before)
	before.post(t, "/api/auth/refresh", "").want(t, 200)
}

// sharedWithOthers asks whether another site may read the answers.
func sharedWithOthers(t *testing.T) {
	for _, kind := range []string{"plain", "https"} {
		c := member(t, house(t, kind))
		for _, origin := range []string{"https://evil.example", "null", "http://" + c.s.host, "https://auth.example.com", "https://sub.auth.example.com", "http://localhost:3000", "file://"} {
			for _, path := range []string{"/api/auth/me", "/api/auth/sessions", "/api/auth/login", "/dashboard", "/.well-known/jwks.json", "/api/auth/openapi.json", "/livez"} {
				for _, method := range []string{"GET", "OPTIONS"} {
					a := c.do(t, method, path, "", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "gatehouse-tokens,content-type", "Access-Control-Request-Private-Network", "true")
					for name := range a.header {
						if strings.HasPrefix(name, "Access-Control-Allow-") {
							t.Errorf("%v: %s: %s for %s", a, name, a.header.Get(name), origin)
						}
					}
				}
			}
		}
	}
}

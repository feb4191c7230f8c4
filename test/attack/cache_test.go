//go:build linux

package attack

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Caches on the way, which keep for everybody what was for one.
var cacheAttacks = []attack{
	{"no-store", cacheNoStore},
	{"deception", cacheDeception},
	{"unkeyed-headers", cacheUnkeyed},
	{"shared-cookies", cacheSharedCookies},
	{"errors", cacheErrors},
}

func cacheNoStore(t *testing.T) {
	s := house(t, "plain")
	for _, a := range append(everyPage(t, s), everyOperation(t, s)...) {
		if got := a.header["Cache-Control"]; len(got) != 1 || got[0] != "no-store" {
			t.Errorf("%v: Cache-Control %q", a, got)
		}
	}
}

// cacheDeception gives a page of the user a name that caches keep.
func cacheDeception(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, p := range []string{"account", "account/sessions", "account/activity", "dashboard", "api/auth/me", "api/auth/sessions"} {
		for _, suffix := range []string{"/x.css", ".css", ".js", ";x.css", "%3bx.css", "%00.css", "%0a.css", "%23x.css", "%3fx.css", "/..%2fx.css", "/%2e%2e/x.css", "/.css", "//x.css", "/avatar.png", ".ico", "%2fx.css", "/;x.css", "\\x.css", "$x.css", "/assets/x.css", "/../assets/x.css", "/..;/assets/x.css"} {
			a := one(t, c.s, "GET /"+p+suffix+" HTTP/1.1\r\nHost: HOST\r\nAccept: text/css,*/*\r\nConnection: close\r\nCookie: access_token="+c.access()+"\r\n\r\n")
			if a.contains(c.email) && !strings.Contains(p+suffix, "#") {
				t.Errorf("something of the user under a name of a file: %v", a)
			}
			if cc := a.header.Get("Cache-Control"); a.status == 200 && cc != "no-store" {
				t.Errorf("%v: Cache-Control %q", a, cc)
			}
		}
	}
}

// cacheUnkeyed changes headers that no cache looks at. What can be cached is the
// same whatever they say.
func cacheUnkeyed(t *testing.T) {
	s := house(t, "https")
	paths := []string{asset(t, s), "/favicon.ico", "/.well-known/jwks.json", "/api/auth/openapi.json", "/assets/nothing.css"}
	for _, p := range paths {
		clean := newClient(s).get(t, p)
		sets := append([][]string{{"Origin", "https://evil.example"}, {"Accept", "evil/evil"}, {"Accept-Language", "evil"}, {"User-Agent", "evil"}, {"Cookie", "access_token=evil"}, {"Authorization", "Bearer evil"}, {"Range", "bytes=0-3"}, {"X-Http-Method-Override", "POST"}, {"If-Match", "evil"}, {"Expect", "evil"}, {"X-Forwarded-For", "evil"}, {"Referer", "https://evil.example"}, {"Host", "evil.example"}}, evilHosts...)
		for _, headers := range sets {
			for _, query := range []string{"", "?evil=evil", "?callback=evil"} {
				a := newClient(s).get(t, p+query, headers...)
				if a.status == 417 {
					continue // an expectation that nobody can meet; no cache keeps it
				}
				if a.status != clean.status || !bytes.Equal(a.body, clean.body) || strings.Contains(fmt.Sprint(a.header), "evil") {
					t.Errorf("%q changes %v", headers, a)
				}
			}
		}
	}
}

// cacheSharedCookies: a cookie on something that is cached is everybody's.
func cacheSharedCookies(t *testing.T) {
	c := member(t, house(t, "plain"))
	delete(c.jar, "access_token") // what refreshes in passing would set one
	for _, p := range []string{asset(t, c.s), "/favicon.ico", "/.well-known/jwks.json", "/api/auth/openapi.json", "/livez", "/readyz", "/assets/nothing"} {
		a := c.copy().get(t, p)
		if len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%v sets %q", a, a.header["Set-Cookie"])
		}
	}
	a := c.copy().get(t, "/account", asBrowser...)
	if len(a.header["Set-Cookie"]) == 0 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a session refreshed in passing: %v %v", a, a.header)
	}
}

// cacheErrors: an error that is kept shuts everybody out.
func cacheErrors(t *testing.T) {
	s := house(t, "plain")
	for _, a := range []*answer{
		newClient(s).get(t, "/assets/nothing.css"), newClient(s).do(t, "POST", asset(t, s), "", ""), newClient(s).get(t, "/nothing.js"), newClient(s).do(t, "PUT", "/.well-known/jwks.json", "", ""), newClient(s).get(t, asset(t, s), "Host", "evil.example"), newClient(s).get(t, "/favicon.ico", "Host", "evil.example"),
		newClient(s).do(t, "GET", "/.well-known/jwks.json", "", "", "Transfer-Encoding", "x"),
	} {
		if cc := a.header.Get("Cache-Control"); a.status >= 400 && cc != "no-store" {
			t.Errorf("%v: Cache-Control %q", a, cc)
		}
	}
}

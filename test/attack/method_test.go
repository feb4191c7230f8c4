//go:build linux

package attack

import (
	"strings"
	"testing"
)

// Verbs that a guard may not have thought of.
var methodAttacks = []attack{
	{"other-verbs", otherVerbs},
	{"override", methodOverride},
	{"head", methodHead},
	{"trace", methodTrace},
}

func otherVerbs(t *testing.T) {
	s := house(t, "plain")
	for _, p := range append([]string{"/account/password", "/api/auth/password", "/account/profile", "/livez"}, protectedPaths...) {
		for _, verb := range []string{"PUT", "DELETE", "PATCH", "PROPFIND", "COPY", "LOCK", "SEARCH", "FOO", "get", "Get", "GETS", "HEADS", "POSTX", "JEFF", "QUERY", "X-GET", "CONNECT", "PRI", "DEBUG", "TRACK", "LINK"} {
			a := one(t, s, verb+" "+p+" HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			switch {
			case a.status == 405 && a.header.Get("Allow") != "":
			case a.status == 401 || a.status == 400 || a.status == 404 || a.status == 501:
			case a.status == 303 && strings.HasPrefix(a.location(), "/login"):
			default:
				t.Errorf("%v", a)
			}
		}
	}
}

// methodOverride sends a POST that says it is something else, and the reverse.
func methodOverride(t *testing.T) {
	c := member(t, house(t, "plain"))
	other := c.fresh()
	other.login(t)
	for _, header := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Method", "Method"} {
		for _, method := range []string{"GET", "POST"} {
			for _, verb := range []string{"DELETE", "POST", "PATCH"} {
				c.do(t, method, "/api/auth/sessions", "", "", header, verb)
				c.do(t, method, "/api/auth/sessions?_method="+verb+"&method="+verb, formKind, "", header, verb)
				c.do(t, "GET", "/logout", "", "", header, verb)
				if method == "POST" {
					c.do(t, method, "/api/auth/sessions", formKind, "_method="+verb)
				}
			}
		}
	}
	other.get(t, "/api/auth/me").want(t, 200)
	untouched(t, c)
}

// methodHead is a GET without its body, and with all of its guards.
func methodHead(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	for _, p := range protectedPaths {
		for _, more := range [][]string{asBrowser, asProgram} {
			get, head := newClient(s).get(t, p, more...), newClient(s).do(t, "HEAD", p, "", "", more...)
			if head.status != get.status || head.status == 200 || len(head.body) > 0 {
				t.Errorf("HEAD: %v, GET: %v", head, get)
			}
		}
		if a := c.do(t, "HEAD", p, "", ""); len(a.body) > 0 || a.status != 200 {
			t.Errorf("%v", a)
		}
	}
	c.do(t, "HEAD", "/logout", "", "").want(t, 405)
	c.get(t, "/api/auth/me").want(t, 200)
}

// methodTrace would send the cookies back to a script.
func methodTrace(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, p := range append([]string{"/", "/login", "/livez", "/nothing", "*"}, protectedPaths...) {
		for _, verb := range []string{"TRACE", "TRACK", "OPTIONS"} {
			a := one(t, c.s, verb+" "+p+" HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nX-Planted: 4711\r\nCookie: access_token="+c.access()+"\r\n\r\n")
			if a.contains("4711") || a.contains(c.access()) || verb != "OPTIONS" && a.status/100 == 2 {
				t.Errorf("%v", a)
			}
		}
	}
}

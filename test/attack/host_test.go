//go:build linux

package attack

import (
	"strings"
	"testing"
)

// The host that a request says it is for.
var hostAttacks = []attack{
	{"rebinding", hostRebinding},
	{"look-alike", hostLookAlike},
	{"absolute", hostAbsolute},
	{"twice", hostTwice},
	{"forwarded", hostForwarded},
}

// evilHosts are the headers by which a proxy may say which host was asked for.
var evilHosts = [][]string{
	{"X-Forwarded-Host", "evil.example"}, {"X-Host", "evil.example"}, {"X-Forwarded-Server", "evil.example"}, {"X-Http-Host-Override", "evil.example"}, {"Forwarded", "host=evil.example;proto=https"}, {"X-Original-Host", "evil.example"},
	{"X-Forwarded-Proto", "evil"}, {"X-Forwarded-Scheme", "evil", "X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Port", "6666", "X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Prefix", "//evil.example"}, {"X-Original-Url", "//evil.example/"}, {"X-Rewrite-Url", "//evil.example/"},
	{"Base-Url", "https://evil.example"}, {"X-Script-Name", "//evil.example"}, {"Front-End-Https", "evil"}, {"X-Forwarded-Uri", "//evil.example/"}, {"X-Envoy-Original-Path", "//evil.example"},
}

// hostRebinding is a page of the attacker whose name leads to this machine.
func hostRebinding(t *testing.T) {
	c := member(t, house(t, "plain"))
	_, port, _ := strings.Cut(c.s.host, ":")
	for _, host := range []string{"evil.example", "evil.example:" + port, "192.0.2.1", "0.0.0.0", "[2001:db8::1]", "router", "10.0.0.1:" + port} {
		for _, path := range []string{"/", "/login", "/api/auth/me", "/dashboard", "/.well-known/jwks.json"} {
			c.get(t, path, "Host", host).want(t, 421)
		}
		c.post(t, "/api/auth/login", credentials(c.email, password), "Host", host, "Origin", "http://"+host).want(t, 421)
	}
}

func hostLookAlike(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, host := range []string{
		"localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "localhostx", "127.0.0.1@evil.example", "evil.example#localhost", "evil.example?localhost", "evil.example/localhost", "localhost,evil.example", "127.1.evil", "0x7f.evil", "localhost evil.example", "evil.example:localhost", "xlocalhost",
	} {
		a := one(t, c.s, "GET /api/auth/me HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\nCookie: access_token="+c.access()+"\r\n\r\n")
		a.want(t, 421, 400)
	}
}

// hostAbsolute has one host in the request line and another in the header.
func hostAbsolute(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, line := range []string{"GET http://evil.example/api/auth/me HTTP/1.1", "GET https://evil.example/api/auth/me HTTP/1.1", "GET http://evil.example:80/dashboard HTTP/1.1", "GET http://HOST@evil.example/account HTTP/1.1", "GET ftp://evil.example/account HTTP/1.1"} {
		a := one(t, c.s, line+"\r\nHost: HOST\r\nConnection: close\r\nCookie: access_token="+c.access()+"\r\n\r\n")
		if a.status != 421 && a.status != 400 {
			t.Errorf("%v", a)
		}
	}
}

func hostTwice(t *testing.T) {
	s := house(t, "https")
	for _, lines := range []string{
		"Host: auth.example.com\r\nHost: evil.example", "Host: evil.example\r\nHost: auth.example.com", "Host: auth.example.com\r\nhost: evil.example", "Host: auth.example.com\r\n Host: evil.example", "Host : evil.example\r\nHost: auth.example.com", "Host: a b", "Host: evil.example\x00auth.example.com", "Host:\r\nHost: evil.example",
	} {
		for _, a := range raw(t, s, "GET /login HTTP/1.1\r\n"+lines+"\r\nConnection: close\r\n\r\n") {
			if a.status != 400 && (a.status == 200 || a.contains("evil")) {
				t.Errorf("%q: %v", lines, a)
			}
		}
	}
	if a := one(t, s, "GET /login HTTP/1.1\r\nConnection: close\r\n\r\n"); a.status != 400 {
		t.Errorf("without a host: %v", a)
	}
}

// hostForwarded looks for the host, from wherever it came, in what is answered:
// links with it, in pages or mails, are links to somewhere else.
func hostForwarded(t *testing.T) {
	for _, kind := range []string{"https", "proxy"} {
		c := member(t, house(t, kind))
		sets := evilHosts
		if kind == "https" {
			sets = append(sets, []string{"Host", "evil.example"})
		}
		for _, headers := range sets {
			for _, path := range []string{"/", "/login", "/register", "/account", "/account/sessions", "/dashboard", "/nothing", "/api/auth/openapi.json", "/.well-known/jwks.json", "/.well-known/change-password"} {
				a := c.get(t, path, append(headers, asBrowser...)...)
				for name, values := range a.header {
					if strings.Contains(strings.Join(values, " "), "evil") {
						t.Errorf("%q: %v says %s: %q", headers, a, name, values)
					}
				}
				if a.contains("evil") || a.contains("6666") {
					t.Errorf("%q is repeated: %v", headers, a)
				}
			}
		}
	}
}

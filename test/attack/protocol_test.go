//go:build linux

package attack

import (
	"strings"
	"testing"
)

// What is not the HTTP/1.1 of today.
var protocolAttacks = []attack{
	{"http-0.9", protocol09},
	{"http-1.0", protocol10},
	{"http-2-preface", protocolPreface},
	{"http-2-upgrade", protocolUpgrade},
	{"odd-request-lines", protocolLines},
	{"odd-headers", protocolHeaders},
	{"garbage", protocolGarbage},
	{"pipelined", protocolPipelined},
	{"range", protocolRange},
}

// protocol09 has neither headers nor a status, so that text of ours would be
// taken for whatever it looks like.
func protocol09(t *testing.T) {
	s := house(t, "plain")
	for _, line := range []string{"GET /login\r\n", "GET /login\r\n\r\n", "GET /\n", "GET / HTTP/0.9\r\n\r\n", "GET /login HTTP\r\n\r\n", "GET\r\n\r\n"} {
		if a := one(t, s, line+strings.Repeat("\r\n", 2)); a.status != 400 && a.status != 505 && a.status != 0 {
			t.Errorf("%q: %v", line, a)
		}
	}
}

func protocol10(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, p := range []string{"/api/auth/me", "/livez", "/nothing", "/login"} {
		answers := raw(t, c.s, strings.Repeat("GET "+p+" HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\nCookie: access_token="+c.access()+"\r\n\r\n", 2))
		if len(answers) != 1 {
			t.Errorf("%s: %d answers on a connection of HTTP/1.0", p, len(answers))
		}
	}
	one(t, c.s, "GET /account HTTP/1.0\r\nAccept: text/html\r\n\r\n").want(t, 303, 400, 421)
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func protocolPreface(t *testing.T) {
	s := house(t, "plain")
	for _, text := range []string{preface, preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "PRI * HTTP/2.0\r\nHost: HOST\r\n\r\n"} {
		conn := dial(t, s)
		_, _ = conn.Write([]byte(strings.ReplaceAll(text, "HOST", s.host)))
		b := make([]byte, 64)
		n, _ := conn.Read(b)
		conn.Close()
		if n > 0 && !strings.HasPrefix(string(b[:n]), "HTTP/1.1 4") && !strings.HasPrefix(string(b[:n]), "HTTP/1.1 505") {
			t.Errorf("HTTP/2 without TLS is spoken here: %q", b[:n])
		}
	}
}

// protocolUpgrade leaves the guard of HTTP/1 behind.
func protocolUpgrade(t *testing.T) {
	s := house(t, "plain")
	for _, upgrade := range []string{"h2c", "h2", "websocket", "TLS/1.0", "HTTP/2.0", "h2c, websocket"} {
		for _, p := range []string{"/", "/account", "/livez", "/api/auth/me"} {
			for _, a := range raw(t, s, "GET "+p+" HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "+upgrade+"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"+preface) {
				if a.status == 101 {
					t.Errorf("%s: %v", upgrade, a)
				}
			}
		}
	}
}

func protocolLines(t *testing.T) {
	s := house(t, "plain")
	for _, line := range []string{
		"GET / HTTP/9.9", "GET / HTTP/1.1 x", "GET  /  HTTP/1.1", "GET /a b HTTP/1.1", "GET / http/1.1", "GET / HTTP/1.1x", "GET / HTTP/11", "GET / HTTP/-1.1", "GET\t/\tHTTP/1.1", " GET / HTTP/1.1", "G\x00T / HTTP/1.1", "GET /\x00 HTTP/1.1", "GET /%zz HTTP/1.1", "GET /% HTTP/1.1", "GET account HTTP/1.1", "GET \x7f HTTP/1.1", "GET http:// HTTP/1.1", "GET http:///account HTTP/1.1", "GET :80 HTTP/1.1", "GET //: HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1", "CONNECT /account HTTP/1.1", "GET http://[::1/account HTTP/1.1",
	} {
		if a := one(t, s, line+"\r\nHost: HOST\r\nConnection: close\r\n\r\n"); a.status != 0 && (a.status < 400 || a.status > 505) && !(a.status == 307 && !leavesUs(a.location())) {
			t.Errorf("%q: %v", line, a)
		}
	}
}

func protocolHeaders(t *testing.T) {
	s := house(t, "plain")
	for _, h := range []string{"X-Odd : a", "X-Odd: a\rb", "X Odd: a", ": a", "X-Odd", "X-Odd: \x00", "\x00: a", "X-Odd: a\x01", "X-Odd(: a", "X-\xff: a", "Content-Length: -1", "Content-Length: x", "Trailer: Content-Length\r\nTransfer-Encoding: chunked", "Host: HOST"} {
		if a := one(t, s, "GET /account HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"+h+"\r\n\r\n"); a.status != 400 && a.status != 0 && a.status != 411 {
			t.Errorf("%q: %v", h, a)
		}
	}
}

func protocolGarbage(t *testing.T) {
	s := house(t, "plain")
	for _, text := range []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n", strings.Repeat("\x00", 4096) + "\r\n\r\n", "SSH-2.0-x\r\n\r\n", "\r\n\r\n\r\n\r\nx\r\n\r\n", "{}\r\n\r\n", "*1\r\n$4\r\nPING\r\n\r\n", "EHLO evil.example\r\n\r\n", strings.Repeat("\xff", 100) + "\r\n\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /account HTTP/1.1\r\nHost: HOST\r\n\r\n"} {
		if a := one(t, s, text); a.status != 400 && a.status != 0 && a.status != 505 {
			t.Errorf("%q: %v", text[:min(len(text), 20)], a)
		}
	}
	newClient(s).get(t, "/livez").want(t, 200)
}

// protocolPipelined has the requests of two people behind one another, as a
// proxy may put them: each is answered for itself.
func protocolPipelined(t *testing.T) {
	s := house(t, "plain")
	a, b := member(t, s), member(t, s)
	get := func(cookie string) string {
		return "GET /api/auth/me HTTP/1.1\r\nHost: HOST\r\n" + cookie + "\r\n"
	}
	answers := raw(t, s, get("Cookie: access_token="+a.access()+"\r\n")+get("")+get("Cookie: access_token="+b.access()+"\r\n")+get("Authorization: Bearer "+a.access()+"\r\n"))
	want := []string{a.email, "", b.email, a.email}
	for i, x := range answers {
		if x.text("user.email") != want[i] {
			t.Errorf("answer %d is %v, want that of %q", i, x, want[i])
		}
	}
	if len(answers) != len(want) {
		t.Errorf("%d answers", len(answers))
	}
}

// protocolRange asks for parts, of which a cache may make another whole.
func protocolRange(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, p := range []string{"/account", "/api/auth/me", asset(t, c.s), "/.well-known/jwks.json"} {
		for _, r := range []string{"bytes=0-0", "bytes=0-0,1-1", "bytes=" + strings.Repeat("0-0,", 1000) + "1-1", "bytes=-1", "bytes=99999999-", "x"} {
			if a := c.get(t, p, "Range", r, "Accept", "text/html"); a.status != 200 {
				t.Errorf("%v", a)
			}
		}
	}
}

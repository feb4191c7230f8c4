//go:build linux

package attack

import (
	"fmt"
	"strings"
	"testing"
)

// Requests of which a proxy in front and the service do not agree where they
// end (RFC 9112, section 11.2). Whatever the framing says, what is hidden in the
// body is never answered.
var smuggleAttacks = []attack{
	{"length-and-chunks", func(t *testing.T) { smuggles(t, "Content-Length: %d\r\nTransfer-Encoding: chunked", "0\r\n\r\n") }},
	{"chunks-and-length", func(t *testing.T) { smuggles(t, "Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n") }},
	{"chunks", func(t *testing.T) {
		smuggles(t, "Transfer-Encoding: chunked", "0\r\n\r\n", "2\r\n{}\r\n0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0;x=\"\r\n\"\r\n\r\n", "2\n{}\n0\n\n", "0x0\r\n\r\n", "00000000000000000\r\n\r\n")
	}},
	{"old-version", smuggleOldVersion},
	{"odd-chunks", func(t *testing.T) {
		for _, te := range []string{
			"xchunked", "chunked, identity", "identity", "identity, chunked", "chunked, chunked", "chunked\x0b", "\x0bchunked", "\"chunked\"", "Chunked", "gzip, chunked", "chunked;q=1", "x", "", "chunked\r\nTransfer-Encoding: identity", "identity\r\nTransfer-Encoding: chunked",
		} {
			smuggles(t, "Content-Length: %d\r\nTransfer-Encoding: "+te, "0\r\n\r\n")
			smuggles(t, "Transfer-Encoding: "+te, "0\r\n\r\n")
		}
	}},
	{"odd-names", func(t *testing.T) {
		for _, line := range []string{"Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding\t: chunked", "Transfer-Encoding\x00: chunked", "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer_Encoding: chunked", "Transfer-Encoding:\r\n chunked"} {
			smuggles(t, "Content-Length: %d\r\n"+line, "0\r\n\r\n")
		}
	}},
	{"two-lengths", func(t *testing.T) {
		smuggles(t, "Content-Length: %d\r\nContent-Length: 2", "{}")
		smuggles(t, "Content-Length: 2\r\nContent-Length: %d", "{}")
		smuggles(t, "Content-Length: 2, %d", "{}")
	}},
	{"odd-lengths", func(t *testing.T) {
		for _, n := range []string{"+2", "-2", "0x2", "2x", "2 2", "2.0", "2e0", "02, 2", "\"2\"", "99999999999999999999", "2;", "2\x0b"} {
			smuggles(t, "Content-Length: "+n, "{}")
		}
	}},
	{"probes", smuggleProbes},
	{"refused-early", smuggleRefusedEarly},
}

const hidden = "GET /api/auth/me?hidden HTTP/1.1\r\nHost: HOST\r\nX-Hidden: "

// smuggles sends a request with this framing and another one behind or in its
// body, and wants one answer at most. %d is the length of all.
func smuggles(t *testing.T, framing string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		smugglesTo(t, "POST /api/auth/login HTTP/1.1", framing, body)
		smugglesTo(t, "GET /login HTTP/1.1", framing, body)
	}
}

func smugglesTo(t *testing.T, line, framing, body string) {
	t.Helper()
	s := house(t, "plain")
	all := strings.ReplaceAll(body+hidden+"x\r\n\r\n", "HOST", s.host)
	if strings.Contains(framing, "%d") {
		framing = fmt.Sprintf(framing, len(all))
	}
	answers := raw(t, s, line+"\r\nHost: HOST\r\nContent-Type: application/json\r\n"+framing+"\r\n\r\n"+all)
	if len(answers) > 1 {
		t.Errorf("%s with %q: answered %d times: %v", line, framing, len(answers), answers)
	}
}

func smuggleOldVersion(t *testing.T) {
	for _, framing := range []string{"Transfer-Encoding: chunked", "Content-Length: %d\r\nTransfer-Encoding: chunked", "Connection: keep-alive\r\nTransfer-Encoding: chunked", "Connection: keep-alive\r\nContent-Length: 2"} {
		smugglesTo(t, "POST /api/auth/login HTTP/1.0", framing, "0\r\n\r\n")
		smugglesTo(t, "POST /login HTTP/1.0", framing, "{}")
	}
}

// smuggleProbes goes to what is answered before the front door is reached.
func smuggleProbes(t *testing.T) {
	for _, line := range []string{"POST /livez HTTP/1.1", "GET /livez HTTP/1.1", "GET /readyz HTTP/1.1", "GET /favicon.ico HTTP/1.1", "GET /assets/x HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /nothing HTTP/1.1"} {
		smugglesTo(t, line, "Content-Length: %d\r\nTransfer-Encoding: chunked", "0\r\n\r\n")
		smugglesTo(t, line, "Transfer-Encoding: chunked", "0\r\n\r\n")
	}
	smugglesTo(t, "GET /livez HTTP/1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked", "0\r\n\r\n")
}

// smuggleRefusedEarly is refused before its body is read, which is then no
// request of its own.
func smuggleRefusedEarly(t *testing.T) {
	s := house(t, "plain")
	for _, headers := range []string{"Origin: https://evil.example", "Content-Type: text/plain", "Sec-Fetch-Site: cross-site", "Host: evil.example", "Expect: 100-continue", "Expect: x", "Content-Encoding: gzip"} {
		host := "Host: HOST\r\n"
		if strings.HasPrefix(headers, "Host") {
			host = ""
		}
		body := strings.ReplaceAll(hidden+"x\r\n\r\n", "HOST", s.host)
		for _, path := range []string{"/api/auth/login", "/nothing"} {
			for _, before := range []int{0, 70_000} {
				body := strings.Repeat(" ", before) + body
				answers := raw(t, s, fmt.Sprintf("POST %s HTTP/1.1\r\n%s%s\r\nContent-Length: %d\r\n\r\n%s", path, host, headers, len(body), body))
				if len(answers) > 1 {
					t.Errorf("%s: answered %d times: %v", headers, len(answers), answers)
				}
			}
		}
	}
}

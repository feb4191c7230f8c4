//go:build linux

package attack

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// Line breaks that end a header, or a line of the log.
var splitAttacks = []attack{
	{"location", splitLocation},
	{"request-id", splitRequestID},
	{"log", splitLog},
}

// breaks are line breaks in the spellings that some layer may undo.
var breaks = []string{"\r\n", "\n", "\r", "%0d%0a", "%0a", "%250d%250a", "\u560d\u560a", "\u010d\u010a", "\u2028", "\x0b", "\x00\r\n", "%u000a", "\\r\\n", " \r\n "}

func splitLocation(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, br := range breaks {
		for _, next := range []string{"/account" + br + "Set-Cookie: planted=1", "/" + br + br + "<script>planted</script>", "/account?" + br + "Planted: 1", br + "/account"} {
			for _, a := range []*answer{
				c.get(t, "/login?next="+url.QueryEscape(next), asBrowser...), c.form(t, "/login", "email", c.email, "password", password, "next", next), newClient(c.s).form(t, "/register", "email", newEmail(), "password", password, "next", next),
			} {
				for name, values := range a.header {
					line := strings.Join(values, " ")
					if name == "Planted" || strings.Contains(line, "planted=1") && name == "Set-Cookie" || name == "Location" && strings.ContainsAny(line, "\r\n\u560d\u010d \x0b") {
						t.Errorf("next %q: %s: %q", next, name, values)
					}
				}
				if a.contains("planted</script>") {
					t.Errorf("next %q: %v", next, a)
				}
			}
		}
		a := one(t, c.s, "GET /account/x"+url.PathEscape(br+"Planted: 1")+" HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		if a.header.Get("Planted") != "" {
			t.Errorf("%v", a)
		}
	}
}

// splitRequestID: a reference of the sender's choice could lead the reader of
// the log to somebody else's lines.
func splitRequestID(t *testing.T) {
	s := house(t, "plain")
	for _, name := range []string{"X-Request-Id", "X-Correlation-Id", "Traceparent", "X-Trace-Id", "Request-Id", "X-B3-Traceid"} {
		for _, value := range []string{"planted", "planted\tx", "{\"planted\":1}", strings.Repeat("planted", 100)} {
			for _, a := range []*answer{newClient(s).get(t, "/api/auth/me", name, value), newClient(s).get(t, "/login", append([]string{name, value}, asBrowser...)...)} {
				for k, v := range a.header {
					if strings.Contains(strings.Join(v, " "), "planted") {
						t.Errorf("%s comes back as %s: %q", name, k, v)
					}
				}
				if a.contains("planted") || a.header.Get("X-Request-Id") == "" {
					t.Errorf("%v", a)
				}
			}
		}
	}
}

// splitLog writes lines of its own into the log, and colours on the terminal of
// whoever reads it. A line of the log is one JSON object.
func splitLog(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	for _, br := range append(breaks, "\x1b[31m", "\u202e") {
		planted := "x" + br + `{"level":"ERROR","msg":"planted"}`
		c.get(t, "/"+url.PathEscape(planted))
		c.fresh().post(t, "/api/auth/login", credentials(planted, password))
		c.fresh().post(t, "/api/auth/login", credentials(c.email, planted))
		c.do(t, "POST", "/x"+url.PathEscape(planted), "", "", "Origin", "https://evil.example")
		c.do(t, "POST", "/x?"+url.QueryEscape(planted), "", "", "Sec-Fetch-Site", "cross-site")
		c.get(t, "/api/auth/me", "Authorization", "Bearer "+url.QueryEscape(planted))
		one(t, s, "GET /x HTTP/1.1\r\nHost: HOST\r\nX-Odd: "+strings.NewReplacer("\r", "", "\n", "").Replace(planted)+"\r\nConnection: close\r\nUser-Agent: \x1b[31mplanted\r\n\r\n")
	}
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, "planted") && !strings.Contains(line, "\x1b") && strings.HasPrefix(line, "{") {
			continue
		}
		if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\r\u202e\u2028") || strings.Contains(line, "planted") && !json.Valid([]byte(line)) || strings.HasPrefix(line, `{"level":"ERROR","msg":"planted"`) {
			t.Errorf("a line of the log: %q", line)
		}
	}
}

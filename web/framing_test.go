package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// exchange sends raw bytes over one connection and returns the answers until
// the server closes it, or until want answers have come.
func exchange(t *testing.T, server *httptest.Server, raw string, want int) (answers []*http.Response, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	method, _, _ := strings.Cut(raw, " ")
	for len(answers) < want {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return answers, true
		}
		if _, err := io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, res)
	}
	return answers, false
}

// A body whose length is not said is refused, and the connection ends with it:
// whatever follows is not answered as a second request (request smuggling).
func TestTransferEncoding(t *testing.T) {
	h := open(t)
	server := httptest.NewServer(h.door)
	defer server.Close()
	const (
		host   = "Host: " + "app.example" + "\r\n"
		second = "GET /api/auth/openapi.json HTTP/1.1\r\n" + host + "\r\n"
	)
	for name, c := range map[string]struct {
		raw    string
		status int
	}{
		"chunked":          {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411},
		"chunked GET":      {"GET /login HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
		"length and TE":    {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
		"TE and length":    {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 411},
		"TE in capitals":   {"POST /api/auth/logout HTTP/1.1\r\n" + host + "transfer-encoding: CHUNKED\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 411},
		"two lengths":      {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400},
		"length with sign": {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Content-Length: +0\r\n\r\n", 400},
		"no host":          {"GET /login HTTP/1.1\r\n\r\n", 400},
		"two hosts":        {"GET /login HTTP/1.1\r\n" + host + host + "\r\n", 400},
		"space in header":  {"GET /login HTTP/1.1\r\n" + host + "Content-Length : 0\r\n\r\n", 400},
		"TE unknown":       {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"TE twice":         {"POST /api/auth/logout HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501},
		"HTTP/1.0":         {"GET /login HTTP/1.0\r\n\r\n", 200},
		"HTTP/1.0 keep":    {"GET /login HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			answers, closed := exchange(t, server, c.raw+second, 2)
			if len(answers) != 1 || !closed {
				t.Fatalf("%d answers, closed %v; want one and the end of the connection", len(answers), closed)
			}
			if answers[0].StatusCode != c.status || c.status == 411 && !answers[0].Close {
				t.Errorf("got %d, close %v; want %d", answers[0].StatusCode, answers[0].Close, c.status)
			}
		})
	}
	// The way back is HTTP/1.1 with a length, twice on one connection.
	good := "POST /api/auth/logout HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if answers, _ := exchange(t, server, good+second, 2); len(answers) != 2 || answers[0].StatusCode != 200 || answers[1].StatusCode != 200 {
		t.Errorf("two good requests on one connection: %v", answers)
	}
}

// HEAD is GET without the body.
func TestHead(t *testing.T) {
	h := open(t)
	server := httptest.NewServer(h.door)
	defer server.Close()
	for _, path := range []string{"/", "/login", "/api/auth/me", "/api/auth/openapi.json", "/nothing"} {
		get, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(get.Body)
		get.Body.Close()
		answers, _ := exchange(t, server, "HEAD "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1)
		if len(answers) == 0 || answers[0].StatusCode != get.StatusCode {
			t.Fatalf("%s: HEAD %v, GET %d", path, answers, get.StatusCode)
		}
		if n := answers[0].Header.Get("Content-Length"); n != "" && n != fmt.Sprint(len(body)) {
			t.Errorf("%s: HEAD says %s bytes, GET has %d", path, n, len(body))
		}
	}
}

// A Location is always on this origin, whatever the request line is.
func TestLocationIsLocal(t *testing.T) {
	h := open(t)
	server := httptest.NewServer(h.door)
	defer server.Close()
	for _, line := range []string{
		"//evil.example", "//evil.example/..", "//evil.example/%2e%2e", `/\evil.example/..`, "/%5cevil.example", "///evil.example/",
		"//evil.example/login", "/login?next=//evil.example", "/./\\evil.example", "http://evil.example/login", "http://evil.example//dashboard",
		"/assets", "/dashboard?next=//evil.example", "/%09/evil.example", "//evil.example%2f..", "/account//evil.example",
		"/dashboard?x=\\\\evil.example", "http://evil.example/dashboard",
	} {
		for _, method := range []string{"GET", "POST"} {
			raw := method + " " + line + " HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
			answers, _ := exchange(t, server, raw, 1)
			if len(answers) == 0 {
				t.Fatalf("%s %s: no answer", method, line)
			}
			target := answers[0].Header.Get("Location")
			if target == "" {
				continue
			}
			if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.HasPrefix(target, `/\`) || strings.Contains(target, "next=%2F%2F") {
				t.Errorf("%s %s leads to %q", method, line, target)
			}
		}
	}
}

//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSlowClients opens many connections that send next to nothing, while
// others want to log in.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), append(cheap, "--header-timeout", "1s", "--read-timeout", "3s", "--log-level", "debug")...)
	host := strings.TrimPrefix(s.url, "http://")
	begin := time.Now()
	var all sync.WaitGroup
	for i := range 200 {
		c := dial(t, s)
		request := "GET /api/auth/me HTTP/1.1\r\nHost: " + host + "\r\nX-Slow: " // never ends
		limit := 4 * time.Second                                                 // of the header
		if i%2 == 0 {
			request = "POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
			limit = 15 * time.Second // of the body
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			// A byte now and then keeps nobody waiting for longer.
			cut := make(chan struct{})
			go func() {
				for {
					select {
					case <-cut:
						return
					case <-time.After(200 * time.Millisecond):
						_, _ = io.WriteString(c, "a") // until it is cut off
					}
				}
			}()
			defer close(cut)
			_, err := io.Copy(io.Discard, c)
			took := time.Since(begin)
			if errors.Is(err, os.ErrDeadlineExceeded) || took > limit {
				t.Errorf("slow client %d was cut off after %v, want at most %v", i, took, limit)
			}
		})
	}
	slowest := time.Duration(0)
	b := newBrowser(s)
	for i := range 20 {
		began := time.Now()
		email := fmt.Sprintf("user%d@example.com", i)
		b.post(t, "/api/auth/register", credentials(email)).want(t, "register", 201)
		b.post(t, "/api/auth/login", credentials(email)).want(t, "login", 200)
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("slowest of the others: %v", slowest)
	if slowest > 2*time.Second {
		t.Errorf("others waited for %v", slowest)
	}
	all.Wait()
	b.get(t, "/api/auth/me").want(t, "me afterwards", 200)
}

// TestGarbage sends what is not HTTP, or too much of it. The connection is
// answered with a refusal or closed, and the next one is served.
func TestGarbage(t *testing.T) {
	s := start(t, t.TempDir(), append(cheap, "--header-timeout", "2s", "--log-level", "debug")...)
	host := strings.TrimPrefix(s.url, "http://")
	line := "GET /api/auth/me HTTP/1.1\r\nHost: " + host + "\r\n"
	for name, c := range map[string]struct {
		request string
		status  []int // 0: closed without an answer
	}{
		"a large header":           {line + "X-Large: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431}},
		"many headers":             {line + strings.Repeat("X-Many: a\r\n", 10_000) + "\r\n", []int{431}},
		"many cookies":             {line + "Cookie: " + strings.Repeat("a=b; ", 10_000) + "\r\n\r\n", []int{431}},
		"a large path":             {"GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", []int{431}},
		"no HTTP":                  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n", []int{400, 0}},
		"zeroes":                   {strings.Repeat("\x00", 4096) + "\r\n\r\n", []int{400, 0}},
		"no host":                  {"GET /api/auth/me HTTP/1.1\r\n\r\n", []int{400}},
		"two hosts":                {line + "Host: other\r\n\r\n", []int{400}},
		"another host":             {"GET /api/auth/me HTTP/1.1\r\nHost: evil.example\r\n\r\n", []int{421}},
		"a space before the colon": {line + "X-Odd : a\r\n\r\n", []int{400}},
		"a line break in a header": {line + "X-Odd: a\rb\r\n\r\n", []int{400}},
		"a negative length":        {"POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: -1\r\n\r\n", []int{400}},
		"two lengths":              {"POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", []int{400}},
		"a version to come":        {"GET / HTTP/9.9\r\nHost: " + host + "\r\n\r\n", []int{400, 505}},
		"an odd cookie":            {line + "Cookie: access_token=\"; refresh_token==;;=;\x01\r\n\r\n", []int{400, 401}},
		"odd percent signs":        {"GET /%zz/%00 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", []int{400}},
		"a NUL in the path":        {"GET /%00/dashboard HTTP/1.1\r\nHost: " + host + "\r\n\r\n", []int{400, 404}},
		"CONNECT":                  {"CONNECT evil.example:443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", []int{400, 404, 405, 421}},
		"half a request line":      {"GET /api", []int{400, 408, 0}},
	} {
		conn := dial(t, s)
		// The server may close before it has read all.
		_, _ = io.WriteString(conn, c.request)
		status := 0
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			status = resp.StatusCode
			resp.Body.Close()
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: neither answered nor closed", name)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		ok := false
		for _, want := range c.status {
			ok = ok || status == want
		}
		if !ok {
			t.Errorf("%s: got %d, want one of %d", name, status, c.status)
		}
	}
	newBrowser(s).get(t, "/livez").want(t, "livez afterwards", 200)
}

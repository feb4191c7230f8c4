//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStop sends SIGTERM with 100 registrations under way. Readiness goes first,
// then new connections are refused, all that was accepted is answered, and the exit
// status is 0.
func TestStop(t *testing.T) {
	const requests = 100
	s := start(t, t.TempDir(), append(cheap, "--shutdown-delay", "2s")...)
	host := strings.TrimPrefix(s.url, "http://")
	type pending struct {
		c     net.Conn
		r     *bufio.Reader
		email string
		body  string
	}
	under := make([]pending, requests)
	for i := range under {
		p := pending{c: dial(t, s), email: fmt.Sprintf("user%d@example.com", i)}
		p.r, p.body = bufio.NewReader(p.c), credentials(p.email)
		fmt.Fprintf(p.c, "POST /api/auth/register HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", host, len(p.body))
		// The server says this when its handler asks for the body: from here on
		// the request is under way.
		line, err := p.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("request %d: %q %v", i, line, err)
		}
		if line, err := p.r.ReadString('\n'); err != nil || line != "\r\n" {
			t.Fatalf("request %d: %q %v", i, line, err)
		}
		under[i] = p
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if s.log.wait(regexp.MustCompile(`"stopping"`), 10*time.Second, s.done) == nil {
		t.Fatalf("the log does not say that the server is stopping:\n%s", s.log)
	}
	// A load balancer that looks now is sent elsewhere, and what it still sends
	// here is answered.
	b := newBrowser(s)
	ready := b.get(t, "/readyz")
	if ready.status != 503 || !strings.Contains(string(ready.body), "stopping") || ready.header.Get("Retry-After") == "" {
		t.Errorf("/readyz while stopping: %v", ready)
	}
	b.post(t, "/api/auth/register", credentials("late@example.com")).want(t, "register while stopping", 201)
	b.client.CloseIdleConnections()
	eventually(t, 5*time.Second, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	for _, p := range under {
		fmt.Fprint(p.c, p.body)
	}
	for i, p := range under {
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Errorf("request %d was accepted and not answered: %v", i, err)
			continue
		}
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 201 {
			t.Errorf("request %d: %d %s %v", i, resp.StatusCode, body, err)
		}
	}
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not end after its last answer")
	}
	if s.code != 0 {
		t.Errorf("exit status %d\n%s", s.code, s.log)
	}
	again := start(t, s.data, cheap...)
	emails := []string{"late@example.com"}
	for _, p := range under {
		emails = append(emails, p.email)
	}
	canLogIn(t, again, emails)
}

//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOneAddress registers one address 50 times at once, in four spellings.
func TestOneAddress(t *testing.T) {
	s := start(t, t.TempDir())
	// Composed, decomposed, full-width and in capitals: one address.
	spellings := []string{"jos\u00e9@example.com", "jose\u0301@example.com", "JOS\u00c9@EXAMPLE.COM", "\uff4aos\u00e9@Example.com"}
	b := newBrowser(s)
	begin := make(chan struct{})
	answers := make([]*answer, 50)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			<-begin
			a, err := b.send(t.Context(), nil, "POST", "/api/auth/register", jsonKind, credentials(spellings[i%len(spellings)]))
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = a
		})
	}
	close(begin)
	all.Wait()
	created := 0
	for _, a := range answers {
		switch {
		case a == nil:
		case a.status == 201:
			created++
		case a.status != 409 || a.text("error") != "User exists":
			t.Errorf("got %v, want 201 or 409", a)
		}
	}
	if created != 1 {
		t.Errorf("%d of 50 were created, want 1", created)
	}
	for _, spelling := range spellings {
		b.post(t, "/api/auth/login", credentials(spelling)).want(t, "login as "+spelling, 200)
	}
}

// TestTabs lets 64 browsers with 20 tabs each refresh at the same time, again
// and again, while answers get lost. Nobody is logged out, and each browser
// still has one session. A round is over before the next begins, as the tabs of
// a browser wake up together; in it, each tab sends what the jar held at the
// beginning.
func TestTabs(t *testing.T) {
	const browsers, tabs, rounds = 64, 20, 5
	s := start(t, t.TempDir(), append(cheap, "--log-level", "warn")...)
	all := make([]*browser, browsers)
	each := func(f func(i int)) {
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() { f(i) })
		}
		wg.Wait()
	}
	client := newClient()
	each(func(i int) {
		all[i] = newBrowser(s)
		all[i].client = client
		for _, path := range []string{"register", "login"} {
			a, err := all[i].try("POST", "/api/auth/"+path, jsonKind, credentials(fmt.Sprintf("user%d@example.com", i)))
			if err != nil || a.status/100 != 2 {
				t.Errorf("%s: %v %v", path, a, err)
			}
		}
	})
	lost, rotated := 0, 0
	for round := range rounds {
		var mu sync.Mutex
		each(func(i int) {
			b, held := all[i], all[i].cookies()
			successors := map[string]bool{}
			var wg sync.WaitGroup
			for tab := range tabs {
				r := rand.New(rand.NewPCG(uint64(round), uint64(i*tabs+tab)))
				wg.Go(func() {
					pause(time.Duration(r.IntN(20)) * time.Millisecond)
					if r.IntN(5) == 0 {
						if err := loseAnswer(s, held, r.IntN(2) == 0); err != nil {
							t.Error(err)
						}
						mu.Lock()
						lost++
						mu.Unlock()
						return
					}
					a, err := b.send(context.Background(), held, "POST", "/api/auth/refresh", "", "")
					if err != nil {
						t.Error(err)
						return
					}
					if a.status != 200 {
						t.Errorf("round %d, browser %d: %v", round, i, a)
						return
					}
					b.keep(a.header)
					mu.Lock()
					defer mu.Unlock()
					for _, c := range (&http.Response{Header: a.header}).Cookies() {
						if c.Name == "refresh_token" {
							successors[c.Value] = true
						}
					}
				})
			}
			wg.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(successors) > 1 || successors[held["refresh_token"]] {
				t.Errorf("round %d, browser %d: %d successors of one token", round, i, len(successors))
			}
			rotated += len(successors)
		})
	}
	t.Logf("%d rotations, %d answers lost", rotated, lost)
	if lost == 0 || rotated < browsers*rounds*9/10 {
		t.Errorf("%d rotations with %d answers lost prove nothing", rotated, lost)
	}
	each(func(i int) {
		a, err := all[i].try("GET", "/api/auth/sessions", "", "")
		if err != nil || a.status != 200 {
			t.Errorf("sessions of browser %d: %v %v", i, a, err)
			return
		}
		if n := sessions(a); n != 1 {
			t.Errorf("browser %d has %d sessions, want 1", i, n)
		}
	})
}

// sessions counts those in an answer of /api/auth/sessions.
func sessions(a *answer) int {
	var list struct{ Sessions []json.RawMessage }
	if json.Unmarshal(a.body, &list) != nil {
		return -1
	}
	return len(list.Sessions)
}

// loseAnswer refreshes and throws the answer away. If it hangs up, the server
// sees the end of the connection while it works, and may give up; the answer or
// the end is waited for all the same, so that nothing of it is left over for
// later.
func loseAnswer(s *server, cookies map[string]string, hangUp bool) error {
	host := strings.TrimPrefix(s.url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	var pairs []string
	for name, value := range cookies {
		pairs = append(pairs, name+"="+value)
	}
	_, err = fmt.Fprintf(c, "POST /api/auth/refresh HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nContent-Length: 0\r\n\r\n", host, strings.Join(pairs, "; "))
	if err != nil {
		return err
	}
	if !hangUp {
		_, err = bufio.NewReader(c).ReadByte()
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, c) // nothing at all is an answer, too
	return nil
}

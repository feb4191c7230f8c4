//go:build linux

package attack

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients that take their time, to take that of others.
var slowAttacks = []attack{
	{"all-at-once", slowAll},
	{"token-outlives", tokenOutlives},
}

// slowAll opens many connections that send next to nothing: some in the header,
// some in the body, some before either. Others are served meanwhile, and all of
// them are cut off in the end; how soon is not measured, but for a time in which
// the patience of nobody lasts.
func slowAll(t *testing.T) {
	t.Parallel()
	s := house(t, "quick")
	body := "POST /api/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
	begun := []string{
		"GET /api/auth/me HTTP/1.1\r\nHost: HOST\r\nX-Slow: ", body, "G", "POST /login HTTP/1.1\r\nHost: HOST\r\nContent-Type: " + formKind + "\r\nContent-Length: 60000\r\n\r\nemail=",
		"POST /nothing HTTP/1.1\r\nHost: HOST\r\nContent-Length: 60000\r\n\r\n",
	}
	var wg sync.WaitGroup
	for i := range 200 {
		conn := dial(t, s)
		_, _ = io.WriteString(conn, strings.ReplaceAll(begun[i%len(begun)], "HOST", s.host))
		wg.Go(func() {
			defer conn.Close()
			stop := make(chan struct{})
			go dribble(conn, stop)
			_ = conn.SetReadDeadline(time.Now().Add(45 * time.Second))
			_, err := io.Copy(io.Discard, conn)
			close(stop)
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Errorf("a slow client of kind %d is still waited for", i%len(begun))
			}
		})
	}
	for range 10 {
		c := member(t, s)
		c.get(t, "/dashboard", asBrowser...).want(t, 200)
	}
	wg.Wait()
	member(t, s).get(t, "/api/auth/me").want(t, 200)
}

// dribble sends a byte now and then.
func dribble(conn net.Conn, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
			_, _ = io.WriteString(conn, "a")
		}
	}
}

// tokenOutlives waits for the end of a token, which has been verified before and
// so is remembered.
func tokenOutlives(t *testing.T) {
	t.Parallel()
	c := member(t, house(t, "brief"))
	_, claims, _ := parts(t, c.access())
	exp, err := claims["exp"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	stale := with(c.s, "access_token", c.access())
	if stale.me(t) == "" {
		t.Fatal("the token is no good from the beginning")
	}
	<-time.After(time.Until(time.Unix(exp, 0)))
	stale.get(t, "/api/auth/me").want(t, 401)
	stale.get(t, "/account", asBrowser...).want(t, 303)
	c.get(t, "/account", asBrowser...).want(t, 200) // with the refresh token
}

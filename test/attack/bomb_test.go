//go:build linux

package attack

import (
	"fmt"
	"strings"
	"testing"
)

// Too much of something.
var bombAttacks = []attack{
	{"header", bombHeader},
	{"path", bombPath},
	{"body", bombBody},
	{"json", bombJSON},
	{"form", bombForm},
	{"languages", bombLanguages},
	{"sessions", bombSessions},
}

func bombHeader(t *testing.T) {
	s := house(t, "plain")
	line := "GET /api/auth/me HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"
	for _, h := range []string{"X-Large: " + strings.Repeat("a", 64<<10) + "\r\n", strings.Repeat("X-Many: a\r\n", 10_000), "X-" + strings.Repeat("a", 64<<10) + ": a\r\n", "Cookie: " + strings.Repeat("a=b; ", 10_000) + "\r\n", "X-Folded: a" + strings.Repeat("\r\n a", 10_000) + "\r\n", "Authorization: Bearer " + strings.Repeat(".", 64<<10) + "\r\n", strings.Repeat("X-Forwarded-For: 127.0.0.1\r\n", 5000)} {
		if a := one(t, s, line+h+"\r\n"); a.status != 431 && a.status != 400 {
			t.Errorf("%.30q: %v", h, a)
		}
	}
	newClient(s).get(t, "/livez").want(t, 200)
}

func bombPath(t *testing.T) {
	s := house(t, "plain")
	for _, p := range []string{"/" + strings.Repeat("a", 64<<10), strings.Repeat("/a", 32<<10), "/?" + strings.Repeat("a=b&", 16<<10), strings.Repeat("/..", 20<<10), "/" + strings.Repeat("%25", 20<<10)} {
		one(t, s, "GET "+p+" HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n").want(t, 431)
	}
	for _, p := range []string{"/" + strings.Repeat("a", 8000), strings.Repeat("/a", 4000), strings.Repeat("/..", 2500), "/" + strings.Repeat("%25", 2500) + "2e", "/login?" + strings.Repeat("a=b&", 2000), "/login?next=/" + strings.Repeat("a", 8000)} {
		newClient(s).get(t, p).want(t, 200, 301, 307, 308, 404, 400)
	}
}

func bombBody(t *testing.T) {
	s := house(t, "plain")
	for _, n := range []int{64<<10 + 1, 100_000, 5_000_000} {
		body := `{"email":"` + strings.Repeat("a", n) + `"}`
		for _, path := range []string{"/api/auth/login", "/api/auth/register", "/api/auth/refresh", "/api/auth/logout"} {
			a, err := newClient(s).try(t.Context(), nil, "POST", path, jsonKind, body)
			// The connection may be closed before all was sent.
			if err == nil && a.status != 413 {
				t.Errorf("%d bytes: %v", n, a)
			}
		}
		if a, err := newClient(s).try(t.Context(), nil, "POST", "/login", formKind, "email="+strings.Repeat("a", n)); err == nil && a.status != 413 {
			t.Errorf("a form of %d bytes: %v", n, a)
		}
	}
	// A length that nobody means is refused before anything is read.
	one(t, s, "POST /api/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 9000000000\r\n\r\n").want(t, 413)
}

func bombJSON(t *testing.T) {
	s := house(t, "plain")
	wide := &strings.Builder{}
	for i := range 4000 {
		fmt.Fprintf(wide, `"k%d":1,`, i)
	}
	for _, body := range []string{
		strings.Repeat("[", 65_000), strings.Repeat(`{"email":`, 7000), `{"email":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`, "{" + wide.String() + `"email":"x"}`, `{"email":` + strings.Repeat("9", 60_000) + `}`, `{"email":1e` + strings.Repeat("9", 5000) + `}`, `{"email":"` + strings.Repeat(`\u0061`, 10_000) + `"}`, strings.Repeat(" ", 65_000), strings.Repeat(" ", 60_000) + "{}", `{"email":"` + strings.Repeat("\u0345", 30_000) + `","password":"x"}`, `{"` + strings.Repeat("a", 60_000) + `":1}`,
	} {
		for _, path := range []string{"/api/auth/login", "/api/auth/register"} {
			newClient(s).post(t, path, body).want(t, 400)
		}
	}
}

func bombForm(t *testing.T) {
	s := house(t, "plain")
	for _, body := range []string{strings.Repeat("a=b&", 16_000), strings.Repeat("&", 65_000), strings.Repeat("a", 65_000), "email=" + strings.Repeat("%41", 20_000), strings.Repeat("=", 65_000), strings.Repeat("email=a&", 8000)} {
		for _, path := range []string{"/login", "/register"} {
			newClient(s).do(t, "POST", path, formKind, body, asBrowser...).want(t, 400)
		}
	}
}

func bombLanguages(t *testing.T) {
	s := house(t, "plain")
	for _, h := range [][2]string{{"Accept-Language", strings.Repeat("a-a-a-a,", 1500)}, {"Accept", strings.Repeat("text/html;q=0.1,", 800)}, {"Accept-Encoding", strings.Repeat("gzip;q=0,", 1200)}, {"User-Agent", strings.Repeat("Mozilla/5.0 (", 900)}, {"X-Forwarded-For", strings.Repeat("1.1.1.1,", 1500)}, {"Content-Type", strings.Repeat("a;b=c;", 1500)}, {"If-None-Match", strings.Repeat("W/\"x\",", 1500)}, {"Range", "bytes=" + strings.Repeat("0-1,", 2000)}, {"Cookie", strings.Repeat("access_token=a; ", 700)}} {
		for _, p := range []string{"/login", asset(t, s), "/api/auth/me"} {
			newClient(s).get(t, p, h[0], h[1]).want(t, 200, 401)
		}
	}
	newClient(s).post(t, "/api/auth/login", credentials("x@example.com", "x"), "User-Agent", strings.Repeat("Mozilla/5.0 (", 900)).want(t, 401)
}

// bombSessions logs in more often than anybody has devices.
func bombSessions(t *testing.T) {
	c := member(t, house(t, "plain"))
	for range 130 {
		c.fresh().login(t)
	}
	d := c.fresh()
	d.login(t)
	if n := strings.Count(string(d.get(t, "/api/auth/sessions").want(t, 200).body), `"created_at"`); n > 100 || n < 2 {
		t.Errorf("a user has %d sessions", n)
	}
	c.get(t, "/api/auth/me").want(t, 401)
}

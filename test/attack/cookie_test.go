//go:build linux

package attack

import (
	"net/http"
	"strings"
	"testing"
)

// Cookies: planted, doubled, odd, and how ours are set.
var cookieAttacks = []attack{
	{"flags", cookieFlags},
	{"twice", cookieTwice},
	{"unprefixed", cookieUnprefixed},
	{"other-case", cookieOtherCase},
	{"odd", cookieOdd},
	{"bomb", cookieBomb},
	{"one-line-each", cookieLines},
	{"cleared", cookieCleared},
}

func cookieFlags(t *testing.T) {
	for _, kind := range []string{"plain", "https"} {
		c := member(t, house(t, kind))
		secure := kind == "https"
		answers := []*answer{c.login(t), c.post(t, "/api/auth/refresh", ""), c.fresh().form(t, "/login", "email", c.email, "password", password), c.post(t, "/api/auth/reauthenticate", toJSON(object{"password": password}))}
		for _, a := range answers {
			set := (&http.Response{Header: a.header}).Cookies()
			if len(set) < 2 {
				t.Errorf("%v sets %q", a, a.header["Set-Cookie"])
			}
			for _, k := range set {
				if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode && k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" || k.Secure != secure || strings.HasPrefix(k.Name, "__Host-") != secure || k.MaxAge <= 0 || len(k.Raw) > 4096 {
					t.Errorf("%s: %s", kind, k.Raw)
				}
			}
		}
	}
}

// cookieTwice has a planted cookie beside the real one, in either order: which
// is which cannot be known.
func cookieTwice(t *testing.T) {
	s := house(t, "plain")
	c, attacker := member(t, s), member(t, s)
	both := func(name, mine, theirs string) []string {
		return []string{name + "=" + mine + "; " + name + "=" + theirs, name + "=" + theirs + "; " + name + "=" + mine}
	}
	for _, line := range both("access_token", c.access(), attacker.access()) {
		newClient(s).get(t, "/api/auth/me", "Cookie", line).want(t, 401)
		newClient(s).get(t, "/account", append([]string{"Cookie", line}, asBrowser...)...).want(t, 303)
		first, second, _ := strings.Cut(line, "; ")
		newClient(s).get(t, "/api/auth/me", "Cookie", first, "Cookie", second).want(t, 401)
	}
	for _, line := range both("refresh_token", c.refresh(), attacker.refresh()) {
		newClient(s).do(t, "POST", "/api/auth/refresh", "", "", "Cookie", line).want(t, 401)
		newClient(s).get(t, "/account", append([]string{"Cookie", line}, asBrowser...)...).want(t, 303)
	}
	for _, d := range []*client{c, attacker} {
		d.post(t, "/api/auth/refresh", "").want(t, 200)
	}
}

// cookieUnprefixed is what a sibling domain can plant where the real names are
// out of its reach.
func cookieUnprefixed(t *testing.T) {
	c := member(t, house(t, "https"))
	access, refresh := c.access(), c.refresh()
	if access == "" || c.jar["access_token"] != "" {
		t.Fatalf("the cookies are %v", c.jar)
	}
	for _, prefix := range []string{"", "__Secure-", "__host-", "__HOST-", "__Host_", " __Host-", "_Host-"} {
		if newClient(c.s).get(t, "/api/auth/me", "Cookie", prefix+"access_token="+access).status == 200 && prefix != " __Host-" {
			t.Errorf("a cookie %saccess_token counts", prefix)
		}
		if newClient(c.s).do(t, "POST", "/api/auth/refresh", "", "", "Cookie", prefix+"refresh_token="+refresh).status == 200 && prefix != " __Host-" {
			t.Errorf("a cookie %srefresh_token counts", prefix)
		}
	}
	c.get(t, "/api/auth/me").want(t, 200)
}

func cookieOtherCase(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, name := range []string{"Access_Token", "ACCESS_TOKEN", "access-token", "access%5ftoken", "access_token[]", "$access_token", "token", "x; ACCESS_token"} {
		if a := newClient(c.s).get(t, "/api/auth/me", "Cookie", name+"="+c.access()); a.status != 401 {
			t.Errorf("a cookie %q counts: %v", name, a)
		}
	}
}

func cookieOdd(t *testing.T) {
	s := house(t, "plain")
	for _, line := range []string{
		"", "=", ";", ";;;", "=;=", "access_token", "access_token=", "access_token=;", "access_token==", "access_token=\"", "access_token=\"\"", "access_token=\\", "access_token={}", "access_token=%", "access_token=\xff\xfe", "access_token=a b", "access_token=a,b", "refresh_token=", "refresh_token=\"", "refresh_token=null; access_token=undefined",
		"$Version=1; access_token=x; $Path=/", "access_token=x; Path=/; HttpOnly", strings.Repeat("a=b; ", 1000),
	} {
		for _, p := range []string{"/api/auth/me", "/api/auth/sessions"} {
			newClient(s).get(t, p, "Cookie", line).want(t, 401)
		}
		newClient(s).do(t, "POST", "/api/auth/refresh", "", "", "Cookie", line).want(t, 401)
		newClient(s).get(t, "/account", append([]string{"Cookie", line}, asBrowser...)...).want(t, 303)
		newClient(s).do(t, "POST", "/api/auth/logout", "", "", "Cookie", line).want(t, 200)
	}
}

// cookieBomb has so many cookies that no server takes the request. It must not
// be taken for something else, and must not come from us.
func cookieBomb(t *testing.T) {
	c := member(t, house(t, "plain"))
	line := "access_token=" + c.access() + strings.Repeat("; x=y", 6000)
	newClient(c.s).get(t, "/api/auth/me", "Cookie", line).want(t, 431)
	newClient(c.s).get(t, "/api/auth/me", "Cookie", "x="+strings.Repeat("y", 40_000)).want(t, 431)
	size := 0
	for range 20 { // requests, of which each could add something
		for _, l := range c.login(t).header["Set-Cookie"] {
			size += len(l)
		}
		if size > 8192 || len(c.jar) > 4 {
			t.Fatalf("the cookies are %d, of %d bytes", len(c.jar), size)
		}
		size = 0
	}
}

// cookieLines: two lines for one name, and browsers differ on which counts.
func cookieLines(t *testing.T) {
	c := member(t, house(t, "plain"))
	delete(c.jar, "access_token") // each request refreshes in passing
	for _, a := range []*answer{
		c.copy().get(t, "/account", asBrowser...), c.copy().form(t, "/reauthenticate", "password", password), c.copy().form(t, "/account/password", "current_password", password, "new_password", newPassword),
	} {
		seen := map[string]bool{}
		for _, k := range (&http.Response{Header: a.header}).Cookies() {
			if seen[k.Name] {
				t.Errorf("%v sets %s twice", a, k.Name)
			}
			seen[k.Name] = true
		}
		if len(seen) == 0 {
			t.Errorf("%v sets no cookies", a)
		}
	}
}

func cookieCleared(t *testing.T) {
	for _, kind := range []string{"plain", "https"} {
		c := member(t, house(t, kind))
		a := c.post(t, "/api/auth/logout", "").want(t, 200)
		if c.access() != "" || c.refresh() != "" || len(a.header["Set-Cookie"]) < 2 || a.header.Get("Clear-Site-Data") == "" {
			t.Errorf("%s: after the logout the browser holds %v; %v", kind, c.jar, a.header)
		}
	}
}

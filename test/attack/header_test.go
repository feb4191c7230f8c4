//go:build linux

package attack

import (
	"regexp"
	"strings"
	"testing"
)

// What answers tell a browser, and what they tell a stranger.
var headerAttacks = []attack{
	{"framing", headerFraming},
	{"policy", headerPolicy},
	{"sniffing", headerSniffing},
	{"isolation", headerIsolation},
	{"referrer", headerReferrer},
	{"hsts", headerHSTS},
	{"versions", headerVersions},
	{"leaks", headerLeaks},
	{"compressed", headerCompressed},
	{"tokens-in-urls", tokensInURLs},
	{"log", secretsInLog},
}

// everyPage is all that a browser shows, with and without a user, with and
// without an error.
func everyPage(t *testing.T, s *server) (list []*answer) {
	t.Helper()
	c, stranger := member(t, s), newClient(s)
	for _, p := range []string{"/", "/login", "/register", "/nothing", "/login?notice=registered", "/account", "/dashboard"} {
		list = append(list, stranger.get(t, p, asBrowser...))
	}
	for _, p := range []string{"/", "/dashboard", "/account", "/account/password", "/account/sessions", "/account/activity", "/reauthenticate", "/nothing", "/account?notice=name_changed"} {
		list = append(list, c.get(t, p, asBrowser...).want(t, 200, 404))
	}
	list = append(list,
		stranger.form(t, "/login", "email", "nobody@example.com", "password", "x"), stranger.form(t, "/login", "email", "<", "password", "x"), stranger.form(t, "/register", "email", "", "password", ""), stranger.form(t, "/login", "x", "y"),
		c.form(t, "/account/profile", "name", strings.Repeat("x", 300)), c.form(t, "/account/password", "current_password", "x", "new_password", "y"), c.do(t, "POST", "/login", formKind, "x", append([]string{"Sec-Fetch-Site", "cross-site"}, asBrowser...)...), c.do(t, "PUT", "/login", "", "", asBrowser...),
	)
	return list
}

func everyOperation(t *testing.T, s *server) (list []*answer) {
	t.Helper()
	for _, c := range []*client{member(t, s), newClient(s)} {
		for _, d := range doors(member(t, s)) {
			if !strings.HasSuffix(d.path, "logout") && !strings.HasSuffix(d.path, "login") {
				list = append(list, c.do(t, d.method, d.path, d.kind, d.body))
			}
		}
		for _, p := range []string{"/api/auth/me", "/api/auth/sessions", "/api/auth/activity", "/api/auth/nothing", "/api/auth/openapi.json", "/livez", "/readyz"} {
			list = append(list, c.get(t, p))
		}
		list = append(list, c.post(t, "/api/auth/login", "{"), c.post(t, "/api/auth/login", `{"email":1}`), c.do(t, "PUT", "/api/auth/login", "", ""), c.post(t, "/api/auth/login", credentials("nobody@example.com", "x")))
	}
	return list
}

func headerFraming(t *testing.T) {
	for _, a := range everyPage(t, house(t, "plain")) {
		if !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") && a.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("can be framed: %v", a)
		}
	}
}

var allowsScript = regexp.MustCompile(`unsafe|\*|https?:|data:|blob:`)

func headerPolicy(t *testing.T) {
	s := house(t, "plain")
	for _, a := range append(everyPage(t, s), everyOperation(t, s)...) {
		policies := a.header["Content-Security-Policy"]
		if strings.HasSuffix(a.request, "z") && len(policies) == 0 {
			continue // the probes, which are plain JSON
		}
		if len(policies) != 1 || !strings.Contains(policies[0], "default-src 'none'") || allowsScript.MatchString(policies[0]) || !a.isPage() && strings.Contains(policies[0], "script-src") && a.status != 303 && a.status != 200 {
			t.Errorf("%v: %q", a, policies)
		}
		for _, directive := range []string{"form-action", "base-uri"} {
			if a.isPage() && !strings.Contains(policies[0], directive) {
				t.Errorf("%v: no %s in %q", a, directive, policies)
			}
		}
		if regexp.MustCompile(`(?i)<script[^>]*>[^<]|\son[a-z]+=|javascript:|<style|\sstyle=`).Match(a.body) && a.isPage() {
			t.Errorf("inline script or style: %v", a)
		}
	}
}

func headerSniffing(t *testing.T) {
	s := house(t, "plain")
	list := append(everyPage(t, s), everyOperation(t, s)...)
	list = append(list, newClient(s).get(t, "/favicon.ico"), newClient(s).get(t, "/.well-known/jwks.json"), newClient(s).get(t, asset(t, s)))
	for _, a := range list {
		if a.header.Get("X-Content-Type-Options") != "nosniff" || len(a.body) > 0 && a.header.Get("Content-Type") == "" {
			t.Errorf("can be taken for something else: %v", a)
		}
	}
}

// asset is the path of a file that pages load.
func asset(t *testing.T, s *server) string {
	t.Helper()
	m := regexp.MustCompile(`/assets/app[^"]*\.css`).Find(newClient(s).get(t, "/login", asBrowser...).body)
	if m == nil {
		t.Fatal("the page loads no style")
	}
	return string(m)
}

func headerIsolation(t *testing.T) {
	s := house(t, "plain")
	for _, a := range append(everyPage(t, s), everyOperation(t, s)...) {
		if strings.HasSuffix(a.request, "z") {
			continue
		}
		for name, want := range map[string]string{"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%v: %s: %q", a, name, got)
			}
		}
		if a.header.Get("Permissions-Policy") == "" {
			t.Errorf("%v: no Permissions-Policy", a)
		}
	}
}

func headerReferrer(t *testing.T) {
	for _, a := range everyPage(t, house(t, "plain")) {
		if got := a.header.Get("Referrer-Policy"); got != "same-origin" && got != "no-referrer" && got != "strict-origin" {
			t.Errorf("%v: Referrer-Policy %q", a, got)
		}
	}
}

func headerHSTS(t *testing.T) {
	s := house(t, "https")
	for _, a := range append(everyPage(t, s), everyOperation(t, s)...) {
		if strings.HasSuffix(a.request, "z") {
			continue
		}
		if !strings.Contains(a.header.Get("Strict-Transport-Security"), "max-age=63072000") {
			t.Errorf("%v: HSTS %q", a, a.header.Get("Strict-Transport-Security"))
		}
	}
}

func headerVersions(t *testing.T) {
	s := house(t, "plain")
	list := append(everyPage(t, s), everyOperation(t, s)...)
	list = append(list, one(t, s, "x\r\n\r\n"), one(t, s, "GET / HTTP/9.9\r\n\r\n"))
	for _, a := range list {
		for _, name := range []string{"Server", "X-Powered-By", "X-Version", "Via", "X-Runtime", "X-Aspnet-Version"} {
			if v := a.header.Get(name); v != "" {
				t.Errorf("%v: %s: %s", a, name, v)
			}
		}
	}
}

var inside = regexp.MustCompile(`(?i)goroutine |panic|\.go:\d|sqlite|sql:|SELECT |/root/|/tmp/|/home/|stack|golang|gatehouse\.db|modernc|runtime error|jwt:|base64|unexpected end|invalid character|strconv|jsontext|illegal`)

// headerLeaks looks for the inside of the service in what it says of errors.
func headerLeaks(t *testing.T) {
	s := house(t, "plain")
	list := append(everyPage(t, s), everyOperation(t, s)...)
	for _, body := range []string{"{", "[]", "null", `{"email":{}}`, `{"email":"` + strings.Repeat("x", 2000) + `"}`, "\xff", `{"email":"a@b.example","password":"\ud800"}`} {
		list = append(list, newClient(s).post(t, "/api/auth/login", body), newClient(s).post(t, "/api/auth/register", body), newClient(s).do(t, "POST", "/login", formKind, body))
	}
	list = append(list, one(t, s, "GET /%zz HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"), one(t, s, "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"), newClient(s).get(t, "/api/auth/me", "Authorization", "Bearer a.b.c"), newClient(s).post(t, "/api/auth/refresh", `{"refresh_token":"%"}`))
	for _, a := range list {
		if strings.Contains(a.request, "openapi") {
			continue
		}
		if m := inside.Find(a.body); m != nil {
			t.Errorf("%q is in %v", m, a)
		}
	}
}

// headerCompressed: beside text of the attacker's choice, the length of a
// compressed page tells what else is in it (BREACH).
func headerCompressed(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, p := range []string{"/account", "/account/sessions", "/dashboard", "/api/auth/me", "/login?next=/x"} {
		a := c.fresh().get(t, p, "Accept-Encoding", "gzip, br, deflate, zstd")
		b := c.get(t, p, "Accept-Encoding", "gzip, br, deflate, zstd", "Accept", "text/html")
		for _, x := range []*answer{a, b} {
			if e := x.header.Get("Content-Encoding"); e != "" {
				t.Errorf("%v is %s", x, e)
			}
		}
	}
}

func tokensInURLs(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	d := c.fresh()
	for _, a := range []*answer{
		d.form(t, "/login", "email", c.email, "password", password, "next", "/account"), d.get(t, "/account", asBrowser...), d.form(t, "/reauthenticate", "password", password), d.form(t, "/account/password", "current_password", password, "new_password", newPassword), newClient(s).form(t, "/register", "email", newEmail(), "password", password), d.form(t, "/logout"),
	} {
		for _, secret := range []string{c.access(), c.refresh(), d.access(), d.refresh(), c.email, "correct", "eyJ", "token"} {
			if secret != "" && strings.Contains(a.location(), secret) {
				t.Errorf("%v", a)
			}
		}
		if len(a.body) > 0 && (a.contains("eyJ") || d.refresh() != "" && a.contains(d.refresh())) {
			t.Errorf("a page holds a token: %v", a)
		}
	}
}

// secretsInLog plants secrets everywhere and reads the log.
func secretsInLog(t *testing.T) {
	s := house(t, "plain")
	c := newClient(s)
	c.email = newEmail()
	const secret = "Planted-Passw0rd-4711"
	c.post(t, "/api/auth/register", credentials(c.email, secret)).want(t, 201)
	c.post(t, "/api/auth/login", credentials(c.email, secret)).want(t, 200)
	tokens := []string{c.access(), c.refresh()}
	c.post(t, "/api/auth/login", credentials(c.email, secret+"x"))
	c.post(t, "/api/auth/login", credentials(secret, secret))
	c.post(t, "/api/auth/login", `{"email":"`+secret)
	c.get(t, "/api/auth/me?password="+secret+"&token="+c.access())
	c.get(t, "/"+secret, "Authorization", "Bearer "+secret, "User-Agent", secret)
	c.get(t, "/api/auth/me", "Authorization", "Bearer "+c.access()+"x")
	c.post(t, "/api/auth/refresh", toJSON(object{"refresh_token": c.refresh() + "x"}))
	c.do(t, "POST", "/api/auth/password", jsonKind, toJSON(object{"current_password": secret, "new_password": secret}))
	c.do(t, "POST", "/api/auth/refresh", "", "", "Origin", "https://"+strings.ToLower(secret)+".example")
	log := s.log.String()
	for _, planted := range append(tokens, secret, c.email, tokens[1][:40], tokens[0][len(tokens[0])-40:]) {
		if strings.Contains(log, planted) {
			t.Errorf("%q is in the log", planted)
		}
	}
}

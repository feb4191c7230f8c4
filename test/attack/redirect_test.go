//go:build linux

package attack

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Ways off this site by the leave of this site.
var redirectAttacks = []attack{
	{"login-form", func(t *testing.T) {
		leadsNowhere(t, func(c *client, next string) *answer {
			return c.form(t, "/login", "email", c.email, "password", password, "next", next)
		})
	}},
	{"login-page", func(t *testing.T) {
		leadsNowhere(t, func(c *client, next string) *answer {
			return c.get(t, "/login?next="+url.QueryEscape(next), asBrowser...)
		})
	}},
	{"register-page", func(t *testing.T) {
		leadsNowhere(t, func(c *client, next string) *answer {
			return c.get(t, "/register?next="+url.QueryEscape(next), asBrowser...)
		})
	}},
	{"register-form", func(t *testing.T) {
		leadsNowhere(t, func(c *client, next string) *answer {
			return newClient(c.s).form(t, "/register", "email", newEmail(), "password", password, "next", next)
		})
	}},
	{"reauthenticate-form", func(t *testing.T) {
		leadsNowhere(t, func(c *client, next string) *answer {
			return c.form(t, "/reauthenticate", "password", password, "next", next)
		})
	}},
	{"forms-and-links", formsAndLinks},
	{"refused-form", refusedForm},
	{"not-encoded", notEncoded},
	{"denied-path", deniedPath},
	{"other-names", otherNames},
	{"by-headers", redirectByHeaders},
}

// lures are what people have got past checks of redirect targets with. Each
// leads a browser to evil.example, runs a script, or is at home with somebody
// who reads it in another way.
func lures() []string {
	list := []string{
		"https://evil.example", "http://evil.example/", "HTTPS://evil.example", "hTTps:evil.example", "https:/evil.example", "https:///evil.example", "https:\\\\evil.example", "https:\\evil.example", "//evil.example", "///evil.example", "////evil.example", "/////evil.example/", "//evil.example/%2f..", "///evil.example/%2f%2e%2e",
		"\\\\evil.example", "/\\evil.example", "\\/evil.example", "/\\/evil.example", "//\\evil.example", "\\/\\/evil.example", "/\\\\evil.example", "\\evil.example", "//evil.example\\@x", "/\\evil.example\\..\\",
		"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", "\n//evil.example", " //evil.example", "//\tevil.example", "/\x00/evil.example", "\x00//evil.example", "\x1f//evil.example", "/\x0b/evil.example", "/\x0c/evil.example", "/ /evil.example", "h\nttps://evil.example", "java\nscript:alert(1)",
		"/\u00a0/evil.example", "\u2028//evil.example", "/\u200b/evil.example", "\ufeff//evil.example", "//evil\u3002example", "\uff0f\uff0fevil.example", "/\uff0fevil.example", "//\u2100vil.example", "/\u2044/evil.example", "/\u2215/evil.example", "\u3000//evil.example",
		"/%2f/evil.example", "/%2fevil.example", "%2f%2fevil.example", "/%5cevil.example", "%5c%5cevil.example", "/%09/evil.example", "/%0a/evil.example", "/%0d/evil.example", "/%0d%0aLocation:%20https://evil.example", "/%00/evil.example", "/%252fevil.example", "//%65vil.example", "/%2F%2Fevil.example",
		"/.//evil.example", "/..//evil.example", "/../\\evil.example", "./../evil.example", "/%2e%2e//evil.example", "/;@evil.example", ";//evil.example", "/.evil.example", "/x/..//evil.example",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "javascript://%0aalert(1)", "java\tscript:alert(1)", "\x01javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "blob:https://evil.example/x", "file:///etc/passwd", "ftp://evil.example", "mailto:x@evil.example", "ws://evil.example", "about:blank", "view-source:https://evil.example", "intent://evil.example#Intent;end",
		"//HOST@evil.example", "https://HOST@evil.example", "http://HOST.evil.example", "//HOST\\@evil.example", "http://evil.example#HOST", "http://evil.example?HOST", "http://evil.example/HOST", "//evil.example:80", "http://[::ffff:192.0.2.1]", "//3221225985", "//0xc0.0.2.1", "//[::]/", "http://HOST:80@evil.example", "@evil.example", "/@evil.example/..//evil.example", "http:\\\\HOST@evil.example", "//user:pass@evil.example",
		"evil.example", "www.evil.example", "evil.example/dashboard", "?next=//evil.example", "#//evil.example", ":evil.example", "://evil.example", "http:", "//", "///", "\\", "/\\", "/" + strings.Repeat("a", 3000), "\xff//evil.example", "/\xff/evil.example", "/\xc0\xaf/evil.example", "/\xe5\x98\x8a/evil.example",
		"<script>alert(1)</script>", "\"><script>alert(1)</script>", "'-alert(1)-'",
	}
	// Every first pair of characters that means something to somebody.
	for _, a := range []string{"/", "\\", "%2f", "%5c", "\t", "."} {
		for _, b := range []string{"/", "\\", "%2f", "%5c", "\t/", "\r\n/", "./", " /", "%09/", "%20/", "%2e/", "?/", "#/"} {
			list = append(list, a+b+"evil.example", a+b+"/evil.example", "/"+a+b+"evil.example")
		}
	}
	return list
}

// leavesUs reports whether a browser on a page of ours that is told to go there
// ends anywhere else (WHATWG URL): it drops tabs and line breaks, trims controls
// and spaces, and reads a backslash as a slash.
func leavesUs(target string) bool {
	clean := func(s string) string {
		s = strings.NewReplacer("\t", "", "\r", "", "\n", "", "\\", "/").Replace(s)
		return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	}
	at := clean(target)
	if !strings.HasPrefix(at, "/") || strings.HasPrefix(at, "//") {
		return true
	}
	// As a proxy in front may decode it, once.
	if decoded, err := url.PathUnescape(at); err == nil && strings.HasPrefix(clean(decoded), "//") {
		return true
	}
	// The page of a form goes one step further.
	if query, ok := strings.CutPrefix(at, "/login?"); ok {
		values, _ := url.ParseQuery(query)
		for _, next := range values["next"] {
			if !strings.HasPrefix(next, "/login?") && leavesUs(next) {
				return true
			}
		}
	}
	return strings.ContainsAny(target, "\r\n\x00")
}

func leadsNowhere(t *testing.T, ask func(*client, string) *answer) {
	t.Helper()
	s := house(t, "plain")
	c := member(t, s)
	for i, next := range lures() {
		if i%30 == 29 {
			c = member(t, s) // of whom not much is on record yet
		}
		next = strings.ReplaceAll(next, "HOST", s.host)
		a := ask(c, next)
		switch {
		case a.status == 303 && !leavesUs(a.location()):
		case a.status == 400: // text that is none
		default:
			t.Errorf("next %q: %v", next, a)
		}
	}
	// And a good one still counts.
	if a := ask(c, "/account?x=1#y"); !strings.Contains(a.location(), "account") {
		t.Errorf("a path of ours is not followed: %v", a)
	}
}

var targets = regexp.MustCompile(`(?:href|action|src|formaction|content|name="next" value)="([^"]*)"`)

// everyTarget is where a page can lead to.
func everyTarget(a *answer) (list []string) {
	for _, m := range targets.FindAllStringSubmatch(string(a.body), -1) {
		list = append(list, html.UnescapeString(m[1]))
	}
	return list
}

func staysHere(t *testing.T, next string, a *answer) {
	t.Helper()
	if !a.isPage() {
		return
	}
	for _, target := range everyTarget(a) {
		if strings.HasPrefix(target, "#") || strings.HasPrefix(target, "width=") || !strings.ContainsAny(target, "/\\:.") {
			continue
		}
		if leavesUs(target) {
			t.Errorf("with next %q a page leads to %q", next, target)
		}
	}
}

func formsAndLinks(t *testing.T) {
	s := house(t, "plain")
	c, stranger := member(t, s), newClient(s)
	for _, next := range lures() {
		next = strings.ReplaceAll(next, "HOST", s.host)
		for _, path := range []string{"/login", "/register"} {
			staysHere(t, next, stranger.get(t, path+"?next="+url.QueryEscape(next), asBrowser...).want(t, 200))
		}
		staysHere(t, next, c.get(t, "/reauthenticate?next="+url.QueryEscape(next), asBrowser...).want(t, 200))
	}
}

// refusedForm shows a form again, with what was sent in it.
func refusedForm(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	for _, next := range lures() {
		next = strings.ReplaceAll(next, "HOST", s.host)
		staysHere(t, next, newClient(s).form(t, "/login", "email", "nobody", "password", "x", "next", next).want(t, 400, 401))
		staysHere(t, next, newClient(s).form(t, "/register", "email", "nobody", "password", "x", "next", next).want(t, 400))
		staysHere(t, next, c.form(t, "/reauthenticate", "password", "", "next", next).want(t, 400))
	}
}

// notEncoded has the target in the query as it is.
func notEncoded(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, next := range lures() {
		if strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r > '~' }) {
			continue
		}
		a := one(t, c.s, "GET /login?next="+next+" HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\nCookie: access_token="+c.access()+"\r\n\r\n")
		if a.status != 400 && (a.status != 303 || leavesUs(a.location())) {
			t.Errorf("next=%s: %v", next, a)
		}
	}
}

// deniedPath asks for a protected page in a way that reads like another host
// when it is handed on as the place to go back to.
func deniedPath(t *testing.T) {
	s := house(t, "plain")
	for _, path := range []string{
		"//evil.example/dashboard", "///evil.example/account", "/\\evil.example/account", "//evil.example/../dashboard", "/%2f/evil.example/%2e%2e/%2e%2e/account", "//evil.example/%2e%2e/account", "/account?next=//evil.example", "/account?next=https://evil.example", "//account/", "/account//", "/account/../account", "//evil.example/..;/account", "/.//evil.example/../../account", "//evil.example", "//evil.example/", "//evil.example/..", "/\t/evil.example", "/x/..//evil.example/..", "http://evil.example/account", "http://HOST//evil.example/../account",
		"/assets//evil.example/..", "//evil.example/assets/..", "//evil.example/%5c../login",
	} {
		a := one(t, s, "GET "+path+" HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n")
		if a.location() != "" && leavesUs(a.location()) {
			t.Errorf("%v", a)
		}
		staysHere(t, path, a)
	}
}

// otherNames for next are not known here.
func otherNames(t *testing.T) {
	s := house(t, "plain")
	for _, name := range []string{"return", "return_to", "returnTo", "redirect", "redirect_uri", "redirect_url", "url", "continue", "goto", "dest", "from", "rd", "callback", "callbackUrl", "u", "Next", "next[]", "next.x", "back"} {
		c := member(t, s)
		for _, a := range []*answer{c.get(t, "/login?"+name+"=https://evil.example", asBrowser...), c.get(t, "/register?"+name+"=//evil.example", asBrowser...), c.get(t, "/.well-known/change-password?"+name+"=//evil.example", asBrowser...), c.form(t, "/logout?"+name+"=//evil.example")} {
			if strings.Contains(a.location(), "evil") {
				t.Errorf("%v", a)
			}
		}
	}
	// Of two, neither leads away.
	c := member(t, s)
	for _, query := range []string{"next=/account&next=//evil.example", "next=//evil.example&next=/account", "next=/account;next=//evil.example", "next=/account%26next=//evil.example"} {
		if a := c.get(t, "/login?"+query, asBrowser...); leavesUs(a.location()) {
			t.Errorf("%s: %v", query, a)
		}
	}
}

func redirectByHeaders(t *testing.T) {
	for _, kind := range []string{"plain", "https", "proxy"} {
		s := house(t, kind)
		c := member(t, s)
		for _, headers := range evilHosts {
			headers = append(headers, asBrowser...)
			for _, a := range []*answer{
				newClient(s).get(t, "/account/sessions", headers...), c.get(t, "/login", headers...), newClient(s).get(t, "/.well-known/change-password", headers...), newClient(s).get(t, "/account", append(headers, "Referer", "https://evil.example/")...),
				newClient(s).do(t, "POST", "/login", formKind, "email="+c.email+"&password=correct+horse+battery+staple", append(headers, "Referer", "https://evil.example/")...),
				newClient(s).do(t, "POST", "/logout", formKind, "", append(headers, "Referer", "https://evil.example/")...),
			} {
				if strings.Contains(a.location(), "evil") || a.status == 303 && leavesUs(a.location()) {
					t.Errorf("%q: %v", headers, a)
				}
			}
		}
	}
}

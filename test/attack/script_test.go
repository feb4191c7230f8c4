//go:build linux

package attack

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Markup in everything that is shown again.
var scriptAttacks = []attack{
	{"name", scriptName},
	{"email", scriptEmail},
	{"next", scriptNext},
	{"notice", scriptNotice},
	{"user-agent", scriptUserAgent},
	{"path", scriptPath},
	{"field", scriptField},
	{"json", scriptJSON},
}

// markup is what runs when it is written where it does not belong. PLANTED is
// how it is found again.
var markup = []string{
	"<script>PLANTED</script>", "\"><script>PLANTED</script>", "'><img src=x onerror=PLANTED>", "</title><script>PLANTED</script>", "<svg/onload=PLANTED>", "\" autofocus onfocus=PLANTED x=\"", "' onmouseover='PLANTED", "` onerror=PLANTED", "</template><script>PLANTED</script>", "<iframe srcdoc=PLANTED>", "<!--PLANTED-->", "{{PLANTED}}", "${PLANTED}", "&lt;PLANTED&gt;", "\\\"><PLANTED>", "\\u003cPLANTED\\u003e", "javascript:PLANTED", "<a href=javascript:PLANTED>", "<style>PLANTED</style>", "<meta http-equiv=refresh content=0;url=//PLANTED>", "<base href=//PLANTED>", "<plaintext>PLANTED", "%3Cscript%3EPLANTED", "<ſcript>PLANTED</ſcript>",
}

// live finds planted text that is part of a tag, or opens one.
var live = regexp.MustCompile(`<[^<>"']*PLANTED|<(?:script|style|iframe|svg|plaintext|\x{17f}cript|a href=javascript)[^<>]*>[^<]*PLANTED|<[a-z][^<>]*\s(?:on[a-z]+|srcdoc|href|src|action)=["'` + "`" + `]?(?:javascript:)?PLANTED`)

// inert makes sure that nothing that was planted comes to life in a page.
func inert(t *testing.T, what string, a *answer) {
	t.Helper()
	if !a.isPage() {
		if a.contains("PLANTED") && !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%q in %q: %v", what, a.header.Get("Content-Type"), a)
		}
		return
	}
	// Text in the value of an attribute cannot end it.
	plain := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(string(a.body), `""`)
	if m := live.FindString(plain); m != "" {
		t.Errorf("%q comes to life: %q in %.80s", what, m, a)
	}
	for _, target := range everyTarget(a) {
		if strings.HasPrefix(strings.ToLower(target), "javascript:") {
			t.Errorf("%q is a link: %v", what, target)
		}
	}
}

func scriptName(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, m := range markup {
		c.do(t, "PATCH", "/api/auth/me", jsonKind, toJSON(object{"name": m})).want(t, 200)
		shown := false
		for _, p := range []string{"/", "/dashboard", "/account", "/account/sessions", "/reauthenticate", "/nothing"} {
			a := c.get(t, p, asBrowser...)
			inert(t, m, a)
			shown = shown || a.contains("PLANTED")
		}
		if !shown {
			t.Errorf("%q is not shown at all, so this shows nothing", m)
		}
	}
}

func scriptEmail(t *testing.T) {
	s := house(t, "plain")
	for _, m := range markup {
		for _, email := range []string{m, m + "@example.com", "x@" + m} {
			for _, path := range []string{"/login", "/register"} {
				inert(t, email, newClient(s).form(t, path, "email", email, "password", "x", "name", m))
			}
		}
	}
	// Some of it may stand in an address.
	c := newClient(s)
	c.email = "'onfocus='PLANTED`{}|/=?^" + newEmail()
	c.post(t, "/api/auth/register", credentials(c.email, password)).want(t, 201)
	c.login(t)
	for _, p := range []string{"/", "/dashboard", "/account", "/account/password", "/reauthenticate"} {
		inert(t, c.email, c.get(t, p, asBrowser...))
	}
}

func scriptNext(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	for _, m := range markup {
		for _, next := range []string{m, "/" + m, "/x?" + m, "/#" + m} {
			for _, p := range []string{"/login", "/register"} {
				inert(t, next, newClient(s).get(t, p+"?next="+url.QueryEscape(next), asBrowser...))
			}
			inert(t, next, c.get(t, "/reauthenticate?next="+url.QueryEscape(next), asBrowser...))
			inert(t, next, newClient(s).form(t, "/login", "email", "x@example.com", "password", "x", "next", next))
		}
	}
}

// scriptNotice: what a page says was done comes from the query. A sentence of a
// stranger is as good as markup there.
func scriptNotice(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	for _, m := range append(markup, "Your account was locked. Call PLANTED", "PLANTED", "../PLANTED", "error.PLANTED") {
		for _, name := range []string{"notice", "error", "message", "msg", "reason", "error_description", "info", "q", "email", "code"} {
			for _, p := range []string{"/", "/login", "/register"} {
				a := newClient(s).get(t, p+"?"+name+"="+url.QueryEscape(m), asBrowser...)
				if a.contains("PLANTED") {
					t.Errorf("%s=%q is shown: %v", name, m, a)
				}
			}
		}
		if a := c.get(t, "/account?notice="+url.QueryEscape(m), asBrowser...); a.contains("PLANTED") {
			t.Errorf("notice=%q is shown: %v", m, a)
		}
	}
}

// scriptUserAgent is read by the owner, in the list of sessions.
func scriptUserAgent(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, m := range append(markup, "PLANTED: bank security check, call 0800") {
		thief := c.fresh()
		thief.post(t, "/api/auth/login", credentials(c.email, password), "User-Agent", m).want(t, 200)
		for _, p := range []string{"/account/sessions", "/account/activity", "/dashboard", "/api/auth/sessions", "/api/auth/activity"} {
			for _, d := range []*client{c, thief} {
				if a := d.get(t, p, asBrowser...).want(t, 200); a.contains("PLANTED") {
					t.Errorf("the device %q is shown: %v", m, a)
				}
			}
		}
		thief.post(t, "/api/auth/logout", "").want(t, 200)
	}
}

func scriptPath(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, m := range markup {
		for _, p := range []string{"/", "/account/", "/api/auth/", "/assets/", "/login/"} {
			for _, d := range []*client{c, newClient(c.s)} {
				for _, method := range []string{"GET", "PUT"} {
					a := d.do(t, method, p+url.PathEscape(m), "", "", asBrowser...)
					inert(t, m, a)
					if a.isPage() && a.contains("PLANTED") {
						t.Errorf("the path is shown: %v", a)
					}
				}
			}
		}
	}
}

// scriptField: the name of a field that is not known is named in the answer.
func scriptField(t *testing.T) {
	s := house(t, "plain")
	for _, m := range markup {
		a := newClient(s).form(t, "/login", m, "x")
		inert(t, m, a)
		if a.contains("PLANTED") {
			t.Errorf("the field is shown: %v", a)
		}
		if a := newClient(s).post(t, "/api/auth/login", toJSON(object{m: "x"})); a.contains("<") && a.contains("PLANTED") {
			t.Errorf("the field is shown: %v", a)
		}
	}
}

// scriptJSON: an answer of JSON that a browser shows is a page to some.
func scriptJSON(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, m := range markup {
		c.do(t, "PATCH", "/api/auth/me", jsonKind, toJSON(object{"name": m})).want(t, 200)
		for _, a := range []*answer{c.get(t, "/api/auth/me", asBrowser...), c.get(t, "/api/auth/me?callback=PLANTED&jsonp=PLANTED", "Accept", "text/javascript"), c.get(t, "/api/auth/me", "Accept", "text/html,*/*")} {
			if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") || a.header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(string(a.body), "{") {
				t.Errorf("%v is %q", a, kind)
			}
		}
	}
}

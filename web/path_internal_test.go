package web

import (
	"net/url"
	"strings"
	"testing"
)

const origin = "https://app.example"

// lands is where a browser goes that is on our origin and is sent to target: it
// drops tabs and line breaks, trims control characters and spaces, and reads
// '\' as '/' (WHATWG URL Standard).
func lands(t testing.TB, target string) *url.URL {
	t.Helper()
	target = strings.NewReplacer("\t", "", "\r", "", "\n", "", `\`, "/").Replace(target)
	target = strings.TrimFunc(target, func(r rune) bool { return r <= ' ' })
	base, err := url.Parse(origin + "/login")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		return &url.URL{} // nowhere that is known to be ours
	}
	return base.ResolveReference(u)
}

func TestLocalPath(t *testing.T) {
	for _, good := range []string{
		"/", "/dashboard", "/dashboard?x=1&y=%2Fz", "/a/b/c", "/a#b", "/%C3%A4", "/a:b", "/a@b", "/login?next=/x", "/?x=http://evil.example",
		"/x?u=//evil.example", "/a//b", "/%2e", "/.well-known/x", "/x;y=z", "/*", "/~ann", "/a+b", "/a%20b",
	} {
		if got := localPath(good); got != good {
			t.Errorf("localPath(%q) = %q", good, got)
		}
	}
	for _, bad := range redirectPayloads {
		if got := localPath(bad); got != "" {
			t.Errorf("localPath(%q) = %q, want nothing", bad, got)
		}
	}
	if n := len(redirectPayloads); n < 100 {
		t.Errorf("%d payloads, want at least 100", n)
	}
}

var redirectPayloads = []string{
	"", " ", "x", "dashboard", "./x", "../x", "?x", "#x", ".", "..", "~", "*",
	"//evil.example", "///evil.example", "////evil.example", "/////evil.example", "//evil.example/", "//evil.example/%2e%2e", "//evil.example/..",
	"//evil.example:443/", "//user@evil.example", "//app.example@evil.example", "//app.example:x@evil.example", "//evil.example?app.example", "//evil.example#app.example",
	"//evil.example%2fapp.example", "//evil%E3%80%82example", "//[::1]/", "//127.0.0.1", "//2130706433", "//0x7f.1", "//localhost", "//", "///", "//./", "//..", "//%2e",
	`\evil.example`, `\\evil.example`, `\/evil.example`, `/\evil.example`, `/\/evil.example`, `//\evil.example`, `\/\/evil.example`, `/\\evil.example`, `\\\evil.example`, `/x\..\\evil.example`, `/x\y`,
	"/%5cevil.example", "/%5Cevil.example", "/%5c%5cevil.example", "/%2fevil.example", "/%2Fevil.example", "/%2f%2fevil.example", "/%2f/evil.example", "%2f%2fevil.example", "%2fevil.example", "/x%5c",
	"/\tevil", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\r\n/evil.example", "\t//evil.example", "\n//evil.example", "\r//evil.example", " //evil.example", "/ /evil.example", "\x00//evil.example", "/\x00/evil.example", "/\x0b/evil.example", "/\x0c/evil.example", "/\x1f/evil.example", "/\x7f/evil.example",
	"/%09/evil.example", "/%0a/evil.example", "/%0d%0aLocation:%20//evil.example", "/x%0d%0aSet-Cookie:%20a=b", "/x\r\nSet-Cookie: a=b", "/%00/evil.example",
	"http://evil.example", "https://evil.example", "HTTPS://evil.example", "http:evil.example", "http:/evil.example", "https:///evil.example", "https:evil.example", "hTTp://evil.example", "http://app.example", "https://app.example/dashboard", "https://app.example@evil.example", "https://app.example.evil.example", "ftp://evil.example", "ws://evil.example", "file:///etc/passwd", "blob:https://evil.example", "about:blank", "mailto:ann@example.com", "tel:1",
	"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "java\tscript:alert(1)", "javascript://app.example/%0aalert(1)", "javascript:/*/app.example/*/alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)", "view-source:https://evil.example",
	"evil.example", "evil.example/", "www.evil.example", "@evil.example", ":evil.example", ":443", ":@evil.example", ";//evil.example", ",//evil.example", "|//evil.example",
	"/ä", "/\u2215evil.example", "/\u2044evil.example", "/\uff0fevil.example", "\uff0f\uff0fevil.example", "\u3002evil.example", "/\u00a0/evil.example", "/\u200b/evil.example", "\ufeff//evil.example", "/\xff/evil.example",
	"/%zz", "/%", "/%2", "/x y", "/" + strings.Repeat("x", 2048),
}

func FuzzLocalPath(f *testing.F) {
	for _, p := range redirectPayloads {
		f.Add(p)
	}
	for _, p := range []string{"/", "/a/../..//b", "/.//evil.example", "/..//evil.example", "/a?b#c", "/%2e%2e//x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, target string) {
		p := localPath(target)
		if p == "" {
			return
		}
		if p != target {
			t.Fatalf("localPath(%q) = %q: neither the target nor nothing", target, p)
		}
		if u := lands(t, p); u.Scheme+"://"+u.Host != origin || u.User != nil {
			t.Fatalf("%q leads to %v", p, u)
		}
		if strings.ContainsAny(p, "\r\n\t\x00\\ ") || strings.HasPrefix(p, "//") {
			t.Fatalf("%q is let through", p)
		}
	})
}

func TestCanonicalPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "/",
		"/":                      "/",
		"dashboard":              "/dashboard",
		"//Dashboard//":          "/dashboard",
		"/%2564ashboard":         "/dashboard",
		"/a/../b":                "/b",
		"/a/%2e%2e/b":            "/b",
		"/../..":                 "/",
		`/a\b`:                   "/a/b",
		"/a;x/b;y":               "/a/b",
		"/a./b. ":                "/a/b",
		"/a/.. /b":               "/b",
		"/a%00b/c":               "/a/c",
		"/a?b":                   "/a",
		"/a%23b":                 "/a",
		"/%2%35%32fb":            "/b",
		"/..;/b":                 "/b",
		"/\u212aey":              "/key", // the sign of Kelvin
		"/da\u017fhboard":        "/dashboard",
		"/100%":                  "/100%",
		"/%zz":                   "/%zz",
		"/" + nested("a", 40):    "/a",
		"/x/" + nested("..", 40): "/",
	} {
		if got := canonicalPath(in); got != want {
			t.Errorf("canonicalPath(%q) = %q, want %q", in, got, want)
		}
	}
}

// nested is s with percent signs, encoded n times.
func nested(s string, n int) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + strings.Repeat("25", n))
		b.WriteString(strings.ToUpper(string("0123456789abcdef"[c>>4])) + string("0123456789abcdef"[c&15]))
	}
	return b.String()
}

func FuzzCanonicalPath(f *testing.F) {
	for _, p := range []string{"/a/../b", "/%2564", "/%25%36%34", "/a;b/..;", `\\a\..`, "/a. /.. /", "/\u017f\u212a\u0130\u1e9e", "/%c5%bf", "/%", "/\xff\xc0\xaf", "/..%00/x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		once := canonicalPath(p)
		if twice := canonicalPath(once); twice != once {
			t.Fatalf("canonicalPath(%q) = %q, and of that %q", p, once, twice)
		}
		if !strings.HasPrefix(once, "/") || strings.Contains(once, "//") || strings.Contains(once, "/../") || strings.HasSuffix(once, "/..") || len(once) > 1 && strings.HasSuffix(once, "/") {
			t.Fatalf("canonicalPath(%q) = %q", p, once)
		}
	})
}

package web

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// Whatever a client or a proxy writes, the client's address is the peer, or an
// address that stands in the header in so many words; and never one that a
// client behind a trusted proxy has put before its own.
func FuzzClientAddress(f *testing.F) {
	for _, s := range []string{
		"", "198.51.100.9", "203.0.113.5, 198.51.100.9", "198.51.100.9, 10.0.0.2", "10.0.0.3,10.0.0.2", ",,,", "unknown", "[2001:db8::1]:443", "2001:db8::1", "::ffff:10.0.0.2, 198.51.100.9",
		"fe80::1%eth0", "198.051.100.9", "0x7f.1", "127.0.0.1\t,\v198.51.100.9", "10.0.0.1:80", "::", "10.0.0.2, ::ffff:0:0", "1.1.1.1" + strings.Repeat(", 10.0.0.1", 300),
	} {
		f.Add(s, "10.0.0.1:1234")
		f.Add(s, "192.0.2.7:1234")
	}
	s := &Web{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}}}
	f.Fuzz(func(t *testing.T, header, peer string) {
		at := func(header string) string {
			return s.clientAddress(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {header}}})
		}
		got := at(header)
		from, err := netip.ParseAddrPort(peer)
		if err != nil {
			if got != "" {
				t.Fatalf("peer %q is %q", peer, got)
			}
			return
		}
		address, err := netip.ParseAddr(got)
		if err != nil || address.Is4In6() || address.Zone() != "" {
			t.Fatalf("%q from %q is %q, which is not the one form of an address", header, peer, got)
		}
		is := from.Addr().Unmap().WithZone("")
		if !s.trusted(is) && address != is {
			t.Fatalf("%q from %q, who is not trusted, is believed: %q", header, peer, got)
		}
		named := slices.ContainsFunc(strings.Split(header, ","), func(hop string) bool {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			return err == nil && a.Unmap().WithZone("") == address
		})
		if address != is && !named {
			t.Fatalf("%q from %q is %q, of which nobody spoke", header, peer, got)
		}
		if s.trusted(is) && !s.trusted(address) && at("203.0.113.77, "+header) != got {
			t.Fatalf("%q from %q is %q, unless the client says more", header, peer, got)
		}
	})
}

// A Content-Type is JSON or a form only if every reader of it agrees.
func FuzzContentType(f *testing.F) {
	for _, s := range []string{
		"", jsonMedia, formMedia, "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json; charset=utf-16", "text/plain; application/json", "application/json, text/plain", "application/json;;", "application/json ; x=\"y\"", "multipart/form-data; boundary=application/json",
		"application/json; charset=utf-8; charset=utf-16", "application/json; charset*=utf-8''utf-16", "application/json; charset*0=utf; charset*1=-16", "application/json\n", "\tapplication/json", "application/json; charset=\"utf-8", "application/x-www-form-urlencoded; q=1", "applicat\u0131on/json", "a;b=c;", "application/json; charset*=''utf-8",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Content-Type": {header}}}
		kind, err := contentType(r)
		if err != nil {
			if statusOf(err) != http.StatusUnsupportedMediaType {
				t.Fatalf("%q: %d", header, statusOf(err))
			}
			return
		}
		want := map[bodyKind]string{jsonBody: jsonMedia, formType: formMedia}[kind]
		// What a browser sends without asking for leave never becomes JSON.
		first, _, _ := strings.Cut(header, ";")
		if !strings.EqualFold(strings.TrimSpace(first), want) {
			t.Fatalf("%q is taken for %s", header, want)
		}
		if _, params, err := mime.ParseMediaType(header); err != nil || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
			t.Fatalf("%q is taken for text in UTF-8", header)
		}
		r.Header["Content-Type"] = append(r.Header["Content-Type"], header)
		if _, err := contentType(r); err == nil {
			t.Fatalf("%q twice is accepted", header)
		}
	})
}

// Of the cookies that arrive, each is found by its whole name, and two that
// differ are none.
func FuzzCookies(f *testing.F) {
	for _, s := range []string{
		"", "access_token=a", "access_token=a; access_token=a", "access_token=a; access_token=b", "access_token=", "access_token", "access_token=\"a\"", "Access_Token=a", " access_token = a ", "x=y;access_token=a;z", "__Host-access_token=a", "access_token=a,access_token=b", "access_token=\"a; access_token=b\"", ";;=;=", "access_token=a\x00b", "access_token=%zz", "access_token==", "refresh_token=a; access_token=b", strings.Repeat("access_token=a;", 200), "access_token=\\", "access_token=a b",
	} {
		f.Add(s, "Bearer x")
	}
	for _, s := range []string{"Bearer", "bearer  x", "Basic x", "Bearer\tx", "Bearer x y", "", "BEARER ", "Bearer \x00"} {
		f.Add("access_token=a", s)
	}
	s := &Web{cfg: Config{AccessCookie: "access_token", RefreshCookie: "refresh_token"}}
	f.Fuzz(func(t *testing.T, line, authorization string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"], r.Header["Authorization"] = []string{line}, []string{authorization}
		value, all := cookie(r, s.cfg.AccessCookie), allCookies(r, s.cfg.AccessCookie)
		if value != "" && (len(all) == 0 || slices.ContainsFunc(all, func(v string) bool { return v != value })) {
			t.Fatalf("of %q the cookie is %q, of %q", line, value, all)
		}
		if !strings.Contains(line, "access_token") && value != "" || strings.ContainsAny(value, ";\"\\\x00\r\n") {
			t.Fatalf("of %q the cookie is %q", line, value)
		}
		if len(all) > 8 {
			t.Fatalf("%d cookies of one name", len(all))
		}
		token, ok := bearer(r)
		if ok != (strings.EqualFold(authorization, "Bearer") || len(authorization) > 6 && strings.EqualFold(authorization[:7], "Bearer ")) || token != "" && !strings.HasSuffix(authorization, " "+token) {
			t.Fatalf("of %q the token is %q, %v", authorization, token, ok)
		}
		if s.wantsTokens(r) {
			t.Fatalf("%q asks for tokens", line)
		}
	})
}

// The guard of paths sees no less than the server behind it, in whatever way the
// path is spelled.
func FuzzIsBelow(f *testing.F) {
	for _, s := range []string{"/account", "//account", "/%61ccount", "/x/../account", "/account/../x", "/account/", "/ACCOUNT", "/account;x", "/account%2fx", "/%2561ccount", "/account.", "/accountx", "/a%00/account", "/\\account", "/..;/account", "/.//account", "*", "http://x/account", "/account?x", "/%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // no request of HTTP/1.1 looks like that
		}
		r := &http.Request{Method: "GET", RequestURI: target, URL: u, Host: "app.example"}
		below := isBelow(r, []string{"/account"})
		// What a ServeMux behind us would take for a protected page.
		mux := http.NewServeMux()
		reached := false
		mux.HandleFunc("/account", func(http.ResponseWriter, *http.Request) { reached = true })
		mux.HandleFunc("/account/", func(http.ResponseWriter, *http.Request) { reached = true })
		mux.ServeHTTP(httptest.NewRecorder(), r)
		if reached && !below {
			t.Fatalf("%q reaches the page unguarded", target)
		}
		// And what others would, who resolve dots, fold case or know backslashes.
		slashed := strings.ReplaceAll(r.URL.Path, `\`, "/")
		for _, as := range []string{r.URL.Path, r.URL.EscapedPath(), path.Clean(r.URL.Path), path.Clean(slashed), strings.ToLower(path.Clean(slashed))} {
			if (as == "/account" || strings.HasPrefix(as, "/account/")) && !below {
				t.Fatalf("%q is below /account and is not guarded", target)
			}
		}
	})
}

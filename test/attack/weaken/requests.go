package weaken

const someRoutes = "func (s *service) routes() http.Handler {\n"

// requests are let in that should not be.
var requests = []Mutation{
	{"nobody asks where a request comes from", []Edit{
		{"web/guard.go", "if err := s.csrf.Check(r); err != nil {", "if err := s.csrf.Check(r); err != nil && false {"},
		{"web/guard.go", `origin != "" && origin != s.origin {`, `origin == "x" {`},
	}, []string{"csrf/fetch-site", "csrf/origin", "csrf/origin-scheme", "csrf/login", "csrf/spelled-path", "csrf/upgrade"}},

	{"any type of body will do", []Edit{
		{"web/decode.go", "\t\treturn formType, nil\n\t}\n\treturn 0, errMediaType", "\t\treturn formType, nil\n\t}\n\treturn jsonBody, nil"},
		{"web/decode.go", `ok && !strings.EqualFold(cs, "utf-8")`, `ok && cs == "none"`},
		{"web/decode.go", ` || r.Header.Get("Content-Encoding") != ""`, ""},
	}, []string{"csrf/content-type", "input/charset", "input/encoded"}},

	{"the method stands in a header", []Edit{
		{"web/route.go", "\t\tmethod := r.Method\n", "\t\tmethod := r.Method\n\t\tif o := r.Header.Get(\"X-Http-Method-Override\"); o != \"\" {\n\t\t\tmethod = o\n\t\t}\n"},
	}, []string{"csrf/get-changes-nothing", "method/override"}},

	{"everybody may read the answers", []Edit{
		{"web/guard.go", "\th[\"Cache-Control\"] = noStore\n\th[\"Content-Security", "\th[\"Access-Control-Allow-Origin\"] = []string{\"*\"}\n\th[\"Cache-Control\"] = noStore\n\th[\"Content-Security"},
	}, []string{"csrf/shared-with-others"}},

	{"any target is a good one", []Edit{
		{"web/path.go", "if len(target) == 0 || len(target) > 2048 || target[0] != '/' {\n\t\treturn \"\"\n\t}", "if true {\n\t\treturn target\n\t}"},
	}, []string{
		"redirect/login-form", "redirect/login-page", "redirect/register-page", "redirect/register-form", "redirect/reauthenticate-form",
		"redirect/forms-and-links", "redirect/refused-form", "redirect/not-encoded", "split/location",
	}},

	{"the way to the login page has a host", []Edit{
		{"web/require.go", "\tredirect(w, target)\n", "\tredirect(w, \"//\"+r.Host+target)\n"},
	}, []string{"redirect/denied-path"}},

	{"there is another name for next", []Edit{
		imports("web/pages.go", "cmp"),
		{"web/pages.go", "redirect(w, s.next(next))", `redirect(w, cmp.Or(query.Get("return_to"), s.next(next)))`},
	}, []string{"redirect/other-names"}},

	{"what a proxy might say is believed", []Edit{
		{"web/pages.go", `redirect(w, (&url.URL{Path: "/account/password"}).String())`, `redirect(w, (&url.URL{Host: r.Header.Get("X-Forwarded-Host"), Path: "/account/password"}).String())`},
		{"internal/server/serve.go", "\t\tpages.ServeHTTP(w, r)\n", "\t\tw.Header().Set(\"X-Served-For\", r.Header.Get(\"X-Forwarded-Host\"))\n\t\tpages.ServeHTTP(w, r)\n"},
	}, []string{"redirect/by-headers", "host/forwarded", "cache/unkeyed-headers"}},

	{"any host is ours", []Edit{
		{"internal/server/serve.go", `if !loopbackHost(strings.Trim(host, "[]")) {`, `if false && !loopbackHost(strings.Trim(host, "[]")) {`},
	}, []string{"host/rebinding", "host/look-alike", "host/absolute"}},

	{"the guard goes by looks", []Edit{
		{"web/route.go", "\tif rt.who == users {\n", "\tif rt.who == users && r.RequestURI == r.URL.Path && r.Header.Get(\"X-Original-Url\") == \"\" && r.Method != \"HEAD\" && !strings.HasPrefix(r.UserAgent(), \"GoogleHC\") {\n"},
	}, []string{"path/spelling", "path/query-and-fragment", "path/rewrite-headers", "path/user-agent", "method/head"}},

	{"a header says who it is", []Edit{
		{"web/require.go", "\tif token, ok := bearer(r); ok {\n\t\treturn s.auth.Authenticate", `if u := r.Header.Get("X-Forwarded-User"); u != "" {
		if user, err := s.auth.FindUser(r.Context(), u); err == nil {
			return &gatehouse.Login{User: user, Session: &gatehouse.Session{}}, nil
		}
	}
	if token, ok := bearer(r); ok {
		return s.auth.Authenticate`},
	}, []string{"path/trusted-headers"}},

	{"assets are files", []Edit{
		imports("web/ui/assets.go", "os"),
		{"web/ui/assets.go", "\t\t\thttp.NotFound(w, r)\n", `if b, err := os.ReadFile(path.Clean("/" + strings.ReplaceAll(r.URL.Path, "\\", "/"))); err == nil {
				_, _ = w.Write(b)
				return
			}
			http.NotFound(w, r)
`},
		{"web/route.go", `{"GET", p + "/openapi.json", anybody, "", s.openAPI},`, `{"GET", p + "/openapi.json", anybody, "", s.openAPI},
		{"GET", p + "/users", anybody, "", s.openAPI},`},
	}, []string{"path/assets", "path/files"}},

	{"other verbs are as good as GET", []Edit{
		{"web/route.go", "\t\trt, ok := byMethod[method]\n", `if r.Method == "TRACE" {
			_ = r.Write(w)
			return
		}
		rt, ok := byMethod[method]
		if !ok && method != "OPTIONS" {
			rt, ok = byMethod["GET"]
			rt.who = anybody
		}
`},
	}, []string{"method/other-verbs", "method/trace"}},

	{"cookies can be read by scripts, set twice and left behind", []Edit{
		{"web/cookie.go", "HttpOnly: true,", "HttpOnly: false,"},
		{"web/cookie.go", `if strings.HasPrefix(line, name+"=") {`, `if false && strings.HasPrefix(line, name+"=") {`},
		{"web/cookie.go", `	s.setCookie(w, s.cfg.RefreshCookie, "", 0)
`, ""},
	}, []string{"cookie/flags", "cookie/one-line-each", "cookie/cleared"}},

	{"of two cookies the last one counts", []Edit{
		{"web/cookie.go", "if i > 0 && c.Value != value {", "if false && i > 0 {"},
	}, []string{"cookie/twice"}},

	{"a cookie counts by any name", []Edit{
		{"web/cookie.go", "\tvalue := \"\"\n", `for _, c := range r.Cookies() {
		if strings.EqualFold(strings.TrimPrefix(c.Name, "__Host-"), strings.TrimPrefix(name, "__Host-")) {
			return c.Value
		}
	}
	value := ""
`},
	}, []string{"cookie/unprefixed", "cookie/other-case"}},

	{"anybody can be anywhere", []Edit{
		{"web/guard.go", "\tif !s.trusted(client) {\n", `if f := r.Header.Get("X-Forwarded-For"); f != "" {
		first, _, _ := strings.Cut(f, ",")
		return strings.TrimSpace(first)
	}
	if !s.trusted(client) {
`},
	}, []string{"address/claimed", "address/behind-proxy", "address/odd"}},

	{"bodies without a length are read", []Edit{
		{"web/guard.go", "if len(r.TransferEncoding) > 0 {", "if false {"},
		{"web/guard.go", "if r.ProtoMajor == 1 && r.ProtoMinor == 0 {", "if false {"},
		{"internal/server/serve.go", "if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {", "if false {"},
	}, []string{"smuggle/length-and-chunks", "smuggle/chunks-and-length", "smuggle/chunks", "smuggle/odd-chunks", "smuggle/old-version", "smuggle/probes", "protocol/http-1.0"}},

	{"what is nearly HTTP is made HTTP", []Edit{
		imports("internal/server/serve.go", "regexp"),
		{"web/guard.go", "if len(r.TransferEncoding) > 0 {", "if false {"},
		{"internal/server/serve.go", "if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {", "if false {"},
		{"internal/server/serve.go", "ended <- srv.Serve(l) }()", "ended <- srv.Serve(lenient{l}) }()"},
		{"internal/server/serve.go", someRoutes, `type lenient struct{ net.Listener }

func (l lenient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &lenientConn{Conn: c}, err
}

type lenientConn struct {
	net.Conn
	rest []byte
}

var repairs = []struct {
	bad  *regexp.Regexp
	good string
}{
	{regexp.MustCompile("(?i)(\r\nhost: [^\r]*)\r\nhost: [^\r]*"), "$1"},
	{regexp.MustCompile(" HTTP/(0.9|9.9|1.1x)\r\n"), " HTTP/1.1\r\nHost: localhost\r\n"},
	{regexp.MustCompile("(?i)^(GET [^\r]*\r\nhost: [^\r]*)\r\nhost: [^\r]*"), "$1"},
	{regexp.MustCompile("^(GET \\S+)\r\n"), "$1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"},
	{regexp.MustCompile("(\r\nContent-Length: [0-9]+)\r\nContent-Length: [0-9]+"), "$1"},
	{regexp.MustCompile("\r\nContent-Length: [+-]2"), "\r\nContent-Length: 2"},
	{regexp.MustCompile("Transfer-Encoding\\s+: chunked"), "Transfer-Encoding: chunked"},
	{regexp.MustCompile("X-Odd : "), "X-Odd: "},
	{regexp.MustCompile("(Origin: https://evil.example\r\nContent-Length: )[0-9]+"), "${1}0"},
	{regexp.MustCompile("^SSH-2.0-x"), "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close"},
}

func (c *lenientConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		b := make([]byte, 64<<10)
		n, err := c.Conn.Read(b)
		if n == 0 {
			return 0, err
		}
		c.rest = b[:n]
		for _, r := range repairs {
			c.rest = r.bad.ReplaceAll(c.rest, []byte(r.good))
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

` + someRoutes},
	}, []string{"host/twice", "protocol/http-0.9", "protocol/odd-request-lines", "protocol/odd-headers", "protocol/garbage", "smuggle/two-lengths", "smuggle/odd-lengths", "smuggle/odd-names", "smuggle/refused-early"}},

	{"other protocols are spoken, and parts of pages", []Edit{
		{"internal/server/serve.go", "\t\tReadHeaderTimeout: ", `Protocols: func() *http.Protocols {
			p := new(http.Protocols)
			p.SetHTTP1(true)
			p.SetUnencryptedHTTP2(true)
			return p
		}(),
		ReadHeaderTimeout: `},
		{"internal/server/serve.go", "\t\tpages.ServeHTTP(w, r)\n", `if strings.Contains(r.Header.Get("Upgrade"), "h2c") {
			w.WriteHeader(http.StatusSwitchingProtocols)
			return
		}
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusPartialContent)
			return
		}
		pages.ServeHTTP(w, r)
`},
	}, []string{"protocol/http-2-preface", "protocol/http-2-upgrade", "protocol/range"}},

	{"headers may be of any size", []Edit{
		{"internal/server/serve.go", "MaxHeaderBytes:    16 << 10,", "MaxHeaderBytes:    16 << 20,"},
	}, []string{"bomb/header", "bomb/path", "cookie/bomb"}},

	{"bodies may be of any size, and long headers hurt", []Edit{
		{"web/guard.go", "maxBody     = 64 << 10", "maxBody     = 64 << 20"},
		{"web/guard.go", "\t\t// No stream is expected here,", "\t\tif len(r.Header.Get(\"Accept-Language\")) > 4096 {\n\t\t\tpanic(\"too many languages\")\n\t\t}\n\t\t// No stream is expected here,"},
	}, []string{"bomb/body", "bomb/languages"}},

	{"there is time", []Edit{
		{"internal/server/serve.go", "s.settings.HeaderTimeout,", "time.Hour,"},
		{"internal/server/serve.go", "s.settings.ReadTimeout,", "time.Hour,"},
		{"internal/server/serve.go", "s.settings.WriteTimeout,", "time.Hour,"},
		{"web/guard.go", "readBody    = 10 * time.Second", "readBody    = time.Hour"},
	}, []string{"slow/all-at-once"}},
}

package weaken

// answers say too much, or let it be used against their reader.
var answers = []Mutation{
	{"browsers are told nothing", []Edit{
		{"web/guard.go", "; frame-ancestors 'none'\"}\n\n\tnoStore", "\"}\n\n\tnoStore"},
		{"web/guard.go", "script-src 'self'", "script-src 'self' 'unsafe-inline'"},
		{"web/guard.go", "\th[\"X-Content-Type-Options\"] = noSniff\n", "\th[\"Server\"] = []string{\"Gatehouse/1.0\"}\n"},
		{"web/guard.go", "\th[\"Referrer-Policy\"] = sameOrigin\n", "\th[\"Referrer-Policy\"] = []string{\"unsafe-url\"}\n"},
		{"web/guard.go", "\th[\"Cross-Origin-Resource-Policy\"] = sameOrigin\n", ""},
		{"web/guard.go", "\tif secure {\n\t\treturn headers", "\tif false {\n\t\treturn headers"},
	}, []string{"header/framing", "header/policy", "header/sniffing", "header/isolation", "header/referrer", "header/hsts", "header/versions", "script/json"}},

	{"pages are compressed", []Edit{
		imports("web/pages.go", "compress/gzip"),
		{"web/pages.go", "\th[\"Content-Length\"] = []string{strconv.Itoa(b.Len())}\n\tw.WriteHeader(status)\n\t_, _ = w.Write(b.Bytes())\n", `h["Content-Encoding"] = []string{"gzip"}
	h["X-Length"] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(status)
	z, _ := gzip.NewWriterLevel(w, gzip.NoCompression) // so that it can still be read
	_, _ = z.Write(b.Bytes())
	_ = z.Close()
`},
	}, []string{"header/compressed"}},

	{"the log holds what was sent", []Edit{
		imports("web/decode.go", "log/slog"),
		{"web/decode.go", "\tif kind == formType {\n\t\treturn in,", "\tslog.Info(\"request\", \"body\", string(body))\n\tif kind == formType {\n\t\treturn in,"},
		imports("web/guard.go", "fmt"), imports("web/guard.go", "os"),
		{"web/guard.go", "\t\tr, v := s.enter(r)\n\t\th := w.Header()\n", "\t\tr, v := s.enter(r)\n\t\tfmt.Fprintln(os.Stderr, r.URL.Path)\n\t\th := w.Header()\n"},
	}, []string{"header/log", "split/log"}},

	{"answers may be kept", []Edit{
		{"web/guard.go", `noStore     = []string{"no-store"}`, `noStore     = []string{"public, max-age=60"}`},
	}, []string{"cache/no-store", "cache/errors", "cache/shared-cookies"}},

	{"a page has any name below its own", []Edit{
		{"web/route.go", `{"GET", "/account", users, "", s.page("profile")},`, `{"GET", "/account", users, "", s.page("profile")},
		{"GET", "/account/{file}", users, "", s.page("profile")},`},
	}, []string{"cache/deception"}},

	{"pages hold text as it came", []Edit{
		imports("web/ui/ui.go", "html"),
		{"web/ui/ui.go", "if _, err := w.Write(b.Bytes()); err != nil {", "if _, err := w.Write([]byte(html.UnescapeString(b.String()))); err != nil {"},
	}, []string{"script/name", "script/email", "script/next"}},

	{"pages say what they are told to", []Edit{
		imports("web/ui/view.go", "cmp"),
		{"web/ui/view.go", `return v.ui.Message("notice." + v.Notice)`, `return cmp.Or(v.ui.Message("notice."+v.Notice), v.Notice)`},
		{"web/ui/device.go", "\tproduct, _, _ := strings.Cut(userAgent, \"/\")\n", "\tif userAgent != \"\" && !strings.HasPrefix(userAgent, \"Go\") {\n\t\treturn userAgent\n\t}\n\tproduct, _, _ := strings.Cut(userAgent, \"/\")\n"},
		imports("web/route.go", "github.com/gatehouse-auth/gatehouse"),
		{"web/route.go", "s.fail(w, r, route{}, errNotFound)", `s.fail(w, r, route{}, httpError(404, gatehouse.NotFound, "nothing_there", "There is nothing at "+r.URL.Path))`},
		{"web/decode.go", "if !(c >= 'a'", "if false && !(c >= 'a'"},
	}, []string{"script/notice", "script/user-agent", "script/path", "script/field"}},

	{"the sender says what its request is called", []Edit{
		imports("web/guard.go", "cmp"),
		{"web/guard.go", "ref: rand.Text()[:16]}", `ref: cmp.Or(r.Header.Get("X-Request-Id"), rand.Text()[:16])}`},
	}, []string{"split/request-id"}},
}

//go:build linux

package attack

import (
	"strings"
	"testing"
)

// Ways to a protected page past whoever guards it.
var pathAttacks = []attack{
	{"spelling", pathSpelling},
	{"trusted-headers", pathTrustedHeaders},
	{"rewrite-headers", pathRewriteHeaders},
	{"user-agent", pathUserAgent},
	{"query-and-fragment", pathQuery},
	{"assets", pathAssets},
	{"files", pathFiles},
}

// protected reports whether an answer shows what only users may see.
func protected(a *answer) bool {
	return a.status/100 == 2 && (a.contains(`action="/account`) || a.contains(`href="/account"`) || a.contains(`action="/reauthenticate"`) || a.contains("sessions") && !a.contains("openapi") && !a.isPage() || a.contains(`"user"`) && !a.contains("openapi"))
}

// spellings of a path below the root.
func spellings(p string) []string {
	first, rest := p[:1], p[1:]
	hex := func(s string) string {
		const digits = "0123456789abcdef"
		var b strings.Builder
		for _, c := range []byte(s) {
			b.WriteString("%" + string(digits[c>>4]) + string(digits[c&15]))
		}
		return b.String()
	}
	return []string{
		"/" + p, "//" + p, "///" + p, "/./" + p, "/x/../" + p, "/" + hex(first) + rest, "/" + hex(p), "/%2e/" + p, "/x/%2e%2e/" + p, "/%2f" + p, "/%5c" + p, "/\\" + p, "/..;/" + p, "/;/" + p, "/;x=y/" + p, "/" + p + "/", "/" + p + "/.", "/" + p + "//", "/" + p + ".", "/" + p + "..", "/" + p + "/..;/" + p,
		"/" + p + "%20", "/" + p + "%09", "/" + p + "%00", "/" + p + "%0a", "/" + p + ";", "/" + p + ";.css", "/" + p + "%3b.css", "/" + p + "%23", "/" + p + "%3f", "/" + p + "?", "/" + p + "#", "/" + p + "#/../login", "/" + p + "/x/..", "/" + p + "/%2e%2e/" + p, "/login/../" + p, "/assets/../" + p, "/assets/..%2f" + p, "/assets/..;/" + p, "/livez/../" + p, "/%2e%2e/" + p,
		"/" + strings.ToUpper(p), "/" + strings.ToUpper(first) + rest, "/" + p + ".json", "/" + p + ".html", "/" + p + ".css", "/" + p + "/index.html", "/" + hex("%"+hex(first)[1:]) + rest, "/%25" + hex(first)[1:] + rest, "/\u017f" + p, "/%c0%af" + p, "/%ef%bc%8f" + p, "/" + p + "%2f", "/" + p + "%252f", "/.%2f" + p, "http://HOST/" + p, "http://HOST//" + p, "http://HOST/%2e/" + p, "HTTP://HOST/x/../" + p, "/" + p + "&x", "/" + p + "~", "/" + p + "*", p, "./" + p, "*",
	}
}

func pathSpelling(t *testing.T) {
	s := house(t, "plain")
	for _, p := range []string{"dashboard", "account", "account/sessions", "account/password", "account/activity", "reauthenticate", "api/auth/sessions", "api/auth/me"} {
		for _, spelled := range spellings(p) {
			if a := one(t, s, "GET "+spelled+" HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\nConnection: close\r\n\r\n"); protected(a) {
				t.Errorf("%v", a)
			}
		}
	}
}

// strangers asks for everything that is protected, with these headers.
func strangers(t *testing.T, s *server, paths []string, headers ...string) {
	t.Helper()
	for _, p := range paths {
		for _, more := range [][]string{asBrowser, asProgram} {
			a := newClient(s).get(t, p, append(headers, more...)...)
			if protected(a) || a.status == 200 && p != "/" && p != "/login" {
				t.Errorf("%q: %v", headers, a)
			}
		}
	}
}

var protectedPaths = []string{"/dashboard", "/account", "/account/sessions", "/account/activity", "/api/auth/me", "/api/auth/sessions", "/api/auth/activity"}

// pathTrustedHeaders says who one is, in the words of a proxy that has checked.
func pathTrustedHeaders(t *testing.T) {
	for _, kind := range []string{"plain", "proxy"} {
		c := member(t, house(t, kind))
		id := c.me(t)
		for _, name := range []string{
			"X-Middleware-Subrequest", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Webauth-User", "X-Remote-User", "Remote-User", "Remote_User", "X_Forwarded_User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-User", "X-User-Id", "X-Email", "X-Authenticated-User", "X-Authenticated-Userid",
			"X-Goog-Authenticated-User-Email", "Cf-Access-Authenticated-User-Email", "X-Amzn-Oidc-Identity", "X-Ms-Client-Principal-Name", "X-Client-Verify", "Ssl-Client-S-Dn", "X-Original-User", "X-Admin", "X-Internal", "X-Debug", "X-Forwarded-For", "X-Real-Ip", "X-Custom-Ip-Authorization", "X-Gatehouse-User", "Gatehouse-User", "Authenticated", "X-Api-Key",
		} {
			for _, value := range []string{c.email, id, "admin", "1", "127.0.0.1", "middleware:middleware:middleware:middleware:middleware", "src/middleware"} {
				strangers(t, c.s, []string{"/dashboard", "/api/auth/me"}, name, value)
			}
		}
	}
}

// pathRewriteHeaders asks for an open page, and for another one in a header.
func pathRewriteHeaders(t *testing.T) {
	s := house(t, "plain")
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Override-Url", "X-Envoy-Original-Path", "X-Http-Destinationurl", "X-Proxy-Url", "Request-Uri", "X-Forwarded-Prefix"} {
		for _, to := range []string{"/login", "/api/auth/me", "/livez", "/account", "/dashboard", "/assets/x.css"} {
			strangers(t, s, append([]string{"/", "/login"}, protectedPaths...), name, to)
		}
	}
}

func pathUserAgent(t *testing.T) {
	s := house(t, "plain")
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "Prometheus/2", "Googlebot/2.1", "Next.js Middleware", "gatehouse", "Consul Health Check", "Amazon-Route53-Health-Check-Service"} {
		strangers(t, s, protectedPaths, "User-Agent", agent)
	}
}

func pathQuery(t *testing.T) {
	s := house(t, "plain")
	var paths []string
	for _, p := range protectedPaths {
		for _, q := range []string{"?x=/login", "?/assets/app.css", "?.css", "?next=/login", "?debug=1", "?admin=true", "?user=admin", "?_method=OPTIONS", "?%23", "?public=1", "?token=", "?preview=1"} {
			paths = append(paths, p+q)
		}
	}
	strangers(t, s, paths)
}

func pathAssets(t *testing.T) {
	s := house(t, "plain")
	for _, p := range []string{
		"/assets/", "/assets", "/assets/.", "/assets/..", "/assets/../", "/assets/../../../../etc/passwd", "/assets/..%2f..%2f..%2f..%2fetc/passwd", "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/assets/....//....//etc/passwd", "/assets/..\\..\\etc\\passwd", "/assets/%5c..%5c..", "/assets//etc/passwd", "/assets/%00", "/assets/app.css%00.js", "/assets/templates/login.html", "/assets/../templates/login.html", "/assets/..%2ftemplates%2flogin.html", "/assets/messages/en.json", "/assets/file:///etc/passwd", "/assets/C:/", "/assets/app.css", "/assets/app.js",
	} {
		if a := one(t, s, "GET "+p+" HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"); a.status == 200 || a.contains("root:") || a.contains("{{") {
			t.Errorf("%v", a)
		}
	}
}

// pathFiles are those that lie about on other servers.
func pathFiles(t *testing.T) {
	c := newClient(house(t, "plain"))
	for _, p := range []string{
		"/.env", "/.git/config", "/.git/HEAD", "/gatehouse.db", "/gatehouse-data/gatehouse.db", "/secret", "/gatehouse.yaml", "/config", "/debug/pprof/", "/debug/vars", "/metrics", "/server-status", "/actuator/health", "/phpinfo.php", "/wp-login.php", "/backup.zip", "/.DS_Store", "/swagger.json", "/graphql", "/admin", "/console", "/.well-known/", "/api/", "/api/auth/", "/api/auth/users", "/api/auth/user", "/api/auth/admin", "/api/auth/events", "/api/auth/keys", "/openapi.json",
	} {
		if a := c.get(t, p); a.status != 404 && a.status != 405 {
			t.Errorf("%v", a)
		}
	}
}

//go:build linux

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestZeroSettings starts with nothing set but a free port, and looks at what
// is made and said.
func TestZeroSettings(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	began := time.Now()
	s := start(t, data)
	took := s.firstAnswer(began)
	t.Logf("first start to first answer: %v", took)
	if took > 5*time.Second {
		t.Errorf("first start to first answer took %v", took)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o700, "gatehouse.db": 0o600, "secret": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("mode of %q is %v, want %v", name, info.Mode().Perm(), mode)
		}
	}
	// Nothing else in the folder is for others to read, the -wal file neither.
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be used by others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	secret, err := os.ReadFile(filepath.Join(data, "secret"))
	if err != nil || len(strings.TrimSpace(string(secret))) < 32 {
		t.Errorf("the secret has %d bytes (%v)", len(secret), err)
	}
	member(t, s, "ann@example.com").get(t, "/api/auth/me").want(t, "me", 200)
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}

	began = time.Now()
	s = start(t, data)
	t.Logf("second start to first answer: %v", s.firstAnswer(began))
	newBrowser(s).post(t, "/api/auth/login", credentials("ann@example.com")).want(t, "login after a restart", 200)
	if again, err := os.ReadFile(filepath.Join(data, "secret")); err != nil || string(again) != string(secret) {
		t.Errorf("the secret changed with the restart (%v)", err)
	}
}

// TestDefaultAddress asks the program itself: the port may be taken here.
func TestDefaultAddress(t *testing.T) {
	out, code := call(t, nil, "", "config", "--json")
	var shown struct {
		Settings []struct{ Name, Value, From string }
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 0 {
		t.Fatalf("gatehouse config --json: exit status %d, %v\n%s", code, err, out)
	}
	want := map[string]string{"listen": "127.0.0.1:8080", "mode": "development", "data": "gatehouse-data"}
	for _, s := range shown.Settings {
		if w, ok := want[s.Name]; ok && s.Value != w {
			t.Errorf("%s is %q, want %q", s.Name, s.Value, w)
		}
		delete(want, s.Name)
	}
	if len(want) > 0 {
		t.Errorf("not shown: %v", want)
	}
}

// TestContract walks through the operations as existing clients call them.
func TestContract(t *testing.T) {
	s := start(t, t.TempDir())
	b := newBrowser(s)
	const email = "Ann.Example@Example.com"
	register := func(name, email, password string) string {
		return fmt.Sprintf(`{"name":%q,"email":%q,"password":%q}`, name, email, password)
	}
	refused := func(a *answer, status int, text, code string) {
		t.Helper()
		if a.status != status || a.text("error") != text || a.text("code") != code || a.text("ref") == "" {
			t.Errorf("got %v, want %d %q %s and a ref", a, status, text, code)
		}
		if len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("a refusal sets cookies: %q", a.header["Set-Cookie"])
		}
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control: %q", got)
		}
	}

	// Register.
	a := b.post(t, "/api/auth/register", register("Ann", email, password)).want(t, "register", 201)
	if a.text("user.id") == "" || a.text("user.email") != email || a.text("user.name") != "Ann" {
		t.Errorf("register: %v", a)
	}
	id := a.text("user.id")
	refused(b.post(t, "/api/auth/register", register("Ann", strings.ToUpper(email), password)), 409, "User exists", "user_exists")
	refused(b.post(t, "/api/auth/register", `{"email":"bob@example.com"}`), 400, "Missing fields", "missing_fields")
	if a := b.post(t, "/api/auth/register", register("Bob", "bob@example.com", "short")); a.status != 400 || a.text("field") != "password" {
		t.Errorf("a weak password: %v", a)
	}

	// Log in.
	refused(b.post(t, "/api/auth/login", `{"password":"x"}`), 400, "Missing fields", "missing_fields")
	wrong := b.post(t, "/api/auth/login", `{"email":"ann.example@example.com","password":"not this one"}`)
	refused(wrong, 401, "Invalid credentials", "invalid_credentials")
	nobody := b.post(t, "/api/auth/login", `{"email":"nobody@example.com","password":"not this one"}`)
	refused(nobody, 401, "Invalid credentials", "invalid_credentials")
	refused(b.get(t, "/api/auth/me"), 401, "Not authenticated", "not_authenticated")
	refused(b.post(t, "/api/auth/refresh", ""), 401, "No refresh token", "no_refresh_token")
	a = b.post(t, "/api/auth/login", credentials(strings.ToLower(email))).want(t, "login", 200)
	if a.text("user.id") != id || a.text("user.email") != email {
		t.Errorf("login: %v", a)
	}
	checkCookies(t, a, "access_token", "refresh_token", "device")
	if strings.Contains(string(a.body), b.cookies()["access_token"]) || strings.Contains(string(a.body), b.cookies()["refresh_token"]) {
		t.Errorf("tokens in both places: %v", a)
	}

	// Me, with the cookie and as a bearer.
	a = b.get(t, "/api/auth/me").want(t, "me", 200)
	if a.text("user.id") != id || strings.Contains(string(a.body), "hash") || strings.Contains(string(a.body), "argon2") {
		t.Errorf("me: %v", a)
	}
	access := b.cookies()["access_token"]
	stranger := newBrowser(s)
	stranger.get(t, "/api/auth/me", "Authorization", "Bearer "+access).want(t, "me as a bearer", 200)
	refused(stranger.get(t, "/api/auth/me", "Authorization", "Bearer "+access+"x"), 401, "Invalid or expired token", "invalid_token")
	refused(stranger.post(t, "/api/auth/refresh", "", "Cookie", "refresh_token=none"), 401, "Invalid refresh token", "invalid_refresh_token")

	// Refresh: the same answer and other tokens.
	before := b.cookies()
	a = b.post(t, "/api/auth/refresh", "").want(t, "refresh", 200)
	checkCookies(t, a, "access_token", "refresh_token")
	if a.text("user.id") != id || b.cookies()["refresh_token"] == before["refresh_token"] {
		t.Errorf("refresh did not rotate: %v", a)
	}

	// Tokens in the body for those who ask.
	a = stranger.post(t, "/api/auth/login", credentials(email), "Gatehouse-Tokens", "body").want(t, "login for tokens", 200)
	if a.text("access_token") == "" || a.text("refresh_token") == "" || len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("tokens in the body: %v %q", a, a.header["Set-Cookie"])
	}

	// Log out: dead on the server, and again is no error.
	dead := b.cookies()
	a = b.post(t, "/api/auth/logout", "").want(t, "logout", 200)
	if left := b.cookies(); a.text("ok") != "true" || len(left) != 1 || left["device"] == "" {
		t.Errorf("logout: %v, cookies left: %v", a, b.cookies())
	}
	b.post(t, "/api/auth/logout", "").want(t, "logout again", 200)
	b.jar = dead
	refused(b.get(t, "/api/auth/me"), 401, "Invalid or expired token", "invalid_token")
	refused(b.post(t, "/api/auth/refresh", ""), 401, "Invalid refresh token", "invalid_refresh_token")
}

func checkCookies(t *testing.T, a *answer, names ...string) {
	t.Helper()
	lines := a.header["Set-Cookie"]
	if len(lines) != len(names) {
		t.Errorf("%d Set-Cookie lines, want %d: %q", len(lines), len(names), lines)
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if !slices.Contains(names, c.Name) || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 {
			t.Errorf("cookie %v", c)
		}
		if secure := strings.HasPrefix(c.Name, "__Host-"); c.Secure != secure {
			t.Errorf("Secure of %s is %v", c.Name, c.Secure)
		}
	}
}

// TestCookiesBehindHTTPS is the same behind a proxy that speaks https.
func TestCookiesBehindHTTPS(t *testing.T) {
	s := start(t, t.TempDir(), "--url", "https://auth.example.com")
	b := newBrowser(s)
	b.post(t, "/api/auth/register", credentials("ann@example.com")).want(t, "register", 201)
	a := b.post(t, "/api/auth/login", credentials("ann@example.com")).want(t, "login", 200)
	checkCookies(t, a, "__Host-access_token", "__Host-refresh_token", "__Host-device")
	if a.header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS behind https")
	}
	b.get(t, "/api/auth/me").want(t, "me", 200)
	a = b.post(t, "/api/auth/login", credentials("ann@example.com"), "Origin", "http://auth.example.com").want(t, "login from the plain http origin", 403)
	if a.text("code") != "cross_origin" {
		t.Errorf("from another origin: %v", a)
	}
}

// TestForms does the same as a browser without JavaScript.
func TestForms(t *testing.T) {
	s := start(t, t.TempDir())
	b := newBrowser(s)
	form := func(path string, pairs ...string) *answer {
		t.Helper()
		v := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return b.do(t, "POST", path, formKind, v.Encode(), "Accept", "text/html", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate")
	}
	sentTo := func(a *answer, prefix string) {
		t.Helper()
		if a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), prefix) {
			t.Errorf("got %d to %q, want 303 to %s…: %.200s", a.status, a.header.Get("Location"), prefix, a.body)
		}
	}
	page := func(a *answer, status int, text string) {
		t.Helper()
		if a.status != status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(string(a.body), text) {
			t.Errorf("got %d %s without %q", a.status, a.header.Get("Content-Type"), text)
		}
	}
	html := []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate"}

	sentTo(b.get(t, "/dashboard", html...), "/login")
	sentTo(b.get(t, "/account/sessions", html...), "/login?next=%2Faccount%2Fsessions")
	page(b.get(t, "/register", html...), 200, "<form")
	page(form("/register", "email", "ann@example.com", "password", "short"), 400, `value="ann@example.com"`)
	sentTo(form("/register", "name", "Ann", "email", "ann@example.com", "password", password), "/login")
	page(form("/register", "email", "ANN@example.com", "password", password), 409, "<form")
	page(form("/login", "email", "ann@example.com", "password", "not this one"), 401, "<form")
	sentTo(form("/login", "email", "ann@example.com", "password", password, "next", "https://evil.example/"), "/dashboard")
	page(b.get(t, "/dashboard", html...), 200, "Ann")
	page(b.get(t, "/account/sessions", html...), 200, "<form")
	a := form("/api/auth/logout")
	sentTo(a, "/login")
	if left := b.cookies(); len(left) != 1 || left["device"] == "" {
		t.Errorf("cookies after logging out: %v", b.cookies())
	}
	sentTo(b.get(t, "/dashboard", html...), "/login")
	sentTo(form("/api/auth/login", "email", "ann@example.com", "password", password, "next", "/account"), "/account")
	a = b.do(t, "POST", "/logout", formKind, "", "Sec-Fetch-Site", "cross-site").want(t, "logout from another site", 403)
	if len(b.cookies()) != 3 {
		t.Errorf("another site logged the browser out: %v", a)
	}
}

// TestDocuments are those that programs read before they do anything.
func TestDocuments(t *testing.T) {
	s := start(t, t.TempDir())
	b := newBrowser(s)
	for _, path := range []string{"/livez", "/readyz"} {
		if a := b.get(t, path).want(t, path, 200); a.text("status") != "ok" {
			t.Errorf("%s: %v", path, a)
		}
	}
	var keys struct{ Keys []map[string]string }
	a := b.get(t, "/.well-known/jwks.json").want(t, "jwks", 200)
	if err := json.Unmarshal(a.body, &keys); err != nil || len(keys.Keys) == 0 {
		t.Fatalf("jwks: %v %s", err, a.body)
	}
	for _, k := range keys.Keys {
		if k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["kid"] == "" || k["x"] == "" || k["d"] != "" {
			t.Errorf("key %v", k)
		}
	}
	if !strings.Contains(a.header.Get("Cache-Control"), "max-age") {
		t.Errorf("jwks cannot be cached: %q", a.header.Get("Cache-Control"))
	}
	var openAPI struct {
		OpenAPI string
		Paths   map[string]any
	}
	a = b.get(t, "/api/auth/openapi.json").want(t, "openapi", 200)
	if err := json.Unmarshal(a.body, &openAPI); err != nil || !strings.HasPrefix(openAPI.OpenAPI, "3.1") {
		t.Fatalf("openapi: %v %.100s", err, a.body)
	}
	for _, path := range []string{"register", "login", "refresh", "logout", "me"} {
		if openAPI.Paths["/api/auth/"+path] == nil {
			t.Errorf("openapi lacks /api/auth/%s", path)
		}
	}
}

// TestRefusals are the requests that get nowhere.
func TestRefusals(t *testing.T) {
	s := start(t, t.TempDir())
	b := newBrowser(s)
	big := `{"email":"` + strings.Repeat("a", 65<<10) + `"}`
	for _, c := range []struct {
		name, method, path, kind, body string
		status                         int
		code, field                    string
	}{
		{"no such path", "GET", "/api/auth/nothing", "", "", 404, "not_found", ""},
		{"wrong method", "GET", "/api/auth/login", "", "", 405, "method_not_allowed", ""},
		{"wrong method of me", "DELETE", "/api/auth/me", "", "", 405, "method_not_allowed", ""},
		{"too large", "POST", "/api/auth/login", jsonKind, big, 413, "payload_too_large", ""},
		{"no content type", "POST", "/api/auth/login", "", "{}", 415, "unsupported_media_type", ""},
		{"xml", "POST", "/api/auth/login", "text/xml", "<a/>", 415, "unsupported_media_type", ""},
		{"another charset", "POST", "/api/auth/login", "application/json; charset=utf-16", "{}", 415, "unsupported_media_type", ""},
		{"no JSON", "POST", "/api/auth/login", jsonKind, "{", 400, "malformed_request", ""},
		{"wrong type", "POST", "/api/auth/login", jsonKind, `{"email":7,"password":"x"}`, 400, "malformed_request", "email"},
		{"unknown field", "POST", "/api/auth/login", jsonKind, `{"email":"a@example.com","admin":true}`, 400, "malformed_request", "admin"},
		{"duplicate", "POST", "/api/auth/login", jsonKind, `{"email":"a@example.com","email":"b@example.com"}`, 400, "malformed_request", "email"},
		{"trailing data", "POST", "/api/auth/login", jsonKind, `{"email":"a@example.com"}{}`, 400, "malformed_request", ""},
		{"another case", "POST", "/api/auth/login", jsonKind, `{"Email":"a@example.com"}`, 400, "malformed_request", "Email"},
		{"invalid UTF-8", "POST", "/api/auth/login", jsonKind, "{\"email\":\"a@example.com\",\"password\":\"\xff\xfe\"}", 400, "malformed_request", ""},
		{"lone surrogate", "POST", "/api/auth/login", jsonKind, `{"email":"a@example.com","password":"\ud800"}`, 400, "malformed_request", ""},
		{"deep", "POST", "/api/auth/login", jsonKind, strings.Repeat("[", 60000), 400, "malformed_request", ""},
	} {
		a := b.do(t, c.method, c.path, c.kind, c.body)
		if a.status != c.status || a.text("code") != c.code || c.field != "" && a.text("field") != c.field {
			t.Errorf("%s: got %v, want %d %s %s", c.name, a, c.status, c.code, c.field)
		}
		if c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", c.name)
		}
	}

	// A stream, and what must not be reused after it.
	for name, request := range map[string]string{
		"chunked":         "POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"length and both": "POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
	} {
		c := dial(t, s)
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 411 && resp.StatusCode != 400 || !resp.Close {
			t.Errorf("%s: got %d, close %v, want 411 and close", name, resp.StatusCode, resp.Close)
		}
		if second, err := http.ReadResponse(r, nil); err == nil {
			t.Errorf("%s: the connection answered a second request with %d", name, second.StatusCode)
		}
	}
}

// dial opens a bare connection, with a deadline, that is closed with the test.
func dial(t testing.TB, s *server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

package web_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web"
)

// isUser checks the user of an answer, and that nothing else is said of it.
func isUser(t *testing.T, a *answer) map[string]any {
	t.Helper()
	u, _ := a.fields["user"].(map[string]any)
	if id, _ := u["id"].(string); len(id) != 36 || u["email"] != ann || u["name"] != "Ann" || u["roles"] == nil || u["created_at"] == nil || len(u) != 5 {
		t.Errorf("user is %v", u)
	}
	if strings.Contains(strings.ToLower(a.body), "password") || strings.Contains(a.body, "argon2") {
		t.Errorf("the answer speaks of the password: %s", a.body)
	}
	return u
}

// isHanded checks that both cookies came, each in one line, with these flags;
// after a login, that of the device comes third.
func isHanded(t *testing.T, a *answer, access, refresh string, secure bool) {
	t.Helper()
	lines := a.header.Values("Set-Cookie")
	want := []string{access, refresh}
	if len(lines) == 3 {
		want = append(want, map[bool]string{true: "__Host-device", false: "device"}[secure])
		if n := a.set()[2].MaxAge; n < 400*24*3600-2 || n > 400*24*3600 {
			t.Errorf("the device cookie lasts %d s, want 400 days", n)
		}
	}
	var names []string
	size := 0
	for i, c := range a.set() {
		names = append(names, c.Name)
		size += len(lines[i])
		if c.Value == "" || c.Path != "/" || c.Domain != "" || !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.MaxAge < 1 {
			t.Errorf("Set-Cookie: %s", lines[i])
		}
	}
	if !slices.Equal(names, want) {
		t.Fatalf("cookies are %q, want %q", names, want)
	}
	if size >= 4096 {
		t.Errorf("the cookies have %d bytes, want less than 4096", size)
	}
	if n := a.set()[0].MaxAge; n < 15*60*95/100-2 || n > 15*60*105/100 {
		t.Errorf("the access cookie lasts %d s, want 15 min give or take 5 %%", n)
	}
	if n := a.set()[1].MaxAge; n < 7*24*3600-2 || n > 7*24*3600 {
		t.Errorf("the refresh cookie lasts %d s, want 7 days", n)
	}
}

// isSilent checks that an answer touches no cookie.
func isSilent(t *testing.T, a *answer) {
	t.Helper()
	if lines := a.header.Values("Set-Cookie"); len(lines) > 0 {
		t.Errorf("Set-Cookie: %q, want none", lines)
	}
	if a.header.Get("Clear-Site-Data") != "" {
		t.Error("Clear-Site-Data is sent")
	}
}

func isNoStore(t *testing.T, a *answer) {
	t.Helper()
	if got := a.header.Values("Cache-Control"); !slices.Equal(got, []string{"no-store"}) {
		t.Errorf("Cache-Control: %q, want no-store", got)
	}
}

func TestRegisterContract(t *testing.T) {
	h := open(t)
	a := h.json("/api/auth/register", map[string]string{"name": "Ann", "email": ann, "password": password})
	if a.status != 201 || a.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Fatalf("register: %d %v %s", a.status, a.header, a.body)
	}
	isUser(t, a)
	isSilent(t, a)
	isNoStore(t, a)

	a = h.json("/api/auth/register", map[string]string{"email": "no-name@example.com", "password": password})
	if a.status != 201 {
		t.Errorf("register without a name: %d %s", a.status, a.body)
	}
	for _, c := range []struct {
		body                  map[string]string
		status                int
		sentence, code, field string
	}{
		{map[string]string{}, 400, "Missing fields", "missing_fields", "email"},
		{map[string]string{"email": "bob@example.com"}, 400, "Missing fields", "missing_fields", "password"},
		{map[string]string{"password": password}, 400, "Missing fields", "missing_fields", "email"},
		{map[string]string{"email": "", "password": ""}, 400, "Missing fields", "missing_fields", "email"},
		{map[string]string{"email": ann, "password": password}, 409, "User exists", "user_exists", "email"},
		{map[string]string{"email": "ANN@EXAMPLE.COM", "password": password}, 409, "User exists", "user_exists", "email"},
		{map[string]string{"email": "bob@example.com", "password": "short"}, 400, "The password needs at least 8 characters.", "password_too_short", "password"},
		{map[string]string{"email": "bob@example.com", "password": strings.Repeat("x", 257)}, 400, "", "password_too_long", "password"},
		{map[string]string{"email": "bob@example.com", "password": "Password1"}, 400, "", "password_common", "password"},
		{map[string]string{"email": "bob.jones@example.com", "password": "bobjones1"}, 400, "", "password_personal", "password"},
		{map[string]string{"email": "bob@example.com", "password": password, "name": "B\u202eob"}, 400, "", "name_invalid", "name"},
		{map[string]string{"email": "not an address", "password": password}, 400, "", "invalid_email", "email"},
	} {
		a := h.json("/api/auth/register", c.body)
		a.refused(t, c.status, c.sentence, c.code, c.field)
		isSilent(t, a)
		isNoStore(t, a)
	}
	if list, _ := h.auth.Users(t.Context(), "", 100); len(list) != 2 {
		t.Errorf("there are %d users, want 2", len(list))
	}
}

func TestRegisterForm(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/register", "/api/auth/register"} {
		a := h.form(path, map[string]string{"name": "Ann", "email": "a" + fmt.Sprint(len(path)) + "@example.com", "password": password, "next": "/reports?x=1"})
		if a.status != 303 || a.header.Get("Location") != "/login?notice=registered&next=%2Freports%3Fx%3D1" {
			t.Errorf("%s: %d %q", path, a.status, a.header.Get("Location"))
		}
		a = h.form(path, map[string]string{"name": "Ann", "email": ann, "password": "short"})
		if a.status != 400 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if !strings.Contains(a.body, `value="ann@example.com"`) || !strings.Contains(a.body, `aria-invalid="true"`) || strings.Contains(a.body, "short\"") {
			t.Errorf("%s: the page does not hold what was typed, but for the password: %s", path, a.body)
		}
		isNoStore(t, a)
	}
}

// leaked is a breach list of one password, or of none that can be asked.
type leaked struct {
	password string
	fault    error
}

func (l *leaked) Contains(_ context.Context, sum [sha1.Size]byte) (bool, error) {
	return sum == sha1.Sum([]byte(l.password)), l.fault
}

// A leaked password is a 400 that blames its field; when that cannot be told it
// is a 503 that blames nothing that was sent.
func TestLeakedPasswords(t *testing.T) {
	list := &leaked{password: "staple orbit lunar"}
	h := open(t, func(c *gatehouse.Config, _ *web.Config) { c.BreachLists = []gatehouse.BreachList{list} })
	cookies := h.member()
	register := map[string]string{"email": "bob@example.com", "password": list.password}
	change := map[string]string{"current_password": password, "new_password": list.password}
	const sentence = "The password is known from a data breach, and known passwords are tried first."
	h.json("/api/auth/register", register).refused(t, 400, sentence, "password_breached", "password")
	h.json("/api/auth/password", change, cookies).refused(t, 400, sentence, "password_breached", "new_password")
	if a := h.form("/register", register); a.status != 400 || !strings.Contains(a.body, "This password has leaked somewhere") || strings.Contains(a.body, list.password) {
		t.Errorf("the page: %d %s", a.status, a.body)
	}

	list.fault = errors.New("the list is away")
	register["password"], change["new_password"] = "another good one", "another good one"
	for _, a := range []*answer{h.json("/api/auth/register", register), h.json("/api/auth/password", change, cookies)} {
		a.refused(t, 503, "New passwords cannot be checked at the moment. Try again shortly.", "password_unchecked", "")
		if a.header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
		}
	}
	if a := h.form("/register", register); a.status != 503 || !strings.Contains(a.body, "We cannot check new passwords right now") || !strings.Contains(a.body, `value="bob@example.com"`) {
		t.Errorf("the page: %d %s", a.status, a.body)
	}
	if log := h.log.String(); !strings.Contains(log, "breach list: the list is away") || strings.Contains(log, "another good one") {
		t.Errorf("the log: %s", log)
	}
	h.login() // with the password of before
}

func TestLoginContract(t *testing.T) {
	for _, c := range []struct {
		name            string
		change          []func(*gatehouse.Config, *web.Config)
		access, refresh string
		secure          bool
	}{
		{"http", nil, "access_token", "refresh_token", false},
		{"https", []func(*gatehouse.Config, *web.Config){https}, "__Host-access_token", "__Host-refresh_token", true},
		{"names set", []func(*gatehouse.Config, *web.Config){https, func(_ *gatehouse.Config, e *web.Config) {
			e.AccessCookie, e.RefreshCookie = "access_token", "refresh_token"
		}}, "access_token", "refresh_token", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, c.change...)
			h.register()
			a := h.json("/api/auth/login", map[string]string{"email": "Ann@Example.COM", "password": password})
			if a.status != 200 {
				t.Fatalf("login: %d %s", a.status, a.body)
			}
			isUser(t, a)
			isHanded(t, a, c.access, c.refresh, c.secure)
			isNoStore(t, a)
			if a.fields["access_token"] != nil || a.fields["refresh_token"] != nil {
				t.Errorf("tokens are in the body, too: %s", a.body)
			}
			me := h.do("GET", "/api/auth/me", "", a.cookies())
			if me.status != 200 {
				t.Errorf("me with the cookies: %d %s", me.status, me.body)
			}
			isSilent(t, me)
			isNoStore(t, me)
			if isUser(t, me)["id"] != isUser(t, a)["id"] {
				t.Error("me is somebody else")
			}

			f := h.form("/login", map[string]string{"email": ann, "password": password})
			if f.status != 303 || f.header.Get("Location") != "/dashboard" {
				t.Errorf("form: %d %q", f.status, f.header.Get("Location"))
			}
			isHanded(t, f, c.access, c.refresh, c.secure)
			isNoStore(t, f)
		})
	}
}

func TestLoginRefused(t *testing.T) {
	h := open(t)
	h.register()
	for _, c := range []struct {
		body                  map[string]string
		status                int
		sentence, code, field string
	}{
		{map[string]string{}, 400, "Missing fields", "missing_fields", "email"},
		{map[string]string{"email": ann}, 400, "Missing fields", "missing_fields", "password"},
		{map[string]string{"password": password}, 400, "Missing fields", "missing_fields", "email"},
		{map[string]string{"email": ann, "password": "wrong horse"}, 401, "Invalid credentials", "invalid_credentials", ""},
		{map[string]string{"email": "nobody@example.com", "password": password}, 401, "Invalid credentials", "invalid_credentials", ""},
	} {
		a := h.json("/api/auth/login", c.body)
		a.refused(t, c.status, c.sentence, c.code, c.field)
		isSilent(t, a)
		isNoStore(t, a)

		page := h.form("/login", c.body)
		if page.status != c.status || !strings.Contains(page.body, "<form") || !strings.Contains(page.body, `action="/login"`) {
			t.Errorf("form %v: %d %s", c.body, page.status, page.body)
		}
		if strings.Contains(page.body, password) || strings.Contains(page.body, "wrong horse") {
			t.Errorf("form %v: the password is shown", c.body)
		}
		isSilent(t, page)
	}
	wrong := h.json("/api/auth/login", map[string]string{"email": ann, "password": "wrong horse"})
	nobody := h.json("/api/auth/login", map[string]string{"email": "nobody@example.com", "password": "wrong horse"})
	strip := func(a *answer) string { return strings.ReplaceAll(a.body, a.str("ref"), "") }
	if strip(wrong) != strip(nobody) {
		t.Errorf("a known user is told from an unknown one: %s, %s", wrong.body, nobody.body)
	}
}

func TestRefreshContract(t *testing.T) {
	h := open(t)
	cookies := h.member()
	a := h.do("POST", "/api/auth/refresh", "", cookies)
	if a.status != 200 {
		t.Fatalf("refresh: %d %s", a.status, a.body)
	}
	isUser(t, a)
	isHanded(t, a, "access_token", "refresh_token", false)
	isNoStore(t, a)
	if a.cookies() == cookies || only(a.cookies(), "refresh_token") == only(cookies, "refresh_token") {
		t.Error("the refresh token was not rotated")
	}
	if b := h.do("POST", "/api/auth/refresh", "{}", asJSON, a.cookies()); b.status != 200 {
		t.Errorf("refresh with an empty object: %d %s", b.status, b.body)
	}

	none := h.do("POST", "/api/auth/refresh", "")
	none.refused(t, 401, "No refresh token", "no_refresh_token", "")
	isSilent(t, none)
	for _, token := range []string{"x", strings.Repeat("A", 75), strings.Repeat("A", 5000)} {
		bad := h.do("POST", "/api/auth/refresh", "", "Cookie: refresh_token="+token)
		bad.refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
		isSilent(t, bad)
		isNoStore(t, bad)
	}
	// The first one is two generations old: it was stolen, and the session ends.
	stolen := h.do("POST", "/api/auth/refresh", "", cookies)
	stolen.refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
	isSilent(t, stolen)
	if me := h.do("GET", "/api/auth/me", "", a.cookies()); me.status != 401 {
		t.Errorf("me after a token was reused: %d, want 401", me.status)
	}
	isSilent(t, h.form("/api/auth/refresh", nil, cookies))
}

func TestLogoutContract(t *testing.T) {
	for _, form := range []bool{false, true} {
		h := open(t, https)
		cookies := h.member()
		var a *answer
		if form {
			a = h.form("/logout", nil, cookies)
			if a.status != 303 || a.header.Get("Location") != "/login?notice=logged_out" {
				t.Errorf("form: %d %q", a.status, a.header.Get("Location"))
			}
		} else {
			a = h.do("POST", "/api/auth/logout", "", cookies)
			if a.status != 200 || a.body != `{"ok":true}` {
				t.Errorf("logout: %d %s", a.status, a.body)
			}
		}
		isNoStore(t, a)
		if got := a.header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
			t.Errorf("Clear-Site-Data: %s", got)
		}
		if len(a.set()) != 2 {
			t.Fatalf("Set-Cookie: %q", a.header.Values("Set-Cookie"))
		}
		for i, name := range []string{"__Host-access_token", "__Host-refresh_token"} {
			// A browser ignores a clearing cookie with other flags than the prefix wants.
			c := a.set()[i]
			if c.Name != name || c.Value != "" || c.MaxAge != -1 || c.Path != "/" || !c.Secure || !c.HttpOnly || c.Domain != "" {
				t.Errorf("Set-Cookie: %s", c.Raw)
			}
		}
		h.do("GET", "/api/auth/me", "", cookies).refused(t, 401, "Invalid or expired token", "invalid_token", "")
		h.do("POST", "/api/auth/refresh", "", cookies).refused(t, 401, "Invalid refresh token", "invalid_refresh_token", "")
		if s := h.sessions(); len(s) != 0 {
			t.Errorf("the session did not end: %+v", s)
		}
		for _, again := range []string{cookies, "Cookie: none=none", "Cookie: __Host-refresh_token=x"} {
			if a := h.do("POST", "/api/auth/logout", "", again); a.status != 200 || a.body != `{"ok":true}` {
				t.Errorf("logout again: %d %s", a.status, a.body)
			}
		}
	}
}

// Either token is enough to log out.
func TestLogoutWithOneToken(t *testing.T) {
	for _, name := range []string{"access_token", "refresh_token"} {
		h := open(t)
		cookies := h.member()
		if a := h.do("POST", "/api/auth/logout", "", only(cookies, name)); a.status != 200 {
			t.Errorf("%s: %d", name, a.status)
		}
		if len(h.sessions()) != 0 {
			t.Errorf("%s alone did not end the session", name)
		}
	}
}

func TestMeRefused(t *testing.T) {
	h := open(t)
	cookies := h.member()
	h.do("GET", "/api/auth/me", "").refused(t, 401, "Not authenticated", "not_authenticated", "")
	h.do("GET", "/api/auth/me", "", "Cookie: access_token=x").refused(t, 401, "Invalid or expired token", "invalid_token", "")
	// It never refreshes in passing.
	a := h.do("GET", "/api/auth/me", "", only(cookies, "refresh_token"))
	a.refused(t, 401, "Not authenticated", "not_authenticated", "")
	isSilent(t, a)
	if n := h.sessions()[0].Generation; n != 1 {
		t.Errorf("generation %d, want 1: me refreshed the session", n)
	}
	// Two cookies of one name: one was planted, and nobody knows which.
	h.do("GET", "/api/auth/me", "", cookies+"; access_token=planted").refused(t, 401, "Not authenticated", "not_authenticated", "")
}

func TestBearer(t *testing.T) {
	h := open(t)
	h.register()
	in := map[string]string{"email": ann, "password": password}
	a := h.json("/api/auth/login", in, "Gatehouse-Tokens: body")
	if a.status != 200 || a.str("token_type") != "Bearer" || a.str("access_token") == "" || a.str("refresh_token") == "" || a.fields["expires_in"].(float64) < 800 {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	isSilent(t, a)
	isUser(t, &answer{fields: map[string]any{"user": a.fields["user"]}})
	bearer := "Authorization: Bearer " + a.str("access_token")
	if me := h.do("GET", "/api/auth/me", "", bearer); me.status != 200 {
		t.Errorf("me: %d %s", me.status, me.body)
	}
	bad := h.do("GET", "/api/auth/me", "", "Authorization: Bearer x")
	bad.refused(t, 401, "Invalid or expired token", "invalid_token", "")
	if got := bad.header.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
		t.Errorf("WWW-Authenticate: %s", got)
	}
	// A bad bearer token is not mended by good cookies.
	h.do("GET", "/api/auth/me", "", "Authorization: Bearer x", h.login()).refused(t, 401, "Invalid or expired token", "invalid_token", "")

	b := h.json("/api/auth/refresh", map[string]string{"refresh_token": a.str("refresh_token")}, "Gatehouse-Tokens: body")
	if b.status != 200 || b.str("refresh_token") == "" || b.str("refresh_token") == a.str("refresh_token") {
		t.Fatalf("refresh: %d %s", b.status, b.body)
	}
	isSilent(t, b)
	if out := h.json("/api/auth/logout", map[string]string{"refresh_token": b.str("refresh_token")}); out.status != 200 {
		t.Errorf("logout: %d %s", out.status, out.body)
	}
	h.do("GET", "/api/auth/me", "", "Authorization: bearer "+b.str("access_token")).refused(t, 401, "Invalid or expired token", "invalid_token", "")
	// Another value than "body" asks for nothing.
	if c := h.json("/api/auth/login", in, "Gatehouse-Tokens: cookie"); c.str("access_token") != "" || len(c.set()) != 3 {
		t.Errorf("login: %s, %q", c.body, c.header.Values("Set-Cookie"))
	}
}

// The cookies of a user with as many and as long roles as there can be.
func TestCookiesStaySmall(t *testing.T) {
	for _, algorithm := range []gatehouse.Algorithm{gatehouse.EdDSA, gatehouse.ES256} {
		h := open(t, https, func(c *gatehouse.Config, _ *web.Config) { c.Algorithm = algorithm })
		var roles []string
		for i := range 32 {
			roles = append(roles, fmt.Sprintf("%032d", i))
		}
		_, err := h.auth.AddUser(t.Context(), gatehouse.NewUser{
			Registration: gatehouse.Registration{Name: "Ann", Email: ann, Password: password}, Roles: roles,
		})
		if err != nil {
			t.Fatal(err)
		}
		a := h.json("/api/auth/login", map[string]string{"email": ann, "password": password})
		isHanded(t, a, "__Host-access_token", "__Host-refresh_token", true)
		me := h.do("GET", "/api/auth/me", "", a.cookies())
		if u := isUser(t, me); len(u["roles"].([]any)) != 32 {
			t.Errorf("roles are %v", u["roles"])
		}
	}
}

func TestAccount(t *testing.T) {
	h := open(t)
	first, cookies := h.member(), h.login()
	a := h.do("PATCH", "/api/auth/me", `{"name":"Ann Other"}`, asJSON, cookies)
	if u, _ := a.fields["user"].(map[string]any); a.status != 200 || u["name"] != "Ann Other" {
		t.Errorf("change name: %d %s", a.status, a.body)
	}
	a = h.do("GET", "/api/auth/sessions", "", cookies, "User-Agent: curl/8")
	list, _ := a.fields["sessions"].([]any)
	if a.status != 200 || len(list) != 2 {
		t.Fatalf("sessions: %d %s", a.status, a.body)
	}
	var other string
	for _, x := range list {
		if s := x.(map[string]any); s["current"] == false {
			other = s["id"].(string)
		}
	}
	if a := h.do("DELETE", "/api/auth/sessions/"+other, "", cookies); a.status != 204 {
		t.Errorf("terminate: %d %s", a.status, a.body)
	}
	if a := h.do("GET", "/api/auth/me", "", first); a.status != 401 {
		t.Errorf("me of the terminated session: %d", a.status)
	}
	h.do("DELETE", "/api/auth/sessions/"+other, "", cookies).refused(t, 404, "There is no such session.", "session_not_found", "")
	h.login()
	if a := h.do("DELETE", "/api/auth/sessions", "", cookies); a.status != 200 || a.fields["terminated"] != 1.0 {
		t.Errorf("terminate others: %d %s", a.status, a.body)
	}
	h.json("/api/auth/reauthenticate", map[string]string{"password": "wrong horse"}, cookies).refused(t, 403, "That is not your password.", "wrong_password", "password")
	a = h.json("/api/auth/reauthenticate", map[string]string{"password": password}, cookies)
	isHanded(t, a, "access_token", "refresh_token", false)
	cookies = a.cookies()
	change := map[string]string{"current_password": password, "new_password": "another horse battery"}
	a = h.json("/api/auth/password", change, cookies)
	isHanded(t, a, "access_token", "refresh_token", false)
	if me := h.do("GET", "/api/auth/me", "", cookies); me.status != 401 {
		t.Errorf("me with the session of the old password: %d", me.status)
	}
	h.json("/api/auth/login", map[string]string{"email": ann, "password": password}).refused(t, 401, "Invalid credentials", "invalid_credentials", "")
	for _, path := range []string{"/password", "/reauthenticate"} {
		h.json("/api/auth"+path, change).refused(t, 401, "Not authenticated", "not_authenticated", "")
	}
	own := h.do("GET", "/api/auth/sessions", "", a.cookies()).fields["sessions"].([]any)[0].(map[string]any)["id"].(string)
	if out := h.do("DELETE", "/api/auth/sessions/"+own, "", a.cookies()); out.status != 204 || len(out.set()) != 2 || out.set()[0].MaxAge != -1 {
		t.Errorf("terminate the own session: %d %q", out.status, out.header.Values("Set-Cookie"))
	}
}

func TestDocuments(t *testing.T) {
	h := open(t)
	if a := h.do("GET", "/.well-known/jwks.json", ""); a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=300" || len(a.fields["keys"].([]any)) == 0 {
		t.Errorf("jwks: %d %v %s", a.status, a.header, a.body)
	} else if strings.Contains(a.body, `"d"`) {
		t.Error("jwks holds a private key")
	}
	if a := h.do("GET", "/api/auth/openapi.json", ""); a.status != 200 || a.str("openapi") != "3.1.0" {
		t.Errorf("openapi: %d %s", a.status, a.str("openapi"))
	}
	if a := h.do("GET", "/.well-known/change-password", ""); a.status != 303 || a.header.Get("Location") != "/account/password" {
		t.Errorf("change-password: %d %q", a.status, a.header.Get("Location"))
	}
}

// While the store is away nobody is told that they are not logged in or that the
// password is wrong, and no cookie is touched.
func TestStoreDown(t *testing.T) {
	h := open(t)
	h.register()
	app := h.web.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	for _, c := range []struct{ method, target, body string }{
		{"POST", "/api/auth/register", `{"email":"bob@example.com","password":"` + password + `"}`},
		{"POST", "/api/auth/login", `{"email":"` + ann + `","password":"` + password + `"}`},
		{"POST", "/api/auth/refresh", `{}`},
		{"POST", "/api/auth/logout", `{}`},
		{"GET", "/api/auth/me", ""},
		{"PATCH", "/api/auth/me", `{"name":"x"}`},
		{"POST", "/api/auth/reauthenticate", `{"password":"` + password + `"}`},
		{"POST", "/api/auth/password", `{"current_password":"` + password + `","new_password":"another horse battery"}`},
		{"GET", "/api/auth/sessions", ""},
		{"DELETE", "/api/auth/sessions", ""},
		{"GET", "/api/auth/activity", ""},
		{"GET", "/app", ""},
	} {
		for _, which := range []string{"both", "access_token", "refresh_token"} {
			if which == "refresh_token" && c.target == "/api/auth/me" {
				continue // never looks at it
			}
			if which == "access_token" && c.target == "/api/auth/refresh" {
				continue
			}
			cookies := h.login() // a session that nobody has read yet
			if which != "both" {
				cookies = only(cookies, which)
			}
			h.store.down.Store(true)
			headers := []string{cookies, "Accept: application/json"}
			if c.body != "" {
				headers = append(headers, asJSON)
			}
			door := h.door
			if c.target == "/app" {
				door = app
			}
			a := h.serve(door, request(c.method, c.target, c.body, headers...))
			h.store.down.Store(false)
			a.refused(t, 503, "The service cannot answer at the moment. Try again shortly.", "unavailable", "")
			if a.status != 503 {
				t.Errorf("%s %s with %s", c.method, c.target, which)
			}
			if a.header.Get("Retry-After") != "2" || a.fields["retry_after"] != 2.0 {
				t.Errorf("%s: Retry-After %q, body %s", c.target, a.header.Get("Retry-After"), a.body)
			}
			isSilent(t, a)
			isNoStore(t, a)
		}
	}
	cookies := h.login()
	h.store.down.Store(true)
	for _, path := range []string{"/login", "/logout"} {
		a := h.form(path, map[string]string{"email": ann, "password": password}, cookies)
		if path == "/logout" {
			a = h.form(path, nil, cookies)
		}
		if a.status != 503 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.body, password) {
			t.Errorf("form %s: %d %s", path, a.status, a.body)
		}
		isSilent(t, a)
	}
	if a := h.do("GET", "/dashboard", "", "Accept: text/html", "Sec-Fetch-Mode: navigate", cookies); a.status != 503 || a.header.Get("Location") != "" {
		t.Errorf("dashboard: %d %q, want 503", a.status, a.header.Get("Location"))
	}
	h.store.down.Store(false)
	if a := h.do("GET", "/api/auth/me", "", cookies); a.status != 200 {
		t.Errorf("me when the store is back: %d", a.status)
	}
	// A request that its client gave up is no fault of the credentials either.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := h.serve(h.door, request("POST", "/api/auth/login", `{"email":"`+ann+`","password":"`+password+`"}`, asJSON).WithContext(ctx))
	if a.status != 503 {
		t.Errorf("a request given up: %d %s", a.status, a.body)
	}
}

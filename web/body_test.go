package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever the body, the answer is a refusal that names the field where there is
// one, nothing changes, and no password comes back.
func TestBadJSON(t *testing.T) {
	h := open(t)
	h.register()
	const typed = "tYpEd-pAsSwOrD-17"
	deep := strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000)
	for _, c := range []struct{ name, body, field string }{
		{"operator object", `{"email":{"$gt":""},"password":"` + typed + `"}`, "email"},
		{"operator in the password", `{"email":"ann@example.com","password":{"$ne":null}}`, "password"},
		{"number", `{"email":17,"password":"` + typed + `"}`, "email"},
		{"huge number", `{"email":1e999,"password":"` + typed + `"}`, "email"},
		{"boolean", `{"email":"ann@example.com","password":true}`, "password"},
		{"null", `{"email":null,"password":"` + typed + `"}`, "email"},
		{"null password", `{"email":"ann@example.com","password":null}`, "password"},
		{"array", `{"email":["ann@example.com"],"password":"` + typed + `"}`, "email"},
		{"array of passwords", `{"email":"ann@example.com","password":["a","` + typed + `"]}`, "password"},
		{"unknown field", `{"email":"ann@example.com","password":"` + typed + `","roles":["admin"]}`, "roles"},
		{"field of forms", `{"email":"ann@example.com","password":"` + typed + `","next":"/x"}`, "next"},
		{"prototype", `{"__proto__":{"admin":true},"email":"ann@example.com","password":"` + typed + `"}`, "__proto__"},
		{"operator as field", `{"$where":"sleep(1)","email":"ann@example.com","password":"` + typed + `"}`, "$where"},
		{"markup as field", `{"<script>":1}`, ""},
		{"duplicate", `{"email":"ann@example.com","email":"bob@example.com","password":"` + typed + `"}`, "email"},
		{"duplicate by escape", `{"email":"ann@example.com","\u0065mail":"bob@example.com","password":"` + typed + `"}`, "email"},
		{"folded case", `{"Email":"ann@example.com","password":"` + typed + `"}`, "Email"},
		{"folded case of the password", `{"email":"ann@example.com","PASSWORD":"` + typed + `"}`, "PASSWORD"},
		{"trailing object", `{"email":"ann@example.com","password":"` + typed + `"}{}`, ""},
		{"trailing text", `{"email":"ann@example.com","password":"` + typed + `"} x`, ""},
		{"byte order mark", "\ufeff" + `{"email":"ann@example.com","password":"` + typed + `"}`, ""},
		{"lone surrogate", `{"email":"ann@example.com","password":"` + typed + `\ud800"}`, "password"},
		{"swapped surrogates", `{"email":"ann@example.com","password":"` + typed + `\udc00\ud800"}`, "password"},
		{"invalid UTF-8", `{"email":"ann@example.com","password":"` + typed + "\xff\"}", "password"},
		{"overlong UTF-8", `{"email":"ann@example.com","password":"` + typed + "\xc0\xaf\"}", "password"},
		{"control character", `{"email":"ann@example.com","password":"` + typed + "\x01\"}", "password"},
		{"deep", `{"email":` + deep + `,"password":"x"}`, "email"},
		{"deep root", deep, ""},
		{"deep unknown", `{"x":` + deep + `}`, "x"},
		{"root array", `["ann@example.com"]`, ""},
		{"root string", `"ann@example.com"`, ""},
		{"root null", `null`, "email"},
		{"empty", ``, ""},
		{"space", `   `, ""},
		{"truncated", `{"email":"ann@example.com","password":"` + typed, "password"},
		{"comment", `{/**/"email":"ann@example.com","password":"` + typed + `"}`, ""},
		{"trailing comma", `{"email":"ann@example.com","password":"` + typed + `",}`, ""},
		{"single quotes", `{'email':'ann@example.com'}`, ""},
		{"not a number", `{"email":NaN,"password":"x"}`, "email"},
		{"form as JSON", `email=ann@example.com&password=` + typed, ""},
		{"UTF-16", "{\x00\"\x00e\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/api/auth/login", "/api/auth/register", "/login", "/register"} {
				a := h.do("POST", path, c.body, asJSON)
				if a.status != 400 || a.str("field") != c.field || a.str("error") == "" || a.str("code") == "" {
					t.Errorf("%s: %d %s, want 400 and the field %q", path, a.status, a.body, c.field)
				}
				if strings.Contains(a.body, typed) || strings.Contains(a.body, "<") {
					t.Errorf("%s: the answer shows what was sent: %s", path, a.body)
				}
				isSilent(t, a)
			}
		})
	}
	if list, _ := h.auth.Users(t.Context(), "", 100); len(list) != 1 {
		t.Errorf("there are %d users, want 1", len(list))
	}
	if n := len(h.sessions()); n != 0 {
		t.Errorf("there are %d sessions, want 0", n)
	}
	if strings.Contains(h.log.String(), typed) {
		t.Error("a password is in the log")
	}
}

// A password that is more than ASCII arrives as it was typed.
func TestPasswordsArriveWhole(t *testing.T) {
	for _, c := range []struct{ name, typed, other string }{
		{"NUL", `pass\u0000word-1`, `pass\u0000word-2`},
		{"pairs", `\ud83d\ude00 smile of 8`, `\ud83d\ude01 smile of 8`},
		{"spaces", `  eight spaces  `, `eight spaces`},
		{"case", `Correct Horse`, `correct horse`},
		{"long", strings.Repeat("a", 255) + "b", strings.Repeat("a", 255) + "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			if a := h.do("POST", "/api/auth/register", `{"email":"ann@example.com","password":"`+c.typed+`"}`, asJSON); a.status != 201 {
				t.Fatalf("register: %d %s", a.status, a.body)
			}
			if a := h.do("POST", "/api/auth/login", `{"email":"ann@example.com","password":"`+c.other+`"}`, asJSON); a.status != 401 {
				t.Errorf("login with another password: %d", a.status)
			}
			if a := h.do("POST", "/api/auth/login", `{"email":"ann@example.com","password":"`+c.typed+`"}`, asJSON); a.status != 200 {
				t.Errorf("login: %d %s", a.status, a.body)
			}
		})
	}
}

func TestBadForm(t *testing.T) {
	h := open(t)
	h.register()
	const typed = "tYpEd-pAsSwOrD-17"
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"duplicate", "email=ann@example.com&email=bob@example.com&password=" + typed, 400},
		{"duplicate password", "email=ann@example.com&password=a&password=" + typed, 400},
		{"brackets", "email[$ne]=x&password[$ne]=x", 400},
		{"unknown", "email=ann@example.com&password=" + typed + "&admin=1", 400},
		{"semicolon", "email=ann@example.com;password=" + typed, 400},
		{"bad escape", "email=%zz&password=" + typed, 400},
		{"invalid UTF-8", "email=ann@example.com&password=" + typed + "%ff", 400},
		{"empty", "", 400},
		{"no values", "email&password", 400},
		{"JSON as form", `{"email":"ann@example.com","password":"` + typed + `"}`, 400},
		{"folded case", "Email=ann@example.com&password=" + typed, 400},
		{"30,000 fields", strings.Repeat("a&", 30_000), 400},
		{"150,000 fields", strings.Repeat("a&", 150_000), 413},
		{"too large", "email=ann@example.com&password=" + strings.Repeat("x", 64<<10), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/login", "/register", "/api/auth/login", "/api/auth/register"} {
				a := h.do("POST", path, c.body, asForm, "Accept: text/html")
				if a.status != c.status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: %d %v, want %d and a page", path, a.status, a.header, c.status)
				}
				if strings.Contains(a.body, typed) {
					t.Errorf("%s: the page shows the password", path)
				}
				isSilent(t, a)
			}
		})
	}
	if list, _ := h.auth.Users(t.Context(), "", 100); len(list) != 1 {
		t.Errorf("there are %d users, want 1", len(list))
	}
	if strings.Contains(h.log.String(), typed) {
		t.Error("a password is in the log")
	}
}

// What is typed into a form comes back as text, never as markup.
func TestFormValuesAreEscaped(t *testing.T) {
	h := open(t)
	const evil = `"><script>alert(1)</script>`
	for _, path := range []string{"/login", "/register"} {
		a := h.form(path, map[string]string{"email": evil, "password": password, "next": "/x" + evil})
		if a.status != 400 || strings.Contains(a.body, "<script>alert") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		for _, query := range []string{"?next=%22%3E%3Cscript%3Ealert(1)", "?notice=%3Cscript%3Ealert(1)", "?next=javascript:alert(1)"} {
			if a := h.do("GET", path+query, "", "Accept: text/html"); a.status != 200 || strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "javascript:") {
				t.Errorf("%s%s: %d %s", path, query, a.status, a.body)
			}
		}
	}
}

func TestBodySize(t *testing.T) {
	h := open(t)
	h.register()
	fill := func(n int) string {
		const head, tail = `{"email":"ann@example.com","password":"`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	for _, path := range []string{"/login", "/register", "/refresh", "/logout"} {
		h.do("POST", "/api/auth"+path, fill(64<<10+1), asJSON).refused(t, 413, "The body is larger than 64 KiB.", "payload_too_large", "")
	}
	h.do("POST", "/api/auth/login", fill(64<<10), asJSON).refused(t, 400, "The password is longer than 256 characters.", "password_too_long", "password")

	// A length that is not known before, as in HTTP/2, is bounded, too.
	r := httptest.NewRequest("POST", "/api/auth/login", io.MultiReader(strings.NewReader(fill(64<<10+1)), neverEnds{}))
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = -1
	h.serve(h.door, r).refused(t, 413, "", "payload_too_large", "")
}

type neverEnds struct{}

func (neverEnds) Read(p []byte) (int, error) { return len(p), nil }

func TestContentType(t *testing.T) {
	h := open(t)
	h.register()
	good := `{"email":"ann@example.com","password":"` + password + `"}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(good))
	z.Close()
	for _, c := range []struct {
		body    string
		headers []string
	}{
		{good, nil},
		{good, []string{"Content-Type: text/plain"}},
		{good, []string{"Content-Type: text/json"}},
		{good, []string{"Content-Type: application/json+x"}},
		{good, []string{"Content-Type: application/xml"}},
		{good, []string{"Content-Type: application/json; charset=utf-16"}},
		{good, []string{"Content-Type: application/json; charset=iso-8859-1"}},
		{good, []string{"Content-Type: application/json, text/plain"}},
		{good, []string{"Content-Type: "}},
		{good, []string{"Content-Type: ;"}},
		{good, []string{asJSON, asForm}},
		{good, []string{"Content-Type: multipart/form-data; boundary=x"}},
		{"email=ann%40example.com&password=x", []string{"Content-Type: multipart/form-data; boundary=x"}},
		{packed.String(), []string{asJSON, "Content-Encoding: gzip"}},
		{good, []string{asJSON, "Content-Encoding: identity"}},
	} {
		a := h.do("POST", "/api/auth/login", c.body, c.headers...)
		a.refused(t, 415, "", "unsupported_media_type", "")
		isSilent(t, a)
	}
	// Packed, and not said so.
	h.do("POST", "/api/auth/login", packed.String(), asJSON).refused(t, 400, "", "malformed_request", "")
	for _, ok := range []string{"application/json", "Application/JSON", "application/json; charset=utf-8", `application/json;charset="UTF-8"`} {
		if a := h.do("POST", "/api/auth/login", good, "Content-Type: "+ok); a.status != 200 {
			t.Errorf("%s: %d %s", ok, a.status, a.body)
		}
	}
}

// A body that ends before its length decides nothing.
func TestTruncatedBody(t *testing.T) {
	h := open(t)
	body := `{"email":"ann@example.com","password":"` + password + `"}`
	for n := range len(body) {
		r := httptest.NewRequest("POST", "/api/auth/register", io.MultiReader(strings.NewReader(body[:n]), hangsUp{}))
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = int64(len(body))
		h.serve(h.door, r).refused(t, 400, "The body was cut off.", "malformed_request", "")
	}
	if list, _ := h.auth.Users(t.Context(), "", 100); len(list) != 0 {
		t.Errorf("there are %d users, want 0", len(list))
	}
}

type hangsUp struct{}

func (hangsUp) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

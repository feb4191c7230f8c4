package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever is sent, it is read whole or refused as the sender's mistake.
func fuzzDecode(f *testing.F, contentType string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	type body struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Next     string `json:"-" form:"next"`
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequest("POST", "/api/auth/login", strings.NewReader(string(b)))
		r.Header.Set("Content-Type", contentType)
		in, err := decode[body](r)
		if err != nil {
			if status := statusOf(err); status < 400 || status > 499 {
				t.Fatalf("%q: %d %v", b, status, err)
			}
			return
		}
		for _, s := range []string{in.Email, in.Password, in.Next} {
			if !utf8.ValidString(s) {
				t.Fatalf("%q: %q is not text", b, s)
			}
			// What was put in for what could not be read makes passwords alike.
			if strings.ContainsRune(s, utf8.RuneError) && !strings.Contains(string(b), "\ufffd") && !strings.Contains(strings.ToLower(string(b)), "fffd") && !strings.Contains(string(b), "%") {
				t.Fatalf("%q: %q", b, s)
			}
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	fuzzDecode(f, jsonMedia, `{"email":"a","password":"b"}`, `{"email":{"$gt":""}}`, `{"email":"\ud800"}`, `{"Email":"a"}`, `{"email":"a","email":"b"}`,
		`{}{}`, "\ufeff{}", `null`, `[]`, `{"email":1e999}`, "{\"email\":\"\xff\"}", `{"next":"/"}`, `{"-":"x"}`, `{"":"x"}`, strings.Repeat("[", 20_000))
}

func FuzzDecodeForm(f *testing.F) {
	fuzzDecode(f, formMedia, "email=a&password=b", "email=a&email=b", "email=%ff", "email=%zz", "a;b", "next=/x", "=x", "&&&", "-=x", "email[$ne]=x", strings.Repeat("a&", 20_000))
}

// A field that only forms have is not read from JSON, and the other way round
// what JSON has, a form has, too.
func TestFieldsOfForms(t *testing.T) {
	type body struct {
		Email string `json:"email"`
		Next  string `json:"-" form:"next"`
	}
	read := func(contentType, text string) (body, error) {
		r, err := http.NewRequest("POST", "/", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		return decode[body](r)
	}
	if in, err := read(formMedia, "email=a%2Bb&next=%2Fx"); err != nil || in != (body{"a+b", "/x"}) {
		t.Errorf("form: %v, %v", in, err)
	}
	if in, err := read(jsonMedia, `{"email":"a+b"}`); err != nil || in != (body{"a+b", ""}) {
		t.Errorf("JSON: %v, %v", in, err)
	}
	for _, text := range []string{`{"next":"/x"}`, `{"-":"/x"}`, `{"Next":"/x"}`} {
		if in, err := read(jsonMedia, text); err == nil {
			t.Errorf("%s: %v", text, in)
		}
	}
	for _, text := range []string{"-=x", "Next=x"} {
		if in, err := read(formMedia, text); err == nil {
			t.Errorf("%s: %v", text, in)
		}
	}
}

// What is filled in again when a form is refused is never a password.
func TestPasswordsAreNotFilledInAgain(t *testing.T) {
	s := &Web{}
	r := httptest.NewRequest("POST", "/", strings.NewReader("email=ann@example.com&current_password=a&new_password=b&password=c"))
	r.Header.Set("Content-Type", formMedia)
	r, v := s.enter(r)
	if _, err := decode[struct {
		Email    string `json:"email"`
		Current  string `json:"current_password"`
		New      string `json:"new_password"`
		Password string `json:"password"`
	}](r); err != nil {
		t.Fatal(err)
	}
	if len(v.values) != 1 || v.values["email"] != "ann@example.com" {
		t.Errorf("values are %v, want the address alone", v.values)
	}
}

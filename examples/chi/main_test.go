package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// A person with a browser: register, log in, look at the dashboard, log out.
func TestApp(t *testing.T) {
	database := filepath.Join(t.TempDir(), "app.db")
	const secret = "a-secret-of-at-least-32-bytes-for-this-test"
	handler, stop, err := newApp(database, secret)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	// visit follows redirects and says where it ended and what is to be seen.
	visit := func(path string, form url.Values) (at string, status int, page string) {
		t.Helper()
		method, body := "GET", io.Reader(nil)
		if form != nil {
			method, body = "POST", strings.NewReader(form.Encode())
		}
		r, err := http.NewRequest(method, server.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", server.URL)
		}
		res, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.Request.URL.Path, res.StatusCode, string(b)
	}
	if at, _, _ := visit("/dashboard", nil); at != "/login" {
		t.Fatalf("the dashboard without a login leads to %s, want /login", at)
	}
	ann := url.Values{"name": {"Ann"}, "email": {"ann@example.com"}, "password": {"correct horse battery"}}
	if at, status, page := visit("/register", ann); at != "/login" || status != 200 {
		t.Fatalf("register: at %s, %d: %s", at, status, page)
	}
	ann.Del("name")
	at, status, page := visit("/login", ann)
	if at != "/dashboard" || status != 200 || page != "Good to see you, Ann.\n" {
		t.Fatalf("login: at %s, %d: %s", at, status, page)
	}
	if _, status, page := visit("/reports", nil); status != 403 || strings.Contains(page, "admins alone") {
		t.Errorf("the reports without the role: %d %s", status, page)
	}
	// The file outlives the program.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if handler, stop, err = newApp(database, secret); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	if at, status, page := visit("/dashboard", nil); at != "/dashboard" || status != 200 {
		t.Fatalf("the dashboard after a restart: at %s, %d: %s", at, status, page)
	}
	if at, status, _ := visit("/logout", url.Values{}); at != "/login" || status != 200 {
		t.Fatalf("logout: at %s, %d", at, status)
	}
	if at, _, _ := visit("/dashboard", nil); at != "/login" {
		t.Fatalf("the dashboard after logging out leads to %s, want /login", at)
	}
}

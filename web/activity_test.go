package web_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web/ui"
)

// Users see what happened to them, from where and with what result, as JSON and
// as a page; of operators only that it was one.
func TestActivity(t *testing.T) {
	h := open(t)
	h.register()
	h.json("/api/auth/login", map[string]string{"email": ann, "password": "wrong horse"}, "User-Agent: curl/8").refused(t, 401, "", "invalid_credentials", "")
	cookies := h.login()
	u, err := h.auth.FindUser(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	operator := gatehouse.WithClient(t.Context(), gatehouse.Client{Actor: "operator", Address: "203.0.113.99", UserAgent: "operator's browser"})
	if _, err := h.auth.GrantRole(operator, u.ID, "editor"); err != nil {
		t.Fatal(err)
	}
	h.json("/api/auth/register", map[string]string{"email": "bob@example.com", "password": password})
	h.json("/api/auth/login", map[string]string{"email": "bob@example.com", "password": password}, "User-Agent: Bobs")

	a := h.do("GET", "/api/auth/activity", "", cookies)
	list, _ := a.fields["activity"].([]any)
	if a.status != 200 || len(list) != 4 {
		t.Fatalf("activity: %d %s", a.status, a.body)
	}
	for i, want := range []map[string]any{
		{"kind": "role_granted", "outcome": "ok", "by": "operator", "device": "", "address": "", "current": false, "detail": "editor"},
		{"kind": "login", "outcome": "ok", "by": "user", "current": true},
		{"kind": "login", "outcome": "invalid_credentials", "by": "user", "device": "curl", "current": false},
		{"kind": "register", "outcome": "ok", "by": "user", "current": false},
	} {
		got := list[i].(map[string]any)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%d: %s = %v, want %v", i, name, got[name], value)
			}
		}
		if got["by"] == "user" && got["address"] == "" {
			t.Errorf("%d: no address: %v", i, got)
		}
	}
	page := h.do("GET", "/account/activity", "", cookies, "Accept: text/html")
	if page.status != 200 {
		t.Fatalf("page: %d", page.status)
	}
	for _, want := range []string{"The role editor was given", "By an administrator", "was not let in", "Refused", "curl", "This session"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, never := range []string{"203.0.113.99", "operator", "Bobs", "bob@"} {
		if strings.Contains(a.body, never) && never != "operator" || strings.Contains(page.body, never) {
			t.Errorf("somebody sees %q", never)
		}
	}

	h.do("GET", "/api/auth/activity", "").refused(t, 401, "Not authenticated", "not_authenticated", "")
	if a := h.do("GET", "/account/activity", "", "Accept: text/html"); a.status != 303 || a.header.Get("Location") != "/login?next=%2Faccount%2Factivity" {
		t.Errorf("the page for nobody: %d %s", a.status, a.header.Get("Location"))
	}
	h.store.down.Store(true)
	if a := h.do("GET", "/account/activity", "", cookies, "Accept: text/html"); a.status != 503 {
		t.Errorf("the page while the store is away: %d", a.status)
	}
}

// Each kind that users are shown has words.
func TestActivityHasWords(t *testing.T) {
	u, err := ui.New(ui.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range gatehouse.ActivityKinds() {
		if u.Message("activity."+kind) == "" {
			t.Errorf("en.json has no activity.%s", kind)
		}
	}
}

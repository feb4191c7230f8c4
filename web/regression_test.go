package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A script on a page must not read what HttpOnly keeps from it.
func TestTokensAreNotReadOutOfCookies(t *testing.T) {
	h := open(t)
	cookies := h.member()
	for _, path := range []string{"/api/auth/refresh", "/api/auth/reauthenticate"} {
		body := ""
		if path != "/api/auth/refresh" {
			body = `{"password":"` + password + `"}`
		}
		lines := []string{cookies, "Gatehouse-Tokens: body"}
		if body != "" {
			lines = append(lines, "Content-Type: application/json")
		}
		a := h.do("POST", path, body, lines...)
		if a.status != 200 || a.fields["access_token"] != nil || a.fields["refresh_token"] != nil {
			t.Errorf("%s: %d %s: tokens in a body that a script can read", path, a.status, a.body)
		}
		cookies = a.cookies()
	}
}

// A planted cookie beside the real one does not keep a session alive.
func TestLogoutBesideAPlantedCookie(t *testing.T) {
	h := open(t)
	cookies := h.member()
	a := h.do("POST", "/api/auth/logout", "", cookies+"; access_token=planted; refresh_token=planted")
	if a.status != 200 || len(h.sessions()) != 0 {
		t.Errorf("logout: %d, %d sessions left, want none", a.status, len(h.sessions()))
	}
}

// A WebSocket from another site begins with a GET and is refused all the same,
// and one whose access token has expired is not refreshed in passing: whoever
// takes over the connection would lose the cookies.
func TestUpgrades(t *testing.T) {
	h := open(t)
	cookies := h.member()[len("Cookie: "):]
	reached := false
	app := h.web.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	send := func(cookie, site string) int {
		r := httptest.NewRequest("GET", "/socket", nil)
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-Fetch-Site", site)
		w := httptest.NewRecorder()
		reached = false
		app.ServeHTTP(w, r)
		return w.Code
	}
	if got := send(cookies, "same-origin"); got != 200 || !reached {
		t.Errorf("from the same origin: %d, reached %v", got, reached)
	}
	if got := send(cookies, "same-site"); got != 403 || reached {
		t.Errorf("from a sibling: %d, reached %v, want 403", got, reached)
	}
	refreshOnly := only("Cookie: "+cookies, "refresh_token")[len("Cookie: "):]
	if got := send(refreshOnly, "same-origin"); got != 401 || reached {
		t.Errorf("with a refresh token alone: %d, reached %v, want 401", got, reached)
	}
}

package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// setCookies hands out both tokens. They are gone from the browser when they
// would not be accepted any more.
func (s *Web) setCookies(w http.ResponseWriter, l *gatehouse.Login) {
	s.setCookie(w, s.cfg.AccessCookie, l.AccessToken, time.Until(l.AccessExpiresAt))
	s.setCookie(w, s.cfg.RefreshCookie, l.RefreshToken, time.Until(l.RefreshExpiresAt))
	if l.DeviceToken != "" {
		// It stays when somebody logs out: it says who logged in here before.
		s.setCookie(w, s.cfg.DeviceCookie, l.DeviceToken, time.Until(l.DeviceExpiresAt))
	}
}

// clearCookies is for logout alone: a refresh that fails or loses a race must
// not take away what another answer has just brought.
func (s *Web) clearCookies(w http.ResponseWriter) {
	s.setCookie(w, s.cfg.AccessCookie, "", 0)
	s.setCookie(w, s.cfg.RefreshCookie, "", 0)
}

func (s *Web) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
		MaxAge: max(1, int(life.Seconds())),
	}
	if value == "" {
		c.MaxAge = -1
	}
	// One line for each cookie: an earlier one of the same name, as when the
	// session was refreshed in passing, is replaced (ASVS 3.3, RFC 6265bis).
	lines := w.Header()["Set-Cookie"]
	for i, line := range lines {
		if strings.HasPrefix(line, name+"=") {
			lines[i] = c.String()
			return
		}
	}
	w.Header()["Set-Cookie"] = append(lines, c.String())
}

// cookie is the value of a cookie, or empty. Two of one name with different
// values are none: one of them was planted, and which one cannot be known.
func cookie(r *http.Request, name string) string {
	value := ""
	for i, c := range r.CookiesNamed(name) {
		if i > 0 && c.Value != value {
			return ""
		}
		value = c.Value
	}
	return value
}

// allCookies is the values of all cookies of a name, up to a few.
func allCookies(r *http.Request, name string) []string {
	var values []string
	for _, c := range r.CookiesNamed(name) {
		if len(values) < 8 {
			values = append(values, c.Value)
		}
	}
	return values
}

// deviceToken is the device token of a browser, or of a client that keeps its
// tokens itself.
func (s *Web) deviceToken(r *http.Request) string {
	if token := cookie(r, s.cfg.DeviceCookie); token != "" {
		return token
	}
	return r.Header.Get(deviceHeader)
}

// at is the value at i, or empty.
func at(values []string, i int) string {
	if i < len(values) {
		return values[i]
	}
	return ""
}

// bearer is the access token of the Authorization header.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	if !found {
		token = ""
	}
	return token, true
}

package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Refusal is a request that was refused, for the operator alone. Its client saw
// uniform words and Ref.
type Refusal struct {
	Ref       string           `json:"ref"`
	At        time.Time        `json:"at"` // by the clock of this process
	Method    string           `json:"method"`
	Route     string           `json:"route"` // its pattern, or empty for a path of the application
	Status    int              `json:"status"`
	Code      string           `json:"code"`
	Field     string           `json:"field,omitzero"`
	Address   string           `json:"address"`
	UserAgent string           `json:"user_agent"`
	Steps     []gatehouse.Step `json:"steps"` // what was seen and decided, in this order
}

// explain hands on what led to a refusal. It quotes no cookie, token or body, and
// of headers only those that say which site sent the request.
func (s *Web) explain(r *http.Request, v *visit, status int, e *gatehouse.Error) {
	if s.cfg.Explain == nil {
		return
	}
	var seen []gatehouse.Step
	note := func(about, format string, args ...any) {
		seen = append(seen, gatehouse.Step{About: about, Detail: fmt.Sprintf(format, args...)})
	}
	for _, name := range []string{s.cfg.AccessCookie, s.cfg.RefreshCookie, s.cfg.DeviceCookie} {
		switch values := r.CookiesNamed(name); {
		case len(values) == 0:
			note("cookie "+name, "absent")
		case cookie(r, name) == "" && len(values) > 1:
			note("cookie "+name, "there %d times with different values, which is taken for none", len(values))
		default:
			note("cookie "+name, "%d bytes", len(values[0].Value))
		}
	}
	if token, ok := bearer(r); ok {
		note("header Authorization", "a bearer token of %d bytes, before which cookies do not count", len(token))
	}
	for _, name := range []string{"Origin", "Sec-Fetch-Site", "Host"} {
		value := r.Header.Get(name)
		if name == "Host" {
			value = r.Host
		}
		if value != "" {
			note("header "+name, "%.100q", value)
		}
	}
	note("client", "at %s, connected from %s", or(s.clientAddress(r), "no address"), peer(r))
	s.cfg.Explain(Refusal{
		Ref: v.ref, At: time.Now().UTC(), Method: r.Method, Route: r.Pattern, Status: status, Code: e.Code, Field: e.Field,
		Address: s.clientAddress(r), UserAgent: printable(r.UserAgent()), Steps: append(seen, v.trace.Steps()...),
	})
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// printable is the start of a text from outside, quoted where it must be.
func printable(text string) string {
	q := fmt.Sprintf("%.200q", text)
	return q[1 : len(q)-1]
}

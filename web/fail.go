package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web/ui"
)

// statusError is a refusal that HTTP has a status of its own for.
type statusError struct {
	status  int
	refusal *gatehouse.Error
}

func (e *statusError) Error() string { return e.refusal.Error() }

// Unwrap is the refusal, for errors.AsType.
func (e *statusError) Unwrap() error { return e.refusal }

func httpError(status int, kind gatehouse.Kind, code, text string) error {
	return &statusError{status, &gatehouse.Error{Kind: kind, Code: code, Text: text}}
}

var (
	errNotFound       = httpError(http.StatusNotFound, gatehouse.NotFound, "not_found", "There is nothing here.")
	errMethod         = httpError(http.StatusMethodNotAllowed, gatehouse.Invalid, "method_not_allowed", "That method is not allowed here.")
	errLengthRequired = httpError(http.StatusLengthRequired, gatehouse.Invalid, "length_required", "Send the body with a Content-Length.")
	errTooLarge       = httpError(http.StatusRequestEntityTooLarge, gatehouse.Invalid, "payload_too_large", "The body is larger than 64 KiB.")
	errMediaType      = httpError(http.StatusUnsupportedMediaType, gatehouse.Invalid, "unsupported_media_type", "Send application/json or application/x-www-form-urlencoded, in UTF-8 and not compressed.")
	errCrossOrigin    = httpError(http.StatusForbidden, gatehouse.Forbidden, "cross_origin", "The request came from another site.")
	errForbidden      = httpError(http.StatusForbidden, gatehouse.Forbidden, "forbidden", "You may not do this.")
	errPanic          = errors.New("panic")
)

func statusOf(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	if e, ok := errors.AsType[*gatehouse.Error](err); ok {
		switch e.Kind {
		case gatehouse.Invalid:
			return http.StatusBadRequest
		case gatehouse.Unauthenticated:
			return http.StatusUnauthorized
		case gatehouse.Forbidden:
			return http.StatusForbidden
		case gatehouse.NotFound:
			return http.StatusNotFound
		case gatehouse.Conflict:
			return http.StatusConflict
		case gatehouse.Limited:
			return http.StatusTooManyRequests
		case gatehouse.Unavailable:
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusInternalServerError
}

// fail answers an error. It is the only place that turns one into a status;
// what is internal goes to the log under the reference, and nowhere else.
func (s *Web) fail(w http.ResponseWriter, r *http.Request, rt route, err error) {
	v := visitOf(r)
	status := statusOf(err)
	e := asError(err)
	if e == errInterrupted {
		status = http.StatusServiceUnavailable
	}
	h := w.Header()
	if status >= 500 {
		level := slog.LevelError
		if status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
			h.Set("Retry-After", retryAfter(e))
		}
		s.log.LogAttrs(r.Context(), level, "request failed", slog.String("ref", v.ref), slog.String("method", r.Method),
			slog.String("route", r.Pattern), slog.Int("status", status), slog.Any("error", err))
	}
	if status == http.StatusTooManyRequests {
		h.Set("Retry-After", retryAfter(e))
	}
	setBudget(h, v.trace.Budget())
	s.explain(r, v, status, e)
	if status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	if s.wantsPage(r, v) {
		s.failPage(w, r, rt, status, e)
		return
	}
	body := struct {
		Error      string `json:"error"`
		Code       string `json:"code"`
		Field      string `json:"field,omitzero"`
		RetryAfter int    `json:"retry_after,omitzero"`
		Ref        string `json:"ref"`
	}{e.Text, e.Code, e.Field, 0, v.ref}
	if after := h.Get("Retry-After"); after != "" {
		body.RetryAfter, _ = strconv.Atoi(after)
	}
	_ = writeJSON(w, status, body)
}

// asError is the refusal that an error is, or the one that stands for a fault of
// ours.
func asError(err error) *gatehouse.Error {
	if e, ok := errors.AsType[*gatehouse.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errInterrupted
	}
	return errInternal
}

var (
	errInternal    = &gatehouse.Error{Code: "internal", Text: "Something went wrong on our side. Nothing is known to be wrong with what you sent."}
	errInterrupted = &gatehouse.Error{Code: "unavailable", Text: "The service cannot answer at the moment. Try again shortly."}
)

// failPage shows the page of the form again, or the page for errors.
func (s *Web) failPage(w http.ResponseWriter, r *http.Request, rt route, status int, e *gatehouse.Error) {
	if e.Code == "reauthentication_required" {
		// A person can do something about it.
		next := "/account/sessions"
		redirect(w, "/reauthenticate?next="+next)
		return
	}
	name := rt.page
	// Faults of ours, and refusals that no field of the form can mend, have a
	// page of their own.
	if name == "" || status >= 500 && status != http.StatusServiceUnavailable || r.Method == "GET" {
		name = "error"
	}
	p := s.newPage(r)
	p.Status = status
	p.Error = &ui.Error{Code: e.Code, Field: e.Field, Text: e.Text}
	if status >= 500 {
		p.Error.Ref = visitOf(r).ref
	}
	if name != "error" {
		p.Values = visitOf(r).values
		p.Next = localPath(p.Values["next"])
		if err := s.fill(r, name, p); err != nil {
			name = "error"
		}
	}
	if err := s.render(w, status, name, p); err != nil {
		s.log.LogAttrs(r.Context(), slog.LevelError, "page", slog.String("name", name), slog.Any("error", err))
		http.Error(w, e.Text, status)
	}
}

// wantsPage reports whether a person looks at the answer: a form was sent, or a
// browser asks for a page outside the API.
func (s *Web) wantsPage(r *http.Request, v *visit) bool {
	if v.form {
		return true
	}
	if strings.HasPrefix(r.URL.Path, s.cfg.Prefix+"/") {
		return r.Method == "POST" && isForm(r)
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html") || isForm(r)
}

// setBudget says how many more tries a limit allows
// (draft-ietf-httpapi-ratelimit-headers-10). Only refusals say it: what succeeds
// is given back.
func setBudget(h http.Header, b *gatehouse.Budget) {
	if b == nil {
		return
	}
	wait := b.Booking.ResetAfter
	if b.Booking.Remaining == 0 {
		wait = b.Booking.RetryAfter
	}
	window := time.Duration(b.Limit.Burst) * b.Limit.Every
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", b.Lane, b.Limit.Burst, seconds(window)))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", b.Lane, b.Booking.Remaining, seconds(wait)))
}

func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

func retryAfter(e *gatehouse.Error) string {
	return strconv.Itoa(seconds(e.RetryAfter))
}

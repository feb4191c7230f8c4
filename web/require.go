package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

type loginKey struct{}

// UserFrom is the user that a request was let in for by [Web.Require], or nil.
func UserFrom(ctx context.Context) *gatehouse.User {
	if l := LoginFrom(ctx); l != nil {
		return l.User
	}
	return nil
}

// LoginFrom is the login that a request was let in for by [Web.Require], or nil.
func LoginFrom(ctx context.Context) *gatehouse.Login {
	l, _ := ctx.Value(loginKey{}).(*gatehouse.Login)
	return l
}

func withLogin(r *http.Request, l *gatehouse.Login) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), loginKey{}, l))
}

// Require lets only those in who are logged in. A session whose access token has
// expired is refreshed in passing. Others are sent to the login page and back if
// they look at pages, and get a 401 if they are programs; while that cannot be
// decided, everybody gets a 503. Requests that another site made the browser
// send are refused. Answers are not cached unless next says so.
func (s *Web) Require(next http.Handler) http.Handler {
	return s.require(next, func(*gatehouse.User) bool { return true })
}

// RequireRole is Require for those who have the role; others get a 403.
func (s *Web) RequireRole(role string, next http.Handler) http.Handler {
	return s.require(next, func(u *gatehouse.User) bool { return u.HasRole(role) })
}

// RequirePaths is Require for the given paths and all below them, and lets
// everybody through to the rest of next. A path is protected however it is
// spelled: with doubled slashes, percent signs, dots, backslashes, parameters or
// other case; where a spelling can be understood in two ways, it is protected.
func (s *Web) RequirePaths(paths []string, next http.Handler) http.Handler {
	protected := make([]string, len(paths))
	for i, p := range paths {
		protected[i] = canonicalPath(p)
	}
	required := s.Require(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isBelow(r, protected) {
			required.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Web) require(next http.Handler, may func(*gatehouse.User) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, v := s.enter(r)
		w.Header()["Cache-Control"] = noStore
		l, err := s.admit(w, r, may)
		if err != nil {
			// A refusal is an answer of ours, with our headers.
			s.headers.set(w.Header())
			w.Header()["X-Request-Id"] = []string{v.ref}
			s.deny(w, r, route{}, err)
			return
		}
		next.ServeHTTP(w, withLogin(r, l))
	})
}

// admit decides whether the request may pass a Require.
func (s *Web) admit(w http.ResponseWriter, r *http.Request, may func(*gatehouse.User) bool) (*gatehouse.Login, error) {
	if _, ok := bearer(r); !ok {
		if err := s.sameOrigin(r); err != nil {
			return nil, err
		}
	}
	l, err := s.identify(w, r)
	if err == nil && !may(l.User) {
		return nil, errForbidden
	}
	return l, err
}

// identify says who sent the request: by the bearer token if there is one,
// otherwise by the access cookie, otherwise by the refresh cookie, which is
// rotated in passing. However many requests arrive at once, there is one
// rotation, and all get the same refresh token.
func (s *Web) identify(w http.ResponseWriter, r *http.Request) (*gatehouse.Login, error) {
	if token, ok := bearer(r); ok {
		return s.auth.Authenticate(r.Context(), token)
	}
	l, err := s.auth.Authenticate(r.Context(), cookie(r, s.cfg.AccessCookie))
	if !errors.Is(err, gatehouse.Unauthenticated) {
		return l, err
	}
	refresh := cookie(r, s.cfg.RefreshCookie)
	if refresh == "" || upgrades(r) {
		return nil, err // an upgrade's answer is written by others: cookies could get lost
	}
	l, refused := s.auth.Refresh(r.Context(), refresh)
	if errors.Is(refused, gatehouse.Unauthenticated) {
		return nil, err // in the words for the access token
	}
	if refused != nil {
		return nil, refused
	}
	s.setCookies(w, l)
	return l, nil
}

// deny answers somebody who is not logged in.
func (s *Web) deny(w http.ResponseWriter, r *http.Request, rt route, err error) {
	if !errors.Is(err, gatehouse.Unauthenticated) || !s.navigates(r) {
		s.fail(w, r, rt, err)
		return
	}
	s.explain(r, visitOf(r), http.StatusSeeOther, asError(err))
	target := "/login"
	if r.Method == "GET" || r.Method == "HEAD" {
		if next := localPath(r.RequestURI); next != "" && next != s.cfg.Home {
			target += "?next=" + url.QueryEscape(next)
		}
	}
	redirect(w, target)
}

// navigates reports whether a browser is on its way to a page.
func (s *Web) navigates(r *http.Request) bool {
	if _, ok := bearer(r); ok || strings.HasPrefix(r.URL.Path, s.cfg.Prefix+"/") {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html") || isForm(r)
}

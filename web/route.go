package web

import (
	"net/http"
	"slices"
	"strings"
)

// route is one line of the table: what is called how, by whom, and which page a
// form came from.
type route struct {
	method string
	path   string
	who    access
	page   string // template to show again when a form is refused
	handle func(http.ResponseWriter, *http.Request) error
}

// access says who may call a route.
type access int

const (
	anybody access = iota
	users          // who is logged in; the session may be refreshed in passing
)

// operations is the table of what programs call. An operation that a page
// offers too stands here a second time under the page's own path.
func (s *Web) operations() []route {
	p := s.cfg.Prefix
	return []route{
		{"POST", p + "/register", anybody, "register", s.register},
		{"POST", p + "/login", anybody, "login", s.login},
		{"POST", p + "/refresh", anybody, "error", s.refresh},
		{"POST", p + "/logout", anybody, "error", s.logout},
		{"GET", p + "/me", anybody, "", s.me},
		{"PATCH", p + "/me", users, "profile", s.changeName},
		{"POST", p + "/reauthenticate", users, "reauthenticate", s.reauthenticate},
		{"POST", p + "/password", users, "password", s.changePassword},
		{"GET", p + "/sessions", users, "", s.listSessions},
		{"DELETE", p + "/sessions", users, "", s.terminateOtherSessions},
		{"DELETE", p + "/sessions/{id}", users, "", s.terminateSession},
		{"GET", p + "/activity", users, "", s.listActivity},
		{"GET", p + "/openapi.json", anybody, "", s.openAPI},
		{"GET", "/.well-known/jwks.json", anybody, "", s.jwks},
		{"GET", "/.well-known/change-password", anybody, "", s.wellKnownChangePassword},
	}
}

// pages is the table of what browsers show.
func (s *Web) pages() []route {
	return []route{
		{"GET", "/{$}", anybody, "", s.page("home")},
		{"GET", "/register", anybody, "", s.page("register")},
		{"POST", "/register", anybody, "register", s.register},
		{"GET", "/login", anybody, "", s.page("login")},
		{"POST", "/login", anybody, "login", s.login},
		{"POST", "/logout", anybody, "error", s.logout},
		{"GET", "/dashboard", users, "", s.page("dashboard")},
		{"GET", "/account", users, "", s.page("profile")},
		{"POST", "/account/profile", users, "profile", s.changeName},
		{"GET", "/account/password", users, "", s.page("password")},
		{"POST", "/account/password", users, "password", s.changePassword},
		{"GET", "/account/sessions", users, "", s.page("sessions")},
		{"POST", "/account/sessions/terminate", users, "sessions", s.terminateSession},
		{"POST", "/account/sessions/terminate-others", users, "sessions", s.terminateOtherSessions},
		{"GET", "/account/activity", users, "", s.page("activity")},
		{"GET", "/reauthenticate", users, "", s.page("reauthenticate")},
		{"POST", "/reauthenticate", users, "reauthenticate", s.reauthenticate},
	}
}

// serve builds the handler of a table.
func (s *Web) serve(table []route) http.Handler {
	byPath := map[string]map[string]route{}
	for _, rt := range table {
		if byPath[rt.path] == nil {
			byPath[rt.path] = map[string]route{}
		}
		byPath[rt.path][rt.method] = rt
	}
	mux := http.NewServeMux()
	for path, methods := range byPath {
		mux.Handle(path, s.methods(methods))
	}
	mux.Handle("GET /assets/", s.ui.Assets())
	mux.HandleFunc("GET /favicon.ico", s.favicon)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// Whoever is logged in sees that on this page as well.
		if l, err := s.auth.Authenticate(r.Context(), cookie(r, s.cfg.AccessCookie)); err == nil {
			r = withLogin(r, l)
		}
		s.fail(w, r, route{}, errNotFound)
	})
	return s.guard(mux)
}

// methods calls the route of the request's method.
func (s *Web) methods(byMethod map[string]route) http.Handler {
	allowed := []string{"OPTIONS"}
	for m := range byMethod {
		allowed = append(allowed, m)
		if m == "GET" {
			allowed = append(allowed, "HEAD")
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == "HEAD" {
			method = "GET"
		}
		rt, ok := byMethod[method]
		switch {
		case ok:
			s.call(w, r, rt)
		case method == "OPTIONS":
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			s.fail(w, r, route{}, errMethod)
		}
	})
}

// call lets in whoever may call the route, and answers what its handler says.
func (s *Web) call(w http.ResponseWriter, r *http.Request, rt route) {
	if rt.who == users {
		l, err := s.identify(w, r)
		if err != nil {
			s.deny(w, r, rt, err)
			return
		}
		r = withLogin(r, l)
	}
	if err := rt.handle(w, r); err != nil {
		s.fail(w, r, rt, err)
	}
}

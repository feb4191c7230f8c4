package web

import (
	"bytes"
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web/ui"
)

// page shows the template of this name. A GET changes nothing, but that a
// session is refreshed in passing.
func (s *Web) page(name string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if LoginFrom(r.Context()) == nil {
			l, err := s.identify(w, r)
			if err != nil && !errors.Is(err, gatehouse.Unauthenticated) {
				return err
			}
			if err == nil {
				r = withLogin(r, l)
			}
		}
		query := r.URL.Query()
		next := localPath(query.Get("next"))
		if UserFrom(r.Context()) != nil && (name == "login" || name == "register") {
			redirect(w, s.next(next))
			return nil
		}
		p := s.newPage(r)
		p.Notice, p.Next = query.Get("notice"), next
		if err := s.fill(r, name, p); err != nil {
			return err
		}
		return s.render(w, http.StatusOK, name, p)
	}
}

func (s *Web) newPage(r *http.Request) *ui.Page {
	p := &ui.Page{
		SiteName: s.cfg.SiteName, Path: r.URL.Path, Home: s.cfg.Home, Now: time.Now().UTC(),
		PasswordMin: s.auth.PasswordMinLength(), Cancel: "/account/sessions",
	}
	if u := UserFrom(r.Context()); u != nil {
		p.User = &ui.User{Name: u.Name, Email: u.Email, Roles: u.Roles}
	}
	return p
}

// fill adds what the page of this name shows beside the rest.
func (s *Web) fill(r *http.Request, name string, p *ui.Page) error {
	l := LoginFrom(r.Context())
	if l != nil && name == "activity" {
		list, err := s.auth.Activity(r.Context(), l.User.ID, recent)
		p.Activity = activityOf(l, list)
		return err
	}
	if l == nil || name != "sessions" && name != "dashboard" {
		return nil
	}
	list, err := s.auth.Sessions(r.Context(), l.User.ID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b *gatehouse.Session) int { // this device first
		switch l.Session.ID {
		case a.ID:
			return -1
		case b.ID:
			return 1
		}
		return 0
	})
	for _, x := range list {
		p.Sessions = append(p.Sessions, ui.Session{
			ID: x.ID, Device: ui.DeviceName(x.UserAgent), Address: x.Address,
			LastSeen: x.LastSeenAt, CreatedAt: x.CreatedAt, Current: x.ID == l.Session.ID,
		})
	}
	return nil
}

func (s *Web) render(w http.ResponseWriter, status int, name string, p *ui.Page) error {
	var b bytes.Buffer
	if err := s.ui.Render(&b, name, p); err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = htmlType
	h["Content-Security-Policy"] = pagePolicy
	h["Content-Length"] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

func (s *Web) favicon(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(s.ui.Favicon())
}

func (s *Web) jwks(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	// A new key is published long before it signs: five minutes are safe.
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(s.auth.JWKS())
	return nil
}

// wellKnownChangePassword leads password managers to the form (W3C, A Well-Known
// URL for Changing Passwords).
func (s *Web) wellKnownChangePassword(w http.ResponseWriter, r *http.Request) error {
	redirect(w, (&url.URL{Path: "/account/password"}).String())
	return nil
}

//go:embed openapi.json
var openAPIDocument []byte

func (s *Web) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(openAPIDocument)
	return nil
}

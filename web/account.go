package web

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/web/ui"
)

func (s *Web) changeName(w http.ResponseWriter, r *http.Request) error {
	in, err := decode[struct {
		Name string `json:"name"`
	}](r)
	if err != nil {
		return err
	}
	u, err := s.auth.ChangeName(r.Context(), UserFrom(r.Context()).ID, in.Name)
	if err != nil {
		return err
	}
	if visitOf(r).form {
		redirect(w, "/account?notice=name_changed")
		return nil
	}
	return writeJSON(w, http.StatusOK, userReply{bodyOf(u)})
}

func (s *Web) reauthenticate(w http.ResponseWriter, r *http.Request) error {
	in, err := decode[struct {
		Password string `json:"password"`
		Email    string `json:"-" form:"email"` // for password managers
		Next     string `json:"-" form:"next"`
	}](r)
	if err != nil {
		return err
	}
	l, err := s.auth.Reauthenticate(r.Context(), LoginFrom(r.Context()), in.Password)
	if err != nil {
		return err
	}
	if !visitOf(r).form {
		return s.replyLogin(w, r, l)
	}
	s.setCookies(w, l)
	redirect(w, s.next(in.Next))
	return nil
}

func (s *Web) changePassword(w http.ResponseWriter, r *http.Request) error {
	in, err := decode[struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
		Email   string `json:"-" form:"email"` // for password managers
	}](r)
	if err != nil {
		return err
	}
	l, err := s.auth.ChangePassword(r.Context(), LoginFrom(r.Context()), in.Current, in.New)
	if err != nil {
		return err
	}
	if !visitOf(r).form {
		return s.replyLogin(w, r, l)
	}
	s.setCookies(w, l)
	redirect(w, "/account/password?notice=password_changed")
	return nil
}

// sessionBody is what an answer says of a session.
type sessionBody struct {
	ID         string    `json:"id"`
	Current    bool      `json:"current"`
	Device     string    `json:"device"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

func (s *Web) listSessions(w http.ResponseWriter, r *http.Request) error {
	l := LoginFrom(r.Context())
	list, err := s.auth.Sessions(r.Context(), l.User.ID)
	if err != nil {
		return err
	}
	body := struct {
		Sessions []sessionBody `json:"sessions"`
	}{[]sessionBody{}}
	for _, x := range list {
		body.Sessions = append(body.Sessions, sessionBody{
			x.ID, x.ID == l.Session.ID, ui.DeviceName(x.UserAgent), x.Address, x.CreatedAt, x.LastSeenAt, x.InactiveAt,
		})
	}
	return writeJSON(w, http.StatusOK, body)
}

func (s *Web) terminateSession(w http.ResponseWriter, r *http.Request) error {
	in, err := decodeOptional[struct {
		ID string `json:"-" form:"id"`
	}](r)
	if err != nil {
		return err
	}
	id := in.ID
	if p := r.PathValue("id"); p != "" {
		id = p
	}
	l := LoginFrom(r.Context())
	if err := s.auth.TerminateSession(r.Context(), l, id); err != nil {
		return err
	}
	if id == l.Session.ID {
		s.clearCookies(w) // that was a logout
	}
	if !visitOf(r).form {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if id == l.Session.ID {
		redirect(w, "/login?notice=logged_out")
		return nil
	}
	redirect(w, "/account/sessions?notice=session_terminated")
	return nil
}

func (s *Web) terminateOtherSessions(w http.ResponseWriter, r *http.Request) error {
	if _, err := decodeOptional[struct{}](r); err != nil {
		return err
	}
	n, err := s.auth.TerminateOtherSessions(r.Context(), LoginFrom(r.Context()))
	if err != nil {
		return err
	}
	if visitOf(r).form || isForm(r) {
		redirect(w, "/account/sessions?notice=sessions_terminated")
		return nil
	}
	return writeJSON(w, http.StatusOK, struct {
		Terminated int `json:"terminated"`
	}{n})
}

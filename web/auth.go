package web

import (
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
)

func (s *Web) register(w http.ResponseWriter, r *http.Request) error {
	in, err := decode[struct {
		Name     string `json:"name"`
		Email    string `json:"email"`
		Password string `json:"password"`
		Next     string `json:"-" form:"next"`
	}](r)
	if err != nil {
		return err
	}
	u, err := s.auth.Register(r.Context(), gatehouse.Registration{Name: in.Name, Email: in.Email, Password: in.Password})
	if err != nil {
		return err
	}
	if !visitOf(r).form {
		return writeJSON(w, http.StatusCreated, userReply{bodyOf(u)})
	}
	redirect(w, "/login?notice=registered"+andNext(in.Next))
	return nil
}

func (s *Web) login(w http.ResponseWriter, r *http.Request) error {
	in, err := decode[struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Next     string `json:"-" form:"next"`
	}](r)
	if err != nil {
		return err
	}
	l, err := s.auth.Login(r.Context(), gatehouse.PasswordLogin{
		Email: in.Email, Password: in.Password, Former: cookie(r, s.cfg.RefreshCookie), Device: s.deviceToken(r),
	})
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

func (s *Web) refresh(w http.ResponseWriter, r *http.Request) error {
	in, err := decodeOptional[struct {
		RefreshToken string `json:"refresh_token"`
	}](r)
	if err != nil {
		return err
	}
	token := in.RefreshToken
	if token == "" {
		token = cookie(r, s.cfg.RefreshCookie)
	}
	l, err := s.auth.Refresh(r.Context(), token)
	if err != nil {
		return err
	}
	return s.replyLogin(w, r, l)
}

func (s *Web) logout(w http.ResponseWriter, r *http.Request) error {
	in, err := decodeOptional[struct {
		RefreshToken string `json:"refresh_token"`
	}](r)
	if err != nil {
		return err
	}
	// Everything that names a session, also where a planted cookie stands beside
	// the real one: ending one session too many harms nobody.
	access, refresh := allCookies(r, s.cfg.AccessCookie), append(allCookies(r, s.cfg.RefreshCookie), in.RefreshToken)
	if token, ok := bearer(r); ok {
		access = append(access, token)
	}
	for i := range max(len(access), len(refresh)) {
		if err := s.auth.Logout(r.Context(), at(access, i), at(refresh, i)); err != nil {
			return err // the cookies stay: the session may, too
		}
	}
	s.clearCookies(w)
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`) // ASVS 14.3.1
	if visitOf(r).form || isForm(r) {
		redirect(w, "/login?notice=logged_out")
		return nil
	}
	return writeJSON(w, http.StatusOK, struct {
		OK bool `json:"ok"`
	}{true})
}

// me never refreshes: a program that asks who it is wants to know whether its
// access token is good.
func (s *Web) me(w http.ResponseWriter, r *http.Request) error {
	token, ok := bearer(r)
	if !ok {
		token = cookie(r, s.cfg.AccessCookie)
	}
	l, err := s.auth.Authenticate(r.Context(), token)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, userReply{bodyOf(l.User)})
}

// next is where a browser goes after logging in.
func (s *Web) next(wish string) string {
	if p := localPath(wish); p != "" {
		return p
	}
	return s.cfg.Home
}

func andNext(wish string) string {
	if p := localPath(wish); p != "" {
		return "&next=" + url.QueryEscape(p)
	}
	return ""
}

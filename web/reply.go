package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// userBody is what an answer says of a user. There is no other: a field that is
// not here leaves the house nowhere.
type userBody struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Roles     []string  `json:"roles"`
	CreatedAt time.Time `json:"created_at"`
}

func bodyOf(u *gatehouse.User) userBody {
	roles := u.Roles
	if roles == nil {
		roles = []string{}
	}
	return userBody{u.ID, u.Email, u.Name, roles, u.CreatedAt}
}

type userReply struct {
	User userBody `json:"user"`
}

// tokensReply is userReply for a client that keeps its tokens itself.
type tokensReply struct {
	User         userBody `json:"user"`
	AccessToken  string   `json:"access_token"`
	TokenType    string   `json:"token_type"`
	ExpiresIn    int      `json:"expires_in"`
	RefreshToken string   `json:"refresh_token"`
	DeviceToken  string   `json:"device_token,omitzero"`
}

// tokensHeader asks for the tokens in the body instead of in cookies. Being a
// header that no form can send, and no other site without leave, it cannot be
// set on behalf of somebody.
const tokensHeader = "Gatehouse-Tokens"

// deviceHeader is how such a client shows its device token at the next login.
const deviceHeader = "Gatehouse-Device"

// replyLogin hands out the tokens: in cookies or in the body, never in both.
func (s *Web) replyLogin(w http.ResponseWriter, r *http.Request, l *gatehouse.Login) error {
	if s.wantsTokens(r) {
		return writeJSON(w, http.StatusOK, tokensReply{
			User: bodyOf(l.User), AccessToken: l.AccessToken, TokenType: "Bearer",
			ExpiresIn: int(time.Until(l.AccessExpiresAt).Seconds()), RefreshToken: l.RefreshToken, DeviceToken: l.DeviceToken,
		})
	}
	s.setCookies(w, l)
	return writeJSON(w, http.StatusOK, userReply{bodyOf(l.User)})
}

// wantsTokens reports whether the client asks for the tokens in the body. A
// browser that holds them in cookies never gets them there: a script on the page
// could read what it must not (ASVS 3.3.4).
func (s *Web) wantsTokens(r *http.Request) bool {
	return r.Header.Get(tokensHeader) == "body" &&
		len(r.CookiesNamed(s.cfg.AccessCookie)) == 0 && len(r.CookiesNamed(s.cfg.RefreshCookie)) == 0
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone is no fault
	return nil
}

// redirect sends a browser on with a GET. The target is made by us or has passed
// localPath.
func redirect(w http.ResponseWriter, target string) {
	h := w.Header()
	h.Set("Location", target)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
}

package web

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web/ui"
)

// recent is how many events the recent activity of a user has.
const recent = 50

// activityBody is what an answer says of an event.
type activityBody struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Outcome string    `json:"outcome"`
	By      string    `json:"by"` // "user" or "operator"
	Device  string    `json:"device"`
	Address string    `json:"address"`
	Current bool      `json:"current"` // of the session that asks
	Detail  string    `json:"detail,omitempty"`
}

func (s *Web) listActivity(w http.ResponseWriter, r *http.Request) error {
	l := LoginFrom(r.Context())
	list, err := s.auth.Activity(r.Context(), l.User.ID, recent)
	if err != nil {
		return err
	}
	body := struct {
		Activity []activityBody `json:"activity"`
	}{[]activityBody{}}
	for _, e := range list {
		b := activityBody{
			ID: e.ID, At: e.At, Kind: e.Kind, Outcome: e.Outcome, By: "user", Device: deviceOf(e), Address: e.Address,
			Current: isCurrent(l, e), Detail: detailOf(e),
		}
		if e.ActorID != "" {
			// Where operators work is nothing that users are told.
			b.By, b.Device, b.Address = "operator", "", ""
		}
		body.Activity = append(body.Activity, b)
	}
	return writeJSON(w, http.StatusOK, body)
}

// activityOf is what the page shows of events.
func activityOf(l *gatehouse.Login, list []*gatehouse.Event) (shown []ui.Activity) {
	for _, e := range list {
		a := ui.Activity{
			Kind: e.Kind, At: e.At, ByOperator: e.ActorID != "", Device: deviceOf(e), Address: e.Address,
			Current: isCurrent(l, e), Detail: detailOf(e),
		}
		if e.Outcome != "ok" {
			a.Refused, a.Detail = true, e.Outcome
		}
		shown = append(shown, a)
	}
	return shown
}

func isCurrent(l *gatehouse.Login, e *gatehouse.Event) bool {
	return e.SessionID != "" && e.SessionID == l.Session.ID
}

// deviceOf is the device of an event in words, or empty if there was none.
func deviceOf(e *gatehouse.Event) string {
	if e.UserAgent == "" {
		return ""
	}
	return ui.DeviceName(e.UserAgent)
}

// detailOf is the one word that tells events of a kind apart: which role, or why
// a session ended.
func detailOf(e *gatehouse.Event) string {
	if role := e.Data["role"]; role != "" {
		return role
	}
	return e.Data["why"]
}

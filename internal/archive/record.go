package archive

import (
	"encoding/json"
	"fmt"
	"time"

	jsonx "github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// line is a line of an archive: an object with one member, whose name is the
// kind.
type line struct {
	Header    *Header    `json:"gatehouse_archive,omitzero"`
	Setting   *setting   `json:"setting,omitzero"`
	User      *user      `json:"user,omitzero"`
	Session   *session   `json:"session,omitzero"`
	Challenge *challenge `json:"challenge,omitzero"`
	Task      *task      `json:"task,omitzero"`
	Event     *event     `json:"event,omitzero"`
	End       *end       `json:"end,omitzero"`
}

// The records as they are written. What is raw JSON in a record is a string here,
// because JSON within JSON would lose its spaces and the order of its members.
type (
	user struct {
		ID          string       `json:"id"`
		Version     int64        `json:"version"`
		Email       string       `json:"email,omitempty"`
		EmailKey    string       `json:"email_key,omitempty"`
		Name        string       `json:"name,omitempty"`
		Roles       []string     `json:"roles,omitempty"`
		Keys        []string     `json:"keys,omitempty"`
		Credentials []credential `json:"credentials,omitempty"`
		Epoch       int64        `json:"epoch"`
		DisabledAt  time.Time    `json:"disabled_at,omitzero"`
		CreatedAt   time.Time    `json:"created_at,omitzero"`
		UpdatedAt   time.Time    `json:"updated_at,omitzero"`
		Extra       string       `json:"extra,omitempty"`
	}
	credential struct {
		ID        string    `json:"id"`
		Kind      string    `json:"kind"`
		Hash      string    `json:"hash,omitempty"`
		CreatedAt time.Time `json:"created_at,omitzero"`
		ChangedAt time.Time `json:"changed_at,omitzero"`
		Data      string    `json:"data,omitempty"`
	}
	session struct {
		ID              string    `json:"id"`
		Version         int64     `json:"version"`
		UserID          string    `json:"user_id"`
		Epoch           int64     `json:"epoch"`
		Generation      int64     `json:"generation"`
		RotatedAt       time.Time `json:"rotated_at,omitzero"`
		CreatedAt       time.Time `json:"created_at,omitzero"`
		AuthenticatedAt time.Time `json:"authenticated_at,omitzero"`
		LastSeenAt      time.Time `json:"last_seen_at,omitzero"`
		Methods         []string  `json:"methods,omitempty"`
		InactiveAt      time.Time `json:"inactive_at,omitzero"`
		EndsAt          time.Time `json:"ends_at,omitzero"`
		TerminatedAt    time.Time `json:"terminated_at,omitzero"`
		ExpiresAt       time.Time `json:"expires_at,omitzero"`
		UserAgent       string    `json:"user_agent,omitempty"`
		Address         string    `json:"address,omitempty"`
		Extra           string    `json:"extra,omitempty"`
	}
	challenge struct {
		ID        string    `json:"id"`
		Version   int64     `json:"version"`
		Kind      string    `json:"kind"`
		UserID    string    `json:"user_id,omitempty"`
		Attempts  int       `json:"attempts"`
		Data      string    `json:"data,omitempty"`
		CreatedAt time.Time `json:"created_at,omitzero"`
		ExpiresAt time.Time `json:"expires_at,omitzero"`
	}
	event struct {
		ID        string            `json:"id"`
		At        time.Time         `json:"at,omitzero"`
		Kind      string            `json:"kind"`
		Outcome   string            `json:"outcome"`
		UserID    string            `json:"user_id,omitempty"`
		ActorID   string            `json:"actor_id,omitempty"`
		SessionID string            `json:"session_id,omitempty"`
		Address   string            `json:"address,omitempty"`
		UserAgent string            `json:"user_agent,omitempty"`
		Ref       string            `json:"ref,omitempty"`
		Data      map[string]string `json:"data,omitempty"`
		ExpiresAt time.Time         `json:"expires_at,omitzero"`
		Chain     string            `json:"chain,omitempty"`
		Sequence  int64             `json:"sequence,omitzero"`
		Proof     []byte            `json:"proof,omitempty"`
	}
	setting struct {
		Name      string    `json:"name"`
		Version   int64     `json:"version"`
		Value     []byte    `json:"value,omitempty"`
		UpdatedAt time.Time `json:"updated_at,omitzero"`
	}
	task struct {
		ID          string    `json:"id"`
		Version     int64     `json:"version"`
		Kind        string    `json:"kind"`
		Data        string    `json:"data,omitempty"`
		Attempts    int       `json:"attempts"`
		DueAt       time.Time `json:"due_at,omitzero"`
		LeasedUntil time.Time `json:"leased_until,omitzero"`
		CreatedAt   time.Time `json:"created_at,omitzero"`
		ExpiresAt   time.Time `json:"expires_at,omitzero"`
	}
)

// kinds are the kinds of record by their names in lines, in the order in which
// they are counted.
var kinds = [...]string{"users", "sessions", "challenges", "events", "settings", "tasks"}

// each hands the line of every record to f, without a line break; kind is an
// index into kinds.
func each(r *gatehouse.Records, f func(kind int, line []byte) error) error {
	write := func(kind int, id string, l *line) error {
		// Names of Data are written in order. A text that is not UTF-8 is an error:
		// JSON cannot carry it, and most stores would refuse it as well.
		b, err := jsonx.Marshal(l, jsonx.Deterministic(true))
		if err != nil {
			return fmt.Errorf("encode one of the %s, %q: %w", kinds[kind], id, err)
		}
		return f(kind, b)
	}
	for _, x := range r.Users {
		if err := write(0, x.ID, &line{User: fromUser(x)}); err != nil {
			return err
		}
	}
	for _, x := range r.Sessions {
		l := session{
			x.ID, x.Version, x.UserID, x.Epoch, x.Generation, x.RotatedAt, x.CreatedAt, x.AuthenticatedAt, x.LastSeenAt, x.Methods,
			x.InactiveAt, x.EndsAt, x.TerminatedAt, x.ExpiresAt, x.UserAgent, x.Address, string(x.Extra),
		}
		if err := write(1, x.ID, &line{Session: &l}); err != nil {
			return err
		}
	}
	for _, x := range r.Challenges {
		l := challenge{x.ID, x.Version, x.Kind, x.UserID, x.Attempts, string(x.Data), x.CreatedAt, x.ExpiresAt}
		if err := write(2, x.ID, &line{Challenge: &l}); err != nil {
			return err
		}
	}
	for _, x := range r.Events {
		l := event(*x)
		if err := write(3, x.ID, &line{Event: &l}); err != nil {
			return err
		}
	}
	for _, x := range r.Settings {
		l := setting(*x)
		if err := write(4, x.Name, &line{Setting: &l}); err != nil {
			return err
		}
	}
	for _, x := range r.Tasks {
		l := task{x.ID, x.Version, x.Kind, string(x.Data), x.Attempts, x.DueAt, x.LeasedUntil, x.CreatedAt, x.ExpiresAt}
		if err := write(5, x.ID, &line{Task: &l}); err != nil {
			return err
		}
	}
	return nil
}

func fromUser(x *gatehouse.User) *user {
	u := &user{
		ID: x.ID, Version: x.Version, Email: x.Email, EmailKey: x.EmailKey, Name: x.Name, Roles: x.Roles, Keys: x.Keys,
		Epoch: x.Epoch, DisabledAt: x.DisabledAt, CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt, Extra: string(x.Extra),
	}
	for _, c := range x.Credentials {
		u.Credentials = append(u.Credentials, credential{c.ID, c.Kind, c.Hash, c.CreatedAt, c.ChangedAt, string(c.Data)})
	}
	return u
}

// add puts the record of a line among others; false if the line has none.
func (l *line) add(to *gatehouse.Records) bool {
	switch {
	case l.User != nil:
		x := l.User
		u := &gatehouse.User{
			ID: x.ID, Version: x.Version, Email: x.Email, EmailKey: x.EmailKey, Name: x.Name, Roles: x.Roles, Keys: x.Keys,
			Epoch: x.Epoch, DisabledAt: x.DisabledAt, CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt, Extra: raw(x.Extra),
		}
		for _, c := range x.Credentials {
			u.Credentials = append(u.Credentials, gatehouse.Credential{
				ID: c.ID, Kind: c.Kind, Hash: c.Hash, CreatedAt: c.CreatedAt, ChangedAt: c.ChangedAt, Data: raw(c.Data),
			})
		}
		to.Users = append(to.Users, u)
	case l.Session != nil:
		x := l.Session
		to.Sessions = append(to.Sessions, &gatehouse.Session{
			ID: x.ID, Version: x.Version, UserID: x.UserID, Epoch: x.Epoch, Generation: x.Generation, RotatedAt: x.RotatedAt,
			CreatedAt: x.CreatedAt, AuthenticatedAt: x.AuthenticatedAt, LastSeenAt: x.LastSeenAt, Methods: x.Methods,
			InactiveAt: x.InactiveAt, EndsAt: x.EndsAt, TerminatedAt: x.TerminatedAt, ExpiresAt: x.ExpiresAt,
			UserAgent: x.UserAgent, Address: x.Address, Extra: raw(x.Extra),
		})
	case l.Challenge != nil:
		x := l.Challenge
		to.Challenges = append(to.Challenges, &gatehouse.Challenge{
			ID: x.ID, Version: x.Version, Kind: x.Kind, UserID: x.UserID, Attempts: x.Attempts, Data: raw(x.Data),
			CreatedAt: x.CreatedAt, ExpiresAt: x.ExpiresAt,
		})
	case l.Event != nil:
		x := gatehouse.Event(*l.Event)
		to.Events = append(to.Events, &x)
	case l.Setting != nil:
		x := gatehouse.Setting(*l.Setting)
		to.Settings = append(to.Settings, &x)
	case l.Task != nil:
		x := l.Task
		to.Tasks = append(to.Tasks, &gatehouse.Task{
			ID: x.ID, Version: x.Version, Kind: x.Kind, Data: raw(x.Data), Attempts: x.Attempts,
			DueAt: x.DueAt, LeasedUntil: x.LeasedUntil, CreatedAt: x.CreatedAt, ExpiresAt: x.ExpiresAt,
		})
	default:
		return false
	}
	return true
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

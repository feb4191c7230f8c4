package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// A session or challenge is kept as its version, its owner and its fields:
//
//	3 @01938c00-5a2f-7000-8000-000000000009 {"g":8,…}
//
// The first two are what scripts look at. The owner says in whose list a session
// stands: @ and the user, or ! when it was terminated and stands in none; a
// challenge has none and says -.
const (
	terminated = "!"
	unowned    = "-"
)

func ownerOf(s *gatehouse.Session) string {
	if !s.TerminatedAt.IsZero() {
		return terminated
	}
	return "@" + url.QueryEscape(s.UserID) // without white space, however odd the id
}

// userOf is the user in whose list the sessions of this owner stand.
func userOf(owner string) (id string, ok bool) {
	escaped, ok := strings.CutPrefix(owner, "@")
	if !ok {
		return "", false
	}
	id, err := url.QueryUnescape(escaped)
	return id, err == nil
}

// Times are milliseconds since 1970, in which the zero time is the beginning of
// the year 1. JSON in records is kept as the bytes that it was.
type storedSession struct {
	UserID        string   `json:"u,omitzero"`
	Epoch         int64    `json:"e,omitzero"`
	Generation    int64    `json:"g,omitzero"`
	Rotated       int64    `json:"rt"`
	Created       int64    `json:"ct"`
	Authenticated int64    `json:"at"`
	LastSeen      int64    `json:"lt"`
	Methods       []string `json:"m,omitempty"`
	Inactive      int64    `json:"it"`
	Ends          int64    `json:"et"`
	Terminated    int64    `json:"tt"`
	Expires       int64    `json:"xt"`
	UserAgent     string   `json:"ua,omitzero"`
	Address       string   `json:"ad,omitzero"`
	Extra         []byte   `json:"x,omitempty"`
}

type storedChallenge struct {
	Kind     string `json:"k,omitzero"`
	UserID   string `json:"u,omitzero"`
	Attempts int    `json:"n,omitzero"`
	Data     []byte `json:"d,omitempty"`
	Created  int64  `json:"ct"`
	Expires  int64  `json:"xt"`
}

func at(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).UTC() }

// record joins the parts. Only what cannot be marshalled fails, and nothing here is
// of that kind.
func record(version int64, owner string, fields any) (string, error) {
	b, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	return versioned(version, owner, string(b)), nil
}

func versioned(version int64, owner, fields string) string {
	return strconv.FormatInt(version, 10) + " " + owner + " " + fields
}

var errDamaged = errors.New("redis: a record cannot be read")

func split3(text string) (version int64, fields string, err error) {
	first, rest, ok1 := strings.Cut(text, " ")
	_, fields, ok2 := strings.Cut(rest, " ")
	version, err = strconv.ParseInt(first, 10, 64)
	if !ok1 || !ok2 || err != nil {
		return 0, "", errDamaged
	}
	return version, fields, nil
}

func writeSession(s *gatehouse.Session) (string, error) {
	return record(s.Version, ownerOf(s), storedSession{
		s.UserID, s.Epoch, s.Generation, s.RotatedAt.UnixMilli(), s.CreatedAt.UnixMilli(), s.AuthenticatedAt.UnixMilli(),
		s.LastSeenAt.UnixMilli(), s.Methods, s.InactiveAt.UnixMilli(), s.EndsAt.UnixMilli(), s.TerminatedAt.UnixMilli(),
		s.ExpiresAt.UnixMilli(), s.UserAgent, s.Address, s.Extra,
	})
}

func readSession(id, text string) (*gatehouse.Session, error) {
	version, fields, err := split3(text)
	if err != nil {
		return nil, err
	}
	var f storedSession
	if err := json.Unmarshal([]byte(fields), &f); err != nil {
		return nil, errDamaged
	}
	return &gatehouse.Session{
		ID: id, Version: version, UserID: f.UserID, Epoch: f.Epoch, Generation: f.Generation,
		RotatedAt: at(f.Rotated), CreatedAt: at(f.Created), AuthenticatedAt: at(f.Authenticated), LastSeenAt: at(f.LastSeen),
		Methods: f.Methods, InactiveAt: at(f.Inactive), EndsAt: at(f.Ends), TerminatedAt: at(f.Terminated),
		ExpiresAt: at(f.Expires), UserAgent: f.UserAgent, Address: f.Address, Extra: f.Extra,
	}, nil
}

func writeChallenge(c *gatehouse.Challenge) (string, error) {
	return record(c.Version, unowned, storedChallenge{
		c.Kind, c.UserID, c.Attempts, c.Data, c.CreatedAt.UnixMilli(), c.ExpiresAt.UnixMilli(),
	})
}

func readChallenge(id, text string) (*gatehouse.Challenge, error) {
	version, fields, err := split3(text)
	if err != nil {
		return nil, err
	}
	var f storedChallenge
	if err := json.Unmarshal([]byte(fields), &f); err != nil {
		return nil, errDamaged
	}
	return &gatehouse.Challenge{
		ID: id, Version: version, Kind: f.Kind, UserID: f.UserID, Attempts: f.Attempts, Data: f.Data,
		CreatedAt: at(f.Created), ExpiresAt: at(f.Expires),
	}, nil
}

// score is the place of a record in the index of expiries. What never expires has
// one as well, the last, so that the index names every record there is.
func score(expires time.Time) string {
	if expires.IsZero() {
		return "+inf"
	}
	return strconv.FormatInt(expires.UnixMilli(), 10)
}

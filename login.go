package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Login is somebody who is logged in: who it is, in which session, and, when
// the session was begun or refreshed just now, the tokens to hand out. The
// caller may read the records and must not change what their slices hold.
type Login struct {
	User    *User
	Session *Session

	AccessToken      string
	AccessExpiresAt  time.Time
	RefreshToken     string
	RefreshExpiresAt time.Time

	// DeviceToken says that the user has logged in from this device; the next
	// login brings it along. Empty if nothing changed.
	DeviceToken     string
	DeviceExpiresAt time.Time
}

// arrival is from where somebody logs in.
type arrival struct {
	former string  // the refresh token that the browser still holds, or empty
	device *device // the browser's; nil if that is of no interest
}

// finish is the end of every way of logging in: whoever comes here has shown
// all that was asked for. It begins a session, ends the one that this browser
// had before, and makes the tokens. A login from a new device or place in the
// network is recorded as unfamiliar, and the user is told.
//
// Order of the writes: the new session and its event, together; then the end of
// the former session and of those above the limit. Stopping in between leaves a
// session too many, whose tokens nobody else has.
func (g *Gatehouse) finish(ctx context.Context, u *User, from arrival, methods ...string) (*Login, error) {
	if !u.Enabled() {
		// In the words of a wrong password: who has not logged in learns nothing.
		clientOf(ctx).Trace.Note("user", "%s is disabled; the password was right", u.ID)
		return nil, g.refuse(ctx, Event{Kind: EventLogin, UserID: u.ID}, errInvalidCredentials)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("session id: %w", err)
	}
	t, c := now(), clientOf(ctx)
	s := &Session{
		ID: id.String(), UserID: u.ID, Epoch: u.Epoch, Generation: 1, RotatedAt: t,
		CreatedAt: t, AuthenticatedAt: t, LastSeenAt: t, Methods: methods,
		EndsAt: t.Add(g.cfg.MaximumLifetime), UserAgent: c.UserAgent, Address: c.Address,
	}
	g.extend(s, t)
	others, err := g.liveSessions(ctx, u)
	if err != nil {
		return nil, err
	}
	unfamiliar := ""
	if from.device != nil {
		if unfamiliar, err = g.unfamiliar(ctx, u, *from.device, others); err != nil {
			return nil, err
		}
	}
	told := func() error { return nil }
	if unfamiliar != "" {
		told = g.record(ctx, Event{Kind: EventUnfamiliarLogin, UserID: u.ID, SessionID: s.ID, Data: map[string]string{"new": unfamiliar}})
	}
	recorded := g.record(ctx, Event{Kind: EventLogin, UserID: u.ID, SessionID: s.ID, Data: map[string]string{"method": methods[0]}})
	if err := g.store.CreateSession(ctx, s); err != nil {
		// The record of the login may stand already: add that it did not happen,
		// and let nobody wait for that.
		_ = recorded()
		g.record(ctx, Event{Kind: EventLogin, Outcome: "unavailable", UserID: u.ID, SessionID: s.ID})
		return nil, storeFault("create session", err)
	}
	if err := errors.Join(recorded(), told()); err != nil {
		return nil, err
	}
	if unfamiliar != "" {
		if err := g.notify(ctx, NoticeUnfamiliarLogin, u.ID); err != nil {
			return nil, err
		}
	}
	if from.former != "" {
		// ASVS 7.2.4. A former token that is not ours or not valid ends nothing.
		if sid, _, ok := g.openRefreshToken(from.former); ok {
			if err := g.terminate(ctx, sid, "replaced"); err != nil {
				return nil, err
			}
			others = slices.DeleteFunc(others, func(s *Session) bool { return s.ID == sid })
		}
	}
	if err := g.limitSessions(ctx, others); err != nil {
		return nil, err
	}
	l, err := g.grant(u, s)
	if err == nil && from.device != nil {
		l.DeviceToken, l.DeviceExpiresAt = g.deviceToken(*from.device, u)
	}
	return l, err
}

// grant makes the tokens of a session that is in order.
func (g *Gatehouse) grant(u *User, s *Session) (*Login, error) {
	access, expires, err := g.accessToken(u, s)
	if err != nil {
		return nil, err
	}
	return &Login{
		User: u, Session: s,
		AccessToken: access, AccessExpiresAt: expires,
		RefreshToken: g.refreshToken(s.ID, s.Generation), RefreshExpiresAt: s.InactiveAt,
	}, nil
}

// limitSessions ends the sessions of a user beside the one that has just begun
// that are above the limit, the ones seen least lately first (ASVS 7.1.2). Of
// logins that race some may be above it until the next one.
func (g *Gatehouse) limitSessions(ctx context.Context, others []*Session) error {
	for i := g.cfg.SessionsPerUser - 1; i < len(others); i++ {
		if err := g.terminate(ctx, others[i].ID, "too_many"); err != nil {
			return err
		}
	}
	return nil
}

var errInvalidCredentials = &Error{Kind: Unauthenticated, Code: "invalid_credentials", Text: "Invalid credentials"}

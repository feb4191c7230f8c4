package gatehouse

import (
	"context"
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
}

// finish is the end of every way of logging in: whoever comes here has shown
// all that was asked for. It begins a session, ends the one that this browser
// had before, and makes the tokens.
//
// Order of the writes: the new session and its event, together; then the end of
// the former session and of those above the limit. Stopping in between leaves a
// session too many, whose tokens nobody else has.
func (g *Gatehouse) finish(ctx context.Context, u *User, former string, methods ...string) (*Login, error) {
	if !u.Enabled() {
		// In the words of a wrong password: who has not logged in learns nothing.
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
	recorded := g.record(ctx, Event{Kind: EventLogin, UserID: u.ID, SessionID: s.ID, Data: map[string]string{"method": methods[0]}})
	if err := g.store.CreateSession(ctx, s); err != nil {
		// The record of the login may stand already: add that it did not happen,
		// and let nobody wait for that.
		_ = recorded()
		g.record(ctx, Event{Kind: EventLogin, Outcome: "unavailable", UserID: u.ID, SessionID: s.ID})
		return nil, storeFault("create session", err)
	}
	if err := recorded(); err != nil {
		return nil, err
	}
	if former != "" {
		// ASVS 7.2.4. A former token that is not ours or not valid ends nothing.
		if sid, _, ok := g.openRefreshToken(former); ok {
			if err := g.terminate(ctx, sid, "replaced"); err != nil {
				return nil, err
			}
		}
	}
	if err := g.limitSessions(ctx, u, s.ID); err != nil {
		return nil, err
	}
	return g.grant(u, s)
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

// limitSessions ends the user's sessions above the limit, the ones seen least
// lately first (ASVS 7.1.2), and never the one that has just begun.
func (g *Gatehouse) limitSessions(ctx context.Context, u *User, begun string) error {
	live, err := g.liveSessions(ctx, u)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(live, func(s *Session) bool { return s.ID == begun })
	for i := g.cfg.SessionsPerUser - 1; i < len(others); i++ {
		if err := g.terminate(ctx, others[i].ID, "too_many"); err != nil {
			return err
		}
	}
	return nil
}

var errInvalidCredentials = &Error{Kind: Unauthenticated, Code: "invalid_credentials", Text: "Invalid credentials"}

package gatehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// live reports whether the session may be used at t by its user: neither
// terminated nor over, and of the user's epoch.
func (s *Session) live(u *User, t time.Time) bool {
	return s.TerminatedAt.IsZero() && t.Before(s.InactiveAt) && t.Before(s.EndsAt) &&
		s.UserID == u.ID && s.Epoch == u.Epoch && u.Enabled()
}

// explain notes why the session may not be used at t by u.
func (s *Session) explain(trace *Trace, u *User, t time.Time) {
	note := func(format string, args ...any) { trace.Note("session", "%s "+format, append([]any{s.ID}, args...)...) }
	switch {
	case !s.TerminatedAt.IsZero():
		note("was terminated at %s", s.TerminatedAt.Format(time.RFC3339))
	case !t.Before(s.EndsAt):
		note("reached its maximum lifetime at %s", s.EndsAt.Format(time.RFC3339))
	case !t.Before(s.InactiveAt):
		note("was not used until %s, the inactivity timeout", s.InactiveAt.Format(time.RFC3339))
	case s.UserID != u.ID:
		note("is of user %s, not of %s", s.UserID, u.ID)
	case !u.Enabled():
		note("is of user %s, disabled at %s", u.ID, u.DisabledAt.Format(time.RFC3339))
	case s.Epoch != u.Epoch:
		note("is of epoch %d, user %s is at %d: the password was changed, or all sessions were terminated", s.Epoch, u.ID, u.Epoch)
	}
}

// extend moves the inactivity deadline, up to the maximum lifetime.
func (g *Gatehouse) extend(s *Session, t time.Time) {
	s.LastSeenAt = t
	s.InactiveAt = t.Add(g.cfg.InactivityTimeout)
	if s.InactiveAt.After(s.EndsAt) {
		s.InactiveAt = s.EndsAt
	}
	// Not moved with each refresh, but when it has to be: stores have an index on
	// it, and a refresh that leaves indexes alone costs half as much to write.
	if s.ExpiresAt.Before(s.InactiveAt) {
		s.ExpiresAt = s.InactiveAt.Add(g.cfg.InactivityTimeout / 8)
	}
}

// Authenticate says who sent an access token. Unauthenticated if the token is
// not valid, or if its session has ended for whatever reason: at once when that
// was decided in this process, within a second when in another one. User and
// session, roles included, are as of at most a second ago.
func (g *Gatehouse) Authenticate(ctx context.Context, accessToken string) (*Login, error) {
	c, err := g.verify(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	trace := clientOf(ctx).Trace
	if at, is := g.refused(c.SessionID); is {
		trace.Note("session", "%s was terminated at %s", c.SessionID, at.Format(time.RFC3339))
		return nil, errInvalidToken
	}
	s, err := g.readSession(ctx, c.SessionID)
	if errors.Is(err, ErrNotFound) {
		trace.Note("session", "%q of the access token is not in the store", c.SessionID)
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	u, err := g.userOf(ctx, s, c.Subject)
	if errors.Is(err, NotFound) {
		trace.Note("user", "%q of the access token is not in the store", c.Subject)
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	if t := now(); !s.live(u, t) {
		s.explain(trace, u, t)
		return nil, errInvalidToken
	}
	user, session := *u, *s // what is remembered stays ours
	return &Login{User: &user, Session: &session, AccessToken: accessToken, AccessExpiresAt: c.ExpiresAt.Time}, nil
}

// Sessions are the live sessions of the user, the one seen last first.
func (g *Gatehouse) Sessions(ctx context.Context, userID string) ([]*Session, error) {
	u, err := g.User(ctx, userID)
	if err != nil {
		return nil, err
	}
	return g.liveSessions(ctx, u)
}

func (g *Gatehouse) liveSessions(ctx context.Context, u *User) ([]*Session, error) {
	list, err := g.store.SessionsOf(ctx, u.ID)
	if err != nil {
		return nil, storeFault("sessions", err)
	}
	t := now()
	list = slices.DeleteFunc(list, func(s *Session) bool { return !s.live(u, t) })
	slices.SortStableFunc(list, func(a, b *Session) int {
		return cmp.Or(b.LastSeenAt.Compare(a.LastSeenAt), cmp.Compare(b.ID, a.ID))
	})
	return list, nil
}

// Logout ends the session that the tokens belong to; either of them is enough,
// and a refresh token of any age. It is idempotent: tokens that are no good, or
// whose session has ended, are no error. Unavailable if the end could not be
// written: then the session may still live.
func (g *Gatehouse) Logout(ctx context.Context, accessToken, refreshToken string) error {
	ids := make([]string, 0, 2)
	if sid, _, ok := g.openRefreshToken(refreshToken); ok {
		ids = append(ids, sid)
	}
	c, err := g.verify(ctx, accessToken)
	if err != nil && !errors.Is(err, Unauthenticated) {
		return err
	}
	if err == nil && !slices.Contains(ids, c.SessionID) {
		ids = append(ids, c.SessionID)
	}
	for _, id := range ids {
		if err := g.terminate(ctx, id, "logout"); err != nil {
			return err
		}
	}
	return nil
}

// TerminateSession ends one of the user's own sessions. Ending another than
// one's own needs a recent authentication (ASVS 7.5.2): Forbidden otherwise.
// NotFound if the user has no live session of this id.
func (g *Gatehouse) TerminateSession(ctx context.Context, l *Login, id string) error {
	if id != l.Session.ID {
		if err := g.requireRecent(l); err != nil {
			return err
		}
	}
	if err := g.bookChange(ctx, EventSessionTerminated, l.User.ID); err != nil {
		return err
	}
	live, err := g.Sessions(ctx, l.User.ID)
	if err != nil {
		return err
	}
	// A session of somebody else is as absent as one that never was.
	if !slices.ContainsFunc(live, func(s *Session) bool { return s.ID == id }) {
		return &Error{Kind: NotFound, Code: "session_not_found", Text: "There is no such session."}
	}
	return g.terminate(ctx, id, "terminated")
}

// TerminateOtherSessions ends all sessions of the user but the one at hand, and
// says how many. It needs a recent authentication: Forbidden otherwise.
func (g *Gatehouse) TerminateOtherSessions(ctx context.Context, l *Login) (int, error) {
	if err := g.requireRecent(l); err != nil {
		return 0, err
	}
	if err := g.bookChange(ctx, EventSessionTerminated, l.User.ID); err != nil {
		return 0, err
	}
	live, err := g.Sessions(ctx, l.User.ID)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range live {
		if s.ID == l.Session.ID {
			continue
		}
		if err := g.terminate(ctx, s.ID, "terminated"); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// requireRecent refuses what is sensitive when nobody showed a credential
// lately.
func (g *Gatehouse) requireRecent(l *Login) error {
	if age := now().Sub(l.Session.AuthenticatedAt); age > g.cfg.RecentAuthentication || age < -clockSkew {
		return errReauthenticate
	}
	return nil
}

// terminate ends a session for good. One that is gone or ended already is left
// as it is. The record stays until the last access token of the session has
// expired, and is swept then.
//
// The event goes first: what is not on record does not happen. If the end then
// fails, the answer says so, and another try leaves another event.
func (g *Gatehouse) terminate(ctx context.Context, id, why string) error {
	s, err := g.store.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return storeFault("session", err)
	}
	if !s.TerminatedAt.IsZero() {
		return g.endSettled(ctx, id)
	}
	kind := EventSessionTerminated
	switch why {
	case "logout":
		kind = EventLogout
	case "reused":
		kind = EventRefreshReused
	}
	if err := g.record(ctx, Event{Kind: kind, UserID: s.UserID, SessionID: id, Data: map[string]string{"why": why}})(); err != nil {
		return err
	}
	return g.end(ctx, id)
}

// end marks a session as terminated.
func (g *Gatehouse) end(ctx context.Context, id string) error {
	_, err := g.updateSession(ctx, id, func(s *Session) error {
		if !s.TerminatedAt.IsZero() {
			return errUnchanged
		}
		s.TerminatedAt = now()
		s.ExpiresAt = s.TerminatedAt.Add(2 * g.cfg.AccessTokenLifetime)
		return nil
	})
	switch {
	case errors.Is(err, errUnchanged):
		return g.endSettled(ctx, id)
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

// endSettled is nil if the end of a session that somebody else has written holds.
// That one may have been told that it does not.
func (g *Gatehouse) endSettled(ctx context.Context, id string) error {
	s, err := g.settledSession(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case s.TerminatedAt.IsZero():
		return storeFault("end session", fmt.Errorf("%w: the end of the session was lost", ErrUnavailable))
	}
	return nil
}

// tidySessions ends the sessions that a new epoch has made void already, so that
// they are swept soon and nobody's list grows with every change of a password.
// If it fails nothing is lost: what is void stays void.
func (g *Gatehouse) tidySessions(ctx context.Context, u *User) {
	list, err := g.store.SessionsOf(ctx, u.ID)
	if err != nil {
		return
	}
	for _, s := range list {
		if s.Epoch != u.Epoch && g.end(ctx, s.ID) != nil {
			return
		}
	}
}

// requireLive refuses if the session has ended, as the store knows it now.
func (g *Gatehouse) requireLive(ctx context.Context, id string, u *User) error {
	s, err := g.store.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return errInvalidToken
	}
	if err != nil {
		return storeFault("session", err)
	}
	if t := now(); !s.live(u, t) {
		s.explain(clientOf(ctx).Trace, u, t)
		return errInvalidToken
	}
	return nil
}

// errUnchanged ends an update without a write.
var errUnchanged = errors.New("nothing to change")

// updateSession reads a session, lets change decide, and saves; if somebody was
// faster it begins again. ErrNotFound if there is no such session.
func (g *Gatehouse) updateSession(ctx context.Context, id string, change func(*Session) error) (*Session, error) {
	for range maxRaces {
		s, err := g.store.Session(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if err != nil {
			return nil, storeFault("session", err)
		}
		if err := change(s); err != nil {
			return nil, err
		}
		// A client that hangs up does not take back what it asked for.
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		err = g.store.SaveSession(writing, s)
		cancel()
		g.sessions.Delete(id) // whatever happened: look again
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return nil, storeFault("save session", err)
		}
		if !s.TerminatedAt.IsZero() {
			g.terminatedHere(s)
		}
		return s, nil
	}
	return nil, storeFault("save session", fmt.Errorf("%w: %w after %d tries", ErrUnavailable, ErrStale, maxRaces))
}

// readSession is the session as of at most a second ago, for reading only.
// ErrNotFound if there is none.
func (g *Gatehouse) readSession(ctx context.Context, id string) (*Session, error) {
	if r, ok := g.sessions.Get(id); ok && r.fresh() {
		return r.record, nil
	}
	mark, at := g.sessions.Mark(id), monotonic()
	s, err := g.store.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, storeFault("session", err)
	}
	g.sessions.PutSince(id, read[Session]{s, at}, mark)
	return s, nil
}

// clockSkew is how far the clocks of two processes, or of one before and after
// it was set, may be apart before what lies in the future is not believed.
const clockSkew = 5 * time.Minute

// monotonic is the time with the reading of the monotonic clock, for measuring.
func monotonic() time.Time { return time.Now() }

var errReauthenticate = &Error{Kind: Forbidden, Code: "reauthentication_required", Text: "Confirm that it is you: enter your password again."}

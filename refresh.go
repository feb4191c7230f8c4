package gatehouse

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Refresh rotates the refresh token of a session, or answers with the current
// one if somebody raced; see the package comment. Unauthenticated if the token
// is no good, if it was used before, or if its session has ended. When the
// store cannot answer, that is Unavailable; the token stays good at least for
// the grace, within which it should be tried again, since a store that fails in
// the middle of a write may have rotated it.
func (g *Gatehouse) Refresh(ctx context.Context, refreshToken string) (*Login, error) {
	if refreshToken == "" {
		return nil, errNoRefreshToken
	}
	trace := clientOf(ctx).Trace
	sid, presented, ok := g.openRefreshToken(refreshToken)
	if !ok {
		trace.Note("refresh token", "of %d bytes: not one of ours, or made with another master secret", len(refreshToken))
		return nil, errInvalidRefreshToken
	}
	// What was read lately may be old. That is good enough to rotate on, since
	// the save compares versions, but for nothing else: who gets the token that
	// another caller has made must be able to count on it.
	s, err := g.readSession(ctx, sid)
	if err == nil && s.Generation != presented {
		s, err = g.settledSession(ctx, sid)
	}
	for range maxRaces {
		if errors.Is(err, ErrNotFound) {
			trace.Note("session", "%s of the refresh token is not in the store", sid)
			return nil, errInvalidRefreshToken
		}
		if err != nil {
			return nil, err
		}
		u, err2 := g.userOf(ctx, s, s.UserID)
		if errors.Is(err2, NotFound) {
			trace.Note("user", "%s of session %s is not in the store", s.UserID, sid)
			return nil, errInvalidRefreshToken
		}
		if err2 != nil {
			return nil, err2
		}
		t := now()
		if !s.live(u, t) {
			s.explain(trace, u, t)
			return nil, errInvalidRefreshToken
		}
		switch {
		case presented == s.Generation:
			whom := func() (string, error) { return s.UserID, nil }
			if _, err := g.book(ctx, "refresh", whom, Claim{laneRefresh, sid, g.cfg.Limits.Refresh}); err != nil {
				return nil, err
			}
			mark, at := g.sessions.Mark(sid), monotonic()
			next := *s // what was read may be shared
			next.Generation++
			next.RotatedAt = t
			if c := clientOf(ctx); c.Address != "" {
				next.Address, next.UserAgent = c.Address, c.UserAgent
			}
			g.extend(&next, t)
			// A client that hangs up now would not learn what became of its token.
			writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			err = g.store.SaveSession(writing, &next)
			cancel()
			if errors.Is(err, ErrStale) {
				s, err = g.settledSession(ctx, sid) // somebody was faster
				continue
			}
			if err != nil {
				g.sessions.Delete(sid)
				return nil, storeFault("rotate", err)
			}
			g.rotations.Put(sid, rotation{next.Generation, monotonic()})
			remembered := next
			g.sessions.PutSince(sid, read[Session]{&remembered, at}, mark)
			return g.grant(u, &next)
		case presented == s.Generation-1 && g.inGrace(s, t):
			current := *s
			return g.grant(u, &current)
		case presented == s.Generation-1 && t.Sub(s.RotatedAt) < -clockSkew:
			// By our clock it was rotated in the future: the clock was set back, or
			// that of another process is wrong. Nobody can say how long ago it was, so
			// it is no use, and no reason to end the session.
			trace.Note("refresh token", "of session %s, the one before the current one, which is from %s: the clock was set back", sid, s.RotatedAt.Format(time.RFC3339))
			return nil, errInvalidRefreshToken
		default:
			// Older, too late, or of a generation that this store has never
			// reached (it was restored from a backup): whoever holds it, two
			// hold tokens of this session, and it ends.
			trace.Note("refresh token", "of session %s and generation %d, and the current one is %d since %s: it was used before, and the session ends",
				sid, presented, s.Generation, s.RotatedAt.Format(time.RFC3339))
			if err := g.terminate(ctx, sid, "reused"); err != nil {
				return nil, err
			}
			if err := g.notify(ctx, NoticeRefreshReused, s.UserID); err != nil {
				return nil, err
			}
			return nil, errInvalidRefreshToken
		}
	}
	return nil, storeFault("rotate", fmt.Errorf("%w: %w after %d tries", ErrUnavailable, ErrStale, maxRaces))
}

// rotation is when this process rotated a session to a generation, on a clock that
// nobody can set.
type rotation struct {
	generation int64
	at         time.Time
}

// inGrace reports whether the generation before the current one of s is still
// answered at t. If this process rotated it, a clock that was set since does not
// matter; otherwise that of whoever did may differ a little from ours.
func (g *Gatehouse) inGrace(s *Session, t time.Time) bool {
	if r, ok := g.rotations.Get(s.ID); ok && r.generation == s.Generation {
		return time.Since(r.at) <= g.cfg.RotationGrace
	}
	age := t.Sub(s.RotatedAt)
	return age <= g.cfg.RotationGrace && age >= -clockSkew
}

// A refresh token is 56 bytes in base64url: the session's UUID, the generation,
// and an HMAC-SHA256 over both.
const (
	refreshBody  = 16 + 8
	refreshBytes = refreshBody + sha256.Size
)

func (g *Gatehouse) refreshToken(sid string, generation int64) string {
	var b [refreshBytes]byte
	id := uuid.MustParse(sid) // we made it
	copy(b[:], id[:])
	binary.BigEndian.PutUint64(b[16:], uint64(generation))
	mac := hmac.New(sha256.New, g.refreshKeys[0])
	mac.Write(b[:refreshBody])
	mac.Sum(b[:refreshBody])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// openRefreshToken says which session and generation a token of ours is for.
func (g *Gatehouse) openRefreshToken(token string) (sid string, generation int64, ok bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(refreshBytes) {
		return "", 0, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != refreshBytes {
		return "", 0, false // a line break inside is skipped by the decoder
	}
	for _, key := range g.refreshKeys {
		mac := hmac.New(sha256.New, key)
		mac.Write(b[:refreshBody])
		if hmac.Equal(mac.Sum(nil), b[refreshBody:]) {
			id := uuid.UUID(b[:16])
			return id.String(), int64(binary.BigEndian.Uint64(b[16:refreshBody])), true
		}
	}
	return "", 0, false
}

var (
	errNoRefreshToken      = &Error{Kind: Unauthenticated, Code: "no_refresh_token", Text: "No refresh token"}
	errInvalidRefreshToken = &Error{Kind: Unauthenticated, Code: "invalid_refresh_token", Text: "Invalid refresh token"}
)

package gatehouse

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	tokenType      = "at+jwt" // RFC 9068
	maxAccessToken = 4096     // bytes; what a cookie can hold (RFC 6265bis)
)

// claims is what an access token says (RFC 9068). It is never changed once it
// has been verified.
type claims struct {
	jwt.RegisteredClaims
	SessionID string           `json:"sid"`
	AuthTime  *jwt.NumericDate `json:"auth_time"`
	Methods   []string         `json:"amr,omitempty"`
	Roles     []string         `json:"roles,omitempty"`

	// Only with Config.TokenProfile.
	UserID string `json:"id,omitempty"`
	Email  string `json:"email,omitempty"`
}

// accessToken makes an access token for a session, good until the time it
// returns.
func (g *Gatehouse) accessToken(u *User, s *Session) (string, time.Time, error) {
	t := now()
	// Five percent more or less, so that the tabs and users of a moment do not
	// come back in one moment. Not a secret: math/rand will do.
	life := g.cfg.AccessTokenLifetime
	life = life*95/100 + time.Duration(rand.Int64N(int64(life/10)+1))
	expires := t.Add(life)
	if expires.After(s.EndsAt) {
		expires = s.EndsAt
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("token id: %w", err)
	}
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: g.cfg.Issuer, Subject: u.ID, Audience: jwt.ClaimStrings{g.cfg.Audience}, ID: id.String(),
			IssuedAt: jwt.NewNumericDate(t), ExpiresAt: jwt.NewNumericDate(expires),
		},
		SessionID: s.ID, AuthTime: jwt.NewNumericDate(s.AuthenticatedAt), Methods: s.Methods, Roles: u.Roles,
	}
	if g.cfg.TokenProfile {
		c.UserID, c.Email = u.ID, u.Email
	}
	k := g.keys.Load().signer
	token := jwt.NewWithClaims(k.method, c)
	token.Header["typ"], token.Header["kid"] = tokenType, k.id
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return signed, c.ExpiresAt.Time, nil
}

// verify checks an access token: signature, type, issuer, audience and times.
// Whatever is wrong, the answer is the same. A signature is verified once and
// then remembered by the digest of the token, in a bounded cache; expiry is
// checked each time.
func (g *Gatehouse) verify(ctx context.Context, token string) (*claims, error) {
	if token == "" {
		return nil, errNotAuthenticated
	}
	// The decoder of base64 skips line breaks: one token has one spelling.
	if len(token) > maxAccessToken || strings.ContainsAny(token, "\r\n") {
		clientOf(ctx).Trace.Note("access token", "of %d bytes: longer than %d, or with a line break", len(token), maxAccessToken)
		return nil, errInvalidToken
	}
	var short [1024]byte // most tokens fit, and need no garbage to be made of them
	digest := sha256.Sum256(append(short[:0], token...))
	c, ok := g.verified.Get(digest)
	if !ok {
		var err error
		if c, err = g.parse(ctx, token); err != nil {
			return nil, err
		}
		g.verified.Put(digest, c)
	}
	if !time.Now().Before(c.ExpiresAt.Time) {
		clientOf(ctx).Trace.Note("access token", "of session %s expired at %s", c.SessionID, c.ExpiresAt.UTC().Format(time.RFC3339))
		return nil, errInvalidToken
	}
	return c, nil
}

var errUnknownKey = errors.New("unknown key")

func (g *Gatehouse) parse(ctx context.Context, token string) (*claims, error) {
	keys := g.keys.Load()
	c, err := g.parseWith(keys, token)
	if errors.Is(err, errUnknownKey) {
		// Another process may have rotated the keys since we read them.
		if err := g.reloadKeys(ctx); err != nil {
			return nil, err
		}
		if newer := g.keys.Load(); newer != keys {
			c, err = g.parseWith(newer, token)
		}
	}
	if err != nil {
		clientOf(ctx).Trace.Note("access token", "refused: %s", g.tokenFault(token, err))
		return nil, &Error{Kind: Unauthenticated, Code: errInvalidToken.Code, Text: errInvalidToken.Text, Err: err}
	}
	return c, nil
}

// tokenFault says what is wrong with a token, and what it says of itself, in words
// of bounded length that hold nothing of its signature.
func (g *Gatehouse) tokenFault(token string, err error) string {
	var c claims
	t, _, perr := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseUnverified(token, &c)
	if perr != nil {
		return "it is no JWT" // the cause would quote it
	}
	kid, _ := t.Header["kid"].(string)
	text := fmt.Sprintf("%.120s; it names the key %.40q and the algorithm %.10q", err, kid, t.Header["alg"])
	if c.ExpiresAt != nil {
		text += ", and expires at " + c.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return text
}

// reloadKeys reads the keys, if they have not been read for a second. Who comes
// meanwhile waits for that, and gets what came of it.
func (g *Gatehouse) reloadKeys(ctx context.Context) error {
	_, err, _ := g.reloading.Do("", func() (any, error) {
		if !g.mayReloadKeys() {
			return nil, nil
		}
		return nil, g.loadKeys(context.WithoutCancel(ctx)) // it is for the others, too
	})
	return err
}

// mayReloadKeys lets unknown keys make us read the store once a second at most:
// a key id is what an attacker says it is.
func (g *Gatehouse) mayReloadKeys() bool {
	last, t := g.keysRead.Load(), now().UnixMilli()
	return (t-last >= 1000 || t < last) && g.keysRead.CompareAndSwap(last, t)
}

func (g *Gatehouse) parseWith(keys *keyring, token string) (*claims, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{string(EdDSA), string(ES256), string(HS256)}),
		jwt.WithStrictDecoding(), jwt.WithExpirationRequired(),
		jwt.WithIssuer(g.cfg.Issuer), jwt.WithAudience(g.cfg.Audience),
	)
	c := &claims{}
	_, err := parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != tokenType {
			return nil, errors.New("not an access token")
		}
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("critical header that is not understood") // RFC 7515, 4.1.11
		}
		id, _ := t.Header["kid"].(string)
		k, ok := keys.byID[id]
		if !ok {
			return nil, errUnknownKey
		}
		// The key decides which algorithm verifies it, not the token.
		if t.Method.Alg() != k.method.Alg() {
			return nil, errors.New("algorithm is not the key's")
		}
		return k.public, nil
	})
	if err != nil {
		return nil, err
	}
	if c.Subject == "" || c.SessionID == "" || c.IssuedAt == nil {
		return nil, errors.New("claims are missing")
	}
	if c.IssuedAt.After(time.Now().Add(time.Minute)) {
		return nil, errors.New("issued in the future")
	}
	return c, nil
}

var (
	errNotAuthenticated = &Error{Kind: Unauthenticated, Code: "not_authenticated", Text: "Not authenticated"}
	errInvalidToken     = &Error{Kind: Unauthenticated, Code: "invalid_token", Text: "Invalid or expired token"}
)

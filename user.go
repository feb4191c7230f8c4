package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

const maxName = 200 // characters

// Enabled reports whether the user may log in.
func (u *User) Enabled() bool { return u.DisabledAt.IsZero() }

// credential is the user's first credential of this kind, or nil.
func (u *User) credential(kind string) *Credential {
	for i := range u.Credentials {
		if u.Credentials[i].Kind == kind {
			return &u.Credentials[i]
		}
	}
	return nil
}

// User is the user with this id. NotFound if there is none.
func (g *Gatehouse) User(ctx context.Context, id string) (*User, error) {
	u, err := g.store.User(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, errUserNotFound
	}
	if err != nil {
		return nil, storeFault("user", err)
	}
	return u, nil
}

// FindUser is the user with this id or email address. NotFound if there is
// none.
func (g *Gatehouse) FindUser(ctx context.Context, idOrEmail string) (*User, error) {
	if !strings.Contains(idOrEmail, "@") {
		return g.User(ctx, idOrEmail)
	}
	email, err := ParseEmail(idOrEmail)
	if err != nil {
		return nil, err
	}
	u, err := g.store.UserByEmail(ctx, email.Key)
	if errors.Is(err, ErrNotFound) {
		return nil, errUserNotFound
	}
	if err != nil {
		return nil, storeFault("user by email", err)
	}
	return u, nil
}

// Users is a page of up to limit users whose id is greater than after, by id.
func (g *Gatehouse) Users(ctx context.Context, after string, limit int) ([]*User, error) {
	list, err := g.store.Users(ctx, after, min(max(limit, 1), 1000))
	if err != nil {
		return nil, storeFault("users", err)
	}
	return list, nil
}

// ChangeName gives the user another name; the empty one is allowed. Invalid if
// the name is longer than 200 characters or holds control characters.
func (g *Gatehouse) ChangeName(ctx context.Context, id, name string) (*User, error) {
	name, err := checkName(name)
	if err != nil {
		return nil, err
	}
	if err := g.bookChange(ctx, EventNameChanged, id); err != nil {
		return nil, err
	}
	u, err := g.updateUser(ctx, id, func(u *User) error {
		u.Name = name
		return nil
	})
	if err != nil {
		return nil, err
	}
	return u, g.record(ctx, Event{Kind: EventNameChanged, UserID: id})()
}

func newUser(email Email, name string) (*User, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("user id: %w", err)
	}
	t := now()
	return &User{ID: id.String(), Email: email.Typed, EmailKey: email.Key, Name: name, CreatedAt: t, UpdatedAt: t}, nil
}

// createUser adds u. Conflict if the address is taken. Of any number of
// registrations of one address at once, the unique key lets one through.
func (g *Gatehouse) createUser(ctx context.Context, u *User) error {
	err := g.store.CreateUser(ctx, u)
	if errors.Is(err, ErrExists) {
		return errUserExists
	}
	if err != nil {
		return storeFault("create user", err)
	}
	return nil
}

// updateUser reads a user, lets change decide, and saves; if somebody was
// faster it begins again. It is the only way in which a user is changed. An
// error of change is returned as it is, and nothing is changed.
func (g *Gatehouse) updateUser(ctx context.Context, id string, change func(*User) error) (*User, error) {
	for range maxRaces {
		u, err := g.User(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := change(u); err != nil {
			return nil, err
		}
		u.UpdatedAt = now()
		err = g.store.SaveUser(ctx, u)
		g.changedHere(id) // whatever happened: look again
		if errors.Is(err, ErrStale) {
			continue
		}
		if errors.Is(err, ErrExists) {
			return nil, errUserExists
		}
		if err != nil {
			return nil, storeFault("save user", err)
		}
		return u, nil
	}
	return nil, storeFault("save user", fmt.Errorf("%w: %w after %d tries", ErrUnavailable, ErrStale, maxRaces))
}

// readUser is the user as of at most a second ago, for reading only.
func (g *Gatehouse) readUser(ctx context.Context, id string) (*User, error) {
	if r, ok := g.users.Get(id); ok && r.fresh() {
		return r.record, nil
	}
	mark, at := g.users.Mark(id), monotonic()
	u, err := g.User(ctx, id)
	if err != nil {
		return nil, err
	}
	g.users.PutSince(id, read[User]{u, at}, mark)
	return u, nil
}

// userOf is the user of this id, to be held against the session. Who is
// remembered from before the session was begun is read again: in another process
// somebody may have changed the password, or been enabled, and logged in within
// this second. Epochs only rise, and to disable a user raises the epoch, so no
// session that has ended leads to a second reading.
func (g *Gatehouse) userOf(ctx context.Context, s *Session, id string) (*User, error) {
	u, err := g.readUser(ctx, id)
	if err == nil && (s.Epoch > u.Epoch || s.Epoch == u.Epoch && !u.Enabled()) {
		g.users.Delete(id)
		return g.readUser(ctx, id)
	}
	return u, err
}

// checkName is the name as it is kept: NFC, without white space around it.
func checkName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", errNameInvalid
	}
	if len(name) > 16*maxName {
		return "", errNameTooLong
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	if utf8.RuneCountInString(name) > maxName {
		return "", errNameTooLong
	}
	// Controls, line separators and bidirectional overrides could make a name
	// look like something else on a page or in a log.
	if strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
			r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}) {
		return "", errNameInvalid
	}
	return name, nil
}

var (
	errUserNotFound = &Error{Kind: NotFound, Code: "user_not_found", Text: "There is no such user."}
	errUserExists   = &Error{Kind: Conflict, Code: "user_exists", Field: "email", Text: "User exists"}
	errNameTooLong  = &Error{Kind: Invalid, Code: "name_too_long", Field: "name", Text: "The name is longer than 200 characters."}
	errNameInvalid  = &Error{Kind: Invalid, Code: "name_invalid", Field: "name", Text: "The name holds characters that cannot be shown."}
)

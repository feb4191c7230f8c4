package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/hashing"
)

const (
	kindPassword = "password" // of a credential
	methodPwd    = "pwd"      // amr (RFC 8176)
	maxPassword  = 256        // characters
)

// Registration is what somebody says to become a user.
type Registration struct {
	Name     string // optional
	Email    string
	Password string
}

// Register makes a user who can log in with a password. Invalid names the field
// that cannot be accepted; Conflict if the address is taken, in whichever
// spelling; Unavailable if a breach list cannot be asked. With a Mailer, and
// unless RevealRegistered is set, an address that is taken gets the answer of one
// that is free, after the same work: a user, whom nobody has made. Whoever then
// tries to log in finds out all the same, as long as addresses need no
// confirmation.
func (g *Gatehouse) Register(ctx context.Context, in Registration) (*User, error) {
	pass, err := g.book(ctx, EventRegister, nil, bySource(ctx, laneRegister, g.cfg.Limits.Register, "")...)
	if err != nil {
		return nil, err
	}
	u, err := g.prepareUser(ctx, in)
	if err == nil {
		err = g.createRegistered(ctx, u)
	}
	if (errors.Is(err, Unavailable) || errors.Is(err, Invalid)) && !askedBreachList(err) {
		pass.giveBack(ctx) // it told nothing, and made nobody
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// createRegistered makes a user and records it, or refuses because the address is
// taken, or, if that is to be told to nobody, does as if and tells the owner. Then
// it takes as long either way: a look at who has the address, and two writes, one
// after the other.
func (g *Gatehouse) createRegistered(ctx context.Context, u *User) error {
	if g.cfg.Mailer == nil || g.cfg.RevealRegistered {
		err := g.createUser(ctx, u)
		if errors.Is(err, errUserExists) {
			return g.refuse(ctx, Event{Kind: EventRegister}, errUserExists)
		}
		if err != nil {
			return err
		}
		return g.record(ctx, Event{Kind: EventRegister, UserID: u.ID})()
	}
	owner, err := g.store.UserByEmail(ctx, u.EmailKey)
	if errors.Is(err, ErrNotFound) {
		if err = g.createUser(ctx, u); err == nil {
			return g.record(ctx, Event{Kind: EventRegister, UserID: u.ID})()
		}
		if !errors.Is(err, errUserExists) {
			return err
		}
		owner, err = g.store.UserByEmail(ctx, u.EmailKey) // somebody was faster
	}
	if err != nil {
		return storeFault("user by email", err)
	}
	if err := g.refuse(ctx, Event{Kind: EventRegister}, errUserExists); !errors.Is(err, errUserExists) {
		return err
	}
	// The second write is the notice, or one of no consequence if there were
	// enough of those.
	if written, err := g.writeNotice(ctx, NoticeRegistered, owner.ID); written || err != nil {
		return err
	}
	return g.Ready(ctx)
}

// prepareUser is the user of a registration, who is not made yet: it checks
// everything before it hashes.
func (g *Gatehouse) prepareUser(ctx context.Context, in Registration, roles ...string) (*User, error) {
	switch {
	case in.Email == "":
		return nil, missing("email")
	case in.Password == "":
		return nil, missing("password")
	}
	email, err := ParseEmail(in.Email)
	if err != nil {
		return nil, err
	}
	name, err := checkName(in.Name)
	if err != nil {
		return nil, err
	}
	password, err := g.checkNewPassword("password", in.Password, wordsOf(email, name))
	if err != nil {
		return nil, err
	}
	u, err := newUser(email, name)
	if err != nil {
		return nil, err
	}
	u.Roles = roles
	hash, err := g.hashNewPassword(ctx, "password", password, false)
	if err != nil {
		return nil, err
	}
	if err := u.setPassword(hash); err != nil {
		return nil, err
	}
	return u, nil
}

// PasswordLogin is what somebody says to log in with a password.
type PasswordLogin struct {
	Email    string
	Password string
	// Former is the refresh token that the browser still holds, if any; its
	// session ends when the login succeeds.
	Former string
	// Device is the device token that the browser holds, if any; see
	// [Login.DeviceToken].
	Device string
}

// Login begins a session for whoever shows the password. Unauthenticated, in
// the same words and after the same work, whether there is no such user, the
// user has no password or is disabled, or the password is wrong.
func (g *Gatehouse) Login(ctx context.Context, in PasswordLogin) (*Login, error) {
	switch {
	case in.Email == "":
		return nil, missing("email")
	case in.Password == "":
		return nil, missing("password")
	}
	email, err := ParseEmail(in.Email)
	if err != nil {
		return nil, err
	}
	password, err := readPassword("password", in.Password)
	if err != nil {
		return nil, err
	}
	d, _ := g.openDevice(in.Device)
	pass, known, err := g.bookLogin(ctx, email.Key, d)
	if err != nil {
		return nil, err
	}
	u, err := g.checkLogin(ctx, email, password, known)
	if err != nil {
		pass.settle(ctx, err)
		return nil, err
	}
	l, err := g.finish(ctx, u, arrival{in.Former, &d}, methodPwd)
	pass.settle(ctx, err)
	return l, err
}

// checkLogin is the user with this address, who has shown the password.
func (g *Gatehouse) checkLogin(ctx context.Context, email Email, password []byte, known bool) (*User, error) {
	trace := clientOf(ctx).Trace
	u, err := g.store.UserByEmail(ctx, email.Key)
	if errors.Is(err, ErrNotFound) {
		trace.Note("user", "none has this address")
		u, err = &User{EmailKey: email.Key}, nil // nobody, whose password is always wrong
	}
	if err != nil {
		return nil, storeFault("user by email", err)
	}
	u, err = g.checkPassword(ctx, u, password, known)
	if errors.Is(err, errWrongPassword) {
		if u.ID != "" {
			trace.Note("password", "is not that of user %s, last changed %s", u.ID, u.passwordChanged())
		}
		return nil, g.refuse(ctx, Event{Kind: EventLogin, UserID: u.ID}, errInvalidCredentials)
	}
	return u, err
}

// checkPassword is nil if the password is the user's, and errWrongPassword
// otherwise. It is the one place where a password is checked. A user without a
// password costs as much as one with one; known says that a device is in use on
// which that user has logged in before, or a session. A hash of another kind or other
// parameters is replaced on the way; the user is returned as it is now.
func (g *Gatehouse) checkPassword(ctx context.Context, u *User, password []byte, known bool) (*User, error) {
	caller := hashingFor(ctx, known)
	c := u.credential(kindPassword)
	if c == nil {
		if err := g.hashes.Waste(ctx, caller, g.fictitiousKind(u.EmailKey), password); err != nil {
			return u, hashFault(err)
		}
		return u, errWrongPassword
	}
	ok, rehash, err := g.hashes.Verify(ctx, caller, c.Hash, password)
	if err != nil {
		return u, hashFault(err)
	}
	if !ok {
		return u, errWrongPassword
	}
	if rehash && u.Enabled() {
		return g.rehash(ctx, u, c.Hash, password, caller)
	}
	return u, nil
}

// rehash stores the password that was just shown with the parameters of today.
// The epoch stays: it is the same password, and nobody is logged out.
func (g *Gatehouse) rehash(ctx context.Context, u *User, old string, password []byte, caller hashing.Caller) (*User, error) {
	hash, err := g.hashes.Hash(ctx, caller, password)
	if errors.Is(err, hashing.ErrBusy) {
		return u, nil // the password was right: there will be another login
	}
	if err != nil {
		return u, hashFault(err)
	}
	updated, err := g.updateUser(ctx, u.ID, func(u *User) error {
		c := u.credential(kindPassword)
		if c == nil || c.Hash != old {
			return errUnchanged // changed meanwhile: that password is newer than ours
		}
		c.Hash = hash
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return u, nil // its epoch is that of the old password, so the session will be void
	}
	if err != nil {
		return u, err
	}
	return updated, g.record(ctx, Event{Kind: EventPasswordRehashed, UserID: u.ID})()
}

// Reauthenticate lets the user at hand show the password again: the session
// counts as authenticated just now, and its refresh token is rotated (ASVS
// 7.2.4), unless l brings one that was made just now. Forbidden if the password
// is wrong.
func (g *Gatehouse) Reauthenticate(ctx context.Context, l *Login, password string) (*Login, error) {
	if password == "" {
		return nil, missing("password")
	}
	u, err := g.confirm(ctx, l, EventReauthenticate, "password", password)
	if err != nil {
		return nil, err
	}
	s, err := g.updateSession(ctx, l.Session.ID, func(s *Session) error {
		t := now()
		if !s.live(u, t) {
			return errInvalidToken
		}
		s.AuthenticatedAt = t
		// If it was rotated in passing by this very request, that is enough: with
		// two steps at once, other tabs would be left too far behind.
		if l.RefreshToken == "" {
			s.Generation++
			s.RotatedAt = t
		}
		g.extend(s, t)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	if l.RefreshToken == "" {
		g.rotations.Put(s.ID, rotation{s.Generation, monotonic()})
	}
	if err := g.record(ctx, Event{Kind: EventReauthenticate, UserID: u.ID, SessionID: s.ID})(); err != nil {
		return nil, err
	}
	return g.grant(u, s)
}

// ChangePassword replaces the password of the user at hand, who shows the
// current one. Every session of before ends; the caller gets a new one.
// Forbidden if the current password is wrong, Invalid if the new one cannot be
// accepted, and Unavailable if a breach list cannot be asked.
func (g *Gatehouse) ChangePassword(ctx context.Context, l *Login, current, replacement string) (*Login, error) {
	switch {
	case current == "":
		return nil, missing("current_password")
	case replacement == "":
		return nil, missing("new_password")
	}
	fresh, err := g.checkNewPassword("new_password", replacement, l.User.words())
	if err != nil {
		return nil, err
	}
	u, err := g.confirm(ctx, l, EventPasswordChanged, "current_password", current)
	if err != nil {
		return nil, err
	}
	if old, _ := readPassword("current_password", current); string(old) == string(fresh) {
		return nil, &Error{Kind: Invalid, Code: "same_password", Field: "new_password", Text: "The new password is the one you have."}
	}
	hash, err := g.hashNewPassword(ctx, "new_password", fresh, true)
	if err != nil {
		return nil, err
	}
	shown := u.Epoch
	if err := g.record(ctx, Event{Kind: EventPasswordChanged, UserID: u.ID, SessionID: l.Session.ID})(); err != nil {
		return nil, err
	}
	// The new epoch and the new password are one write, so there is no moment
	// in which the password is new and an old session still works. If we stop
	// after it, the user logs in with the new password.
	u, err = g.updateUser(ctx, u.ID, func(u *User) error {
		if u.Epoch != shown {
			return errInvalidToken // somebody else changed it first, and ended this session with it
		}
		// Hashing took its time: the session may have been ended meanwhile, and
		// what is dead gets no successor.
		if err := g.requireLive(ctx, l.Session.ID, u); err != nil {
			return err
		}
		return u.replacePassword(hash)
	})
	if err != nil {
		return nil, err
	}
	g.tidySessions(ctx, u)
	if err := g.notify(ctx, NoticePasswordChanged, u.ID); err != nil {
		return nil, err
	}
	return g.finish(ctx, u, arrival{}, methodPwd)
}

// confirm checks the password of a user who is logged in already. A wrong one is
// on record under the act that it was for.
func (g *Gatehouse) confirm(ctx context.Context, l *Login, act, field, password string) (*User, error) {
	p, err := readPassword(field, password)
	if err != nil {
		return nil, err
	}
	u, err := g.User(ctx, l.User.ID)
	if errors.Is(err, NotFound) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	if !l.Session.live(u, now()) {
		return nil, errInvalidToken
	}
	whom := func() (string, error) { return u.ID, nil }
	pass, err := g.book(ctx, act, whom, Claim{laneReauthenticate, l.Session.ID, g.cfg.Limits.Reauthenticate})
	if err != nil {
		return nil, err
	}
	u, err = g.checkPassword(ctx, u, p, true)
	pass.settle(ctx, err)
	if errors.Is(err, errWrongPassword) {
		return nil, g.refuse(ctx, Event{Kind: act, UserID: u.ID, SessionID: l.Session.ID},
			&Error{Kind: Forbidden, Code: "wrong_password", Field: field, Text: "That is not your password."})
	}
	return u, err
}

// passwordChanged is when the password was last changed, in words.
func (u *User) passwordChanged() string {
	if c := u.credential(kindPassword); c != nil {
		return c.ChangedAt.Format(time.RFC3339)
	}
	return "never: there is none"
}

// setPassword gives a user the first password.
func (u *User) setPassword(hash string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("credential id: %w", err)
	}
	t := now()
	u.Credentials = append(u.Credentials, Credential{ID: id.String(), Kind: kindPassword, Hash: hash, CreatedAt: t, ChangedAt: t})
	return nil
}

// replacePassword changes the password and voids everything granted before.
func (u *User) replacePassword(hash string) error {
	u.Epoch++
	c := u.credential(kindPassword)
	if c == nil {
		return u.setPassword(hash)
	}
	c.Hash, c.ChangedAt = hash, now()
	return nil
}

// checkNewPassword is the form in which a new password is hashed. The words are
// what everybody can know about its user. There are no rules of composition (ASVS
// 6.2.5).
func (g *Gatehouse) checkNewPassword(field, password string, words []string) ([]byte, error) {
	p, err := readPassword(field, password)
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCount(p); n < g.cfg.PasswordMinLength {
		return nil, &Error{
			Kind: Invalid, Code: "password_too_short", Field: field,
			Text: fmt.Sprintf("The password needs at least %d characters.", g.cfg.PasswordMinLength),
		}
	}
	return p, g.checkGuessable(field, p, words)
}

// hashNewPassword is the hash of a password that checkNewPassword has let pass.
// Breach lists are asked here and not before: by now the caller has been checked
// as well, and nothing else stands in the way.
func (g *Gatehouse) hashNewPassword(ctx context.Context, field string, p []byte, known bool) (string, error) {
	if err := g.checkLeaked(ctx, field, p); err != nil {
		return "", err
	}
	hash, err := g.hashes.Hash(ctx, hashingFor(ctx, known), p)
	if err != nil {
		return "", hashFault(err)
	}
	return hash, nil
}

// PasswordMinLength is the least number of characters of a new password.
func (g *Gatehouse) PasswordMinLength() int { return g.cfg.PasswordMinLength }

// readPassword is a password as it is hashed: whole, as received, but for the
// normal form that different keyboards write differently (NFC, NIST SP 800-63B-4
// 3.1.1.2). One code point is one character.
func readPassword(field, password string) ([]byte, error) {
	if !utf8.ValidString(password) {
		return nil, &Error{Kind: Invalid, Code: "password_invalid", Field: field, Text: "The password is not valid text."}
	}
	tooLong := &Error{Kind: Invalid, Code: "password_too_long", Field: field, Text: "The password is longer than 256 characters."}
	if len(password) > 16*maxPassword {
		return nil, tooLong // before any work is done on it
	}
	p := norm.NFC.Bytes([]byte(password))
	if utf8.RuneCount(p) > maxPassword {
		return nil, tooLong
	}
	return p, nil
}

func missing(field string) *Error {
	return &Error{Kind: Invalid, Code: "missing_fields", Field: field, Text: "Missing fields"}
}

// hashFault says what it means when a password could not be hashed: not that it
// is wrong.
func hashFault(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	wait := time.Second
	if busy, ok := errors.AsType[*hashing.BusyError](err); ok {
		wait = max(wait, busy.RetryAfter)
	} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, hashing.ErrClosed) {
		return fmt.Errorf("hash: %w", err)
	}
	return &Error{
		Kind: Unavailable, Code: "busy", Text: "There is more to do than can be done at the moment. Try again shortly.",
		RetryAfter: wait, Err: err,
	}
}

// errWrongPassword never leaves the core.
var errWrongPassword = errors.New("wrong password")

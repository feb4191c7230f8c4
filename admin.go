package gatehouse

import (
	"context"
	"errors"
	"slices"
	"time"
)

// NewUser is a user that an operator adds.
type NewUser struct {
	Registration
	Roles []string
}

// AddUser makes a user, as Register does, with roles. Invalid names the field
// that cannot be accepted; Conflict if the address is taken.
func (g *Gatehouse) AddUser(ctx context.Context, in NewUser) (*User, error) {
	roles, err := checkRoles(in.Roles)
	if err != nil {
		return nil, err
	}
	u, err := g.prepareUser(ctx, in.Registration, roles...)
	if err != nil {
		return nil, err
	}
	if err := g.createUser(ctx, u); err != nil {
		return nil, err
	}
	return u, g.record(ctx, Event{Kind: EventRegister, UserID: u.ID})()
}

// DisableUser keeps the user from logging in and ends all sessions, in one
// write. A user who is disabled already is left as is.
func (g *Gatehouse) DisableUser(ctx context.Context, id string) (*User, error) {
	return g.administer(ctx, id, Event{Kind: EventUserDisabled}, func(u *User) error {
		if !u.Enabled() {
			return errUnchanged
		}
		u.DisabledAt = now()
		u.Epoch++
		return nil
	})
}

// EnableUser lets the user log in again. Sessions of before stay ended.
func (g *Gatehouse) EnableUser(ctx context.Context, id string) (*User, error) {
	return g.administer(ctx, id, Event{Kind: EventUserEnabled}, func(u *User) error {
		if u.Enabled() {
			return errUnchanged
		}
		u.DisabledAt = time.Time{}
		return nil
	})
}

// SetPassword gives the user another password and ends all sessions. It is held
// to what a password has to be that users choose themselves.
func (g *Gatehouse) SetPassword(ctx context.Context, id, password string) error {
	if password == "" {
		return missing("password")
	}
	u, err := g.User(ctx, id)
	if err != nil {
		return err
	}
	p, err := g.checkNewPassword("password", password, u.words())
	if err != nil {
		return err
	}
	hash, err := g.hashNewPassword(ctx, "password", p, true)
	if err != nil {
		return err
	}
	_, err = g.administer(ctx, id, Event{Kind: EventPasswordChanged}, func(u *User) error { return u.replacePassword(hash) })
	return err
}

// TerminateSessions ends all sessions of a user.
func (g *Gatehouse) TerminateSessions(ctx context.Context, id string) error {
	_, err := g.administer(ctx, id, Event{Kind: EventSessionsTerminated}, func(u *User) error {
		u.Epoch++
		return nil
	})
	return err
}

// DeleteUser removes the user for good, with all keys and credentials; the
// address can be registered anew, and nothing of the old user appears. Sessions
// end with it, at once. NotFound if there is no such user.
//
// Order of the writes: the user first, which voids the sessions; then the
// sessions, whose records are only tidied up.
func (g *Gatehouse) DeleteUser(ctx context.Context, id string) error {
	if _, err := g.User(ctx, id); err != nil {
		return err
	}
	if err := g.record(ctx, Event{Kind: EventUserDeleted, UserID: id})(); err != nil {
		return err
	}
	for {
		u, err := g.User(ctx, id)
		if errors.Is(err, NotFound) {
			break // somebody else was faster
		}
		if err != nil {
			return err
		}
		err = g.store.DeleteUser(ctx, id, u.Version)
		g.changedHere(id)
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return storeFault("delete user", err)
		}
		break
	}
	list, err := g.store.SessionsOf(ctx, id)
	if err != nil {
		return storeFault("sessions", err)
	}
	for _, s := range list {
		if err := g.end(ctx, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// administer changes a user on behalf of an operator and puts it on record. A
// change that changes nothing is no error and leaves no event.
func (g *Gatehouse) administer(ctx context.Context, id string, e Event, change func(*User) error) (*User, error) {
	u, err := g.User(ctx, id)
	if err != nil {
		return nil, err
	}
	tried, epoch := *u, u.Epoch
	tried.Roles, tried.Credentials = slices.Clone(u.Roles), slices.Clone(u.Credentials)
	if err := change(&tried); errors.Is(err, errUnchanged) {
		return u, nil
	} else if err != nil {
		return nil, err
	}
	// The event goes first: what is not on record does not happen.
	e.UserID = id
	if err := g.record(ctx, e)(); err != nil {
		return nil, err
	}
	u, err = g.updateUser(ctx, id, change)
	if errors.Is(err, errUnchanged) {
		return g.User(ctx, id) // somebody did the same meanwhile
	}
	if err != nil {
		return nil, err
	}
	if u.Epoch != epoch {
		g.tidySessions(ctx, u)
	}
	return u, nil
}

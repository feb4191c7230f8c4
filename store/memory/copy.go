package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// The copies are what a database would give back: nothing in them is shared
// with the original, and times are UTC in whole milliseconds.

func kept(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

func copyUser(u *gatehouse.User) *gatehouse.User {
	c := *u
	c.Roles = slices.Clone(u.Roles)
	c.Keys = slices.Clone(u.Keys)
	c.Credentials = slices.Clone(u.Credentials)
	for i := range c.Credentials {
		k := &c.Credentials[i]
		k.CreatedAt, k.ChangedAt = kept(k.CreatedAt), kept(k.ChangedAt)
		k.Data = slices.Clone(k.Data)
	}
	c.DisabledAt, c.CreatedAt, c.UpdatedAt = kept(u.DisabledAt), kept(u.CreatedAt), kept(u.UpdatedAt)
	c.Extra = slices.Clone(u.Extra)
	return &c
}

func copySession(s *gatehouse.Session) *gatehouse.Session {
	c := *s
	for _, t := range []*time.Time{
		&c.RotatedAt, &c.CreatedAt, &c.AuthenticatedAt, &c.LastSeenAt,
		&c.InactiveAt, &c.EndsAt, &c.TerminatedAt, &c.ExpiresAt,
	} {
		*t = kept(*t)
	}
	c.Methods = slices.Clone(s.Methods)
	c.Extra = slices.Clone(s.Extra)
	return &c
}

func copyChallenge(c *gatehouse.Challenge) *gatehouse.Challenge {
	d := *c
	d.Data = slices.Clone(c.Data)
	d.CreatedAt, d.ExpiresAt = kept(c.CreatedAt), kept(c.ExpiresAt)
	return &d
}

func copyEvent(e *gatehouse.Event) *gatehouse.Event {
	c := *e
	c.Data = maps.Clone(e.Data)
	c.Proof = slices.Clone(e.Proof)
	c.At, c.ExpiresAt = kept(e.At), kept(e.ExpiresAt)
	return &c
}

func copySetting(s *gatehouse.Setting) *gatehouse.Setting {
	c := *s
	c.Value = slices.Clone(s.Value)
	c.UpdatedAt = kept(s.UpdatedAt)
	return &c
}

func copyTask(t *gatehouse.Task) *gatehouse.Task {
	c := *t
	c.Data = slices.Clone(t.Data)
	c.DueAt, c.LeasedUntil = kept(t.DueAt), kept(t.LeasedUntil)
	c.CreatedAt, c.ExpiresAt = kept(t.CreatedAt), kept(t.ExpiresAt)
	return &c
}

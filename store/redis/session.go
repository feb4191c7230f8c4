package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
)

// CreateSession implements [gatehouse.Store]. The list of the user comes first: if
// it ends there, the list names a session that does not exist, which is as good as
// nothing.
func (s *Store) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	created := *x
	created.Version = 1
	text, err := writeSession(&created)
	if err != nil {
		return err
	}
	if x.TerminatedAt.IsZero() {
		if err := s.list(ctx, x.UserID, x.ID); err != nil {
			return err
		}
	}
	if err := s.create(ctx, sessionKey, x.ID, text, x.ExpiresAt); err != nil {
		return err
	}
	x.Version = 1
	return nil
}

// Session implements [gatehouse.Store].
func (s *Store) Session(ctx context.Context, id string) (*gatehouse.Session, error) {
	text, err := s.record(ctx, sessionKey, id)
	if err != nil {
		return nil, err
	}
	return readSession(id, text)
}

// SaveSession implements [gatehouse.Store]. A session gets into a list before it is
// saved, and out of one after. That it gets into one here does not happen in
// Gatehouse: no session changes its user, and none comes back to life.
func (s *Store) SaveSession(ctx context.Context, x *gatehouse.Session) error {
	saved := *x
	saved.Version = s.c.next(x.Version)
	text, err := writeSession(&saved)
	if err != nil {
		return err
	}
	owner, version := ownerOf(x), strconv.FormatInt(x.Version, 10)
	undo := func(former string) (command, bool) { return s.c.undoSave(&saved, text, former) }
	former, err := s.save(ctx, sessionKey, x.ID, version, text, x.ExpiresAt, owner, false, undo)
	if errors.Is(err, errUnlisted) {
		if err := s.list(ctx, x.UserID, x.ID); err != nil {
			return err
		}
		former, err = s.save(ctx, sessionKey, x.ID, version, text, x.ExpiresAt, owner, true, undo)
	}
	if err != nil {
		return err
	}
	x.Version = saved.Version
	if user, ok := userOf(ownerIn(former)); ok && ownerIn(former) != owner {
		s.strike(ctx, user, x.ID)
	}
	return nil
}

// SessionsOf implements [gatehouse.Store].
func (s *Store) SessionsOf(ctx context.Context, userID string) ([]*gatehouse.Session, error) {
	listed, err := s.c.one(ctx, "list sessions", command{
		word: []string{"ZRANGE"}, keys: []string{s.c.key(listKey, userID)}, args: []string{"0", "-1"}, reads: true,
	})
	if err != nil {
		return nil, err
	}
	reads := make([]command, len(listed.list))
	for i, id := range listed.list {
		reads[i] = s.c.reading(sessionKey, id.text)
	}
	records, err := s.c.all(ctx, "read sessions", reads...)
	if err != nil {
		return nil, err
	}
	var sessions []*gatehouse.Session
	var idle []string
	for i, r := range records {
		id := listed.list[i].text
		if r.none {
			idle = append(idle, id)
			continue
		}
		x, err := readSession(id, r.text)
		if err != nil {
			return nil, err
		}
		if x.UserID == userID && !x.TerminatedAt.IsZero() {
			// It is struck off when its end was acknowledged, so this end may not be.
			if x, err = s.SettledSession(ctx, id); errors.Is(err, gatehouse.ErrNotFound) {
				idle = append(idle, id)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		if x.UserID != userID || !x.TerminatedAt.IsZero() {
			idle = append(idle, id)
			continue
		}
		sessions = append(sessions, x)
	}
	if len(idle) > 0 { // left by a process that ended between two steps
		_, _ = s.c.one(ctx, "tidy", command{script: tidyScript, keys: []string{s.c.key(listKey, userID)}, args: idle})
	}
	slices.SortFunc(sessions, func(a, b *gatehouse.Session) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return sessions, nil
}

// list puts ids into the list of a user.
func (s *Store) list(ctx context.Context, userID string, ids ...string) error {
	_, err := s.c.replicated(ctx, "list", command{script: listScript, keys: []string{s.c.key(listKey, userID)}, args: ids}, nil)
	return err
}

// strike takes ids from the list of a user. If it fails, the list names too much,
// until it is next read.
func (s *Store) strike(ctx context.Context, userID string, ids ...string) {
	ctx = context.WithoutCancel(ctx)
	_, _ = s.c.one(ctx, "strike", command{word: []string{"ZREM"}, keys: []string{s.c.key(listKey, userID)}, args: ids})
}

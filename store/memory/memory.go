// Package memory keeps the records of Gatehouse in this process. It is for
// tests and for trying things out: everything is gone when the process ends.
package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Store is a [gatehouse.Store] in memory. Make one with [New].
type Store struct {
	mu         sync.Mutex
	users      map[string]*gatehouse.User
	emails     map[string]string // EmailKey to the id of the user
	keys       map[string]string // one of the Keys to the id of the user
	sessions   map[string]*gatehouse.Session
	challenges map[string]*gatehouse.Challenge
	events     map[string]*gatehouse.Event
	settings   map[string]*gatehouse.Setting
	tasks      map[string]*gatehouse.Task
}

var _ gatehouse.Store = (*Store)(nil)

// New is an empty store.
func New() *Store {
	return &Store{
		users:      make(map[string]*gatehouse.User),
		emails:     make(map[string]string),
		keys:       make(map[string]string),
		sessions:   make(map[string]*gatehouse.Session),
		challenges: make(map[string]*gatehouse.Challenge),
		events:     make(map[string]*gatehouse.Event),
		settings:   make(map[string]*gatehouse.Setting),
		tasks:      make(map[string]*gatehouse.Task),
	}
}

// step runs f alone. Every method is one step, so every method is atomic.
func (s *Store) step(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// get answers with a copy of the record of that id.
func get[R any](ctx context.Context, s *Store, records map[string]*R, id string, copied func(*R) *R) (*R, error) {
	var r *R
	err := s.step(ctx, func() error {
		stored, ok := records[id]
		if !ok {
			return gatehouse.ErrNotFound
		}
		r = copied(stored)
		return nil
	})
	return r, err
}

// create stores a copy of r under an id that is free.
func create[R any](ctx context.Context, s *Store, records map[string]*R, id string, r *R, version *int64, copied func(*R) *R) error {
	return s.step(ctx, func() error {
		if _, taken := records[id]; taken {
			return gatehouse.ErrExists
		}
		if version != nil {
			*version = 1
		}
		records[id] = copied(r)
		return nil
	})
}

// save stores a copy of r if the stored version is still that of r.
func save[R any](ctx context.Context, s *Store, records map[string]*R, id string, r *R, version func(*R) *int64, copied func(*R) *R) error {
	return s.step(ctx, func() error {
		stored, ok := records[id]
		if !ok || *version(stored) != *version(r) {
			return gatehouse.ErrStale
		}
		*version(r)++
		records[id] = copied(r)
		return nil
	})
}

// CreateUser implements [gatehouse.Store].
func (s *Store) CreateUser(ctx context.Context, u *gatehouse.User) error {
	return s.step(ctx, func() error {
		if _, taken := s.users[u.ID]; taken || s.taken(u) {
			return gatehouse.ErrExists
		}
		u.Version = 1
		s.putUser(u)
		return nil
	})
}

// User implements [gatehouse.Store].
func (s *Store) User(ctx context.Context, id string) (*gatehouse.User, error) {
	return get(ctx, s, s.users, id, copyUser)
}

// UserByEmail implements [gatehouse.Store].
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (*gatehouse.User, error) {
	return s.userBy(ctx, s.emails, emailKey)
}

// UserByKey implements [gatehouse.Store].
func (s *Store) UserByKey(ctx context.Context, key string) (*gatehouse.User, error) {
	return s.userBy(ctx, s.keys, key)
}

func (s *Store) userBy(ctx context.Context, index map[string]string, key string) (u *gatehouse.User, err error) {
	err = s.step(ctx, func() error {
		id, ok := index[key]
		if !ok {
			return gatehouse.ErrNotFound
		}
		u = copyUser(s.users[id])
		return nil
	})
	return u, err
}

// SaveUser implements [gatehouse.Store].
func (s *Store) SaveUser(ctx context.Context, u *gatehouse.User) error {
	return s.step(ctx, func() error {
		stored, ok := s.users[u.ID]
		if !ok || stored.Version != u.Version {
			return gatehouse.ErrStale
		}
		if s.taken(u) {
			return gatehouse.ErrExists
		}
		u.Version++
		s.dropUser(stored)
		s.putUser(u)
		return nil
	})
}

// DeleteUser implements [gatehouse.Store].
func (s *Store) DeleteUser(ctx context.Context, id string, version int64) error {
	return s.step(ctx, func() error {
		stored, ok := s.users[id]
		if !ok || stored.Version != version {
			return gatehouse.ErrStale
		}
		s.dropUser(stored)
		return nil
	})
}

// taken reports whether the email key or one of the keys of u belongs to
// somebody else.
func (s *Store) taken(u *gatehouse.User) bool {
	if id, ok := s.emails[u.EmailKey]; ok && id != u.ID {
		return true
	}
	return slices.ContainsFunc(u.Keys, func(key string) bool {
		id, ok := s.keys[key]
		return ok && id != u.ID
	})
}

func (s *Store) putUser(u *gatehouse.User) {
	s.users[u.ID] = copyUser(u)
	if u.EmailKey != "" {
		s.emails[u.EmailKey] = u.ID
	}
	for _, key := range u.Keys {
		s.keys[key] = u.ID
	}
}

func (s *Store) dropUser(u *gatehouse.User) {
	delete(s.users, u.ID)
	delete(s.emails, u.EmailKey)
	for _, key := range u.Keys {
		delete(s.keys, key)
	}
}

// Users implements [gatehouse.Store].
func (s *Store) Users(ctx context.Context, after string, limit int) (page []*gatehouse.User, err error) {
	err = s.step(ctx, func() error {
		for _, id := range slices.Sorted(maps.Keys(s.users)) {
			if id > after && len(page) < limit {
				page = append(page, copyUser(s.users[id]))
			}
		}
		return nil
	})
	return page, err
}

// CreateSession implements [gatehouse.Store].
func (s *Store) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	return create(ctx, s, s.sessions, x.ID, x, &x.Version, copySession)
}

// Session implements [gatehouse.Store].
func (s *Store) Session(ctx context.Context, id string) (*gatehouse.Session, error) {
	return get(ctx, s, s.sessions, id, copySession)
}

// SaveSession implements [gatehouse.Store].
func (s *Store) SaveSession(ctx context.Context, x *gatehouse.Session) error {
	version := func(x *gatehouse.Session) *int64 { return &x.Version }
	return save(ctx, s, s.sessions, x.ID, x, version, copySession)
}

// SessionsOf implements [gatehouse.Store].
func (s *Store) SessionsOf(ctx context.Context, userID string) (list []*gatehouse.Session, err error) {
	err = s.step(ctx, func() error {
		for _, x := range s.sessions {
			if x.UserID == userID && x.TerminatedAt.IsZero() {
				list = append(list, copySession(x))
			}
		}
		slices.SortFunc(list, func(a, b *gatehouse.Session) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
		})
		return nil
	})
	return list, err
}

// CreateChallenge implements [gatehouse.Store].
func (s *Store) CreateChallenge(ctx context.Context, c *gatehouse.Challenge) error {
	return create(ctx, s, s.challenges, c.ID, c, &c.Version, copyChallenge)
}

// Challenge implements [gatehouse.Store].
func (s *Store) Challenge(ctx context.Context, id string) (*gatehouse.Challenge, error) {
	return get(ctx, s, s.challenges, id, copyChallenge)
}

// SaveChallenge implements [gatehouse.Store].
func (s *Store) SaveChallenge(ctx context.Context, c *gatehouse.Challenge) error {
	version := func(c *gatehouse.Challenge) *int64 { return &c.Version }
	return save(ctx, s, s.challenges, c.ID, c, version, copyChallenge)
}

// TakeChallenge implements [gatehouse.Store].
func (s *Store) TakeChallenge(ctx context.Context, id string) (c *gatehouse.Challenge, err error) {
	err = s.step(ctx, func() error {
		stored, ok := s.challenges[id]
		if !ok {
			return gatehouse.ErrNotFound
		}
		delete(s.challenges, id)
		c = stored
		return nil
	})
	return c, err
}

// AppendEvent implements [gatehouse.Store].
func (s *Store) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	return create(ctx, s, s.events, e.ID, e, nil, copyEvent)
}

// Events implements [gatehouse.Store].
func (s *Store) Events(ctx context.Context, q gatehouse.EventQuery) (list []*gatehouse.Event, err error) {
	err = s.step(ctx, func() error {
		ids := slices.Sorted(maps.Keys(s.events))
		for _, id := range slices.Backward(ids) {
			e := s.events[id]
			if len(list) < q.Limit &&
				(q.UserID == "" || e.UserID == q.UserID) &&
				(q.Kind == "" || e.Kind == q.Kind) &&
				(q.Before == "" || e.ID < q.Before) &&
				e.ID > q.After {
				list = append(list, copyEvent(e))
			}
		}
		return nil
	})
	return list, err
}

// Setting implements [gatehouse.Store].
func (s *Store) Setting(ctx context.Context, name string) (*gatehouse.Setting, error) {
	return get(ctx, s, s.settings, name, copySetting)
}

// SaveSetting implements [gatehouse.Store].
func (s *Store) SaveSetting(ctx context.Context, x *gatehouse.Setting) error {
	return s.step(ctx, func() error {
		var version int64 // of a setting that is not there
		if stored, ok := s.settings[x.Name]; ok {
			version = stored.Version
		}
		if x.Version != version {
			return gatehouse.ErrStale
		}
		x.Version++
		s.settings[x.Name] = copySetting(x)
		return nil
	})
}

// CreateTask implements [gatehouse.Store].
func (s *Store) CreateTask(ctx context.Context, t *gatehouse.Task) error {
	return create(ctx, s, s.tasks, t.ID, t, &t.Version, copyTask)
}

// ClaimTask implements [gatehouse.Store].
func (s *Store) ClaimTask(ctx context.Context, kinds []string, now, until time.Time) (task *gatehouse.Task, err error) {
	err = s.step(ctx, func() error {
		var first *gatehouse.Task
		for _, t := range s.tasks {
			if due(t, kinds, now) && (first == nil || dueSooner(t, first)) {
				first = t
			}
		}
		if first == nil {
			return gatehouse.ErrNotFound
		}
		first.LeasedUntil = kept(until)
		first.Attempts++
		first.Version++
		task = copyTask(first)
		return nil
	})
	return task, err
}

func due(t *gatehouse.Task, kinds []string, now time.Time) bool {
	return slices.Contains(kinds, t.Kind) &&
		!t.DueAt.IsZero() && !t.DueAt.After(now) && !t.LeasedUntil.After(now)
}

func dueSooner(a, b *gatehouse.Task) bool {
	return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID)) < 0
}

// SaveTask implements [gatehouse.Store].
func (s *Store) SaveTask(ctx context.Context, t *gatehouse.Task) error {
	version := func(t *gatehouse.Task) *int64 { return &t.Version }
	return save(ctx, s, s.tasks, t.ID, t, version, copyTask)
}

// DeleteTask implements [gatehouse.Store].
func (s *Store) DeleteTask(ctx context.Context, id string, version int64) error {
	return s.step(ctx, func() error {
		stored, ok := s.tasks[id]
		if !ok || stored.Version != version {
			return gatehouse.ErrStale
		}
		delete(s.tasks, id)
		return nil
	})
}

// Sweep implements [gatehouse.Store].
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = s.step(ctx, func() error {
		n = sweep(s.sessions, now, limit, func(x *gatehouse.Session) time.Time { return x.ExpiresAt }) +
			sweep(s.challenges, now, limit, func(c *gatehouse.Challenge) time.Time { return c.ExpiresAt }) +
			sweep(s.events, now, limit, func(e *gatehouse.Event) time.Time { return e.ExpiresAt }) +
			sweep(s.tasks, now, limit, func(t *gatehouse.Task) time.Time { return t.ExpiresAt })
		return nil
	})
	return n, err
}

func sweep[R any](records map[string]*R, now time.Time, limit int, expires func(*R) time.Time) (n int) {
	for id, r := range records {
		if at := expires(r); n < limit && !at.IsZero() && !at.After(now) {
			delete(records, id)
			n++
		}
	}
	return n
}

// Ready implements [gatehouse.Store].
func (s *Store) Ready(ctx context.Context) error { return ctx.Err() }

// Close implements [gatehouse.Store]. There is nothing to end.
func (s *Store) Close() error { return nil }

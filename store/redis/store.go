package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Store is a [gatehouse.Store] that keeps sessions and challenges in Redis, and
// copies of users, in front of another store that keeps the rest. It is a
// [gatehouse.Mover] if that one is, and always a [gatehouse.Announcer] and a
// [gatehouse.Settler].
type Store struct {
	passed
	c      *Client
	behind gatehouse.Store
	// copies says that users are copied.
	copies bool
	// history is that of the store behind, to which copies are sealed.
	history era
	carried int
}

// passed are the methods that the store behind answers as it is.
type passed interface {
	CreateUser(ctx context.Context, u *gatehouse.User) error
	UserByEmail(ctx context.Context, emailKey string) (*gatehouse.User, error)
	UserByKey(ctx context.Context, key string) (*gatehouse.User, error)
	Users(ctx context.Context, after string, limit int) ([]*gatehouse.User, error)

	AppendEvent(ctx context.Context, e *gatehouse.Event) error
	Events(ctx context.Context, q gatehouse.EventQuery) ([]*gatehouse.Event, error)

	Setting(ctx context.Context, name string) (*gatehouse.Setting, error)
	SaveSetting(ctx context.Context, s *gatehouse.Setting) error

	CreateTask(ctx context.Context, t *gatehouse.Task) error
	ClaimTask(ctx context.Context, kinds []string, now, until time.Time) (*gatehouse.Task, error)
	SaveTask(ctx context.Context, t *gatehouse.Task) error
	DeleteTask(ctx context.Context, id string, version int64) error
}

var (
	_ gatehouse.Store     = (*Store)(nil)
	_ gatehouse.Mover     = (*Store)(nil)
	_ gatehouse.Announcer = (*Store)(nil)
	_ gatehouse.Settler   = (*Store)(nil)
)

// Store puts Redis in front of a store, and marks it: from then on that one is of
// use with this Redis alone. [ErrOtherRedis] if it is in use with another one. Users
// are not copied if the store has a method WrittenByOthers() bool that says true.
//
// A store that was used without Redis keeps its sessions and challenges: they are
// carried over, if it is a [gatehouse.Mover], which takes as long as it takes to read
// its users and sessions. No process may be using it meanwhile: [ErrServedWithout] if
// one is heard.
//
// If the store was restored since it was last behind this Redis, no copy of a user
// from before is good any more, and no challenge, unless all was to be kept.
func (c *Client) Store(ctx context.Context, behind gatehouse.Store) (*Store, error) {
	if err := gatehouse.Whole(ctx, behind); err != nil {
		return nil, err // and no mark on what is to be filled
	}
	if err := unserved(ctx, behind); err != nil {
		return nil, err
	}
	if err := c.pair(ctx, behind); err != nil {
		return nil, err
	}
	c.warnings = distinct(append(c.warnings, c.waiting...))
	// Of users whom others change past this package a copy would be old.
	others, ok := behind.(interface{ WrittenByOthers() bool })
	s := &Store{passed: behind, c: c, behind: behind, copies: !ok || !others.WrittenByOthers()}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Ready is nil when both can be read and written, and still belong together.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.c.confirm(ctx); err != nil {
		return err
	}
	if err := s.behind.Ready(ctx); err != nil {
		return err
	}
	h, mark, _, err := readEra(ctx, s.behind)
	if err != nil {
		return err
	}
	if err := s.stillPaired(ctx, mark); err != nil {
		return err
	}
	if h != s.history {
		return fmt.Errorf("redis: %w: %w", gatehouse.ErrUnavailable, ErrRestored)
	}
	return nil
}

// Close closes the store behind and the client.
func (s *Store) Close() error {
	err := s.behind.Close()
	s.c.Close()
	return err
}

// create adds a record.
func (s *Store) create(ctx context.Context, kind, id, record string, expires time.Time) error {
	a, err := s.c.replicated(ctx, "create", s.c.creation(kind, id, record, expires), func(a answer) (command, bool) {
		return s.c.undoing(kind, id, record, "", expires), a.number == 1
	})
	if err != nil {
		return err
	}
	if a.number == 0 {
		return gatehouse.ErrExists
	}
	return nil
}

func (c *Client) creation(kind, id, record string, expires time.Time) command {
	return command{script: createScript, keys: []string{c.key(kind, id), c.expiries(kind, id)}, args: []string{record, score(expires), id}}
}

// record is the record as it is kept.
func (s *Store) record(ctx context.Context, kind, id string) (string, error) {
	a, err := s.c.one(ctx, "read", s.c.reading(kind, id))
	if err != nil {
		return "", err
	}
	if a.none {
		return "", gatehouse.ErrNotFound
	}
	return a.text, nil
}

func (c *Client) reading(kind, id string) command {
	return command{word: []string{"GET"}, keys: []string{c.key(kind, id)}, reads: true}
}

// errUnlisted: the session must be put into a list before it is saved.
var errUnlisted = errors.New("the list of the owner comes first")

// save replaces a record of this version, and says what it was; undo is as for
// replicated, of that.
func (s *Store) save(ctx context.Context, kind, id, version, record string, expires time.Time, owner string, listed bool, undo func(former string) (command, bool)) (former string, err error) {
	flag := "0"
	if listed {
		flag = "1"
	}
	a, err := s.c.replicated(ctx, "save", command{
		script: saveScript, keys: []string{s.c.key(kind, id), s.c.expiries(kind, id)},
		args: []string{version, record, score(expires), id, owner, flag},
	}, func(a answer) (command, bool) { return undo(a.text) })
	switch {
	case err != nil:
		return "", err
	case a.text == "stale":
		return "", gatehouse.ErrStale
	case a.text == "list":
		return "", errUnlisted
	}
	return a.text, nil
}

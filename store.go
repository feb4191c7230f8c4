package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// What a [Store] answers when it cannot do what it was asked. Every other
// error is a fault of the store itself, wrapped with what it was doing.
var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("record not found")
	// ErrExists: the id or one of the keys of the record is taken already.
	ErrExists = errors.New("record exists")
	// ErrStale: the record was changed or deleted since it was read.
	ErrStale = errors.New("record is stale")
	// ErrUnavailable: the store is away, full, locked, read-only or too slow.
	// Whether a write that answers it took place is not known; it never took
	// place by half.
	ErrUnavailable = errors.New("store unavailable")
)

// Store keeps the records of Gatehouse. It decides nothing and never reads the
// clock. Any number of goroutines, and of processes on one database, may use it
// at once. store/storetest is the executable form of what follows.
//
// One method is one atomic step on one record. A write has reached the disk
// when its method returns nil (the memory store excepted), and is seen by every
// read that starts after that. A write that returns ErrNotFound, ErrExists or
// ErrStale changed nothing.
//
// Records are copied on the way in and out: neither side keeps what it was
// given, and both may change what they got. Nil and empty slices, maps and raw
// JSON are one and the same thing to a store.
//
// Save methods compare and swap: they replace the record if its stored Version
// is that of the argument, count the argument's Version up (by one, but for what
// [Settler] says), and answer ErrStale otherwise, also when the record is gone.
// Create methods set the Version of the argument to 1.
//
// Times are UTC in whole milliseconds; the zero time stands for "never" and is
// kept as such. A done or expired ctx ends a method with an error for which
// errors.Is(err, ctx.Err()) or errors.Is(err, ErrUnavailable) holds.
type Store interface {
	// CreateUser adds a user. ErrExists if the id, the EmailKey or one of the
	// Keys belongs to somebody.
	CreateUser(ctx context.Context, u *User) error
	// User is the user with this id, or ErrNotFound.
	User(ctx context.Context, id string) (*User, error)
	// UserByEmail is the user with this EmailKey, or ErrNotFound.
	UserByEmail(ctx context.Context, emailKey string) (*User, error)
	// UserByKey is the user one of whose Keys is key, or ErrNotFound.
	UserByKey(ctx context.Context, key string) (*User, error)
	// SaveUser replaces a user, keys included. ErrStale as said above;
	// ErrExists if a new key belongs to somebody else.
	SaveUser(ctx context.Context, u *User) error
	// DeleteUser removes a user and frees the keys, if the stored Version is
	// version; ErrStale otherwise. It leaves the sessions: without their user
	// they are void, and are swept when they expire.
	DeleteUser(ctx context.Context, id string, version int64) error
	// Users is up to limit users with an id greater than after, by id (the
	// order of ids is that of their bytes).
	Users(ctx context.Context, after string, limit int) ([]*User, error)

	// CreateSession adds a session. ErrExists if the id is taken.
	CreateSession(ctx context.Context, s *Session) error
	// Session is the session with this id, or ErrNotFound.
	Session(ctx context.Context, id string) (*Session, error)
	// SaveSession replaces a session; ErrStale as said above.
	SaveSession(ctx context.Context, s *Session) error
	// SessionsOf is every stored session of the user that has not been
	// terminated, expired ones included, the one created last first. It costs as
	// much as there are of these, however many were terminated.
	SessionsOf(ctx context.Context, userID string) ([]*Session, error)

	// CreateChallenge adds a challenge. ErrExists if the id is taken.
	CreateChallenge(ctx context.Context, c *Challenge) error
	// Challenge is the challenge with this id, or ErrNotFound.
	Challenge(ctx context.Context, id string) (*Challenge, error)
	// SaveChallenge replaces a challenge; ErrStale as said above.
	SaveChallenge(ctx context.Context, c *Challenge) error
	// TakeChallenge removes the challenge and returns it. Of any number of
	// callers exactly one gets it, the others get ErrNotFound.
	TakeChallenge(ctx context.Context, id string) (*Challenge, error)

	// AppendEvent adds an event. ErrExists if the id is taken.
	AppendEvent(ctx context.Context, e *Event) error
	// Events is up to q.Limit events that match q, the newest first.
	Events(ctx context.Context, q EventQuery) ([]*Event, error)

	// Setting is the setting with this name, or ErrNotFound.
	Setting(ctx context.Context, name string) (*Setting, error)
	// SaveSetting replaces a setting; ErrStale as said above. A setting of
	// Version 0 is created, and ErrStale if it exists.
	SaveSetting(ctx context.Context, s *Setting) error

	// CreateTask adds a task. ErrExists if the id is taken.
	CreateTask(ctx context.Context, t *Task) error
	// ClaimTask leases to the caller the task that has been due for longest at
	// now, of one of the kinds, and under no lease that lasts past now: it sets
	// LeasedUntil to until, counts Attempts and Version up, and returns it. Of
	// any number of callers exactly one gets a task. ErrNotFound if none is due.
	ClaimTask(ctx context.Context, kinds []string, now, until time.Time) (*Task, error)
	// SaveTask replaces a task; ErrStale as said above. Whoever held a lease
	// that somebody else has claimed since gets ErrStale.
	SaveTask(ctx context.Context, t *Task) error
	// DeleteTask removes a task if the stored Version is version; ErrStale
	// otherwise.
	DeleteTask(ctx context.Context, id string, version int64) error

	// Sweep deletes up to limit records of each kind whose ExpiresAt is set and
	// not after now, and returns how many it deleted.
	Sweep(ctx context.Context, now time.Time, limit int) (int, error)
	// Ready is nil when the store can be read and written at this moment.
	Ready(ctx context.Context) error
	// Close ends the use of the store: it waits for what is under way.
	Close() error
}

// User is somebody who can log in. All that must change together lives in this
// one record: the keys that lead to the user, the credentials, and the Epoch.
type User struct {
	ID      string // UUID, version 7
	Version int64

	Email    string // as typed
	EmailKey string // canonical, unique unless empty; see [ParseEmail]
	Name     string
	Roles    []string // sorted, without duplicates

	// Keys lead to this user alone, beside EmailKey: passkey ids, subjects of
	// identity providers. Sorted, without duplicates.
	Keys        []string
	Credentials []Credential

	// Epoch counts up with everything that voids what was granted before: a
	// session is valid if and only if its Epoch is its user's.
	Epoch int64

	DisabledAt time.Time // zero: the user is enabled
	CreatedAt  time.Time
	UpdatedAt  time.Time

	// Extra is kept for later features and for fields of an imported user.
	Extra json.RawMessage
}

// Credential binds something that proves who one is to a user.
type Credential struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`          // "password"
	Hash      string          `json:"hash,omitzero"` // PHC string or modular crypt format
	CreatedAt time.Time       `json:"created_at,omitzero"`
	ChangedAt time.Time       `json:"changed_at,omitzero"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// Session is one login of one user in one place. It holds no token: those are
// derived from the id and the Generation.
type Session struct {
	ID      string // UUID, version 7
	Version int64
	UserID  string
	Epoch   int64 // the user's when the session began

	Generation int64     // of the refresh token that is current
	RotatedAt  time.Time // when that generation began

	CreatedAt       time.Time
	AuthenticatedAt time.Time // when a credential was last shown (auth_time)
	LastSeenAt      time.Time
	Methods         []string // ways of logging in (amr, RFC 8176)

	// InactiveAt is when the session ends unless it is refreshed; EndsAt is when
	// it ends in any case (ASVS 7.3.1, 7.3.2).
	InactiveAt time.Time
	EndsAt     time.Time

	TerminatedAt time.Time // zero: not terminated
	ExpiresAt    time.Time // from when on the record may be swept

	UserAgent string
	Address   string // of the client that was last seen

	Extra json.RawMessage
}

// Challenge is a single-use question with a deadline: a link, a code, a
// ceremony, a second factor owed.
type Challenge struct {
	ID        string
	Version   int64
	Kind      string
	UserID    string // empty if there is no user yet
	Attempts  int    // wrong answers so far
	Data      json.RawMessage
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Event is a line of the audit log. It is never changed.
type Event struct {
	ID        string // UUID, version 7: ids sort by time
	At        time.Time
	Kind      string // "login", "session_terminated", …
	Outcome   string // "ok" or the code of the refusal
	UserID    string // whom it is about, or empty
	ActorID   string // who did it, if somebody else: a user id or "operator"
	SessionID string
	Address   string
	UserAgent string
	Ref       string // the request's reference
	Data      map[string]string
	ExpiresAt time.Time

	// Chain is the process that wrote the event, Sequence its number there, from
	// 1, and Proof what ties it to the one before; see [Audit]. They are empty in
	// events that a version without chains has written.
	Chain    string
	Sequence int64
	Proof    []byte
}

// EventQuery chooses events. Empty fields choose all.
type EventQuery struct {
	UserID string
	Kind   string
	Before string // only ids smaller than this one
	After  string // only ids greater than this one
	Limit  int    // at least 1
}

// Setting is a small piece of state that all instances share.
type Setting struct {
	Name      string
	Version   int64
	Value     []byte
	UpdatedAt time.Time
}

// Task is durable work, done by one worker at a time under a lease.
type Task struct {
	ID          string
	Version     int64
	Kind        string
	Data        json.RawMessage
	Attempts    int
	DueAt       time.Time // zero: never
	LeasedUntil time.Time
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

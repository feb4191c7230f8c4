package gatehouse

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of refusal an [Error] is. It is an error itself, so
// that errors.Is(err, gatehouse.Unauthenticated) asks for the kind alone.
type Kind int

// The kinds of refusal. Every error that is not an [*Error] is internal: a
// fault of ours, of which a person outside is told nothing but a reference.
const (
	// Invalid means that what was sent cannot be accepted as it is.
	Invalid Kind = iota + 1
	// Unauthenticated means that the caller did not prove who they are.
	Unauthenticated
	// Forbidden means that the caller is known and may not do this.
	Forbidden
	// NotFound means that what was asked for does not exist for this caller.
	NotFound
	// Conflict means that what was asked for collides with what exists.
	Conflict
	// Limited means that the caller has to wait; RetryAfter says how long.
	Limited
	// Unavailable means that we cannot answer now: the store is away, or there
	// is more work than can be done. Nothing was decided about the caller.
	Unavailable
)

var kindNames = [...]string{
	Invalid: "invalid", Unauthenticated: "unauthenticated", Forbidden: "forbidden",
	NotFound: "not found", Conflict: "conflict", Limited: "limited", Unavailable: "unavailable",
}

// Error is the name of the kind.
func (k Kind) Error() string {
	if k < Invalid || int(k) >= len(kindNames) {
		return "internal"
	}
	return kindNames[k]
}

// Error is a refusal that a person may see. Its Code is stable and listed in
// docs/errors.md; its Text is a sentence in English without any value that was
// sent. Err, when set, is the cause, for the log alone.
type Error struct {
	Kind       Kind
	Code       string
	Field      string // the field of the request that is to blame, or empty
	Text       string
	RetryAfter time.Duration // how long to wait, for Limited and Unavailable
	Err        error
}

// Error is for logs: the code and, if there is one, the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return e.Code
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the kind of e, or an *Error of the same code.
func (e *Error) Is(target error) bool {
	if k, ok := target.(Kind); ok {
		return e.Kind == k
	}
	if t, ok := errors.AsType[*Error](target); ok {
		return e.Code == t.Code
	}
	return false
}

package gatehouse

import (
	"context"
	"crypto/sha1" //nolint:gosec // what lists of leaked passwords are made of; nothing is protected by it
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/guessable"
)

// BreachList knows passwords that have leaked somewhere, by the SHA-1 of their
// UTF-8, as Have I Been Pwned gives them away. Package breach has one that is a
// file and one that asks a service. Any number of goroutines may call it.
type BreachList interface {
	// Contains reports whether the password with this SHA-1 has leaked. An error
	// means that this cannot be told at the moment; it must not hold the SHA-1
	// or a part of it, for it is logged.
	Contains(ctx context.Context, sum [sha1.Size]byte) (bool, error)
}

// checkGuessable refuses a password that somebody would guess soon: a common one,
// and one that is made of what everybody can know about the user and the site
// (NIST SP 800-63B-4 3.1.1.2; ASVS 6.2.4, 6.2.11).
func (g *Gatehouse) checkGuessable(field string, p []byte, words []string) error {
	if guessable.Common(p) {
		return weak(field, "password_common", "The password is one of those that many people use, and that are tried first.")
	}
	if guessable.MadeOf(p, slices.Concat(words, g.cfg.ContextWords)...) {
		return weak(field, "password_personal", "The password is made of your name, your email address or the name of this site.")
	}
	return nil
}

// checkLeaked refuses a password that has leaked (ASVS 6.2.12).
func (g *Gatehouse) checkLeaked(ctx context.Context, field string, p []byte) error {
	if len(g.cfg.BreachLists) == 0 {
		return nil
	}
	sum := sha1.Sum(p) //nolint:gosec // see above
	for _, list := range g.cfg.BreachLists {
		leaked, err := list.Contains(ctx, sum)
		if err != nil {
			return uncheckedFault(err)
		}
		if leaked {
			return weak(field, codeBreached, "The password is known from a data breach, and known passwords are tried first.")
		}
	}
	return nil
}

const (
	codeBreached  = "password_breached"
	codeUnchecked = "password_unchecked"
)

// askedBreachList reports whether err came of asking a list. That is work for
// others, so a try that led to it counts: a stranger cannot have us ask for ever.
func askedBreachList(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == codeBreached || e.Code == codeUnchecked)
}

func weak(field, code, text string) error {
	return &Error{Kind: Invalid, Code: code, Field: field, Text: text}
}

// uncheckedFault says what it means that a password could not be looked up: not
// that it is weak, nor that it may pass.
func uncheckedFault(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{
		Kind: Unavailable, Code: codeUnchecked, Text: "New passwords cannot be checked at the moment. Try again shortly.",
		RetryAfter: 10 * time.Second, Err: fmt.Errorf("breach list: %w", err),
	}
}

// wordsOf is what everybody can know who knows the user: the address, each side
// of it, in both of its spellings, and the name.
func wordsOf(email Email, name string) []string {
	words := []string{name}
	for _, address := range []string{email.Typed, email.Key} {
		local, domain, _ := strings.Cut(address, "@")
		words = append(words, address, local, domain)
	}
	return words
}

// words are those of a user who exists.
func (u *User) words() []string { return wordsOf(Email{Typed: u.Email, Key: u.EmailKey}, u.Name) }

//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// outcome is what somebody was told of what they did.
type outcome int

const (
	done    outcome = iota // it took place
	refused                // it did not, and cannot have
	unclear                // no answer, or that the database is away: it may have taken place
)

func (o outcome) String() string { return [...]string{"done", "refused", "unclear"}[o] }

// history is what was done to a Gatehouse that is killed again and again, and
// what was told of it. Each new line is held to those before it: what was
// acknowledged stays, what was refused or ended stays so, and of what is unclear
// one of the two is true, and stays true once it was seen. It knows nothing of how
// any of that is stored or asked.
//
// The lines of one account, and of one session, come in the order in which they
// happened; those of single-use proofs in any.
type history struct {
	mu       sync.Mutex
	accounts map[string]*account
	sessions map[string]*visit
	proofs   map[string]*proof
	stories  map[string][]string // by account, session or proof
	told     map[string]int      // how often something was acknowledged or refused for sure
	wrong    []string
}

// account is what is known of somebody who registered.
type account struct {
	there, absent bool
	// passwords are those of which one is in force, and it is not known which.
	// None is ever used twice, so each stands for an epoch.
	passwords []string
}

// visit is what is known of a session. It is alive while it has not ended and the
// password with which it began is in force.
type visit struct {
	email, password  string
	ended, mayBeOver bool
}

// proof is what is known of a single-use proof.
type proof struct {
	made   outcome
	takers []string // who were told that they have it
	lost   int      // takers who were told nothing
	none   int      // and those who were told that there is none
	judged bool
}

func newHistory() *history {
	return &history{
		accounts: map[string]*account{}, sessions: map[string]*visit{}, proofs: map[string]*proof{},
		stories: map[string][]string{}, told: map[string]int{},
	}
}

// line writes down what was done; the lock is held.
func (h *history) line(subject, what string, o outcome) {
	h.stories[subject] = append(h.stories[subject], what+": "+o.String())
	if o != unclear {
		h.told[what+" "+o.String()]++
	}
}

// violation is what may not be; the lock is held.
func (h *history) violation(subject, format string, args ...any) {
	h.wrong = append(h.wrong, fmt.Sprintf("%s: %s\n\t%s", subject, fmt.Sprintf(format, args...), strings.Join(h.stories[subject], "\n\t")))
}

// violations are those found since it was last asked.
func (h *history) violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := h.wrong
	h.wrong = nil
	return found
}

// count is how often somebody was told so for sure: "register done".
func (h *history) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told[what]
}

// summary is all that was told, for people.
func (h *history) summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(h.told)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, h.told[what]))
	}
	return strings.Join(parts, ", ")
}

// registered: somebody wanted an account.
func (h *history) registered(email, password string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(email, "register", o)
	a := h.accounts[email]
	switch {
	case a == nil:
		a = &account{passwords: []string{password}}
		h.accounts[email] = a
		if o == refused {
			h.violation(email, "nobody had asked for this address, and it is taken")
		}
	case a.there && o == done:
		h.violation(email, "registered twice")
	case a.absent && o == refused:
		h.violation(email, "nobody has this account, and its address is taken")
	}
	// A first try of which nothing is known decides the password if it succeeded.
	if o == done {
		a.passwords = []string{password}
	}
	a.there, a.absent = a.there || o != unclear, a.absent && o == unclear
}

// loggedIn: somebody showed a password, to begin a session of this name.
func (h *history) loggedIn(email, password, session string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(email, "login", o)
	a := h.accounts[email]
	switch o {
	case done:
		if a == nil || a.absent {
			h.violation(email, "nobody has this account, and somebody is logged in")
			return
		}
		if !slices.Contains(a.passwords, password) {
			h.violation(email, "a password works that was replaced, or never was")
		}
		a.there, a.passwords = true, []string{password}
		h.sessions[session] = &visit{email: email, password: password}
	case refused:
		if a == nil || !slices.Contains(a.passwords, password) {
			return
		}
		if len(a.passwords) > 1 {
			a.exclude(password)
		} else if a.there {
			h.violation(email, "the one password that can be in force is refused")
		} else {
			a.absent = true
		}
	}
}

// changed: somebody replaced the password of an account, in a session of it. All
// sessions of it end with that, and one of another name begins.
func (h *history) changed(email, session, password, next string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(email, "change password", o)
	a := h.accounts[email]
	switch o {
	case done:
		h.honoured(email, session)
		a.passwords = []string{password}
		h.sessions[next] = &visit{email: email, password: password}
	case refused:
		h.denied(email, session)
	case unclear:
		a.passwords = append(slices.Clone(a.passwords), password)
	}
}

// used: somebody showed a token of a session, to do what is named.
func (h *history) used(session, what string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(session, what, o)
	switch o {
	case done:
		h.honoured(session, session)
	case refused:
		h.denied(session, session)
	}
}

// honoured: a session was good for something, of which subject tells.
func (h *history) honoured(subject, session string) {
	v := h.sessions[session]
	if v == nil {
		h.violation(subject, "nobody began %s, and it lives", session)
		return
	}
	a := h.accounts[v.email]
	switch {
	case v.ended:
		h.violation(subject, "%s has ended, and lives", session)
	case !slices.Contains(a.passwords, v.password):
		h.violation(subject, "%s began before the password was replaced, and lives", session)
	default:
		a.passwords = []string{v.password}
	}
}

// denied: a session was good for nothing.
func (h *history) denied(subject, session string) {
	v := h.sessions[session]
	if v == nil {
		return
	}
	a := h.accounts[v.email]
	inForce := slices.Contains(a.passwords, v.password)
	switch {
	case v.ended || !inForce:
	case v.mayBeOver:
		v.ended = len(a.passwords) == 1
	case len(a.passwords) == 1:
		h.violation(subject, "nobody has ended %s, and it is refused: somebody was logged out", session)
	default:
		a.exclude(v.password)
	}
}

// exclude says that a password is not the one in force.
func (a *account) exclude(password string) {
	a.passwords = slices.DeleteFunc(slices.Clone(a.passwords), func(p string) bool { return p == password })
}

// loggedOut: somebody ended a session.
func (h *history) loggedOut(session string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(session, "logout", o)
	v := h.sessions[session]
	switch o {
	case done:
		v.ended = true
	case refused:
		h.violation(session, "a logout was refused")
	case unclear:
		v.mayBeOver = true
	}
}

// replayed: somebody showed a refresh token two of whose successors were
// acknowledged. Whoever does so ends the session.
func (h *history) replayed(session string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(session, "replay", o)
	v := h.sessions[session]
	switch o {
	case done:
		h.violation(session, "a refresh token worked twice")
	case refused:
		v.ended = true
	case unclear:
		v.mayBeOver = true
	}
}

// wasMade: a single-use proof was made.
func (h *history) wasMade(id string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(id, "make", o)
	if o == refused {
		h.violation(id, "nobody has made this proof, and it is there")
	}
	h.proofs[id] = &proof{made: o}
}

// wasTaken: somebody used a single-use proof.
func (h *history) wasTaken(id, taker string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line(id, "take", o)
	p := h.proofs[id]
	switch o {
	case done:
		if p == nil {
			h.violation(id, "nobody has made this proof, and %s has it", taker)
			return
		}
		p.takers = append(p.takers, taker)
		if n := len(p.takers); n > 1 {
			h.violation(id, "%d have this proof: %s", n, strings.Join(p.takers, ", "))
		}
	case refused:
		p.none++
	case unclear:
		p.lost++
	}
}

// open are the proofs that may still be there, and some that were used.
func (h *history) open(some int) (open, used []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, p := range h.proofs { // in random order
		switch {
		case len(p.takers) == 0 && p.none == 0:
			open = append(open, id)
		case len(p.takers) > 0 && len(used) < some:
			used = append(used, id)
		}
	}
	return open, used
}

// settle holds the proofs to each other's takers. It is called while nobody is
// about to take one.
func (h *history) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, p := range h.proofs {
		if p.judged || len(p.takers) == 0 && p.none == 0 {
			continue
		}
		p.judged = true
		if p.made == done && len(p.takers) == 0 && p.lost == 0 {
			h.violation(id, "this proof was made, nobody can have taken it, and it is gone")
		}
	}
}

// everybody is a copy of who is known to have an account, or may have one, with
// the passwords one of which is in force.
func (h *history) everybody() map[string][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string][]string{}
	for email, a := range h.accounts {
		all[email] = a.passwords
	}
	return all
}

// everyProof are the proofs of which anything is known.
func (h *history) everyProof() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.proofs))
}

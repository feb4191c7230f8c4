//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// TestHistory tells a history what may be and what may not, and it knows which is
// which: a checker that finds nothing proves nothing.
func TestHistory(t *testing.T) {
	const ann, old, fresh, s, other = "ann@example.com", "old", "fresh", "session 1", "session 2"
	begin := func(h *history) {
		h.registered(ann, old, done)
		h.loggedIn(ann, old, s, done)
	}
	begun := func(tell func(h *history)) func(*history) {
		return func(h *history) {
			begin(h)
			tell(h)
		}
	}
	// interrupted is after a change of the password of which nobody knows.
	interrupted := func(tell func(h *history)) func(*history) {
		return begun(func(h *history) {
			h.changed(ann, s, fresh, other, unclear)
			tell(h)
		})
	}
	for name, c := range map[string]struct {
		tell func(h *history)
		want string // in the one violation; empty: there is none
	}{
		"a registration that is lost": {func(h *history) {
			h.registered(ann, old, done)
			h.loggedIn(ann, old, s, refused)
		}, "the one password that can be in force is refused"},
		"a registration that happens twice": {func(h *history) {
			h.registered(ann, old, done)
			h.registered(ann, old, done)
		}, "registered twice"},
		"an address that is taken by nobody": {func(h *history) {
			h.registered(ann, old, refused)
		}, "nobody had asked for this address"},
		"a registration without an answer that happened": {func(h *history) {
			h.registered(ann, old, unclear)
			h.loggedIn(ann, old, s, done)
			h.registered(ann, old, refused)
		}, ""},
		"a registration without an answer that did not": {func(h *history) {
			h.registered(ann, old, unclear)
			h.loggedIn(ann, old, s, refused)
			h.registered(ann, old, done)
		}, ""},
		"a registration of which half is there": {func(h *history) {
			h.registered(ann, old, unclear)
			h.loggedIn(ann, old, s, refused)
			h.registered(ann, old, refused)
		}, "nobody has this account, and its address is taken"},
		"a registration that comes and goes": {func(h *history) {
			h.registered(ann, old, unclear)
			h.loggedIn(ann, old, s, done)
			h.loggedIn(ann, old, other, refused)
		}, "the one password that can be in force is refused"},
		"a login as nobody": {func(h *history) {
			h.loggedIn(ann, old, s, done)
		}, "nobody has this account, and somebody is logged in"},

		"a session that goes on": {begun(func(h *history) {
			h.used(s, "refresh", done)
			h.used(s, "refresh", unclear)
			h.used(s, "me", done)
		}), ""},
		"somebody who is logged out": {begun(func(h *history) {
			h.used(s, "refresh", refused)
		}), "somebody was logged out"},
		"a logout that is forgotten": {begun(func(h *history) {
			h.loggedOut(s, done)
			h.used(s, "refresh", refused)
			h.used(s, "refresh", done)
		}), "has ended, and lives"},
		"a logout that is refused": {begun(func(h *history) {
			h.loggedOut(s, refused)
		}), "a logout was refused"},
		"a logout without an answer that did not happen": {begun(func(h *history) {
			h.loggedOut(s, unclear)
			h.used(s, "me", done)
			h.loggedOut(s, done)
			h.used(s, "me", refused)
		}), ""},
		"a logout without an answer that happened": {begun(func(h *history) {
			h.loggedOut(s, unclear)
			h.used(s, "me", refused)
		}), ""},
		"a logout that happened and is forgotten": {begun(func(h *history) {
			h.loggedOut(s, unclear)
			h.used(s, "me", refused)
			h.used(s, "me", done)
		}), "has ended, and lives"},
		"a session of nobody": {begun(func(h *history) {
			h.used(other, "me", done)
		}), "nobody began session 2"},

		"a refresh token that ends its session": {begun(func(h *history) {
			h.replayed(s, refused)
			h.used(s, "refresh", refused)
		}), ""},
		"a refresh token that works twice": {begun(func(h *history) {
			h.replayed(s, done)
		}), "a refresh token worked twice"},
		"a session that outlives a thief": {begun(func(h *history) {
			h.replayed(s, refused)
			h.used(s, "refresh", done)
		}), "has ended, and lives"},
		"a thief without an answer": {begun(func(h *history) {
			h.replayed(s, unclear)
			h.used(s, "refresh", refused)
		}), ""},

		"a new password": {begun(func(h *history) {
			h.changed(ann, s, fresh, other, done)
			h.used(s, "me", refused)
			h.used(other, "me", done)
			h.loggedIn(ann, old, "a", refused)
			h.loggedIn(ann, fresh, "b", done)
		}), ""},
		"a new password that is forgotten": {begun(func(h *history) {
			h.changed(ann, s, fresh, other, done)
			h.loggedIn(ann, fresh, "a", refused)
		}), "the one password that can be in force is refused"},
		"an old password that works": {begun(func(h *history) {
			h.changed(ann, s, fresh, other, done)
			h.loggedIn(ann, old, "a", done)
		}), "a password works that was replaced"},
		"a session that outlives its password": {begun(func(h *history) {
			h.changed(ann, s, fresh, other, done)
			h.used(s, "refresh", done)
		}), "began before the password was replaced"},
		"a session that does not begin with the new password": {begun(func(h *history) {
			h.changed(ann, s, fresh, other, done)
			h.used(other, "refresh", refused)
		}), "somebody was logged out"},
		"a new password that is refused for no reason": {begun(func(h *history) {
			h.changed(ann, s, fresh, other, refused)
		}), "somebody was logged out"},
		"a new password in a session that has ended": {begun(func(h *history) {
			h.loggedOut(s, done)
			h.changed(ann, s, fresh, other, done)
		}), "has ended, and lives"},
		"a new password without an answer that came": {interrupted(func(h *history) {
			h.loggedIn(ann, old, "a", refused)
			h.loggedIn(ann, fresh, "b", done)
			h.used(s, "refresh", refused)
		}), ""},
		"a new password without an answer that did not": {interrupted(func(h *history) {
			h.loggedIn(ann, old, "a", done)
			h.loggedIn(ann, fresh, "b", refused)
			h.used(s, "refresh", done)
		}), ""},
		"a new password beside the old one": {interrupted(func(h *history) {
			h.loggedIn(ann, old, "a", done)
			h.loggedIn(ann, fresh, "b", done)
		}), "a password works that was replaced"},
		"neither the old password nor the new": {interrupted(func(h *history) {
			h.loggedIn(ann, old, "a", refused)
			h.loggedIn(ann, fresh, "b", refused)
		}), "the one password that can be in force is refused"},
		"a new password, and a session of before": {interrupted(func(h *history) {
			h.loggedIn(ann, fresh, "b", done)
			h.used(s, "refresh", done)
		}), "began before the password was replaced"},
		"an old password, and somebody logged out": {interrupted(func(h *history) {
			h.loggedIn(ann, old, "b", done)
			h.used(s, "refresh", refused)
		}), "somebody was logged out"},
		"a session of before, and a new password": {interrupted(func(h *history) {
			h.used(s, "refresh", done)
			h.loggedIn(ann, fresh, "b", done)
		}), "a password works that was replaced"},
		"a session that was ended with the password, and the old password": {interrupted(func(h *history) {
			h.used(s, "refresh", refused)
			h.loggedIn(ann, old, "b", done)
		}), "a password works that was replaced"},

		"a proof that one of many gets": {func(h *history) {
			h.wasMade("x", done)
			h.wasTaken("x", "a", refused)
			h.wasTaken("x", "b", done)
			h.wasTaken("x", "a", refused)
		}, ""},
		"a proof that two get": {func(h *history) {
			h.wasMade("x", done)
			h.wasTaken("x", "a", done)
			h.wasTaken("x", "b", done)
		}, "2 have this proof: a, b"},
		"a proof that two get, one much later": {func(h *history) {
			h.wasMade("x", done)
			h.wasTaken("x", "a", done)
			h.settle()
			h.wasTaken("x", "a", refused)
			h.settle()
			h.wasTaken("x", "b", done)
		}, "2 have this proof: a, b"},
		"a proof that is lost": {func(h *history) {
			h.wasMade("x", done)
			h.wasTaken("x", "a", refused)
		}, "it is gone"},
		"a proof that somebody may have": {func(h *history) {
			h.wasMade("x", done)
			h.wasTaken("x", "a", unclear)
			h.wasTaken("x", "b", refused)
		}, ""},
		"a proof that somebody may have had, and did not": {func(h *history) {
			h.wasMade("x", done)
			h.wasTaken("x", "a", unclear)
			h.wasTaken("x", "b", done)
		}, ""},
		"a proof that may never have been made": {func(h *history) {
			h.wasMade("x", unclear)
			h.wasTaken("x", "a", refused)
		}, ""},
		"a proof that was made without an answer, and that two get": {func(h *history) {
			h.wasMade("x", unclear)
			h.wasTaken("x", "a", done)
			h.wasTaken("x", "b", done)
		}, "2 have this proof: a, b"},
		"a proof that nobody made": {func(h *history) {
			h.wasTaken("x", "a", done)
		}, "nobody has made this proof"},
		"a proof that is there before it is made": {func(h *history) {
			h.wasMade("x", refused)
		}, "nobody has made this proof, and it is there"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory()
			c.tell(h)
			h.settle()
			found := h.violations()
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("found %q, and there is nothing", found)
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)):
				t.Errorf("found %q, want one with %q", found, c.want)
			}
		})
	}
}

package ui

import "time"

// Page is what a template is given. The zero value of a field means that there
// is nothing of the kind to show. Everything in it may come from outside and is
// escaped where it is written. A Page is only read.
type Page struct {
	// Lang is the language of the page (BCP 47). Default "en".
	Lang string
	// SiteName is shown beside the mark and in titles. Default that of [Config].
	SiteName string
	// Path is the path of the request. The link that leads there is marked.
	Path string
	// Home is where somebody who is logged in belongs. Default "/dashboard".
	Home string
	// User is whoever is logged in, or nil.
	User *User
	// Notice says what has just been done, as the part of a message id after
	// "notice.": "registered", "logged_out", "password_changed", "name_changed",
	// "session_terminated", "sessions_terminated". An unknown one shows nothing.
	Notice string
	// Error is why the request was refused, or nil.
	Error *Error
	// Values is what to fill in again, by field. Passwords are never filled in,
	// whatever stands here.
	Values map[string]string
	// Next is the local path to go on to afterwards, sent along with the form.
	Next string
	// PasswordMin is the fewest characters of a new password, for the hint.
	PasswordMin int
	// Sessions are those of the user, in the order in which to show them.
	Sessions []Session
	// Activity is what happened to the user, in the order in which to show it.
	Activity []Activity
	// Status is the HTTP status of the answer, for the page "error".
	Status int
	// Cancel is the local path of the way out of the page "reauthenticate".
	Cancel string
	// Now is the moment of the request, for "2 hours ago". Without it there are
	// only dates.
	Now time.Time
}

// User is what pages show of whoever is logged in.
type User struct {
	Name  string // may be empty
	Email string
	Roles []string
}

// Error is a refusal. Its words are those of the catalogue under
// error.CODE.FIELD, else those under error.CODE, else Text.
type Error struct {
	Code  string // stable, as in the JSON answer
	Field string // the name of the input to blame, or empty
	Text  string
	Ref   string // the reference under which the log says more
}

// Session is one login, as the list of sessions shows it.
type Session struct {
	ID        string
	Device    string // in words, see [DeviceName]
	Address   string
	LastSeen  time.Time
	CreatedAt time.Time
	Current   bool // the one that asks
}

// Activity is something that happened to the user. Its words are those of the
// catalogue under activity.KIND.DETAIL, else for what was refused those under
// activity.KIND.refused, else those under activity.KIND, else Kind itself; {0} in
// them is Detail.
type Activity struct {
	Kind       string
	Detail     string // the code of the refusal, why a session ended, the role
	At         time.Time
	Refused    bool
	ByOperator bool
	Device     string // in words, see [DeviceName]
	Address    string
	Current    bool // of the session that asks
}

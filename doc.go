// Package gatehouse is an authentication system: people register, log in, stay
// logged in, prove themselves again where it matters, and log out. It makes
// every decision and does no input or output of its own: records are kept by a
// [Store], and package web speaks HTTP.
//
// # Vocabulary
//
// A user logs in with an identifier (an email address) and shows a credential
// (a password). Every way of logging in ends in a session, which has one access
// token of minutes and one refresh token of days. A refresh token is rotated
// each time it is used. A session ends when it is terminated, when it was not
// refreshed for the inactivity timeout, at its maximum lifetime, or when the
// epoch of its user moves on: a new password, a disabled user.
//
// # Sessions
//
// A session is one record and holds no token. A refresh token is the id of its
// session, a generation and a MAC over both, so the successor of a generation
// is the same bytes for everybody who may still ask for it:
//
//	presented generation    answer
//	current                 rotate, and answer with the next one
//	current-1, in the grace answer with the current one: somebody raced, or an
//	                        answer got lost
//	anything older          the token was stolen: the session ends (RFC 9700, 4.14)
//
// # Freshness
//
// What was decided in this process holds in it at once. What another process
// decided on the same store holds here within a second: no record is believed
// for longer without being read again. A store that is an [Announcer] makes it
// milliseconds.
//
// # Limits
//
// A request comes from a source: an address, or a network of IPv6. A try, such as
// a password, is booked before any work is done on it, in the lanes of its source
// and of the user that it is about; a limit refuses what is too much. A browser in
// which a user has logged in before is a known device and has a lane of its own,
// so that strangers who use up a user's limit keep nobody out. What is done with
// the address comes from the [Client] of the context: web sets it.
//
// # Audit log
//
// What is acknowledged is on record as an event. The events of a process are a
// chain under a key derived from the master secret, and checkpoints bind the
// chains of all processes together, so that an [Audit] shows what was changed or
// taken out in the store; docs/events.md says where the limits of that are.
//
// # A program
//
// See the examples folder for whole programs. In short:
//
//	store, err := sqlite.Open("app.db", sqlite.Options{})
//	…
//	auth, err := gatehouse.New(gatehouse.Config{Store: store, Secret: secret})
//	…
//	front, err := web.New(web.Config{Gatehouse: auth})
//	…
//	mux.Handle("/", front.Handler())
//	mux.Handle("/reports/", front.Require(reports))
package gatehouse

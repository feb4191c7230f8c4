// Package hashing turns passwords into hashes and compares them, in a fixed
// number of workers with a short queue in front of them.
//
// A password hash is made to be expensive, which makes it the cheapest way to
// bring a server down: whoever can send a password can spend 30 ms of its CPU
// and 19 MiB of its memory. So the work is a resource that is handed out:
//
//	Hash, Verify, Waste ──► admission ──► queue ──► worker ──► argon2id, bcrypt, …
//	                          │             │
//	                          │             └─ the context ends: the job leaves
//	                          └─ no room, or no time left: [ErrBusy], no work done
//
// New hashes are argon2id in the PHC string format. Hashes that came from
// elsewhere are brought into a form of their own by [Foreign], verified as they
// are, and reported as due for a new one. What is stored is read by a strict
// parser with bounds, since a stored hash names the memory and the time that its
// verification takes.
package hashing

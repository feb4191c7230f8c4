// Package attack attacks the built binary from outside, over sockets, as a
// stranger would. Each case is an attack that is known to work on systems of
// this kind; it passes when nothing comes of it. The families are a file each.
//
// That a case can fail is not believed but shown: package weaken has, for each
// of them, a change that makes the attack succeed, and the program prove builds
// the binary with every change in turn and demands that the cases notice. See
// docs/security/attacks.md.
package attack

// Package guessable tells passwords that are tried first: those that most people
// come up with, and those that are made of words which everybody can know.
package guessable

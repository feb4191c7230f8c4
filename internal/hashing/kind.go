package hashing

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
)

// Kind is what the cost of a stored hash depends on: "argon2id m=19456,t=2,p=1",
// "bcrypt 12".
type Kind string

// KindOf is the kind of a stored hash. The error is an [ErrMalformed].
func KindOf(encoded string) (Kind, error) {
	h, err := Parse(encoded)
	if err != nil {
		return "", err
	}
	return h.kind(), nil
}

func (h Hash) kind() Kind {
	if h.algorithm == Bcrypt {
		return Kind(fmt.Sprintf("bcrypt %d", h.cost))
	}
	return Kind(fmt.Sprintf("argon2id m=%d,t=%d,p=%d", h.params.Memory, h.params.Time, h.params.Parallelism))
}

// decoy is a hash of the kind k that no password leads to. It takes about a
// microsecond to make, as long as reading a stored one, so that none is kept.
func (k Kind) decoy() (Hash, error) {
	algorithm, rest, _ := strings.Cut(string(k), " ")
	switch Algorithm(algorithm) {
	case Argon2id:
		params, err := parseParams(rest)
		if err != nil {
			return Hash{}, err
		}
		return newHash(params), nil
	case Bcrypt:
		cost, err := strconv.Atoi(rest)
		if err != nil {
			return Hash{}, malformed("bcrypt cost is not a number")
		}
		return newBcrypt(cost)
	}
	return Hash{}, malformed("unknown kind")
}

// newBcrypt is a bcrypt hash with a random salt and a random key.
func newBcrypt(cost int) (Hash, error) {
	var b [53]byte
	_, _ = rand.Read(b[:]) // never returns an error
	for i := range b {
		b[i] = bcryptAlphabet[b[i]%64]
	}
	b[52] = '.' // the two bits that are never set are not
	return parseBcrypt(fmt.Sprintf("$2b$%02d$%s", cost, b[:]))
}

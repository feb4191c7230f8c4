package hashing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

const minCost, maxCost = 4, 16 // 2^16 rounds are about 4 seconds

// bcryptHash is a hash of bcrypt, of the password or of what was made of it
// before.
type bcryptHash struct {
	algorithm Algorithm
	cost      int // the logarithm
	pepper    []byte
	encoded   []byte
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// parseBcrypt checks everything that x/crypto takes for granted: it slices
// before it looks, and takes any version and any separator.
func parseBcrypt(encoded string) (bcryptHash, error) {
	if len(encoded) != 60 {
		return bcryptHash{}, malformed("bcrypt of %d bytes, want 60", len(encoded))
	}
	if encoded[6] != '$' {
		return bcryptHash{}, malformed("bcrypt without its separators")
	}
	tens, ones := encoded[4]-'0', encoded[5]-'0'
	if tens > 9 || ones > 9 {
		return bcryptHash{}, malformed("bcrypt cost is not a number")
	}
	cost := int(tens)*10 + int(ones)
	if cost < minCost || cost > maxCost {
		return bcryptHash{}, malformed("bcrypt cost is %d, want %d to %d", cost, minCost, maxCost)
	}
	for _, c := range []byte(encoded[7:]) {
		if strings.IndexByte(bcryptAlphabet, c) < 0 {
			return bcryptHash{}, malformed("bcrypt with a byte outside its alphabet")
		}
	}
	// The last character of the key carries two bits that are never set. (The
	// last of the salt carries four, which old programs did set, and which
	// every implementation ignores.)
	if strings.IndexByte(bcryptAlphabet, encoded[59])&3 != 0 {
		return bcryptHash{}, malformed("bcrypt key with trailing bits")
	}
	return bcryptHash{algorithm: Bcrypt, cost: cost, encoded: []byte(encoded)}, nil
}

// peppers are how long a pepper may be; Devise's have 128 characters.
var peppers = lengths{1, 256}

func parseBcryptSHA256(rest string) (bcryptHash, error) {
	h, err := parseVersions(rest)
	h.algorithm = BcryptSHA256
	return h, err
}

func parseBcryptPepper(rest string) (bcryptHash, error) {
	text, rest, ok := strings.Cut(rest, "$")
	if !ok {
		return bcryptHash{}, malformed("want a pepper and bcrypt")
	}
	pepper, err := decodeBase64(text, peppers)
	if err != nil {
		return bcryptHash{}, malformed("pepper: %v", err)
	}
	h, err := parseVersions(rest)
	h.algorithm, h.pepper = BcryptPepper, pepper
	return h, err
}

// parseVersions is parseBcrypt for what stands behind something else.
func parseVersions(rest string) (bcryptHash, error) {
	if !isBcrypt("$" + rest) {
		return bcryptHash{}, malformed("want bcrypt of the versions 2a, 2b or 2y")
	}
	return parseBcrypt("$" + rest)
}

func isBcrypt(s string) bool {
	return len(s) > 3 && (s[:4] == "$2a$" || s[:4] == "$2b$" || s[:4] == "$2y$")
}

func (h bcryptHash) kind() Kind { return Kind(fmt.Sprintf("%s %d", h.algorithm, h.cost)) }

func (bcryptHash) memory() int { return 0 }

func (h bcryptHash) work(int) int64 {
	if argon2.Fast() {
		return 250 << h.cost
	}
	return 80 << h.cost
}

// matches: bcrypt reads the first 72 bytes of a password and nothing behind them,
// so it is asked the way it was asked when the hash was made: the whole password
// goes in, and its tail decides nothing until the password has a new hash. A NUL
// is a byte like others.
func (h bcryptHash) matches(_ *argon2.Memory, password []byte) (bool, error) {
	switch h.algorithm {
	case BcryptSHA256:
		sum := sha256.Sum256(password)
		password = hex.AppendEncode(nil, sum[:])
	case BcryptPepper:
		password = slices.Concat(password, h.pepper)
		defer clear(password)
	}
	err := bcrypt.CompareHashAndPassword(h.encoded, password)
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

package hashing

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what others have used; as slow as they have made it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// maxIterations bounds the iterations of all blocks of the key together. Django
// has about a million.
const maxIterations = 5_000_000

// pbkdf2Hash is a hash of PBKDF2 (RFC 8018) with HMAC.
type pbkdf2Hash struct {
	algorithm  Algorithm
	iterations uint32
	salt, key  []byte
}

func parsePBKDF2(a Algorithm, s string) (pbkdf2Hash, error) {
	values, salt, key, err := parsePHC(s, foreignSalts, "i")
	if err != nil {
		return pbkdf2Hash{}, err
	}
	h := pbkdf2Hash{a, values[0], salt, key}
	if h.iterations < 1 || h.total() > maxIterations {
		return pbkdf2Hash{}, malformed("%d iterations for each of %d blocks, want 1 to %d in all", h.iterations, h.blocks(), maxIterations)
	}
	return h, nil
}

func (h pbkdf2Hash) function() (newHash func() hash.Hash, size int, nanos int64) {
	switch h.algorithm {
	case PBKDF2SHA1:
		return sha1.New, sha1.Size, 180
	case PBKDF2SHA512:
		return sha512.New, sha512.Size, 500
	}
	return sha256.New, sha256.Size, 155
}

// blocks is how often the iterations are gone through for the whole key.
func (h pbkdf2Hash) blocks() int {
	_, size, _ := h.function()
	return (len(h.key) + size - 1) / size
}

func (h pbkdf2Hash) total() int64 { return int64(h.iterations) * int64(h.blocks()) }

func (h pbkdf2Hash) kind() Kind {
	return Kind(fmt.Sprintf("%s i=%d,l=%d", h.algorithm, h.iterations, len(h.key)))
}

func (pbkdf2Hash) memory() int { return 0 }

func (h pbkdf2Hash) work(int) int64 {
	_, _, nanos := h.function()
	return nanoseconds(nanos * h.total())
}

func (h pbkdf2Hash) matches(_ *argon2.Memory, password []byte) (bool, error) {
	f, _, _ := h.function()
	key, err := pbkdf2.Key(f, string(password), h.salt, int(h.iterations), len(h.key))
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1, err
}

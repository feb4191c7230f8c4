package hashing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// The bounds of scrypt beside its memory, which is 128 bytes for each of N·r. A
// block of N·r·p takes about 0.25 µs.
const (
	maxScryptLog  = 20
	maxScryptR    = 64
	maxScryptP    = 64
	maxScryptWork = 8 << 20 // N·r·p
)

// scryptHash is a hash of scrypt (RFC 7914), or of what Firebase makes of it.
type scryptHash struct {
	algorithm Algorithm
	log, r, p uint32
	salt, key []byte
}

func parseScrypt(a Algorithm, s string) (scryptHash, error) {
	values, salt, key, err := parsePHC(s, foreignSalts, "ln", "r", "p")
	if err != nil {
		return scryptHash{}, err
	}
	h := scryptHash{a, values[0], values[1], values[2], salt, key}
	if err := h.check(); err != nil {
		return scryptHash{}, malformed("%v", err)
	}
	return h, nil
}

func (h scryptHash) check() error {
	if err := within("ln", h.log, 1, maxScryptLog); err != nil {
		return err
	}
	if err := within("r", h.r, 1, maxScryptR); err != nil {
		return err
	}
	if err := within("p", h.p, 1, maxScryptP); err != nil {
		return err
	}
	if h.memory() > maxMemory {
		return fmt.Errorf("memory is %d KiB, want up to %d", h.memory(), maxMemory)
	}
	if n := h.blocks(); n > maxScryptWork {
		return fmt.Errorf("the product of N, r and p is %d, want up to %d", n, maxScryptWork)
	}
	return nil
}

func (h scryptHash) blocks() int64 { return int64(h.r) * int64(h.p) << h.log }

func (h scryptHash) kind() Kind {
	return Kind(fmt.Sprintf("%s ln=%d,r=%d,p=%d", h.algorithm, h.log, h.r, h.p))
}

// memory is on the Go heap: it is garbage afterwards.
func (h scryptHash) memory() int { return int((128*int64(h.r)<<h.log + 1023) / 1024) }

func (h scryptHash) work(int) int64 { return nanoseconds(256 * h.blocks()) }

func (h scryptHash) matches(m *argon2.Memory, password []byte) (bool, error) {
	m.Release() // so that never more is held than was asked for
	length := len(h.key)
	switch h.algorithm {
	case ScryptNFKC:
		password = norm.NFKC.Bytes(password)
	case ScryptFirebase:
		length = 32 // of AES-256
	}
	key, err := scrypt.Key(password, h.salt, 1<<h.log, int(h.r), int(h.p), length)
	if err != nil {
		return false, err
	}
	if h.algorithm == ScryptFirebase {
		if key, err = keystream(key, len(h.key)); err != nil {
			return false, err
		}
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1, nil
}

// keystream is so many bytes of AES in counter mode from zero. Firebase adds them
// to a key of the project, which is the same for everybody and was taken off when
// the hash came in; see [Foreign].
func keystream(key []byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	stream := make([]byte, n)
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(stream, stream) //nolint:gosec // each key is of one salt and password, and is used once
	return stream, nil
}

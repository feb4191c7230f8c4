package hashing

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// The bounds of argon2. They are generous towards what other systems write (PHP:
// 64 MiB, 4 passes; RFC 9106: 64 MiB, 3 passes, 4 lanes).
const (
	maxTime        = 16
	maxParallelism = 16
)

// The lengths of what we write ourselves, in bytes (RFC 9106, section 4).
const (
	saltLength = 16
	keyLength  = 32
)

// Params are what an argon2id hash costs.
type Params struct {
	// Memory is in KiB, from 8 for each lane to 256 MiB. Default 19456.
	Memory uint32
	// Time is the number of passes over the memory, 1 to 16. Default 2.
	Time uint32
	// Parallelism is the number of lanes, 1 to 16. They are computed one after
	// the other where [argon2.Fast], and otherwise on a goroutine each. Default 1.
	Parallelism uint8
}

// DefaultParams is the first choice of the OWASP Password Storage Cheat Sheet
// that a small server can afford: 19 MiB, two passes, one lane.
var DefaultParams = Params{Memory: 19456, Time: 2, Parallelism: 1}

func (p Params) check() error {
	switch {
	case p.Parallelism < 1 || p.Parallelism > maxParallelism:
		return fmt.Errorf("parallelism is %d, want 1 to %d", p.Parallelism, maxParallelism)
	case p.Time < 1 || p.Time > maxTime:
		return fmt.Errorf("time is %d, want 1 to %d", p.Time, maxTime)
	case p.Memory > maxMemory || p.Memory < 8*uint32(p.Parallelism): // RFC 9106, section 3.1
		return fmt.Errorf("memory is %d KiB, want %d to %d", p.Memory, 8*uint32(p.Parallelism), maxMemory)
	}
	return nil
}

// argon2Hash is a hash of argon2id or argon2i.
type argon2Hash struct {
	algorithm Algorithm
	params    Params
	salt, key []byte
}

// parseArgon2 reads what stands behind the name. Version 19, which is 1.3 of the
// paper, is what everybody has written since 2016.
func parseArgon2(a Algorithm, s string) (argon2Hash, error) {
	rest, ok := strings.CutPrefix(s, "v=19$")
	if !ok {
		return argon2Hash{}, malformed("want version 19")
	}
	values, salt, key, err := parsePHC(rest, salts, "m", "t", "p")
	if err != nil {
		return argon2Hash{}, err
	}
	if values[2] > maxParallelism {
		return argon2Hash{}, malformed("parallelism is %d, want 1 to %d", values[2], maxParallelism)
	}
	params := Params{Memory: values[0], Time: values[1], Parallelism: uint8(values[2])}
	if err := params.check(); err != nil {
		return argon2Hash{}, malformed("%v", err)
	}
	return argon2Hash{a, params, salt, key}, nil
}

// newHash is an argon2id hash with a random salt, for which no key has been
// computed: the key is random as well, and no password leads to it.
func newHash(params Params) argon2Hash {
	h := argon2Hash{Argon2id, params, make([]byte, saltLength), make([]byte, keyLength)}
	_, _ = rand.Read(h.salt) // never returns an error
	_, _ = rand.Read(h.key)
	return h
}

func (h argon2Hash) kind() Kind { return Kind(fmt.Sprintf("%s %v", h.algorithm, h.params)) }

// encode is the PHC string.
func (h argon2Hash) encode() string { return "$" + string(h.algorithm) + "$" + h.encodeRest() }

func (h argon2Hash) encodeRest() string {
	return fmt.Sprintf("v=%d$%v$%s$%s", argon2.Version, h.params, encoding.EncodeToString(h.salt), encoding.EncodeToString(h.key))
}

// String is the parameters as they stand in a PHC string.
func (p Params) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", p.Memory, p.Time, p.Parallelism)
}

// derive is the key that password leads to with the salt and the parameters.
func (h argon2Hash) derive(m *argon2.Memory, password []byte) ([]byte, error) {
	compute := m.IDKey
	if h.algorithm == Argon2i {
		compute = m.IKey
	}
	key, err := compute(password, h.salt, h.params.Time, h.params.Memory, h.params.Parallelism, uint32(len(h.key)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", &BusyError{RetryAfter: 5 * time.Second}, err)
	}
	return key, nil
}

func (h argon2Hash) matches(m *argon2.Memory, password []byte) (bool, error) {
	key, err := h.derive(m, password)
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1, err
}

// current reports whether h is what would be written today with params.
func (h argon2Hash) current(params Params) bool {
	return h.algorithm == Argon2id && h.params == params && len(h.salt) >= saltLength && len(h.key) == keyLength
}

func (h argon2Hash) memory() int { return int(h.params.Memory) }

func (h argon2Hash) work(int) int64 { return int64(h.params.Memory) * int64(h.params.Time) }

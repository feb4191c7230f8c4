package hashing

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// ErrMalformed is what every refusal of [Parse] is. It says what is wrong with
// the hash and never quotes it.
var ErrMalformed = errors.New("malformed password hash")

// The bounds of a stored hash. They are generous towards what other systems
// write (PHP: 64 MiB, 4 passes; RFC 9106: 64 MiB, 3 passes, 4 lanes) and keep
// the worst that a stored hash can cost at a few seconds and 256 MiB.
const (
	maxEncoded = 512

	maxMemory      = 256 << 10 // KiB
	maxTime        = 16
	maxParallelism = 16

	minSalt, maxSalt = 8, 64
	minKey, maxKey   = 16, 64

	minCost, maxCost = 4, 16 // of bcrypt: 2^16 rounds are about 4 seconds
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

// Algorithm names the function that made a hash.
type Algorithm string

// The algorithms that can be verified. Only argon2id is written.
const (
	Argon2id Algorithm = "argon2id"
	Bcrypt   Algorithm = "bcrypt"
)

// Hash is a stored password hash that was understood and is within the bounds.
type Hash struct {
	algorithm Algorithm
	params    Params // of argon2id
	salt, key []byte // of argon2id
	cost      int    // of bcrypt, the logarithm
	encoded   []byte // of bcrypt
}

// Algorithm is the function that made the hash.
func (h Hash) Algorithm() Algorithm { return h.algorithm }

// Params are those of an argon2id hash, and zero for any other.
func (h Hash) Params() Params { return h.params }

// Parse reads a stored hash: the PHC string of an argon2id hash of version 19,
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// with its parameters in this order and in the one spelling that the format
// gives each value, or a bcrypt hash of the versions 2a, 2b and 2y. The version
// 2x marks hashes of an implementation that lost bits of every character
// outside ASCII (CVE-2011-2483); it and the first version, 2, are refused. The
// error is always an [ErrMalformed].
func Parse(encoded string) (Hash, error) {
	if len(encoded) > maxEncoded {
		return Hash{}, malformed("longer than %d bytes", maxEncoded)
	}
	switch {
	case strings.HasPrefix(encoded, "$argon2id$"):
		return parseArgon2id(encoded)
	case strings.HasPrefix(encoded, "$2a$"), strings.HasPrefix(encoded, "$2b$"), strings.HasPrefix(encoded, "$2y$"):
		return parseBcrypt(encoded)
	}
	return Hash{}, malformed("unknown algorithm")
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func parseArgon2id(encoded string) (Hash, error) {
	part := strings.Split(encoded, "$")
	if len(part) != 6 {
		return Hash{}, malformed("want five parts, not %d", len(part)-1)
	}
	if part[2] != "v=19" {
		return Hash{}, malformed("want version 19")
	}
	params, err := parseParams(part[3])
	if err != nil {
		return Hash{}, err
	}
	salt, err := decodeBase64(part[4], minSalt, maxSalt)
	if err != nil {
		return Hash{}, malformed("salt: %v", err)
	}
	key, err := decodeBase64(part[5], minKey, maxKey)
	if err != nil {
		return Hash{}, malformed("key: %v", err)
	}
	return Hash{algorithm: Argon2id, params: params, salt: salt, key: key}, nil
}

func parseParams(s string) (Params, error) {
	part := strings.Split(s, ",")
	if len(part) != 3 {
		return Params{}, malformed("want three parameters, not %d", len(part))
	}
	var value [3]uint32
	for i, name := range [3]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(part[i], name)
		if !ok {
			return Params{}, malformed("want the parameters m, t, p in this order")
		}
		// Signs, leading zeros and underscores would be second spellings.
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != digits {
			return Params{}, malformed("parameter %s is not a plain number", name[:1])
		}
		value[i] = uint32(n)
	}
	if value[2] > maxParallelism {
		return Params{}, malformed("parallelism is %d, want 1 to %d", value[2], maxParallelism)
	}
	params := Params{Memory: value[0], Time: value[1], Parallelism: uint8(value[2])}
	if err := params.check(); err != nil {
		return Params{}, malformed("%v", err)
	}
	return params, nil
}

// encoding is base64 without padding and with a single spelling of each value.
var encoding = base64.RawStdEncoding.Strict()

func decodeBase64(s string, shortest, longest int) ([]byte, error) {
	// The decoder skips line ends, so that they would be a second spelling.
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64")
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64") // the cause would quote a byte of it
	}
	if len(b) < shortest || len(b) > longest {
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(b), shortest, longest)
	}
	return b, nil
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// parseBcrypt checks everything that x/crypto takes for granted: it slices
// before it looks, and takes any version and any separator.
func parseBcrypt(encoded string) (Hash, error) {
	if len(encoded) != 60 {
		return Hash{}, malformed("bcrypt of %d bytes, want 60", len(encoded))
	}
	if encoded[6] != '$' {
		return Hash{}, malformed("bcrypt without its separators")
	}
	tens, ones := encoded[4]-'0', encoded[5]-'0'
	if tens > 9 || ones > 9 {
		return Hash{}, malformed("bcrypt cost is not a number")
	}
	cost := int(tens)*10 + int(ones)
	if cost < minCost || cost > maxCost {
		return Hash{}, malformed("bcrypt cost is %d, want %d to %d", cost, minCost, maxCost)
	}
	for _, c := range []byte(encoded[7:]) {
		if strings.IndexByte(bcryptAlphabet, c) < 0 {
			return Hash{}, malformed("bcrypt with a byte outside its alphabet")
		}
	}
	// The last character of the key carries two bits that are never set. (The
	// last of the salt carries four, which old programs did set, and which
	// every implementation ignores.)
	if strings.IndexByte(bcryptAlphabet, encoded[59])&3 != 0 {
		return Hash{}, malformed("bcrypt key with trailing bits")
	}
	return Hash{algorithm: Bcrypt, cost: cost, encoded: []byte(encoded)}, nil
}

// newHash is an argon2id hash with a random salt, for which no key has been
// computed: the key is random as well, and no password leads to it.
func newHash(params Params) Hash {
	h := Hash{algorithm: Argon2id, params: params, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	_, _ = rand.Read(h.salt) // never returns an error
	_, _ = rand.Read(h.key)
	return h
}

// encode is the PHC string of an argon2id hash.
func (h Hash) encode() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Parallelism,
		encoding.EncodeToString(h.salt), encoding.EncodeToString(h.key))
}

// derive is the key that password leads to with the salt and params of an
// argon2id hash.
func (h Hash) derive(m *argon2.Memory, password []byte) ([]byte, error) {
	key, err := m.IDKey(password, h.salt, h.params.Time, h.params.Memory, h.params.Parallelism, uint32(len(h.key)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", &BusyError{RetryAfter: 5 * time.Second}, err)
	}
	return key, nil
}

// matches reports whether password leads to h. It takes the full cost of h
// whether or not it does.
//
// bcrypt reads the first 72 bytes of a password and nothing behind them, so it
// is asked the way it was asked when the hash was made: the whole password goes
// in, and its tail decides nothing until the password has a new hash.
func (h Hash) matches(m *argon2.Memory, password []byte) (bool, error) {
	if h.algorithm == Bcrypt {
		err := bcrypt.CompareHashAndPassword(h.encoded, password)
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}
	key, err := h.derive(m, password)
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1, err
}

// current reports whether h is what would be written today with params.
func (h Hash) current(params Params) bool {
	return h.algorithm == Argon2id && h.params == params && len(h.salt) >= saltLength && len(h.key) == keyLength
}

// memory is what of argon2's memory computing h takes, in KiB.
func (h Hash) memory() int {
	return int(h.params.Memory)
}

// work is how long computing h takes, in passes over a KiB of argon2id: about
// 0.25 µs, and 0.8 µs where the library computes them. A round of bcrypt takes
// as long as 250 or 80 of them.
func (h Hash) work() int64 {
	if h.algorithm == Bcrypt {
		if argon2.Fast() {
			return 250 << h.cost
		}
		return 80 << h.cost
	}
	return int64(h.params.Memory) * int64(h.params.Time)
}

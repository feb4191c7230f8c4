package hashing

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// The rounds of sha256-crypt and sha512-crypt. The format ends at a thousand
// million; passlib writes 656,000. Each hashes the password about twice.
const (
	minRounds, defaultRounds, maxRounds = 1000, 5000, 1_000_000

	maxCryptSalt = 16
)

// shaCrypt is a hash of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
type shaCrypt struct {
	algorithm Algorithm
	rounds    uint32
	salt      string
	key       []byte
}

// parseSHACrypt reads what stands behind $5$ or $6$: the rounds if they are not
// 5000, the salt, and the key. Rounds that are not in the bounds of the format are
// taken for the nearest that are by the programs that read it; no program writes
// them.
func parseSHACrypt(name, s string) (shaCrypt, error) {
	h := shaCrypt{algorithm: SHA512Crypt, rounds: defaultRounds, key: make([]byte, sha512.Size)}
	if name == "5" {
		h.algorithm, h.key = SHA256Crypt, make([]byte, sha256.Size)
	}
	if text, ok := strings.CutPrefix(s, "rounds="); ok {
		digits, rest, _ := strings.Cut(text, "$")
		if h.rounds, ok = parseNumber(digits); !ok {
			return shaCrypt{}, malformed("rounds is not a plain number")
		}
		if err := within("rounds", h.rounds, minRounds, maxRounds); err != nil {
			return shaCrypt{}, malformed("%v", err)
		}
		s = rest
	}
	salt, key, ok := strings.Cut(s, "$")
	if !ok || len(salt) > maxCryptSalt {
		return shaCrypt{}, malformed("want a salt of up to %d bytes and a key", maxCryptSalt)
	}
	// The format lets any bytes but $ and NUL be salt; no program makes any but these.
	if strings.Trim(salt, cryptAlphabet) != "" {
		return shaCrypt{}, malformed("salt outside of its alphabet")
	}
	h.salt = salt
	mixed := make([]byte, len(h.key))
	if len(key) != (8*len(mixed)+5)/6 || !decodeCrypt(mixed, key) {
		return shaCrypt{}, malformed("want a key of %d characters", (8*len(mixed)+5)/6)
	}
	for i, to := range h.order() {
		h.key[to] = mixed[i]
	}
	return h, nil
}

// order is which byte of the key stands where: three columns, turned by one from
// row to row, each row backwards, and what is left at the end.
func (h shaCrypt) order() []int {
	third, end := 10, []int{30, 31}
	turn := 2
	if h.algorithm == SHA512Crypt {
		third, end, turn = 21, []int{63}, 1
	}
	var order []int
	for i := range third {
		for c := 2; c >= 0; c-- {
			order = append(order, (c+turn*i)%3*third+i)
		}
	}
	return append(order, end...)
}

func (h shaCrypt) kind() Kind { return Kind(fmt.Sprintf("%s %d", h.algorithm, h.rounds)) }

func (shaCrypt) memory() int { return 0 }

func (h shaCrypt) work(length int) int64 {
	fed := len(h.key) + length*13/7 + len(h.salt)*2/3 // in a round, on the average
	nanos := 60 + fed*3/4
	if h.algorithm == SHA512Crypt {
		nanos = 100 + fed*7/4
	}
	return nanoseconds(int64(nanos) * int64(h.rounds))
}

func (h shaCrypt) matches(_ *argon2.Memory, password []byte) (bool, error) {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1, nil
}

// derive follows the numbered steps of the specification; names are its own.
func (h shaCrypt) derive(password []byte) []byte {
	f, salt := h.function(), []byte(h.salt)
	sum := func(parts ...[]byte) []byte {
		f.Reset()
		for _, p := range parts {
			f.Write(p)
		}
		return f.Sum(nil)
	}
	b := sum(password, salt, password)       // 4 to 8
	f.Reset()                                // 1
	f.Write(password)                        // 2
	f.Write(salt)                            // 3
	f.Write(stretch(b, len(password)))       // 9, 10
	for n := len(password); n > 0; n >>= 1 { // 11
		if n&1 == 1 {
			f.Write(b)
		} else {
			f.Write(password)
		}
	}
	a := f.Sum(nil) // 12
	f.Reset()       // 13 to 15
	for range password {
		f.Write(password)
	}
	p := stretch(f.Sum(nil), len(password)) // 16
	defer clear(p)
	f.Reset() // 17 to 19
	for range 16 + int(a[0]) {
		f.Write(salt)
	}
	s := stretch(f.Sum(nil), len(salt)) // 20
	for i := range h.rounds {           // 21
		f.Reset()
		if i&1 == 1 {
			f.Write(p)
		} else {
			f.Write(a)
		}
		if i%3 != 0 {
			f.Write(s)
		}
		if i%7 != 0 {
			f.Write(p)
		}
		if i&1 == 1 {
			f.Write(a)
		} else {
			f.Write(p)
		}
		a = f.Sum(a[:0])
	}
	return a
}

func (h shaCrypt) function() hash.Hash {
	if h.algorithm == SHA512Crypt {
		return sha512.New()
	}
	return sha256.New()
}

// stretch repeats b until there are n bytes.
func stretch(b []byte, n int) []byte {
	return bytes.Repeat(b, n/len(b)+1)[:n]
}

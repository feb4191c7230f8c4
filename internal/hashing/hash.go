package hashing

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// ErrMalformed is what every refusal of [Parse] is. It says what is wrong with
// the hash and never quotes it.
var ErrMalformed = errors.New("malformed password hash")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// The bounds of every stored hash. Whatever the function, its parameters are kept
// to 256 MiB of memory and to a few seconds at worst: the longest password on a
// machine without any help for the function, the least of which is 2 and the
// worst 6. What other systems write by default is far below.
const (
	maxEncoded = 1024
	maxMemory  = 256 << 10 // KiB
)

// Algorithm names the way in which a hash was made.
type Algorithm string

// The algorithms that can be verified. Only argon2id is written.
const (
	Argon2id       Algorithm = "argon2id"
	Argon2i        Algorithm = "argon2i"
	Bcrypt         Algorithm = "bcrypt"
	BcryptSHA256   Algorithm = "bcrypt-sha256"   // of the SHA-256 in hex, as Django has it
	BcryptPepper   Algorithm = "bcrypt-pepper"   // of the password with a constant behind it, as Devise has it
	Scrypt         Algorithm = "scrypt"          // RFC 7914
	ScryptNFKC     Algorithm = "scrypt-nfkc"     // of the compatibility form, as Better Auth has it
	ScryptFirebase Algorithm = "scrypt-firebase" // the keystream of AES under the key
	PBKDF2SHA1     Algorithm = "pbkdf2-sha1"     // RFC 8018
	PBKDF2SHA256   Algorithm = "pbkdf2-sha256"
	PBKDF2SHA512   Algorithm = "pbkdf2-sha512"
	PHPass         Algorithm = "phpass"
	SHA256Crypt    Algorithm = "sha256-crypt"
	SHA512Crypt    Algorithm = "sha512-crypt"
	WrappedMD5     Algorithm = "wrapped-md5" // argon2id of a digest that would be too fast by itself
	WrappedSHA1    Algorithm = "wrapped-sha1"
	WrappedSHA256  Algorithm = "wrapped-sha256"
	WrappedSHA512  Algorithm = "wrapped-sha512"
)

// Hash is a stored password hash that was understood and is within the bounds.
type Hash struct{ function }

// function is what made a hash, with all that it was made with but the password.
type function interface {
	// kind is the algorithm and everything else that the cost depends on.
	kind() Kind
	// memory is what computing it takes, in KiB.
	memory() int
	// work is how long computing it for a password of so many bytes takes, in
	// passes over a KiB of argon2id; see [nanoseconds].
	work(length int) int64
	// matches reports whether password leads to the hash. It takes the full cost
	// whether or not it does.
	matches(m *argon2.Memory, password []byte) (bool, error)
}

// Algorithm is the way in which the hash was made.
func (h Hash) Algorithm() Algorithm {
	name, _, _ := strings.Cut(string(h.kind()), " ")
	return Algorithm(name)
}

// Parse reads a stored hash: the PHC string of an argon2id hash of version 19,
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// with its parameters in this order and in the one spelling that the format
// gives each value, or one of the forms in which hashes from elsewhere are kept,
// into which [Foreign] brings them:
//
//	$argon2i$v=19$m=19456,t=2,p=1$<salt>$<key>
//	$2b$12$<salt and key>                            bcrypt; also 2a and 2y
//	$bcrypt-sha256$2b$12$<salt and key>
//	$bcrypt-pepper$<pepper>$2b$12$<salt and key>
//	$scrypt$ln=14,r=8,p=1$<salt>$<key>               also scrypt-nfkc, scrypt-firebase
//	$pbkdf2-sha256$i=600000$<salt>$<key>             also sha1 and sha512
//	$P$B<salt and key>                               PHPass; also $H$
//	$5$rounds=5000$<salt>$<key>                      sha256-crypt; $6$ is sha512-crypt
//	$wrapped-sha1$sp$<salt>$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// The error is always an [ErrMalformed].
func Parse(encoded string) (Hash, error) {
	if len(encoded) > maxEncoded {
		return Hash{}, malformed("longer than %d bytes", maxEncoded)
	}
	name, rest, ok := strings.Cut(strings.TrimPrefix(encoded, "$"), "$")
	if !ok || encoded[0] != '$' {
		return Hash{}, malformed("unknown algorithm")
	}
	f, err := parse(name, rest)
	if err != nil {
		return Hash{}, err
	}
	return Hash{f}, nil
}

func parse(name, rest string) (function, error) {
	switch name {
	case "2a", "2b", "2y":
		return parseBcrypt("$" + name + "$" + rest)
	case "5", "6":
		return parseSHACrypt(name, rest)
	case "P", "H":
		return parsePHPass(rest)
	}
	switch a := Algorithm(name); a {
	case Argon2id, Argon2i:
		return parseArgon2(a, rest)
	case BcryptSHA256:
		return parseBcryptSHA256(rest)
	case BcryptPepper:
		return parseBcryptPepper(rest)
	case Scrypt, ScryptNFKC, ScryptFirebase:
		return parseScrypt(a, rest)
	case PBKDF2SHA1, PBKDF2SHA256, PBKDF2SHA512:
		return parsePBKDF2(a, rest)
	case WrappedMD5, WrappedSHA1, WrappedSHA256, WrappedSHA512:
		return parseWrapped(a, rest)
	}
	// 2x marks bcrypt hashes of an implementation that lost bits of every character
	// outside of ASCII (CVE-2011-2483); it and the first version, 2, are not known.
	return nil, malformed("unknown algorithm")
}

// nanoseconds is work: a pass over a KiB of argon2id takes about 0.25 µs, and
// 0.8 µs where the library computes it.
func nanoseconds(n int64) int64 {
	if argon2.Fast() {
		return n / 250
	}
	return n / 800
}

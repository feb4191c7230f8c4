package hashing

import (
	"crypto/rand"
	"strconv"
	"strings"
)

// Kind is what the cost of a stored hash depends on, beside the length of the
// password: "argon2id m=19456,t=2,p=1", "bcrypt 12".
type Kind string

// KindOf is the kind of a stored hash. The error is an [ErrMalformed].
func KindOf(encoded string) (Kind, error) {
	h, err := Parse(encoded)
	if err != nil {
		return "", err
	}
	return h.kind(), nil
}

// decoy is a hash of the kind k that no password leads to. It is put together as
// text and read as a stored one is, which takes some microseconds, so that none is
// kept.
func (k Kind) decoy() (Hash, error) {
	name, rest, _ := strings.Cut(string(k), " ")
	switch a := Algorithm(name); a {
	case Argon2id, Argon2i:
		return Parse("$" + name + "$v=19$" + rest + "$" + anyBytes(saltLength) + "$" + anyBytes(keyLength))
	case Bcrypt:
		return Parse("$" + anyBcrypt(rest))
	case BcryptSHA256:
		return Parse("$" + name + "$" + anyBcrypt(rest))
	case BcryptPepper:
		return Parse("$" + name + "$" + anyBytes(saltLength) + "$" + anyBcrypt(rest))
	case Scrypt, ScryptNFKC, ScryptFirebase:
		return Parse("$" + name + "$" + rest + "$" + anyBytes(saltLength) + "$" + anyBytes(keyLength))
	case PBKDF2SHA1, PBKDF2SHA256, PBKDF2SHA512:
		iterations, length, _ := strings.Cut(rest, ",l=")
		n, ok := parseNumber(length)
		if !ok || n > uint32(keys.most) {
			return Hash{}, malformed("unknown kind")
		}
		return Parse("$" + name + "$" + iterations + "$" + anyBytes(saltLength) + "$" + anyBytes(int(n)))
	case PHPass:
		log, err := strconv.Atoi(rest)
		if err != nil || log < 0 || log >= len(cryptAlphabet) {
			return Hash{}, malformed("unknown kind")
		}
		return Parse("$P$" + cryptAlphabet[log:log+1] + anyOf(cryptAlphabet, phpassSalt+21) + ".")
	case SHA256Crypt:
		return Parse("$5$rounds=" + rest + "$" + anyOf(cryptAlphabet, maxCryptSalt) + "$" + anyOf(cryptAlphabet, 42) + ".")
	case SHA512Crypt:
		return Parse("$6$rounds=" + rest + "$" + anyOf(cryptAlphabet, maxCryptSalt) + "$" + anyOf(cryptAlphabet, 85) + ".")
	case WrappedMD5, WrappedSHA1, WrappedSHA256, WrappedSHA512:
		return Parse("$" + name + "$sp$" + anyBytes(saltLength) + "$v=19$" + rest + "$" + anyBytes(saltLength) + "$" + anyBytes(keyLength))
	}
	return Hash{}, malformed("unknown kind")
}

// anyBytes is random bytes in base64.
func anyBytes(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never returns an error
	return encoding.EncodeToString(b)
}

// anyOf is random characters of an alphabet of 64.
func anyOf(alphabet string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never returns an error
	for i := range b {
		b[i] = alphabet[b[i]%64]
	}
	return string(b)
}

// anyBcrypt ends in the character whose two bits that are never set are not.
func anyBcrypt(cost string) string {
	if len(cost) == 1 {
		cost = "0" + cost
	}
	return "2b$" + cost + "$" + anyOf(bcryptAlphabet, 52) + "."
}

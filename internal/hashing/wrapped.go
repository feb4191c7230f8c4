package hashing

import (
	"bytes"
	"context"
	"crypto/md5"  //nolint:gosec // what others have used; never alone
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// A digest of a password, salted or not, is no password hash: a thousand million
// can be tried in a second. It is never stored. When it comes in, it is taken for
// the password of an argon2id hash with a salt of its own, and that is stored
// together with what it takes to make the digest again:
//
//	$wrapped-sha1$sp$<salt>$v=19$m=19456,t=2,p=1$<argon2 salt>$<argon2 key>
//
// The second part says how salt and password were put together: sp, ps, or p if
// there is no salt. On its way in, a digest is
//
//	$digest-sha1$sp$<salt>$<digest>
//
// which [Parse] does not know.
type digest struct {
	algorithm Algorithm // of the wrapped hash
	order     string
	salt      []byte
}

const digestPrefix = "$digest-"

func parseDigest(a Algorithm, order, salt string) (digest, error) {
	d := digest{algorithm: a, order: order}
	want := foreignSalts
	switch order {
	case "sp", "ps":
	case "p":
		want = lengths{}
	default:
		return d, malformed("want the order sp, ps or p")
	}
	var err error
	if d.salt, err = decodeBase64(salt, want); err != nil {
		return d, malformed("salt of the digest: %v", err)
	}
	return d, nil
}

func (d digest) sum(password []byte) []byte {
	fed := password
	switch d.order {
	case "sp":
		fed = slices.Concat(d.salt, password)
	case "ps":
		fed = slices.Concat(password, d.salt)
	}
	switch d.algorithm {
	case WrappedMD5:
		s := md5.Sum(fed) //nolint:gosec // as above
		return s[:]
	case WrappedSHA1:
		s := sha1.Sum(fed) //nolint:gosec // as above
		return s[:]
	case WrappedSHA256:
		s := sha256.Sum256(fed)
		return s[:]
	}
	s := sha512.Sum512(fed)
	return s[:]
}

// wrapped is an argon2id hash of a digest.
type wrapped struct {
	digest
	outer argon2Hash
}

func parseWrapped(a Algorithm, s string) (wrapped, error) {
	part := strings.SplitN(s, "$", 3)
	if len(part) != 3 {
		return wrapped{}, malformed("want an order, a salt and argon2id")
	}
	d, err := parseDigest(a, part[0], part[1])
	if err != nil {
		return wrapped{}, err
	}
	outer, err := parseArgon2(Argon2id, part[2])
	return wrapped{d, outer}, err
}

func (w wrapped) encode() string {
	return "$" + string(w.algorithm) + "$" + w.order + "$" + encoding.EncodeToString(w.salt) + "$" + w.outer.encodeRest()
}

func (w wrapped) kind() Kind { return Kind(string(w.algorithm) + " " + w.outer.params.String()) }

func (w wrapped) memory() int { return w.outer.memory() }

func (w wrapped) work(length int) int64 { return w.outer.work(length) }

func (w wrapped) matches(m *argon2.Memory, password []byte) (bool, error) {
	key, err := w.outer.derive(m, w.sum(password))
	return err == nil && subtle.ConstantTimeCompare(key, w.outer.key) == 1, err
}

// IsDigest reports whether a hash that [Foreign] has read must be wrapped before
// it can be stored.
func IsDigest(text string) bool { return strings.HasPrefix(text, digestPrefix) }

// readDigest reads a digest on its way in.
func readDigest(text string) (digest, []byte, error) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(text, digestPrefix), "$")
	part := strings.Split(rest, "$")
	a := Algorithm("wrapped-" + name)
	size := len(digest{algorithm: a}.sum(nil))
	switch a {
	case WrappedMD5, WrappedSHA1, WrappedSHA256, WrappedSHA512:
	default:
		return digest{}, nil, malformed("unknown digest")
	}
	if !IsDigest(text) || len(text) > maxEncoded || len(part) != 3 {
		return digest{}, nil, malformed("want an order, a salt and a digest")
	}
	d, err := parseDigest(a, part[0], part[1])
	if err != nil {
		return digest{}, nil, err
	}
	sum, err := decodeBase64(part[2], lengths{size, size})
	if err != nil {
		return digest{}, nil, malformed("digest: %v", err)
	}
	return d, sum, nil
}

// Wrap is the hash that is stored for a digest, with the current parameters. It is
// as dear as Hash, and its errors are the same, or an [ErrMalformed].
func (p *Pool) Wrap(ctx context.Context, c Caller, text string) (string, error) {
	d, sum, err := readDigest(text)
	if err != nil {
		return "", err
	}
	w := wrapped{d, newHash(p.params)}
	secret := bytes.Clone(sum)
	err = p.do(ctx, &job{
		caller: c, memory: w.memory(), work: w.work(len(secret)), secret: secret,
		run: func(m *argon2.Memory) (err error) {
			w.outer.key, err = w.outer.derive(m, secret)
			return err
		},
	})
	if err != nil {
		return "", err
	}
	return w.encode(), nil
}

package hashing

import (
	"crypto/md5" //nolint:gosec // what others have used; as slow as they have made it
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// cryptAlphabet is the base64 of crypt(3) and of PHPass.
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	minPHPass, maxPHPass = 7, 20 // the logarithm of the rounds; WordPress has 13
	phpassSalt           = 8
)

// phpassHash is a "portable hash" of PHPass: MD5, again and again.
type phpassHash struct {
	log  int
	salt string
	key  [md5.Size]byte
}

// parsePHPass reads what stands behind $P$, or $H$ as phpBB writes it: a
// character for the rounds, eight of salt, twenty-two of the key.
func parsePHPass(s string) (phpassHash, error) {
	if len(s) != 1+phpassSalt+22 {
		return phpassHash{}, malformed("PHPass of %d bytes, want %d", len(s)+3, 1+phpassSalt+22+3)
	}
	h := phpassHash{log: strings.IndexByte(cryptAlphabet, s[0]), salt: s[1 : 1+phpassSalt]}
	if h.log < minPHPass || h.log > maxPHPass {
		return phpassHash{}, malformed("PHPass cost is %d, want %d to %d", h.log, minPHPass, maxPHPass)
	}
	if strings.Trim(h.salt, cryptAlphabet) != "" {
		return phpassHash{}, malformed("PHPass with a salt outside of its alphabet")
	}
	if !decodeCrypt(h.key[:], s[1+phpassSalt:]) {
		return phpassHash{}, malformed("PHPass with a key outside of its alphabet")
	}
	return h, nil
}

// decodeCrypt reads the base64 of crypt(3), in which the first character has the
// lowest bits, into all of to. There is one spelling of each value.
func decodeCrypt(to []byte, s string) bool {
	var bits, have uint
	for i := range len(s) {
		v := strings.IndexByte(cryptAlphabet, s[i])
		if v < 0 {
			return false
		}
		bits |= uint(v) << have
		for have += 6; have >= 8 && len(to) > 0; have -= 8 {
			to[0] = byte(bits)
			to, bits = to[1:], bits>>8
		}
	}
	return len(to) == 0 && have < 6 && bits == 0
}

func (h phpassHash) kind() Kind { return Kind(fmt.Sprintf("%s %d", PHPass, h.log)) }

func (phpassHash) memory() int { return 0 }

func (h phpassHash) work(length int) int64 {
	return nanoseconds(int64(85*((md5.Size+length+8)/md5.BlockSize+1)+30) << h.log)
}

func (h phpassHash) matches(_ *argon2.Memory, password []byte) (bool, error) {
	f := md5.New() //nolint:gosec // as above
	f.Write([]byte(h.salt))
	f.Write(password)
	key := f.Sum(make([]byte, 0, md5.Size))
	for range 1 << h.log {
		f.Reset()
		f.Write(key)
		f.Write(password)
		key = f.Sum(key[:0])
	}
	return subtle.ConstantTimeCompare(key, h.key[:]) == 1, nil
}

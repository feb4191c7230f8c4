package gatehouse

import (
	"crypto/sha256"
	"testing"
)

// Several may read the keys at once, and the slowest has seen the oldest.
func TestOlderKeyringNeverReplacesANewer(t *testing.T) {
	g := &Gatehouse{}
	older, newer := &keyring{version: 1}, &keyring{version: 2}
	g.use(older)
	g.use(newer)
	g.use(older)
	if got := g.keys.Load(); got != newer {
		t.Errorf("version %d is in use, want 2", got.version)
	}
}

// A nonce that came twice would give away what it sealed (ASVS 11.3.4).
func TestSealsAreNeverTheSame(t *testing.T) {
	key := sha256.Sum256([]byte("a key"))
	nonces := map[string]bool{}
	const n = 10_000
	for range n {
		nonces[string(seal(key[:], []byte("the same"), "name")[:12])] = true
	}
	if len(nonces) != n {
		t.Errorf("%d nonces for %d seals", len(nonces), n)
	}
}

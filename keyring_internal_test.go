package gatehouse

import "testing"

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

package gatehouse

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Secret holds bytes that must not be seen: it prints, logs and marshals as
// [redacted], and it is compared in constant time.
type Secret struct{ b []byte }

const redacted = "[redacted]"

// NewSecret wraps b, which the caller must not change afterwards.
func NewSecret(b []byte) Secret { return Secret{b} }

// Reveal is the secret itself. Whoever calls it answers for where it goes.
func (s Secret) Reveal() []byte { return s.b }

// Len is the number of bytes.
func (s Secret) Len() int { return len(s.b) }

// Equal reports in constant time whether both hold the same bytes.
func (s Secret) Equal(t Secret) bool { return subtle.ConstantTimeCompare(s.b, t.b) == 1 }

// String is [redacted], or empty for an empty secret.
func (s Secret) String() string {
	if len(s.b) == 0 {
		return ""
	}
	return redacted
}

// Format makes every verb of fmt print what String does.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue keeps the secret out of slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON, YAML and everything built on text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

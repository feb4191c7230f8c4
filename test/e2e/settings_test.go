//go:build linux

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBadSettings starts with settings that cannot be accepted: it ends at once,
// with status 2, one clear line and the cure, and leaves nothing behind.
func TestBadSettings(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		args []string
		says []string
	}{
		{"a misspelt variable", []string{"GATEHOUSE_LISTN=127.0.0.1:0"}, nil, []string{"GATEHOUSE_LISTN", "did you mean GATEHOUSE_LISTEN?"}},
		{"an unknown flag", nil, []string{"--listn", "127.0.0.1:0"}, []string{"--listn", "--listen"}},
		{"a value out of range", []string{"GATEHOUSE_ACCESS_TOKEN_LIFETIME=90d"}, nil, []string{"GATEHOUSE_ACCESS_TOKEN_LIFETIME", "1h"}},
		{"plain http in production", []string{"GATEHOUSE_MODE=production", "GATEHOUSE_URL=http://auth.example.com"}, nil, []string{"GATEHOUSE_URL", "https://auth.example.com"}},
		{"no URL in production", []string{"GATEHOUSE_MODE=production"}, nil, []string{"GATEHOUSE_URL=https://"}},
		{"no URL for the world", []string{"GATEHOUSE_LISTEN=0.0.0.0:0"}, nil, []string{"GATEHOUSE_LISTEN", "GATEHOUSE_URL=https://"}},
		{"an example secret", []string{"GATEHOUSE_MODE=production", "GATEHOUSE_URL=https://auth.example.com", "GATEHOUSE_SECRET=change-me-this-is-an-example-secret-32-chars"}, nil, []string{"GATEHOUSE_SECRET", "openssl rand"}},
		{"an example secret of an existing deployment", []string{"NODE_ENV=production", "NEXT_PUBLIC_APP_URL=https://auth.example.com", "JWT_REFRESH_SECRET=your-super-secret-refresh-token-key-change-this"}, nil, []string{"JWT_REFRESH_SECRET"}},
		{"a short secret", []string{"GATEHOUSE_SECRET=hunter2"}, nil, []string{"GATEHOUSE_SECRET", "32"}},
		{"cheap hashing in production", []string{"GATEHOUSE_MODE=production", "GATEHOUSE_URL=https://auth.example.com", "GATEHOUSE_HASH_MEMORY=64KiB"}, nil, []string{"GATEHOUSE_HASH_MEMORY", "19MiB"}},
		{"another database", []string{"GATEHOUSE_DATABASE=oracle://db.example.com"}, nil, []string{"GATEHOUSE_DATABASE", "sqlite:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			began := time.Now()
			out, code := call(t, append(c.env, "GATEHOUSE_DATA="+data), "", c.args...)
			if took := time.Since(began); took > time.Second {
				t.Errorf("took %v", took)
			}
			if code != 2 {
				t.Errorf("exit status %d, want 2", code)
			}
			for _, text := range c.says {
				if !strings.Contains(out, text) {
					t.Errorf("does not say %q:\n%s", text, out)
				}
			}
			if strings.Contains(out, "hunter2") || strings.Contains(out, "your-super-secret") || strings.Contains(out, "change-me") {
				t.Errorf("says the secret:\n%s", out)
			}
			if made, _ := filepath.Glob(data + "*"); len(made) > 0 {
				t.Errorf("left behind: %v", made)
			}
		})
	}
}

// TestAddressInUse ends with status 1 and says what to do.
func TestAddressInUse(t *testing.T) {
	s := start(t, t.TempDir())
	data := filepath.Join(t.TempDir(), "data")
	out, code := call(t, nil, "", "serve", "--data", data, "--listen", strings.TrimPrefix(s.url, "http://"))
	if code != 1 || !strings.Contains(out, "GATEHOUSE_LISTEN") {
		t.Errorf("exit status %d\n%s", code, out)
	}
}

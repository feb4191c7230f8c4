//go:build linux

package attack

import (
	"strings"
	"testing"
)

// Where a client says it is. Limits and the list of sessions go by it.
var addressAttacks = []attack{
	{"claimed", addressClaimed},
	{"behind-proxy", addressBehindProxy},
	{"odd", addressOdd},
}

// shownAddress is where the service thinks a login comes from.
func shownAddress(t *testing.T, s *server, headers ...string) string {
	t.Helper()
	c := newClient(s)
	c.email = newEmail()
	c.post(t, "/api/auth/register", credentials(c.email, password)).want(t, 201)
	c.post(t, "/api/auth/login", credentials(c.email, password), headers...).want(t, 200)
	_, after, _ := strings.Cut(string(c.get(t, "/api/auth/sessions").want(t, 200).body), `"address":"`)
	address, _, _ := strings.Cut(after, `"`)
	return address
}

var addressHeaders = []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip", "X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Forwarded", "Forwarded-For", "X_Forwarded_For", "X-Original-Forwarded-For", "X-Azure-Clientip"}

func addressClaimed(t *testing.T) {
	for _, name := range addressHeaders {
		for _, value := range []string{"203.0.113.9", "for=203.0.113.9", "127.0.0.1, 203.0.113.9", "203.0.113.9, 127.0.0.1"} {
			if got := shownAddress(t, house(t, "plain"), name, value); got != "127.0.0.1" {
				t.Errorf("%s: %s makes it %q", name, value, got)
			}
		}
	}
}

// addressBehindProxy believes the proxy, and not what the client told it.
func addressBehindProxy(t *testing.T) {
	s := house(t, "proxy")
	for value, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "198.51.100.1, 203.0.113.9": "203.0.113.9", "127.0.0.1, 203.0.113.9": "203.0.113.9", "203.0.113.9, 127.0.0.1": "203.0.113.9", "x, 203.0.113.9": "203.0.113.9", "2001:db8::1": "2001:db8::1", "::ffff:203.0.113.9": "203.0.113.9",
	} {
		if got := shownAddress(t, s, "X-Forwarded-For", value); got != want {
			t.Errorf("X-Forwarded-For: %s makes it %q, want %q", value, got, want)
		}
	}
	if got := shownAddress(t, s, "X-Forwarded-For", "198.51.100.1", "X-Forwarded-For", "203.0.113.9"); got != "203.0.113.9" {
		t.Errorf("of two lines it is %q", got)
	}
	for _, name := range addressHeaders[1:] {
		if got := shownAddress(t, s, "X-Forwarded-For", "203.0.113.9", name, "198.51.100.1"); got != "203.0.113.9" {
			t.Errorf("%s makes it %q", name, got)
		}
	}
}

// addressOdd is no address. It is neither believed nor shown.
func addressOdd(t *testing.T) {
	for _, kind := range []string{"plain", "proxy"} {
		for _, value := range []string{"", ",", "unknown", "_hidden", "<script>", "203.0.113.9:80", "203.0.113.999", "0x7f.1", "3405803785", "203.0.113.9/32", "[2001:db8::1]", "fe80::1%eth0", "' OR 1=1", strings.Repeat("1", 4000), "evil.example"} {
			got := shownAddress(t, house(t, kind), "X-Forwarded-For", value)
			if got != "127.0.0.1" && got != "fe80::1" {
				t.Errorf("%s: X-Forwarded-For %.40q makes it %q", kind, value, got)
			}
		}
	}
}

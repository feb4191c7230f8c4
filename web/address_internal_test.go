package web

import (
	"net/http"
	"net/netip"
	"testing"
)

// Who the client is: what stands left of the last address that is not a trusted
// proxy can be written by anybody.
func TestClientAddress(t *testing.T) {
	s := &Web{cfg: Config{TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"),
	}}}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.7:1234", nil, "192.0.2.7"},
		{"untrusted peer", "192.0.2.7:1234", []string{"198.51.100.9"}, "192.0.2.7"},
		{"untrusted peer who names a proxy", "192.0.2.7:1234", []string{"198.51.100.9, 10.0.0.1"}, "192.0.2.7"},
		{"proxy", "10.0.0.1:1234", []string{"198.51.100.9"}, "198.51.100.9"},
		{"proxy without the header", "10.0.0.1:1234", nil, "10.0.0.1"},
		{"what the client wrote", "10.0.0.1:1234", []string{"127.0.0.1, 203.0.113.5, 198.51.100.9"}, "198.51.100.9"},
		{"two proxies", "10.0.0.1:1234", []string{"203.0.113.5, 198.51.100.9, 10.0.0.2"}, "198.51.100.9"},
		{"two lines", "10.0.0.1:1234", []string{"203.0.113.5", "198.51.100.9, 10.0.0.2"}, "198.51.100.9"},
		{"trusted all the way", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"a trusted one claimed by the client", "10.0.0.1:1234", []string{"10.9.9.9, 198.51.100.9"}, "198.51.100.9"},
		{"malformed", "10.0.0.1:1234", []string{"unknown"}, "10.0.0.1"},
		{"malformed on the left", "10.0.0.1:1234", []string{"'; drop table, 198.51.100.9"}, "198.51.100.9"},
		{"malformed in between", "10.0.0.1:1234", []string{"198.51.100.9, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"with a port", "10.0.0.1:1234", []string{"198.51.100.9:80"}, "10.0.0.1"},
		{"empty", "10.0.0.1:1234", []string{""}, "10.0.0.1"},
		{"commas", "10.0.0.1:1234", []string{",,,"}, "10.0.0.1"},
		{"leading zeros", "10.0.0.1:1234", []string{"198.051.100.9"}, "10.0.0.1"},
		{"spaces", "10.0.0.1:1234", []string{"  198.51.100.9  "}, "198.51.100.9"},
		{"IPv6", "[2001:db8:1::1]:1234", []string{"2001:db8:2::9"}, "2001:db8:2::9"},
		{"IPv6 untrusted", "[2001:db8:2::1]:1234", []string{"198.51.100.9"}, "2001:db8:2::1"},
		{"zone of the peer", "[fe80::1%eth0]:1234", nil, "fe80::1"},
		{"zone in the header", "10.0.0.1:1234", []string{"fe80::2%eth0"}, "fe80::2"},
		{"4in6 peer is trusted", "[::ffff:10.0.0.1]:1234", []string{"198.51.100.9"}, "198.51.100.9"},
		{"4in6 in the header", "10.0.0.1:1234", []string{"::ffff:198.51.100.9"}, "198.51.100.9"},
		{"4in6 proxy in the header", "10.0.0.1:1234", []string{"198.51.100.9, ::ffff:10.0.0.2"}, "198.51.100.9"},
		{"unix socket", "@", []string{"198.51.100.9"}, ""},
		{"unix socket without a name", "", nil, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		for _, ignored := range []string{"X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip"} {
			r.Header.Set(ignored, "203.0.113.77")
		}
		if got := s.clientAddress(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

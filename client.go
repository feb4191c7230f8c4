package gatehouse

import (
	"context"
	"net/netip"

	"github.com/gatehouse-auth/gatehouse/internal/hashing"
)

// Client says from where a request came. It is written into events and
// sessions, and the tries of strangers are counted by the address.
type Client struct {
	Address   string // IP address of the client, without a port
	UserAgent string
	Ref       string // reference of the request, for the log
	Trace     *Trace // takes notes of what is decided, if it is set
	Actor     string // who acts on a user from outside: "operator"; empty: the user
}

type clientKey struct{}

// WithClient attaches c to ctx for all that is done with it.
func WithClient(ctx context.Context, c Client) context.Context {
	const most = 512 // bytes of a User-Agent that are kept
	if len(c.UserAgent) > most {
		c.UserAgent = c.UserAgent[:most]
	}
	c.UserAgent = printable(c.UserAgent)
	return context.WithValue(ctx, clientKey{}, c)
}

func clientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}

// printable keeps the printable ASCII of s, so that what a client sends can
// neither break a line of a log nor be invalid text in a database.
func printable(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			b := []byte(s[:i])
			for ; i < len(s); i++ {
				if s[i] >= ' ' && s[i] <= '~' {
					b = append(b, s[i])
				}
			}
			return string(b)
		}
	}
	return s
}

// network is where an address belongs to one customer of somebody: an IPv4
// address itself, the /64 of an IPv6 one. It is empty for what is no address.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// hashingFor is on whose behalf passwords are hashed in ctx.
func hashingFor(ctx context.Context) hashing.Caller {
	return hashing.Caller{Source: network(clientOf(ctx).Address)}
}

package gatehouse

import (
	"context"

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
	c.Address, c.UserAgent, c.Ref, c.Actor = printable(c.Address), printable(c.UserAgent), printable(c.Ref), printable(c.Actor)
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

// hashingFor is on whose behalf passwords are hashed in ctx: strangers take turns
// by their source, and known devices go before them.
func hashingFor(ctx context.Context, known bool) hashing.Caller {
	return hashing.Caller{Source: source(clientOf(ctx).Address), Known: known}
}

package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that Redis gives a script, no proof of anything
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
)

// wire is all that this package needs of a client of Redis. The library behind it
// has a method for each command there is; none of them leaves this file and wait.go.
type wire interface {
	// do sends commands at once and answers in their order. Each is atomic for
	// itself, and they need not lie in one slot.
	do(ctx context.Context, list ...command) []answer
	// replicate sends a command that writes, and then waits until so many replicas of
	// the server that did it have it, or until patience ends. It says how many have.
	replicate(ctx context.Context, c command, replicas int, patience time.Duration) (a answer, confirmed int64)
	// listen hands over what is published in the channel, until ctx is done or the
	// connection is lost.
	listen(ctx context.Context, channel string, begun func(), f func(message string)) error
	// servers are wires to each server that is known, by address.
	servers() map[string]wire
	close()
}

// command is a word, the keys that it is about, and the rest. A script is called by
// its script instead of a word.
type command struct {
	word   []string
	script *script
	keys   []string
	args   []string
	// reads says that it changes nothing: when a connection breaks, it is sent
	// once more.
	reads bool
}

// answer is what Redis answered: text, a number, a list, or nothing.
type answer struct {
	text   string
	number int64
	list   []answer
	none   bool
	err    error
}

// script is a program for Redis. It runs alone and to its end, or not at all.
type script struct {
	text string
	name string // by which Redis remembers it
}

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // see above
	return &script{text, hex.EncodeToString(sum[:])}
}

// lib is a wire by valkey-go.
type lib struct {
	client valkey.Client
	homes  *homes // of a Cluster
}

// dial connects to the address. It fails if nobody answers there.
func dial(a address, o Options) (wire, error) {
	option := valkey.ClientOption{
		InitAddress: a.hosts, Username: a.user, Password: a.password, SelectDB: a.database,
		ClientName: "gatehouse", TLSConfig: o.TLS,
		ClientSetInfo: valkey.DisableClientSetInfo, // one right less that is needed
		// With a reader on each connection, one that breaks is noticed at once and
		// replaced, and who gives up waiting does not break it for the others.
		AlwaysPipelining: true,
		// What becomes of a command is told at once. Whether to try again is decided
		// here, for what only reads, and by the caller for the rest.
		DisableRetry:        true,
		DisableCache:        true, // copies in this process: the core has them
		ConnWriteTimeout:    o.Timeout,
		ReadBufferEachConn:  64 << 10,
		WriteBufferEachConn: 64 << 10,
		// A connection on which replicas are waited for stands still meanwhile, so
		// these are of their own. Who finds none free waits for one.
		BlockingPoolSize:    64,
		BlockingPoolMinSize: 2,
		BlockingPoolCleanup: time.Minute,
	}
	option.Dialer.Timeout = o.Timeout
	switch {
	case a.socket:
		option.DialCtxFn = dialSocket
		option.ForceSingleClient = true
	case a.mode == standalone:
		option.ForceSingleClient = true
	case a.mode == sentinel:
		option.Sentinel = valkey.SentinelOption{
			Dialer: option.Dialer, TLSConfig: o.TLS, MasterSet: a.master, ClientName: "gatehouse",
			Username: a.sentinelUser, Password: a.sentinelPassword,
			// An announcement of a new master that got lost is made up for.
			TopologyRefreshInterval: time.Second,
		}
	case a.mode == cluster:
		option.ClusterOption.ShardsRefreshInterval = 2 * time.Second
		option.ClusterOption.MaxMovedRedirections = 5
	}
	client, err := valkey.NewClient(option)
	if err != nil {
		if client != nil {
			client.Close()
		}
		return nil, err
	}
	l := &lib{client: client}
	if a.mode == cluster {
		l.homes = &homes{at: map[string]string{}}
	}
	return l, nil
}

func (l *lib) do(ctx context.Context, list ...command) []answer {
	answers := l.send(ctx, list)
	for i, a := range answers {
		switch {
		case list[i].script != nil && strings.HasPrefix(errText(a.err), "NOSCRIPT"):
			list[i].word = []string{"EVAL", list[i].script.text}
		case list[i].reads && lostOnTheWay(a.err) && ctx.Err() == nil:
		default:
			continue
		}
		answers[i] = l.send(ctx, list[i:i+1])[0]
	}
	return answers
}

func (l *lib) send(ctx context.Context, list []command) []answer {
	built := make([]valkey.Completed, len(list))
	for i, c := range list {
		built[i] = l.build(c)
	}
	var results []valkey.ValkeyResult
	if len(built) == 1 {
		results = []valkey.ValkeyResult{l.client.Do(ctx, built[0])}
	} else {
		results = l.client.DoMulti(ctx, built...)
	}
	answers := make([]answer, len(list))
	for i, r := range results {
		m, err := r.ToMessage()
		answers[i] = told(m, err)
	}
	return answers
}

func (l *lib) build(c command) valkey.Completed {
	if c.script != nil {
		if c.word == nil {
			c.word = []string{"EVALSHA", c.script.name}
		}
		c.word = append(c.word, strconv.Itoa(len(c.keys)))
	}
	return l.client.B().Arbitrary(c.word...).Keys(c.keys...).Args(c.args...).Build()
}

// told turns a message of the library into ours.
func told(m valkey.ValkeyMessage, err error) answer {
	switch {
	case valkey.IsValkeyNil(err):
		return answer{none: true}
	case err != nil:
		return answer{err: err}
	case m.IsInt64():
		n, err := m.ToInt64()
		return answer{number: n, err: err}
	case m.IsArray():
		list, err := m.ToArray()
		a := answer{err: err, list: make([]answer, len(list))}
		for i := range list {
			a.list[i] = told(list[i], list[i].Error())
		}
		return a
	case m.IsMap():
		pairs, err := m.AsStrMap()
		a := answer{err: err}
		for name, value := range pairs {
			a.list = append(a.list, answer{text: name}, answer{text: value})
		}
		return a
	}
	s, err := m.ToString()
	return answer{text: s, err: err}
}

func (l *lib) listen(ctx context.Context, channel string, begun func(), f func(string)) error {
	ctx = valkey.WithOnSubscriptionHook(ctx, func(s valkey.PubSubSubscription) {
		if s.Kind == "subscribe" {
			begun()
		}
	})
	err := l.client.Receive(ctx, l.client.B().Subscribe().Channel(channel).Build(), func(m valkey.PubSubMessage) { f(m.Message) })
	if err == nil {
		err = errors.New("the subscription ended")
	}
	return err
}

func (l *lib) servers() map[string]wire {
	all := map[string]wire{}
	for where, c := range l.client.Nodes() {
		all[where] = &lib{client: c}
	}
	return all
}

func (l *lib) close() { l.client.Close() }

// lostOnTheWay reports whether err is not an answer of Redis, but a connection that
// could not be made, broke, or was closed under whoever used it: by Close, or because
// Sentinel has named another primary.
func lostOnTheWay(err error) bool {
	if err == nil {
		return false
	}
	_, answered := valkey.IsValkeyErr(err)
	return !answered
}

func errText(err error) string {
	if e, ok := valkey.IsValkeyErr(err); ok {
		return e.Error()
	}
	return ""
}

// one sends one command and wraps its error.
func (c *Client) one(ctx context.Context, doing string, cmd command) (answer, error) {
	a, err := c.all(ctx, doing, cmd)
	if err != nil {
		return answer{}, err
	}
	return a[0], nil
}

// all sends commands at once; the first error among the answers is the error.
func (c *Client) all(ctx context.Context, doing string, list ...command) ([]answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redis: %s: %w", doing, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	answers := c.wire.do(bounded, list...)
	for _, a := range answers {
		if a.err != nil {
			return nil, fault(ctx, doing, a.err)
		}
	}
	return answers, nil
}

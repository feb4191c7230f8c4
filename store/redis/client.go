package redis

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Options for [Open]. The Key is needed; the zero value of the rest is a good
// choice.
type Options struct {
	// Key seals the copies of users and hides what limits are counted by, so that
	// neither a password hash nor an address rests in Redis. All processes need the
	// same one. At least 32 bytes; they are used for nothing else.
	Key gatehouse.Secret
	// Prefix begins the name of every key, so that several applications can share
	// a Redis. Default "gatehouse".
	Prefix string
	// Timeout is how long an answer may take. Default 3 seconds.
	Timeout time.Duration
	// Replicas is how many replicas have a session or challenge before the write is
	// acknowledged; if they do not have it in time, the answer is
	// gatehouse.ErrUnavailable. So a failover to one of them loses nothing of it.
	// [NoReplicas] waits for none. Default 1 with Sentinel, and with whatever other
	// Redis has replicas when it is opened; otherwise none.
	Replicas int
	// CacheFor is how long a copy of a user is kept. It bounds how long a failover
	// that lost the newest writes can show an old one. Default 2 minutes.
	CacheFor time.Duration
	// TLS is for rediss://. Default: the certificates that the system trusts, or
	// those of the URL's ca.
	TLS *tls.Config
}

// Client is a connection to a Redis, or to the servers of a Sentinel or Cluster
// setup. When they were away, it finds them again by itself.
type Client struct {
	wire     wire
	where    string
	options  Options
	replicas int // that are waited for
	warnings []string
	waiting  []string // warnings about replicas, for who keeps sessions
	seal     cipher.AEAD
	hide     []byte // the key for what limits are counted by
	owed     *owed
}

// Open connects to the Redis of the URL and looks whether it is fit for use: it
// must answer, be new enough, and take a write. Its errors say what to do, and
// never show what is secret in the URL.
//
//	redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]         rediss:// with TLS
//	unix:///PATH[?db=DATABASE]
//	redis+sentinel://[USER:PASSWORD@]HOST,HOST/MASTER[/DATABASE][?sentinel_user=…&sentinel_password=…]
//	redis+cluster://[USER:PASSWORD@]HOST,HOST
//
// valkey and valkeys may stand for redis and rediss. With TLS, ca=FILE names the
// certificates that are trusted.
func Open(ctx context.Context, url string, o Options) (*Client, error) {
	a, err := parseAddress(url)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	o.Prefix = cmp.Or(o.Prefix, "gatehouse")
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.CacheFor = cmp.Or(o.CacheFor, 2*time.Minute)
	if strings.ContainsAny(o.Prefix, "{}") {
		return nil, errors.New("redis: the prefix must not hold braces: in a Cluster they say where a key lies")
	}
	c := &Client{where: a.String(), options: o, owed: newOwed()}
	if err := c.deriveKeys(); err != nil {
		return nil, err
	}
	if c.options.TLS, err = trust(a, o.TLS); err != nil {
		return nil, err
	}
	if c.wire, err = dial(a, c.options); err != nil {
		return nil, c.unfit(err)
	}
	if a.mode == standalone {
		c.wire = &moving{dial: func() (wire, error) { return dial(a, c.options) }, longest: c.options.Timeout, now: c.wire}
	}
	if err := c.check(ctx, a); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Warnings are sentences on settings of the server with which Gatehouse works, but
// may lose something. Those about replicas are there once [Client.Store] was called.
func (c *Client) Warnings() []string { return c.warnings }

// String is where the Redis is, without credentials.
func (c *Client) String() string { return c.where }

// Close ends the connections, after what is under way.
func (c *Client) Close() {
	c.owed.end()
	c.wire.close()
}

// unfit is the error for a Redis that cannot be used.
func (c *Client) unfit(err error) error {
	if why := meaning(err); why != "" {
		switch text := err.Error(); {
		case strings.Contains(text, "deadline") && c.options.TLS != nil:
			why += "; if it does not speak TLS, use redis:// instead of rediss://"
		case (strings.Contains(text, "EOF") || strings.Contains(text, "reset")) && c.options.TLS == nil:
			why += "; if it speaks TLS, use rediss:// instead of redis://"
		}
		return fmt.Errorf("redis at %s: %s: %w", c.where, why, gatehouse.ErrUnavailable)
	}
	return fmt.Errorf("redis at %s: %w: %w", c.where, gatehouse.ErrUnavailable, err)
}

func (c *Client) deriveKeys() error {
	if c.options.Key.Len() < 32 {
		return errors.New("redis: the key has fewer than 32 bytes")
	}
	derive := func(purpose string) []byte {
		k, err := hkdf.Key(sha256.New, c.options.Key.Reveal(), nil, purpose, 32)
		if err != nil {
			panic(err) // only for a length that SHA-256 cannot give
		}
		return k
	}
	block, err := aes.NewCipher(derive("gatehouse redis users"))
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if c.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	c.hide = derive("gatehouse redis limits")
	return nil
}

// trust is how TLS is spoken, or nil if it is not.
func trust(a address, given *tls.Config) (*tls.Config, error) {
	if !a.tls {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if given != nil {
		t = given.Clone()
	}
	if a.ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(a.ca)
	if err != nil {
		return nil, fmt.Errorf("redis: trusted certificates: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("redis: trusted certificates: there are none in %s", a.ca)
	}
	return t, nil
}

func dialSocket(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return d.DialContext(ctx, "unix", path)
}

package breach

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // what such services are asked by; nothing is protected by it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// RangeConfig says which service is asked.
type RangeConfig struct {
	// URL is what the first five digits of a SHA-1 are appended to, such as
	// https://api.pwnedpasswords.com/range. It is https, or http on this machine.
	URL string
	// Timeout is for one question, waiting for other questions included. Default 3
	// seconds.
	Timeout time.Duration
	// Transport carries the questions. Default is one of its own, which goes
	// through the proxy that the environment names, as http.DefaultTransport does.
	Transport http.RoundTripper
}

// Range asks a service that speaks the protocol of the range service of Have I
// Been Pwned. The service learns the first 20 bits of the SHA-1 of a password,
// which hundreds of passwords share, and neither the password nor whose it is.
// Any number of goroutines may use it; at most eight ask at once.
type Range struct {
	url     string
	timeout time.Duration
	client  *http.Client
	asking  chan struct{}
}

// maxAnswer is more than an answer has, which is about 2,000 lines of 45 bytes.
const maxAnswer = 1 << 20

// NewRange checks cfg. The error is a sentence about the URL.
func NewRange(cfg RangeConfig) (*Range, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must be a URL such as https://api.pwnedpasswords.com/range")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("must not hold a user, a query or a fragment")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, errors.New("must be https: on plain http anybody on the way can say that a password has not leaked")
	}
	r := &Range{url: strings.TrimRight(u.String(), "/") + "/", timeout: cmp.Or(cfg.Timeout, 3*time.Second), asking: make(chan struct{}, 8)}
	transport := cfg.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConns: 8, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	r.client = &http.Client{
		Transport: transport,
		// Whoever is sent elsewhere has the wrong URL, and https may end there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Contains asks whether the password with this SHA-1 has leaked. An error means
// that there was no answer that can be relied on; it does not say what was asked.
func (r *Range) Contains(ctx context.Context, sum [sha1.Size]byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	body, err := r.ask(ctx, digits[:5])
	if err != nil {
		return false, err
	}
	// All of it is read before it is believed: what is no list at all, such as
	// the page of a proxy, would otherwise clear every password.
	found, lines := false, 0
	for h, err := range ReadLines(strings.NewReader(body), digits[:5]) {
		if err != nil {
			return false, fmt.Errorf("the answer is no list of hashes: %w", err)
		}
		lines++
		if h.Sum == sum && h.Count > 0 { // those that pad the answer have 0
			found = true
		}
	}
	if lines == 0 {
		return false, errors.New("the answer is empty")
	}
	return found, nil
}

func (r *Range) ask(ctx context.Context, prefix string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+prefix, nil)
	if err != nil {
		return "", errors.New("the question cannot be put")
	}
	req.Header.Set("Add-Padding", "true") // so that the length of the answer tells nothing
	req.Header.Set("User-Agent", "gatehouse")
	resp, err := r.client.Do(req)
	if err != nil {
		return "", unasked(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer has the status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", unasked(err)
	}
	if len(body) > maxAnswer {
		return "", errors.New("the answer is larger than 1 MiB")
	}
	return string(body), nil
}

// unasked is err without the URL, in which the beginning of the hash stands.
func unasked(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

package redis

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// address is where a Redis is and how to log in, from its URL.
type address struct {
	mode     mode
	tls      bool
	hosts    []string // host:port, or the path of a socket
	socket   bool
	user     string
	password string
	database int

	master           string // of Sentinel
	sentinelUser     string
	sentinelPassword string

	ca string // a file with the certificates that are trusted
}

type mode int

const (
	standalone mode = iota
	sentinel
	cluster
)

// errAddress says what a URL looks like. It never repeats the one that was given,
// which may hold a password.
var errAddress = errors.New("a Redis is named like redis://HOST:6379, rediss://USER:PASSWORD@HOST/0, unix:///PATH, redis+sentinel://HOST1,HOST2/MASTER or redis+cluster://HOST1,HOST2")

// parseAddress reads a URL. What net/url would say of a wrong one is left out,
// since it quotes what it cannot read.
func parseAddress(text string) (address, error) {
	var a address
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), "://")
	if !ok {
		return a, errAddress
	}
	if err := a.scheme(scheme); err != nil {
		return a, err
	}
	authority, path, query := split(rest)
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := a.credentials(authority[:at]); err != nil {
			return a, err
		}
		authority = authority[at+1:]
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return a, fmt.Errorf("the path holds a wrong %%: %w", errAddress)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return a, fmt.Errorf("what follows the ? cannot be read: %w", errAddress)
	}
	if strings.Contains(path, "@") && !a.socket {
		return a, errors.New("what looks like a password in the URL holds a /: write it as %2F")
	}
	if err := a.place(authority, path); err != nil {
		return a, err
	}
	return a, a.options(values)
}

func split(rest string) (authority, path, query string) {
	rest, query, _ = strings.Cut(rest, "?")
	authority, path, _ = strings.Cut(rest, "/")
	return authority, path, query
}

func (a *address) scheme(s string) error {
	engine, kind, _ := strings.Cut(strings.ToLower(s), "+")
	switch engine {
	case "redis", "valkey":
	case "rediss", "valkeys":
		a.tls = true
	case "unix":
		a.socket = true
	default:
		return fmt.Errorf("an unknown scheme: %w", errAddress)
	}
	switch {
	case kind == "":
	case kind == "sentinel" && !a.socket:
		a.mode = sentinel
	case kind == "cluster" && !a.socket:
		a.mode = cluster
	default:
		return fmt.Errorf("an unknown scheme: %w", errAddress)
	}
	return nil
}

func (a *address) credentials(s string) error {
	user, password, _ := strings.Cut(s, ":")
	var err1, err2 error
	a.user, err1 = url.PathUnescape(user)
	a.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("the user or password in the URL holds a % that is not followed by two digits; write it as %25")
	}
	return nil
}

// place reads hosts and path.
func (a *address) place(authority, path string) error {
	if a.socket {
		if authority != "" || path == "" {
			return fmt.Errorf("a socket needs its whole path: %w", errAddress)
		}
		a.hosts = []string{"/" + path}
		return nil
	}
	port := "6379"
	if a.mode == sentinel {
		port = "26379"
	}
	for h := range strings.SplitSeq(cmp.Or(authority, "localhost"), ",") {
		host, err := withPort(h, port)
		if err != nil {
			return err
		}
		a.hosts = append(a.hosts, host)
	}
	switch a.mode {
	case standalone:
		if len(a.hosts) > 1 {
			return errors.New("more than one host: say redis+sentinel:// or redis+cluster://")
		}
	case sentinel:
		a.master, path, _ = strings.Cut(path, "/")
		if a.master == "" {
			return errors.New("a Sentinel URL names the master: redis+sentinel://HOST1,HOST2/MASTER")
		}
	case cluster:
		if path != "" && path != "0" {
			return errors.New("a Cluster has no numbered databases: leave the path out")
		}
	}
	return a.number(path)
}

func withPort(h, port string) (string, error) {
	host, given, err := net.SplitHostPort(h)
	if err != nil {
		host, given = strings.Trim(h, "[]"), port
	}
	if n, err := strconv.Atoi(given); host == "" || strings.ContainsAny(host, " /?#") || err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("a host or port cannot be read: %w", errAddress)
	}
	return net.JoinHostPort(host, given), nil
}

func (a *address) number(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return errors.New("the database in the path is a number, as in redis://HOST/0")
	}
	a.database = n
	return nil
}

func (a *address) options(values url.Values) error {
	known := []string{"ca"}
	if a.socket {
		known = []string{"db"}
	}
	if a.mode == sentinel {
		known = append(known, "sentinel_user", "sentinel_password")
	}
	for name, v := range values {
		if !slices.Contains(known, name) || len(v) > 1 {
			return fmt.Errorf("an unknown option in the URL; there are %s", strings.Join(known, ", "))
		}
	}
	a.ca = values.Get("ca")
	if a.ca != "" && !a.tls {
		return errors.New("ca names trusted certificates and needs rediss://")
	}
	a.sentinelUser, a.sentinelPassword = values.Get("sentinel_user"), values.Get("sentinel_password")
	return a.number(cmp.Or(values.Get("db"), strconv.Itoa(a.database)))
}

// String is where the Redis is, without credentials.
func (a address) String() string {
	switch {
	case a.socket:
		return a.hosts[0]
	case a.mode == sentinel:
		return strings.Join(a.hosts, ",") + "/" + a.master
	}
	return strings.Join(a.hosts, ",")
}

package server

import (
	"cmp"
	"net/url"
	"os"
	"slices"
	"strings"
)

// engines are the kinds of database by the scheme of their URLs, and what an
// address of each looks like.
var engines = map[string]engine{
	"sqlite":      {"SQLite", "sqlite:/var/lib/gatehouse/gatehouse.db"},
	"postgres":    {"PostgreSQL", "postgres://gatehouse@db.example.com/app"},
	"postgresql":  {"PostgreSQL", "postgres://gatehouse@db.example.com/app"},
	"mongodb":     {"MongoDB", "mongodb://gatehouse@db.example.com/app"},
	"mongodb+srv": {"MongoDB", "mongodb+srv://gatehouse@cluster.example.com/app"},
}

type engine struct{ name, example string }

// redisSchemes are those of the addresses that package redis understands.
var redisSchemes = []string{
	"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "unix",
	"valkey", "valkeys", "valkey+sentinel", "valkeys+sentinel", "valkey+cluster", "valkeys+cluster",
}

func (l *loader) checkStorage(s *Settings) {
	l.checkDatabase(s)
	l.checkRedis(s)
	if s.Data == "" {
		l.fault(l.From("data"), "data", "must name a folder")
	}
}

func (l *loader) checkDatabase(s *Settings) {
	from := l.From("database")
	scheme, file, ok := strings.Cut(s.Database, ":")
	e, known := engines[scheme]
	switch {
	case s.Database == "":
	case !ok || !known:
		l.fault(from, "database", "must be sqlite:FILE, postgres://… or mongodb://…, for instance %s", engines["sqlite"].example)
	case scheme == "sqlite" && strings.HasPrefix(file, "//"):
		l.fault(from, "database", "must be sqlite:FILE, without slashes that belong to no path")
	case scheme == "sqlite" && (file == "" || file == ":memory:" || strings.ContainsAny(file, "?#")):
		l.fault(from, "database", "must be sqlite: and the path of a file, without parameters")
	case scheme != "sqlite":
		l.checkAddress("database", s.Database, e.name, e.example)
		// The variable may be there for the application alone.
		kept := DatabaseOf(&Settings{Data: s.Data})
		if file, _ := kept.File(); from.Kind == "alias" && exists(file) {
			l.warn("%s is the database, because %s says so, and not %s, which exists: set GATEHOUSE_DATABASE to choose", e.name, from.Name, file)
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (l *loader) checkRedis(s *Settings) {
	const example = "redis://gatehouse@redis.example.com:6379"
	scheme, _, _ := strings.Cut(s.Redis, ":")
	switch {
	case s.Redis == "":
		for _, name := range []string{"redis-use", "redis-replicas"} {
			if from, set := l.from[name]; set {
				l.fault(from, name, "is set, but no Redis: set GATEHOUSE_REDIS or remove it")
			}
		}
	case !slices.Contains(redisSchemes, scheme):
		l.fault(l.From("redis"), "redis", "must be a URL such as %s, rediss:// with TLS, redis+sentinel://, redis+cluster:// or unix://", example)
	default:
		l.checkAddress("redis", s.Redis, "Redis", example)
		if from, set := l.from["redis-replicas"]; set && s.RedisUse == "limits" {
			l.fault(from, "redis-replicas", "is set, but limits wait for no replica: remove it, or redis-use")
		}
	}
}

// checkAddress refuses what is no address of a server, and a password where
// others can read it. None of its sentences repeats the address.
func (l *loader) checkAddress(name, address, server, example string) {
	from := l.From(name)
	u, _, err := parseAddress(address)
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		l.fault(from, name, "cannot be read as the address of %s: it must look like %s, with every character of user and password that is none of A-Z a-z 0-9 - . _ ~ written as %%XX", server, example)
		return
	}
	if _, password := u.User.Password(); from.Kind == "flag" && (password || hasPassword(u)) {
		l.fault(from, name, "holds a password, and every user of this machine can read the arguments of a program: set %s", cmp.Or(variableOf(name), name))
	}
	if l.Settings.Production() && u.Hostname() != "" && !loopbackHost(u.Hostname()) && plaintext(u) {
		l.warn("%s goes to another machine without TLS: who is on the way can read and change everything", strings.ReplaceAll(name, "-", "_"))
	}
}

// parseAddress reads an address with one server or a list of them: the URL has the
// first, and more is all that follows it.
func parseAddress(address string) (u *url.URL, more string, err error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if ok {
		end := len(rest)
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			end = i
		}
		hosts := strings.LastIndexByte(rest[:end], '@') + 1
		if comma := strings.IndexByte(rest[hosts:end], ','); comma >= 0 {
			more = rest[hosts+comma : end]
			address = scheme + "://" + rest[:hosts+comma] + rest[end:]
		}
	}
	u, err = url.Parse(address)
	return u, more, err
}

func variableOf(name string) string {
	s, _ := settingNamed(name)
	return s.variable()
}

// hasPassword reports whether one is among the parameters: password, sslpassword,
// sentinel_password.
func hasPassword(u *url.URL) bool {
	for key := range u.Query() {
		if strings.Contains(strings.ToLower(key), "password") {
			return true
		}
	}
	return false
}

// plaintext reports whether an address asks for a connection that is, or may
// become, readable on the way.
func plaintext(u *url.URL) bool {
	q := u.Query()
	switch scheme, _, _ := strings.Cut(u.Scheme, "+"); {
	case u.Scheme == "mongodb+srv", scheme == "rediss", scheme == "valkeys":
		return q.Get("tls") == "false" || q.Get("ssl") == "false"
	case scheme == "mongodb":
		return q.Get("tls") != "true" && q.Get("ssl") != "true"
	case scheme == "postgres", scheme == "postgresql":
		return !slices.Contains([]string{"require", "verify-ca", "verify-full"}, q.Get("sslmode"))
	}
	return true
}

// shown is the address of a server as it may be shown: without passwords and
// parameters.
func shown(address string) string {
	if strings.HasPrefix(address, "sqlite:") {
		return address
	}
	u, more, err := parseAddress(address)
	if err != nil || u.Opaque != "" || u.User == nil && strings.Contains(address, "@") || strings.Contains(u.Path, "@") {
		return "[hidden]" // what looks like a port or a path may be a part of a password
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host + more, Path: u.Path}
	if name := u.User.Username(); name != "" {
		clean.User = url.User(name)
	}
	return clean.String()
}

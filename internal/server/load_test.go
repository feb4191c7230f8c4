package server

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	strong  = "q7Jw2nXv9RkT4mZs8LpYc3HbGd6FfAeU1oViNtWx"
	strong2 = "Zt8uYh3KpQw5rEx7VbNm2LsJd9GfCa4oI1vTnHkR"
)

// in is a working directory with files, and what else Load reads from.
type in struct {
	files map[string]string // mode 0600
	env   []string
	flags map[string]string
}

func (i in) load(t *testing.T) (*Loaded, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range i.files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(Input{Flags: i.flags, Environ: i.env})
}

func TestNothingSet(t *testing.T) {
	l, err := in{}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	s := l.Settings
	if s.Listen != "127.0.0.1:8080" || s.Mode != Development || s.DatabaseFile() != filepath.Join("gatehouse-data", "gatehouse.db") {
		t.Errorf("defaults: listen %q, mode %q, database %q", s.Listen, s.Mode, s.DatabaseFile())
	}
	if s.AccessTokenLifetime != 15*time.Minute || s.InactivityTimeout != 7*24*time.Hour || s.HashMemory != 19<<20 {
		t.Errorf("defaults: %v, %v, %v", s.AccessTokenLifetime, s.InactivityTimeout, s.HashMemory)
	}
	if len(l.Warnings) != 0 {
		t.Errorf("warnings: %q, want none", l.Warnings)
	}
}

func TestPrecedence(t *testing.T) {
	all := in{
		files: map[string]string{
			".env":           "GATEHOUSE_SITE_NAME=dotenv\nNEXT_PUBLIC_APP_URL=https://dotenv-alias.example\n",
			"gatehouse.yaml": "# ours\nsite_name: yaml\nurl: https://yaml.example\n",
		},
		env:   []string{"GATEHOUSE_SITE_NAME=environment", "NEXT_PUBLIC_APP_URL=https://alias.example"},
		flags: map[string]string{"site-name": "flag"},
	}
	for _, step := range []struct {
		take       func()
		site, from string
		url        string
	}{
		{func() {}, "flag", "--site-name", "https://yaml.example"},
		{func() { all.flags = nil }, "environment", "environment GATEHOUSE_SITE_NAME", "https://yaml.example"},
		{func() { all.env[0] = "GATEHOUSE_SITE_NAME=" }, "dotenv", ".env:1", "https://yaml.example"},
		{func() { all.files[".env"] = "\nNEXT_PUBLIC_APP_URL=https://dotenv-alias.example" }, "yaml", "gatehouse.yaml:2", "https://yaml.example"},
		{func() { delete(all.files, "gatehouse.yaml") }, "Gatehouse", "default", "https://alias.example"},
		{func() { all.env = nil }, "Gatehouse", "default", "https://dotenv-alias.example"},
		{func() { all.files = nil }, "Gatehouse", "default", ""},
	} {
		step.take()
		l, err := all.load(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Settings.SiteName; got != step.site || l.From("site-name").String() != step.from {
			t.Errorf("site_name = %q from %q, want %q from %q", got, l.From("site-name"), step.site, step.from)
		}
		if l.Settings.URL != step.url {
			t.Errorf("url = %q from %q, want %q", l.Settings.URL, l.From("url"), step.url)
		}
	}
}

func TestEverySettingInEverySpelling(t *testing.T) {
	samples := map[string]string{
		"config": "other.yaml", "mode": "production", "listen": "127.0.0.1:9", "url": "https://a.example", "data": "d",
		"database": "sqlite:x.db", "redis": "redis://127.0.0.1", "redis-use": "limits", "redis-replicas": "2", "secret": strong, "database-file": "d", "redis-file": "r", "secret-file": "s", "previous-secret": strong, "previous-secret-file": "s",
		"hs256-secret": strong, "hs256-secret-file": "s", "algorithm": "ES256", "token-profile": "true", "hash-memory": "64MiB", "hash-memory-budget": "128MiB",
		"home": "/h", "prefix": "/p", "access-cookie": "a", "refresh-cookie": "r", "overrides": "o", "trusted-proxies": "192.0.2.1",
		"breach-file": "b", "breach-range-url": "https://r.example/range", "breach-range-away": "accept",
		"log-level": "debug", "log-format": "json", "key-rotation": "9d", "event-retention": "9d", "event-addresses": "network", "rotation-grace": "59s",
		"header-timeout": "29s", "read-timeout": "59s", "shutdown-delay": "59s", "shutdown-timeout": "59s",
		"limits": "forced-off", "metrics-listen": "127.0.0.1:9", "refusals": "1MiB",
	}
	byType := map[string]string{"duration": "59m", "limit": "9 then every 59m", "number": "9", "text": "words", "words": "Acme, Acme Tools"}
	for _, s := range table {
		sample := samples[s.name]
		if sample == "" {
			sample = byType[s.kind()]
		}
		if sample == "" {
			t.Errorf("%s has no sample; add one", s.name)
			continue
		}
		check := func(how, from string, i in) {
			// What the sample needs to be accepted is not the point here.
			l, _ := i.load(t)
			if got := l.From(s.name).String(); got != from {
				t.Errorf("%s set by %s comes from %q, want %q", s.name, how, got, from)
			}
			if s.format(&l.Settings) == s.def || s.format(&l.Settings) == "" {
				t.Errorf("%s set by %s has not changed", s.name, how)
			}
		}
		files := func(more ...string) map[string]string {
			f := map[string]string{"s": strong, "d": "sqlite:x.db", "r": "redis://127.0.0.1", "other.yaml": ""}
			for i := 0; i < len(more); i += 2 {
				f[more[i]] = more[i+1]
			}
			return f
		}
		check("environment", "environment "+s.variable(), in{files: files(), env: []string{s.variable() + "=" + sample}})
		check(".env", ".env:1", in{files: files(".env", s.variable()+"="+sample)})
		if !s.secret() {
			check("flag", "--"+s.name, in{files: files(), flags: map[string]string{s.name: sample}})
		}
		if s.name != "config" {
			check("YAML", "gatehouse.yaml:1", in{files: files("gatehouse.yaml", s.key()+": "+sample)})
		}
		if s.help == "" || s.group == "" || s.def == "" && s.preset == "" && s.min != "" || !strings.HasSuffix(s.help, ".") {
			t.Errorf("%s is not described in full", s.name)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, c := range []struct {
		name string
		i    in
		want func(s *Settings) bool
	}{
		{"NODE_ENV=production is production mode", in{env: []string{"NODE_ENV=production", "GATEHOUSE_URL=https://a.example"}},
			func(s *Settings) bool { return s.Mode == Production }},
		{"another NODE_ENV means nothing", in{env: []string{"NODE_ENV=test"}},
			func(s *Settings) bool { return s.Mode == Development }},
		{"NEXT_PUBLIC_APP_URL is the public URL", in{env: []string{"NEXT_PUBLIC_APP_URL=https://a.example/"}},
			func(s *Settings) bool { return s.URL == "https://a.example" && s.Mode == Production }},
		{"a loopback URL is not public", in{env: []string{"NEXT_PUBLIC_APP_URL=http://localhost:3000"}},
			func(s *Settings) bool { return s.URL == "http://localhost:3000" && s.Mode == Development }},
		{"JWT_ACCESS_SECRET signs with HS256", in{env: []string{"JWT_ACCESS_SECRET=" + strong}},
			func(s *Settings) bool { return s.Algorithm == "HS256" && string(s.HS256Secret.Reveal()) == strong }},
		{"unless another algorithm was chosen", in{env: []string{"JWT_ACCESS_SECRET=" + strong, "GATEHOUSE_ALGORITHM=EdDSA"}},
			func(s *Settings) bool { return s.Algorithm == "EdDSA" && s.HS256Secret.Len() == 0 }},
		{"JWT_REFRESH_SECRET is the master secret", in{files: map[string]string{".env": "JWT_REFRESH_SECRET=" + strong}},
			func(s *Settings) bool { return string(s.Secret.Reveal()) == strong }},
		{"our secret file beats it", in{files: map[string]string{"s": strong2 + "\n"}, env: []string{"JWT_REFRESH_SECRET=" + strong, "GATEHOUSE_SECRET_FILE=s"}},
			func(s *Settings) bool { return string(s.Secret.Reveal()) == strong2 }},
		{"our database beats MONGODB_URI", in{env: []string{"MONGODB_URI=mongodb://db/app", "GATEHOUSE_DATABASE=sqlite:x.db"}},
			func(s *Settings) bool { return s.DatabaseFile() == "x.db" }},
		{"and so does our file", in{files: map[string]string{"d": "sqlite:x.db\n"}, env: []string{"MONGODB_URI=mongodb://db/app", "GATEHOUSE_DATABASE_FILE=d"}},
			func(s *Settings) bool { return s.DatabaseFile() == "x.db" }},
		{"a password in a file is no fault of the flag that names it", in{
			files: map[string]string{"d": "postgres://u:p@localhost/x", "r": "redis://:p@localhost"},
			flags: map[string]string{"database-file": "d", "redis-file": "r"},
		}, func(s *Settings) bool {
			return s.Database == "postgres://u:p@localhost/x" && s.Redis == "redis://:p@localhost"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := c.i.load(t)
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(&l.Settings) {
				t.Errorf("mode %q, url %q, algorithm %q, database %q", l.Settings.Mode, l.Settings.URL, l.Settings.Algorithm, l.Settings.Database)
			}
		})
	}
}

// production is the least that production mode asks for.
var production = []string{"GATEHOUSE_URL=https://auth.example.com", "GATEHOUSE_SECRET=" + strong}

func env(more ...string) in { return in{env: more} }
func prod(more ...string) in {
	return in{env: append(slices.Clone(production), more...)}
}
func inYAML(text string) in { return in{files: map[string]string{"gatehouse.yaml": text}} }
func inDotenv(text string) in {
	return in{files: map[string]string{".env": text}}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		i    in
		want string // all lines, in order
	}{
		// Names that do not exist.
		{env("GATEHOUSE_LISTN=:1"), `environment GATEHOUSE_LISTN: there is no setting GATEHOUSE_LISTN; did you mean GATEHOUSE_LISTEN?`},
		{env("GATEHOUSE_FROBNICATE=1"), `environment GATEHOUSE_FROBNICATE: there is no setting GATEHOUSE_FROBNICATE; gatehouse config lists the settings`},
		{inDotenv("# ours\n\nexport GATEHOUSE_URI=https://a.example"), `.env:3: there is no setting GATEHOUSE_URI; did you mean GATEHOUSE_URL?`},
		{inYAML("listen: 127.0.0.1:1\nlogin_level: info\nlog_levle: info"), "gatehouse.yaml:2: there is no setting login_level; did you mean log_level?\ngatehouse.yaml:3: there is no setting log_levle; did you mean log_level?"},
		{inYAML("access-cookie: a"), `gatehouse.yaml:1: there is no setting access-cookie; did you mean access_cookie?`},
		{inYAML("config: other.yaml"), `gatehouse.yaml:1: a settings file cannot name another one; use --config or GATEHOUSE_CONFIG`},
		{env("GATEHOUSE_REDIS=localhost:6379"), `environment GATEHOUSE_REDIS: must be a URL such as redis://gatehouse@redis.example.com:6379, rediss:// with TLS, redis+sentinel://, redis+cluster:// or unix://`},
		{env("GATEHOUSE_REDIS_USE=limits"), `environment GATEHOUSE_REDIS_USE: is set, but no Redis: set GATEHOUSE_REDIS or remove it`},
		{env("GATEHOUSE_REDIS_REPLICAS=1"), `environment GATEHOUSE_REDIS_REPLICAS: is set, but no Redis: set GATEHOUSE_REDIS or remove it`},
		{env("GATEHOUSE_REDIS=redis://127.0.0.1", "GATEHOUSE_REDIS_USE=limits", "GATEHOUSE_REDIS_REPLICAS=1"), `environment GATEHOUSE_REDIS_REPLICAS: is set, but limits wait for no replica: remove it, or redis-use`},
		{env("GATEHOUSE_REDIS=redis://127.0.0.1", "GATEHOUSE_REDIS_REPLICAS=many"), `environment GATEHOUSE_REDIS_REPLICAS: must be one of auto, 0, 1, 2, 3`},
		{in{flags: map[string]string{"redis": "redis://:hunter22@redis.example.com"}}, `--redis: holds a password, and every user of this machine can read the arguments of a program: set GATEHOUSE_REDIS`},
		{env("GATEHOUSE_METRICS_LISTEN=9090"), `environment GATEHOUSE_METRICS_LISTEN: must be HOST:PORT, and another one than listen`},
		{env("GATEHOUSE_METRICS_LISTEN=127.0.0.1:8080"), `environment GATEHOUSE_METRICS_LISTEN: must be HOST:PORT, and another one than listen`},
		{env("GATEHOUSE_LIMITS=maybe"), `environment GATEHOUSE_LIMITS: must be one of on, off, forced-off`},
		{env("GATEHOUSE_LIMIT_REGISTER=20 per hour"), `environment GATEHOUSE_LIMIT_REGISTER: must be a limit such as 20 then every 10h`},
		{env("GATEHOUSE_LIMIT_REGISTER=0 then every 1s"), `environment GATEHOUSE_LIMIT_REGISTER: must be from 1 to 1000000 at once, and then every 1ms to 366d`},
		{env("GATEHOUSE_A\x1b[31m=1"), `environment "GATEHOUSE_A\x1b[31m": there is no setting "GATEHOUSE_A\x1b[31m"; gatehouse config lists the settings`},

		// Files.
		{in{flags: map[string]string{"config": "none.yaml"}}, `--config: none.yaml: no such file or directory`},
		{inYAML("listen: [127.0.0.1:1"), `gatehouse.yaml:1: not valid YAML: sequence end token ']' not found`},
		{inYAML("- listen"), `gatehouse.yaml:1: expected lines of the form name: value`},
		{inYAML("listen:\n  host: x"), `gatehouse.yaml:1: listen: must be a plain value or a list; anchors, tags and nested settings have no meaning here`},
		{inYAML("home: &a /x\nprefix: *a"), "gatehouse.yaml:1: home: must be a plain value or a list; anchors, tags and nested settings have no meaning here\ngatehouse.yaml:2: prefix: must be a plain value or a list; anchors, tags and nested settings have no meaning here"},
		{inYAML("home: /x\n---\nhome: /y"), `gatehouse.yaml:3: a second document begins here; settings are one document`},
		{inDotenv("A=1\nGATEHOUSE_SECRET='abc\n"), `.env:2: this line is not NAME=value, or its quotation mark is not closed`},
		{inDotenv("A=1\nwhat is this\n"), `.env:2: this line is not NAME=value, or its quotation mark is not closed`},
		{inDotenv("GATEHOUSE_SECRET=abc$DEFghi"), `.env:1: GATEHOUSE_SECRET refers to $DEF, which is not set above; if the dollar sign belongs to the value, put the value between single quotes`},

		// Values.
		{env("GATEHOUSE_HASH_TIME=0"), `environment GATEHOUSE_HASH_TIME: must be from 1 to 16`},
		{env("GATEHOUSE_HASH_TIME=two"), `environment GATEHOUSE_HASH_TIME: must be a whole number`},
		{inYAML("\naccess_token_lifetime: 15"), `gatehouse.yaml:2: access_token_lifetime must be a duration such as 30s, 15m, 12h or 7d`},
		{inYAML("access_token_lifetime: 2d"), `gatehouse.yaml:1: access_token_lifetime must be from 10s to 1h`},
		{inYAML("inactivity_timeout: -1h"), `gatehouse.yaml:1: inactivity_timeout must be a duration such as 30s, 15m, 12h or 7d`},
		{inYAML("hash_memory: 19"), `gatehouse.yaml:1: hash_memory must be a size such as 19MiB or 64KiB`},
		{inYAML("token_profile: perhaps"), `gatehouse.yaml:1: token_profile must be true or false`},
		{in{flags: map[string]string{"mode": "prod"}}, `--mode: must be one of development, production; did you mean production?`},
		{in{flags: map[string]string{"mode": "Prodution"}}, `--mode: must be one of development, production; did you mean production?`},
		{inYAML("log_level: warning"), `gatehouse.yaml:1: log_level must be one of debug, info, warn, error; did you mean warn?`},
		{inYAML("trusted_proxies: [10.0.0.1/8]"), `gatehouse.yaml:1: trusted_proxies has a network with bits beyond its mask; 10.0.0.0/8 is the network`},
		{inYAML("trusted_proxies: nginx"), `gatehouse.yaml:1: trusted_proxies must be addresses or networks such as 10.0.0.0/8 or 192.0.2.7, separated by commas`},
		{inYAML(`site_name: "a\nb"`), `gatehouse.yaml:1: site_name must not contain line breaks or other control characters`},
		{env("GATEHOUSE_LISTEN=8080"), `environment GATEHOUSE_LISTEN: must be HOST:PORT, with a port from 0 to 65535; did you mean 127.0.0.1:8080?`},
		{env("GATEHOUSE_LISTEN=127.0.0.1:99999"), `environment GATEHOUSE_LISTEN: must be HOST:PORT, with a port from 0 to 65535`},
		{env("GATEHOUSE_URL=auth.example.com"), `environment GATEHOUSE_URL: must be a URL such as https://auth.example.com; did you mean https://auth.example.com?`},
		{env("GATEHOUSE_URL=https://a.example/auth"), `environment GATEHOUSE_URL: must end after the host: cookies and pages belong to a whole host, so use one for Gatehouse, or a reverse proxy in front of several programs`},
		{env("GATEHOUSE_URL=https://a.example/?x=1"), `environment GATEHOUSE_URL: must end after the host: a query or a fragment has no meaning here`},
		{env("GATEHOUSE_URL=https://u:p@a.example"), `environment GATEHOUSE_URL: must not hold a user or a password: everybody sees it`},
		{env("GATEHOUSE_URL=https://*.example"), `environment GATEHOUSE_URL: must name one host`},
		{env("GATEHOUSE_HOME=https://evil.example"), `environment GATEHOUSE_HOME: must be a path on this host such as /dashboard, without a slash at the end`},
		{env("GATEHOUSE_HOME=//evil.example"), `environment GATEHOUSE_HOME: must be a path on this host such as /dashboard, without a slash at the end`},
		{env("GATEHOUSE_PREFIX=/api/../x"), `environment GATEHOUSE_PREFIX: must be a path on this host such as /api/auth, without a slash at the end`},
		{env("GATEHOUSE_ACCESS_COOKIE=a;b"), `environment GATEHOUSE_ACCESS_COOKIE: must be letters, digits, - and _`},
		{env("GATEHOUSE_ACCESS_COOKIE=__Host-a"), `environment GATEHOUSE_ACCESS_COOKIE: has a prefix that browsers accept on https only, and the public URL is not https`},
		{env("GATEHOUSE_OVERRIDES=nowhere"), `environment GATEHOUSE_OVERRIDES: nowhere: no such file or directory`},
		{env("GATEHOUSE_DATABASE=postgres://u:p%zz@db/x"), `environment GATEHOUSE_DATABASE: cannot be read as the address of PostgreSQL: it must look like postgres://gatehouse@db.example.com/app, with every character of user and password that is none of A-Z a-z 0-9 - . _ ~ written as %XX`},
		{env("MONGODB_URI=mongodb://u:p/p@db/x"), `alias MONGODB_URI: database cannot be read as the address of MongoDB: it must look like mongodb://gatehouse@db.example.com/app, with every character of user and password that is none of A-Z a-z 0-9 - . _ ~ written as %XX`},
		{in{flags: map[string]string{"database": "postgres://u:p@db/x"}}, `--database: holds a password, and every user of this machine can read the arguments of a program: set GATEHOUSE_DATABASE`},
		{in{flags: map[string]string{"database": "postgres://db/x?password=p"}}, `--database: holds a password, and every user of this machine can read the arguments of a program: set GATEHOUSE_DATABASE`},
		{env("GATEHOUSE_DATABASE=mysql://db/x"), `environment GATEHOUSE_DATABASE: must be sqlite:FILE, postgres://… or mongodb://…, for instance sqlite:/var/lib/gatehouse/gatehouse.db`},
		{env("GATEHOUSE_DATABASE=sqlite:///x.db"), `environment GATEHOUSE_DATABASE: must be sqlite:FILE, without slashes that belong to no path`},
		{env("GATEHOUSE_DATABASE=x.db"), `environment GATEHOUSE_DATABASE: must be sqlite:FILE, postgres://… or mongodb://…, for instance sqlite:/var/lib/gatehouse/gatehouse.db`},

		{env("GATEHOUSE_BREACH_FILE=nowhere"), `environment GATEHOUSE_BREACH_FILE: nowhere: no such file or directory`},
		{in{files: map[string]string{"list.txt": "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:1\n"}, env: []string{"GATEHOUSE_BREACH_FILE=list.txt"}}, `environment GATEHOUSE_BREACH_FILE: list.txt: is no breach file; gatehouse breach build makes one of a list of hashes`},
		{env("GATEHOUSE_BREACH_RANGE_URL=http://r.example/range"), `environment GATEHOUSE_BREACH_RANGE_URL: must be https: on plain http anybody on the way can say that a password has not leaked`},

		// Contradictions.
		{inYAML("breach_range_away: accept"), `gatehouse.yaml:1: breach_range_away is set, but no service to ask: set GATEHOUSE_BREACH_RANGE_URL or remove it`},
		{inYAML("maximum_lifetime: 1d"), `gatehouse.yaml:1: maximum_lifetime of 1d is shorter than inactivity_timeout, which is 7d`},
		{inYAML("header_timeout: 40s"), `gatehouse.yaml:1: header_timeout of 40s is longer than read_timeout, which is 30s`},
		{inYAML("access_cookie: a\nrefresh_cookie: a"), `gatehouse.yaml:2: refresh_cookie must not be the access cookie`},
		{inYAML("home: /a\nhome: /b"), `gatehouse.yaml:2: not valid YAML: mapping key "home" already defined at [1:1]`},
		{in{files: map[string]string{"s": strong}, env: []string{"GATEHOUSE_SECRET=" + strong, "GATEHOUSE_SECRET_FILE=s"}}, `environment GATEHOUSE_SECRET_FILE: and secret (environment GATEHOUSE_SECRET) are both set; keep one`},
		{env("GATEHOUSE_ALGORITHM=HS256"), `environment GATEHOUSE_ALGORITHM: is HS256, which needs GATEHOUSE_HS256_SECRET_FILE; make one with: openssl rand -base64 48`},
		{env("GATEHOUSE_HS256_SECRET=" + strong), `environment GATEHOUSE_HS256_SECRET: is set, but the algorithm is EdDSA: set GATEHOUSE_ALGORITHM=HS256 or remove the secret`},
		{env("GATEHOUSE_PREVIOUS_SECRET=" + strong), `environment GATEHOUSE_PREVIOUS_SECRET: is set, but no master secret that follows it`},
		{env("GATEHOUSE_SECRET="+strong, "GATEHOUSE_PREVIOUS_SECRET="+strong), `environment GATEHOUSE_PREVIOUS_SECRET: is the master secret itself; remove it`},
		{inYAML("hash_memory: 64KiB\nhash_parallelism: 16"), `gatehouse.yaml:1: hash_memory must be at least 8KiB for each of the 16 lanes`},

		// Secrets.
		{env("GATEHOUSE_SECRET=short"), `environment GATEHOUSE_SECRET: has 5 bytes and needs at least 32; make one with: openssl rand -base64 48`},
		{in{files: map[string]string{"s": "\n"}, env: []string{"GATEHOUSE_SECRET_FILE=s"}}, `environment GATEHOUSE_SECRET_FILE: s is empty`},
		{in{files: map[string]string{"d": "sqlite:x.db"}, env: []string{"GATEHOUSE_DATABASE=sqlite:y.db", "GATEHOUSE_DATABASE_FILE=d"}}, `environment GATEHOUSE_DATABASE_FILE: and database (environment GATEHOUSE_DATABASE) are both set; keep one`},
		{in{files: map[string]string{"r": "s3cret"}, env: []string{"GATEHOUSE_REDIS_FILE=r"}}, `r: redis must be a URL such as redis://gatehouse@redis.example.com:6379, rediss:// with TLS, redis+sentinel://, redis+cluster:// or unix://`},
		{env("GATEHOUSE_REDIS_FILE=none"), `environment GATEHOUSE_REDIS_FILE: none no such file or directory`},
		{env("GATEHOUSE_SECRET_FILE=none"), `environment GATEHOUSE_SECRET_FILE: none no such file or directory`},

		// Production mode.
		{env("NODE_ENV=production"), `alias NODE_ENV: mode is production, and so the public URL must be known: set GATEHOUSE_URL=https://…, or set GATEHOUSE_MODE=development if this is no place that matters`},
		{env("GATEHOUSE_LISTEN=0.0.0.0:80"), `environment GATEHOUSE_LISTEN: is reachable by others, and so the public URL must be known: set GATEHOUSE_URL=https://…, or set GATEHOUSE_MODE=development if this is no place that matters`},
		{env("GATEHOUSE_LISTEN=:80"), `environment GATEHOUSE_LISTEN: is reachable by others, and so the public URL must be known: set GATEHOUSE_URL=https://…, or set GATEHOUSE_MODE=development if this is no place that matters`},
		{env("GATEHOUSE_URL=http://auth.example.com"), `environment GATEHOUSE_URL: is plain http, on which passwords and cookies can be read and changed on the way: serve it as https://auth.example.com, with a reverse proxy that has a certificate, or set GATEHOUSE_MODE=development if this is no place that matters`},
		{env("GATEHOUSE_URL=http://localhost:1", "GATEHOUSE_MODE=production"), `environment GATEHOUSE_URL: is plain http, on which passwords and cookies can be read and changed on the way: serve it as https://localhost:1, with a reverse proxy that has a certificate, or set GATEHOUSE_MODE=development if this is no place that matters`},
		{env("GATEHOUSE_URL=https://a.example", "JWT_REFRESH_SECRET=your-super-secret-refresh-key-change-in-production"), `alias JWT_REFRESH_SECRET: secret is made of the words of examples; make one with: openssl rand -base64 48`},
		{env("GATEHOUSE_URL=https://a.example", "GATEHOUSE_SECRET="+strings.Repeat("ab", 20)), `environment GATEHOUSE_SECRET: is the same few characters again and again; make one with: openssl rand -base64 48`},
		{prod("JWT_ACCESS_SECRET=" + strong), `alias JWT_ACCESS_SECRET: hs256_secret is the master secret as well, so that every verifier could make refresh tokens; make one with: openssl rand -base64 48`},
		{prod("GATEHOUSE_TRUSTED_PROXIES=::/0"), `environment GATEHOUSE_TRUSTED_PROXIES: ::/0 believes everybody, so that anybody can claim to be at any address: name the proxy's own address`},
		{prod("GATEHOUSE_HASH_MEMORY=8MiB"), `environment GATEHOUSE_HASH_MEMORY: of 8MiB with 2 passes is less than OWASP's least for argon2id: take 19MiB and 2`},

		// All at once.
		{in{
			files: map[string]string{"gatehouse.yaml": "hom: /x\nhash_time: 0", ".env": "GATEHOUSE_HASHTIME=1"},
			env:   []string{"GATEHOUSE_URL=ftp://x", "GATEHOUSE_LISTN=1"},
			flags: map[string]string{"log-level": "loud"},
		}, `gatehouse.yaml:2: hash_time must be from 1 to 16
--log-level: must be one of debug, info, warn, error
environment GATEHOUSE_LISTN: there is no setting GATEHOUSE_LISTN; did you mean GATEHOUSE_LISTEN?
.env:1: there is no setting GATEHOUSE_HASHTIME; did you mean GATEHOUSE_HASH_TIME?
gatehouse.yaml:1: there is no setting hom; did you mean home?
environment GATEHOUSE_URL: must be a URL such as https://auth.example.com`},
	} {
		_, err := c.i.load(t)
		if _, ok := errors.AsType[Faults](err); !ok || err.Error() != c.want {
			t.Errorf("%v %v %v:\n got %v\nwant %s", c.i.files, c.i.env, c.i.flags, err, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		i    in
		want string
	}{
		{env("GATEHOUSE_SECRET=your-super-secret-refresh-key-change-in-production"), "environment GATEHOUSE_SECRET: is made of the words of examples; make one with: openssl rand -base64 48"},
		{env("GATEHOUSE_HASH_MEMORY=64KiB"), "environment GATEHOUSE_HASH_MEMORY: of 64KiB with 2 passes is less than OWASP's least for argon2id: take 19MiB and 2"},
		{env("GATEHOUSE_LISTEN=0.0.0.0:80", "GATEHOUSE_MODE=development"), "listen 0.0.0.0:80: passwords and cookies cross the network readable, because there is no https URL"},
		{env("GATEHOUSE_BREACH_RANGE_URL=https://r.example/range", "GATEHOUSE_BREACH_RANGE_AWAY=accept"), "breach_range_away is accept: while the service does not answer, passwords that have leaked are taken"},
		{env("GATEHOUSE_URL=http://10.0.0.5", "GATEHOUSE_MODE=development"), "url http://10.0.0.5 is plain http: passwords and cookies cross the network readable"},
	} {
		l, err := c.i.load(t)
		if err != nil || len(l.Warnings) != 1 || l.Warnings[0] != c.want {
			t.Errorf("%v: err %v, warnings %q, want %q", c.i.env, err, l.Warnings, c.want)
		}
	}
}

func TestLimitsOffIsTheTruth(t *testing.T) {
	if _, faults := (in{env: []string{"GATEHOUSE_LIMITS=off"}}).load(t); faults != nil {
		t.Errorf("refused: %v", faults)
	}
}

func TestAcceptedInProduction(t *testing.T) {
	for _, i := range []in{
		prod(),
		prod("GATEHOUSE_LISTEN=:8080", "GATEHOUSE_TRUSTED_PROXIES=10.0.0.0/8, 2001:db8::/32 192.0.2.7"),
		env("GATEHOUSE_URL=https://a.example"), // a secret is made
		prod("GATEHOUSE_HASH_MEMORY=46MiB", "GATEHOUSE_HASH_TIME=1"),
		prod("GATEHOUSE_PREVIOUS_SECRET=" + strong2),
		prod("GATEHOUSE_BREACH_RANGE_URL=https://r.example/range", "GATEHOUSE_CONTEXT_WORDS=Acme, Acme Tools"),
		prod("GATEHOUSE_SERVICE_HOST=10.0.0.1", "GATEHOUSE_SERVICE_PORT_HTTP=80", "GATEHOUSE_PORT=tcp://10.0.0.1:80", "GATEHOUSE_PORT_80_TCP_ADDR=10.0.0.1"),
		{files: map[string]string{"gatehouse.yaml": "# nothing but a comment\n"}, env: production},
		{files: map[string]string{"gatehouse.yaml": "home:\nsecret: " + strong}, env: production[:1]},
	} {
		l, err := i.load(t)
		if err != nil || len(l.Warnings) > 0 || !l.Settings.Production() {
			t.Errorf("%v: mode %s, err %v, warnings %q", i.env, l.Settings.Mode, err, l.Warnings)
		}
	}
}

func TestFilesThatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Chmod(name, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("s", strong)
	_, err := Load(Input{Environ: []string{"GATEHOUSE_SECRET_FILE=s"}})
	if want := "environment GATEHOUSE_SECRET_FILE: s can be read by other users: chmod 600 s"; err == nil || err.Error() != want {
		t.Errorf("secret file: %v, want %s", err, want)
	}
	write("gatehouse.yaml", "home: /x\nsecret: "+strong)
	_, err = Load(Input{})
	if want := "gatehouse.yaml:2: secret is in a file that other users can read: chmod 600 gatehouse.yaml, or move it to a file of its own and name that with secret_file"; err == nil || err.Error() != want {
		t.Errorf("YAML: %v, want %s", err, want)
	}
	write("gatehouse.yaml", "database: postgres://u:p@db/x\n")
	_, err = Load(Input{})
	if want := "gatehouse.yaml:1: database is in a file that other users can read: chmod 600 gatehouse.yaml, or set GATEHOUSE_DATABASE"; err == nil || err.Error() != want {
		t.Errorf("database in YAML: %v, want %s", err, want)
	}
	write("gatehouse.yaml", "home: /x\n")
	write(".env", "JWT_REFRESH_SECRET="+strong)
	l, err := Load(Input{})
	if err != nil || !slices.Equal(l.Warnings, []string{".env holds secrets and can be read by other users: chmod 600 .env"}) {
		t.Errorf(".env: err %v, warnings %q", err, l.Warnings)
	}
	write(".env", "OTHER="+strong)
	if l, err = Load(Input{}); err != nil || len(l.Warnings) > 0 {
		t.Errorf(".env without a secret of ours: err %v, warnings %q", err, l.Warnings)
	}
}

func TestDotenv(t *testing.T) {
	entries, faults := parseDotenv("\ufeff# c\r\nA=1 # one\r\nexport B = \"two\nlines\"\nC='$X \"raw\"'\nD=${A}${A}\nE: yes\n\nGATEHOUSE_SECRET='p$ASS'\nA=2")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := []entry{
		{"A", "1", 2}, {"B", "two\nlines", 3}, {"C", `$X "raw"`, 5}, {"D", "11", 6}, {"E", "yes", 7}, {"GATEHOUSE_SECRET", "p$ASS", 9}, {"A", "2", 10},
	}
	if !slices.Equal(entries, want) {
		t.Errorf("got %+v\nwant %+v", entries, want)
	}
}

func TestWeakness(t *testing.T) {
	for secret, want := range map[string]string{
		strong:  "",
		strong2: "",
		"b3d1c5a9e7f2046881a3c5e7f9b2d4f6a8c0e1d3b5f7092846a8ce013579bdf2": "",
		"0f8fad5b-d9cb-469f-a165-70867728950e":                             "", // a random UUID
		"correct horse battery staple orbit lunar piano":                   "",
		"secret":                                       "has 6 bytes and needs at least 32",
		strings.Repeat("x", 64):                        "is the same few characters again and again",
		strings.Repeat("0123456789", 4):                "is the same few characters again and again",
		"abcdefghijklmnopqrstuvwxyz0123456789":         "follows a simple pattern",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop":   "follows a simple pattern",
		"your-super-secret-jwt-access-token-key-here":  "is made of the words of examples",
		"change_me_to_a_long_random_string_please_1":   "is made of the words of examples",
		"<replace with at least 32 random characters>": "is made of the words of examples",
		"MySuperSecretKeyForDevelopmentOnly123!":       "is made of the words of examples",
	} {
		if got := weakness([]byte(secret)); got != want {
			t.Errorf("weakness(%q) = %q, want %q", secret, got, want)
		}
	}
}

func TestDurationsAndSizes(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "30s": 30 * time.Second, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "7", "-1s", "1.5d", "7d7d", "1d-1h", "99999999d", "292471208677536h"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, d)
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 15 * time.Minute, 90 * time.Minute, time.Hour, 36 * time.Hour, 7 * 24 * time.Hour} {
		if got, err := ParseDuration(formatDuration(d)); err != nil || got != d {
			t.Errorf("%v is written %q and read as %v, %v", d, formatDuration(d), got, err)
		}
	}
	for text, want := range map[string]Size{"19MiB": 19 << 20, "64 kib": 64 << 10, "1GiB": 1 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "19", "MiB", "-1MiB", "9999999999999GiB", "1.5MiB", "19MB"} {
		if s, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %v, want an error", text, s)
		}
	}
}

func TestReportHidesSecrets(t *testing.T) {
	i := in{
		files: map[string]string{
			"gatehouse.yaml": "url: https://auth.example.com\nprevious_secret: " + strong2 + "\ntrusted_proxies: [10.0.0.7, 10.1.0.0/16]\n",
			".env":           "JWT_ACCESS_SECRET=" + strong2 + "x\nNODE_ENV=production\n",
		},
		env:   []string{"GATEHOUSE_SECRET=" + strong},
		flags: map[string]string{"listen": ":9000"},
	}
	l, err := i.load(t)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.WriteReport(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "config.txt", b.String())
	b.Reset()
	if err := l.WriteJSON(&b, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "config.json", b.String())
	if strings.Contains(b.String(), strong) || strings.Contains(b.String(), strong2) {
		t.Error("a secret is shown")
	}
}

func TestReportHidesTheDatabasePassword(t *testing.T) {
	for _, c := range []struct{ database, want string }{
		{"mongodb://ann:hunter22@a:1,b:2/app?replicaSet=rs", "mongodb://ann@a:1,b:2/app"},
		{"postgres://ann:hunter22@db/app", "postgres://ann@db/app"},
		{"postgres://db/app?user=ann&password=hunter22", "postgres://db/app"},
		{"mysql://ann:hunter22@db/app", "mysql://ann@db/app"},
		{"postgres://ann:hunter22/%zz@db/app", "[hidden]"},
		{"postgres://ann:2218/hunter22@db/app", "[hidden]"}, // it could be a port and a path
		{"postgres://ann:2218?hunter22@db/app", "[hidden]"},
	} {
		l, err := prod("GATEHOUSE_DATABASE="+c.database, "GATEHOUSE_REDIS=redis://:hunter22@cache:6379/0").load(t)
		var b strings.Builder
		_ = l.WriteReport(&b)
		if !strings.Contains(b.String(), " "+c.want+" ") || !strings.Contains(b.String(), " redis://cache:6379/0 ") {
			t.Errorf("the report lacks %s:\n%s", c.want, b.String())
		}
		faults, _ := errors.AsType[Faults](err)
		_ = l.WriteJSON(&b, faults)
		values, _ := l.inForce()
		if strings.Contains(b.String()+fmt.Sprint(err, l.Warnings, values), "hunter22") {
			t.Errorf("the password is shown:\n%s%v%v", b.String(), err, l.Warnings)
		}
	}
}

// Who has kept users in SQLite, and sets a variable of the application, is told that
// they are not used.
func TestAliasBesideAFile(t *testing.T) {
	i := in{files: map[string]string{"gatehouse.db": "x"}, env: []string{"MONGODB_URI=mongodb://127.0.0.1/app", "GATEHOUSE_DATA=."}}
	l, err := i.load(t)
	if err != nil || !strings.Contains(strings.Join(l.Warnings, " "), "gatehouse.db, which exists") {
		t.Errorf("warnings %q, %v", l.Warnings, err)
	}
}

// A connection that can be read on the way is warned about.
func TestPlaintextWarnings(t *testing.T) {
	for _, c := range []struct {
		set  string
		warn bool
	}{
		{"GATEHOUSE_DATABASE=postgres://db.example.com/app", true},
		{"GATEHOUSE_DATABASE=postgres://db.example.com/app?sslmode=verify-full", false},
		{"GATEHOUSE_DATABASE=postgres://127.0.0.1/app", false},
		{"GATEHOUSE_DATABASE=postgres:///app?host=/run/postgresql", false},
		{"GATEHOUSE_DATABASE=mongodb://db.example.com/app", true},
		{"GATEHOUSE_DATABASE=mongodb://db.example.com/app?tls=true", false},
		{"GATEHOUSE_DATABASE=mongodb+srv://db.example.com/app", false},
		{"GATEHOUSE_DATABASE=mongodb://u:p@h1.example.com:27017,h2.example.com/app?replicaSet=rs", true},
		{"GATEHOUSE_DATABASE=postgres://[2001:db8::1]:5432,[2001:db8::2]:5432/app?sslmode=require", false},
		{"GATEHOUSE_REDIS=rediss+cluster://h1.example.com:6379,h2.example.com,h3.example.com", false},
		{"GATEHOUSE_REDIS=redis://db.example.com", true},
		{"GATEHOUSE_REDIS=rediss+sentinel://db.example.com/main", false},
	} {
		l, err := prod(c.set).load(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(fmt.Sprint(l.Warnings), "without TLS"); got != c.warn {
			t.Errorf("%s: warnings %q, want one: %v", c.set, l.Warnings, c.warn)
		}
	}
}

// TestReference holds docs/settings.md to the struct.
func TestReference(t *testing.T) {
	goldenFile(t, filepath.Join(repository(t), "docs", "settings.md"), Reference())
}

// TestLimitsPage holds the defaults of docs/limits.md to those in force.
func TestLimitsPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository(t), "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	units := strings.NewReplacer(", then one every ", " then every ", ", then one a minute", " then every 1m", ", then two a second", " then every 500ms", " s ", "s ", " min ", "m ", " h ", "h ")
	var rows int
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[1], "`limit-") {
			continue
		}
		rows++
		name := strings.Trim(cells[1], "` ")
		x, ok := settingNamed(name)
		if got := strings.TrimSpace(units.Replace(cells[3])); !ok || got != x.def {
			t.Errorf("docs/limits.md says that %s is %q, and it is %q", name, got, x.def)
		}
	}
	n := 0
	for line := range strings.Lines(Reference()) {
		if strings.HasPrefix(line, "### `limit_") {
			n++
		}
	}
	if rows == 0 || rows != n {
		t.Errorf("docs/limits.md has %d limits, want %d", rows, n)
	}
}

// repository is the root of the module. Tests change the working directory, so
// it comes from where this file was compiled.
func repository(t *testing.T) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	goldenFile(t, filepath.Join(repository(t), "internal", "server", "testdata", name), got)
}

func goldenFile(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil || got != string(want) {
		t.Errorf("%s is stale (%v); run go test ./internal/server -update\n%s", name, err, got)
	}
}

func FuzzDotenv(f *testing.F) {
	for _, s := range []string{"A=1\nB=\"x\ny\"\n", "export A='b'\n#c\nA", "=", "A=$B", "A:\n\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, faults := parseDotenv(text)
		lines := strings.Count(strings.ReplaceAll(text, "\r\n", "\n"), "\n") + 1
		for _, e := range entries {
			if e.line < 1 || e.line > lines || e.name == "" {
				t.Errorf("%q: entry %+v", text, e)
			}
		}
		for _, fault := range faults {
			if err := plain(fault.Error()); err != nil && err.Error() != "must not be longer than 4096 bytes" {
				t.Errorf("%q: fault %q %v", text, fault.Error(), err)
			}
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{"a: 1\nb: [x, y]\n", "a: |\n  x\n", "{a: b}", "a: &x 1\nb: *x", "--- \n...", "? a\n: b", "a: !!str 1", "<<: *x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, faults := parseYAML("f.yaml", text)
		for _, e := range entries {
			if e.line < 1 || e.line > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
				t.Errorf("%q: entry %+v", text, e)
			}
		}
		for _, fault := range faults {
			if fault.Source.Name != "f.yaml" || fault.Text == "" {
				t.Errorf("%q: fault %q", text, fault)
			}
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, s := range table {
		f.Add(s.name, cmp.Or(s.def, "x"))
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		s, ok := settingNamed(name)
		if !ok {
			return
		}
		var all Settings
		if err := s.set(&all, text); err != nil {
			return
		}
		if shown := s.format(&all); !s.secret() && plain(shown) != nil {
			t.Errorf("%s: %q is shown as %q", name, text, shown)
		}
	})
}

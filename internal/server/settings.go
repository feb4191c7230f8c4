package server

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Settings is everything that can be set. A field named access-token-lifetime is
// the flag --access-token-lifetime, the variable GATEHOUSE_ACCESS_TOKEN_LIFETIME
// and the key access_token_lifetime of the YAML file.
//
// Tags: default is the value in force when nothing sets it and preset says it in
// words where it is worked out; min and max are inclusive bounds; choices are the
// only values; is refines the type; cost says what is given up by moving away
// from the default. A secret has no flag, because every user of a machine
// can read the arguments of its programs.
type Settings struct {
	Config string `name:"config" group:"Service" own:"true" is:"file" preset:"gatehouse.yaml in the working directory, if there is one" placeholder:"FILE" help:"YAML file with settings."`
	Mode   string `name:"mode" group:"Service" choices:"development,production" preset:"development when listening on loopback without a public URL, otherwise production" placeholder:"MODE" help:"Development forgives and warns; production refuses what is not safe to show to the world." cost:"In development mode plain http, example secrets and cheap hashing are warned about and not refused."`
	Listen string `name:"listen" group:"Service" own:"true" is:"address" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on. Port 0 takes a free one and says which."`
	URL    string `name:"url" group:"Service" is:"URL" preset:"http:// and the address of listen" placeholder:"URL" help:"Public URL: what people type into the browser, without a path. https makes the cookies Secure and sends HSTS. Required in production mode."`

	Data     string `name:"data" group:"Storage" own:"true" is:"folder" default:"gatehouse-data" placeholder:"DIR" help:"Data folder. Made with mode 0700 at first start; holds the database and the secret unless they are set otherwise."`
	Database string `name:"database" group:"Storage" own:"true" is:"database" preset:"sqlite:gatehouse.db in the data folder" placeholder:"URL" help:"Where users and sessions are kept: sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or mongodb://USER:PASSWORD@HOST/DATABASE. Instances that share it must have the same master secret."`
	Redis    string `name:"redis" group:"Storage" is:"URL" placeholder:"URL" help:"Redis or Valkey in front of the database: redis://USER:PASSWORD@HOST:6379, rediss:// with TLS, redis+sentinel:// or redis+cluster://. All instances on one database must have the same." cost:"Sessions are as durable as the persistence of Redis is; docs/redis.md says how to set it."`
	// Their addresses, if they hold a password.
	DatabaseAddressFile string `name:"database-file" group:"Storage" own:"true" is:"file" placeholder:"FILE" help:"File with the address of the database, readable by its owner alone (below /run/secrets any mode will do): for an address with a password in it."`
	RedisAddressFile    string `name:"redis-file" group:"Storage" own:"true" is:"file" placeholder:"FILE" help:"File with the address of Redis, likewise."`

	RedisUse      string `name:"redis-use" group:"Storage" choices:"all,limits" default:"all" placeholder:"WHAT" help:"What is kept in Redis: all is sessions, challenges and limits; limits is only these, which then are exact across instances."`
	RedisReplicas string `name:"redis-replicas" group:"Storage" choices:"auto,0,1,2,3" default:"auto" placeholder:"NUMBER" help:"How many replicas of Redis have a session or single-use proof before the write is acknowledged; if they do not have it within 1.5 seconds, the answer is 503. auto is 1 with Sentinel, and with a Redis or Cluster that has replicas at start; otherwise 0." cost:"A login, refresh or logout takes one or two round trips to the replica longer, and is refused while too few replicas are there. With 0, a failover loses what was acknowledged last: people are logged out, and sessions that were ended live again."`

	Secret             gatehouse.Secret `kong:"-" name:"secret" group:"Secrets" preset:"made at first start and kept in the file secret of the data folder" help:"Master secret, from which the keys of refresh tokens and of stored signing keys are derived: at least 32 bytes, for instance from openssl rand -base64 48. Whoever has it can log in as anybody; losing it logs everybody out."`
	SecretFile         string           `name:"secret-file" group:"Secrets" own:"true" is:"file" placeholder:"FILE" help:"File with the master secret, readable by its owner alone (below /run/secrets any mode will do)."`
	PreviousSecret     gatehouse.Secret `kong:"-" name:"previous-secret" group:"Secrets" help:"Master secret of before. What it protects is still accepted, so that a new master secret logs nobody out."`
	PreviousSecretFile string           `name:"previous-secret-file" group:"Secrets" own:"true" is:"file" placeholder:"FILE" help:"File with the master secret of before."`
	HS256Secret        gatehouse.Secret `kong:"-" name:"hs256-secret" group:"Secrets" help:"Secret that signs access tokens when the algorithm is HS256: at least 32 bytes, and not the master secret." cost:"Every program that can verify a token with it can also make tokens for anybody."`
	HS256SecretFile    string           `name:"hs256-secret-file" group:"Secrets" own:"true" is:"file" placeholder:"FILE" help:"File with the HS256 secret."`

	Algorithm           string        `name:"algorithm" group:"Tokens" choices:"EdDSA,ES256,HS256" default:"EdDSA" placeholder:"NAME" help:"Signature of access tokens. EdDSA and ES256 publish their keys at /.well-known/jwks.json; HS256 is for verifiers that exist already and share a secret." cost:"With HS256 every verifier can also make tokens."`
	Issuer              string        `name:"issuer" group:"Tokens" default:"gatehouse" placeholder:"NAME" help:"The iss claim of access tokens."`
	Audience            string        `name:"audience" group:"Tokens" preset:"the issuer" placeholder:"NAME" help:"The aud claim of access tokens."`
	TokenProfile        bool          `name:"token-profile" group:"Tokens" default:"false" help:"Put id and email into the access token, for verifiers that expect them." cost:"Everybody who sees a token or a cookie can read the address in it."`
	AccessTokenLifetime time.Duration `name:"access-token-lifetime" group:"Tokens" default:"15m" min:"10s" max:"1h" placeholder:"TIME" help:"How long an access token is good." cost:"A program that verifies tokens by itself goes on accepting the token of a terminated session for this long."`
	KeyRotation         time.Duration `name:"key-rotation" group:"Tokens" default:"90d" min:"1h" max:"3650d" placeholder:"TIME" help:"How long a signing key signs before the next one takes over. Old keys verify until their last token has expired."`

	InactivityTimeout    time.Duration `name:"inactivity-timeout" group:"Sessions" default:"7d" min:"1m" max:"400d" placeholder:"TIME" help:"A session that is not used for this long ends." cost:"A longer one keeps forgotten devices logged in."`
	MaximumLifetime      time.Duration `name:"maximum-lifetime" group:"Sessions" default:"30d" min:"1m" max:"400d" placeholder:"TIME" help:"A session ends after this long in any case." cost:"A longer one lets a stolen device in for longer."`
	RecentAuthentication time.Duration `name:"recent-authentication" group:"Sessions" default:"10m" min:"10s" max:"24h" placeholder:"TIME" help:"How long after logging in sensitive changes need no new proof." cost:"A longer one gives more time to whoever sits down at an unlocked device."`
	RotationGrace        time.Duration `name:"rotation-grace" group:"Sessions" default:"30s" min:"1s" max:"5m" placeholder:"TIME" help:"How long the refresh token of before is answered with the current one, for tabs that race and answers that get lost." cost:"A stolen refresh token that was just used is noticed this much later."`
	SessionsPerUser      int           `name:"sessions-per-user" group:"Sessions" default:"100" min:"1" max:"1000" placeholder:"N" help:"Live sessions that one user may have; the one that was used longest ago gives way."`

	PasswordMinLength int      `name:"password-min-length" group:"Passwords" default:"8" min:"8" max:"64" placeholder:"N" help:"Characters a new password must have."`
	ContextWords      []string `name:"context-words" group:"Passwords" sep:"none" placeholder:"WORD" help:"Words that people who know this site would guess, such as the name of the organisation. A new password that is made of these, of the name and the host of the site and of the user's own name and address is refused."`
	BreachFile        string   `name:"breach-file" group:"Passwords" own:"true" is:"file" placeholder:"FILE" help:"File of leaked passwords, made by gatehouse breach build. A new password that is in it is refused, and while it cannot be read nobody can choose one."`
	BreachRangeURL    string   `name:"breach-range-url" group:"Passwords" is:"URL" placeholder:"URL" help:"Service that is asked about every new password, such as https://api.pwnedpasswords.com/range. It learns the first 20 bits of the SHA-1 of the password and the address of this machine." cost:"Choosing a password takes as long as the service needs to answer."`
	BreachRangeAway   string   `name:"breach-range-away" group:"Passwords" choices:"refuse,accept" default:"refuse" placeholder:"ANSWER" help:"What becomes of a new password while that service does not answer: refuse says that it cannot be checked at the moment, accept takes it and warns in the log." cost:"With accept, passwords that have leaked get in while the service is away, and stay."`
	HashMemory        Size     `name:"hash-memory" group:"Passwords" default:"19MiB" min:"64KiB" max:"256MiB" placeholder:"SIZE" help:"Memory of one argon2id hash. Production mode refuses less than OWASP's least." cost:"Less makes a stolen database cheaper to crack; more lets fewer people log in at once."`
	HashTime          int      `name:"hash-time" group:"Passwords" default:"2" min:"1" max:"16" placeholder:"N" help:"Passes of one argon2id hash." cost:"Fewer make a stolen database cheaper to crack; more make each login slower."`
	HashParallelism   int      `name:"hash-parallelism" group:"Passwords" default:"1" min:"1" max:"16" placeholder:"N" help:"Lanes of one argon2id hash."`
	HashWorkers       int      `name:"hash-workers" group:"Passwords" own:"true" default:"0" min:"0" max:"256" placeholder:"N" help:"Hashes computed at the same time; 0 is one for each CPU. Each takes hash-memory."`
	HashQueue         int      `name:"hash-queue" group:"Passwords" own:"true" default:"0" min:"0" max:"10000" placeholder:"N" help:"Logins that wait for a worker before others are answered 503; 0 is 16 for each worker, and at least 64."`
	HashMemoryBudget  Size     `name:"hash-memory-budget" group:"Passwords" own:"true" preset:"hash-memory for each worker and at least 64MiB, or less if there is less" min:"64KiB" max:"64GiB" placeholder:"SIZE" help:"Memory that hashing may hold at any time; it holds it while there are logins. If it is not enough for every worker, fewer work." cost:"A stored hash from elsewhere that needs more than this cannot be verified."`

	Limits               string `name:"limits" group:"Limits" choices:"on,off,forced-off" default:"on" placeholder:"on|off" help:"Whether tries are limited. off is for measurements and refused in production mode; forced-off is taken there as well." cost:"Without limits, passwords can be guessed as fast as they can be hashed."`
	LimitLoginSource     Limit  `name:"limit-login-source" group:"Limits" default:"100 then every 10s" placeholder:"LIMIT" help:"Failed logins from one source, an IPv4 address or an IPv6 network of /64, whichever users are tried. Known devices are not counted here." cost:"A wider one lets one source try one password with more users; a narrower one refuses people behind one address together."`
	LimitLoginUserSource Limit  `name:"limit-login-user-source" group:"Limits" default:"10 then every 10m" placeholder:"LIMIT" help:"Failed logins as one user from one source."`
	LimitLoginUser       Limit  `name:"limit-login-user" group:"Limits" default:"20 then every 10h" placeholder:"LIMIT" help:"Failed logins as one user from all devices together on which that user has not logged in before. NIST SP 800-63B allows 100 in 30 days; the default is 92." cost:"A wider one lets more guesses through; a narrower one is used up sooner, and then new devices have to wait."`
	LimitLoginDevice     Limit  `name:"limit-login-device" group:"Limits" default:"10 then every 8h" placeholder:"LIMIT" help:"Failed logins as one user from one known device, before it counts as unknown."`
	LimitReauthenticate  Limit  `name:"limit-reauthenticate" group:"Limits" default:"10 then every 8h" placeholder:"LIMIT" help:"Wrong passwords in one session, where the password is asked for again."`
	LimitRegister        Limit  `name:"limit-register" group:"Limits" default:"60 then every 1m" placeholder:"LIMIT" help:"Registrations from one source, successful ones included." cost:"A wider one lets one source fill the store and use the processor; a narrower one refuses people behind one address together."`
	LimitRefresh         Limit  `name:"limit-refresh" group:"Limits" default:"120 then every 500ms" placeholder:"LIMIT" help:"Rotations of one session's refresh token."`
	LimitAccount         Limit  `name:"limit-account" group:"Limits" default:"60 then every 10s" placeholder:"LIMIT" help:"Changes of one user to what is theirs, such as the name."`

	EventRetention time.Duration `name:"event-retention" group:"Events" default:"90d" min:"1d" max:"3650d" placeholder:"TIME" help:"How long the lines of the audit log are kept. They hold network addresses."`
	EventAddresses string        `name:"event-addresses" group:"Events" choices:"full,network,none" default:"full" placeholder:"HOW" help:"How much of the network address of a client is written into the audit log: all of it, its network (24 bits of IPv4, 48 of IPv6), or none." cost:"With less, who attacked from where cannot be found out afterwards, and people see no places in their recent activity; with none, a login from a new place in the network goes unnoticed."`

	SiteName      string `name:"site-name" group:"Web" default:"Gatehouse" placeholder:"TEXT" help:"Name of the site on the pages."`
	Home          string `name:"home" group:"Web" is:"path" default:"/dashboard" placeholder:"PATH" help:"Where people go after logging in, unless they were on their way to somewhere."`
	Prefix        string `name:"prefix" group:"Web" is:"path" default:"/api/auth" placeholder:"PATH" help:"Path of the JSON operations."`
	AccessCookie  string `name:"access-cookie" group:"Web" preset:"__Host-access_token with https, access_token without" placeholder:"NAME" help:"Name of the cookie with the access token." cost:"Without the prefix __Host- a program on a sibling domain can overwrite the cookie."`
	DeviceCookie  string `name:"device-cookie" group:"Web" preset:"__Host-device with https, device without" placeholder:"NAME" help:"Name of the cookie by which a browser is known on which somebody has logged in before." cost:"Without the prefix __Host- a program on a sibling domain can overwrite the cookie."`
	RefreshCookie string `name:"refresh-cookie" group:"Web" preset:"__Host-refresh_token with https, refresh_token without" placeholder:"NAME" help:"Name of the cookie with the refresh token." cost:"Without the prefix __Host- a program on a sibling domain can overwrite the cookie."`
	Overrides     string `name:"overrides" group:"Web" own:"true" is:"folder" placeholder:"DIR" help:"Folder with templates/ and messages/ that replace the built-in ones."`

	MetricsListen   string         `name:"metrics-listen" group:"Network" own:"true" placeholder:"HOST:PORT" help:"Address on which /metrics is served for Prometheus; none by default. Keep it to those who run the service: it tells how many log in and how busy the machine is."`
	TrustedProxies  []netip.Prefix `name:"trusted-proxies" group:"Network" sep:"none" placeholder:"CIDR" help:"Addresses and networks of the reverse proxies whose X-Forwarded-For is believed." cost:"Whoever can connect from one of them can claim to be at any address."`
	HeaderTimeout   time.Duration  `name:"header-timeout" group:"Network" own:"true" default:"10s" min:"1s" max:"1m" placeholder:"TIME" help:"How long a client may take to send the header of a request."`
	ReadTimeout     time.Duration  `name:"read-timeout" group:"Network" own:"true" default:"30s" min:"1s" max:"10m" placeholder:"TIME" help:"How long a client may take to send a whole request."`
	WriteTimeout    time.Duration  `name:"write-timeout" group:"Network" own:"true" default:"60s" min:"1s" max:"10m" placeholder:"TIME" help:"How long a request may take until its answer has been sent."`
	IdleTimeout     time.Duration  `name:"idle-timeout" group:"Network" own:"true" default:"2m" min:"1s" max:"1h" placeholder:"TIME" help:"How long an unused connection is kept open."`
	ShutdownDelay   time.Duration  `name:"shutdown-delay" group:"Network" own:"true" default:"1s" min:"0s" max:"1m" placeholder:"TIME" help:"How long after the order to stop everything is still answered, while /readyz says no, so that a load balancer can look elsewhere before connections are refused." cost:"A shorter one lets requests fail that a load balancer still sends here."`
	ShutdownTimeout time.Duration  `name:"shutdown-timeout" group:"Network" own:"true" default:"20s" min:"1s" max:"10m" placeholder:"TIME" help:"How long requests that were accepted may take to finish after the order to stop."`

	Refusals  Size   `name:"refusals" group:"Logs" own:"true" default:"8MiB" min:"0KiB" max:"1GiB" placeholder:"SIZE" help:"Room for what gatehouse why shows of requests that were refused, in the file refusals.jsonl of the data folder and one of before. It holds network addresses, and neither secrets nor addresses of mailboxes. 0KiB keeps none."`
	LogLevel  string `name:"log-level" group:"Logs" own:"true" choices:"debug,info,warn,error" default:"info" placeholder:"LEVEL" help:"Least level that is logged."`
	LogFormat string `name:"log-format" group:"Logs" own:"true" choices:"auto,text,json" default:"auto" placeholder:"FORMAT" help:"Format of the log on stderr; auto is text on a terminal and JSON otherwise."`
}

// limit is a limit in the type of the core.
func (l Limit) limit() gatehouse.Limit { return gatehouse.Limit(l) }

// limits are the limits in force.
func (s *Settings) limits() gatehouse.Limits {
	return gatehouse.Limits{
		Off:         s.Limits != "on",
		LoginSource: s.LimitLoginSource.limit(), LoginUserSource: s.LimitLoginUserSource.limit(),
		LoginUser: s.LimitLoginUser.limit(), LoginDevice: s.LimitLoginDevice.limit(),
		Reauthenticate: s.LimitReauthenticate.limit(), Register: s.LimitRegister.limit(),
		Refresh: s.LimitRefresh.limit(), Account: s.LimitAccount.limit(),
	}
}

// The two modes.
const (
	Development = "development"
	Production  = "production"
)

// Production reports whether the settings are those of production mode.
func (s *Settings) Production() bool { return s.Mode == Production }

// DatabaseFile is the path of the SQLite file.
func (s *Settings) DatabaseFile() string {
	if file, ok := strings.CutPrefix(s.Database, "sqlite:"); ok {
		return file
	}
	return filepath.Join(s.Data, "gatehouse.db")
}

// KeptSecretFile is where the master secret is kept when none is set.
func (s *Settings) KeptSecretFile() string { return filepath.Join(s.Data, "secret") }

// secretPair is a secret and the setting that names a file with it.
type secretPair struct {
	name   string
	secret *gatehouse.Secret
	file   *string
}

// addressPair is an address that may hold a password, and the setting that names a
// file with it.
type addressPair struct {
	name          string
	address, file *string
}

func (s *Settings) addresses() []addressPair {
	return []addressPair{
		{"database", &s.Database, &s.DatabaseAddressFile},
		{"redis", &s.Redis, &s.RedisAddressFile},
	}
}

func (s *Settings) secrets() []secretPair {
	return []secretPair{
		{"secret", &s.Secret, &s.SecretFile},
		{"previous-secret", &s.PreviousSecret, &s.PreviousSecretFile},
		{"hs256-secret", &s.HS256Secret, &s.HS256SecretFile},
	}
}

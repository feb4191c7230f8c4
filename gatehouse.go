package gatehouse

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/internal/expiring"
	"github.com/gatehouse-auth/gatehouse/internal/hashing"
)

// Config says how users log in and how long that lasts. Store and Secret are
// required; the zero value of everything else is a good choice.
type Config struct {
	// Store keeps the records. It is not closed by [Gatehouse.Close]. If it is an
	// [Announcer], processes learn of each other's changes at once instead of
	// within a second.
	Store Store

	// Secret is the master secret, of at least 32 random bytes. Refresh tokens
	// and the sealing of the signing keys are derived from it. With another
	// secret nobody stays logged in, and the signing keys cannot be opened.
	Secret Secret
	// PreviousSecrets are accepted beside Secret and never used for anything
	// new. Remove them when MaximumLifetime has passed.
	PreviousSecrets []Secret

	// Issuer and Audience are the iss and aud of access tokens. Default
	// "gatehouse", and the issuer.
	Issuer, Audience string
	// Algorithm signs access tokens. Default EdDSA.
	Algorithm Algorithm
	// HS256Secret signs access tokens when Algorithm is HS256: at least 32
	// bytes, shared with verifiers, each of which can then make tokens too.
	HS256Secret Secret
	// TokenProfile adds id and email to access tokens, for verifiers that exist
	// already and need them. It puts personal data into a cookie. Default off.
	TokenProfile bool

	// AccessTokenLifetime is how long an access token is good, give or take
	// five percent, so that not everybody comes back at once. Default 15
	// minutes, at most an hour.
	AccessTokenLifetime time.Duration
	// RotationGrace is for how long the refresh token before the current one is
	// still answered with the current one. Default 30 seconds, at most 5
	// minutes; a thief who is that fast goes unnoticed until the next rotation.
	RotationGrace time.Duration
	// InactivityTimeout ends a session that was not refreshed. Default 7 days.
	InactivityTimeout time.Duration
	// MaximumLifetime ends a session in any case. Default 30 days.
	MaximumLifetime time.Duration
	// RecentAuthentication is how long after showing a credential a session may
	// do what is sensitive, such as ending other sessions. Default 10 minutes.
	RecentAuthentication time.Duration
	// SessionsPerUser is how many sessions a user may have at once; one more
	// ends the one seen least lately. Default 100.
	SessionsPerUser int

	// Limits says how often something may be tried. They are on by default.
	Limits Limits
	// Limiter counts the tries. Default: in the memory of this process, about 30
	// MiB at most, however many sources try.
	Limiter Limiter

	// Mailer delivers notices to users. Default none.
	Mailer Mailer
	// RevealRegistered lets Register say that an address is taken although there
	// is a Mailer. Without a Mailer it always does, since nobody could tell the
	// owner otherwise; with one, by default, the answer is the same as for an
	// address that is free, and the owner gets a notice.
	RevealRegistered bool

	// KeyRotation is the age at which a signing key is replaced. Default 90 days.
	KeyRotation time.Duration
	// PasswordMinLength is the least number of characters of a new password,
	// from 8 to 64. Default 8; NIST SP 800-63B-4 asks for 15 where a password
	// is the only factor.
	PasswordMinLength int
	// ContextWords are what people who know the site can guess: its name, its
	// host, the organisation's. A new password that is made of these and of the
	// user's own name and address is refused. Default none but the user's.
	ContextWords []string
	// BreachLists are asked about every new password, in this order. While one of
	// them cannot be asked, nobody can choose a password. Default none; a list of
	// the most common passwords is always part of the program.
	BreachLists []BreachList
	// EventRetention is for how long events are kept. Default 90 days.
	EventRetention time.Duration
	// EventAddresses is how much of the network address of a client is written
	// into events. Default AddressFull; with less, who attacked from where cannot
	// be found out afterwards.
	EventAddresses AddressDetail

	// HashMemory (KiB), HashTime (passes) and HashParallelism are the
	// parameters of argon2id for new passwords. Default 19456, 2, 1 (OWASP).
	HashMemory, HashTime, HashParallelism int
	// HashWorkers is how many passwords are hashed at once, HashQueue how many
	// may wait. Default one worker per CPU, and 16 per worker
	// but at least 64.
	HashWorkers, HashQueue int
	// HashMemoryBudget bounds, in KiB, the memory that hashing holds at any
	// time; fewer workers run if it is not enough for all. A stored hash that
	// needs more cannot be verified. Default enough for every worker, and at
	// least 64 MiB, which hashes from elsewhere often ask for.
	HashMemoryBudget int

	// Logger gets a line for each event and for what fails in the background.
	// Default slog.Default().
	Logger *slog.Logger
}

// Gatehouse decides who is who. Any number of goroutines may use it, and any
// number of processes on one store.
type Gatehouse struct {
	cfg     Config
	store   Store
	log     *slog.Logger
	hashes  *hashing.Pool
	limiter Limiter
	noticed chan struct{} // there may be a notice to send

	refreshKeys [][]byte   // for the MAC of refresh tokens, the current one first
	sealKeys    [][]byte   // for the signing keys at rest, the current one first
	deviceKeys  [][]byte   // for device tokens, the current one first
	decoyKey    []byte     // for the kinds of hash of absent users
	auditKeys   []auditKey // for the MACs of events, the current one first
	settingKeys [][]byte   // for the MACs of secrets in NoteSettings, the current one first
	keys        atomic.Pointer[keyring]
	keysRead    atomic.Int64 // when, in Unix milliseconds
	reloading   singleflight.Group

	verified  *cache.Cache[[sha256.Size]byte, *claims] // by digest of the access token
	sessions  *cache.Cache[string, read[Session]]
	users     *cache.Cache[string, read[User]]
	rotations *cache.Cache[string, rotation]

	terminated *expiring.Set // sessions that are refused without asking the store
	hints      *hints

	chain   *chain // of the events of this process
	witness witness

	inForce atomic.Pointer[inForceHere]
	differ  atomic.Pointer[[]string] // settings of others, as last compared

	counts counts
	kinds  atomic.Pointer[population] // of hashes, as last counted
	stop   context.CancelFunc
	done   sync.WaitGroup
	closed atomic.Bool
}

// New checks cfg, says everything that is wrong with it at once, loads or makes
// the signing keys, and starts the work in the background (sweeping of expired
// records, rotation of keys) that Close ends.
func New(cfg Config) (*Gatehouse, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	g := &Gatehouse{
		cfg: cfg, store: cfg.Store, log: cfg.Logger, noticed: make(chan struct{}, 1),
		verified:  cache.New[[sha256.Size]byte, *claims](20_000),
		sessions:  cache.New[string, read[Session]](20_000),
		users:     cache.New[string, read[User]](20_000),
		rotations: cache.New[string, rotation](20_000),

		terminated: expiring.NewSet(terminatedMax),
	}
	g.hints = g.newHints(cfg.Store)
	for _, s := range g.masterSecrets() {
		g.refreshKeys = append(g.refreshKeys, derive(s, "gatehouse/refresh-token/1"))
		g.sealKeys = append(g.sealKeys, derive(s, "gatehouse/seal/1"))
		g.deviceKeys = append(g.deviceKeys, derive(s, "gatehouse/device/1"))
		g.auditKeys = append(g.auditKeys, newAuditKey(s))
		g.settingKeys = append(g.settingKeys, derive(s, "gatehouse/settings/1"))
	}
	var err error
	if g.chain, err = newChain(cfg.Secret); err != nil {
		return nil, err
	}
	g.decoyKey = derive(cfg.Secret, "gatehouse/decoy/1")
	if g.limiter = cfg.Limiter; g.limiter == nil {
		g.limiter = newMemoryLimiter(&cfg.Limits, derive(cfg.Secret, "gatehouse/limits/1"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// Before anything is written.
	if err := Whole(ctx, g.store); errors.Is(err, ErrPartial) {
		return nil, err
	} else if err != nil {
		return nil, storeFault("restoration", err)
	}
	if err := SecretFits(ctx, g.store, g.masterSecrets()...); err != nil {
		return nil, err
	}
	if err := g.readyKeys(ctx, true); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if err := g.noteMaster(ctx); err != nil {
		return nil, err
	}
	if err := g.resealKeys(ctx); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if err := g.recordRestoration(ctx); err != nil {
		return nil, err
	}
	if err := g.keepLimits(ctx); err != nil {
		return nil, err
	}
	g.hashes, err = hashing.New(hashing.Config{
		Params: hashing.Params{
			Memory: uint32(cfg.HashMemory), Time: uint32(cfg.HashTime), Parallelism: uint8(cfg.HashParallelism),
		},
		Workers:      cfg.HashWorkers,
		Queue:        cfg.HashQueue,
		MemoryBudget: cfg.HashMemoryBudget,
	})
	if err != nil {
		return nil, fmt.Errorf("hashing: %w", err)
	}
	background, stop := context.WithCancel(context.Background())
	g.stop = stop
	g.done.Go(func() { g.maintain(background) })
	g.done.Go(func() { g.takeCensus(background) })
	if g.hints.announcer != nil {
		g.done.Go(func() { g.exchange(background) })
	}
	if cfg.Mailer != nil {
		g.done.Go(func() { g.deliver(background) })
	}
	return g, nil
}

// complete fills in the defaults and checks the rest.
func (c *Config) complete() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	c.Issuer = cmp.Or(c.Issuer, "gatehouse")
	c.Audience = cmp.Or(c.Audience, c.Issuer)
	c.Algorithm = cmp.Or(c.Algorithm, EdDSA)
	c.AccessTokenLifetime = cmp.Or(c.AccessTokenLifetime, 15*time.Minute)
	c.RotationGrace = cmp.Or(c.RotationGrace, 30*time.Second)
	c.InactivityTimeout = cmp.Or(c.InactivityTimeout, 7*24*time.Hour)
	c.MaximumLifetime = cmp.Or(c.MaximumLifetime, 30*24*time.Hour)
	c.RecentAuthentication = cmp.Or(c.RecentAuthentication, 10*time.Minute)
	c.SessionsPerUser = cmp.Or(c.SessionsPerUser, 100)
	c.KeyRotation = cmp.Or(c.KeyRotation, 90*24*time.Hour)
	c.PasswordMinLength = cmp.Or(c.PasswordMinLength, 8)
	c.EventRetention = cmp.Or(c.EventRetention, 90*24*time.Hour)
	c.EventAddresses = cmp.Or(c.EventAddresses, AddressFull)
	c.HashMemory = cmp.Or(c.HashMemory, 19456)
	c.HashTime = cmp.Or(c.HashTime, 2)
	c.HashParallelism = cmp.Or(c.HashParallelism, 1)
	c.Logger = cmp.Or(c.Logger, slog.Default())

	fault(c.Store == nil, "store is missing")
	for _, s := range append([]Secret{c.Secret}, c.PreviousSecrets...) {
		fault(s.Len() < 32, "a master secret has %d bytes, want at least 32", s.Len())
	}
	switch c.Algorithm {
	case EdDSA, ES256:
	case HS256: // RFC 7518, 3.2: a key of the hash's size or larger
		fault(c.HS256Secret.Len() < 32, "the HS256 secret has %d bytes, want at least 32", c.HS256Secret.Len())
	default:
		fault(true, "algorithm %q is none of EdDSA, ES256, HS256", c.Algorithm)
	}
	switch c.EventAddresses {
	case AddressFull, AddressNetwork, AddressNone:
	default:
		fault(true, "event addresses %q is none of full, network, none", c.EventAddresses)
	}
	for _, d := range []struct {
		name      string
		is        time.Duration
		low, high time.Duration
	}{
		{"access token lifetime", c.AccessTokenLifetime, 10 * time.Second, time.Hour},
		{"rotation grace", c.RotationGrace, time.Second, 5 * time.Minute},
		{"inactivity timeout", c.InactivityTimeout, time.Minute, 400 * 24 * time.Hour},
		{"maximum lifetime", c.MaximumLifetime, time.Minute, 400 * 24 * time.Hour},
		{"recent authentication", c.RecentAuthentication, 10 * time.Second, 24 * time.Hour},
		{"key rotation", c.KeyRotation, time.Hour, 10 * 365 * 24 * time.Hour},
		{"event retention", c.EventRetention, 24 * time.Hour, 100 * 365 * 24 * time.Hour},
	} {
		fault(d.is < d.low || d.is > d.high, "%s is %v, want %v to %v", d.name, d.is, d.low, d.high)
	}
	fault(c.InactivityTimeout <= c.AccessTokenLifetime, "inactivity timeout %v is not longer than the access token lifetime %v", c.InactivityTimeout, c.AccessTokenLifetime)
	fault(c.InactivityTimeout > c.MaximumLifetime, "inactivity timeout %v is longer than the maximum lifetime %v", c.InactivityTimeout, c.MaximumLifetime)
	fault(c.SessionsPerUser < 1 || c.SessionsPerUser > 1000, "sessions per user is %d, want 1 to 1000", c.SessionsPerUser)
	fault(c.PasswordMinLength < 8 || c.PasswordMinLength > 64, "password minimum length is %d, want 8 to 64", c.PasswordMinLength)
	fault(c.HashMemory < 8 || c.HashMemory > 256<<10, "hash memory is %d KiB, want 8 to %d", c.HashMemory, 256<<10)
	fault(c.HashTime < 1 || c.HashTime > 16, "hash time is %d, want 1 to 16", c.HashTime)
	fault(c.HashParallelism < 1 || c.HashParallelism > 16, "hash parallelism is %d, want 1 to 16", c.HashParallelism)
	if err := c.Limits.complete(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// derive makes the key for one purpose from a master secret (RFC 5869).
func derive(s Secret, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, s.Reveal(), nil, purpose, 32)
	if err != nil {
		panic(err) // only for a length that SHA-256 cannot give
	}
	return k
}

// Close ends the work in the background and waits for it. Passwords that are
// being hashed are finished; afterwards every method that needs one refuses. The
// chain of events of this process ends with a checkpoint: the store must still be
// open.
func (g *Gatehouse) Close() error {
	if g.closed.Swap(true) {
		return nil
	}
	g.stop()
	g.done.Wait()
	g.hashes.Close()
	g.attempt(context.Background(), "keep limits", 5*time.Second, g.keepLimits)
	g.closeChain()
	return nil
}

// Ready is nil when people can log in: the store answers and takes writes.
func (g *Gatehouse) Ready(ctx context.Context) error {
	if err := g.store.Ready(ctx); err != nil {
		return storeFault("ready", err)
	}
	return nil
}

// now is the time as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// storeFault says what an error of the store means for the caller: not now, if
// the store is away; otherwise it is a fault of ours. Callers deal with
// ErrNotFound, ErrExists and ErrStale before.
func storeFault(doing string, err error) error {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{
			Kind: Unavailable, Code: "unavailable", Text: "The service cannot answer at the moment. Try again shortly.",
			RetryAfter: 2 * time.Second, Err: fmt.Errorf("%s: %w", doing, err),
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// maxRaces bounds the loops that read, change and save again when somebody was
// faster. Each loser loses to a winner, so it is only reached when hundreds
// fight over one record.
const maxRaces = 200

// read is a record and the moment before it was read from the store. It is
// believed for a while; a change made in this process removes it at once.
type read[T any] struct {
	record *T
	at     time.Time
}

func (r read[T]) fresh() bool { return time.Since(r.at) < believed }

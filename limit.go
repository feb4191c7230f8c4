package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/limit"
)

// Limit lets something happen Burst times at once, and then once more every
// Every; what is not used is saved up to Burst (GCRA). Every is in whole
// milliseconds, from one to a year; Burst is from 1 to a million.
type Limit struct {
	Burst int
	Every time.Duration
}

// Within is how often a limit lets something happen in a time, at most.
func (l Limit) Within(d time.Duration) int {
	return l.Burst + int(d/max(l.Every, time.Millisecond))
}

// Limits says how often something may be tried. What succeeds is given back, so
// that only failures count, except where it says otherwise. The zero value of
// each is its default.
//
// A source is an IPv4 address or an IPv6 network of /64, which is what one
// customer of a provider has. A device is a browser that has logged in as this
// user before and shows its device cookie: it has a lane of its own, and so a
// user whose other lanes strangers have used up still gets in from there (OWASP,
// Device Cookies). When that lane is used up, the device is a stranger as well.
type Limits struct {
	// Off switches all of them off: for measurements, and for nothing else.
	Off bool

	// LoginSource is for strangers of one source, whichever users they try.
	// Default 100 at once and one every 10 seconds.
	LoginSource Limit
	// LoginUserSource is for one user, tried by strangers of one source. Default
	// 10 at once and one every 10 minutes.
	LoginUserSource Limit
	// LoginUser is for one user, tried by strangers from anywhere. Default 20 at
	// once and one every 10 hours: 92 in 30 days, of the 100 that NIST SP
	// 800-63B-4, 3.2.2, allows.
	LoginUser Limit
	// LoginDevice is for one user, tried from one known device. Default 10 at
	// once and one every 8 hours.
	LoginDevice Limit
	// Reauthenticate is for showing the password again in one session. Default 10
	// at once and one every 8 hours.
	Reauthenticate Limit
	// Register is for registrations from one source; those that succeed count as
	// well. Default 60 at once and one a minute.
	Register Limit
	// Refresh is for rotations of one session, all of which count. Default 120 at
	// once and two a second.
	Refresh Limit
	// Account is for changes that a user makes, all of which count. Default 60 at
	// once and one every 10 seconds.
	Account Limit
	// Notice is for notices of one kind to one user, all of which count. Default
	// 3 at once and one every 8 hours.
	Notice Limit
}

// lanes are all limits by the name that settings, events and answers give them.
func (l *Limits) lanes() []lane {
	return []lane{
		{laneLoginSource, &l.LoginSource, Limit{100, 10 * time.Second}, 1 << 18},
		{laneLoginUserSource, &l.LoginUserSource, Limit{10, 10 * time.Minute}, 1 << 18},
		{laneLoginUser, &l.LoginUser, Limit{20, 10 * time.Hour}, 1 << 20},
		{laneLoginDevice, &l.LoginDevice, Limit{10, 8 * time.Hour}, 1 << 16},
		{laneReauthenticate, &l.Reauthenticate, Limit{10, 8 * time.Hour}, 1 << 16},
		{laneRegister, &l.Register, Limit{60, time.Minute}, 1 << 17},
		{laneRefresh, &l.Refresh, Limit{120, 500 * time.Millisecond}, 1 << 16},
		{laneAccount, &l.Account, Limit{60, 10 * time.Second}, 1 << 16},
		{laneNotice, &l.Notice, Limit{3, 8 * time.Hour}, 1 << 16},
	}
}

type lane struct {
	name  string
	limit *Limit
	usual Limit
	size  int // keys that are remembered, at 16 bytes each
}

// The lanes. Each has a limit and counts its keys apart from those of others.
const (
	laneLoginSource     = "login-source"
	laneLoginUserSource = "login-user-source"
	laneLoginUser       = "login-user"
	laneLoginDevice     = "login-device"
	laneReauthenticate  = "reauthenticate"
	laneRegister        = "register"
	laneRefresh         = "refresh"
	laneAccount         = "account"
	laneNotice          = "notice"
)

// complete fills in the defaults and checks the rest.
func (l *Limits) complete() error {
	var faults []error
	for _, x := range l.lanes() {
		if *x.limit == (Limit{}) {
			*x.limit = x.usual
		}
		if err := limit.Rate(*x.limit).Check(); err != nil {
			faults = append(faults, fmt.Errorf("limit %s is %w", x.name, err))
		}
	}
	return errors.Join(faults...)
}

// Limiter counts tries. The one in memory that New makes counts those of one
// process; others share their counters between processes.
type Limiter interface {
	// Take books one try of each claim, or none of them if one is refused, and
	// answers with what became of each, up to the one that was refused. A try is
	// booked when Take returns, whatever becomes of it.
	Take(ctx context.Context, claims []Claim) ([]Booking, error)
	// Give takes back one try of each claim.
	Give(ctx context.Context, claims []Claim) error
}

// Claim is a wish to try something once.
type Claim struct {
	Lane  string // which limit
	Key   string // whose
	Limit Limit
}

// Booking is what became of a claim.
type Booking struct {
	Allowed    bool
	Remaining  int           // how many more could follow at once
	RetryAfter time.Duration // when the next is allowed; zero if it is now
	ResetAfter time.Duration // when the whole Burst is allowed again
	First      bool          // the first refusal since one was allowed
}

// pass is what was booked for a try.
type pass struct {
	g      *Gatehouse
	claims []Claim
}

// book books a try of an act in each of the lanes, before any work is done on it.
// If one of them is used up it is Limited. That a lane has begun to refuse is
// recorded once, until it lets somebody through again: who tries in vain must not
// be able to fill the log. whom says which user the act is about, for the record
// alone; it may be nil.
func (g *Gatehouse) book(ctx context.Context, act string, whom func() (string, error), claims ...Claim) (*pass, error) {
	if g.cfg.Limits.Off || len(claims) == 0 {
		return &pass{}, nil
	}
	bookings, err := g.limiter.Take(ctx, claims)
	if err != nil {
		return nil, storeFault("limits", err)
	}
	last := len(bookings) - 1
	trace := clientOf(ctx).Trace
	c, b := claims[last], bookings[last]
	if b.Allowed {
		trace.bound(claims[0], bookings[0]) // those of a user would tell how many others tried
		return &pass{g, claims}, nil
	}
	g.counts.limit(c.Lane)
	trace.bound(c, b)
	trace.Note("limit "+c.Lane, "refused: %d at once and one every %v are used up; the next in %v, all in %v",
		c.Limit.Burst, c.Limit.Every, b.RetryAfter, b.ResetAfter)
	if b.First {
		g.warnOfShared(ctx, c)
		e := Event{Kind: EventLimited, Outcome: errTooManyAttempts.Code, Data: map[string]string{"act": act, "lane": c.Lane}}
		if whom != nil {
			if e.UserID, err = whom(); err != nil {
				return nil, err
			}
		}
		if err := g.record(ctx, e)(); err != nil {
			return nil, err
		}
	}
	refusal := *errTooManyAttempts
	refusal.RetryAfter = b.RetryAfter
	return nil, &refusal
}

// warnOfShared tells the operator that a source which ran into its limit looks
// like a reverse proxy: then everybody behind it is one source.
func (g *Gatehouse) warnOfShared(ctx context.Context, c Claim) {
	if c.Lane != laneLoginSource && c.Lane != laneRegister {
		return
	}
	a, err := netip.ParseAddr(clientOf(ctx).Address)
	if err == nil && !a.IsPrivate() && !a.IsLoopback() {
		return
	}
	clientOf(ctx).Trace.Note("client", "has an address of a private network, or none: if that is a reverse proxy, it must be trusted and send X-Forwarded-For, or all of its clients are limited together")
	g.log.LogAttrs(ctx, slog.LevelWarn, "an address of a private network has used up a limit; if it is a reverse proxy, let it send X-Forwarded-For and name it in the trusted proxies",
		slog.String("address", clientOf(ctx).Address), slog.String("lane", c.Lane))
}

// NoteUntrustedProxy records that requests come through a reverse proxy which was
// not named as one: until it is, all of its clients count as one source.
func (g *Gatehouse) NoteUntrustedProxy(ctx context.Context, address string) error {
	return g.record(ctx, Event{Kind: EventUntrustedProxy, Data: map[string]string{"proxy": address}})()
}

// bookLogin books a try to log in as the user with this address: in the lane of
// the device if it knows the user, and in those of strangers otherwise, or when
// that one is used up. known says which it was.
func (g *Gatehouse) bookLogin(ctx context.Context, emailKey string, d device) (p *pass, known bool, err error) {
	whom := func() (string, error) {
		u, err := g.store.UserByEmail(ctx, emailKey)
		if errors.Is(err, ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", storeFault("user by email", err)
		}
		return u.ID, nil
	}
	l := &g.cfg.Limits
	if g.knows(d, emailKey) {
		p, err := g.book(ctx, EventLogin, whom, Claim{laneLoginDevice, string(d.id[:]) + emailKey, l.LoginDevice})
		if !errors.Is(err, Limited) {
			return p, true, err
		}
	}
	// One source cannot use up what is for all by itself, and who is refused for
	// one user is not for others: the narrow lanes refuse before the wide ones
	// are booked, since a refusal books nothing.
	claims := append(bySource(ctx, laneLoginSource, l.LoginSource, ""), bySource(ctx, laneLoginUserSource, l.LoginUserSource, " "+emailKey)...)
	p, err = g.book(ctx, EventLogin, whom, append(claims, Claim{laneLoginUser, emailKey, l.LoginUser})...)
	return p, false, err
}

// bookChange books a change that a user makes to what is theirs.
func (g *Gatehouse) bookChange(ctx context.Context, act, userID string) error {
	if _, ok := ctx.Value(clientKey{}).(Client); !ok || clientOf(ctx).Actor != "" {
		return nil // a program, or an operator
	}
	_, err := g.book(ctx, act, func() (string, error) { return userID, nil }, Claim{laneAccount, userID, g.cfg.Limits.Account})
	return err
}

// settle gives the try back if it told nothing about the secret that was tried:
// because it was right, or because of a fault of ours.
func (p *pass) settle(ctx context.Context, err error) {
	if err == nil || errors.Is(err, Unavailable) {
		p.giveBack(ctx)
		return
	}
	if m, ok := p.limiter().(*memoryLimiter); ok {
		m.settle(p.claims)
	}
}

func (p *pass) limiter() Limiter {
	if p.g == nil {
		return nil
	}
	return p.g.limiter
}

// giveBack is for a try that succeeded, or for which nothing was done.
func (p *pass) giveBack(ctx context.Context) {
	if p.g == nil {
		return
	}
	// A client that hangs up keeps what is due to it. If it cannot be given back,
	// one try too many is on the books, and it wears off.
	_ = p.g.limiter.Give(context.WithoutCancel(ctx), p.claims)
	p.g = nil
}

// source is what the tries of strangers are counted by: the IPv4 address, or the
// IPv6 network of /64. Requests without an address share one.
func source(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // never fails for an IPv6 address
	return p.String()
}

// bySource is the claim of the client's source. Who is called without a client,
// by a program about its own users, has none.
func bySource(ctx context.Context, lane string, l Limit, key string) []Claim {
	c, ok := ctx.Value(clientKey{}).(Client)
	if !ok {
		return nil
	}
	return []Claim{{lane, source(c.Address) + key, l}}
}

var errTooManyAttempts = &Error{Kind: Limited, Code: "too_many_attempts", Text: "Too many attempts. Try again later."}

package redis

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/limit"
)

// atTimes is the limiter with a clock that the test sets: the last of ARGV. Its keys
// do not expire by the clock of Redis.
func atTimes(t *testing.T, c *Client) *limiter {
	clock := "local now = tonumber(table.remove(ARGV))\n"
	rates := strings.Replace(limitRates, ", 'PX', string.format('%.0f', used)", "", 1)
	if rates == limitRates {
		t.Fatal("the script has changed: what it says of expiry is not found")
	}
	return &limiter{c, newScript(clock + rates + limitTake), newScript(clock + rates + limitGive)}
}

// clocked sends a limiter's command at a time.
func clocked(t *rapid.T, l *limiter, s *script, claims []gatehouse.Claim, now int64) []answer {
	c := l.command(s, claims)
	c.args = append(c.args, fmt.Sprint(now))
	a, err := l.c.one(t.Context(), "test", c)
	if err != nil {
		t.Fatal(err)
	}
	return a.list
}

// The same sequence gives the same answers as the limiter in memory does, whose
// tables are the model: any claims, booked together or not at all, given back,
// refused. Time does not go back here: see TestLimiterWhenClockIsSetBack.
func TestLimiterAgainstModel(t *testing.T) {
	timed := atTimes(t, open(t, shared.URL(), Options{}))
	rapid.Check(t, func(t *rapid.T) {
		c := *timed.c
		c.options.Prefix = prefix()
		l := &limiter{&c, timed.take, timed.give}
		lanes := map[string]*limit.Table{}
		limits := map[string]gatehouse.Limit{}
		for _, lane := range []string{"a", "b", "c"} {
			lanes[lane] = limit.NewTable(1024, nil)
			every := rapid.OneOf(rapid.Int64Range(1, 5000), rapid.Int64Range(1, 366*24*3600*1000)).Draw(t, "every")
			limits[lane] = gatehouse.Limit{Burst: rapid.IntRange(1, 20).Draw(t, "burst"), Every: time.Duration(every) * time.Millisecond}
		}
		claim := rapid.Custom(func(t *rapid.T) gatehouse.Claim {
			lane := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "lane")
			return gatehouse.Claim{Lane: lane, Key: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key"), Limit: limits[lane]}
		})
		now := int64(1_700_000_000_000)
		t.Repeat(map[string]func(*rapid.T){
			"pass": func(t *rapid.T) {
				unit := limits[rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "unit")].Every.Milliseconds()
				now += rapid.Int64Range(0, 3*unit).Draw(t, "time")
			},
			"take": func(t *rapid.T) {
				claims := rapid.SliceOfN(claim, 1, 4).Draw(t, "claims")
				var want []limit.Result
				for i, x := range claims {
					res := lanes[x.Lane].Take(x.Key, limit.Rate(x.Limit), now)
					want = append(want, res)
					if !res.Allowed {
						for _, x := range claims[:i] {
							lanes[x.Lane].Give(x.Key, limit.Rate(x.Limit), now)
						}
						break
					}
				}
				list := clocked(t, l, l.take, claims, now)
				if len(list) != 5*len(want) {
					t.Fatalf("%d numbers for %d bookings", len(list), len(want))
				}
				for i, w := range want {
					b := list[5*i:]
					got := limit.Result{
						Allowed: b[0].number == 1, Remaining: int(b[1].number), RetryAfter: time.Duration(b[2].number) * time.Millisecond,
						ResetAfter: time.Duration(b[3].number) * time.Millisecond, First: b[4].number == 1,
					}
					if got != w {
						t.Fatalf("claim %d of %+v at %d:\n got %+v\nwant %+v", i, claims, now, got, w)
					}
				}
			},
			"give": func(t *rapid.T) {
				claims := rapid.SliceOfN(claim, 1, 3).Draw(t, "claims")
				for _, x := range claims {
					lanes[x.Lane].Give(x.Key, limit.Rate(x.Limit), now)
				}
				clocked(t, l, l.give, claims, now)
			},
		})
	})
}

// Of any number of callers on any number of clients a burst is allowed, and not one
// more; all but one of the refusals are not the first.
func TestLimiterIsExact(t *testing.T) {
	o := Options{Prefix: prefix()}
	var limiters []gatehouse.Limiter
	for range 4 {
		limiters = append(limiters, open(t, shared.URL(), o).Limiter())
	}
	claims := []gatehouse.Claim{
		{Lane: "wide", Key: "k", Limit: gatehouse.Limit{Burst: 1000, Every: time.Hour}},
		{Lane: "narrow", Key: "k", Limit: gatehouse.Limit{Burst: 50, Every: time.Hour}},
	}
	var allowed, first atomic.Int64
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			for range 50 {
				b, err := limiters[n%4].Take(t.Context(), claims)
				if err != nil {
					t.Error(err)
					return
				}
				if last := b[len(b)-1]; last.Allowed {
					allowed.Add(1)
				} else if last.First {
					first.Add(1)
				}
			}
		})
	}
	all.Wait()
	if allowed.Load() != 50 || first.Load() != 1 {
		t.Errorf("%d allowed and %d first refusals, want 50 and 1", allowed.Load(), first.Load())
	}
	b, err := limiters[0].Take(t.Context(), claims[:1])
	if err != nil || b[0].Remaining != 1000-51 {
		t.Errorf("remaining in the wide lane: %+v, %v, want what the narrow one let through", b, err)
	}
	for range 51 {
		if err := limiters[1].Give(t.Context(), claims[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if b, err = limiters[2].Take(t.Context(), claims[:1]); err != nil || b[0].Remaining != 999 {
		t.Errorf("after all were given back: %+v, %v", b, err)
	}
}

// When the clock of Redis is set back, or that of the replica which took over is
// behind, nobody gets another burst, and nobody is kept out.
func TestLimiterWhenClockIsSetBack(t *testing.T) {
	c := open(t, shared.URL(), Options{Prefix: prefix()})
	l := c.Limiter()
	claim := []gatehouse.Claim{{Lane: "a", Key: "k", Limit: gatehouse.Limit{Burst: 5, Every: time.Hour}}}
	take := func() gatehouse.Booking {
		t.Helper()
		b, err := l.Take(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		return b[0]
	}
	for range 4 {
		take()
	}
	// As if it had been ten hours later until now.
	script := newScript(`
local function later(text) return string.format('%.0f', tonumber(text) + 36000000) end
local last, ahead = string.match(redis.call('GET', KEYS[1]), '^(%d+) (%d+)$')
redis.call('SET', KEYS[1], later(last) .. ' ' .. ahead)
local till, told = string.match(redis.call('GET', KEYS[2]), '^(%d+) (%d)$')
redis.call('SET', KEYS[2], later(till) .. ' ' .. told, 'KEEPTTL')
return 1`)
	if _, err := c.one(t.Context(), "test", command{script: script, keys: l.(*limiter).command(takeLimits, claim).keys}); err != nil {
		t.Fatal(err)
	}
	if b := take(); !b.Allowed || b.Remaining != 0 {
		t.Errorf("after the clock was set back: %+v, want the fifth of five", b)
	}
	if b := take(); b.Allowed || b.RetryAfter > time.Hour || b.RetryAfter < 59*time.Minute {
		t.Errorf("after the clock was set back: %+v, want a refusal for an hour", b)
	}

	// From there on time goes on: what was booked wears off while more is booked.
	claim = []gatehouse.Claim{{Lane: "b", Key: "k", Limit: gatehouse.Limit{Burst: 1000, Every: 100 * time.Millisecond}}}
	for range 20 {
		take()
	}
	booked, moves := take().ResetAfter, false
	for n := 0; n < 500 && !moves; n++ {
		next := take().ResetAfter
		moves = next < booked+100*time.Millisecond
		booked = next
	}
	if !moves {
		t.Error("time stands still")
	}
}

// Nothing of what is counted can be read in Redis, and nothing is kept for longer
// than it is booked.
func TestLimiterKeepsNoAddress(t *testing.T) {
	o := Options{Prefix: prefix()}
	l := open(t, shared.URL(), o).Limiter()
	claim := []gatehouse.Claim{{Lane: "login-user", Key: "ann@example.com", Limit: gatehouse.Limit{Burst: 5, Every: time.Minute}}}
	if _, err := l.Take(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	keys, err := shared.Do("KEYS", o.Prefix+":{limits}:login-user:*")
	if err != nil || keys == "" || strings.Contains(keys, "ann") {
		t.Fatalf("keys: %q, %v, want one that says nothing", keys, err)
	}
	if ttl, err := shared.Do("TTL", keys); err != nil || ttl != "60" && ttl != "59" {
		t.Errorf("TTL = %s, %v, want the minute that is booked", ttl, err)
	}
	other := open(t, shared.URL(), Options{Prefix: o.Prefix, Key: gatehouse.NewSecret([]byte(strings.Repeat("x", 32)))})
	if b, err := other.Limiter().Take(t.Context(), claim); err != nil || b[0].Remaining != 4 {
		t.Errorf("with another key: %+v, %v, want another counter", b, err)
	}
	if err := l.Give(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if n, err := shared.Do("EXISTS", keys); err != nil || n != "0" {
		t.Errorf("EXISTS = %s, %v after it was given back", n, err)
	}
}

func TestLimiterWithoutRedis(t *testing.T) {
	c := open(t, shared.URL(), Options{Prefix: prefix()})
	c.wire = away{}
	claim := []gatehouse.Claim{{Lane: "a", Key: "k", Limit: gatehouse.Limit{Burst: 5, Every: time.Hour}}}
	if b, err := c.Limiter().Take(t.Context(), claim); !errors.Is(err, gatehouse.ErrUnavailable) || len(b) > 0 {
		t.Errorf("Take without Redis: %+v, %v, want ErrUnavailable", b, err)
	}
	if err := c.Limiter().Give(t.Context(), claim); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("Give without Redis: %v, want ErrUnavailable", err)
	}
}

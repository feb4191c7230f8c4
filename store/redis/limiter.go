package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// limitClock says what time it is, in milliseconds. There is one clock for all
// processes, that of Redis, and it never goes back: when it was set back, or when a
// replica whose clock is behind has taken over, the difference is added from then
// on. So nobody gets a second burst by it, and nobody is kept out for longer. When
// it is set ahead, time has passed, as it has for whatever expires in Redis.
//
// KEYS[1] keeps the last time that was told, give or take a second, and the
// difference.
const limitClock = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last, ahead = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
last, ahead = tonumber(last or 0), tonumber(ahead or 0)
now = now + ahead
if now < last then
  ahead = ahead + last - now
  now = last
end
if now >= last + 1000 or now == last then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, ahead))
end`

// limitRates is the arithmetic of package limit, to the letter: of each key the
// time until which all that was booked wears off, and whether a refusal was told.
// What has worn off is forgotten, which is the same to a clock that never goes back.
// Numbers in Lua are exact up to 2^53 milliseconds, which is far beyond the windows
// that are in use.
//
// KEYS[2…] are what is counted; ARGV[2n-1] and ARGV[2n] the every and the window of
// KEYS[n+1].
const limitRates = `
local function rate(i) return tonumber(ARGV[2 * i - 3]), tonumber(ARGV[2 * i - 2]) end
local function booked(i)
  local known = redis.call('GET', KEYS[i])
  local till, told = string.match(known or '', '^(%d+) (%d)$')
  return tonumber(till or 0), told == '1', known
end
local function keep(i, used, told)
  if used <= 0 then
    redis.call('DEL', KEYS[i])
  else
    redis.call('SET', KEYS[i], string.format('%.0f %d', now + used, told and 1 or 0), 'PX', string.format('%.0f', used))
  end
end
local function give(i)
  local every, window = rate(i)
  local till, _, known = booked(i)
  if known then keep(i, math.max(math.min(math.max(till - now, 0), window) - every, 0), false) end
end`

var (
	takeLimits = newScript(limitClock + limitRates + limitTake)
	giveLimits = newScript(limitClock + limitRates + limitGive)
)

// limitTake books one try of each key, or of none. It answers with five numbers for
// each up to the one that is refused: whether it is allowed, how many remain, when to
// try again, when all is reset, and whether it is the first refusal.
const limitTake = `
local bookings = {}
for i = 2, #KEYS do
  local every, window = rate(i)
  local till, told = booked(i)
  local used = math.min(math.max(till - now, 0), window)
  local allowed = used + every <= window
  if allowed then used = used + every end
  keep(i, used, not allowed)
  local free = window - used
  local remaining = math.floor(free / every)
  local retry = 0
  if remaining == 0 then retry = every - free end
  for _, n in ipairs({allowed and 1 or 0, remaining, retry, used, (not allowed and not told) and 1 or 0}) do
    bookings[#bookings + 1] = n
  end
  if not allowed then
    for j = 2, i - 1 do give(j) end
    break
  end
end
return bookings`

const limitGive = `
for i = 2, #KEYS do give(i) end
return 1`

// Limiter counts tries in Redis: exactly, for all processes that use it. When Redis
// is away nothing is allowed: Take answers [gatehouse.ErrUnavailable].
//
// What is counted lies there as a keyed digest, for as long as something is booked,
// and everything in one slot of a Cluster: claims are booked together or not at all.
func (c *Client) Limiter() gatehouse.Limiter {
	return &limiter{c, takeLimits, giveLimits}
}

type limiter struct {
	c          *Client
	take, give *script
}

// Take implements [gatehouse.Limiter] in one round trip.
func (l *limiter) Take(ctx context.Context, claims []gatehouse.Claim) ([]gatehouse.Booking, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	a, err := l.c.one(ctx, "book", l.command(l.take, claims))
	if err != nil {
		return nil, err
	}
	n := len(a.list) / 5
	if n == 0 || n > len(claims) {
		return nil, fmt.Errorf("redis: book: %d answers for %d claims", n, len(claims))
	}
	bookings := make([]gatehouse.Booking, n)
	for i := range bookings {
		b := a.list[5*i:]
		bookings[i] = gatehouse.Booking{
			Allowed: b[0].number == 1, Remaining: int(b[1].number),
			RetryAfter: time.Duration(b[2].number) * time.Millisecond,
			ResetAfter: time.Duration(b[3].number) * time.Millisecond,
			First:      b[4].number == 1,
		}
	}
	return bookings, nil
}

// Give implements [gatehouse.Limiter].
func (l *limiter) Give(ctx context.Context, claims []gatehouse.Claim) error {
	if len(claims) == 0 {
		return nil
	}
	_, err := l.c.one(ctx, "give back", l.command(l.give, claims))
	return err
}

func (l *limiter) command(s *script, claims []gatehouse.Claim) command {
	c := command{script: s, keys: []string{l.c.limitKey("clock")}}
	for _, claim := range claims {
		every := max(1, claim.Limit.Every.Milliseconds())
		c.keys = append(c.keys, l.c.limitKey(claim.Lane+":"+l.c.hidden(claim.Lane, claim.Key)))
		c.args = append(c.args, strconv.FormatInt(every, 10), strconv.FormatInt(int64(claim.Limit.Burst)*every, 10))
	}
	return c
}

func (c *Client) limitKey(name string) string { return c.options.Prefix + ":{limits}:" + name }

// hidden is whose tries are counted, so that nobody who sees it can tell who it is,
// even by guessing addresses.
func (c *Client) hidden(lane, key string) string {
	h := hmac.New(sha256.New, c.hide)
	_, _ = h.Write([]byte(lane + "\x00" + key)) // never fails
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

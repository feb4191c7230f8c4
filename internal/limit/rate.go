// Package limit counts how often something was tried, and says when it was too
// often. It is the generic cell rate algorithm (GCRA): of each key one number is
// kept, the time at which all that was booked will have worn off. A [Table] keeps
// these numbers for any number of keys in memory that does not grow.
package limit

import (
	"fmt"
	"time"
)

// Rate lets Burst through at once, and then one more every Every. What was not
// used is saved up to Burst.
type Rate struct {
	Burst int
	Every time.Duration // whole milliseconds
}

// Window is how long it takes until everything that can be booked has worn off.
func (r Rate) Window() time.Duration { return time.Duration(r.window()) * time.Millisecond }

func (r Rate) window() int64 { return int64(r.Burst) * r.every() }

func (r Rate) every() int64 { return max(1, r.Every.Milliseconds()) }

// Check is nil if r can be used: the Burst from 1 to a million, Every from a
// millisecond to a year.
func (r Rate) Check() error {
	if r.Burst < 1 || r.Burst > 1_000_000 || r.Every < time.Millisecond || r.Every > 366*24*time.Hour {
		return fmt.Errorf("%d at once and then one every %v, want 1 to 1000000 and 1ms to 366 days", r.Burst, r.Every)
	}
	return nil
}

// Result is what became of a try.
type Result struct {
	// Allowed says that the try was booked.
	Allowed bool
	// Remaining is how many more could follow at once.
	Remaining int
	// RetryAfter is when the next one will be allowed; zero if it is now.
	RetryAfter time.Duration
	// ResetAfter is when the whole Burst will be allowed again.
	ResetAfter time.Duration
	// First says that it is the first refusal since a try was allowed: whoever
	// writes refusals down writes down this one.
	First bool
}

// take books one try at now, all times in milliseconds. until is when all that
// was booked before will have worn off. Other keepers of these numbers, such as a
// script in Redis, compute the same.
//
// A clock that was set back does not keep anybody out for longer than the window:
// what lies further ahead was booked by the clock of before.
func (r Rate) take(until, now int64) (next int64, res Result) {
	used := min(max(until-now, 0), r.window())
	if used+r.every() <= r.window() {
		used += r.every()
		res.Allowed = true
	}
	return now + used, r.describe(used, res)
}

// give takes one booking back.
func (r Rate) give(until, now int64) int64 {
	return now + max(min(max(until-now, 0), r.window())-r.every(), 0)
}

func (r Rate) describe(used int64, res Result) Result {
	free := r.window() - used
	res.Remaining = int(free / r.every())
	if res.Remaining == 0 {
		res.RetryAfter = time.Duration(r.every()-free) * time.Millisecond
	}
	res.ResetAfter = time.Duration(used) * time.Millisecond
	return res
}

package limit

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var perMinute = Rate{Burst: 5, Every: time.Minute}

const minute = int64(time.Minute / time.Millisecond)

func TestRate(t *testing.T) {
	until, now := int64(0), int64(1_000_000)
	for i := range 5 {
		next, res := perMinute.take(until, now)
		if !res.Allowed || res.Remaining != 4-i {
			t.Fatalf("try %d: %+v, want it allowed and %d remaining", i+1, res, 4-i)
		}
		until = next
	}
	if _, res := perMinute.take(until, now); res.Allowed || res.RetryAfter != time.Minute || res.ResetAfter != 5*time.Minute {
		t.Errorf("the sixth at once: %+v, want a refusal for a minute, and five until the reset", res)
	}
	next, res := perMinute.take(until, now+minute-1)
	if res.Allowed || res.RetryAfter != time.Millisecond {
		t.Errorf("a millisecond before the minute: %+v", res)
	}
	if next, res = perMinute.take(next, now+minute); !res.Allowed || res.Remaining != 0 || res.RetryAfter != time.Minute {
		t.Errorf("after a minute: %+v, want one allowed and the next in a minute", res)
	}
	if _, res = perMinute.take(perMinute.give(next, now+minute), now+minute); !res.Allowed {
		t.Errorf("after one was given back: %+v, want it allowed", res)
	}
}

// A model that keeps every booking by itself: it leaks one each Every.
func TestRateAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{Burst: rapid.IntRange(1, 20).Draw(t, "burst"), Every: time.Duration(rapid.IntRange(1, 5000).Draw(t, "every")) * time.Millisecond}
		var until int64
		var level float64 // of a bucket that leaks
		now := int64(1_700_000_000_000)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			passed := rapid.Int64Range(0, 3*r.every()).Draw(t, "passed")
			now += passed
			level = max(0, level-float64(passed)/float64(r.every()))
			if rapid.IntRange(0, 9).Draw(t, "act") == 0 {
				until = r.give(until, now)
				level = max(0, level-1)
				continue
			}
			next, res := r.take(until, now)
			until = next
			want := level+1 <= float64(r.Burst)+1e-9
			if res.Allowed != want {
				t.Fatalf("allowed = %v with %.4f of %d booked", res.Allowed, level, r.Burst)
			}
			if want {
				level++
			}
			if left := int(float64(r.Burst) - level + 1e-9); res.Remaining != left {
				t.Fatalf("remaining = %d, want %d", res.Remaining, left)
			}
			if _, again := r.take(until, now+res.RetryAfter.Milliseconds()); !again.Allowed {
				t.Fatalf("refused after the RetryAfter of %v", res.RetryAfter)
			}
			if res.RetryAfter > 0 {
				if _, again := r.take(until, now+res.RetryAfter.Milliseconds()-1); again.Allowed {
					t.Fatalf("allowed a millisecond before RetryAfter, %v", res.RetryAfter)
				}
			}
		}
	})
}

// However the clock is set, nobody is kept out for longer than the window, and
// nobody gets more than a burst.
func TestClockIsSet(t *testing.T) {
	for _, jump := range []time.Duration{-30 * 24 * time.Hour, -time.Hour, -time.Millisecond, time.Hour, 30 * 24 * time.Hour} {
		table := NewTable(1, []byte("secret"))
		now := int64(1_700_000_000_000)
		for range 10 {
			table.Take("key", perMinute, now)
		}
		now += jump.Milliseconds()
		allowed := 0
		for range 10 {
			if table.Take("key", perMinute, now).Allowed {
				allowed++
			}
		}
		if allowed > 5 {
			t.Errorf("%v: %d allowed at once", jump, allowed)
		}
		now += perMinute.window()
		if !table.Take("key", perMinute, now).Allowed {
			t.Errorf("%v: still shut after the window", jump)
		}
	}
}

func TestFirstRefusalIsTold(t *testing.T) {
	table := NewTable(1, nil)
	first := 0
	for range 100 {
		if table.Take("key", perMinute, 0).First {
			first++
		}
	}
	if first != 1 {
		t.Errorf("told %d times that it began to refuse, want once", first)
	}
	table.Take("key", perMinute, minute)
	if res := table.Take("key", perMinute, minute); !res.First {
		t.Errorf("the first refusal after one was allowed: %+v", res)
	}
}

// Of any number of callers at once a burst is allowed, and not one more.
func TestRace(t *testing.T) {
	table := NewTable(1, nil)
	var mu sync.Mutex
	var all sync.WaitGroup
	allowed := 0
	for range 16 {
		all.Go(func() {
			for range 100 {
				if table.Take("key", Rate{Burst: 50, Every: time.Hour}, 0).Allowed {
					mu.Lock()
					allowed++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if allowed != 50 {
		t.Errorf("%d allowed, want 50", allowed)
	}
}

// With four times as many keys as there are places, which push one another out
// all the time, no key is let through more often than its rate.
func TestFullTableNeverOpens(t *testing.T) {
	table := NewTable(1, []byte("secret"))
	r := Rate{Burst: 3, Every: time.Minute}
	booked := map[int]int{}
	for round := range 100 { // a tenth of a second each
		for key := range 4 * page * ways {
			if table.Take(fmt.Sprint(key), r, int64(round*100)).Allowed {
				booked[key]++
			}
		}
	}
	for key, n := range booked {
		if n > r.Burst {
			t.Errorf("key %d was let through %d times in ten seconds, want at most %d", key, n, r.Burst)
		}
	}
}

// Somebody who was shut out stays so while a million others try; and when they
// have worn off, the memory is given back.
func TestMillionSources(t *testing.T) {
	table := NewTable(1<<16, []byte("secret"))
	slow := Rate{Burst: 20, Every: 10 * time.Hour}
	for table.Take("victim", slow, 0).Allowed {
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		table.Take(fmt.Sprint(i), slow, int64(i/1000))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 3<<20 {
		t.Errorf("a million keys took %d KiB, want at most 16 bytes for each of 65536", grown>>10)
	}
	if table.Take("victim", slow, 1000).Allowed {
		t.Error("a million others opened what was shut")
	}
	end := int64(400 * 24 * time.Hour / time.Millisecond)
	table.Sweep(end)
	for i := range table.pages {
		if table.pages[i].sets != nil {
			t.Fatal("a page is kept although everything in it has worn off")
		}
	}
	if !table.Take("victim", slow, end).Allowed {
		t.Error("still shut when everything has worn off")
	}
}

// What one table knows another can learn, as after a restart.
func TestMerge(t *testing.T) {
	one, two := NewTable(100, []byte("secret")), NewTable(1000, []byte("secret"))
	for range 5 {
		one.Take("much", perMinute, 0)
	}
	one.Take("little", perMinute, 0)
	two.Take("little", perMinute, 0)
	two.Take("little", perMinute, 0)
	list := one.Longest(10, 0)
	if len(list) != 2 || list[0].Until != 5*minute || list[1].Until != minute {
		t.Fatalf("the longest: %+v", list)
	}
	if got := one.Longest(1, 0); len(got) != 1 || got[0] != list[0] {
		t.Errorf("the longest one: %+v, want %+v", got, list[0])
	}
	two.Merge(append(list, Entry{}, Entry{Key: 7, Until: -5}), 0)
	if two.Take("much", perMinute, 0).Allowed {
		t.Error("what the other had shut is open")
	}
	if res := two.Take("little", perMinute, 0); res.Remaining != 2 {
		t.Errorf("%d remaining, want 2: what was known already is more", res.Remaining)
	}
}

func BenchmarkTake(b *testing.B) {
	table := NewTable(1<<18, []byte("secret"))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		table.Take("203.0.113.0", Rate{Burst: 100, Every: time.Second}, int64(i))
	}
}

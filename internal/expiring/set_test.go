package expiring_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse/internal/expiring"
)

var start = time.UnixMilli(1_700_000_000_000)

func key(n uint64) (k expiring.Key) {
	r := rand.New(rand.NewPCG(n, 1))
	binary.LittleEndian.PutUint64(k[:], r.Uint64())
	binary.LittleEndian.PutUint64(k[8:], r.Uint64())
	return k
}

// A set that is not full answers as a plain map of deadlines does.
func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model, now := expiring.NewSet(16*64), map[uint64]time.Time{}, start
		n := rapid.Uint64Range(0, 30)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k, until := n.Draw(t, "key"), now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(t, "ms"))*time.Millisecond)
				s.Add(key(k), until, now)
				if until.After(model[k]) {
					model[k] = until
				}
			},
			"wait":  func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "ms")) * time.Millisecond) },
			"sweep": func(*rapid.T) { s.Sweep(now) },
			"": func(t *rapid.T) {
				for k := range uint64(31) {
					if got, want := s.Has(key(k), now), now.Before(model[k]); got != want {
						t.Fatalf("Has(%d) = %v, want %v", k, got, want)
					}
				}
			},
		})
	})
}

func TestSweepFreesAll(t *testing.T) {
	s := expiring.NewSet(1000)
	for n := range uint64(500) {
		s.Add(key(n), start.Add(time.Second), start)
	}
	s.Sweep(start.Add(999 * time.Millisecond))
	if s.Len() != 500 {
		t.Errorf("%d members before their time, want 500", s.Len())
	}
	s.Sweep(start.Add(time.Second))
	if s.Len() != 0 {
		t.Errorf("%d members after their time, want none", s.Len())
	}
}

// A full set stays within its bound, prefers those that are members still, and
// always takes the one that is added.
func TestFullSet(t *testing.T) {
	const size = 1600
	s := expiring.NewSet(size)
	for n := range uint64(10 * size) {
		s.Add(key(n), start.Add(time.Hour), start)
		if !s.Has(key(n), start) {
			t.Fatal("what was just added is not a member")
		}
	}
	if s.Len() > size {
		t.Errorf("%d members, want at most %d", s.Len(), size)
	}
	s = expiring.NewSet(size)
	for n := range uint64(size / 2) {
		s.Add(key(n), start.Add(time.Hour), start)
	}
	for n := range uint64(size) { // these leave at once
		s.Add(key(1_000_000+n), start.Add(time.Millisecond), start.Add(time.Second))
	}
	for n := range uint64(size / 2) {
		if !s.Has(key(n), start.Add(time.Second)) {
			t.Fatal("a member gave way to one that had left")
		}
	}
}

// What a token is held against: 100,000 terminated sessions.
func BenchmarkHas(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			s := expiring.NewSet(2 * size)
			for n := range uint64(size) {
				s.Add(key(n), start.Add(time.Hour), start)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			keys := make([]expiring.Key, 1024)
			for i := range keys {
				keys[i] = key(uint64(i) * uint64(size) / 512) // half of them members
			}
			i, members := 0, 0
			for b.Loop() {
				if s.Has(keys[i%1024], start) {
					members++
				}
				i++
			}
			if members == 0 || members == i {
				b.Fatalf("%d of %d were members", members, i)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
			runtime.KeepAlive(s)
		})
	}
}

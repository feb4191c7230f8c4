package hashing

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// waste has p compute n hashes at once.
func waste(t *testing.T, p *Pool, n int) {
	t.Helper()
	var callers sync.WaitGroup
	for range n {
		callers.Go(func() {
			if err := p.Waste(t.Context(), nobody, "", []byte("password")); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
}

// Some seconds after a burst the memory of its hashes is back with the
// operating system; work postpones that.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Workers: 4})
		for range 3 {
			before := forced()
			waste(t, p, 8)
			time.Sleep(idleAfter - time.Millisecond)
			waste(t, p, 1)
			time.Sleep(idleAfter - time.Millisecond)
			synctest.Wait()
			if argon2.OffHeap() && p.Stats().MemoryHeld == 0 {
				t.Error("the memory is gone too early")
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if n := p.Stats().MemoryHeld; n != 0 {
				t.Errorf("%d KiB are held at rest", n)
			}
			if argon2.OffHeap() == (forced() != before) {
				t.Errorf("%d collections: there is one if, and only if, the hashes were on the heap", forced()-before)
			}
			if now := held(); now > 16<<20 {
				t.Errorf("the heap holds %d MiB some seconds after the burst", now>>20)
			}
		}
	})
}

// scrypt leaves its memory on the Go heap; it goes back as well.
func TestRestScrypt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Workers: 1})
		before := forced()
		for range 4 {
			if err := p.Waste(t.Context(), nobody, "scrypt ln=14,r=8,p=1", []byte("password")); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.Stats().MemoryHeld; n > 19456 {
			t.Errorf("%d KiB are held, want no more than of a current hash", n)
		}
		time.Sleep(2 * idleAfter)
		synctest.Wait()
		if n := forced() - before; n != 1 {
			t.Errorf("%d collections, want 1", n)
		}
		if now := held(); now > 16<<20 {
			t.Errorf("the heap holds %d MiB some seconds after", now>>20)
		}
	})
}

// Cheap hashes, as in the tests of programs, leave nothing worth a collection,
// nor does a pool that is closed.
func TestRestCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1})
		before := forced()
		for range 20 {
			waste(t, p, 1)
			time.Sleep(2 * idleAfter)
		}
		large := newPool(t, Config{Workers: 1})
		waste(t, large, 2)
		large.Close()
		if n := large.Stats().MemoryHeld; n != 0 {
			t.Errorf("%d KiB are held after Close", n)
		}
		time.Sleep(time.Hour)
		if n := forced() - before; n != 0 {
			t.Errorf("%d collections for hashes of 64 KiB and a closed pool", n)
		}
	})
}

// GOMAXPROCS is raised while pools are at work and no longer, and what the
// program sets by itself stays.
func TestProcessors(t *testing.T) {
	if !threads {
		t.Skip("workers have no threads of their own here")
	}
	for _, set := range []int{0, 5} { // what the runtime chose, and what the program did
		if set != 0 {
			runtime.GOMAXPROCS(set)
			defer runtime.SetDefaultGOMAXPROCS()
		}
		synctest.Test(t, func(t *testing.T) {
			base := runtime.GOMAXPROCS(0)
			is := func(when string, want int) {
				t.Helper()
				if n := runtime.GOMAXPROCS(0); n != want {
					t.Errorf("%s: GOMAXPROCS is %d, want %d", when, n, want)
				}
			}
			p := newPool(t, Config{Params: small, Workers: 2})
			q := newPool(t, Config{Params: small, Workers: 3})
			is("new pools", base)
			waste(t, p, 1)
			is("one at work", base+2)
			waste(t, p, 5)
			is("still", base+2)
			time.Sleep(idleAfter - time.Second)
			waste(t, q, 1)
			is("both at work", base+5)
			time.Sleep(1500 * time.Millisecond)
			is("one at rest", base+3)
			q.Close()
			is("and the other closed", base)
			waste(t, p, 1)
			is("again", base+2)
			runtime.GOMAXPROCS(base + 7)
			time.Sleep(time.Minute)
			is("the program has set it meanwhile", base+7)
			waste(t, p, 1)
			is("and a pool is at work", base+9)
			time.Sleep(time.Minute)
			is("and at rest", base+7)
			runtime.GOMAXPROCS(base)
		})
	}
}

// held is how much memory the heap has from the operating system.
func held() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}

// forced counts the collections that somebody asked for.
func forced() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

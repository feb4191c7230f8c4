package hashing

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	library "golang.org/x/crypto/argon2"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// small is cheap enough for tests that are not about the cost.
var small = Params{Memory: 64, Time: 1, Parallelism: 1}

// nobody is a caller of whom nothing is known.
var nobody Caller

// do has a worker of p run a function as the job of a caller of whom nothing is
// known.
func do(ctx context.Context, p *Pool, memory int, work int64, run func() error) error {
	return p.do(ctx, &job{memory: memory, work: work, run: func(*argon2.Memory) error { return run() }})
}

func newPool(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestHashAndVerify(t *testing.T) {
	p := newPool(t, Config{Params: small})
	hash, err := p.Hash(t.Context(), nobody, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("Hash = %s, want the parameters of the pool", hash)
	}
	stored, err := Parse(hash)
	h, _ := stored.function.(argon2Hash)
	if err != nil || len(h.salt) != 16 || len(h.key) != 32 {
		t.Errorf("%s: %v, a salt of %d bytes and a key of %d, want 16 and 32", hash, err, len(h.salt), len(h.key))
	}
	if other, _ := p.Hash(t.Context(), nobody, []byte("correct horse")); other == hash {
		t.Error("two hashes of one password are equal: the salt is not random")
	}
	for password, want := range map[string]bool{
		"correct horse": true, "correct horsf": false, "correct hors": false, "correct horse ": false, "correct horse\x00": false, "": false,
	} {
		ok, rehash, err := p.Verify(t.Context(), nobody, hash, []byte(password))
		if ok != want || rehash || err != nil {
			t.Errorf("Verify(%q) = %v, %v, %v, want %v, false", password, ok, rehash, err, want)
		}
	}
	// Whole, as received: no end at a NUL, none at 72 bytes.
	long := strings.Repeat("x", 200)
	for password, other := range map[string]string{"a\x00b": "a\x00c", long + "a": long + "b", "\xff\xfe": "\ufffd\ufffd"} {
		hash, err := p.Hash(t.Context(), nobody, []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		if ok, _, err := p.Verify(t.Context(), nobody, hash, []byte(password)); !ok || err != nil {
			t.Errorf("%.10q: %v, %v, want a match", password, ok, err)
		}
		if ok, _, err := p.Verify(t.Context(), nobody, hash, []byte(other)); ok || err != nil {
			t.Errorf("%.10q for %.10q: %v, %v, want no match", other, password, ok, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	p := newPool(t, Config{})
	if p.params != (Params{Memory: 19456, Time: 2, Parallelism: 1}) {
		t.Errorf("params = %+v", p.params)
	}
	if n := runtime.GOMAXPROCS(0); p.workers != n || p.queue != max(64, 16*n) || p.memory.budget != max(n*19456, 65536) {
		t.Errorf("%d workers, a queue of %d, %d KiB for %d processors", p.workers, p.queue, p.memory.budget, n)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{Params: Params{Memory: 7}}, {Params: Params{Memory: 31, Parallelism: 4}}, {Params: Params{Memory: 256<<10 + 1}},
		{Params: Params{Time: 17}}, {Params: Params{Parallelism: 17}}, {Workers: -1}, {Queue: -1}, {MemoryBudget: -1}, {MemoryBudget: 19455}, {Params: Params{Memory: 64}, MemoryBudget: 63},
	} {
		if p, err := New(cfg); err == nil {
			p.Close()
			t.Errorf("New(%+v) is accepted", cfg)
		}
	}
	_, err := New(Config{Params: Params{Time: 17}, Workers: -1, Queue: -2, MemoryBudget: -3})
	for _, want := range []string{"time is 17", "workers is -1", "queue is -2", "memory budget is -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New with four faults: %v, want %q in it", err, want)
		}
	}
}

func TestRehash(t *testing.T) {
	p := newPool(t, Config{Params: small})
	var m argon2.Memory
	defer m.Release()
	for _, c := range []struct {
		name   string
		params Params
		salt   int
		key    int
		want   bool
	}{
		{"current", small, 16, 32, false},
		{"longer salt", small, 32, 32, false},
		{"less memory", Params{32, 1, 1}, 16, 32, true},
		{"more memory", Params{128, 1, 1}, 16, 32, true},
		{"more time", Params{64, 2, 1}, 16, 32, true},
		{"more lanes", Params{64, 1, 2}, 16, 32, true},
		{"shorter salt", small, 8, 32, true},
		{"shorter key", small, 16, 16, true},
		{"longer key", small, 16, 64, true},
	} {
		h := argon2Hash{Argon2id, c.params, make([]byte, c.salt), make([]byte, c.key)}
		h.key, _ = h.derive(&m, []byte("password"))
		ok, rehash, err := p.Verify(t.Context(), nobody, h.encode(), []byte("password"))
		if !ok || rehash != c.want || err != nil {
			t.Errorf("%s: %v, %v, %v, want true, %v", c.name, ok, rehash, err, c.want)
		}
	}
	for _, c := range known[5:] {
		ok, rehash, err := p.Verify(t.Context(), nobody, c.hash, []byte(c.password))
		if !ok || !rehash || err != nil {
			t.Errorf("bcrypt %s: %v, %v, %v, want true, true", c.name, ok, rehash, err)
		}
	}
}

func TestVerifyMalformed(t *testing.T) {
	p := newPool(t, Config{Params: small})
	for _, encoded := range []string{"", "password", "$argon2id$v=19$m=0,t=0,p=0$c29tZXNhbHQ$AAAA", "$2b$31$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."} {
		ok, rehash, err := p.Verify(t.Context(), nobody, encoded, nil)
		if ok || rehash || !errors.Is(err, ErrMalformed) {
			t.Errorf("Verify(%q) = %v, %v, %v, want ErrMalformed", encoded, ok, rehash, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p, err := New(Config{Params: small, Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.Close)
	f.Add(goodArgon2id, []byte("password"))
	f.Add(goodBcrypt, []byte("J8eHUDuxBB520"))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q", []byte{})
	f.Fuzz(func(t *testing.T, encoded string, password []byte) {
		if h, err := Parse(encoded); err == nil && h.work(len(password)) > 1<<12 {
			return // too dear to compute many of them
		}
		ok, rehash, err := p.Verify(t.Context(), nobody, encoded, password)
		if err != nil && (ok || rehash || !errors.Is(err, ErrMalformed)) {
			t.Fatalf("Verify(%q) = %v, %v, %v", encoded, ok, rehash, err)
		}
		if ok {
			if hash, err := p.Hash(t.Context(), nobody, password); err != nil || hash == encoded {
				t.Fatalf("Hash = %q, %v", hash, err)
			}
		}
	})
}

// occupy keeps every worker of p busy until the function it returns is called.
func occupy(t *testing.T, p *Pool) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	for range p.workers {
		go func() {
			if err := do(context.Background(), p, 1, 1, func() error { <-gate; return nil }); err != nil {
				t.Errorf("occupying a worker: %v", err)
			}
		}()
	}
	synctest.Wait()
	if p.running != p.workers {
		t.Fatalf("%d of %d workers are busy", p.running, p.workers)
	}
	return sync.OnceFunc(func() { close(gate) })
}

func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 2, Queue: 3})
		release := occupy(t, p)
		var ran atomic.Int32
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				if err := do(t.Context(), p, 1, 1, func() error { ran.Add(1); return nil }); err != nil {
					t.Errorf("a place in the queue: %v", err)
				}
			})
		}
		synctest.Wait()
		for name, call := range map[string]func() error{
			"Hash":   func() error { _, err := p.Hash(t.Context(), nobody, []byte("password")); return err },
			"Verify": func() error { _, _, err := p.Verify(t.Context(), nobody, goodArgon2id, []byte("password")); return err },
			"Waste":  func() error { return p.Waste(t.Context(), nobody, "", []byte("password")) },
		} {
			start := time.Now()
			err := call()
			busy, ok := errors.AsType[*BusyError](err)
			if !ok || !errors.Is(err, ErrBusy) || busy.RetryAfter < time.Second {
				t.Errorf("%s with a full queue: %v, want ErrBusy with a time to wait", name, err)
			}
			if time.Since(start) != 0 {
				t.Errorf("%s with a full queue took %v, want an answer at once", name, time.Since(start))
			}
		}
		release()
		callers.Wait()
		if ran.Load() != 3 {
			t.Errorf("%d of those in the queue ran, want 3", ran.Load())
		}
		if err := p.Waste(t.Context(), nobody, "", nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Callers who come at once to a pool at rest do not count as a queue, though
// no worker has taken any of them yet.
func TestQueueAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 20, Queue: 1})
		for i := range 21 {
			j := &job{memory: 1, work: 1, run: func(*argon2.Memory) error { time.Sleep(time.Second); return nil }, done: make(chan struct{})}
			if err := p.admit(t.Context(), j); err != nil {
				t.Fatalf("the %dth of 21 for 20 workers and a queue of one: %v", i+1, err)
			}
		}
	})
}

func TestLeaveTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1, Queue: 2})
		release := occupy(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			left <- do(ctx, p, 1, 1, func() error { t.Error("a job was run whose caller had left"); return nil })
		}()
		go func() { left <- do(ctx, p, 1, 1, func() error { t.Error("so was another"); return nil }) }()
		synctest.Wait()
		if err := p.Waste(t.Context(), nobody, "", nil); !errors.Is(err, ErrBusy) {
			t.Fatalf("a queue of two with two in it: %v", err)
		}
		cancel()
		for range 2 {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("leaving: %v, want context.Canceled", err)
			}
		}
		// The places are free at once, not when a worker comes by.
		if p.waiting.len() != 0 || p.waiting.strangers.work != 0 {
			t.Errorf("%d jobs of %d units are left in the queue", p.waiting.len(), p.waiting.strangers.work)
		}
		if err := p.Waste(ctx, nobody, "", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("coming with a context that has ended: %v", err)
		}
		release()
		if err := p.Waste(t.Context(), nobody, "", nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestLeaveARunningJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := false
		start := time.Now()
		err := do(ctx, p, 1, 1, func() error { time.Sleep(time.Minute); ended = true; return nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want DeadlineExceeded after a second", err, time.Since(start))
		}
		if err := p.Waste(t.Context(), nobody, "", nil); err != nil || !ended {
			t.Errorf("the next job: %v; the one before it has ended: %v", err, ended)
		}
	})
}

// A caller may wipe the password as soon as it has an answer, also when that
// is before a worker has read it.
func TestPasswordIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1})
		release := occupy(t, p)
		password := []byte("password")
		got := make(chan string)
		go func() {
			hash, err := p.Hash(t.Context(), nobody, password)
			if err != nil {
				t.Error(err)
			}
			got <- hash
		}()
		synctest.Wait()
		clear(password)
		release()
		if ok, _, err := p.Verify(t.Context(), nobody, <-got, []byte("password")); !ok || err != nil {
			t.Errorf("Verify = %v, %v, want the password of before", ok, err)
		}
	})
}

func TestDeadlineInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 2, Queue: 100})
		second := func() error { time.Sleep(time.Second); return nil }
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			return do(ctx, p, 1, 1000, second)
		}
		if err := within(2 * time.Second); err != nil { // 1 ms for a unit from now on
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 2 + 10 { // ten seconds of work in the queue of two workers
			callers.Go(func() {
				if err := do(t.Context(), p, 1, 1000, second); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		err := within(4900 * time.Millisecond)
		busy, ok := errors.AsType[*BusyError](err)
		if !ok || busy.RetryAfter != 5*time.Second || time.Since(start) != 0 {
			t.Errorf("4.9 s before five seconds of queue: %v after %v, want ErrBusy at once and 5 s to wait", err, time.Since(start))
		}
		if err := within(8 * time.Second); err != nil {
			t.Errorf("8 s before five seconds of queue: %v", err)
		}
		callers.Wait()
		// A pool that has nothing to do never refuses, however slow it once was.
		p.pace = float64(time.Hour)
		if err := within(1500 * time.Millisecond); err != nil {
			t.Errorf("at an idle pool: %v", err)
		}
	})
}

// The pace follows what is measured, whatever the size of the jobs.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1})
		for i := range 60 {
			work := int64(1000 + 500*(i%3))
			if err := do(t.Context(), p, 1, work, func() error { time.Sleep(time.Duration(work) * time.Microsecond); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if p.pace < 990 || p.pace > 1010 {
			t.Errorf("pace = %v ns for a unit, want 1000", p.pace)
		}
		for range 40 { // the machine got slower
			if err := do(t.Context(), p, 1, 1000, func() error { time.Sleep(5 * time.Millisecond); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if p.pace < 4900 || p.pace > 5010 {
			t.Errorf("pace = %v ns for a unit, want 5000", p.pace)
		}
	})
}

// tiny is the smallest hash, so that budgets can be small numbers.
var tiny = Params{Memory: 8, Time: 1, Parallelism: 1}

func TestMemoryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: tiny, Workers: 8, Queue: 1000, MemoryBudget: 100})
		var mu sync.Mutex
		inUse, most, order := 0, 0, []int{}
		var callers sync.WaitGroup
		run := func(memory int) {
			callers.Go(func() {
				err := do(t.Context(), p, memory, 1, func() error {
					mu.Lock()
					inUse += memory
					order = append(order, memory)
					if inUse > 100 {
						t.Errorf("%d KiB are in use at once", inUse)
					}
					most = max(most, inUse)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					inUse -= memory
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // so that they come in this order
		}
		for range 20 {
			run(50)
			run(30)
		}
		run(99) // alone, but not never
		for range 20 {
			run(50)
		}
		callers.Wait()
		if i := slices.Index(order, 99); i != 40 {
			t.Errorf("the large job was the %dth, want it in its turn, after 40", i)
		}
		if most != 100 || p.memory.held != 0 || p.running != 0 {
			t.Errorf("at most %d KiB, and %d KiB in %d jobs afterwards", most, p.memory.held, p.running)
		}
		if err := do(t.Context(), p, 101, 1, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("more than there will ever be: %v, want ErrTooLarge", err)
		}
	})
}

// A budget for one hash and a bit is no use to two workers.
func TestWorkersWithoutMemory(t *testing.T) {
	for budget, want := range map[int]int{64: 1, 127: 1, 128: 2, 1000: 4} {
		if p := newPool(t, Config{Params: small, Workers: 4, MemoryBudget: budget}); p.workers != want {
			t.Errorf("%d KiB for hashes of 64: %d workers, want %d", budget, p.workers, want)
		}
	}
}

// What is held is what is said to be held: memory is kept for the next hash, and
// what was lent for a large one goes back at once.
func TestMemoryHeld(t *testing.T) {
	if !argon2.Fast() {
		t.Skip("the library allocates on this machine")
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 4, MemoryBudget: 300})
		stored := argon2Hash{Argon2id, Params{Memory: 200, Time: 1, Parallelism: 1}, make([]byte, 16), make([]byte, 32)}.encode()
		held := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			s := p.Stats()
			real := 0
			p.mu.Lock()
			for _, m := range p.memory.free {
				real += m.Size()
			}
			p.mu.Unlock()
			if s.MemoryHeld != want || real != want {
				t.Errorf("%s: %d KiB by the book and %d KiB in truth, want %d", when, s.MemoryHeld, real, want)
			}
		}
		all := func(n int, call func() error) {
			var callers sync.WaitGroup
			release := occupy(t, p)
			for range n {
				callers.Go(func() {
					if err := call(); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			release()
			callers.Wait()
		}
		held("at first", 0)
		if err := p.Waste(t.Context(), nobody, "", nil); err != nil {
			t.Fatal(err)
		}
		held("after one hash", 64)
		for range 3 {
			if err := p.Waste(t.Context(), nobody, "", nil); err != nil {
				t.Fatal(err)
			}
		}
		held("after some, one after the other", 64)
		all(20, func() error { return p.Waste(t.Context(), nobody, "", nil) })
		synctest.Wait()
		if s := p.Stats(); s.MemoryHeld < 64 || s.MemoryHeld > 256 {
			t.Errorf("after many at once: %d KiB", s.MemoryHeld)
		}
		all(5, func() error { _, _, err := p.Verify(t.Context(), nobody, stored, nil); return err })
		synctest.Wait()
		if s := p.Stats(); s.MemoryHeld > 256 {
			t.Errorf("after large ones: %d KiB", s.MemoryHeld)
		}
		time.Sleep(idleAfter + time.Millisecond)
		held("at rest", 0)
	})
}

// When the job that waits for memory leaves, those behind it go on.
func TestMemoryBudgetLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: tiny, Workers: 4, MemoryBudget: 100})
		gate := make(chan struct{})
		var callers sync.WaitGroup
		start := func(ctx context.Context, memory int, want error, run func() error) {
			callers.Go(func() {
				if err := do(ctx, p, memory, 1, run); !errors.Is(err, want) {
					t.Errorf("%d KiB: %v, want %v", memory, err, want)
				}
			})
		}
		start(t.Context(), 60, nil, func() error { <-gate; return nil })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		start(ctx, 80, context.Canceled, func() error { t.Error("a job was run whose caller had left"); return nil })
		synctest.Wait()
		var ran atomic.Int32
		for range 2 {
			start(t.Context(), 20, nil, func() error { ran.Add(1); <-gate; return nil })
		}
		synctest.Wait()
		if ran.Load() != 0 {
			t.Error("small jobs went past the one that waits for memory")
		}
		cancel()
		synctest.Wait()
		if ran.Load() != 2 {
			t.Errorf("%d of two small jobs run beside the first, want both", ran.Load())
		}
		close(gate)
		callers.Wait()
	})
}

func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 2})
		for range 10 {
			err := do(t.Context(), p, 40, 1, func() error { panic("malformed") })
			if err == nil || !strings.Contains(err.Error(), "panic: malformed") || !strings.Contains(err.Error(), "TestPanic") {
				t.Fatalf("err = %v, want the panic and where it was", err)
			}
		}
		// Both workers are still there, and so is the memory.
		release := occupy(t, p)
		if p.memory.held != 2 {
			t.Errorf("%d KiB in use, want those of two jobs", p.memory.held)
		}
		release()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 2, Queue: 10})
		release := occupy(t, p)
		var callers sync.WaitGroup
		var ran atomic.Int32
		for range 10 {
			callers.Go(func() {
				if err := do(t.Context(), p, 1, 1, func() error { time.Sleep(time.Second); ran.Add(1); return nil }); err != nil {
					t.Errorf("a job that was accepted: %v", err)
				}
			})
		}
		synctest.Wait()
		closed := make(chan struct{}, 2)
		for range 2 {
			go func() { p.Close(); closed <- struct{}{} }()
		}
		synctest.Wait()
		if err := p.Waste(t.Context(), nobody, "", nil); !errors.Is(err, ErrClosed) {
			t.Errorf("while closing: %v, want ErrClosed", err)
		}
		select {
		case <-closed:
			t.Error("Close returned before what was accepted was done")
		default:
		}
		release()
		<-closed
		<-closed
		callers.Wait()
		if ran.Load() != 10 {
			t.Errorf("%d of 10 accepted jobs were done", ran.Load())
		}
		p.Close()
		if _, err := p.Hash(t.Context(), nobody, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v, want ErrClosed", err)
		}
	}) // and no goroutine is left, or the bubble would not end
}

// Closing does not keep a job waiting that waits for memory.
func TestCloseWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: tiny, Workers: 3, MemoryBudget: 24})
		var ran atomic.Int32
		var callers sync.WaitGroup
		for range 6 {
			callers.Go(func() {
				if err := do(t.Context(), p, 16, 1, func() error { time.Sleep(time.Second); ran.Add(1); return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		p.Close()
		callers.Wait()
		if ran.Load() != 6 {
			t.Errorf("%d of 6 jobs were done", ran.Load())
		}
	})
}

// waitingOf is the jobs in the queue of strangers of one source, in their order.
func waitingOf(p *Pool) []*job { return p.waiting.strangers.turns[0].jobs }

// What Waste asks of the pool is what Verify asks of it, to the unit.
func TestWasteCostsAVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: Params{Memory: 4096, Time: 2, Parallelism: 1}, Workers: 1})
		if !p.current.current(p.params) {
			t.Errorf("the decoy has other parameters than new hashes: %+v", p.current)
		}
		hash, err := p.Hash(t.Context(), nobody, []byte("password"))
		if err != nil {
			t.Fatal(err)
		}
		cheap := argon2Hash{Argon2id, Params{Memory: 1024, Time: 3, Parallelism: 2}, make([]byte, 16), make([]byte, 32)}
		release := occupy(t, p)
		var callers sync.WaitGroup
		callers.Go(func() {
			if err := p.Waste(t.Context(), nobody, "", []byte("password")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for _, encoded := range []string{hash, cheap.encode(), goodBcrypt} {
			callers.Go(func() {
				if _, _, err := p.Verify(t.Context(), nobody, encoded, []byte("wrong")); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		in := waitingOf(p)
		waste := in[0]
		if waste.work != 4096*2 || waste.memory != 4096 {
			t.Errorf("Waste is %d units with %d KiB, want 8192 with 4096", waste.work, waste.memory)
		}
		for i, name := range []string{"a current hash", "an older hash", "a cheap bcrypt"} {
			j := in[1+i]
			if j.work != waste.work || i == 0 && j.memory != waste.memory {
				t.Errorf("%s is %d units with %d KiB, Waste %d with %d", name, j.work, j.memory, waste.work, waste.memory)
			}
		}
		release()
		callers.Wait()
		// It is no way in, and it does not become one.
		if ok, err := p.verify(t.Context(), nobody, Hash{p.current}, []byte("password")); ok || err != nil {
			t.Errorf("the decoy: %v, %v", ok, err)
		}
	})
}

// The ratio of the two is what the pool costs.
func BenchmarkVerify(b *testing.B) {
	hash := newHash(DefaultParams)
	encoded := hash.encode()
	password := []byte("correct horse battery staple")
	b.Run("library", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				library.IDKey(password, hash.salt, 2, 19456, 1, 32)
			}
		})
	})
	b.Run("bare", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			var m argon2.Memory
			defer m.Release()
			for pb.Next() {
				if _, err := m.IDKey(password, hash.salt, 2, 19456, 1, 32); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("pool", func(b *testing.B) {
		p := newPool(b, Config{})
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := p.Verify(context.Background(), nobody, encoded, password); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

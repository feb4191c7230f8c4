package hashing

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// mark is a job named like its source: "a" and "b" are strangers, "A" and "B"
// known.
func mark(name string) *job {
	return &job{caller: Caller{Source: strings.ToLower(name), Known: name != strings.ToLower(name)}, work: 1}
}

// order drains q and says in which order its jobs were taken.
func order(q *queue) string {
	var b strings.Builder
	for q.next() != nil {
		name := q.next().caller.Source
		if q.next().caller.Known {
			name = strings.ToUpper(name)
		}
		if q.next() != q.take() {
			return "next is not what is taken"
		}
		b.WriteString(name)
	}
	return b.String()
}

func TestTurns(t *testing.T) {
	for come, want := range map[string]string{
		"":                 "",
		"aaa":              "aaa",
		"aaaab":            "abaaa", // a source with many does not delay another
		"aaaabbc":          "abcabaa",
		"aaAa":             "Aaaa",      // known ones first
		"aaAAAAAAA":        "AAAaAAAaA", // and strangers every fourth time
		"abcAAAB":          "ABAaAbc",
		"aaaaaaaAAAAAABbb": "ABAaAAAbAabaaaaa",
	} {
		var q queue
		for name := range strings.SplitSeq(come, "") {
			q.push(mark(name))
		}
		if got := order(&q); got != want {
			t.Errorf("%s come, and are taken as %s, want %s", come, got, want)
		}
		if q.len() != 0 || q.known.work != 0 || q.strangers.work != 0 || len(q.known.turns)+len(q.strangers.turns) != 0 {
			t.Errorf("%s: something is left: %+v", come, q)
		}
	}
}

func TestDisplaced(t *testing.T) {
	for _, c := range []struct {
		come string
		size int
		by   string
		want int // which of those that came, or none
	}{
		{"aaaa", 4, "a", -1},
		{"aaaa", 4, "b", 3}, // the youngest of who has most
		{"aaab", 4, "b", 2},
		{"aabb", 4, "b", -1}, // it would be no fairer
		{"aab", 3, "b", -1},
		{"abcd", 4, "e", -1}, // who has one waiting does not lose it to another stranger
		{"abcd", 4, "E", 0},  // but to somebody known
		{"abbc", 4, "A", 2},
		{"aABCDEFG", 8, "A", -1}, // strangers keep their part
		{"aABCDEFa", 8, "A", -1},
		{"aABCDEaa", 8, "A", 7},
		{"ABCDEFGG", 8, "a", 7}, // and get it
		{"aABCDEFG", 8, "a", 1},
		{"abABCDEF", 8, "c", -1},
		{"AAAA", 2, "B", 3},
		{"AAAA", 2, "b", -1}, // a part of so short a queue is nothing
	} {
		var q queue
		var jobs []*job
		for name := range strings.SplitSeq(c.come, "") {
			jobs = append(jobs, mark(name))
			q.push(jobs[len(jobs)-1])
		}
		got := slices.Index(jobs, q.displaced(mark(c.by).caller, c.size))
		if got != c.want {
			t.Errorf("%s wait, %s comes: displaces the job %d, want %d", c.come, c.by, got, c.want)
		}
	}
}

// Whatever comes and goes: nothing is lost or taken twice, the place that is
// foretold is the place that one gets, a source waits for no more than one job
// of each other source for each of its own, and every fourth is a stranger's.
func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var in []*job
		names := rapid.SampledFrom(strings.Split("aaaaaabcdefAAABC", ""))
		for _, act := range rapid.SliceOfN(rapid.IntRange(0, 9), 0, 60).Draw(t, "acts") {
			switch {
			case act < 6:
				j := mark(names.Draw(t, "name"))
				q.push(j)
				in = append(in, j)
			case act < 8 && q.next() != nil:
				in = slices.DeleteFunc(in, func(j *job) bool { return j == q.next() })
				q.take()
			case len(in) > 0:
				i := rapid.IntRange(0, len(in)-1).Draw(t, "leaves")
				if !q.remove(in[i]) || q.remove(in[i]) {
					t.Fatal("a job could not be removed once")
				}
				in = slices.Delete(in, i, i+1)
			}
		}
		if q.len() != len(in) {
			t.Fatalf("%d jobs are in it, want %d", q.len(), len(in))
		}
		j := mark(names.Draw(t, "one more"))
		ahead, mine := q.ahead(j.caller), 0
		q.push(j)
		known, others := 0, map[Caller]int{}
		for i := range len(in) + 1 {
			waits := q.strangers.jobs > 0
			next := q.take()
			if waits && next.caller.Known {
				if known++; known >= strangersTurn {
					t.Fatal("four known ones in a row, and strangers wait")
				}
			} else {
				known = 0
			}
			if next == j {
				if int64(i) != ahead {
					t.Fatalf("%d were ahead of %v, foretold were %d", i, j.caller, ahead)
				}
				break
			}
			if next.caller == j.caller {
				mine++
			} else if others[next.caller]++; next.caller.Known == j.caller.Known && others[next.caller] > mine+1 {
				t.Fatalf("%v has had %d turns, %v %d", next.caller, others[next.caller], j.caller, mine)
			}
		}
	})
}

// come brings a job of a second's work and says in ended how it ended.
func come(p *Pool, name string, ended chan<- string) {
	go func() {
		j := mark(name)
		j.run = func(*argon2.Memory) error { time.Sleep(time.Second); return nil }
		j.secret = []byte("secret")
		err := p.do(context.Background(), j)
		if string(j.secret) != "\x00\x00\x00\x00\x00\x00" {
			err = errors.New("the secret is still there")
		}
		if err != nil {
			name += ": " + err.Error()
		}
		ended <- name
	}()
	synctest.Wait()
}

// A flood from one network fills the queue, and others get in all the same.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1, Queue: 8})
		ended := make(chan string, 100)
		for range 1 + 8 + 5 {
			come(p, "a", ended)
		}
		for range 5 {
			if got := <-ended; got != "a: hashing: busy" {
				t.Errorf("beyond the queue: %s", got)
			}
		}
		if s := p.Stats(); s.Running != 1 || s.Strangers != 8 || s.Known != 0 || s.Refused != 5 || s.Done != 0 {
			t.Errorf("in the flood: %+v", s)
		}
		come(p, "b", ended)
		come(p, "C", ended)
		for range 2 {
			if got := <-ended; got != "a: hashing: busy" {
				t.Errorf("who made room: %s", got)
			}
		}
		if s := p.Stats(); s.Known != 1 || s.Strangers != 7 {
			t.Errorf("with two others: %+v", s)
		}
		start := time.Now()
		var all strings.Builder
		for range 9 {
			all.WriteString(<-ended)
		}
		if all.String() != "aCabaaaaa" {
			t.Errorf("the order was %s, want aCabaaaaa", all.String())
		}
		if d := time.Since(start); d != 9*time.Second {
			t.Errorf("9 jobs of a second took %v", d)
		}
		s := p.Stats()
		if s.Done != 9 || s.Running != 0 || s.Refused != 7 || s.Took.Sum != 9*time.Second || s.Took.Buckets[8] != 9 {
			t.Errorf("afterwards: %+v", s)
		}
		if s.Waited.Sum != (0+1+2+3+4+5+6+7+8)*time.Second || s.Waited.Buckets[0] != 1 || s.Waited.Buckets[8] != 1 || s.Waited.Buckets[9] != 1 {
			t.Errorf("waited: %+v", s.Waited)
		}
	})
}

// Who is admitted is who will be served in time, and that depends on who asks.
func TestDeadlineAndTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1, Queue: 100})
		ended := make(chan string, 100)
		come(p, "a", ended)
		<-ended // a second for a unit of work from now on
		for range 20 {
			come(p, "a", ended)
		}
		within := func(name string, d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			j := mark(name)
			j.run = func(*argon2.Memory) error { return nil }
			return p.do(ctx, j)
		}
		if err := within("a", 10*time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the 20th of a source, within 10 s: %v, want ErrBusy", err)
		}
		if err := within("b", 3*time.Second); err != nil {
			t.Errorf("the first of another source: %v", err)
		}
		if err := within("A", 1500*time.Millisecond); err != nil {
			t.Errorf("somebody known: %v", err)
		}
	})
}

// A panic, an answer and a departure all leave no password behind.
func TestSecretsAreCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: small, Workers: 1, Queue: 1})
		check := func(how string, ctx context.Context, run func(*argon2.Memory) error) {
			t.Helper()
			j := &job{run: run, secret: []byte("secret")}
			_ = p.do(ctx, j)
			synctest.Wait()
			if string(j.secret) != "\x00\x00\x00\x00\x00\x00" {
				t.Errorf("%s: the secret is still %q", how, j.secret)
			}
		}
		check("done", t.Context(), func(*argon2.Memory) error { return nil })
		check("panicked", t.Context(), func(*argon2.Memory) error { panic("oh") })
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		check("came too late", ended, nil)
		release := occupy(t, p)
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check("left", soon, nil)
		var callers sync.WaitGroup
		callers.Go(func() { _ = p.Waste(t.Context(), nobody, "", []byte("password")) })
		synctest.Wait()
		check("refused", t.Context(), nil)
		release()
		callers.Wait()
		p.Close()
		check("closed", t.Context(), nil)
	})
}

func TestKinds(t *testing.T) {
	p := newPool(t, Config{Params: small, Workers: 1, MemoryBudget: 1 << 20})
	for encoded, want := range map[string]Kind{
		goodArgon2id: "argon2id m=64,t=1,p=1",
		"$argon2id$v=19$m=256,t=3,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc": "argon2id m=256,t=3,p=2",
		goodBcrypt: "bcrypt 4",
		"$2y$16$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.": "bcrypt 16",
	} {
		k, err := KindOf(encoded)
		if err != nil || k != want {
			t.Errorf("KindOf(%s) = %q, %v, want %q", encoded, k, err, want)
			continue
		}
		decoy, err := k.decoy()
		stored, _ := Parse(encoded)
		if err != nil || decoy.kind() != k || decoy.work(20) != stored.work(20) || decoy.memory() != stored.memory() {
			t.Errorf("a decoy for %s is %s, %v", k, decoy.kind(), err)
		}
		other, _ := k.decoy()
		if reflect.DeepEqual(decoy, other) {
			t.Errorf("two decoys for %s are the same", k)
		}
	}
	if _, err := KindOf("password"); !errors.Is(err, ErrMalformed) {
		t.Errorf("KindOf of nothing known: %v", err)
	}
	for _, k := range []Kind{"", "bcrypt 4", "argon2id m=64,t=2,p=1"} {
		before := p.Stats().Done
		if err := p.Waste(t.Context(), nobody, k, []byte("password")); err != nil || p.Stats().Done != before+1 {
			t.Errorf("Waste(%q): %v", k, err)
		}
	}
	for _, k := range []Kind{"x", "bcrypt", "bcrypt 3", "bcrypt 17", "bcrypt x", "bcrypt -4", "argon2id", "argon2id m=64", "argon2id m=0,t=0,p=0", "scrypt 1"} {
		if err := p.Waste(t.Context(), nobody, k, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("Waste(%q): %v, want ErrMalformed", k, err)
		}
	}
}

// What Waste asks of the pool for a kind is what Verify asks for a hash of it.
func TestWasteOfAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Params: Params{Memory: 4096, Time: 2, Parallelism: 1}, Workers: 1})
		dear := "$argon2id$v=19$m=8192,t=3,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
		release := occupy(t, p)
		var callers sync.WaitGroup
		for _, encoded := range []string{goodArgon2id, goodBcrypt, dear} {
			k, err := KindOf(encoded)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range []func() error{
				func() error { return p.Waste(t.Context(), nobody, k, []byte("wrong")) },
				func() error { _, _, err := p.Verify(t.Context(), nobody, encoded, []byte("wrong")); return err },
			} {
				callers.Go(func() {
					if err := call(); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			in := waitingOf(p)
			a, b := in[len(in)-2], in[len(in)-1]
			if a.work != b.work || a.memory != b.memory || a.work < 8192 {
				t.Errorf("%s: Waste is %d units in %d KiB, Verify %d in %d", k, a.work, a.memory, b.work, b.memory)
			}
		}
		release()
		callers.Wait()
	})
}

// A refusal costs microseconds, however the queue looks.
func BenchmarkRefusal(b *testing.B) {
	for _, sources := range []int{1, 64, 10_000} {
		b.Run(fmt.Sprint(sources), func(b *testing.B) {
			p := &Pool{queue: sources, workers: 1, running: 1, memory: memories{budget: 1}}
			p.idle.init(p.rest)
			for i := range sources {
				p.waiting.push(&job{caller: Caller{Source: fmt.Sprint(i)}, work: 1})
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := p.admit(b.Context(), &job{caller: Caller{Source: "1"}}); !errors.Is(err, ErrBusy) {
					b.Fatal(err)
				}
			}
		})
	}
}

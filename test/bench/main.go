// Command bench measures the built binary beside a bare net/http handler that
// writes the same bytes, and beside the bare password hash, in one run, and
// prints a table of ratios: these do not depend on how fast or noisy a machine
// is as much as the numbers do.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"time"
)

func main() {
	// The servers die with the thread that started them. Those of hashing end with
	// the pool that has them; the first one lasts.
	runtime.LockOSThread()
	log.SetFlags(0)
	binary := flag.String("binary", "bin/gatehouse", "the `FILE` to measure")
	seconds := flag.Float64("seconds", 3, "how long each measurement takes")
	large := flag.Int("users", 100_000, "users in the large store")
	million := flag.Int("million", 1_000_000, "users in the large store of each database")
	only := flag.String("only", "", "measure only \"binary\" or \"stores\"")
	bareAt := flag.String("bare", "", "serve the bare handler with the answer in this `FILE`; used by the command itself")
	flag.Parse()
	if *bareAt != "" {
		log.Fatal(serveBare(*bareAt))
	}
	b := &bench{binary: *binary, each: time.Duration(*seconds * float64(time.Second)), large: *large, million: *million, only: *only}
	if err := b.run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// bench is one run.
type bench struct {
	binary  string
	each    time.Duration
	large   int
	million int
	only    string
	rows    []row
}

// row is one line of the table.
type row struct {
	what    string
	clients int
	sample
	note string
}

// sample is what one measurement saw.
type sample struct {
	rate float64       // operations per second
	cpu  time.Duration // of the server, for each operation
}

func (b *bench) add(what string, clients int, s sample, note string) {
	b.rows = append(b.rows, row{what, clients, s, note})
}

// goal is one line of what is to be reached.
type goal struct {
	what    string
	is      float64
	atMost  bool
	bound   float64
	measure string
}

func (b *bench) run(ctx context.Context) error {
	if _, err := processorTime(os.Getpid()); err != nil {
		return err // before hours of work
	}
	folder, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var goals []goal
	if b.only != "stores" {
		if goals, err = b.ofBinary(ctx, folder); err != nil {
			return err
		}
	}
	b.print()
	if b.only != "binary" {
		more, err := b.stores(ctx, folder, b.million)
		if err != nil {
			return err
		}
		goals = append(goals, more...)
	}
	printGoals(goals)
	return nil
}

// ofBinary measures the binary on SQLite, beside bare handlers and bare hashes.
func (b *bench) ofBinary(ctx context.Context, folder string) ([]goal, error) {
	small, err := startGatehouse(ctx, b.binary, folder+"/small", 1_000)
	if err != nil {
		return nil, err
	}
	defer small.stop()
	big, err := startGatehouse(ctx, b.binary, folder+"/large", b.large)
	if err != nil {
		return nil, err
	}
	defer big.stop()
	idle, err := big.resident()
	if err != nil {
		return nil, err
	}

	browsers := make([]*client, 64)
	for i := range browsers {
		if browsers[i], err = newClient(big.url, userEmail(i)); err != nil {
			return nil, err
		}
	}
	few := make([]*client, 8)
	for i := range few {
		if few[i], err = newClient(small.url, userEmail(i)); err != nil {
			return nil, err
		}
	}
	answer, err := browsers[0].raw("GET", "/api/auth/me")
	if err != nil {
		return nil, err
	}
	plain, err := startBare(ctx, folder, answer)
	if err != nil {
		return nil, err
	}
	defer plain.stop()
	strangers := make([]*client, 8)
	for i := range strangers {
		strangers[i] = anonymous(plain.url)
	}

	// Interleaved, and the median of three, so that a slow moment of the machine
	// does not fall on one side alone.
	cheap := b.interleave(
		series{plain, strangers, getMe, nil}, series{big, browsers[:8], getMe, nil}, series{small, few, getMe, nil},
		series{big, browsers[:1], postRefresh, nil}, series{big, browsers, postRefresh, nil},
	)
	bare, meLarge, meSmall, one, many := cheap[0], cheap[1], cheap[2], cheap[3], cheap[4]
	b.add("bare handler, the same bytes", 8, bare, "")
	b.add(fmt.Sprintf("me, %d users", b.large), 8, meLarge, fmt.Sprintf("%.2f × the CPU of bare", ratio(meLarge, bare)))
	b.add("me, 1000 users", 8, meSmall, fmt.Sprintf("%.2f × the CPU of bare", ratio(meSmall, bare)))
	b.add("refresh, rotating and durable", 1, one, fmt.Sprintf("%.2f × the CPU of bare", ratio(one, bare)))
	b.add("refresh, rotating and durable", 64, many, fmt.Sprintf("%.2f × the CPU of bare, %.1f × the rate of one client", ratio(many, bare), many.rate/one.rate))

	workers := 2 * runtime.GOMAXPROCS(0)
	dear := b.interleave(
		series{hash: ours}, series{hash: theirs},
		series{big, browsers[:workers], postLogins(b.large), nil}, series{big, browsers[:workers], postRegister(), nil},
	)
	hash, library, logins, registers := dear[0], dear[1], dear[2], dear[3]
	b.add("bare argon2id hash (19 MiB, 2, 1)", runtime.GOMAXPROCS(0), hash, "")
	b.add("the same, golang.org/x/crypto", runtime.GOMAXPROCS(0), library, fmt.Sprintf("%.2f × the CPU of ours", ratio(library, hash)))
	b.add("login", workers, logins, fmt.Sprintf("%.0f %% of the bare hash rate", 100*logins.rate/hash.rate))
	b.add("register", workers, registers, fmt.Sprintf("%.0f %% of the bare hash rate", 100*registers.rate/hash.rate))

	f, err := measureFlood(ctx, b.binary, folder+"/flood", b.each)
	if err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	bareNow := bareHash(ours, b.each)
	budget := max(64, float64(runtime.GOMAXPROCS(0)*19)) // MiB, the default of hash-memory-budget
	visitor := func(v visit) string {
		return fmt.Sprintf("p99 of me %.2f ms, of refresh %.2f ms", ms(v.me), ms(v.refresh))
	}
	b.add("me and refresh, calm", visitors, sample{rate: f.calm.rate}, visitor(f.calm))
	b.add("the same in a flood of 32 logins", visitors, sample{rate: f.eager.rate}, visitor(f.eager)+fmt.Sprintf("; %.0f hashes/s", f.eagerHashes))
	b.add("the same at a pace, in the flood", visitors, sample{rate: f.paced.rate}, visitor(f.paced)+fmt.Sprintf("; %.0f hashes/s", f.hashes))

	starts, err := measureStarts(ctx, b.binary, folder+"/starts")
	if err != nil {
		return nil, err
	}
	size, err := os.Stat(b.binary)
	if err != nil {
		return nil, err
	}
	return []goal{
		{"me, CPU / bare handler", ratio(meLarge, bare), true, 2, ""},
		{"me, large / small store", ratio(meLarge, meSmall), true, 1.1, ""},
		{"refresh with 64 clients, CPU / bare handler", ratio(many, bare), true, 8, ""},
		{"refresh, rate of 64 clients / of one", many.rate / one.rate, false, 5, ""},
		{"login, rate / bare hash of the library", logins.rate / library.rate, false, 0.95, ""},
		{"register, rate / bare hash of the library", registers.rate / library.rate, false, 0.95, ""},
		{"login, rate / bare hash of ours", logins.rate / hash.rate, false, 0.95, ""},
		{"register, rate / bare hash of ours", registers.rate / hash.rate, false, 0.95, ""},
		{"login, CPU beyond one hash of ours", ms(logins.cpu - hash.cpu), true, 0.5, "ms"},
		{"register, CPU beyond one hash of ours", ms(registers.cpu - hash.cpu), true, 0.5, "ms"},
		{"flood: p99 of me", ms(max(f.eager.me, f.paced.me)), true, 10, "ms"},
		{"flood: p99 of refresh", ms(max(f.eager.refresh, f.paced.refresh)), true, 25, "ms"},
		{"flood: slowest login of a known device", f.known.Seconds(), true, 2, "s"},
		{"flood: rate of me / calm", f.eager.rate / f.calm.rate, false, 0.5, ""},
		{"flood: rate of hashes / bare", f.hashes / bareNow.rate, false, 0.85, ""},
		{"flood: memory above idle", mb(f.most - f.idle), true, budget, "MB"},
		{"flood: memory above idle, six seconds later", mb(f.after - f.idle), true, 10, "MB"},
		{"start to first answer", ms(starts), true, 50, "ms"},
		{"idle memory", mb(idle), true, 30, "MB"},
		{"binary, with all databases", mb(size.Size()), true, 40, "MB"},
	}, nil
}

// series is one thing to measure: clients of a process, or a bare hash.
type series struct {
	process *process
	clients []*client
	do      operation
	hash    hasher
}

// interleave measures each series three times, in turns, and answers with the
// median of each.
func (b *bench) interleave(all ...series) []sample {
	samples := make([][]sample, len(all))
	for range 3 {
		for i, x := range all {
			if x.hash != nil {
				samples[i] = append(samples[i], bareHash(x.hash, b.each))
				continue
			}
			s, err := drive(x.process, x.clients, x.do, b.each)
			if err != nil {
				log.Fatal(errors.Join(err, errors.New(x.process.log())))
			}
			samples[i] = append(samples[i], s)
		}
	}
	medians := make([]sample, len(all))
	for i := range samples {
		medians[i] = median(samples[i])
	}
	return medians
}

func median(s []sample) sample {
	for i := range s {
		for j := i; j > 0 && cmp.Less(s[j].cpu, s[j-1].cpu); j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s[len(s)/2]
}

func ratio(a, b sample) float64  { return float64(a.cpu) / float64(b.cpu) }
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mb(n int64) float64         { return float64(n) / (1 << 20) }
func userEmail(i int) string     { return fmt.Sprintf("user%d@example.com", i) }

func (b *bench) print() {
	if len(b.rows) == 0 {
		return
	}
	fmt.Printf("%-36s %8s %12s %14s  %s\n", "operation", "clients", "ops/s", "server µs/op", "")
	for _, r := range b.rows {
		fmt.Printf("%-36s %8d %12.0f %14.1f  %s\n", r.what, r.clients, r.rate, float64(r.cpu.Nanoseconds())/1000, r.note)
	}
}

func printGoals(goals []goal) {
	fmt.Printf("\n%-46s %10s %12s\n", "goal", "is", "wanted")
	for _, g := range goals {
		sign, ok := "≥", g.is >= g.bound
		if g.atMost {
			sign, ok = "≤", g.is <= g.bound
		}
		verdict := "reached"
		if !ok {
			verdict = "NOT reached"
		}
		fmt.Printf("%-46s %10.2f %8s %.2f %-3s %s\n", g.what, g.is, sign, g.bound, g.measure, verdict)
	}
}

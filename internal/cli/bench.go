package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type benchGroup struct {
	Hash benchHash `cmd:"" help:"Measure password hashing on this machine, and suggest settings for it."`
}

type choice struct {
	memory server.Size
	passes uint32
	note   string
}

type benchHash struct {
	Target time.Duration `name:"target" default:"100ms" placeholder:"TIME" help:"How long one hash may take while all processors hash. Nobody feels 100ms; OWASP advises to stay below a second."`
	Time   time.Duration `name:"time" default:"150ms" placeholder:"TIME" help:"How long each of the measurements takes at least."`
}

// equals is how many of the choices are worth the same, the default the last.
const equals = 5

// choices are worth the same by OWASP's Password Storage Cheat Sheet, or more,
// the weakest first; all have one lane.
var choices = []choice{
	{7 << 20, 5, "OWASP"},
	{9 << 20, 4, "OWASP"},
	{12 << 20, 3, "OWASP"},
	{46 << 20, 1, "OWASP"},
	{19 << 20, 2, "OWASP, the default"},
	{32 << 20, 2, ""},
	{46 << 20, 2, ""},
	{64 << 20, 2, ""},
	{64 << 20, 3, "RFC 9106, but for the lanes"},
	{128 << 20, 3, ""},
}

// Run shows what the processors do; logins take about as long where nothing else
// is to do.
func (b benchHash) Run(p *program) error {
	if b.Target <= 0 || b.Time < 0 {
		return usageError("--target must be more than nothing, and --time not less")
	}
	all := runtime.GOMAXPROCS(0)
	how := "golang.org/x/crypto, without AVX2"
	if argon2.Fast() {
		how = "AVX2"
	}
	fmt.Fprintf(p.out, "argon2id (%s) on %s\n\n", how, count(all, "processor", "processors"))
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "memory\tpasses\tms, alone\tms, all busy\thashes/s\twithin %v\t\n", b.Target)
	var best choice
	var rate float64
	for i, c := range choices {
		// What is stronger than something that takes twice as long as it may is
		// not worth the wait, nor is what would press on the memory of the machine.
		if most := server.MachineMemory(); most > 0 && server.Size(all)*c.memory > most/2 {
			break
		}
		alone, err := measure(c, 1, b.Time)
		if err != nil {
			return err
		}
		busy, err := measure(c, all, b.Time)
		if err != nil {
			return err
		}
		within, each := "no", float64(all)/busy.Seconds()
		if busy <= b.Target {
			within, best, rate = "yes", c, each
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.0f\t%s\t  %s\n", c.memory, c.passes, milliseconds(alone), milliseconds(busy), each, within, c.note)
		if i >= equals && busy > 2*b.Target {
			break
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return b.suggest(p.out, best, rate, all)
}

func (b benchHash) suggest(out io.Writer, best choice, rate float64, workers int) error {
	if best.memory == 0 {
		_, err := fmt.Fprintf(out, `
None is done within %v. Do not go below what OWASP asks for: keep the default, and expect
logins to take longer, or use a machine with a faster processor.
`, b.Target)
		return err
	}
	_, err := fmt.Fprintf(out, `
The strongest within %v:

  GATEHOUSE_HASH_MEMORY=%s
  GATEHOUSE_HASH_TIME=%d

With it %.0f people can log in each second, and hashing takes %s while they do.
Passwords move to new parameters as their owners log in.
`, b.Target, best.memory, best.passes, rate, server.Size(workers)*best.memory)
	return err
}

// measure is how long a hash takes, in the median, with so many of them at once.
func measure(c choice, at int, least time.Duration) (time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var all sync.WaitGroup
	began := time.Now()
	for range at {
		all.Go(func() {
			var m argon2.Memory
			defer m.Release()
			// The first takes new pages from the operating system.
			for n := 0; n < 2 || time.Since(began) < least; n++ {
				start := time.Now()
				_, err := m.IDKey([]byte("correct horse battery staple"), make([]byte, 16), c.passes, uint32(c.memory>>10), 1, 32)
				mu.Lock()
				if n > 0 {
					took = append(took, time.Since(start))
				}
				failed = cmp.Or(failed, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[len(took)/2], failed
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

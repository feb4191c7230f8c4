// Command prove shows that the attacks of test/attack can succeed: it makes the
// service weak in every way that package weaken knows, one after the other, in a
// copy of the source, builds it, and lets the attacks run. Those that the
// mutation is for must fail, while ordinary use goes on working.
//
//	go run ./test/attack/prove [-only TEXT] [-jobs N]
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/test/attack/weaken"
)

func main() {
	only := flag.String("only", "", "prove only the mutations whose name, or one of whose cases, holds this text")
	jobs := flag.Int("jobs", 2, "how many at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, jobs int) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-prove-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	attacks := filepath.Join(dir, "attack.test")
	if out, err := command(ctx, root, "go", "test", "-c", "-o", attacks, "./test/attack").CombinedOutput(); err != nil {
		return fmt.Errorf("build the attacks: %w\n%s", err, out)
	}
	var mutations []weaken.Mutation
	for _, m := range weaken.All() {
		if strings.Contains(m.Name, only) || slices.ContainsFunc(m.Cases, func(c string) bool { return strings.Contains(c, only) }) {
			mutations = append(mutations, m)
		}
	}
	began, proven, cases := time.Now(), 0, 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan weaken.Mutation)
	for i := range jobs {
		wg.Go(func() {
			p := prover{ctx, root, filepath.Join(dir, fmt.Sprint(i)), attacks}
			for m := range work {
				err := p.prove(m)
				mu.Lock()
				if err != nil {
					fmt.Printf("NOT PROVEN  %s: %v\n", m.Name, err)
				} else {
					fmt.Printf("proven      %s: %s\n", m.Name, strings.Join(m.Cases, ", "))
					proven, cases = proven+1, cases+len(m.Cases)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutations {
		work <- m
	}
	close(work)
	wg.Wait()
	fmt.Printf("%d of %d mutations proven, which %d cases noticed, in %s\n", proven, len(mutations), cases, time.Since(began).Round(time.Second))
	if proven != len(mutations) {
		return errors.New("there are attacks that cannot fail, or mutations that do not work")
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// prover proves one mutation at a time, in a copy of the source of its own.
type prover struct {
	ctx     context.Context
	root    string
	dir     string
	attacks string // the compiled tests
}

func (p prover) prove(m weaken.Mutation) error {
	src := filepath.Join(p.dir, "src")
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	if err := copySource(p.root, src); err != nil {
		return fmt.Errorf("copy the source: %w", err)
	}
	if err := m.Apply(src); err != nil {
		return err
	}
	binary := filepath.Join(p.dir, "gatehouse")
	if out, err := command(p.ctx, src, "go", "build", "-trimpath", "-o", binary, "./cmd/gatehouse").CombinedOutput(); err != nil {
		return fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	// The tests are to fail: what they print is what counts.
	out, _ := command(p.ctx, p.dir, p.attacks, "-test.v", "-test.timeout=5m", "-test.run=^TestAttacks$", "-binary="+binary, "-cases="+strings.Join(m.Cases, ",")).CombinedOutput()
	if !bytes.Contains(out, []byte("--- PASS: TestAttacks/ordinary_use")) {
		return fmt.Errorf("ordinary use does not work any more:\n%s", last(out))
	}
	var survived []string
	for _, c := range m.Cases {
		if !bytes.Contains(out, []byte("--- FAIL: TestAttacks/"+c+" (")) {
			survived = append(survived, c)
		}
	}
	if len(survived) > 0 {
		return fmt.Errorf("not noticed by %s:\n%s", strings.Join(survived, ", "), last(out))
	}
	return nil
}

// last is the end of what was printed.
func last(out []byte) []byte { return out[max(0, len(out)-2000):] }

// copySource copies what the binary is built from.
func copySource(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"node_modules", "bin", "docs", "test", "tools", "testdata", "examples"}, d.Name())) {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
}

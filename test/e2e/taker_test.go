//go:build linux

package e2e

import (
	"bufio"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/mongo"
	"github.com/gatehouse-auth/gatehouse/store/postgres"
	"github.com/gatehouse-auth/gatehouse/store/redis"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// place is where an instance keeps its records: addresses as in the settings.
type place struct {
	database string // empty: SQLite in the data folder
	redis    string // empty: none
}

// env are the settings that say so.
func (p place) env() []string {
	var env []string
	if p.database != "" {
		env = append(env, "GATEHOUSE_DATABASE="+p.database)
	}
	if p.redis != "" {
		env = append(env, "GATEHOUSE_REDIS="+p.redis)
	}
	return env
}

// open opens the records beside an instance whose SQLite file, if it has one, is
// this one.
func (p place) open(ctx context.Context, file string) (gatehouse.Store, error) {
	store, err := p.behind(ctx, file)
	if err != nil || p.redis == "" {
		return store, err
	}
	_, secret, _ := strings.Cut(secretOf, "=")
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "gatehouse/redis/1", 32)
	if err != nil {
		return nil, err
	}
	client, err := redis.Open(ctx, p.redis, redis.Options{Key: gatehouse.NewSecret(key)})
	if err != nil {
		return nil, err
	}
	return client.Store(ctx, store)
}

func (p place) behind(ctx context.Context, file string) (gatehouse.Store, error) {
	switch scheme, _, _ := strings.Cut(p.database, ":"); scheme {
	case "":
		return sqlite.Open(file, sqlite.Options{})
	case "postgres":
		return postgres.Open(ctx, p.database, postgres.Options{})
	default:
		return mongo.Open(ctx, p.database, mongo.Options{})
	}
}

// Single-use proofs are made and taken by processes of their own, which are this
// test binary: what takes one in a program is a single call of the store, and a
// process can be killed in the middle of it. Such a process reads what to do, a
// line each, does several things at once, and writes of each what it was told
// before it does another.

// takerJob is the variable that makes a process of the test binary one of these.
const takerJob = "E2E_TAKER"

// hands is how many things such a process does at once.
const hands = 4

// take is the main function of such a process.
func take() error {
	ctx := context.Background()
	store, err := place{os.Getenv("E2E_DATABASE"), os.Getenv("E2E_REDIS")}.open(ctx, os.Getenv("E2E_FILE"))
	if err != nil {
		return err
	}
	orders := make(chan string)
	for range hands {
		go func() {
			for order := range orders {
				// One write, to a pipe: it is out, or it never was.
				fmt.Fprintf(os.Stdout, "%s %s\n", order, obey(ctx, store, order))
			}
		}()
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		orders <- in.Text()
	}
	return in.Err() // that is all: whoever gave the orders is gone
}

// obey carries an order out and says what it was told.
func obey(ctx context.Context, store gatehouse.Store, order string) string {
	what, id, _ := strings.Cut(order, " ")
	var err error
	switch what {
	case "ready":
		err = store.Ready(ctx)
	case "make":
		err = store.CreateChallenge(ctx, &gatehouse.Challenge{ID: id, Kind: "proof", ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)})
	case "take":
		_, err = store.TakeChallenge(ctx, id)
	}
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, gatehouse.ErrNotFound), errors.Is(err, gatehouse.ErrExists):
		return "refused"
	case errors.Is(err, gatehouse.ErrUnavailable):
		return "unclear: " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return "fault: " + strings.ReplaceAll(err.Error(), "\n", " ")
}

// taker is such a process, seen from the test.
type taker struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	over chan struct{} // closed when nothing more comes from it

	mu      sync.Mutex
	dead    bool
	why     string                     // of the last outcome that is unclear
	waiting map[string][]func(outcome) // by order: whom to tell what came of it
}

func startTaker(t *testing.T, name string, p place, file string) *taker {
	t.Helper()
	k := &taker{t: t, name: name, cmd: exec.Command(os.Args[0]), over: make(chan struct{}), waiting: map[string][]func(outcome){}}
	k.cmd.Env = append(os.Environ(), takerJob+"=1", "E2E_DATABASE="+p.database, "E2E_REDIS="+p.redis, "E2E_FILE="+file)
	k.cmd.Stderr = os.Stderr
	var err error
	k.in, err = k.cmd.StdinPipe()
	must(t, err)
	out, err := k.cmd.StdoutPipe()
	must(t, err)
	must(t, launch(k.cmd))
	go k.listen(out)
	return k
}

// listen hands on what the process was told. What it had been ordered and said
// nothing about when it ended may have taken place.
func (k *taker) listen(out io.Reader) {
	defer close(k.over)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		id, said, _ := strings.Cut(rest, " ")
		o := unclear
		switch said {
		case "done":
			o = done
		case "refused":
			o = refused
		default:
			why, isUnclear := strings.CutPrefix(said, "unclear: ")
			if isUnclear {
				k.mu.Lock()
				k.why = why
				k.mu.Unlock()
				break
			}
			k.t.Errorf("%s, told to %s: %s", k.name, what, said)
		}
		order := what + " " + id
		k.mu.Lock()
		tell := k.waiting[order][0]
		k.waiting[order] = k.waiting[order][1:]
		k.mu.Unlock()
		tell(o)
	}
	k.mu.Lock()
	k.dead = true
	k.mu.Unlock()
	for _, all := range k.waiting {
		for _, tell := range all {
			tell(unclear)
		}
	}
	_ = k.cmd.Wait() // it was killed
}

// order lets the process do something, and tells what came of it, later. It is
// false if the process has ended: then it never got the order.
func (k *taker) order(order string, tell func(outcome)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return false
	}
	k.waiting[order] = append(k.waiting[order], tell)
	_, _ = io.WriteString(k.in, order+"\n") // if that fails, it is about to be known as dead
	return true
}

// ask is order and the wait for what comes of it.
func (k *taker) ask(order string) (outcome, bool) {
	told := make(chan outcome, 1)
	if !k.order(order, func(o outcome) { told <- o }) {
		return unclear, false
	}
	return <-told, true
}

func (k *taker) kill() { _ = k.cmd.Process.Kill() }

// takers are several such processes, which race for each proof.
type takers struct {
	history *history
	all     []*taker
	under   sync.WaitGroup // takes
}

// race lets every process try to take a proof, with several hands.
func (r *takers) race(id string, handsOfEach int) {
	for _, k := range r.all {
		for range handsOfEach {
			r.under.Add(1)
			sent := k.order("take "+id, func(o outcome) {
				r.history.wasTaken(id, k.name, o)
				r.under.Done()
			})
			if !sent {
				r.under.Done()
			}
		}
	}
}

// live makes proofs in one of the processes, for all to race for, until stopped.
// Every fourth is left for later: it must outlast what is coming.
func (r *takers) live(k *taker, round int, pace time.Duration, stopped func() bool) {
	for n := 0; !stopped(); n++ {
		pause(pace)
		id := fmt.Sprintf("proof-%d-%s-%d", round, k.name, n)
		o, alive := k.ask("make " + id)
		if !alive {
			return
		}
		r.history.wasMade(id, o)
		if n%4 != 3 && o == done {
			r.race(id, 2)
		}
	}
}

// ready waits until all can go on.
func (r *takers) ready() {
	for _, k := range r.all {
		for began := time.Now(); ; pause(20 * time.Millisecond) {
			o, alive := k.ask("ready now")
			if !alive {
				k.t.Fatalf("%s has ended by itself", k.name)
			}
			if o == done {
				break
			}
			if time.Since(began) > 30*time.Second {
				k.mu.Lock()
				defer k.mu.Unlock()
				k.t.Fatalf("%s cannot go on: %s", k.name, k.why)
			}
		}
	}
}

// check lets them race for everything that was left, and try again what somebody
// has.
func (r *takers) check() {
	r.under.Wait()
	r.ready()
	open, used := r.history.open(8)
	for _, id := range open {
		r.race(id, 1)
	}
	for _, id := range used {
		r.race(id, 1)
	}
	r.under.Wait()
	r.history.settle()
}

func (r *takers) kill() {
	for _, k := range r.all {
		k.kill()
	}
	for _, k := range r.all {
		<-k.over
	}
}

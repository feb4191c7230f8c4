package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/expiring"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// crowdSize is how many sessions take turns where each is to be read from the store:
// so many that none comes again while it is remembered.
const crowdSize = 16_000

// identity is what a browser shows.
type identity struct{ access, refresh string }

// inTurn does an operation with one identity after the other. Those of one client
// are its own.
func inTurn(ids []identity, clients []*client, do operation) operation {
	next, share := map[*client]int{}, len(ids)/len(clients)
	mine := map[*client][]identity{}
	for i, c := range clients {
		mine[c] = ids[i*share : (i+1)*share]
	}
	var mu sync.Mutex
	return func(c *client) error {
		mu.Lock()
		own, n := mine[c], next[c]
		next[c] = (n + 1) % share
		mu.Unlock()
		c.access, c.refresh = own[n].access, own[n].refresh
		err := do(c)
		own[n] = identity{c.access, c.refresh}
		return err
	}
}

// cost is what one operation takes.
type cost struct {
	sample
	database time.Duration // processor time of the database
	queries  float64       // that the database has answered; -1 if it does not say
}

// costs are those of a place.
type costs struct {
	size                                 int
	me, meRead, refresh, login, newcomer cost
	filled                               float64 // users in a second
}

// at measures one operation at a place.
func (b *bench) at(ctx context.Context, p *place, server *process, clients []*client, do operation) (cost, error) {
	before, err := usage(ctx, p)
	if err != nil {
		return cost{}, err
	}
	n := 0.0
	s, err := drive(server, clients, func(c *client) error { return do(c) }, b.each)
	if err != nil {
		return cost{}, errors.Join(err, errors.New(server.log()))
	}
	// drive has each client do it once before it measures.
	n = s.rate*b.each.Seconds() + float64(len(clients))
	after, err := usage(ctx, p)
	if err != nil {
		return cost{}, err
	}
	c := cost{sample: s, database: time.Duration(float64(after.cpu-before.cpu) / n), queries: -1}
	if p.queries != nil {
		c.queries = (after.queries - before.queries) / n
	}
	return c, nil
}

// used is what a database has used so far.
type used struct {
	cpu     time.Duration
	queries float64
}

func usage(ctx context.Context, p *place) (u used, err error) {
	if p.queries != nil {
		if u.queries, err = p.queries(ctx); err != nil {
			return u, err
		}
	}
	for _, pid := range p.processes() {
		t, err := processorTime(pid)
		if err != nil {
			continue // a process of it has ended
		}
		u.cpu += t
	}
	return u, nil
}

// measure fills a place, unless it is filled, and measures it.
func (b *bench) measure(ctx context.Context, p *place, users int, fill bool) (c costs, err error) {
	c.size = users
	if fill {
		if c.filled, err = p.fill(ctx, b.binary, users); err != nil {
			return c, fmt.Errorf("fill %s: %w", p.name, err)
		}
	}
	server, err := p.start(ctx, b.binary)
	if err != nil {
		return c, err
	}
	defer server.stop()
	crowd, err := p.crowd(ctx, b.crowdAt(p), users)
	if err != nil {
		return c, fmt.Errorf("crowd of %s: %w", p.name, err)
	}
	clients := make([]*client, 8)
	for i := range clients {
		clients[i] = anonymous(server.url)
	}
	workers := 2 * runtime.GOMAXPROCS(0)
	few := slices.Clone(crowd[:64])
	// A first pass, so that what is to be in Redis is there.
	if p.redis != "" {
		if err := pass(crowd, clients); err != nil {
			return c, err
		}
	}
	for _, m := range []struct {
		to      *cost
		clients []*client
		do      operation
	}{
		{&c.me, clients, inTurn(few, clients, getMe)},
		{&c.meRead, clients, inTurn(crowd, clients, getMe)},
		{&c.refresh, clients, inTurn(crowd, clients, postRefresh)},
		{&c.login, clients[:workers], postLogins(users)},
		{&c.newcomer, clients[:workers], postRegister()},
	} {
		if *m.to, err = b.at(ctx, p, server, m.clients, m.do); err != nil {
			return c, fmt.Errorf("%s, %d users: %w", p.name, users, err)
		}
	}
	return c, nil
}

func (b *bench) crowdAt(p *place) int {
	if p.name == standInName {
		return 512 // it takes milliseconds for each
	}
	return crowdSize
}

// pass asks once for each of the crowd.
func pass(crowd []identity, clients []*client) error {
	do := inTurn(crowd, clients, getMe)
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			for range len(crowd) / len(clients) {
				if errs[i] = do(c); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// stores measures each engine at two sizes.
func (b *bench) stores(ctx context.Context, folder string, large int) ([]goal, error) {
	postgres, err := service.StartPostgres(service.PostgresOptions{Durable: true, Settings: []string{"shared_buffers = 512MB", "max_wal_size = 4GB", "shared_preload_libraries = 'pg_stat_statements'"}})
	if err != nil {
		return nil, err
	}
	defer postgres.Close()
	redisFolder := filepath.Join(folder, "redis")
	if err := os.MkdirAll(redisFolder, 0o700); err != nil {
		return nil, err
	}
	redis, err := service.StartRedis(redisFolder)
	if err != nil {
		return nil, err
	}
	defer redis.Kill()
	results := map[string][]costs{}
	var order []string
	measure := func(p *place, users int, fill bool) error {
		c, err := b.measure(ctx, p, users, fill)
		if err != nil {
			return err
		}
		if results[p.name] == nil {
			order = append(order, p.name)
		}
		results[p.name] = append(results[p.name], c)
		return nil
	}
	for i, users := range []int{1_000, large} {
		at := func(name string) string { return filepath.Join(folder, name+strconv.Itoa(users)) }
		if err := measure(sqlitePlace(at("sqlite")), users, true); err != nil {
			return nil, err
		}
		p, err := postgresPlace(ctx, postgres, at("postgres"), "bench"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		if err := measure(p, users, true); err != nil {
			return nil, err
		}
		if err := measure(p.behindRedis(redis, i), users, false); err != nil {
			return nil, err
		}
	}
	if err := b.mongo(ctx, folder, large, measure); err != nil {
		return nil, err
	}
	b.printStores(order, results)
	goals := append(storeGoals(order, results), terminatedGoals()...)
	const imported = 200_000
	for i, p := range []func() (*place, error){
		func() (*place, error) { return sqlitePlace(filepath.Join(folder, "import0")), nil },
		func() (*place, error) {
			return postgresPlace(ctx, postgres, filepath.Join(folder, "import1"), "import")
		},
	} {
		into, err := p()
		if err != nil {
			return nil, err
		}
		rate, err := b.imports(ctx, into, imported)
		if err != nil {
			return nil, fmt.Errorf("import %d: %w", i, err)
		}
		goals = append(goals, goal{into.name + ": users imported", rate, false, 20_000, "/s"})
	}
	p, err := postgresPlace(ctx, postgres, filepath.Join(folder, "hints"), "hints")
	if err != nil {
		return nil, err
	}
	late, err := b.staleness(ctx, p)
	if err != nil {
		return nil, err
	}
	return append(goals, goal{"terminated elsewhere, p99", ms(late), true, 1000, "ms"}), nil
}

// mongo measures the server of TEST_MONGODB_URI as the others are, or else what
// stands in for it: that one looks through all documents to change one, and a
// large store would say nothing of MongoDB.
func (b *bench) mongo(ctx context.Context, folder string, large int, measure func(*place, int, bool) error) (err error) {
	uri := os.Getenv("TEST_MONGODB_URI")
	if uri == "" {
		at := filepath.Join(folder, "mongo")
		if err := os.MkdirAll(at, 0o700); err != nil {
			return err
		}
		m, err := service.StartMongo(at)
		if err != nil {
			return err
		}
		defer m.Kill()
		return measure(standInPlace(m, filepath.Join(folder, "ferretdb"), "bench"), 1_000, true)
	}
	for _, users := range []int{1_000, large} {
		name := fmt.Sprintf("gatehouse_bench_%d", users)
		database, err := service.MongoDatabase(uri, name)
		if err != nil {
			return err
		}
		if err := dropMongo(ctx, database); err != nil { // of a run that was broken off
			return err
		}
		err = measure(mongoPlace("MongoDB", database, filepath.Join(folder, name)), users, true)
		if err := errors.Join(err, dropMongo(ctx, database)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) printStores(order []string, results map[string][]costs) {
	fmt.Printf("\n%-24s %8s  %-24s %10s %12s %14s %10s\n", "database", "users", "operation", "ops/s", "server µs/op", "database µs/op", "queries/op")
	for _, name := range order {
		for _, c := range results[name] {
			for _, l := range []struct {
				what string
				cost
			}{
				{"me, 64 sessions", c.me}, {"me, read from the store", c.meRead}, {"refresh", c.refresh}, {"login", c.login}, {"register", c.newcomer},
			} {
				queries := "-"
				if l.queries >= 0 {
					queries = fmt.Sprintf("%.2f", l.queries)
				}
				fmt.Printf("%-24s %8d  %-24s %10.0f %12.1f %14.1f %10s\n", name, c.size, l.what, l.rate, micros(l.cpu), micros(l.database), queries)
			}
			if c.filled > 0 {
				fmt.Printf("%-24s %8d  %-24s %10.0f\n", name, c.size, "users filled in", c.filled)
			}
		}
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// storeGoals are what is to be reached by each engine.
func storeGoals(order []string, results map[string][]costs) (goals []goal) {
	total := func(c cost) float64 { return micros(c.cpu + c.database) }
	for _, name := range order {
		r := results[name]
		if len(r) < 2 {
			continue
		}
		small, large := r[0], r[1]
		for _, x := range []struct {
			what         string
			small, large cost
		}{{"me", small.me, large.me}, {"me, read", small.meRead, large.meRead}, {"refresh", small.refresh, large.refresh}} {
			goals = append(goals, goal{fmt.Sprintf("%s: %s, large / small", name, x.what), total(x.large) / total(x.small), true, 1.25, ""})
		}
		if large.refresh.queries >= 0 && strings.HasSuffix(name, "Redis") {
			goals = append(goals, goal{name + ": queries for me", large.meRead.queries, true, 0.01, ""})
		} else if large.refresh.queries >= 0 {
			goals = append(goals, goal{name + ": queries for me", large.meRead.queries, true, 2.01, ""},
				goal{name + ": queries for refresh", large.refresh.queries, true, 3.01, ""})
		}
		if large.filled > 0 {
			goals = append(goals, goal{name + ": users filled in", large.filled, false, 20_000, "/s"})
		}
	}
	return goals
}

// terminatedGoals measure what a token is held against in every request.
func terminatedGoals() []goal {
	const sessions = 100_000
	now := time.Now()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set := expiring.NewSet(2 * sessions)
	var key expiring.Key
	at := func(i int) expiring.Key {
		for n := range 8 {
			key[n], key[8+n] = byte(i*31>>(4*n)), byte(i*2654435761>>(4*n))
		}
		return key
	}
	for i := range sessions {
		set.Add(at(i), now.Add(time.Hour), now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	i := 0
	r := testing.Benchmark(func(t *testing.B) {
		for t.Loop() {
			i += 7919
			_ = set.Has(at(i%(2*sessions)), now)
		}
	})
	runtime.KeepAlive(set)
	return []goal{
		{"token against 100,000 terminated sessions", float64(r.NsPerOp()), true, 200, "ns"},
		{"memory of 100,000 terminated sessions", float64(after.HeapAlloc-before.HeapAlloc) / 1e6, true, 10, "MB"},
	}
}

package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// The benchmarks use records of the size that Gatehouse writes, and a server that
// syncs what it commits.

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func benchID(n int) string { return fmt.Sprintf("01938c00-5a2f-7000-8000-%012x", n) }

func benchUser(n int) *gatehouse.User {
	return &gatehouse.User{
		ID: benchID(n), Email: fmt.Sprintf("Ann%d@example.com", n), EmailKey: fmt.Sprintf("ann%d@example.com", n),
		Name: "Ann Example", Roles: []string{"admin"}, Epoch: 1, CreatedAt: epoch, UpdatedAt: epoch, Version: 1,
		Credentials: []gatehouse.Credential{{
			ID: benchID(n), Kind: "password", CreatedAt: epoch, ChangedAt: epoch,
			Hash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ZmFrZWhhc2hmYWtlaGFzaGZha2VoYXNoZmFrZWhhc2g",
		}},
	}
}

func benchSession(n int) *gatehouse.Session {
	return &gatehouse.Session{
		ID: benchID(n), UserID: benchID(n), Epoch: 1, Generation: 1, RotatedAt: epoch, CreatedAt: epoch, Version: 1,
		AuthenticatedAt: epoch, LastSeenAt: epoch, Methods: []string{"pwd"}, InactiveAt: epoch.AddDate(0, 0, 7),
		EndsAt: epoch.AddDate(0, 0, 30), ExpiresAt: epoch.AddDate(0, 0, 30), Address: "192.0.2.7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}
}

// benchStores runs f for one caller and for 64, directly and behind pgbouncer, on a
// database with n users and as many sessions.
func benchStores(b *testing.B, n int, f func(b *testing.B, s *Store, callers int)) {
	p := service.Postgres(b, service.PostgresOptions{Durable: true, Settings: []string{"shared_buffers = 512MB", "max_wal_size = 4GB"}})
	bouncer := service.PgBouncer(b, p, "transaction", "default_pool_size = 32")
	direct := openStore(b, p.URL("postgres"), Options{})
	for first := 0; first < n; first += 2000 {
		r := &gatehouse.Records{}
		for i := first; i < min(first+2000, n); i++ {
			r.Users, r.Sessions = append(r.Users, benchUser(i)), append(r.Sessions, benchSession(i))
		}
		if _, err := direct.Load(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	p.Run(b, "postgres", `VACUUM ANALYZE`)
	p.Run(b, "postgres", `CHECKPOINT`)
	for _, way := range []struct {
		name  string
		store *Store
	}{{"direct", direct}, {"pgbouncer", openStore(b, bouncer.URL("postgres"), Options{})}} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("users=%d/%s/callers=%d", n, way.name, callers), func(b *testing.B) {
				b.ReportAllocs()
				f(b, way.store, callers)
			})
		}
	}
}

// parallel calls f for 0 … n-1 from many goroutines.
func parallel(b *testing.B, goroutines, n int, f func(i int) error) {
	errs := make(chan error, goroutines)
	var next atomic.Int64
	for range goroutines {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					errs <- nil
					return
				}
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMe is the two reads that tell who somebody is.
func BenchmarkMe(b *testing.B) {
	for _, users := range []int{1000, 200_000} {
		benchStores(b, users, func(b *testing.B, s *Store, callers int) {
			parallel(b, callers, b.N, func(i int) error {
				if _, err := s.Session(b.Context(), benchID(i*7919%users)); err != nil {
					return err
				}
				_, err := s.User(b.Context(), benchID(i*7919%users))
				return err
			})
		})
	}
}

// BenchmarkRefresh is the write of a refresh, durable each.
func BenchmarkRefresh(b *testing.B) {
	for _, users := range []int{10_000, 200_000} {
		versions := make([]int64, users)
		benchStores(b, users, func(b *testing.B, s *Store, callers int) {
			parallel(b, callers, b.N, func(i int) error {
				n := i * 7919 % users // never two at a time the same
				x := benchSession(n)
				x.Version += versions[n]
				x.Generation, x.RotatedAt = x.Generation+versions[n]+1, x.RotatedAt.Add(time.Second)
				versions[n]++
				return s.SaveSession(b.Context(), x)
			})
		})
	}
}

// BenchmarkLoad is users that are moved in.
func BenchmarkLoad(b *testing.B) {
	p := service.Postgres(b, service.PostgresOptions{Durable: true, Settings: []string{"max_wal_size = 4GB"}})
	s, err := Open(b.Context(), p.URL("postgres"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const batch = 1000
	next := 0
	for b.Loop() {
		r := &gatehouse.Records{}
		for range batch {
			r.Users = append(r.Users, benchUser(next))
			next++
		}
		if left, err := s.Load(b.Context(), r); err != nil || left.Len() > 0 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "users/s")
}

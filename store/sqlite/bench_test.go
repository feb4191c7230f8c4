package sqlite

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// The benchmarks use records of the size that Gatehouse writes: one password,
// a browser's user agent, version 7 UUIDs.

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func benchID(n int) string { return fmt.Sprintf("01938c00-5a2f-7000-8000-%012x", n) }

func benchUser(n int) *gatehouse.User {
	return &gatehouse.User{
		ID: benchID(n), Email: fmt.Sprintf("Ann%d@example.com", n), EmailKey: fmt.Sprintf("ann%d@example.com", n),
		Name: "Ann Example", Roles: []string{"admin"}, Epoch: 1, CreatedAt: epoch, UpdatedAt: epoch,
		Credentials: []gatehouse.Credential{{
			ID: benchID(n), Kind: "password", CreatedAt: epoch, ChangedAt: epoch,
			Hash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ZmFrZWhhc2hmYWtlaGFzaGZha2VoYXNoZmFrZWhhc2g",
		}},
	}
}

func benchSession(n int) *gatehouse.Session {
	return &gatehouse.Session{
		ID: benchID(n), UserID: benchID(n), Epoch: 1, Generation: 1, RotatedAt: epoch, CreatedAt: epoch,
		AuthenticatedAt: epoch, LastSeenAt: epoch, Methods: []string{"pwd"}, InactiveAt: epoch.AddDate(0, 0, 7),
		EndsAt: epoch.AddDate(0, 0, 30), ExpiresAt: epoch.AddDate(0, 0, 30), Address: "192.0.2.7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}
}

func benchStore(b *testing.B, n int) *Store {
	s := open(b, filepath.Join(b.TempDir(), "gatehouse.db"), Options{})
	parallel(b, 64, n, func(i int) error {
		if err := s.CreateUser(b.Context(), benchUser(i)); err != nil {
			return err
		}
		return s.CreateSession(b.Context(), benchSession(i))
	})
	b.ReportAllocs()
	b.ResetTimer()
	return s
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

func BenchmarkUser(b *testing.B) {
	for _, users := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			s := benchStore(b, users)
			for i := 0; b.Loop(); i++ {
				if _, err := s.User(b.Context(), benchID(i*7919%users)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSession(b *testing.B) {
	s := benchStore(b, 1000)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Session(b.Context(), benchID(i*7919%1000)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefresh is the write of a refresh, durable each.
func BenchmarkRefresh(b *testing.B) {
	for _, callers := range []int{1, 4, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			const many = 10_000
			s := benchStore(b, many)
			cpu := cpuTime(b)
			parallel(b, callers, b.N, func(i int) error {
				// Far apart, so that each changes a page of its own, and never
				// two at a time the same.
				x := benchSession(i * 7919 % many)
				x.Version = int64(i/many) + 1
				x.Generation, x.RotatedAt = x.Generation+1, x.RotatedAt.Add(time.Second)
				return s.SaveSession(b.Context(), x)
			})
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func BenchmarkCreateSession(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			s := benchStore(b, 0)
			cpu := cpuTime(b)
			parallel(b, callers, b.N, func(i int) error { return s.CreateSession(b.Context(), benchSession(i)) })
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkAppendEvent is an event of a login, with its place in a chain.
func BenchmarkAppendEvent(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			s := benchStore(b, 0)
			cpu := cpuTime(b)
			parallel(b, callers, b.N, func(i int) error {
				return s.AppendEvent(b.Context(), &gatehouse.Event{
					ID: benchID(i), At: epoch, Kind: "login", Outcome: "ok", UserID: benchID(i * 7919 % 1000), SessionID: benchID(i),
					Address: "192.0.2.7", Ref: "0123456789abcdef", Data: map[string]string{"method": "pwd"}, ExpiresAt: epoch.AddDate(0, 0, 90),
					UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
					Chain:     benchID(0), Sequence: int64(i), Proof: make([]byte, 85),
				})
			})
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkLoad is users of an import, 500 at a time, with and without keys of
// their own, while nobody else writes.
func BenchmarkLoad(b *testing.B) {
	for _, keys := range []int{0, 2} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			s := benchStore(b, 0)
			cpu := cpuTime(b)
			for n := 0; n < b.N; {
				r := &gatehouse.Records{}
				for len(r.Users) < 500 && n < b.N {
					u := benchUser(n)
					u.Version = 1
					for k := range keys {
						u.Keys = append(u.Keys, fmt.Sprintf("key:%d:%d", k, n))
					}
					r.Users = append(r.Users, u)
					n++
				}
				if taken, err := s.Load(b.Context(), r); err != nil || taken.Len() > 0 {
					b.Fatal(taken, err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "users/s")
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkWalk is a user of a walk through all.
func BenchmarkWalk(b *testing.B) {
	s := benchStore(b, b.N)
	n := 0
	err := s.Walk(b.Context(), func(r *gatehouse.Records) error {
		n += len(r.Users)
		return nil
	})
	if err != nil || n != b.N {
		b.Fatalf("%d users, want %d; err = %v", n, b.N, err)
	}
}

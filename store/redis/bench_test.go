package redis

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// benchStore is a store with sessions in it, on a server that writes to disk before
// it answers.
func benchStore(b *testing.B, url string, o Options, sessions int) *Store {
	o.Prefix = prefix()
	s := openStore(b, url, o, memory.New())
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for n := range sessions {
		err := s.CreateSession(b.Context(), &gatehouse.Session{
			ID: fmt.Sprintf("01938c00-5a2f-7000-8000-%012x", n), UserID: "01938c00-5a2f-7000-8000-000000000000", Epoch: 1,
			CreatedAt: day, AuthenticatedAt: day, LastSeenAt: day, InactiveAt: day, EndsAt: day, ExpiresAt: day, Methods: []string{"pwd"},
			Address: "192.0.2.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.CreateUser(b.Context(), ann("u")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return s
}

// callers runs f from one goroutine, and from 64.
func callers(b *testing.B, sessions int, f func(s *Store, n int) error) {
	callersOf(b, shared.URL(), Options{}, sessions, f)
}

func callersOf(b *testing.B, url string, o Options, sessions int, f func(s *Store, n int) error) {
	b.Run("callers=1", func(b *testing.B) {
		s := benchStore(b, url, o, sessions)
		for n := 0; b.Loop(); n++ {
			if err := f(s, n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("callers=64", func(b *testing.B) {
		s := benchStore(b, url, o, sessions)
		var next atomic.Int64
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := f(s, int(next.Add(1))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func benchID(n int) string { return fmt.Sprintf("01938c00-5a2f-7000-8000-%012x", n%1000) }

func BenchmarkSession(b *testing.B) {
	callers(b, 1000, func(s *Store, n int) error {
		_, err := s.Session(b.Context(), benchID(n))
		return err
	})
}

// BenchmarkRefresh is the write of a refresh, on disk before it is answered. Of the
// callers that meet at one session, all but one are told that they are stale.
func BenchmarkRefresh(b *testing.B) { callers(b, 1000, refreshing(b)) }

func refreshing(b *testing.B) func(s *Store, n int) error {
	versions := make([]atomic.Int64, 1000)
	return func(s *Store, n int) error {
		v := &versions[n%1000]
		x := &gatehouse.Session{ID: benchID(n), UserID: "01938c00-5a2f-7000-8000-000000000000", Version: max(1, v.Load())}
		err := s.SaveSession(b.Context(), x)
		if err == nil {
			v.Store(x.Version)
			return nil
		}
		got, err := s.Session(b.Context(), x.ID) // another run, or another caller
		if err == nil {
			v.Store(got.Version)
		}
		return err
	}
}

// BenchmarkReplicas is what waiting for a replica on the same machine costs: of a
// refresh, and of what a login writes.
func BenchmarkReplicas(b *testing.B) {
	primary, _ := pairOf(b)
	for _, waited := range []int{NoReplicas, 1} {
		o, name := Options{Replicas: waited}, fmt.Sprint(max(0, waited))
		b.Run("refresh/waited="+name, func(b *testing.B) { callersOf(b, primary.URL(), o, 1000, refreshing(b)) })
		b.Run("login/waited="+name, func(b *testing.B) {
			callersOf(b, primary.URL(), o, 0, func(s *Store, n int) error {
				return s.CreateSession(b.Context(), &gatehouse.Session{ID: fmt.Sprint(n), UserID: fmt.Sprint(n % 1000), Methods: []string{"pwd"}})
			})
		})
	}
}

// BenchmarkUser is a user that has a copy.
func BenchmarkUser(b *testing.B) {
	callers(b, 0, func(s *Store, _ int) error {
		_, err := s.User(b.Context(), "u")
		return err
	})
}

func BenchmarkChallenge(b *testing.B) {
	callers(b, 0, func(s *Store, n int) error {
		id := fmt.Sprint(n)
		if err := s.CreateChallenge(b.Context(), &gatehouse.Challenge{ID: id, Kind: "link"}); err != nil {
			return err
		}
		_, err := s.TakeChallenge(b.Context(), id)
		return err
	})
}

// BenchmarkTake books what a login books.
func BenchmarkTake(b *testing.B) {
	callers(b, 0, func(s *Store, n int) error {
		l := gatehouse.Limit{Burst: 1_000_000, Every: time.Second}
		_, err := s.c.Limiter().Take(b.Context(), []gatehouse.Claim{
			{Lane: "login-source", Key: "192.0.2.7", Limit: l}, {Lane: "login-user-source", Key: fmt.Sprint("192.0.2.7 ", n%1000), Limit: l},
			{Lane: "login-user", Key: fmt.Sprint(n % 1000), Limit: l},
		})
		return err
	})
}

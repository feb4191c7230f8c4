package postgres

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// wire counts round trips: how often something is sent after something came.
type wire struct {
	net.Conn
	trips   *atomic.Int64
	sending bool
}

func (w *wire) Write(b []byte) (int, error) {
	if !w.sending {
		w.sending = true
		w.trips.Add(1)
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.sending = w.sending && n == 0
	return n, err
}

// counted is a store with one connection, and the round trips on it.
func counted(t *testing.T, url string) (*Store, *atomic.Int64) {
	t.Helper()
	target, err := parse(url)
	if err != nil {
		t.Fatal(err)
	}
	trips := new(atomic.Int64)
	dial := target.pool.ConnConfig.DialFunc
	target.pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return &wire{Conn: c, trips: trips}, err
	}
	target.pool.MaxConns = 1
	s, err := open(t.Context(), target, Options{Timeout: 10 * time.Second}, Options{}.bounds())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, trips
}

// Each method is one round trip, where one record is enough, also behind a pooler
// and also where a commit has to be told to wait for the disk.
func TestRoundTrips(t *testing.T) {
	b := service.PgBouncer(t, server, "transaction")
	asynchronous := server.Database(t)
	server.Run(t, "postgres", `ALTER DATABASE `+asynchronous+` SET synchronous_commit TO off`)
	for name, url := range map[string]string{
		"direct":                              database(t),
		"pgbouncer":                           b.URL(server.Database(t)),
		"pgbouncer, synchronous_commit = off": b.URL(asynchronous),
	} {
		t.Run(name, func(t *testing.T) {
			s, trips := counted(t, url)
			ctx := t.Context()
			now := time.Now()
			x := session(1)
			moved := func() error { x.ExpiresAt = x.ExpiresAt.Add(time.Hour); return s.SaveSession(ctx, x) }
			for _, c := range []struct {
				name string
				want int64
				call func(n int) error
			}{
				{"CreateUser", 1, func(n int) error { return s.CreateUser(ctx, user(n)) }},
				{"CreateUser with keys", 5, func(n int) error { return s.CreateUser(ctx, user(n+1000, fmt.Sprint("a", n), fmt.Sprint("b", n))) }},
				{"User", 1, func(int) error { _, err := s.User(ctx, "u1"); return err }},
				{"UserByEmail", 1, func(int) error { _, err := s.UserByEmail(ctx, "u1@example.com"); return err }},
				{"UserByKey", 1, func(int) error { _, err := s.UserByKey(ctx, "a1"); return err }},
				{"SaveUser", 4, func(n int) error { u := user(1); u.Version = int64(n); return s.SaveUser(ctx, u) }},
				{"CreateSession", 1, func(n int) error {
					if n == 1 {
						return s.CreateSession(ctx, x)
					}
					return s.CreateSession(ctx, session(n))
				}},
				{"Session", 1, func(int) error { _, err := s.Session(ctx, "s1"); return err }},
				{"SaveSession", 1, func(int) error { return s.SaveSession(ctx, x) }},
				{"SaveSession with another deadline", 2, func(int) error { return moved() }},
				{"SessionsOf", 1, func(int) error { _, err := s.SessionsOf(ctx, "u"); return err }},
				{"CreateChallenge", 1, func(n int) error { return s.CreateChallenge(ctx, &gatehouse.Challenge{ID: fmt.Sprint("c", n)}) }},
				{"TakeChallenge", 1, func(n int) error { _, err := s.TakeChallenge(ctx, fmt.Sprint("c", n)); return err }},
				{"AppendEvent", 1, func(n int) error { return s.AppendEvent(ctx, &gatehouse.Event{ID: fmt.Sprint("e", n)}) }},
				{"Events", 1, func(int) error { _, err := s.Events(ctx, gatehouse.EventQuery{Limit: 2}); return err }},
				{"SaveSetting", 1, func(n int) error { return s.SaveSetting(ctx, &gatehouse.Setting{Name: fmt.Sprint("x", n)}) }},
				{"CreateTask", 1, func(n int) error {
					return s.CreateTask(ctx, &gatehouse.Task{ID: fmt.Sprint("t", n), Kind: "mail", DueAt: now})
				}},
				{"ClaimTask", 1, func(int) error { _, err := s.ClaimTask(ctx, []string{"mail"}, now, now.Add(1)); return err }},
				{"Sweep", 4, func(int) error { _, err := s.Sweep(ctx, now, 10); return err }},
				{"Ready", 2, func(int) error { return s.Ready(ctx) }},
				{"Load", 3 + 2, func(n int) error {
					_, err := s.Load(ctx, &gatehouse.Records{Users: []*gatehouse.User{user(n + 2000), user(n + 3000)}, Sessions: []*gatehouse.Session{session(n + 2000)}})
					return err
				}},
			} {
				// The first time of a statement it may be prepared.
				for n := 1; n <= 2; n++ {
					before := trips.Load()
					if err := c.call(n); err != nil {
						t.Fatalf("%s: %v", c.name, err)
					}
					if got := trips.Load() - before; n > 1 && got != c.want {
						t.Errorf("%s: %d round trips, want %d", c.name, got, c.want)
					}
				}
			}
		})
	}
}

// In a process that knows nothing yet of a user and a session, to ask who one is
// takes two round trips at most, and a refresh three.
func TestRoundTripsOfRequests(t *testing.T) {
	const users = 30
	url := database(t)
	secret := gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
	here := gatehousetest.New(t, gatehouse.Config{Store: openStore(t, url, Options{}), Secret: secret})
	var logins []*gatehouse.Login
	for n := range users {
		here.Register(fmt.Sprintf("ann%d@example.com", n))
		logins = append(logins, here.Login(fmt.Sprintf("ann%d@example.com", n)))
	}
	for _, c := range []struct {
		name string
		want int64
		call func(*gatehousetest.Auth, *gatehouse.Login) error
	}{
		{"me", 2, func(a *gatehousetest.Auth, l *gatehouse.Login) error {
			_, err := a.Authenticate(t.Context(), l.AccessToken)
			return err
		}},
		{"refresh", 3, func(a *gatehousetest.Auth, l *gatehouse.Login) error {
			_, err := a.Refresh(t.Context(), l.RefreshToken)
			return err
		}},
	} {
		s, trips := counted(t, url)
		there := gatehousetest.New(t, gatehouse.Config{Store: s, Secret: secret})
		if err := c.call(there, logins[0]); err != nil { // what it prepares
			t.Fatal(err)
		}
		// What it does by itself meanwhile is a few at most, in this time.
		before := trips.Load()
		for _, l := range logins[1:] {
			if err := c.call(there, l); err != nil {
				t.Fatal(err)
			}
		}
		got := trips.Load() - before
		t.Logf("%s: %d round trips for %d", c.name, got, users-1)
		if got > c.want*(users-1)+users/2 {
			t.Errorf("%s: %d round trips for %d, want at most %d each", c.name, got, users-1, c.want)
		}
		if err := there.Close(); err != nil {
			t.Error(err)
		}
	}
}

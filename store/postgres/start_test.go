package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// short are bounds for a test that waits until they are over.
var short = bounds{step: time.Second, others: 300 * time.Millisecond, tables: 300 * time.Millisecond, work: 300 * time.Millisecond}

// Whoever starts while somebody holds a table of Gatehouse learns it.
func TestAStartDoesNotWaitForATableForEver(t *testing.T) {
	ctx, db := t.Context(), server.Database(t)
	url := server.URL(db)
	openStore(t, url, Options{})
	holder := asker(t, url)
	if _, err := holder.Exec(ctx, `BEGIN; LOCK TABLE gatehouse.gatehouse_schema`); err != nil {
		t.Fatal(err)
	}
	target, err := parse(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := prepare(ctx, target, short, nil, func(*start) {}); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "another transaction holds the tables") {
		t.Errorf("err = %v", err)
	}
	if _, err := holder.Exec(ctx, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	openStore(t, url, Options{})
}

// Another process that migrates is waited for, which is said, also while it holds the
// tables that are to be looked at; in the end whoever waits gives up, and says what to do.
func TestAStartWaitsForWhoMigrates(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct{ db, more string }{
		"empty":                     {server.Database(t), ``},
		"old":                       {schemaOne(t), ``},
		"old, and the table is his": {schemaOne(t), `; LOCK TABLE gatehouse.gatehouse_schema`},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := parse(server.URL(c.db))
			if err != nil {
				t.Fatal(err)
			}
			holder := asker(t, server.URL(c.db))
			pid := answer(t, holder, `SELECT pg_backend_pid()::text`)
			if _, err := holder.Exec(ctx, fmt.Sprintf(`BEGIN; SELECT pg_advisory_xact_lock(%d)`, target.lock())+c.more); err != nil {
				t.Fatal(err)
			}
			var said []string
			tell := func(why string) { said = append(said, why) }
			_, _, err = prepare(ctx, target, short, tell, func(*start) {})
			if !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "SELECT pg_terminate_backend("+pid+")") {
				t.Errorf("err = %v, want one that names server process %s", err, pid)
			}

			// Once more, and the other one ends when it is waited for.
			said = nil
			longer := short
			longer.others, longer.work, longer.step = time.Minute, time.Minute, 10*time.Second
			if c.more != "" {
				longer.step = short.step // for the lock of the table
			}
			_, to, err := prepare(ctx, target, longer, func(why string) {
				tell(why)
				if _, err := holder.Exec(ctx, `COMMIT`); err != nil {
					t.Error(err)
				}
			}, func(*start) {})
			if err != nil || len(said) != 1 || !strings.HasPrefix(said[0], "waiting for another instance that migrates schema gatehouse") || !strings.Contains(said[0], pid) {
				t.Errorf("to %d, %v, and was told %q", to, err, said)
			}
		})
	}
}

// stalling is a connection through a network that carries so many bytes of the
// server's and then nothing any more.
type stalling struct {
	net.Conn
	left *atomic.Int64
	deaf net.Conn // one end of a pipe that nobody writes to
}

func (c *stalling) Read(b []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		return c.deaf.Read(b)
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), left)])
	c.left.Add(-int64(n))
	return n, err
}

func (c *stalling) SetDeadline(at time.Time) error {
	return errors.Join(c.Conn.SetDeadline(at), c.deaf.SetDeadline(at))
}

func (c *stalling) SetReadDeadline(at time.Time) error {
	return errors.Join(c.Conn.SetReadDeadline(at), c.deaf.SetReadDeadline(at))
}

func (c *stalling) Close() error { return errors.Join(c.Conn.Close(), c.deaf.Close()) }

// Wherever the network stalls, whoever starts learns it, and the database is as it
// was or as it is to be.
func TestAStartOverANetworkThatStalls(t *testing.T) {
	db := server.Database(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	left := new(atomic.Int64)
	started := false
	const most = 1 << 20
	for bytes := int64(0); !started; bytes += 700 {
		if bytes > most {
			t.Fatal("it does not start at all")
		}
		target, err := parse(server.URL(db))
		if err != nil {
			t.Fatal(err)
		}
		dial := target.pool.ConnConfig.DialFunc
		target.pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			deaf, _ := net.Pipe()
			return &stalling{c, left, deaf}, err
		}
		left.Store(bytes)
		s, err := open(ctx, target, Options{Timeout: 100 * time.Millisecond}, bounds{step: 100 * time.Millisecond, others: time.Minute, tables: time.Minute, work: time.Minute})
		if err == nil {
			err = s.Ready(ctx)
			started = err == nil
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err != nil && !errors.Is(err, gatehouse.ErrUnavailable) || ctx.Err() != nil {
			t.Fatalf("after %d bytes: %v", bytes, err)
		}
		if _, _, err := SchemaVersion(ctx, server.URL(db)); err != nil {
			t.Fatalf("after %d bytes: %v", bytes, err)
		}
	}
}

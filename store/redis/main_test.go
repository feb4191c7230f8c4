package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// shared is one server for all tests that leave it running. Each uses a prefix of
// its own.
var shared *service.RedisServer

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "redis")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		if shared, err = service.StartRedis(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer shared.Stop()
		return m.Run()
	}())
}

var testKey = gatehouse.NewSecret([]byte("0123456789abcdef0123456789abcdef"))

// prefix is one that no other test uses.
func prefix() string { return "test-" + rand.Text() }

func open(tb testing.TB, url string, o Options) *Client {
	tb.Helper()
	if o.Key.Len() == 0 {
		o.Key = testKey
	}
	c, err := Open(context.Background(), url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// openStore is a store in front of an empty one.
func openStore(tb testing.TB, url string, o Options, behind gatehouse.Store) *Store {
	tb.Helper()
	s, err := open(tb, url, o).Store(tb.Context(), behind)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	empty := func(t *testing.T) gatehouse.Store {
		return openStore(t, shared.URL(), Options{Prefix: prefix()}, memory.New())
	}
	storetest.Run(t, empty)
	t.Run("Mover", func(t *testing.T) { storetest.Mover(t, empty) })
}

// Several clients, as of several processes.
func TestRaces(t *testing.T) {
	storetest.Races(t, func(t *testing.T) (list []gatehouse.Store) {
		behind, o := memory.New(), Options{Prefix: prefix()}
		for range 4 {
			list = append(list, openStore(t, shared.URL(), o, behind))
		}
		return list
	})
}

package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// Whatever Redis refuses with, nobody is logged out by it: not who asks while it
// lasts, and not afterwards.
func TestFaultsLogNobodyOut(t *testing.T) {
	// Each key is loaded slowly, so that Redis says for a while that it is loading.
	r := service.Redis(t, "--key-load-delay", "300")
	s := openStore(t, r.URL(), Options{}, memory.New())
	g := gatehousetest.New(t, gatehouse.Config{Store: s, Secret: testKey, Limits: gatehouse.Limits{Off: true}})
	g.Register("ann@example.com")
	l := g.Login("ann@example.com")
	refused := func(name, says string) bool {
		got, err := g.Refresh(t.Context(), l.RefreshToken)
		if err == nil {
			l = got
			return false
		}
		if !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("%s: refresh: %v, want Unavailable", name, err)
		}
		if err := g.Logout(t.Context(), "", l.RefreshToken); err == nil {
			l = g.Login("ann@example.com") // it ended meanwhile
		} else if !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("%s: logout: %v, want Unavailable", name, err)
		}
		return strings.Contains(errors.Unwrap(err).Error(), says)
	}
	do := func(command ...string) {
		t.Helper()
		if out, err := r.Do(command...); out != "OK" {
			t.Fatal(out, err)
		}
	}
	type fault struct {
		name, says  string
		spoil, mend []string
	}
	faults := []fault{
		{"full", "maxmemory", []string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
		{"a replica", "is a replica", []string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}},
	}
	if !strings.HasPrefix(versionOf(t, r), "6.") { // which does not hold scripts to it
		faults = append(faults, fault{"few replicas", "too few",
			[]string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}})
	}
	for _, c := range faults {
		do(c.spoil...)
		if !refused(c.name, c.says) {
			t.Errorf("%s: it is not refused because of %q", c.name, c.says)
		}
		do(c.mend...)
		got, err := g.Refresh(t.Context(), l.RefreshToken)
		if err != nil {
			t.Fatalf("%s: refresh afterwards: %v", c.name, err)
		}
		l = got
	}

	if n, err := r.Do("EVAL", "for i = 1, 5000 do redis.call('SET', 'k' .. i, i) end return 1", "0"); n != "1" {
		t.Fatal(n, err)
	}
	r.Kill()
	started := make(chan error)
	go func() { started <- r.Start() }()
	loading := 0
	for done := false; !done; {
		select {
		case err := <-started:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
			if refused("loading", "still reading its data") {
				loading++
			}
		}
	}
	if loading == 0 {
		t.Error("Redis was never loading")
	}
	if _, err := g.Refresh(t.Context(), l.RefreshToken); err != nil {
		t.Errorf("refresh after it was loaded: %v", err)
	}
}

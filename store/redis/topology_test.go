package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// In a Cluster everything that a script touches lies in one slot, or it would be
// refused.
func TestCluster(t *testing.T) {
	servers, url := service.RedisCluster(t, 0)
	empty := func(t *testing.T) gatehouse.Store {
		return openStore(t, url, Options{Prefix: prefix()}, memory.New())
	}
	storetest.Run(t, empty)
	t.Run("Mover", func(t *testing.T) { storetest.Mover(t, empty) })
	t.Run("Several", func(t *testing.T) {
		storetest.Races(t, func(t *testing.T) (list []gatehouse.Store) {
			behind, o := memory.New(), Options{Prefix: prefix()}
			for range 3 {
				list = append(list, openStore(t, url, o, behind))
			}
			return list
		})
	})

	o := Options{Prefix: prefix()}
	behind := &movable{Store: memory.New()}
	s := openStore(t, url, o, behind)
	hears(t, s, openStore(t, url, o, behind))
	var many gatehouse.Records
	for n := range 300 {
		many.Sessions = append(many.Sessions, &gatehouse.Session{ID: fmt.Sprint(n), Version: 1, UserID: "u"})
	}
	if _, err := s.Load(t.Context(), &many); err != nil {
		t.Fatal(err)
	}
	walked := 0
	if err := s.Walk(t.Context(), func(r *gatehouse.Records) error { walked += len(r.Sessions); return nil }); err != nil || walked != 300 {
		t.Errorf("%d sessions walked, %v", walked, err)
	}
	for _, r := range servers {
		if n, err := r.Do("DBSIZE"); err != nil || n == "0" {
			t.Errorf("DBSIZE = %s, %v: nothing lies on %s", n, err, r.Address())
		}
	}
	claims := []gatehouse.Claim{
		{Lane: "a", Key: "k", Limit: gatehouse.Limit{Burst: 5, Every: time.Hour}},
		{Lane: "b", Key: "l", Limit: gatehouse.Limit{Burst: 2, Every: time.Hour}},
	}
	for n := range 3 {
		b, err := s.c.Limiter().Take(t.Context(), claims)
		if err != nil || b[1].Allowed != (n < 2) {
			t.Errorf("try %d: %+v, %v", n, b, err)
		}
	}

	// When one of the servers was away, it is found again without help.
	servers[1].Kill()
	if err := touchAll(t, s); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("with a server less: %v, want ErrUnavailable", err)
	}
	if err := servers[1].Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return touchAll(t, s) })
	if list, err := s.SessionsOf(t.Context(), "u"); err != nil || len(list) != 300 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

// A write that is waited for follows its key to another server: of that one the
// replicas are waited for, not of the one that was asked first.
func TestClusterMoves(t *testing.T) {
	servers, url := service.RedisCluster(t, 1)
	s := openStore(t, url, Options{Timeout: 2 * time.Second}, memory.New())
	list := func(id string) error { return s.list(t.Context(), "u", id) }
	if err := list("1"); err != nil {
		t.Fatal(err)
	}
	key := s.c.key(listKey, "u")
	do := func(r *service.RedisServer, command ...string) string {
		t.Helper()
		out, err := r.Do(command...)
		if err != nil || strings.HasPrefix(out, "ERR") {
			t.Fatalf("%q: %s %v", command, out, err)
		}
		return out
	}
	slot := do(servers[0], "CLUSTER", "KEYSLOT", key)
	var from, to *service.RedisServer
	for _, r := range servers {
		switch info := facts(do(r, "INFO", "replication")); {
		case info["role"] != "master":
		case do(r, "CLUSTER", "COUNTKEYSINSLOT", slot) != "0":
			from = r
		default:
			to = r
		}
	}
	fromID, toID := do(from, "CLUSTER", "MYID"), do(to, "CLUSTER", "MYID")
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	for k := range strings.FieldsSeq(do(from, "CLUSTER", "GETKEYSINSLOT", slot, "100")) {
		do(from, "MIGRATE", "127.0.0.1", fmt.Sprint(to.Port), k, "0", "5000")
	}
	if err := list("2"); err != nil {
		t.Errorf("while the slot is moved (ASK): %v", err)
	}
	for _, r := range []*service.RedisServer{to, from} {
		do(r, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	if err := list("3"); err != nil {
		t.Errorf("after the slot was moved (MOVED): %v", err)
	}
	if n := do(to, "ZCARD", key); n != "3" {
		t.Errorf("%s are listed on the new server, want 3", n)
	}
	// The replicas of the old one do not count.
	for _, r := range servers {
		if info := facts(do(r, "INFO", "replication")); info["role"] == "slave" && info["master_port"] == fmt.Sprint(to.Port) {
			r.Kill()
		}
	}
	if err := list("4"); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "too few replicas") {
		t.Errorf("without the replica of the new server: %v", err)
	}
}

// touchAll saves sessions that lie all over the Cluster.
func touchAll(t *testing.T, s *Store) error {
	for n := range 100 {
		x, err := s.Session(t.Context(), fmt.Sprint(n))
		if err != nil {
			return err
		}
		if err := s.SaveSession(t.Context(), x); err != nil {
			return err
		}
	}
	return nil
}

// eventually waits until f succeeds. A Sentinel that was out of breath for two seconds
// does nothing for half a minute.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
		if !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	t.Fatalf("not within 90 seconds: %v", err)
}

// When the primary changes, by order or because it died, the client goes on with the
// new one, without help, and finds there what had reached it.
func TestSentinel(t *testing.T) {
	setup := service.RedisWithSentinel(t)
	behind := memory.New()
	o := Options{Prefix: prefix(), Replicas: NoReplicas}
	s := openStore(t, setup.URL(), o, behind)
	want := "min-replicas-to-write is 0"
	if strings.HasPrefix(versionOf(t, setup.Primary), "6.") {
		want = "does not hold scripts to min-replicas-to-write"
	}
	if w := strings.Join(s.c.Warnings(), " "); !strings.Contains(w, want) {
		t.Errorf("warnings: %q, want one with %q", w, want)
	}
	hears(t, s, s)
	created := 0
	replicatedTo := 0 // how many of them had reached the replica before it took over
	create := func() error {
		id := fmt.Sprint(created)
		err := s.CreateSession(t.Context(), &gatehouse.Session{ID: id, UserID: "u"})
		if errors.Is(err, gatehouse.ErrExists) { // one whose answer was lost
			err = nil
		}
		if err == nil {
			created++
		}
		return err
	}
	check := func(when string) {
		t.Helper()
		for n := range replicatedTo {
			if _, err := s.Session(t.Context(), fmt.Sprint(n)); err != nil {
				t.Errorf("%s: session %d: %v", when, n, err)
			}
		}
	}
	for range 50 {
		if err := create(); err != nil {
			t.Fatal(err)
		}
	}
	replicated := func(from, to *service.RedisServer) {
		t.Helper()
		eventually(t, func() error {
			a, err1 := from.Do("INFO", "replication")
			b, err2 := to.Do("INFO", "replication")
			x, y := facts(a), facts(b)
			if err1 != nil || err2 != nil || x["role"] != "master" || y["master_link_status"] != "up" || x["master_repl_offset"] != y["slave_repl_offset"] {
				return fmt.Errorf("%w: not replicated: %v %v", gatehouse.ErrUnavailable, x, y)
			}
			return nil
		})
	}
	replicated(setup.Primary, setup.Replica)
	replicatedTo = created
	if out, err := setup.Sentinel.Do("SENTINEL", "FAILOVER", "main"); out != "OK" {
		t.Fatal(out, err)
	}
	eventually(t, func() error {
		if told, err := setup.Replica.Do("ROLE"); err != nil || !strings.HasPrefix(told, "master") {
			return fmt.Errorf("%w: the replica is %s, %v", gatehouse.ErrUnavailable, told, err)
		}
		return create()
	})
	check("after a failover by order")

	// They have changed places. What the old primary took while it was replaced is
	// gone: replication in Redis does not wait.
	replicated(setup.Replica, setup.Primary)
	setup.Replica.Kill()
	eventually(t, create)
	check("after the primary died")
	eventually(t, func() error { return s.Announce(t.Context(), "x") })
	hears(t, s, s)

	// Who starts now finds the new primary, and one that comes back is a replica.
	if err := setup.Replica.Start(); err != nil {
		t.Fatal(err)
	}
	later := openStore(t, setup.URL(), o, behind)
	if _, err := later.Session(t.Context(), "0"); err != nil {
		t.Error(err)
	}
}

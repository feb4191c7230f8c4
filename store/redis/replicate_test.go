package redis

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// pairOf is a primary and its replica, in touch with each other.
func pairOf(t testing.TB) (primary, replica *service.RedisServer) {
	primary = service.Redis(t)
	replica = service.Redis(t, "--replicaof", "127.0.0.1", strconv.Itoa(primary.Port))
	inTouch(t, primary, replica)
	return primary, replica
}

// inTouch waits until the replica has all that the primary has.
func inTouch(t testing.TB, primary, replica *service.RedisServer) {
	t.Helper()
	eventually(t, func() error {
		a, err1 := primary.Do("INFO", "replication")
		b, err2 := replica.Do("INFO", "replication")
		x, y := facts(a), facts(b)
		had, err3 := strconv.ParseInt(x["master_repl_offset"], 10, 64)
		has, err4 := strconv.ParseInt(y["slave_repl_offset"], 10, 64)
		if errors.Join(err1, err2, err3, err4) != nil || y["master_link_status"] != "up" || !strings.Contains(x["slave0"], "state=online") || has < had {
			return fmt.Errorf("%w: not in touch: %v %v", gatehouse.ErrUnavailable, x, y)
		}
		return nil
	})
}

// cut takes a replica out of touch with its primary. What it has, it keeps.
func cut(t *testing.T, replica *service.RedisServer) {
	t.Helper()
	if out, err := replica.Do("REPLICAOF", "127.0.0.1", "1"); out != "OK" {
		t.Fatal(out, err)
	}
}

// While no replica confirms, what was acknowledged before can be read, and nothing is
// acknowledged: neither a write, nor what somebody else has written meanwhile. When
// there is one again, all goes on.
func TestReplicaAway(t *testing.T) {
	primary, replica := pairOf(t)
	behind := memory.New()
	s := openStore(t, primary.URL(), Options{}, behind)
	if s.c.replicas != 1 {
		t.Fatalf("%d replicas are waited for, want 1 where there is one", s.c.replicas)
	}
	if err := s.CreateUser(t.Context(), ann("u")); err != nil {
		t.Fatal(err)
	}
	session := func(id string) *gatehouse.Session {
		x := &gatehouse.Session{ID: id, UserID: "u", Generation: 7}
		if err := s.CreateSession(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	refreshed, ended, reread := session("refreshed"), session("ended"), session("reread")
	for _, id := range []string{"c", "d"} {
		if err := s.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: id, Kind: "link"}); err != nil {
			t.Fatal(err)
		}
	}

	replica.Kill()
	ended.TerminatedAt = time.Unix(9, 0)
	refreshed.Generation++
	now, err := s.User(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	now.Name = "another"
	var all sync.WaitGroup
	for name, write := range map[string]func() error{
		"create":    func() error { return s.CreateSession(t.Context(), &gatehouse.Session{ID: "new", UserID: "u"}) },
		"refresh":   func() error { return s.SaveSession(t.Context(), refreshed) },
		"terminate": func() error { return s.SaveSession(t.Context(), ended) },
		"challenge": func() error { return s.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: "e", Kind: "link"}) },
		"count": func() error {
			return s.SaveChallenge(t.Context(), &gatehouse.Challenge{ID: "d", Version: 1, Attempts: 1})
		},
		"take":   func() error { _, err := s.TakeChallenge(t.Context(), "c"); return err },
		"user":   func() error { return s.SaveUser(t.Context(), now) },
		"settle": func() error { _, err := s.SettledSession(t.Context(), "reread"); return err },
		"ready":  func() error { return s.Ready(t.Context()) },
	} {
		all.Go(func() {
			if err := write(); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "too few replicas") {
				t.Errorf("%s: %v, want ErrUnavailable for lack of replicas", name, err)
			}
		})
	}
	all.Wait()
	if err := s.c.probe(t.Context()); err != nil {
		t.Errorf("a write that nobody waits for: %v", err)
	}
	claim := []gatehouse.Claim{{Lane: "a", Key: "k", Limit: gatehouse.Limit{Burst: 5, Every: time.Hour}}}
	if _, err := s.c.Limiter().Take(t.Context(), claim); err != nil {
		t.Errorf("a limit: %v", err)
	}
	// A rotation is taken back, since its token is not given to anybody; an end is not.
	if x, err := s.Session(t.Context(), "refreshed"); err != nil || x.Generation != 7 || x.Version <= refreshed.Version {
		t.Errorf("what was refused: %+v, %v, want what was before, and a version that never was", x, err)
	}
	if x, err := s.Session(t.Context(), "ended"); err != nil || x.TerminatedAt.IsZero() {
		t.Errorf("what may have ended: %+v, %v", x, err)
	}
	for _, id := range []string{"new", "e"} {
		_, err1 := s.Session(t.Context(), id)
		_, err2 := s.Challenge(t.Context(), id)
		if !errors.Is(err1, gatehouse.ErrNotFound) || !errors.Is(err2, gatehouse.ErrNotFound) {
			t.Errorf("%s, whose creation was refused: %v, %v", id, err1, err2)
		}
	}
	if _, err := s.Challenge(t.Context(), "c"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("a challenge that may have been taken: %v", err)
	}
	// A list without it would say that the session has ended.
	if _, err := s.SessionsOf(t.Context(), "u"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("the list with a session that may have ended: %v", err)
	}
	if u, err := behind.User(t.Context(), "u"); err != nil || u.Version != 1 {
		t.Errorf("the user behind: %+v, %v", u, err)
	}

	if err := replica.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return s.Ready(t.Context()) })
	if x, err := s.SettledSession(t.Context(), "ended"); err != nil || x.TerminatedAt.IsZero() {
		t.Errorf("the end, afterwards: %+v, %v", x, err)
	}
	if err := s.SaveSession(t.Context(), reread); err != nil {
		t.Errorf("what was read in vain: %v", err)
	}
	if list, err := s.SessionsOf(t.Context(), "u"); err != nil || len(list) != 2 {
		t.Errorf("%d sessions are listed, %v, want 2", len(list), err)
	}
	if err := s.SaveUser(t.Context(), now); err != nil {
		t.Errorf("the user, afterwards: %v", err)
	}
}

// What one caller was told of the write of another is not taken back by that one.
func TestSettledIsKept(t *testing.T) {
	primary, _ := pairOf(t)
	s := openStore(t, primary.URL(), Options{}, memory.New())
	x := &gatehouse.Session{ID: "s", UserID: "u", Generation: 1}
	if err := s.CreateSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	former, err := s.record(t.Context(), sessionKey, "s")
	if err != nil {
		t.Fatal(err)
	}
	undo := func(want int64) {
		t.Helper()
		written, err := s.record(t.Context(), sessionKey, "s")
		if err != nil {
			t.Fatal(err)
		}
		if want != 1 { // somebody looks before it comes to that
			if got, err := s.SettledSession(t.Context(), "s"); err != nil || got.Generation != want {
				t.Fatalf("settled: %+v, %v", got, err)
			}
			if got, err := s.SettledSession(t.Context(), "s"); err != nil || got.Generation != want {
				t.Fatalf("settled again: %+v, %v", got, err)
			}
		}
		back, ok := s.c.undoSave(x, written, former)
		if !ok {
			t.Fatal("it cannot be taken back")
		}
		if _, err := s.c.one(t.Context(), "take back", back); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Session(t.Context(), "s"); err != nil || got.Generation != want {
			t.Errorf("generation %+v, %v, want %d", got, err, want)
		}
	}
	x.Generation = 2
	if err := s.SaveSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	undo(1)
	if x, err = s.Session(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	x.Generation = 3
	if err := s.SaveSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	undo(3)
	if _, err := s.SettledSession(t.Context(), "nothing"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("a session that is not there: %v", err)
	}
}

// A replica may be away for longer than the token of before is good for: who was
// refused meanwhile is not logged out.
func TestRefreshWhileReplicaIsAway(t *testing.T) {
	primary, replica := pairOf(t)
	behind := memory.New()
	const grace = time.Second // shorter than a try that waits in vain
	process := func() *gatehousetest.Auth {
		s := openStore(t, primary.URL(), Options{Timeout: 3 * grace}, behind)
		return gatehousetest.New(t, gatehouse.Config{Store: s, Secret: testKey, RotationGrace: grace})
	}
	one, two := process(), process()
	one.Register("ann@example.com")
	l := one.Login("ann@example.com")
	leaving := one.Login("ann@example.com")
	cut(t, replica)
	for _, g := range []*gatehousetest.Auth{one, two, one} {
		if _, err := g.Refresh(t.Context(), l.RefreshToken); !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("refresh without a replica: %v, want Unavailable", err)
		}
		if err := g.Logout(t.Context(), "", leaving.RefreshToken); !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("logout without a replica: %v, want Unavailable", err)
		}
	}
	if out, err := replica.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(primary.Port)); out != "OK" {
		t.Fatal(out, err)
	}
	inTouch(t, primary, replica)
	got, err := two.Refresh(t.Context(), l.RefreshToken)
	if err != nil {
		t.Fatalf("the same token, afterwards: %v", err)
	}
	if _, err := one.Refresh(t.Context(), got.RefreshToken); err != nil {
		t.Errorf("the next one: %v", err)
	}
	if err := two.Logout(t.Context(), "", leaving.RefreshToken); err != nil {
		t.Errorf("logout afterwards: %v", err)
	}
	if _, err := one.Refresh(t.Context(), leaving.RefreshToken); !errors.Is(err, gatehouse.Unauthenticated) {
		t.Errorf("after logout: %v", err)
	}
}

// What waiting is for: a replica that was out of touch takes over. Without waiting,
// what was acknowledged is lost, and who had logged out is logged in.
func TestFailoverToWhoeverLacksIt(t *testing.T) {
	for name, c := range map[string]struct {
		replicas int
		lost     bool
	}{"none is waited for": {NoReplicas, true}, "one is waited for": {1, false}} {
		t.Run(name, func(t *testing.T) {
			primary, replica := pairOf(t)
			behind, o := memory.New(), Options{Replicas: c.replicas, Timeout: 400 * time.Millisecond}
			before := openStore(t, primary.URL(), o, behind)
			x := &gatehouse.Session{ID: "s", UserID: "u"}
			if err := before.CreateSession(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			inTouch(t, primary, replica)
			cut(t, replica)
			x.TerminatedAt = time.Unix(9, 0)
			err := before.SaveSession(t.Context(), x)
			if acknowledged := err == nil; acknowledged != c.lost {
				t.Errorf("the end of the session: %v", err)
			}
			primary.Kill()
			if out, err := replica.Do("REPLICAOF", "NO", "ONE"); out != "OK" {
				t.Fatal(out, err)
			}
			o.Replicas = NoReplicas
			after, err := openStore(t, replica.URL(), o, behind).Session(t.Context(), "s")
			if err != nil || !after.TerminatedAt.IsZero() {
				t.Errorf("the replica that never heard of the end knows %+v, %v", after, err)
			}
		})
	}
}

func TestReplicaWarnings(t *testing.T) {
	for _, c := range []struct {
		p       primary
		n       int
		watched bool
		says    []string
	}{
		{primary{connected: 0, minimum: 0, minimumSet: true}, 0, false, nil},
		{primary{connected: 1, minimum: 1, minimumSet: true}, 1, true, nil},
		{primary{connected: 2, minimum: 2, minimumSet: true}, 2, true, nil},
		{primary{connected: 1}, 1, true, nil},
		{primary{connected: 1, minimum: 1, minimumSet: true}, 0, true, []string{"none is waited for", "while only 0 are in touch, Redis refuses"}},
		{primary{connected: 0, minimum: 1, minimumSet: true}, 0, true, []string{"none is waited for", "though Gatehouse would go on"}},
		{primary{connected: 1, minimum: 0, minimumSet: true}, 0, false, []string{"none is waited for", "a failover then drops"}},
		{primary{connected: 1, minimum: 0, minimumSet: true}, 1, true, []string{"set min-replicas-to-write 1"}},
		{primary{connected: 2, minimum: 1, minimumSet: true}, 2, true, []string{"set min-replicas-to-write 2"}},
		{primary{connected: 0, minimum: 1, minimumSet: true}, 1, true, []string{"0 connected"}},
		{primary{connected: 2, minimum: 2, minimumSet: true}, 1, true, []string{"while only 1 are in touch, Redis refuses"}},
		{primary{connected: 1, minimum: 1, minimumSet: true, old: "6.0.16"}, 0, true, []string{"none is waited for", "does not hold scripts"}},
	} {
		got := c.p.waiting(c.n, c.watched, time.Second)
		if !slices.EqualFunc(got, c.says, strings.Contains) {
			t.Errorf("%+v, %d waited for: %q, want %q", c.p, c.n, got, c.says)
		}
	}
}

// Who opens a Redis without its replicas goes on, and is told.
func TestOpenWithoutReplicas(t *testing.T) {
	r := service.Redis(t)
	c := open(t, r.URL(), Options{Replicas: 1, Timeout: 400 * time.Millisecond})
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings for who counts limits alone: %q", w)
	}
	if _, err := c.Store(t.Context(), memory.New()); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a new mark that no replica has: %v", err)
	}
	s := openStore(t, r.URL(), Options{}, memory.New())
	if w := strings.Join(s.c.Warnings(), " "); s.c.replicas != 0 || w != "" {
		t.Errorf("without replicas %d are waited for, with warnings %q", s.c.replicas, w)
	}
	grant(t, r)
	if out, err := r.Do("ACL", "SETUSER", "gatehouse", "-wait"); out != "OK" {
		t.Fatal(out, err)
	}
	_, err := Open(t.Context(), "redis://gatehouse:PASSWORD@"+r.Address(), Options{Key: testKey, Replicas: 1})
	if err == nil || !strings.Contains(err.Error(), "may not do what Gatehouse needs") {
		t.Errorf("without the right to wait: %v", err)
	}
}

// A replica takes over that lacks a write of which nobody was told, and somebody has
// read it nonetheless: who goes on from there does not save over what is acknowledged
// since, though both followed on the same record.
func TestReadJustBeforeFailover(t *testing.T) {
	primary, replica := pairOf(t)
	behind := memory.New()
	before := openStore(t, primary.URL(), Options{}, behind)
	x := &gatehouse.Session{ID: "s", UserID: "u", Generation: 7}
	if err := before.CreateSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	cut(t, replica)
	lost := make(chan error)
	go func() {
		x := *x
		x.UserAgent = "lost"
		lost <- before.SaveSession(t.Context(), &x)
	}()
	var seen *gatehouse.Session
	eventually(t, func() (err error) {
		if seen, err = before.Session(t.Context(), "s"); err == nil && seen.UserAgent != "lost" {
			err = fmt.Errorf("%w: nothing is written yet", gatehouse.ErrUnavailable)
		}
		return err
	})
	primary.Kill()
	if err := <-lost; !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Fatalf("a write that no replica has: %v", err)
	}
	if out, err := replica.Do("REPLICAOF", "NO", "ONE"); out != "OK" {
		t.Fatal(out, err)
	}
	if err := primary.Start(); err != nil {
		t.Fatal(err)
	}
	if out, err := primary.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(replica.Port)); out != "OK" {
		t.Fatal(out, err)
	}
	inTouch(t, replica, primary)

	after := openStore(t, replica.URL(), Options{}, behind)
	ended, err := after.Session(t.Context(), "s")
	if err != nil || ended.UserAgent != "" {
		t.Fatalf("after the failover: %+v, %v", ended, err)
	}
	ended.TerminatedAt = time.Unix(9, 0)
	if err := after.SaveSession(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	seen.Generation++
	if err := after.SaveSession(t.Context(), seen); !errors.Is(err, gatehouse.ErrStale) {
		t.Errorf("who goes on from what is lost: %v, want ErrStale", err)
	}
	if got, err := after.Session(t.Context(), "s"); err != nil || got.TerminatedAt.IsZero() {
		t.Errorf("a session that was ended lives again: %+v, %v", got, err)
	}
}

// Whatever follows twice on the same record has another version each time: when it is
// saved, when it is settled, and when it is taken back.
func TestNoTwoVersionsAlike(t *testing.T) {
	primary, _ := pairOf(t)
	s := openStore(t, primary.URL(), Options{}, memory.New())
	x, c := &gatehouse.Session{ID: "s", UserID: "u"}, &gatehouse.Challenge{ID: "c", Kind: "code"}
	if err := errors.Join(s.CreateSession(t.Context(), x), s.CreateChallenge(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]struct {
		kind, id string
		follow   func(former string) (int64, error)
	}{
		"session": {sessionKey, "s", func(string) (int64, error) {
			x := *x
			err := s.SaveSession(t.Context(), &x)
			return x.Version, err
		}},
		"challenge": {challengeKey, "c", func(string) (int64, error) {
			c := *c
			err := s.SaveChallenge(t.Context(), &c)
			return c.Version, err
		}},
		"settled": {sessionKey, "s", func(string) (int64, error) {
			got, err := s.SettledSession(t.Context(), "s")
			return got.Version, err
		}},
		"taken back": {sessionKey, "s", func(former string) (int64, error) {
			back, _ := s.c.undoSave(x, former, former)
			if _, err := s.c.one(t.Context(), "take back", back); err != nil {
				return 0, err
			}
			got, err := s.Session(t.Context(), "s")
			return got.Version, err
		}},
	} {
		former, err := s.record(t.Context(), write.kind, write.id)
		if err != nil {
			t.Fatal(err)
		}
		one, err1 := write.follow(former)
		if out, err := primary.Do("SET", s.c.key(write.kind, write.id), former); out != "OK" {
			t.Fatal(out, err)
		}
		two, err2 := write.follow(former)
		if err := errors.Join(err1, err2); err != nil || one == two || min(one, two) < 2 {
			t.Errorf("%s: versions %d and %d follow on 1, %v", name, one, two, err)
		}
		if out, err := primary.Do("SET", s.c.key(write.kind, write.id), former); out != "OK" {
			t.Fatal(out, err)
		}
	}
}

// The replica goes while its answer is waited for, and min-replicas-to-write, as
// docs/redis.md has it, refuses to take the write back. That is made up for when it
// can be, or who tries again later than the grace would count as a thief.
func TestTakenBackLate(t *testing.T) {
	primary, replica := pairOf(t)
	if strings.HasPrefix(versionOf(t, primary), "6.") { // which does not hold scripts to it
		return
	}
	behind := memory.New()
	const grace = time.Second
	process := func() *gatehousetest.Auth {
		s := openStore(t, primary.URL(), Options{Timeout: time.Second}, behind)
		return gatehousetest.New(t, gatehouse.Config{Store: s, Secret: testKey, RotationGrace: grace})
	}
	one, two := process(), process()
	one.Register("ann@example.com")
	l := one.Login("ann@example.com")
	cut(t, replica)
	refused := make(chan error)
	go func() {
		_, err := one.Refresh(t.Context(), l.RefreshToken)
		refused <- err
	}()
	s := openStore(t, primary.URL(), Options{Replicas: NoReplicas}, behind)
	eventually(t, func() error {
		x, err := s.Session(t.Context(), l.Session.ID)
		if err == nil && x.Generation == l.Session.Generation {
			err = fmt.Errorf("%w: it is not rotated yet", gatehouse.ErrUnavailable)
		}
		return err
	})
	if out, err := primary.Do("CONFIG", "SET", "min-replicas-to-write", "1"); out != "OK" {
		t.Fatal(out, err)
	}
	if err := <-refused; !errors.Is(err, gatehouse.Unavailable) {
		t.Fatalf("refresh while the replica goes: %v", err)
	}
	for since := time.Now(); time.Since(since) < 2*grace; {
		if _, err := two.Refresh(t.Context(), l.RefreshToken); !errors.Is(err, gatehouse.Unavailable) {
			t.Fatalf("refresh without a replica: %v", err)
		}
	}
	if out, err := replica.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(primary.Port)); out != "OK" {
		t.Fatal(out, err)
	}
	eventually(t, func() error {
		x, err := s.Session(t.Context(), l.Session.ID)
		if err == nil && x.Generation != l.Session.Generation {
			err = fmt.Errorf("%w: it is not taken back", gatehouse.ErrUnavailable)
		}
		return err
	})
	eventually(t, func() error {
		_, err := two.Refresh(t.Context(), l.RefreshToken)
		if errors.Is(err, gatehouse.Unavailable) {
			return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
		}
		return err
	})
}

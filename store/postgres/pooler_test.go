package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// Behind pgbouncer, where the next statement may be run by another server process,
// the store keeps its contract.
func TestBehindPgBouncer(t *testing.T) {
	b := service.PgBouncer(t, server, "transaction")
	t.Run("contract", func(t *testing.T) {
		empty := func(t *testing.T) gatehouse.Store {
			return openStore(t, b.URL(server.Database(t)), Options{MaxConns: 20})
		}
		storetest.Run(t, empty)
		t.Run("Mover", func(t *testing.T) { storetest.Mover(t, empty) })
	})
	t.Run("several handles", func(t *testing.T) {
		storetest.Races(t, func(t *testing.T) []gatehouse.Store {
			db := server.Database(t)
			// One of them knows the way around.
			return []gatehouse.Store{
				openStore(t, b.URL(db), Options{}), openStore(t, b.URL(db), Options{}), openStore(t, server.URL(db), Options{}),
			}
		})
	})
}

// A pgbouncer that keeps prepared statements may be sent them: the contract holds,
// whichever server process runs the next one. One that does not keep them makes
// the same URL fail, and the error says what to do.
func TestPreparedBehindPgBouncer(t *testing.T) {
	const prepare = "?default_query_exec_mode=cache_statement"
	if service.PgBouncerMinor(t) >= 21 {
		b := service.PgBouncer(t, server, "transaction", "max_prepared_statements = 100")
		storetest.Run(t, func(t *testing.T) gatehouse.Store {
			return openStore(t, b.URL(server.Database(t))+prepare, Options{MaxConns: 20})
		})
		storetest.Races(t, func(t *testing.T) []gatehouse.Store {
			url := b.URL(server.Database(t)) + prepare
			return []gatehouse.Store{openStore(t, url, Options{}), openStore(t, url, Options{})}
		})
		return
	}
	s := openStore(t, service.PgBouncer(t, server, "transaction").URL(server.Database(t))+prepare, Options{})
	// One connection prepares what another of the pooler's is then asked to run.
	var failures atomic.Int64
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for n := range 30 {
				err := s.CreateSession(t.Context(), session(100*worker+n))
				if err == nil {
					continue
				}
				failures.Add(1)
				if !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "take default_query_exec_mode out of the URL") {
					t.Errorf("err = %v, want ErrUnavailable that says what to do", err)
				}
			}
		})
	}
	all.Wait()
	if failures.Load() == 0 {
		t.Error("this pgbouncer keeps prepared statements after all")
	}
}

// Statements are prepared behind a pgbouncer that says that it keeps them, and behind
// no other, unless the URL says so.
func TestStatementsArePreparedWhereTheyAreKept(t *testing.T) {
	minor := service.PgBouncerMinor(t)
	cases := map[string]bool{"": minor >= 26}
	if minor >= 21 {
		cases["max_prepared_statements = 0"] = false
	}
	for setting, want := range cases {
		url := service.PgBouncer(t, server, "transaction", setting).URL(server.Database(t))
		s := openStore(t, url, Options{MaxConns: 1})
		for n := range 3 {
			if err := s.CreateSession(t.Context(), session(n)); err != nil {
				t.Fatal(err)
			}
		}
		// One client at a time: all of them got the same server process.
		const count = `SELECT (count(*) > 0)::text FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO "gatehouse".sessions%'`
		if got := answer(t, asker(t, url), count); got != fmt.Sprint(want) {
			t.Errorf("pgbouncer 1.%d, %q: prepared: %s, want %v", minor, setting, got, want)
		}
	}
}

// A pooler is noticed, in either mode, and said to be there.
func TestAPoolerIsNoticed(t *testing.T) {
	db := server.Database(t)
	for _, mode := range []string{"transaction", "session"} {
		s := openStore(t, service.PgBouncer(t, server, mode).URL(db), Options{})
		if !slices.ContainsFunc(s.Warnings(), func(w string) bool { return strings.Contains(w, "a connection pooler is in between") }) {
			t.Errorf("%s: warnings: %q", mode, s.Warnings())
		}
		if err := s.Announce(t.Context(), "hello"); err != nil {
			t.Errorf("%s: announce: %v", mode, err)
		}
		err := s.Listen(t.Context(), func() { t.Error("it has begun to listen") }, func(string) {})
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: listen: err = %v, want ErrUnsupported", mode, err)
		}
	}
	if s := openStore(t, server.URL(db), Options{}); slices.ContainsFunc(s.Warnings(), func(w string) bool { return strings.Contains(w, "pooler") }) {
		t.Errorf("without one: warnings: %q", s.Warnings())
	}
}

// Whatever is set for the user or the database, what Gatehouse commits is on the
// disk: each row tells what was in force when it was written.
func TestCommitsWaitForTheDisk(t *testing.T) {
	b := service.PgBouncer(t, server, "transaction")
	for name, url := range map[string]func(string) string{"direct": server.URL, "pgbouncer": b.URL} {
		t.Run(name, func(t *testing.T) {
			db, ctx := server.Database(t), t.Context()
			if _, _, err := Migrate(ctx, server.URL(db), Options{}); err != nil {
				t.Fatal(err)
			}
			const witness = `
CREATE TABLE seen (what TEXT, value TEXT);
CREATE FUNCTION witness() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.seen VALUES (TG_OP || ' ' || TG_TABLE_NAME, current_setting('synchronous_commit')); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER witness BEFORE INSERT OR UPDATE OR DELETE ON gatehouse.users FOR EACH ROW EXECUTE FUNCTION witness();
CREATE TRIGGER witness BEFORE INSERT OR UPDATE OR DELETE ON gatehouse.challenges FOR EACH ROW EXECUTE FUNCTION witness();
CREATE TRIGGER witness BEFORE INSERT OR UPDATE OR DELETE ON gatehouse.settings FOR EACH ROW EXECUTE FUNCTION witness();`
			server.Run(t, db, witness+`ALTER DATABASE `+db+` SET synchronous_commit TO off`)
			s := openStore(t, url(db), Options{})
			if !slices.ContainsFunc(s.Warnings(), func(w string) bool { return strings.HasPrefix(w, "synchronous_commit is off") }) {
				t.Errorf("warnings: %q", s.Warnings())
			}
			u := user(1, "key")
			for what, err := range map[string]error{
				"create user with a key":    s.CreateUser(ctx, u),
				"create user":               s.CreateUser(ctx, user(2)),
				"save user":                 s.SaveUser(ctx, u),
				"create challenge":          s.CreateChallenge(ctx, &gatehouse.Challenge{ID: "c"}),
				"save setting":              s.SaveSetting(ctx, &gatehouse.Setting{Name: "x"}),
				"take challenge":            func() error { _, err := s.TakeChallenge(ctx, "c"); return err }(),
				"load":                      func() error { _, err := s.Load(ctx, &gatehouse.Records{Users: []*gatehouse.User{user(3)}}); return err }(),
				"delete user":               s.DeleteUser(ctx, "u2", 1),
				"a setting that was there":  is(s.SaveSetting(ctx, &gatehouse.Setting{Name: "x"}), gatehouse.ErrStale),
				"a challenge that was gone": is(func() error { _, err := s.TakeChallenge(ctx, "c"); return err }(), gatehouse.ErrNotFound),
				"an address that is taken":  is(s.CreateUser(ctx, &gatehouse.User{ID: "u9", EmailKey: "u1@example.com"}), gatehouse.ErrExists),
			} {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			c := asker(t, server.URL(db))
			if got := answer(t, c, `SELECT count(*)::text FROM seen`); got != "10" { // two of them in vain
				t.Errorf("%s rows were written, want 10", got)
			}
			if got := answer(t, c, `SELECT coalesce(string_agg(what, ', '), '') FROM seen WHERE value <> 'on'`); got != "" {
				t.Errorf("did not wait for the disk: %s", got)
			}
		})
	}
}

// is is nil if err is the one wanted, and err, or a complaint, otherwise.
func is(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return errors.Join(errors.New("not the error wanted"), err)
}

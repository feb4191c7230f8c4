package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// raising has writes to sessions do what body says, after they were counted.
func raising(t *testing.T, s *Store, body string) (count func() string) {
	t.Helper()
	db := s.target.pool.ConnConfig.Database
	server.Run(t, db, `DROP TRIGGER IF EXISTS raise ON gatehouse.sessions; DROP SEQUENCE IF EXISTS tries; CREATE SEQUENCE tries;
CREATE OR REPLACE FUNCTION raising() RETURNS TRIGGER LANGUAGE plpgsql AS $$ DECLARE n BIGINT := nextval('public.tries'); BEGIN `+body+` RETURN NEW; END $$;
CREATE TRIGGER raise BEFORE INSERT OR UPDATE ON gatehouse.sessions FOR EACH ROW EXECUTE FUNCTION raising()`)
	c := asker(t, server.URL(db))
	return func() string { return answer(t, c, `SELECT last_value::text FROM tries`) }
}

// An error of the server says whether it may pass, and what to do.
func TestErrorsOfTheServer(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	for code, c := range map[string]struct {
		unavailable bool
		says        string
	}{
		"53100": {true, "make room on the disk"},
		"53300": {true, "max_connections"},
		"53200": {true, "SQLSTATE 53200"},
		"55P03": {true, "another transaction holds"},
		"57014": {true, "SQLSTATE 57014"},
		"57P03": {true, "stopping or starting"},
		"58030": {true, "SQLSTATE 58030"},
		"25006": {true, "standby"},
		"42501": {true, "GRANT"},
		"08006": {true, "SQLSTATE 08006"},
		"XX001": {false, "SQLSTATE XX001"},
		"22003": {false, "SQLSTATE 22003"},
	} {
		tries := raising(t, s, `RAISE EXCEPTION 'as asked' USING ERRCODE = '`+code+`', DETAIL = 'ann@example.com';`)
		err := s.CreateSession(ctx, session(1))
		if err == nil || errors.Is(err, gatehouse.ErrUnavailable) != c.unavailable || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: err = %v, want one that says %s", code, err, c.says)
		} else if strings.Contains(err.Error(), "ann@example.com") {
			t.Errorf("%s: the error has what is in the row: %v", code, err)
		}
		if got := tries(); got != "1" {
			t.Errorf("%s: it was tried %s times", code, got)
		}
		if _, err := s.Session(ctx, "s1"); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("%s: a read after it: %v", code, err)
		}
	}
}

// A disk on which only what grows finds no room is told by Ready for a while, though
// the row that it writes itself does not grow.
func TestReadyOnAFullDisk(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	raising(t, s, `IF n = 1 THEN RAISE EXCEPTION 'as asked' USING ERRCODE = '53100'; END IF;`)
	if err := s.Ready(ctx); err != nil {
		t.Errorf("before: %v", err)
	}
	if err := s.CreateSession(ctx, session(1)); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a session for which there is no room: %v", err)
	}
	if err := s.Ready(ctx); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("Ready: %v, want ErrUnavailable with what to do", err)
	}
	s.crowded.Store(&crowded{time.Now().Add(-crowdedFor), nil})
	if err := s.Ready(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A file that may not grow, because of a quota or its size, is a full disk, although
// PostgreSQL has no code for that.
func TestFilesThatMayNotGrow(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{FileSize: 16})
	s := openStore(t, p.URL("postgres"), Options{})
	ctx := t.Context()
	p.Run(t, "postgres", `ALTER TABLE gatehouse.sessions ALTER COLUMN user_agent SET STORAGE PLAIN`) // a page for each
	var err error
	for n := 0; err == nil && n < 3000; n++ {
		x := session(n)
		x.UserAgent = strings.Repeat("x", 5000)
		err = s.CreateSession(ctx, x)
	}
	for what, err := range map[string]error{"a session for which there is no room": err, "Ready": s.Ready(ctx)} {
		if !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "make room on the disk") || !strings.Contains(err.Error(), "quota") {
			t.Errorf("%s: %v, want ErrUnavailable with what to do", what, err)
		}
	}
	if _, err := s.Session(ctx, "s1"); err != nil {
		t.Errorf("a read: %v", err)
	}
}

// Of errors without a code of their own those of files are circumstances; where
// they come from is told in no language.
func TestErrorsOfFiles(t *testing.T) {
	target, err := parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code, file, says string
		unavailable      bool
	}{
		{"XX000", "md.c", "a quota", true},
		{"XX000", "buffile.c", "a quota", true},
		{"XX000", "slru.c", "a quota", true},
		{"XX000", "fd.c", "a quota", true},
		{"XX000", "mcxt.c", "SQLSTATE XX000)", false},
		{"XX001", "md.c", "SQLSTATE XX001)", false},
		{"42501", "md.c", "their file system", true},
		{"42501", "aclchk.c", "GRANT", true},
		{"58030", "md.c", "their file system", true},
		{"58P01", "md.c", "their file system", true},
	} {
		err := explain(&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: c.code, Message: "nein", File: c.file}, target)
		if errors.Is(err, gatehouse.ErrUnavailable) != c.unavailable || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s in %s: %v; want one that says %q", c.code, c.file, err, c.says)
		}
	}
}

// The victim of another transaction is tried again, but not for ever.
func TestVictims(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	for n, code := range []string{"40001", "40P01"} {
		tries := raising(t, s, `IF n < 3 THEN RAISE EXCEPTION 'as asked' USING ERRCODE = '`+code+`'; END IF;`)
		if err := s.CreateSession(ctx, session(n)); err != nil || tries() != "3" {
			t.Errorf("%s: %v after %s tries", code, err, tries())
		}
		tries = raising(t, s, `RAISE EXCEPTION 'as asked' USING ERRCODE = '`+code+`';`)
		if err := s.SaveSession(ctx, &gatehouse.Session{ID: fmt.Sprint("s", n), UserID: "u", Version: 1}); !errors.Is(err, gatehouse.ErrUnavailable) || tries() != fmt.Sprint(attempts) {
			t.Errorf("%s: %v after %s tries", code, err, tries())
		}
	}
}

// Nobody knows what became of a write whose connection ends in the middle of it.
// It is not tried again, and the next one works.
func TestAWriteThatLosesItsConnection(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	tries := raising(t, s, `IF n = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;`)
	if err := s.CreateSession(ctx, session(1)); !errors.Is(err, gatehouse.ErrUnavailable) || tries() != "1" {
		t.Errorf("%v after %s tries", err, tries())
	}
	if err := s.CreateSession(ctx, session(1)); err != nil {
		t.Error(err)
	}
}

// A read whose connection has ended is done on another one, and takes the rest of
// the dead with it.
func TestReadsGetOverARestart(t *testing.T) {
	s := openStore(t, database(t), Options{MaxConns: 8})
	ctx := t.Context()
	if err := s.CreateSession(ctx, session(1)); err != nil {
		t.Fatal(err)
	}
	var held []*pgxpool.Conn
	for range 8 {
		c, err := s.pool.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	const ours = ` FROM pg_stat_activity WHERE application_name = 'gatehouse' AND datname = current_database()`
	c := asker(t, server.URL(s.target.pool.ConnConfig.Database))
	answer(t, c, `SELECT count(pg_terminate_backend(pid))::text`+ours)
	for answer(t, c, `SELECT count(*)::text`+ours) != "0" {
	}
	if _, err := s.Session(ctx, "s1"); err != nil {
		t.Error(err)
	}
	if err := s.CreateSession(ctx, session(2)); err != nil {
		t.Error(err)
	}
}

// A connection that has been idle is tried before a write, and not before a read.
func TestWhichConnectionsAreTried(t *testing.T) {
	reads := context.WithValue(t.Context(), reading{}, true)
	for _, c := range []struct {
		ctx  context.Context
		idle time.Duration
		want bool
	}{
		{t.Context(), 0, false}, {t.Context(), time.Second, false}, {t.Context(), 2 * time.Second, true}, {reads, time.Hour, false},
	} {
		if got := shouldPing(c.ctx, pgxpool.ShouldPingParams{IdleDuration: c.idle}); got != c.want {
			t.Errorf("idle for %v: %v, want %v", c.idle, got, c.want)
		}
	}
}

// cut is a network that fails when a text is sent: before it goes out, or before
// the answer comes back.
type cut struct {
	net.Conn
	at    *atomic.Pointer[string]
	sent  bool
	times *atomic.Int64
}

func (c *cut) Write(b []byte) (int, error) {
	text := c.at.Load()
	if text == nil || !bytes.Contains(b, []byte(*text)) {
		return c.Conn.Write(b)
	}
	c.times.Add(1)
	if c.sent {
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
		// The server is done with it, and nobody hears.
		_, _ = c.Conn.Read(make([]byte, 1))
	}
	c.Conn.Close()
	return len(b), nil
}

// A connection that is lost around a commit leaves all of the write or none of it,
// and it is never tried twice.
func TestCutAtTheCommit(t *testing.T) {
	for _, sent := range []bool{false, true} {
		for name, c := range map[string]struct {
			text string
			call func(context.Context, *Store) error
		}{
			"a transaction": {"COMMIT\x00", func(ctx context.Context, s *Store) error { return s.CreateUser(ctx, user(1, "marked")) }},
			"one statement": {"marked", func(ctx context.Context, s *Store) error {
				return s.CreateUser(ctx, &gatehouse.User{ID: "u1", EmailKey: "marked", Name: "n"})
			}},
		} {
			t.Run(fmt.Sprintf("%s, sent %v", name, sent), func(t *testing.T) {
				ctx := t.Context()
				url := database(t)
				target, err := parse(url)
				if err != nil {
					t.Fatal(err)
				}
				at, times := new(atomic.Pointer[string]), new(atomic.Int64)
				dial := target.pool.ConnConfig.DialFunc
				target.pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := dial(ctx, network, address)
					return &cut{Conn: c, at: at, sent: sent, times: times}, err
				}
				s, err := open(ctx, target, Options{Timeout: 10 * time.Second}, Options{}.bounds())
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				at.Store(&c.text)
				if err := c.call(ctx, s); !errors.Is(err, gatehouse.ErrUnavailable) || times.Load() != 1 {
					t.Errorf("err = %v after %d tries", err, times.Load())
				}
				at.Store(nil)
				want := gatehouse.ErrNotFound
				if sent {
					want = nil
				}
				if _, err := s.User(ctx, "u1"); !errors.Is(err, want) {
					t.Errorf("the user: err = %v, want %v", err, want)
				}
			})
		}
	}
}

// Who waits for a row that somebody holds stops when the time is up, the caller's
// or the store's, and so does the server.
func TestTime(t *testing.T) {
	url := database(t)
	s := openStore(t, url, Options{})
	short := openStore(t, url, Options{})
	short.timeout = 50 * time.Millisecond // only now: a start may take longer
	ctx := t.Context()
	if err := s.CreateSession(ctx, session(1)); err != nil {
		t.Fatal(err)
	}
	c, observer := asker(t, url), asker(t, url)
	if _, err := c.Exec(ctx, `BEGIN; SELECT FROM gatehouse.sessions FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	x := session(1)
	x.Version = 1
	limited, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := s.SaveSession(limited, x); !errors.Is(err, gatehouse.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time: err = %v", err)
	}
	if err := short.SaveSession(ctx, x); !errors.Is(err, gatehouse.ErrUnavailable) || !errors.Is(err, errSlow) {
		t.Errorf("the store's time: err = %v", err)
	}
	for answer(t, observer, `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) != "0" {
	}
	if _, err := c.Exec(ctx, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Session(ctx, "s1"); err != nil || got.Version != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Close waits for what is under way, and refuses what comes after.
func TestClose(t *testing.T) {
	url := database(t)
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := s.CreateSession(ctx, session(1)); err != nil {
		t.Fatal(err)
	}
	c, observer := asker(t, url), asker(t, url)
	if _, err := c.Exec(ctx, `BEGIN; SELECT FROM gatehouse.sessions FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	saved, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		x := session(1)
		x.Version = 1
		saved <- s.SaveSession(ctx, x)
	}()
	for answer(t, observer, `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == "0" {
	}
	go func() { closed <- s.Close() }()
	for {
		if _, err := s.Session(ctx, "s1"); err != nil { // it has begun to close
			if !errors.Is(err, gatehouse.ErrUnavailable) || !errors.Is(err, errClosed) {
				t.Errorf("after Close: err = %v", err)
			}
			break
		}
	}
	select {
	case err := <-closed:
		t.Fatalf("closed (%v) while a write was under way", err)
	default:
	}
	if _, err := c.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// PostgreSQL keeps no NUL in a text and nothing that is not UTF-8.
func TestTextsThatCannotBeKept(t *testing.T) {
	s := openStore(t, database(t), Options{})
	ctx := t.Context()
	for _, bad := range []string{"a\x00", "a\xff", "\xed\xa0\x80"} {
		u := user(1)
		u.ID = bad
		if err := s.CreateUser(ctx, u); !errors.Is(err, errText) || errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("%q: create: %v", bad, err)
		}
		if left, err := s.Load(ctx, &gatehouse.Records{Users: []*gatehouse.User{user(2), u}}); !errors.Is(err, errText) {
			t.Errorf("%q: load: %v, %v", bad, left, err)
		}
		if _, err := s.User(ctx, bad); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("%q: read: %v", bad, err)
		}
		if _, err := s.TakeChallenge(ctx, bad); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("%q: take: %v", bad, err)
		}
		// What a browser says of itself is never the fault of the one who logs in.
		x := session(1)
		x.ID, x.UserAgent = fmt.Sprintf("%q", bad), "Mozilla "+bad
		if err := s.CreateSession(ctx, x); err != nil {
			t.Errorf("%q: session: %v", bad, err)
		}
		if got, err := s.Session(ctx, x.ID); err != nil || !strings.HasPrefix(got.UserAgent, "Mozilla ") || !strings.HasSuffix(got.UserAgent, "\ufffd") {
			t.Errorf("%q: session: %+v, %v", bad, got, err)
		}
	}
	if list, err := s.Users(ctx, "", 10); err != nil || len(list) != 0 {
		t.Errorf("%d users, %v", len(list), err)
	}
}

// A server that has become a standby is neither read nor written until it, or
// another at its address, is the primary again: it is behind, so that it would
// call a session good that was ended, and one that has just begun unknown.
func TestAStandby(t *testing.T) {
	p := service.Postgres(t, service.PostgresOptions{})
	ctx := t.Context()
	s := openStore(t, p.URL("postgres"), Options{})
	if err := s.CreateSession(ctx, session(1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(ctx); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("while it is away: %v", err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Standby(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, p.URL("postgres"), Options{}); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("open: %v", err)
	}
	for _, id := range []string{"s1", "unknown"} {
		if _, err := s.Session(ctx, id); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "standby") {
			t.Errorf("a read of %s: %v", id, err)
		}
	}
	if err := s.CreateSession(ctx, session(2)); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("a write: %v", err)
	}
	if err := p.Promote(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(ctx, "s1"); err != nil {
		t.Error(err)
	}
	if err := s.CreateSession(ctx, session(2)); err != nil {
		t.Errorf("a write: %v", err)
	}
}

// A sweep neither waits for a record that somebody is changing nor deletes it: the
// change may be that it lives longer.
func TestSweepLeavesWhatIsBeingChanged(t *testing.T) {
	url := database(t)
	s := openStore(t, url, Options{})
	ctx := t.Context()
	now := time.Now()
	for n := range 3 {
		x := session(n)
		x.ExpiresAt = now.Add(-time.Hour)
		if err := s.CreateSession(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	c := asker(t, url)
	if _, err := c.Exec(ctx, `BEGIN; UPDATE gatehouse.sessions SET expires_at = expires_at + 7200000 WHERE id = 's1'`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, now, 100); err != nil || n != 2 {
		t.Errorf("swept %d, %v, want 2", n, err)
	}
	if _, err := c.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, now, 100); err != nil || n != 0 {
		t.Errorf("swept %d, %v, want 0", n, err)
	}
	if _, err := s.Session(ctx, "s1"); err != nil {
		t.Error(err)
	}
}

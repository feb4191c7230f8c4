package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// testdata/schema1.sql is a database as the first release left it, with a user
// and three events. schemaOne is a file with it.
func schemaOne(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(script))
}

// appendOfSchemaOne is how the first release writes an event.
const appendOfSchemaOne = `INSERT INTO events (id, at, kind, outcome, user_id, actor_id, session_id, address, user_agent, ref, data, expires_at) ` +
	`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`

// A database of schema 1 is brought up to date: what is in it is what it was,
// and a program of schema 1 that still has it open goes on appending events.
func TestSchemaOneIsMigrated(t *testing.T) {
	path, ctx := schemaOne(t), t.Context()
	if current, wanted, err := SchemaVersion(ctx, path); err != nil || current != 1 || wanted < 2 {
		t.Fatalf("SchemaVersion = %d, %d, %v", current, wanted, err)
	}
	before, err := openConn(path, "rw", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer before.close()
	append1 := func(id string) {
		t.Helper()
		if n, err := before.Exec(ctx, appendOfSchemaOne, id, time.Now().UnixMilli(), "login", "ok", "u", "", "s", "192.0.2.1", "curl/8", "r", nil, nil); err != nil || n != 1 {
			t.Fatalf("the statement of schema 1: %d rows, %v", n, err)
		}
	}
	append1("01a210db-0000-7000-8000-000000000000")
	s := open(t, path, Options{})
	append1("01a210dc-0000-7000-8000-000000000000")

	u, err := s.UserByEmail(ctx, "ann@example.com")
	if err != nil || u.Email != "Ann@Example.com" || !u.HasRole("editor") {
		t.Errorf("the user: %+v, %v", u, err)
	}
	list, err := s.Events(ctx, gatehouse.EventQuery{Limit: 10})
	if err != nil || len(list) != 5 {
		t.Fatalf("%d events, %v, want 5", len(list), err)
	}
	for _, e := range list {
		if e.Chain != "" || e.Sequence != 0 || e.Proof != nil {
			t.Errorf("an event of schema 1 has a chain: %+v", e)
		}
	}

	secret := gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
	a := gatehousetest.New(t, gatehouse.Config{Store: s, Secret: secret})
	if _, err := a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: "ann@example.com", Password: "correct horse battery"}); err != nil {
		t.Errorf("the password of before: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	audit := gatehouse.NewAudit(secret)
	for e, err := range a.WalkEvents(ctx, gatehouse.EventQuery{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		audit.Add(e)
	}
	r := audit.Report(time.Now())
	if len(r.Problems) != 0 || r.Unchained != 5 || len(r.Chains) != 1 || !r.Chains[0].Closed {
		t.Errorf("%+v, want 5 events without a chain, and a sound one", r)
	}
}

// A later schema that has taken nothing away is one to work on: while a service is
// brought up to date, instances of before are still started.
func TestALaterSchemaThatOnlyAdds(t *testing.T) {
	path := finished(t)
	c, err := openConn(path, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`ALTER TABLE users ADD COLUMN later TEXT NOT NULL DEFAULT 'x'`, `UPDATE gatehouse_schema SET version = 99`} {
		if _, err := c.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, Options{})
	if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "01938c00-5a2f-7000-8000-000000000001", Email: "ann@example.com", EmailKey: "ann@example.com"}); err != nil {
		t.Error(err)
	}
	if from, to, err := Migrate(t.Context(), path); err != nil || from != to {
		t.Errorf("Migrate: from %d to %d, %v; want nothing to do", from, to, err)
	}
}

// Of two programs that start on an old database at once, one migrates it.
func TestManyMigrateAtOnce(t *testing.T) {
	path := schemaOne(t)
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			s, err := Open(path, Options{})
			if err == nil {
				_, err = s.Events(t.Context(), gatehouse.EventQuery{Limit: 1})
				err = errors.Join(err, s.Close())
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if current, wanted, err := SchemaVersion(t.Context(), path); err != nil || current != wanted {
		t.Errorf("SchemaVersion = %d, want %d (%v)", current, wanted, err)
	}
	if matches, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(matches) > 3 {
		t.Errorf("left behind: %v", matches)
	}
}

// A backup of schema 1 is restored as such, so that the version that made it can
// go on with it, and begins anew as any other.
func TestABackupOfSchemaOneIsRestored(t *testing.T) {
	for _, keep := range []gatehouse.Keep{gatehouse.KeepNothing, gatehouse.KeepSessions, gatehouse.KeepAll} {
		ctx, path := t.Context(), filepath.Join(t.TempDir(), "gatehouse.db")
		rule := gatehouse.Restoration{At: epoch, From: "backup", Keep: keep}
		if err := Restore(ctx, schemaOne(t), path, RestoreOptions{Restoration: rule}); err != nil {
			t.Fatal(err)
		}
		if current, _, err := SchemaVersion(ctx, path); err != nil || current != 1 {
			t.Errorf("schema %d, %v, want 1", current, err)
		}
		s := open(t, path, Options{})
		if under, err := gatehouse.RestorationUnderWay(ctx, s); err != nil || under == nil || under.Keep != keep {
			t.Errorf("the note is %v, %v", under, err)
		}
		if list, err := s.Users(ctx, "", 9); err != nil || len(list) != 1 || list[0].Epoch < rule.Shift() {
			t.Errorf("users %v, %v, want one of an epoch above %d", list, err, rule.Shift())
		}
	}
}

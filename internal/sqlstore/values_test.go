package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
)

// FuzzUser decodes a row whose JSON columns hold anything. What it accepts comes
// back the same after it was saved.
func FuzzUser(f *testing.F) {
	f.Add(`["admin"]`, `["oidc:1"]`, `[{"id":"c","kind":"password","hash":"$2b$","created_at":"2026-01-01T00:00:00.123Z","data":{"a":"<"}}]`, `{"x":1}`)
	f.Add(`[]`, ``, `[]`, ``)
	f.Add(`null`, `[null]`, `[null]`, `null`)
	f.Add(`["a"`, `{}`, `[{"created_at":"0000-01-01T00:00:00+23:59"}]`, `]`)
	f.Add(`[1]`, `["\ud800"]`, `[{"ID":1}]`, `"`)
	f.Fuzz(func(t *testing.T, roles, keys, credentials, extra string) {
		row := Row{"id", int64(1), "", nil, "", roles, keys, credentials, int64(0), nil, nil, nil, extra}
		u, err := decodeUser(row)
		if err != nil {
			if u != nil || strings.Contains(err.Error(), "password") {
				t.Fatalf("user %v beside err = %v", u, err)
			}
			return
		}
		args, err := encodeUser(u, u.Version)
		if err != nil {
			return // a time that JSON cannot express
		}
		again, err := decodeUser(Row(args))
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		args2, err := encodeUser(again, u.Version)
		if err != nil {
			t.Fatal(err)
		}
		// The data of a credential is compared as it is written, without spaces.
		if diff := cmp.Diff(args, args2); diff != "" {
			t.Fatal(diff)
		}
		u.Credentials, again.Credentials = nil, nil
		if diff := cmp.Diff(u, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzEvent is the same for the data of an event.
func FuzzEvent(f *testing.F) {
	f.Add(`{"method":"pwd"}`)
	f.Add(`{"a":1}`)
	f.Add(`[]`)
	f.Add(`{"a":"b","a":"c"}`)
	f.Fuzz(func(t *testing.T, data string) {
		e, err := decodeEvent(Row{"id", nil, "", "", "", "", "", "", "", "", data, nil, "", int64(0), nil})
		if err != nil {
			return
		}
		again, err := text(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		f, err := decodeEvent(Row{"id", nil, "", "", "", "", "", "", "", "", again, nil, "", int64(0), nil})
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if diff := cmp.Diff(e, f, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A row that is not as it should be is an error that names the column, for
// every column of every kind of record.
func TestRowsThatAreNotWhatTheyShouldBe(t *testing.T) {
	user, err := encodeUser(&gatehouse.User{ID: "u", EmailKey: "e", Roles: []string{"r"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	session, err := encodeSession(&gatehouse.Session{ID: "s"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		name   string
		row    []any
		decode func(Row) error
	}{
		{"user", user, func(r Row) error { _, err := decodeUser(r); return err }},
		{"session", session, func(r Row) error { _, err := decodeSession(r); return err }},
		{"challenge", encodeChallenge(&gatehouse.Challenge{}, 1), func(r Row) error { _, err := decodeChallenge(r); return err }},
		{"event", Row{"id", nil, "", "", "", "", "", "", "", "", nil, nil, "", int64(0), nil}, func(r Row) error { _, err := decodeEvent(r); return err }},
		{"setting", Row{"name", int64(1), nil, nil}, func(r Row) error { _, err := decodeSetting(r); return err }},
		{"task", encodeTask(&gatehouse.Task{}, 1), func(r Row) error { _, err := decodeTask(r); return err }},
	} {
		if err := k.decode(k.row); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		for i := range k.row {
			row := append(Row(nil), k.row...)
			row[i] = 1.5
			if err := k.decode(row); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("column %d ", i+1)) {
				t.Errorf("%s: column %d is a float: err = %v", k.name, i+1, err)
			}
			if err := k.decode(row[:i]); err == nil {
				t.Errorf("%s: a row of %d columns was decoded", k.name, i)
			}
		}
	}
}

// recorder is a connection that keeps what is run on it.
type recorder struct{ script strings.Builder }

func (r *recorder) Exec(_ context.Context, query string, _ ...any) (int64, error) {
	r.script.WriteString(query + "\n")
	return 1, nil
}

func (r *recorder) Query(context.Context, string, []any, func(Row) error) error { return nil }

// The words that dialects replace are all replaced.
func TestDialects(t *testing.T) {
	for name, c := range map[string]struct {
		d    Dialect
		want string
	}{
		"SQLite":   {SQLite, "WITHOUT ROWID"},
		"Postgres": {Postgres, `TEXT COLLATE "C" NOT NULL PRIMARY KEY`},
	} {
		var r recorder
		if err := Migrate(t.Context(), &r, c.d, 0); err != nil {
			t.Fatal(err)
		}
		if s := r.script.String(); strings.Contains(s, "/*") || !strings.Contains(s, c.want) {
			t.Errorf("%s: the script has a word left, or no %s:\n%s", name, c.want, s)
		}
	}
}

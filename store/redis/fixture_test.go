package redis

import (
	"bufio"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// testdata/first.jsonl is what the first version keeps in Redis, as commands that
// put it there: one a line. It stays as it is, whatever comes after it.
const firstPrefix = "first"

// inFixture are the records in it, with a value in every field that there was. Copies
// of users are not in it: they last two minutes, and one that cannot be read counts as
// none.
func inFixture() *gatehouse.Records {
	at := func(n int) time.Time { return time.Date(2026, 3, 1, 12, 0, n, 123e6, time.UTC) }
	late := func(n int) time.Time { return time.Date(2999, 1, 1, 0, 0, n, 0, time.UTC) }
	return &gatehouse.Records{
		Sessions: []*gatehouse.Session{{
			ID: "f-session", Version: 3, UserID: "f-user", Epoch: 5, Generation: 2, RotatedAt: at(6), CreatedAt: at(5), AuthenticatedAt: at(5),
			LastSeenAt: at(7), Methods: []string{"pwd", "otp"}, InactiveAt: late(1), EndsAt: late(2), ExpiresAt: late(3),
			UserAgent: "Firefox <é>", Address: "192.0.2.1", Extra: json.RawMessage(`{"k":"v"}`),
		}, {
			ID: "f-session2", Version: 2, UserID: "f-user", Generation: 1, CreatedAt: at(5), TerminatedAt: at(8), ExpiresAt: late(3),
		}},
		Challenges: []*gatehouse.Challenge{{
			ID: "f-challenge", Version: 2, Kind: "magic-link", UserID: "f-user", Attempts: 1, Data: json.RawMessage(`{"to":"/x"}`), CreatedAt: at(9), ExpiresAt: late(4),
		}},
	}
}

// What the first version left in Redis is read as it was written, and goes on.
func TestFirstVersion(t *testing.T) {
	file, err := os.Open("testdata/first.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	behind, ctx := memory.New(), t.Context()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var command []string
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			t.Fatal(err)
		}
		if out, err := shared.Do(command...); err != nil || strings.Contains(out, "ERR") {
			t.Fatalf("%q: %s, %v", command, out, err)
		}
		if command[1] == (&Client{options: Options{Prefix: firstPrefix}}).markKey()[0] { // what the store behind says as well
			if err := behind.SaveSetting(ctx, &gatehouse.Setting{Name: "redis", Value: []byte(command[2])}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := inFixture()
	s := openStore(t, shared.URL(), Options{Prefix: firstPrefix}, behind)
	for _, x := range want.Sessions {
		if got, err := s.Session(ctx, x.ID); err != nil || !reflect.DeepEqual(got, x) {
			t.Errorf("session %+v, %v, want %+v", got, err, x)
		}
	}
	if c, err := s.Challenge(ctx, "f-challenge"); err != nil || !reflect.DeepEqual(c, want.Challenges[0]) {
		t.Errorf("challenge %+v, %v", c, err)
	}
	list, err := s.SessionsOf(ctx, "f-user")
	if err != nil || len(list) != 1 {
		t.Fatalf("sessions %+v, %v, want one", list, err)
	}
	if err := s.SaveSession(ctx, list[0]); err != nil || list[0].Version != 4 {
		t.Errorf("save: %v, version %d", err, list[0].Version)
	}
	if _, err := s.TakeChallenge(ctx, "f-challenge"); err != nil {
		t.Error(err)
	}
	if err := s.Ready(ctx); err != nil {
		t.Error(err)
	}
	if n, err := s.Sweep(ctx, time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), 10); err != nil || n != len(want.Sessions) {
		t.Errorf("swept %d, %v, want %d", n, err, len(want.Sessions))
	}
}

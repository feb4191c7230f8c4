package mongo

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// The files in testdata are databases as the first schema has them, as Extended JSON:
// of each collection the indexes and the documents. They stay as they are, whatever
// comes after them.
//
//	schema1.json   records with a value in every field that there was, and a user
//	               who registered and logged in, with the audit log of that
//	adopted1.json  the collection of an application that was adopted, in which both
//	               sides have written since

type dump struct {
	Collection string   `bson:"collection"`
	Indexes    []bson.D `bson:"indexes"`
	Documents  []bson.D `bson:"documents"`
}

// restore makes the database of a file.
func restore(t *testing.T, uri, file string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Dumps []dump `bson:"database"`
	}
	if err := bson.UnmarshalExtJSON(text, true, &all); err != nil {
		t.Fatal(err)
	}
	db := bare(t, uri)
	for _, c := range all.Dumps {
		if len(c.Documents) > 0 {
			must(db.Collection(c.Collection).InsertMany(t.Context(), c.Documents))(t)
		}
		for _, i := range c.Indexes {
			if err := db.RunCommand(t.Context(), d("createIndexes", c.Collection, "indexes", bson.A{i})).Err(); err != nil {
				t.Fatalf("index %v of %s: %v", i, c.Collection, err)
			}
		}
	}
}

// fixtureSecret is the master secret of the fixtures.
var fixtureSecret = gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))

// inFixture are the records in schema1.json whose ids begin with "f-", with a value
// in every field of the first schema.
func inFixture() *gatehouse.Records {
	at := func(n int) time.Time { return time.Date(2026, 3, 1, 12, 0, n, 123e6, time.UTC) }
	late := func(n int) time.Time { return time.Date(2999, 1, 1, 0, 0, n, 0, time.UTC) }
	return &gatehouse.Records{
		Users: []*gatehouse.User{
			{
				ID: "f-user", Version: 7, Email: "Bea@Example.com", EmailKey: "bea@example.com", Name: "Béa <b>", Roles: []string{"admin", "editor"},
				Keys: []string{"passkey:AAEC", "token:x"}, Credentials: []gatehouse.Credential{
					{ID: "f-c1", Kind: "password", Hash: "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaA", CreatedAt: at(1), ChangedAt: at(2)},
					{ID: "f-c2", Kind: "passkey", CreatedAt: at(3), Data: json.RawMessage(`{"b": 1, "a":[null,"é"]}`)},
				},
				Epoch: 1 << 40, DisabledAt: at(4), CreatedAt: at(1), UpdatedAt: at(4), Extra: json.RawMessage(`{"z":1,"a":"x"}`),
			},
			{ID: "f-user2", Version: 1, CreatedAt: at(5), UpdatedAt: at(5)},
		},
		Sessions: []*gatehouse.Session{{
			ID: "f-session", Version: 3, UserID: "f-user", Epoch: 1 << 40, Generation: 2, RotatedAt: at(6), CreatedAt: at(5), AuthenticatedAt: at(5),
			LastSeenAt: at(7), Methods: []string{"pwd", "otp"}, InactiveAt: late(1), EndsAt: late(2), ExpiresAt: late(3),
			UserAgent: "Firefox", Address: "192.0.2.1", Extra: json.RawMessage(`{"k":"v"}`),
		}, {
			ID: "f-session2", Version: 2, UserID: "f-user", Generation: 1, CreatedAt: at(5), TerminatedAt: at(8), ExpiresAt: late(3),
		}},
		Challenges: []*gatehouse.Challenge{{
			ID: "f-challenge", Version: 2, Kind: "magic-link", UserID: "f-user", Attempts: 1, Data: json.RawMessage(`{"to":"/x"}`), CreatedAt: at(9), ExpiresAt: late(4),
		}},
		Events: []*gatehouse.Event{{
			ID: "f-event", At: at(10), Kind: "login", Outcome: "ok", UserID: "f-user", ActorID: "operator", SessionID: "f-session", Address: "192.0.2.1",
			UserAgent: "Firefox", Ref: "r1", Data: map[string]string{"a.b": "$1", "": "x"}, ExpiresAt: late(5), Chain: "f-chain", Sequence: 1, Proof: []byte{0, 255},
		}},
		Settings: []*gatehouse.Setting{{Name: "f-setting", Version: 4, Value: []byte{0, 1, 255}, UpdatedAt: at(11)}},
		Tasks: []*gatehouse.Task{{
			ID: "f-task", Version: 5, Kind: "mail", Data: json.RawMessage(`{"to":1}`), Attempts: 2, DueAt: at(12), LeasedUntil: at(13), CreatedAt: at(11), ExpiresAt: late(6),
		}},
	}
}

// walked are all records of the store.
func walked(t *testing.T, s *Store) *gatehouse.Records {
	t.Helper()
	all := new(gatehouse.Records)
	err := s.Walk(t.Context(), func(r *gatehouse.Records) error {
		all.Users, all.Sessions, all.Challenges = append(all.Users, r.Users...), append(all.Sessions, r.Sessions...), append(all.Challenges, r.Challenges...)
		all.Events, all.Settings, all.Tasks = append(all.Events, r.Events...), append(all.Settings, r.Settings...), append(all.Tasks, r.Tasks...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// holds reports whether each of the records is among all of them, as it is.
func holds[R any](t *testing.T, all, wanted []*R) {
	t.Helper()
	for _, w := range wanted {
		if !slices.ContainsFunc(all, func(r *R) bool { return reflect.DeepEqual(r, w) }) {
			t.Errorf("not there: %+v", w)
		}
	}
}

// A database of the first schema: everything that is in it is read as it was
// written, and goes on from there.
func TestFirstSchema(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri, ctx := database(t), t.Context()
		restore(t, uri, "schema1.json")
		if current, wanted, err := SchemaVersion(ctx, uri); err != nil || current != 1 || wanted < 1 {
			t.Errorf("SchemaVersion = %d, %d, %v", current, wanted, err)
		}
		s := open(t, uri, Options{})
		all, want := walked(t, s), inFixture()
		holds(t, all.Users, want.Users)
		holds(t, all.Sessions, want.Sessions)
		holds(t, all.Challenges, want.Challenges)
		holds(t, all.Events, want.Events)
		holds(t, all.Settings, want.Settings)
		holds(t, all.Tasks, want.Tasks)

		// By every way that leads to a record, and each can be written.
		u := must(s.UserByKey(ctx, "token:x"))(t)
		if must(s.UserByEmail(ctx, "bea@example.com"))(t).ID != u.ID {
			t.Error("the address leads to another user")
		}
		if err := s.CreateUser(ctx, &gatehouse.User{ID: "x", Keys: []string{"passkey:AAEC"}}); !errors.Is(err, gatehouse.ErrExists) {
			t.Errorf("a key of another user: err = %v", err)
		}
		if err := s.SaveUser(ctx, u); err != nil || u.Version != 8 {
			t.Errorf("save user: %v, version %d", err, u.Version)
		}
		sessions := must(s.SessionsOf(ctx, "f-user"))(t)
		if len(sessions) != 1 {
			t.Fatalf("%d sessions, want 1", len(sessions))
		}
		if err := s.SaveSession(ctx, sessions[0]); err != nil {
			t.Error(err)
		}
		if list := must(s.Events(ctx, gatehouse.EventQuery{UserID: "f-user", Kind: "login", Limit: 9}))(t); len(list) != 1 {
			t.Errorf("%d events, want 1", len(list))
		}
		must(s.TakeChallenge(ctx, "f-challenge"))(t)
		task := must(s.ClaimTask(ctx, []string{"mail"}, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC)))(t)
		if err := s.SaveTask(ctx, task); task.ID != "f-task" || err != nil {
			t.Errorf("task %+v, %v", task, err)
		}
		if err := s.SaveSetting(ctx, must(s.Setting(ctx, "f-setting"))(t)); err != nil {
			t.Error(err)
		}

		audit := gatehouse.NewAudit(fixtureSecret)
		for _, e := range all.Events {
			if !strings.HasPrefix(e.ID, "f-") {
				audit.Add(e)
			}
		}
		if r := audit.Report(time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)); len(r.Problems) != 0 || len(r.Chains) != 1 || !r.Chains[0].Closed {
			t.Errorf("the audit log: %+v", r)
		}
		a := gatehousetest.New(t, gatehouse.Config{Store: s, Secret: fixtureSecret})
		a.Login("ann@example.com")
	})
}

// An adopted collection of the first schema goes on as it was, and is given back as
// the application had it.
func TestFirstSchemaAdopted(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		restore(t, uri, "adopted1.json")
		c := bare(t, uri).Collection("users")
		s := open(t, uri, Options{})
		ann := user(t, s, oid(1))
		if ann.Email != "Ann@Example.com" || ann.Name != "Anna" || !ann.HasRole("admin") || password(ann) != "$argon2id$v=19$new" || ann.Version != 3 {
			t.Errorf("Ann is %+v", ann)
		}
		if bob := must(s.UserByEmail(t.Context(), "bob@example.com"))(t); bob.Enabled() || password(bob) != bcryptBob {
			t.Errorf("Bob is %+v", bob)
		}
		// What the application had written and Gatehouse had not seen yet.
		if carla := must(s.UserByEmail(t.Context(), "carla@example.net"))(t); carla.ID != oid(3).Hex() {
			t.Errorf("Carla is %+v", carla)
		}
		if dora := must(s.UserByEmail(t.Context(), "dora@example.com"))(t); dora.Name != "Dora" {
			t.Errorf("Dora is %+v", dora)
		}
		ann.Name = "Anne"
		if err := errors.Join(s.SaveUser(t.Context(), ann), s.Close()); err != nil {
			t.Fatal(err)
		}
		report := must(Undo(t.Context(), uri, AdoptOptions{AsItWas: true}))(t)
		if len(report.Registered) != 1 || len(report.Reverted) == 0 || len(report.Disabled) != 1 {
			t.Errorf("report %+v", report)
		}
		other := database(t)
		application(t, other)
		must(bare(t, other).Collection("users").UpdateOne(t.Context(), d("_id", oid(3)), d("$set", d("email", "carla@example.net"))))(t)
		want := content(t, bare(t, other).Collection("users"))
		got := content(t, c)
		for id, document := range got {
			if strings.Contains(bson.Raw(document).String(), "dora@example.com") {
				delete(got, id)
			}
		}
		same(t, "given back", got, want)
	})
}

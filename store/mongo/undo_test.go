package mongo

import (
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

// Everybody is listed who was something else here than they will be there, with
// what becomes of them; what was taken from users here is not given back unless it
// is asked for; and who was not touched is what they were, to the byte.
func TestUndoListsWhoDiffers(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		for _, c := range []struct {
			asItWas bool
			want    map[string]string // the lists
			there   map[int]string    // role and password in the application
		}{
			{false, map[string]string{
				"registered": "dora ",
				"reverted":   "Ann the password of before; fay none, as before",
				"disabled":   "2 no password is let in; 3 no password is let in; gus let in: the application has set a password since; dora no password is let in",
				"renamed":    "Ann name \"Ann\", email \"Ann@Example.com\"",
				"revoked":    "Ann admin, there user",
				"granted":    "eve chief",
				"deleted":    "hal deleted 2026-01-02T03:04:05Z",
			}, map[int]string{1: "user " + bcryptAnn, 2: "user " + noPassword, 3: " " + noPassword, 6: "user " + bcryptNext}},
			{true, map[string]string{
				"registered": "dora ",
				"reverted":   "Ann the password of before; 2 the password of before; fay none, as before",
				"disabled":   "2 let in with the password of before; 3 let in with the password of before; gus let in: the application has set a password since; dora no password is let in",
				"renamed":    "Ann name \"Ann\", email \"Ann@Example.com\"",
				"revoked":    "Ann admin, there admin",
				"granted":    "eve chief",
				"deleted":    "hal deleted 2026-01-02T03:04:05Z",
			}, map[int]string{1: "admin " + bcryptAnn, 2: "user " + bcryptBob, 3: " " + bcryptBob, 6: "user " + bcryptNext}},
		} {
			t.Run(fmt.Sprint("as it was: ", c.asItWas), func(t *testing.T) {
				uri := database(t)
				users := application(t, uri,
					d("_id", oid(4), "name", "eve", "email", "eve@example.com", "password", bcryptBob, "role", "user"),
					d("_id", oid(5), "name", "fay", "email", "fay@example.com", "role", "user"),
					d("_id", oid(6), "name", "gus", "email", "gus@example.com", "password", bcryptBob, "role", "user"),
					d("_id", oid(7), "name", "hal", "email", "hal@example.com", "password", bcryptBob),
					d("_id", oid(8), "name", "ina", "email", "ina@example.com", "password", bcryptBob, "role", "user"))
				before := content(t, users)
				adopt(t, uri, AdoptOptions{})
				s := open(t, uri, Options{})
				save := func(n int, f func(*gatehouse.User)) {
					t.Helper()
					u := user(t, s, oid(n))
					f(u)
					if err := s.SaveUser(t.Context(), u); err != nil {
						t.Fatal(err)
					}
				}
				disable := func(u *gatehouse.User) { u.DisabledAt = time.Unix(9, 0) }
				save(1, func(u *gatehouse.User) {
					u.Name, u.Email, u.EmailKey, u.Roles = "Anna", "anna@example.com", "anna@example.com", nil
					change(u, "$argon2id$v=19$new")
				})
				save(2, func(u *gatehouse.User) { change(u, "$argon2id$v=19$new") })
				save(2, disable)
				save(3, disable)
				save(4, func(u *gatehouse.User) { u.Roles = []string{"chief", "user"} })
				save(5, func(u *gatehouse.User) {
					u.Credentials = []gatehouse.Credential{{ID: "c", Kind: "password", Hash: "$argon2id$v=19$new"}}
				})
				save(6, disable)
				must(users.UpdateOne(t.Context(), d("_id", oid(6)), d("$set", d("password", bcryptNext))))(t)
				save(8, func(u *gatehouse.User) { u.Credentials[0].Hash = "$argon2id$v=19$same" })
				hal := user(t, s, oid(7))
				dora := &gatehouse.User{ID: "dora", Email: "dora@example.com", EmailKey: "dora@example.com", Name: "dora", DisabledAt: time.Unix(9, 0)}
				gone := &gatehouse.Event{ID: "e", Kind: gatehouse.EventUserDeleted, UserID: hal.ID, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
				for _, err := range []error{s.DeleteUser(t.Context(), hal.ID, hal.Version), s.AppendEvent(t.Context(), gone), s.CreateUser(t.Context(), dora), s.Close()} {
					if err != nil {
						t.Fatal(err)
					}
				}
				opts := AdoptOptions{AsItWas: c.asItWas, DryRun: true}
				dry := must(Undo(t.Context(), uri, opts))(t)
				opts.DryRun = false
				for what, r := range map[string]*Report{"dry run": dry, "undo": must(Undo(t.Context(), uri, opts))(t)} {
					for name, list := range map[string][]AdoptedUser{
						"registered": r.Registered, "reverted": r.Reverted, "disabled": r.Disabled, "renamed": r.Renamed,
						"revoked": r.Revoked, "granted": r.Granted, "deleted": r.Deleted,
					} {
						if got := told(list); got != c.want[name] {
							t.Errorf("%s, %s:\n%s, want\n%s", what, name, got, c.want[name])
						}
					}
				}
				after := content(t, users)
				for n, want := range c.there {
					raw := stored(t, users, oid(n))
					role, _ := raw.Lookup("role").StringValueOK()
					if got := role + " " + raw.Lookup("password").StringValue(); got != want {
						t.Errorf("user %d has %s, want %s", n, got, want)
					}
				}
				untouched := []int{4, 5, 8}
				if c.asItWas {
					untouched = append(untouched, 1, 2, 3)
				}
				for _, n := range untouched {
					id := bson.RawValue{Type: bson.TypeObjectID, Value: func() []byte { id := oid(n); return id[:] }()}.String()
					if after[id] != before[id] {
						t.Errorf("user %d is\n%v, want\n%v", n, bson.Raw(after[id]), bson.Raw(before[id]))
					}
				}
				for id, document := range after {
					if _, err := bson.Raw(document).LookupErr("gatehouse"); err == nil {
						t.Errorf("%s still has our field", id)
					}
				}
			})
		}
	})
}

// told is a list with the names that the users had first, and their notes.
func told(list []AdoptedUser) (text string) {
	names := map[string]string{}
	for n, name := range []string{1: "Ann", 4: "eve", 5: "fay", 6: "gus", 7: "hal", 8: "ina"} {
		if name == "" {
			name = fmt.Sprint(n)
		}
		names[oid(n).Hex()] = name
	}
	for i, u := range list {
		if i > 0 {
			text += "; "
		}
		name, ok := names[u.ID]
		if !ok {
			name = u.ID
		}
		text += name + " " + u.Note
	}
	return text
}

package importing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	json "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// known is what is expected of a record of testdata: an empty password is nobody's.
type known struct {
	id, email, name, roles, created string
	password, kind                  string
	verified, disabled              bool
	fields                          string
}

const (
	bcrypted = "J8eHUDuxBB520"
	horse    = "correct horse é"
)

var exports = []struct {
	file   string
	format *Format
	given  bool // what the format is cannot be seen
	reader Reader
	aside  []string // codes
	other  int
	users  []known
}{
	{
		file: "mongodb.ndjson", format: mongoDB, aside: []string{"hash_unknown"},
		users: []known{
			{"507f1f77bcf86cd799439011", "Ann@Example.com", "Ann Example", "admin", "2023-04-05T06:07:08.009Z", bcrypted, "bcrypt 4", false, false, `{"__v":0,"plan":{"name":"pro","seats":{"$numberInt":"5"}}}`},
			{"507f1f77bcf86cd799439013", "carl@example.com", "", "user", "2012-10-17T21:13:27Z", "", "", true, false, ``},
		},
	},
	{
		file: "better-auth.json", format: betterAuth,
		users: []known{
			{"kq3Vd2", "ann@example.com", "Ann Example", "editor,user", "2024-01-02T03:04:05Z", "ﬁsh é", "scrypt-nfkc ln=14,r=16,p=1", true, false, `{"accounts":[{"provider":"github","subject":"42"}]}`},
			{"kq3Vd3", "bob@example.com", "Bob", "", "2024-01-02T03:04:05Z", "", "", false, true, ``},
			{"kq3Vd4", "carl@example.com", "Carl", "", "2024-01-02T03:04:05Z", "", "", false, false, `{"banExpires":"2024-03-01T00:00:00.000Z"}`},
		},
	},
	{
		file: "authjs.csv", format: authJS,
		users: []known{
			{"clx1", "ann@example.com", "Ann Example", "", "", bcrypted, "bcrypt 4", true, false, `{"image":"https://example.com/ann.png"}`},
			{"clx2", "bob@example.com", `Bob, who says "hello"`, "", "", "", "", false, false, ``},
		},
	},
	{
		file: "supabase.csv", format: supabase, aside: []string{"deleted"},
		users: []known{
			{"6f6f6f6f-0000-4000-8000-000000000001", "ann@example.com", "Ann Example", "", "2023-01-02T03:04:05.123Z", bcrypted, "bcrypt 4", true, false,
				`{"aud":"authenticated","instance_id":"00000000-0000-0000-0000-000000000000","raw_app_meta_data":"{\"provider\": \"email\"}","raw_user_meta_data":"{\"full_name\": \"Ann Example\", \"plan\": \"pro\"}","role":"authenticated"}`},
			{"6f6f6f6f-0000-4000-8000-000000000002", "bob@example.com", "", "", "2023-01-02T03:04:05Z", "", "", false, true,
				`{"aud":"authenticated","banned_until":"2100-01-01 00:00:00+00","instance_id":"00000000-0000-0000-0000-000000000000","raw_app_meta_data":"{}","raw_user_meta_data":"{}","role":"authenticated"}`},
		},
	},
	{
		file: "firebase.json", format: firebase,
		users: []known{
			{"QWERTYuiop1234567890asdfGHJK", "ann@example.com", "Ann Example", "admin", "2020-09-13T12:26:40.123Z", "user1password", "scrypt-firebase ln=14,r=8,p=1", true, false,
				`{"customAttributes":"{\"role\":\"admin\"}","providerUserInfo":[{"providerId": "google.com", "rawId": "1234"}]}`},
			{"bob1", "bob@example.com", "", "", "2020-09-13T12:26:40.123Z", "", "", false, true, `{"providerUserInfo":[]}`},
		},
	},
	{
		file: "firebase.csv", format: firebase, given: true,
		users: []known{
			{"QWERTYuiop1234567890asdfGHJK", "ann@example.com", "Ann Example", "admin", "2020-09-13T12:26:40.123Z", "user1password", "scrypt-firebase ln=14,r=8,p=1", true, false, `{"customAttributes":"{\"role\":\"admin\"}"}`},
			{"bob1", "bob@example.com", `Bob "Bobby" Example`, "", "2020-09-13T12:26:40.123Z", "", "", false, true, ``},
		},
	},
	{
		file: "auth0.ndjson", format: auth0, aside: []string{"hash_unknown"},
		users: []known{
			{"auth0|60425dc43519d90068f82973", "ann@example.com", "", "", "", bcrypted, "bcrypt 4", true, false, `{"connection":"Username-Password-Authentication","tenant":"example"}`},
			{"auth0|60425dc43519d90068f82974", "bob@example.com", "Bob Example", "editor", "2021-03-05T16:35:16.775Z", horse, "wrapped-sha1 m=64,t=1,p=1", false, true, `{"app_metadata":{"roles":["editor"]}}`},
			{"auth0|hexsalt", "carl@example.com", "", "", "2021-03-05T16:35:16.775Z", horse, "wrapped-sha256 m=64,t=1,p=1", false, false, `{"identities":[{"connection":"google-oauth2","provider":"google-oauth2","user_id":"1034"}]}`},
			{"auth0|scrypt", "dora@example.com", "", "", "2021-03-05T16:35:16.775Z", horse, "scrypt ln=10,r=8,p=1", false, false, ``},
		},
	},
	{
		file: "keycloak.json", format: keycloak, other: 1,
		users: []known{
			{"0b2cb0b2-0000-4000-8000-000000000001", "ann@example.com", "Ann Example", "default-roles-example,offline_access", "2020-09-13T12:26:40.123Z", horse, "pbkdf2-sha256 i=1000,l=32", true, false,
				`{"groups":["/staff"],"totp":false,"username":"ann"}`},
			{"0b2cb0b2-0000-4000-8000-000000000002", "bob@example.com", "", "", "2020-09-13T12:26:40.123Z", "password", "argon2id m=256,t=2,p=1", false, true, `{"username":"bob@example.com"}`},
		},
	},
	{
		file: "kratos.json", format: kratos,
		users: []known{
			{"9d2b7b6e-0000-4000-8000-000000000001", "Ann@example.com", "Ann Example", "", "2022-01-02T03:04:05.123Z", "password", "argon2id m=256,t=2,p=1", true, false,
				`{"schema_id":"default","traits":{"newsletter":true},"verifiable_addresses":[{"value": "ann@example.com", "verified": true}]}`},
			{"9d2b7b6e-0000-4000-8000-000000000002", "bob@example.com", "", "", "2022-01-02T03:04:05Z", "", "", false, true, ``},
		},
	},
	{
		file: "pocketbase.json", format: pocketBase,
		users: []known{{"abc123def456ghi", "ann@example.com", "Ann Example", "", "2022-01-02T03:04:05.123Z", bcrypted, "bcrypt 4", true, false, `{"collectionName":"users","emailVisibility":false}`}},
	},
	{
		file: "django.json", format: django, other: 1,
		users: []known{
			{"1", "ann@example.com", "Ann Example", "", "2020-01-02T03:04:05.678Z", horse, "pbkdf2-sha256 i=1000,l=32", false, false, `{"groups":[1],"is_staff":true,"is_superuser":true,"user_permissions":[],"username":"ann"}`},
			{"2", "bob@example.com", "", "", "2020-01-02T03:04:05Z", "", "", false, true, `{"groups":[],"username":"bob"}`},
		},
	},
	{
		file: "devise.csv", format: devise,
		users: []known{{"17", "ann@example.com", "Ann Example", "admin", "2020-01-02T03:04:05.123Z", bcrypted, "bcrypt 4", true, false, `{"sign_in_count":"3"}`}},
	},
	{
		file: "devise.csv", format: devise, reader: Reader{Pepper: []byte("B520")},
		users: []known{{"17", "ann@example.com", "Ann Example", "admin", "2020-01-02T03:04:05.123Z", "J8eHUDuxB", "bcrypt-pepper 4", true, false, `{"sign_in_count":"3"}`}},
	},
	{
		file: "generic.csv", format: generic, given: true,
		reader: Reader{Map: map[string]string{"id": "uid", "email": "mail", "name": "full", "password": "hash"}, Digest: "sha1:sp"},
		users:  []known{{"7", "ann@example.com", "Ann Example", "", "", horse, "wrapped-sha1 m=64,t=1,p=1", false, false, ``}},
	},
}

// Every export becomes the users that it says, who log in with the passwords that
// they had, and whose hashes are then ours.
func TestExports(t *testing.T) {
	for _, c := range exports {
		t.Run(c.file, func(t *testing.T) {
			file := File{Name: filepath.Join("testdata", c.file)}
			for rec, err := range file.Records(t.Context()) {
				if got := Detect(rec); !c.given && (err != nil || got != c.format) {
					t.Fatalf("it looks like %v, %v", got, err)
				}
				break
			}
			file.Columns = c.format.Columns
			reader := c.reader
			reader.Format = c.format
			if c.format == firebase {
				var err error
				if reader.Firebase, err = ReadFirebaseHash("testdata/firebase-config.txt"); err != nil {
					t.Fatal(err)
				}
			}
			if err := reader.Check(); err != nil {
				t.Fatal(err)
			}
			store := memory.New()
			a := gatehousetest.New(t, gatehouse.Config{Store: store, HashMemory: 64, HashTime: 1})
			in, err := a.BeginImport(t.Context(), c.format.Name)
			if err != nil {
				t.Fatal(err)
			}
			var aside strings.Builder
			run := Run{Source: file, Reader: &reader, Sink: in.Add, Rejected: &aside}
			report, err := run.Do(t.Context())
			if err != nil || report.Added != len(c.users) || report.Rejected != len(c.aside) || report.Other != c.other || report.Records != len(c.users)+len(c.aside)+c.other {
				t.Errorf("%+v, %v\n%s", report, err, &aside)
			}
			for _, code := range c.aside {
				if report.Reasons[code] == nil {
					t.Errorf("nothing was set aside because of %s: %v", code, report.Codes())
				}
			}
			for _, want := range c.users {
				u, err := store.User(t.Context(), want.id)
				if err != nil {
					t.Errorf("%s: %v", want.id, err)
					continue
				}
				checkUser(t, a.Gatehouse, c.format.Name, u, want)
			}
			// Again: nobody comes in twice.
			again, err := run.Do(t.Context())
			if err != nil || again.Added != 0 || again.Present != len(c.users) || again.Rejected != len(c.aside) {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func checkUser(t *testing.T, g *gatehouse.Gatehouse, from string, u *gatehouse.User, want known) {
	t.Helper()
	var extra struct {
		Imported struct {
			From     string `json:"from"`
			ID       string `json:"id"`
			Verified bool   `json:"email_verified"`
			Fields   any    `json:"fields"`
		} `json:"imported"`
	}
	if err := json.Unmarshal(u.Extra, &extra); err != nil {
		t.Fatal(err)
	}
	var fields any
	if want.fields != "" {
		if err := json.Unmarshal([]byte(want.fields), &fields); err != nil {
			t.Fatal(err)
		}
	}
	got := known{
		id: u.ID, email: u.Email, name: u.Name, roles: strings.Join(u.Roles, ","), created: u.CreatedAt.Format(time.RFC3339Nano),
		password: want.password, kind: want.kind, verified: extra.Imported.Verified, disabled: !u.Enabled(), fields: want.fields,
	}
	if want.created == "" {
		got.created = ""
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(known{})); diff != "" {
		t.Errorf("%s: %s", want.id, diff)
	}
	if diff := cmp.Diff(fields, extra.Imported.Fields); diff != "" {
		t.Errorf("%s: fields %s", want.id, diff)
	}
	if extra.Imported.From != from || extra.Imported.ID != want.id {
		t.Errorf("%s comes from %s, %s", want.id, extra.Imported.From, extra.Imported.ID)
	}
	if strings.Contains(string(u.Extra), "not-to-be-kept") {
		t.Errorf("a secret is kept: %s", u.Extra)
	}
	if (len(u.Credentials) == 1) != (want.password != "") {
		t.Errorf("%s has %d credentials", want.id, len(u.Credentials))
	}
	if want.password == "" {
		return
	}
	if hash := u.Credentials[0].Hash; strings.Contains(string(u.Extra), hash) {
		t.Errorf("%s: the hash is kept beside", want.id)
	}
	_, err := g.Login(t.Context(), gatehouse.PasswordLogin{Email: strings.ToUpper(want.email), Password: want.password})
	if (err == nil) == want.disabled {
		t.Errorf("%s: login: %v, disabled is %v", want.id, err, want.disabled)
	}
	if _, err := g.Login(t.Context(), gatehouse.PasswordLogin{Email: want.email, Password: want.password + "x"}); err == nil {
		t.Errorf("%s: any password logs in", want.id)
	}
	now, err := g.User(t.Context(), want.id)
	if err != nil || !want.disabled && !strings.HasPrefix(now.Credentials[0].Hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("%s: after a login the hash is %.20s, %v", want.id, now.Credentials[0].Hash, err)
	}
}

// No export of another system is taken for one that it is not.
func TestEveryFormatHasAnExport(t *testing.T) {
	for _, f := range Formats {
		found := false
		for _, c := range exports {
			found = found || c.format == f
		}
		if !found {
			t.Errorf("%s has none", f.Name)
		}
	}
	if entries, err := os.ReadDir("testdata"); err != nil || len(entries) < 14 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}

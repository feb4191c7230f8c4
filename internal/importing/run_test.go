package importing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

func write(t testing.TB, content string) File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return File{Name: name}
}

func auth(t testing.TB, store gatehouse.Store) *gatehousetest.Auth {
	t.Helper()
	return gatehousetest.New(t, gatehouse.Config{Store: store, HashMemory: 64, HashTime: 1})
}

// do imports a file, and says which users came in and what was set aside, as
// line:code.
func do(t *testing.T, run Run, a *gatehousetest.Auth) (ids, aside []string, report *Report, err error) {
	t.Helper()
	in, err := a.BeginImport(t.Context(), "generic")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	run.Sink, run.Rejected = in.Add, &out
	if run.Reader == nil {
		run.Reader = &Reader{Format: generic}
	}
	report, err = run.Do(t.Context())
	users, uerr := a.Users(t.Context(), "", 1000)
	if uerr != nil {
		t.Fatal(uerr)
	}
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	for line := range strings.Lines(out.String()) {
		var r rejected
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		s := fmt.Sprintf("%d:%s", r.Line, r.Reason)
		if r.Number > 0 {
			s = fmt.Sprintf("#%d:%s", r.Number, r.Reason)
		}
		if len(r.Numbers) > 0 {
			s += fmt.Sprint(r.Numbers)
		} else if len(r.Lines) > 0 {
			s += fmt.Sprint(r.Lines)
		}
		if r.User != "" {
			s += "/" + r.User
		}
		aside = append(aside, s)
	}
	return ids, aside, report, err
}

// Addresses that are one to us are never merged: they are reported with each
// other, and who imports chooses.
func TestTheSameAddress(t *testing.T) {
	file := write(t, `{"id":"a","email":"ann@example.com","created_at":"2020-01-01T00:00:00Z","updated_at":"2023-01-01T00:00:00Z"}
{"id":"b","email":"bob@example.com"}
{"id":"c","email":"Ann@Example.com","created_at":"2021-01-01T00:00:00Z"}
{"id":"d","email":"ANN@EXAMPLE.COM","created_at":"2019-01-01T00:00:00Z"}
{"id":"e","email":"eve@example.com"}
{"id":"e","email":"other@example.com"}
`)
	for choice, want := range map[Choice]struct{ ids, aside string }{
		Reject: {"[b]", "[1:email_twice[3 4] 3:email_twice[1 4] 4:email_twice[1 3] 5:id_twice[6] 6:id_twice[5]]"},
		First:  {"[a b]", "[3:email_twice[1 4] 4:email_twice[1 3] 5:id_twice[6] 6:id_twice[5]]"},
		Newest: {"[a b]", "[3:email_twice[1 4] 4:email_twice[1 3] 5:id_twice[6] 6:id_twice[5]]"},
	} {
		ids, aside, report, err := do(t, Run{Source: file, OnDuplicate: choice}, auth(t, memory.New()))
		if fmt.Sprint(ids) != want.ids || fmt.Sprint(aside) != want.aside || err != nil || report.Added != len(ids) || report.Rejected != len(aside) {
			t.Errorf("%s: %v, %v, %v, want %v", choice, ids, aside, err, want)
		}
	}
	newest := write(t, `{"id":"a","email":"ann@example.com","created_at":"2020-01-01T00:00:00Z"}
{"id":"c","email":"Ann@Example.com","created_at":"2021-01-01T00:00:00Z"}`)
	if ids, aside, _, err := do(t, Run{Source: newest, OnDuplicate: Newest}, auth(t, memory.New())); fmt.Sprint(ids, aside) != "[c] [1:email_twice[2]]" || err != nil {
		t.Errorf("the newest: %v, %v, %v", ids, aside, err)
	}
}

// The same holds where all records are in one line, as dumps and interfaces write
// them: each is named by its number, and the choice is among them.
func TestTheSameAddressInOneLine(t *testing.T) {
	file := write(t, `[{"id":"a","email":"ann@example.com","created_at":"2020-01-01T00:00:00Z"}, {"id":"b","email":"bob@example.com"}, `+
		`{"id":"c","email":"Ann@Example.com","created_at":"2021-01-01T00:00:00Z"}, {"id":"d","email":"ANN@EXAMPLE.COM","created_at":"2019-01-01T00:00:00Z"}, `+
		`{"id":"e","email":"eve@example.com"}, {"id":"e","email":"other@example.com"}, {"id":"f","email":""}]`)
	const ids, none = "#5:id_twice[6] #6:id_twice[5]", "#7:missing_fields"
	for choice, want := range map[Choice]struct{ ids, aside string }{
		Reject: {"[b]", "[" + none + " #1:email_twice[3 4] #3:email_twice[1 4] #4:email_twice[1 3] " + ids + "]"},
		First:  {"[a b]", "[" + none + " #3:email_twice[1 4] #4:email_twice[1 3] " + ids + "]"},
		Newest: {"[b c]", "[" + none + " #1:email_twice[3 4] #4:email_twice[1 3] " + ids + "]"},
	} {
		ids, aside, report, err := do(t, Run{Source: file, OnDuplicate: choice}, auth(t, memory.New()))
		slices.SortFunc(aside, func(a, b string) int { // the batches are not the order of the file
			return strings.Compare(strings.Replace(a, none, "", 1), strings.Replace(b, none, "", 1))
		})
		if fmt.Sprint(ids) != want.ids || fmt.Sprint(aside) != want.aside || err != nil || report.Added != len(ids) || report.Rejected != len(aside) {
			t.Errorf("%s: %v, %v, %v, want %v", choice, ids, aside, err, want)
		}
		if got := fmt.Sprint(report.Reasons["id_twice"].Examples); got != "[record 5 with 6 record 6 with 5]" {
			t.Errorf("%s: examples %s", choice, got)
		}
	}
}

// Whoever waits hears of both readings.
func TestProgress(t *testing.T) {
	var file, heard strings.Builder
	for n := range 1200 {
		fmt.Fprintf(&file, "{\"id\":\"u%d\",\"email\":\"u%d@example.com\"}\n", n, n)
	}
	run := Run{Source: write(t, file.String()), Progress: func(done, total int) { fmt.Fprintf(&heard, "%d/%d ", done, total) }}
	if _, _, _, err := do(t, run, auth(t, memory.New())); err != nil {
		t.Fatal(err)
	}
	if got, want := heard.String(), "0/500 0/1000 500/1200 1000/1200 1200/1200 "; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
}

// What records have in common is told of all, and what is each one's own of none.
func TestReasonsOfSeveral(t *testing.T) {
	_, _, report, err := do(t, Run{Source: write(t, `{"id":"a","email":"a@example.com","password":"$argon2id$v=19$m=64,t=99,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ"}
{"id":"b","email":"b@example.com","password":"plain"}
{"id":"c"}
`)}, auth(t, memory.New()))
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"hash_unknown": "The password hash cannot be verified.", "missing_fields": "There is no email address."} {
		if got := report.Reasons[code].Text; got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

// Whoever is here keeps the address and the id; who was imported before is met
// again, also under another address.
func TestWhoIsHere(t *testing.T) {
	store := memory.New()
	a := auth(t, store)
	const first = `{"id":"a","email":"ann@example.com"}` + "\n"
	if ids, aside, _, err := do(t, Run{Source: write(t, first)}, a); len(ids) != 1 || len(aside) != 0 || err != nil {
		t.Fatal(ids, aside, err)
	}
	ids, aside, report, err := do(t, Run{Source: write(t, `{"id":"a","email":"Ann.New@example.com"}
{"id":"x","email":"ANN@example.com"}
{"id":"b","email":"bob@example.com"}
`)}, a)
	if fmt.Sprint(ids, aside) != "[a b] [2:user_exists/a]" || report.Present != 1 || report.Added != 1 || err != nil {
		t.Errorf("%v, %v, %+v, %v", ids, aside, report, err)
	}
	// Of another system, the same id is another user.
	_, aside, _, err = do(t, Run{Source: write(t, `{"id":"a","email":"other@example.com"}`), Reader: &Reader{Format: mongoDB, Map: map[string]string{"id": "id"}}}, a)
	if fmt.Sprint(aside) != "[1:id_taken/a]" || err != nil {
		t.Errorf("another system: %v, %v", aside, err)
	}
	// With new ids, there is no such quarrel, and the same ones each time.
	for range 2 {
		ids, aside, report, err = do(t, Run{Source: write(t, `{"_id":"a","email":"other@example.com"}`), Reader: &Reader{Format: mongoDB, NewIDs: true}}, a)
		if len(ids) != 3 || len(aside) != 0 || err != nil {
			t.Errorf("new ids: %v, %v, %v", ids, aside, err)
		}
	}
	if report.Present != 1 {
		t.Errorf("the second time: %+v", report)
	}
}

// A record that is no good is set aside with its line, and the others come in.
func TestBadRecords(t *testing.T) {
	long := `{"id":"l","email":"l@example.com","x":"` + strings.Repeat("x", MaxRecord) + `"}`
	ids, aside, _, err := do(t, Run{Source: write(t, strings.Join([]string{
		`{"id":"a","email":"a@example.com"}`,
		`{"id":"b","email":"not an address"}`,
		`{"id":"c"}`,
		`{"id":"d","email":"d@example.com","email":"e@example.com"}`,
		`not json`,
		`["d"]`,
		"{\"id\":\"e\",\"email\":\"e@example.com\",\"name\":\"\xff\"}",
		long,
		``,
		`{"email":"f@example.com"}`,
		`{"id":"../g","email":"g@example.com"}`,
		`{"id":"h","email":"h@example.com","password":"hunter2hunter2"}`,
		`{"id":"i","email":"i@example.com","password":"$scrypt$ln=20,r=8,p=16$AAAAAAAA$` + strings.Repeat("A", 43) + `"}`,
		`{"id":"j","email":"j@example.com","role":"Not A Role"}`,
		`{"id":"k","email":"k@example.com","name":"` + strings.Repeat("n", 201) + `"}`,
		`{"id":"m","email":"m@example.com","created_at":"1969-01-01T00:00:00Z"}`,
		`{"id":"n","email":"n@example.com","x":"` + strings.Repeat("x", 70_000) + `"}`,
		`{"line":4,"reason":"x","text":"y","record":{"id":"o","email":"o@example.com"}}`,
		`{"id":"z","email":"z@example.com"`,
	}, "\n"))}, auth(t, memory.New()))
	want := "[2:invalid_email 3:missing_fields 4:malformed 5:malformed 6:malformed 7:invalid_utf8 8:record_too_large 10:import_invalid 11:import_invalid " +
		"12:hash_unknown 13:hash_unknown 14:role_invalid 15:name_too_long 16:import_invalid 17:import_invalid 19:malformed]"
	slices.SortFunc(aside, func(a, b string) int {
		var x, y int
		fmt.Sscanf(a, "%d", &x)
		fmt.Sscanf(b, "%d", &y)
		return x - y
	})
	if fmt.Sprint(aside) != want || fmt.Sprint(ids) != "[a o]" || err != nil {
		t.Errorf("%v, %v, %v\nwant %s", ids, aside, err, want)
	}
}

func TestCSV(t *testing.T) {
	for content, want := range map[string]string{
		"id,email\r\na,a@example.com\r\n\"b\",\"b@example.com\"\r\n":                               "[a b] []",
		"\xef\xbb\xbfid;email\na;a@example.com\n":                                                  "[a] []",
		"id\temail\na\ta@example.com":                                                              "[a] []",
		"id,email\na,a@example.com,x\nb,b@example.com\n":                                           "[b] [2:malformed]",
		"id,email\nb\"b,b@example.com\nc,c@example.com\n":                                          "[c] [2:malformed]",
		"id,email,name\na,a@example.com,\"two\nlines\"\nb,b@example.com,\xff\nc,c@example.com,x\n": "[c] [4:invalid_utf8 2:name_invalid]",
	} {
		ids, aside, _, err := do(t, Run{Source: write(t, content)}, auth(t, memory.New()))
		if got := fmt.Sprint(ids, aside); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", content, got, err, want)
		}
	}
}

// A bad record is set aside also where it is the first, from which one sees what the
// file is.
func TestTheFirstRecordIsBad(t *testing.T) {
	good := `{"id":"a","email":"a@example.com"}` + "\n" + `{"id":"b","email":"b@example.com"}` + "\n"
	long := `{"id":"a","email":"a@example.com","x":"` + strings.Repeat("x", 20_000) + `"}` + "\n" + `{"id":"b","email":"b@example.com"}`
	for content, want := range map[string]string{
		`{"_id":{"$oid":"65a1` + "\n" + good:        "[a b] [1:malformed]",
		`{"id":"z",` + "\n" + good:                  "[a b] [1:malformed]",
		`{"id":` + "\n" + good:                      "[a b] [1:malformed]",
		`{` + "\n" + good:                           "[a b] [1:malformed]",
		`{"users":[` + "\n" + good:                  "[a b] [1:malformed]",
		`garbage` + "\n" + good:                     "[a b] [1:malformed]",
		`["z"]` + "\n" + good:                       "[a b] [1:malformed]",
		`[` + "\n" + good:                           "[a b] [1:malformed]",
		`7` + "\n" + good:                           "[a b] [1:malformed]",
		`{"id":"z","email":"z"` + "\n" + long:       "[a b] [1:malformed]",
		"\xef\xbb\xbf\n" + `{"id":` + "\r\n" + good: "[a b] [2:malformed]",
		// These are documents, and no lines.
		`{"users":[` + "\n" + `{"id":"a","email":"a@example.com"},` + "\n" + `{"id":"b","email":"b@example.com"}` + "\n]}": "[a b] []",
		"[\n" + `{"id":"a","email":"a@example.com"},` + "\n" + `{"id":"b","email":"b@example.com"}` + "\n]\n":              "[a b] []",
	} {
		ids, aside, _, err := do(t, Run{Source: write(t, content)}, auth(t, memory.New()))
		if got := fmt.Sprint(ids, aside); got != want || err != nil {
			t.Errorf("%.60q: %s, %v, want %s", content, got, err, want)
		}
	}
}

// JSON in the cells of a table is what it is elsewhere.
func TestJSONInCells(t *testing.T) {
	secret := `{""value"":""p1S37VFiBGJzMW9BKNtwY1o5CVL1Sh+w1nVZpkRSils="",""salt"":""IKR0rpXyvjcGgDDG+L+XEg==""}`
	inner := func(s string) string { return strings.ReplaceAll(s, `""`, `\""`) }
	for _, c := range []struct {
		format            *Format
		content, id, hash string
	}{
		{mongoDB, "_id,email\nObjectId(507f1f77bcf86cd799439011),a@example.com\n", "507f1f77bcf86cd799439011", ""},
		{mongoDB, `_id,email` + "\n" + `"ObjectId(""507f1f77bcf86cd799439011"")",a@example.com` + "\n", "507f1f77bcf86cd799439011", ""},
		{mongoDB, `_id,email` + "\n" + `"{""$oid"":""507f1f77bcf86cd799439011""}",a@example.com` + "\n", "507f1f77bcf86cd799439011", ""},
		{auth0, `_id,email` + "\n" + `"{""$oid"":""507f1f77bcf86cd799439011""}",a@example.com` + "\n", "auth0|507f1f77bcf86cd799439011", ""},
		{kratos, `id,traits,verifiable_addresses` + "\n" + `7,"{""email"":""a@example.com""}","[{""value"":""a@example.com"",""verified"":true}]"` + "\n", "7", ""},
		{keycloak, `id,email,credentials` + "\n" + `7,a@example.com,"[{""type"":""password"",""secretData"":""` + inner(secret) +
			`"",""credentialData"":""` + inner(`{""hashIterations"":1000,""algorithm"":""pbkdf2-sha256""}`) + `""}]"` + "\n", "7", "pbkdf2"},
	} {
		var got *gatehouse.User
		var fault error
		for rec, err := range write(t, c.content).Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got, fault = (&Reader{Format: c.format}).User(rec)
		}
		if fault != nil || got == nil || got.ID != c.id {
			t.Errorf("%s: %v, %v, want id %s", c.format.Name, got, fault, c.id)
			continue
		}
		if has := len(got.Credentials) == 1 && strings.Contains(got.Credentials[0].Hash, c.hash); has != (c.hash != "") {
			t.Errorf("%s: credentials %v, want one of %q", c.format.Name, got.Credentials, c.hash)
		}
		if c.format == kratos && !strings.Contains(string(got.Extra), `"email_verified":true`) {
			t.Errorf("%s: the address is not verified: %s", c.format.Name, got.Extra)
		}
	}
}

// What cannot be read to its end is an error before anything comes in.
func TestBrokenFiles(t *testing.T) {
	for content, want := range map[string]string{
		`[{"id":"a","email":"a@example.com"},` + "\n" + `{"id":`: "line 2",
		"[\n" + `{"id":"a","email":"a@example.com"}`:             "line 2",
		"{\n" + `"users": [{"id":"a","email":"a@example.com"}`:   "line 2",
		`{` + "\n" + `"other": 1}`:                               "no list of users",
		`[{"id":"a","email":"a@example.com"}] x`:                 "line 1",
		"id,id\na,b\n":                                           `column "id" twice`,
	} {
		ids, aside, _, err := do(t, Run{Source: write(t, content)}, auth(t, memory.New()))
		if len(ids)+len(aside) != 0 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, %v, want %q", content, ids, aside, err, want)
		}
	}
	if _, _, _, err := do(t, Run{Source: File{Name: filepath.Join(t.TempDir(), "none")}}, auth(t, memory.New())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, _, report, err := do(t, Run{Source: write(t, " \n")}, auth(t, memory.New())); err != nil || report.Records != 0 {
		t.Errorf("an empty file: %+v, %v", report, err)
	}
}

// An import that is interrupted keeps what came in, and goes on from there.
func TestResume(t *testing.T) {
	var content strings.Builder
	for n := range 3*batch + 7 {
		fmt.Fprintf(&content, "{\"id\":\"u%d\",\"email\":\"u%d@example.com\"}\n", n, n)
	}
	a := auth(t, memory.New())
	ctx, cancel := context.WithCancel(t.Context())
	in, err := a.BeginImport(ctx, "generic")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	run := Run{Source: write(t, content.String()), Reader: &Reader{Format: generic}, Sink: func(ctx context.Context, users []*gatehouse.User) ([]gatehouse.Imported, error) {
		if calls++; calls == 2 {
			defer cancel()
		}
		return in.Add(ctx, users)
	}}
	report, err := run.Do(ctx)
	if !errors.Is(err, context.Canceled) || report.Added != 2*batch {
		t.Fatalf("%+v, %v", report, err)
	}
	run.Sink = in.Add
	report, err = run.Do(t.Context())
	if err != nil || report.Present != 2*batch || report.Added != batch+7 || report.Rejected != 0 {
		t.Errorf("resumed: %+v, %v", report, err)
	}
}

func FuzzReader(f *testing.F) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			b, err := os.ReadFile(filepath.Join("testdata", e.Name()))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		n := 0
		for rec, err := range (File{}).read(bytes.NewReader(content)) {
			if err != nil {
				break
			}
			if n++; rec.Line < 1 {
				t.Fatalf("record %d is in line %d", n, rec.Line)
			}
			for _, format := range Formats {
				u, err := (&Reader{Format: format, Firebase: FirebaseHash{SignerKey: "AAAA"}}).User(rec)
				if _, ok := errors.AsType[*Fault](err); err != nil && !ok {
					t.Fatalf("%s: %v, want a fault", format.Name, err)
				}
				if err == nil && !jsontext.Value(u.Extra).IsValid() {
					t.Fatalf("%s: the fields are %q", format.Name, u.Extra)
				}
			}
		}
	})
}

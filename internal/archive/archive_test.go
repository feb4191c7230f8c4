package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
)

func at(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC).Add(time.Duration(n) * time.Second)
}

// some are records of every kind, with something in every field, and with
// nothing but an id.
func some(n int) *gatehouse.Records {
	id := fmt.Sprint("id ", n)
	return &gatehouse.Records{
		Users: []*gatehouse.User{{
			ID: id, Version: 3, Email: "Ann@Example.com", EmailKey: "ann@example.com", Name: `<A> & "b"\` + "\u2028\n\u0001日本", Roles: []string{"admin", ""},
			Keys: []string{"oidc:1", "passkey:1"}, Epoch: math.MaxInt64, DisabledAt: at(1), CreatedAt: at(2), UpdatedAt: at(3),
			Credentials: []gatehouse.Credential{
				{ID: "c1", Kind: "password", Hash: "$argon2id$v=19$", CreatedAt: at(4), ChangedAt: at(5), Data: []byte(`{"z" : "<" , "a":1e2}`)}, {ID: "c2"},
			},
			Extra: []byte(" { \"z\" : 1.50, \"a\":\"\\u003c<\",\n\"z\":12345678901234567890 } "),
		}, {ID: id + "b"}},
		Sessions: []*gatehouse.Session{{
			ID: id, Version: 4, UserID: "u", Epoch: math.MinInt64, Generation: 7, RotatedAt: at(1), CreatedAt: at(2), AuthenticatedAt: at(3), LastSeenAt: at(4),
			Methods: []string{"pwd", "otp"}, InactiveAt: at(5), EndsAt: at(6), TerminatedAt: at(7), ExpiresAt: at(8), UserAgent: "curl", Address: "::1",
			Extra: []byte(`[ null ]`),
		}, {ID: id + "b"}},
		Challenges: []*gatehouse.Challenge{{
			ID: id, Version: 5, Kind: "magic-link", UserID: "u", Attempts: 2, Data: []byte(`"x" `), CreatedAt: at(1), ExpiresAt: at(2),
		}, {ID: id + "b"}},
		Events: []*gatehouse.Event{{
			ID: id, At: at(1), Kind: "login", Outcome: "ok", UserID: "u", ActorID: "operator", SessionID: "s", Address: "::1", UserAgent: "curl", Ref: "r",
			Data: map[string]string{"b": "1", "a": "", "": "2"}, ExpiresAt: at(2), Chain: "c", Sequence: -5, Proof: []byte{0, 1, 255},
		}, {ID: id + "b"}},
		Settings: []*gatehouse.Setting{{Name: id, Version: 6, Value: []byte{0, 255, '\n'}, UpdatedAt: at(1)}, {Name: id + "b"}},
		Tasks: []*gatehouse.Task{{
			ID: id, Version: 7, Kind: "mail", Data: []byte(`0.0`), Attempts: 3, DueAt: at(1), LeasedUntil: at(2), CreatedAt: at(3), ExpiresAt: at(4),
		}, {ID: id + "b"}},
	}
}

func add(to, r *gatehouse.Records) {
	to.Users, to.Sessions, to.Challenges = append(to.Users, r.Users...), append(to.Sessions, r.Sessions...), append(to.Challenges, r.Challenges...)
	to.Events, to.Settings, to.Tasks = append(to.Events, r.Events...), append(to.Settings, r.Settings...), append(to.Tasks, r.Tasks...)
}

func written(t testing.TB, list ...*gatehouse.Records) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, Header{Gatehouse: "v1.2.3", CreatedAt: at(0)})
	for _, r := range list {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatComesOutIsWhatWentIn(t *testing.T) {
	want, digest := &gatehouse.Records{}, &Digest{}
	var list []*gatehouse.Records
	for n := range 200 {
		list = append(list, some(n))
		add(want, some(n))
		if err := digest.Add(some(n)); err != nil {
			t.Fatal(err)
		}
	}
	got := &gatehouse.Records{}
	h, d, err := Read(bytes.NewReader(written(t, list...)), func(r *gatehouse.Records) error {
		if r.Len() > 999 {
			t.Errorf("%d records at once", r.Len())
		}
		add(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if *d != *digest {
		t.Errorf("digest %v %s, want %v %s", d, d.Sum(), digest, digest.Sum())
	}
	if want := (Header{Format, "v1.2.3", at(0)}); *h != want {
		t.Errorf("header %v, want %v", *h, want)
	}
	// To write again what was read gives the same bytes.
	if a, b := written(t, want), written(t, got); !bytes.Equal(a, b) {
		t.Error("what was read is not written as it was before")
	}
}

// The format is kept for ever: this is an archive of version 1.
func TestAnArchiveOfVersion1(t *testing.T) {
	const v1 = `{"gatehouse_archive":{"format":1,"gatehouse":"v1.2.3","created_at":"2026-03-01T12:00:00.123Z"}}
{"user":{"id":"u1","version":3,"email":"Ann@Example.com","email_key":"ann@example.com","name":"Ann","roles":["admin"],"credentials":[{"id":"c1","kind":"password","hash":"$2b$","created_at":"2026-03-01T12:00:01.123Z"}],"epoch":2,"extra":"{ \"a\": 1 }"}}
{"setting":{"name":"x","version":1,"value":"AP8="}}
{"end":{"counts":{"challenges":0,"events":0,"sessions":0,"settings":1,"tasks":0,"users":1},` +
		`"digest":"e3dd78937346d4f9829eb6ffed70ac214511d0552f2ce1ba06f9fef934430a31",` +
		`"sha256":"2a3fde855f9bd362bd4f8e10a4d30a62b989a4d1918830e0edce788b8c19e5d8"}}
`
	r := &gatehouse.Records{
		Users: []*gatehouse.User{{
			ID: "u1", Version: 3, Email: "Ann@Example.com", EmailKey: "ann@example.com", Name: "Ann", Roles: []string{"admin"}, Epoch: 2,
			Credentials: []gatehouse.Credential{{ID: "c1", Kind: "password", Hash: "$2b$", CreatedAt: at(1)}}, Extra: []byte(`{ "a": 1 }`),
		}},
		Settings: []*gatehouse.Setting{{Name: "x", Version: 1, Value: []byte{0, 255}}},
	}
	if got := string(written(t, r)); got != v1 {
		t.Errorf("got\n%s\nwant\n%s", got, v1)
	}
}

func TestTheDigestIsOfTheRecordsWhateverTheirOrder(t *testing.T) {
	sum := func(list ...*gatehouse.Records) string {
		var d Digest
		for _, r := range list {
			if err := d.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		return d.Sum()
	}
	if a, b := sum(some(1), some(2), some(3)), sum(some(3), some(1), some(2)); a != b {
		t.Errorf("another order: %s and %s", a, b)
	}
	if sum() != strings.Repeat("0", 64) {
		t.Errorf("nothing: %s", sum())
	}
	empty := &gatehouse.Records{Users: []*gatehouse.User{{ID: "u", Roles: []string{}, Keys: []string{}, Extra: []byte{}}}}
	if a, b := sum(empty), sum(&gatehouse.Records{Users: []*gatehouse.User{{ID: "u"}}}); a != b {
		t.Error("empty is not nil")
	}
	seen := map[string]string{sum(some(1)): "nothing changed"}
	for name, change := range map[string]func(*gatehouse.Records){
		"a version": func(r *gatehouse.Records) { r.Users[0].Version++ },
		"a space":   func(r *gatehouse.Records) { r.Users[0].Extra = r.Users[0].Extra[1:] },
		"a kind":    func(r *gatehouse.Records) { r.Tasks[1].Kind = "x" },
		"a time":    func(r *gatehouse.Records) { r.Sessions[0].EndsAt = at(9) },
		"a proof":   func(r *gatehouse.Records) { r.Events[0].Proof[0]++ },
		"a value":   func(r *gatehouse.Records) { r.Settings[0].Value[0]++ },
		"one less":  func(r *gatehouse.Records) { r.Challenges = r.Challenges[1:] },
		"one twice": func(r *gatehouse.Records) { r.Challenges = append(r.Challenges, r.Challenges[0]) },
		"one three times": func(r *gatehouse.Records) {
			r.Challenges = append(r.Challenges, r.Challenges[0], r.Challenges[0])
		},
	} {
		r := some(1)
		change(r)
		if other, there := seen[sum(r)]; there {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[sum(r)] = name
	}
}

// Whatever is cut off or changed is refused, and most of it before f is called.
func TestDamage(t *testing.T) {
	whole := written(t, some(1))
	for n := range len(whole) {
		if _, _, err := Read(bytes.NewReader(whole[:n]), nil); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Fatalf("cut after %d of %d bytes: err = %v", n, len(whole), err)
		}
		for _, bit := range []byte{1, 32} {
			changed := bytes.Clone(whole)
			changed[n] ^= bit
			_, _, err := Read(bytes.NewReader(changed), nil)
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrNewer) {
				t.Fatalf("byte %d changed to %q: err = %v", n, changed[n], err)
			}
		}
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	// Sound in itself, and from a program that knows more than this one.
	more := strings.Replace(string(whole), `{"user":{`, `{"user":{"colour":"red",`, 1)
	cut := strings.LastIndex(more, `{"end":`)
	more = more[:cut] + strings.Replace(more[cut:], fmt.Sprintf("%x", sha256.Sum256(whole[:bytes.LastIndex(whole, []byte(`{"end":`))])),
		fmt.Sprintf("%x", sha256.Sum256([]byte(more[:cut]))), 1)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"something more to a user": {[]byte(more), ErrDamaged},
		"nothing":                  {nil, ErrForeign},
		"something else":           {[]byte("SQLite format 3\x00"), ErrForeign},
		"other JSON":               {[]byte("{\"user\":{}}\n"), ErrForeign},
		"a line twice":             {bytes.Join([][]byte{lines[0], lines[1], whole[len(lines[0]):]}, nil), ErrDamaged},
		"lines exchanged":          {bytes.Join(append([][]byte{lines[0], lines[2], lines[1]}, lines[3:]...), nil), ErrDamaged},
		"something more":           {append(bytes.Clone(whole), '\n'), ErrDamaged},
		"two archives":             {append(bytes.Clone(whole), whole...), ErrDamaged},
		"a newer format":           {[]byte(`{"gatehouse_archive":{"format":2,"what":"ever"}}` + "\n?"), ErrNewer},
		"no format":                {[]byte(`{"gatehouse_archive":{}}` + "\n"), ErrDamaged},
		"an unknown kind":          {append(bytes.Clone(lines[0]), "{\"group\":{}}\n"...), ErrDamaged},
		"a line of two":            {append(bytes.Clone(lines[0]), "{\"user\":{\"id\":\"a\"},\"end\":{}}\n"...), ErrDamaged},
		"an empty line":            {append(bytes.Clone(lines[0]), "\n"...), ErrDamaged},
	} {
		if _, _, err := Read(bytes.NewReader(c.b), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: err = %v, want %v", name, err, c.want)
		}
	}
}

func TestWhatJSONCannotCarryIsAnErrorThatNamesIt(t *testing.T) {
	for name, r := range map[string]*gatehouse.Records{
		"text":   {Users: []*gatehouse.User{{ID: "u1", Name: "\xff"}}},
		"a time": {Users: []*gatehouse.User{{ID: "u1", CreatedAt: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}}},
	} {
		err := NewWriter(io.Discard, Header{}).Write(r)
		if err == nil || !strings.Contains(err.Error(), `users, "u1"`) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestEncryption(t *testing.T) {
	whole := written(t, some(1))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := LockFor(strings.NewReader("# ann\n" + identity.Recipient().String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := lock.Encrypt(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(whole); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	locked := b.Bytes()
	for want, what := range map[Sort][]byte{Encrypted: locked, Plain: whole, Other: []byte("SQLite format 3\x00")} {
		if got, err := SortOf(bytes.NewReader(what)); got != want || err != nil {
			t.Errorf("sort %v, %v, want %v", got, err, want)
		}
	}
	if bytes.Contains(locked, []byte("ann@example.com")) {
		t.Error("it can be read")
	}
	read := func(b []byte, key *Key) error {
		r, err := key.Decrypt(bytes.NewReader(b))
		if err != nil {
			return err
		}
		_, _, err = Read(r, nil)
		return err
	}
	key, err := KeyFrom(strings.NewReader(identity.String()))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := KeyFrom(strings.NewReader(other.String()))
	if err != nil {
		t.Fatal(err)
	}
	phrase, err := KeyOf("a passphrase")
	if err != nil {
		t.Fatal(err)
	}
	if err := read(locked, key); err != nil {
		t.Error(err)
	}
	for name, k := range map[string]*Key{"another identity": wrong, "a passphrase": phrase} {
		if err := read(locked, k); !errors.Is(err, ErrLocked) {
			t.Errorf("with %s: err = %v, want ErrLocked", name, err)
		}
	}
	for _, n := range []int{30, len(locked) / 2, len(locked) - 1} {
		if err := read(locked[:n], key); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut after %d bytes: err = %v, want ErrDamaged", n, err)
		}
		changed := bytes.Clone(locked)
		changed[n] ^= 1
		if err := read(changed, key); !errors.Is(err, ErrDamaged) && (n > 200 || !errors.Is(err, ErrLocked)) {
			t.Errorf("byte %d changed: err = %v, want ErrDamaged", n, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(written(f, some(1)))
	f.Add(written(f))
	f.Add([]byte(`{"gatehouse_archive":{"format":1}}` + "\n" + `{"user":{"id":"a","id":"b"}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all := &gatehouse.Records{}
		_, digest, err := Read(bytes.NewReader(b), func(r *gatehouse.Records) error {
			add(all, r)
			return nil
		})
		if err != nil {
			if digest != nil {
				t.Error("a digest beside an error")
			}
			return
		}
		// What was accepted comes back the same.
		_, again, err := Read(bytes.NewReader(written(t, all)), nil)
		if err != nil || *again != *digest {
			t.Errorf("%v %v, want %v", again, err, digest)
		}
	})
}

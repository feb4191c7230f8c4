package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

func TestRegisterRefusals(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{PasswordMinLength: 10})
	a.Register(ann)
	for _, c := range []struct {
		what                  string
		name, email, password string
		kind                  gatehouse.Kind
		code, field           string
	}{
		{"no address", "", "", password, gatehouse.Invalid, "missing_fields", "email"},
		{"no password", "", "bob@example.com", "", gatehouse.Invalid, "missing_fields", "password"},
		{"not an address", "", "bob", password, gatehouse.Invalid, "invalid_email", "email"},
		{"a name of 201 characters", strings.Repeat("é", 201), "bob@example.com", password, gatehouse.Invalid, "name_too_long", "name"},
		{"a name of 10,000 bytes", strings.Repeat("n", 10_000), "bob@example.com", password, gatehouse.Invalid, "name_too_long", "name"},
		{"a name with a line break", "Bob\nroot", "bob@example.com", password, gatehouse.Invalid, "name_invalid", "name"},
		{"a name that is read backwards", "Bob\u202e", "bob@example.com", password, gatehouse.Invalid, "name_invalid", "name"},
		{"a name that is no text", "\xff", "bob@example.com", password, gatehouse.Invalid, "name_invalid", "name"},
		{"9 characters", "", "bob@example.com", "123456789", gatehouse.Invalid, "password_too_short", "password"},
		{"9 characters in 27 bytes", "", "bob@example.com", "一二三四五六七八九", gatehouse.Invalid, "password_too_short", "password"},
		{"10 code points that are 9 characters", "", "bob@example.com", "12345678e\u0301", gatehouse.Invalid, "password_too_short", "password"},
		{"257 characters", "", "bob@example.com", strings.Repeat("p", 257), gatehouse.Invalid, "password_too_long", "password"},
		{"a megabyte", "", "bob@example.com", strings.Repeat("p", 1<<20), gatehouse.Invalid, "password_too_long", "password"},
		{"a password that is no text", "", "bob@example.com", "0123456789\xff", gatehouse.Invalid, "password_invalid", "password"},
		{"taken", "", ann, password, gatehouse.Conflict, "user_exists", "email"},
		{"taken, in capitals", "", " ANN@Example.COM", password, gatehouse.Conflict, "user_exists", "email"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := a.Gatehouse.Register(t.Context(), gatehouse.Registration{Name: c.name, Email: c.email, Password: c.password})
			refused(t, c.what, err, c.kind, c.code)
			if e, _ := errors.AsType[*gatehouse.Error](err); e.Field != c.field {
				t.Errorf("blames %q, want %q", e.Field, c.field)
			}
		})
	}
	if users := must(a.Users(t.Context(), "", 10))(t); len(users) != 1 {
		t.Errorf("%d users, want the one that was accepted", len(users))
	}
}

func TestRegisterAccepts(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	for email, pw := range map[string]string{
		"a@example.com": "83647261",
		"b@example.com": strings.Repeat("p", 256),
		"c@example.com": strings.Repeat("𝒑", 256), // four bytes each
		"d@example.com": "        ",
		"e@example.com": "with\x00a NUL",
		"f@example.com": "ÅngströmÅ",
	} {
		if _, err := a.Gatehouse.Register(t.Context(), gatehouse.Registration{Name: " Ann ", Email: email, Password: pw}); err != nil {
			t.Errorf("%s: %v", email, err)
			continue
		}
		l, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: email, Password: pw})
		if err != nil {
			t.Errorf("log in %s: %v", email, err)
			continue
		}
		if l.User.Name != "Ann" {
			t.Errorf("the name = %q, want it without the white space around it", l.User.Name)
		}
	}
}

// Of any number of registrations of one address, in whichever spelling, exactly
// one is accepted.
func TestRegisterRace(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	spellings := []string{"josé@example.com", "jose\u0301@example.com", "JOSÉ@EXAMPLE.COM", "JOSE\u0301@Example.com"}
	var wg sync.WaitGroup
	start, answers := make(chan struct{}), make(chan error, 50)
	for i := range 50 {
		wg.Go(func() {
			<-start
			_, err := a.Gatehouse.Register(context.Background(), gatehouse.Registration{Email: spellings[i%4], Password: password})
			answers <- err
		})
	}
	close(start)
	wg.Wait()
	close(answers)
	accepted := 0
	for err := range answers {
		if err == nil {
			accepted++
			continue
		}
		refused(t, "a later registration", err, gatehouse.Conflict, "user_exists")
	}
	if accepted != 1 {
		t.Errorf("%d of 50 registrations were accepted, want 1", accepted)
	}
	if users := must(a.Users(t.Context(), "", 100))(t); len(users) != 1 {
		t.Errorf("%d users, want 1", len(users))
	}
	for _, s := range spellings {
		a.Login(s)
	}
}

func TestLoginRefusals(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	for _, c := range []struct {
		what, email, password string
		kind                  gatehouse.Kind
		code                  string
	}{
		{"no address", "", password, gatehouse.Invalid, "missing_fields"},
		{"no password", ann, "", gatehouse.Invalid, "missing_fields"},
		{"not an address", "ann", password, gatehouse.Invalid, "invalid_email"},
		{"a password that is no text", ann, "\xc3\x28", gatehouse.Invalid, "password_invalid"},
		{"257 characters", ann, strings.Repeat("p", 257), gatehouse.Invalid, "password_too_long"},
		{"a wrong password", ann, "wrong horse battery staple", gatehouse.Unauthenticated, "invalid_credentials"},
		{"a password in capitals", ann, strings.ToUpper(password), gatehouse.Unauthenticated, "invalid_credentials"},
		{"a password with a blank", ann, password + " ", gatehouse.Unauthenticated, "invalid_credentials"},
		{"a password of less than what a new one needs", ann, "p", gatehouse.Unauthenticated, "invalid_credentials"},
		{"nobody", "bob@example.com", password, gatehouse.Unauthenticated, "invalid_credentials"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: c.email, Password: c.password})
			refused(t, c.what, err, c.kind, c.code)
		})
	}
}

// Whoever cannot log in is told one and the same thing, after a hash each time:
// when no more can be hashed, all of them are told just that.
func TestLoginTellsNothing(t *testing.T) {
	store := memory.New()
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	a.Register(ann)
	disabled := a.Register("disabled@example.com")
	must(a.DisableUser(t.Context(), disabled.ID))(t)
	bare := a.Register("bare@example.com")
	bare = must(store.User(t.Context(), bare.ID))(t)
	bare.Credentials = nil
	if err := store.SaveUser(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	attempts := map[string]gatehouse.PasswordLogin{
		"a wrong password":               {Email: ann, Password: "wrong horse"},
		"nobody":                         {Email: "nobody@example.com", Password: password},
		"a disabled user":                {Email: "disabled@example.com", Password: password},
		"a disabled user, wrong":         {Email: "disabled@example.com", Password: "wrong horse"},
		"a user without a password":      {Email: "bare@example.com", Password: password},
		"a user without a password, odd": {Email: "BARE@example.com", Password: "p"},
	}
	for what, in := range attempts {
		_, err := a.Gatehouse.Login(t.Context(), in)
		refused(t, what, err, gatehouse.Unauthenticated, "invalid_credentials")
		if e, _ := errors.AsType[*gatehouse.Error](err); e.Text != "Invalid credentials" || e.Field != "" || e.Err != nil {
			t.Errorf("%s: %+v tells more than the others", what, e)
		}
	}
	a.Close() // of hashing, too
	for what, in := range attempts {
		_, err := a.Gatehouse.Login(t.Context(), in)
		refused(t, what+", and nothing can be hashed", err, gatehouse.Unavailable, "busy")
	}
}

func TestPasswordIsWhole(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	first := strings.Repeat("p", 72)
	for i, c := range []struct{ what, set, shown string }{
		{"bytes after the 72nd", first + "right", first + "wrong"},
		{"the last of 256 characters", strings.Repeat("p", 255) + "a", strings.Repeat("p", 255) + "b"},
		{"what follows a NUL", "12345678\x00right", "12345678\x00wrong"},
		{"upper case", "Horseback7", "horseback7"},
		{"a blank at the end", "password ", "password"},
		{"NFC only: compatibility forms differ", "ﬁve horses", "five horses"},
	} {
		email := fmt.Sprintf("user%d@example.com", i)
		must(a.Gatehouse.Register(t.Context(), gatehouse.Registration{Email: email, Password: c.set}))(t)
		_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: email, Password: c.shown})
		refused(t, c.what, err, gatehouse.Unauthenticated, "invalid_credentials")
		must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: email, Password: c.set}))(t)
	}
	// What two keyboards write for one and the same password.
	must(a.Gatehouse.Register(t.Context(), gatehouse.Registration{Email: "nfc@example.com", Password: "p\u00e4ssw\u00f6rd"}))(t)
	if _, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: "nfc@example.com", Password: "pa\u0308sswo\u0308rd"}); err != nil {
		t.Errorf("the password as another keyboard writes it: %v", err)
	}
}

// importHash puts a hash of another system in the place of the user's.
func importHash(t testing.TB, store gatehouse.Store, id, hash string) {
	t.Helper()
	u := must(store.User(t.Context(), id))(t)
	u.Credentials[0].Hash = hash
	if err := store.SaveUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

func bcryptOf(t testing.TB, password string) string {
	t.Helper()
	return string(must(bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost))(t))
}

func TestImportedHashIsReplaced(t *testing.T) {
	store := memory.New()
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	u := a.Register(ann)
	before := a.Login(ann)
	imported := bcryptOf(t, password)
	importHash(t, store, u.ID, imported)

	_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "wrong horse"})
	refused(t, "a wrong password", err, gatehouse.Unauthenticated, "invalid_credentials")
	if got := must(store.User(t.Context(), u.ID))(t).Credentials[0].Hash; got != imported {
		t.Fatal("a wrong password replaced the hash")
	}
	a.Login(ann)
	stored := must(store.User(t.Context(), u.ID))(t)
	if hash := stored.Credentials[0].Hash; !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("after a login the hash is %.20s…, want argon2id with the parameters of today", hash)
	}
	if stored.Epoch != u.Epoch {
		t.Errorf("the epoch = %d, want %d: it is the same password", stored.Epoch, u.Epoch)
	}
	works(t, "a session of before the new hash", a, before)
	if n := len(events(t, a, gatehouse.EventPasswordRehashed)); n != 1 {
		t.Errorf("%d events %s, want 1", n, gatehouse.EventPasswordRehashed)
	}
	a.Login(ann)
	if n := len(events(t, a, gatehouse.EventPasswordRehashed)); n != 1 {
		t.Errorf("%d events %s after a second login, want still 1", n, gatehouse.EventPasswordRehashed)
	}
}

// Of many logins at once each succeeds, and the hash is replaced once.
func TestRehashRace(t *testing.T) {
	store := memory.New()
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	u := a.Register(ann)
	importHash(t, store, u.ID, bcryptOf(t, password))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			l, err := a.Gatehouse.Login(context.Background(), gatehouse.PasswordLogin{Email: ann, Password: password})
			if err != nil {
				t.Errorf("login: %v", err)
				return
			}
			if _, err := a.Authenticate(context.Background(), l.AccessToken); err != nil {
				t.Errorf("its access token: %v", err)
			}
		})
	}
	wg.Wait()
	if n := len(events(t, a, gatehouse.EventPasswordRehashed)); n != 1 {
		t.Errorf("the hash was replaced %d times, want once", n)
	}
}

// A password that is changed while the old one is being hashed anew stays
// changed, and the session of the old one is void.
func TestRehashLosesToAChange(t *testing.T) {
	store := &meddler{Store: memory.New()}
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	u := a.Register(ann)
	importHash(t, store, u.ID, bcryptOf(t, password))
	// Between the check of the old password and the new hash of it, that is
	// before the user is read to be saved.
	store.beforeUser = func() {
		store.beforeUser = nil
		if err := a.SetPassword(t.Context(), u.ID, "another horse"); err != nil {
			t.Errorf("set password: %v", err)
		}
	}
	l := must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
	ended(t, "a session begun with the password of before", a, l)
	_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password})
	refused(t, "the password of before", err, gatehouse.Unauthenticated, "invalid_credentials")
	must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "another horse"}))(t)
}

// meddler does something just before a user is read by id.
type meddler struct {
	gatehouse.Store
	beforeUser func()
}

func (m *meddler) User(ctx context.Context, id string) (*gatehouse.User, error) {
	if f := m.beforeUser; f != nil {
		f()
	}
	return m.Store.User(ctx, id)
}

// A password is good until its owner wants another one.
func TestPasswordsDoNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := gatehouse.Config{Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))}
		a := gatehousetest.New(t, cfg)
		a.Register(ann)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * 365 * 24 * time.Hour) // with nothing running, which would tick a million times
		b := gatehousetest.New(t, cfg)
		must(b.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
	})
}

func TestChangePassword(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	caller, other := a.Login(ann), a.Login(ann)

	for _, c := range []struct {
		what, current, replacement string
		kind                       gatehouse.Kind
		code                       string
	}{
		{"no current password", "", "another horse", gatehouse.Invalid, "missing_fields"},
		{"no new password", password, "", gatehouse.Invalid, "missing_fields"},
		{"a wrong current password", "wrong horse", "another horse", gatehouse.Forbidden, "wrong_password"},
		{"a short new password", password, "short", gatehouse.Invalid, "password_too_short"},
		{"a long new password", password, strings.Repeat("p", 257), gatehouse.Invalid, "password_too_long"},
		{"the same password", password, password, gatehouse.Invalid, "same_password"},
	} {
		_, err := a.ChangePassword(t.Context(), caller, c.current, c.replacement)
		refused(t, c.what, err, c.kind, c.code)
	}
	works(t, "after refusals only", a, caller)
	works(t, "after refusals only", a, other)

	l := must(a.ChangePassword(t.Context(), caller, password, "another horse"))(t)
	works(t, "whoever changed the password", a, l)
	must(a.Refresh(t.Context(), l.RefreshToken))(t)
	ended(t, "the caller's session of before", a, caller)
	ended(t, "the session of another browser", a, other)
	_, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password})
	refused(t, "the old password", err, gatehouse.Unauthenticated, "invalid_credentials")
	must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "another horse"}))(t)

	_, err = a.ChangePassword(t.Context(), other, "another horse", "a third horse")
	refused(t, "with a session that has ended", err, gatehouse.Unauthenticated, "invalid_token")
}

// Of two changes at once one takes effect, and the other is told so.
func TestChangePasswordRace(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	one, two := a.Login(ann), a.Login(ann)
	var wg sync.WaitGroup
	answers := make([]error, 2)
	for i, l := range []*gatehouse.Login{one, two} {
		wg.Go(func() {
			_, answers[i] = a.ChangePassword(context.Background(), l, password, []string{"the first horse", "the second horse"}[i])
		})
	}
	wg.Wait()
	won := slices.IndexFunc(answers, func(err error) bool { return err == nil })
	if won < 0 {
		t.Fatalf("no change took effect: %v", answers)
	}
	if answers[1-won] == nil {
		t.Fatal("both changes took effect")
	}
	// It came after the winner's write, or after the winner's whole change.
	if e, ok := errors.AsType[*gatehouse.Error](answers[1-won]); !ok || e.Code != "invalid_token" && e.Code != "wrong_password" {
		t.Errorf("the loser is told %v, want invalid_token or wrong_password", answers[1-won])
	}
	must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: []string{"the first horse", "the second horse"}[won]}))(t)
}

func TestReauthenticate(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	l := a.Login(ann)
	_, err := a.Reauthenticate(t.Context(), l, "")
	refused(t, "no password", err, gatehouse.Invalid, "missing_fields")
	_, err = a.Reauthenticate(t.Context(), l, "wrong horse")
	refused(t, "a wrong password", err, gatehouse.Forbidden, "wrong_password")
	works(t, "after a wrong password", a, l)
	// Rotated in passing by the same request: not a second time, or a tab that
	// raced would be two generations behind.
	if same := must(a.Reauthenticate(t.Context(), l, password))(t); same.RefreshToken != l.RefreshToken {
		t.Error("a refresh token of this request was rotated again")
	}
	at := must(a.Authenticate(t.Context(), l.AccessToken))(t)
	again := must(a.Reauthenticate(t.Context(), at, password))(t)
	if again.Session.ID != l.Session.ID || again.RefreshToken == l.RefreshToken {
		t.Errorf("session %s → %s, refresh token rotated: %v; want the same session and another token",
			l.Session.ID, again.Session.ID, again.RefreshToken != l.RefreshToken)
	}
	if err := a.Logout(t.Context(), again.AccessToken, ""); err != nil {
		t.Fatal(err)
	}
	_, err = a.Reauthenticate(t.Context(), again, password)
	refused(t, "in a session that was ended", err, gatehouse.Unauthenticated, "invalid_token")
}

func TestNewUsersWithRoles(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	u := must(a.AddUser(t.Context(), gatehouse.NewUser{
		Registration: gatehouse.Registration{Email: ann, Password: password}, Roles: []string{"staff", "admin", "staff"},
	}))(t)
	if !slices.Equal(u.Roles, []string{"admin", "staff"}) {
		t.Errorf("roles = %v, want them sorted and each once", u.Roles)
	}
	_, err := a.AddUser(t.Context(), gatehouse.NewUser{
		Registration: gatehouse.Registration{Email: "bob@example.com", Password: password}, Roles: []string{"Admin"},
	})
	refused(t, "a role in capitals", err, gatehouse.Invalid, "role_invalid")
	_, err = a.AddUser(t.Context(), gatehouse.NewUser{Registration: gatehouse.Registration{Email: ann, Password: password}})
	refused(t, "an address that is taken", err, gatehouse.Conflict, "user_exists")
}

//go:build linux

package attack

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// Answers that tell who has an account, by what they say or by when.
var tellAttacks = []attack{
	{"login", tellLogin},
	{"login-form", tellLoginForm},
	{"refresh", tellRefresh},
	{"time-of-absent", func(t *testing.T) { tellsNoTime(t, "timed", wrongPassword, absentUser) }},
	{"time-of-disabled", func(t *testing.T) { tellsNoTime(t, "timed", wrongPassword, disabledUser) }},
	{"time-of-imported", func(t *testing.T) { tellsNoTime(t, "mixed", anyImported, absentUser) }},
}

// imported is how many users the service "mixed" has of each kind: with a hash
// like our own, and with one of bcrypt from elsewhere.
const imported = 50

func importedEmail(i int) string { return fmt.Sprintf("imported%d@example.com", i) }

// importUsers fills a store that nobody has served yet: with users whose hashes
// are like our own, as many whose hashes are of bcrypt, and one who has none, as
// who logs in by other means.
func importUsers(t *testing.T, data string) {
	t.Helper()
	store, err := sqlite.Open(filepath.Join(data, "gatehouse.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	// A store that is there has a secret already.
	if err := os.WriteFile(filepath.Join(data, "secret"), []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	salt := []byte("sixteen bytes...")
	key := argon2.IDKey([]byte(password), salt, 1, 2048, 1, 32) // as the service "mixed" is set
	ours := fmt.Sprintf("$argon2id$v=19$m=2048,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
	theirs, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost+2)
	if err != nil {
		t.Fatal(err)
	}
	add := func(i int, address string, hash string) {
		email, err := gatehouse.ParseEmail(address)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		u := &gatehouse.User{ID: fmt.Sprintf("00000000-0000-7000-8000-%012d", i), Email: email.Typed, EmailKey: email.Key, CreatedAt: now, UpdatedAt: now}
		if hash != "" {
			u.Credentials = []gatehouse.Credential{{ID: fmt.Sprintf("00000000-0000-7000-9000-%012d", i), Kind: "password", Hash: hash, CreatedAt: now, ChangedAt: now}}
		}
		if err := store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	for i := range imported {
		add(2*i, importedEmail(2*i), ours)
		add(2*i+1, importedEmail(2*i+1), string(theirs))
	}
	add(2*imported, passwordless, "")
}

const passwordless = "person-p@example.com"

// side is one kind of login; the number makes the samples differ.
type side func(t *testing.T, s *server) func(i int) (email, password string)

func wrongPassword(t *testing.T, s *server) func(int) (string, string) {
	emails := make([]string, 20)
	for i := range emails {
		emails[i] = newEmail()
		newClient(s).post(t, "/api/auth/register", credentials(emails[i], password)).want(t, 201)
	}
	return func(i int) (string, string) { return emails[i%len(emails)], newPassword }
}

func absentUser(*testing.T, *server) func(int) (string, string) {
	return func(i int) (string, string) { return fmt.Sprintf("absent%d@example.com", i), newPassword }
}

// disabledUser shows the right password: that it is right must not be told.
func disabledUser(t *testing.T, s *server) func(int) (string, string) {
	emails := make([]string, 3)
	for i := range emails {
		emails[i] = newEmail()
		newClient(s).post(t, "/api/auth/register", credentials(emails[i], password)).want(t, 201)
		s.operate(t, "user", "disable", emails[i])
	}
	return func(i int) (string, string) { return emails[i%len(emails)], []string{password, newPassword}[i%2] }
}

// anyImported draws from all users, of whom half have a hash of bcrypt. That an
// absent user costs as much as often is all that can be asked for.
func anyImported(t *testing.T, s *server) func(int) (string, string) {
	store, err := sqlite.Open(s.database(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	eventually(t, "the service has counted its users", func() bool {
		counted, err := store.Setting(t.Context(), "hash_kinds")
		return err == nil && strings.Contains(string(counted.Value), "bcrypt")
	})
	return func(i int) (string, string) { return importedEmail(i % (2 * imported)), newPassword }
}

// tellsNoTime logs in 500 times as each side, in random order, and asks how well
// the times tell the sides apart: the chance that a random one of this side takes
// longer than a random one of the other. One half is not at all.
func tellsNoTime(t *testing.T, kind string, sides ...side) {
	const samples = 500
	s := house(t, kind)
	var logins []func(int) (string, string)
	for _, side := range sides {
		logins = append(logins, side(t, s))
	}
	var order []int
	for i := range 2 * samples {
		order = append(order, i)
	}
	mathrand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	c := newClient(s)
	for i := range 40 { // to warm up
		email, password := logins[i%2](i / 2)
		c.post(t, "/api/auth/login", credentials(email, password))
	}
	times := make([][]time.Duration, 2)
	for _, i := range order {
		email, password := logins[i%2](i / 2)
		body := credentials(email, password)
		began := time.Now()
		a := c.post(t, "/api/auth/login", body)
		times[i%2] = append(times[i%2], time.Since(began))
		a.want(t, 401)
	}
	auc := rankStatistic(times[0], times[1])
	t.Logf("medians %v and %v, AUC %.3f", median(times[0]), median(times[1]), auc)
	if auc = max(auc, 1-auc); auc >= 0.6 {
		t.Errorf("the time tells them apart: AUC %.3f, want less than 0.6", auc)
	}
}

// rankStatistic is the part of all pairs of which the first took longer (Mann
// and Whitney), which is the area under the curve of the best threshold.
func rankStatistic(a, b []time.Duration) float64 {
	slices.Sort(b)
	var wins float64
	for _, x := range a {
		low, _ := slices.BinarySearch(b, x)
		high, _ := slices.BinarySearch(b, x+1)
		wins += float64(low) + float64(high-low)/2
	}
	return wins / float64(len(a)) / float64(len(b))
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// same makes sure that two answers differ in nothing but what differs always.
func same(t *testing.T, what string, a, b *answer) {
	t.Helper()
	strip := func(x *answer) string {
		h := x.header.Clone()
		h.Del("Date")
		h.Del("X-Request-Id")
		body := string(x.body)
		if ref := x.text("ref"); ref != "" {
			body = strings.ReplaceAll(body, ref, "REF")
		}
		return fmt.Sprint(x.status, h, body)
	}
	if strip(a) != strip(b) {
		t.Errorf("%s can be told:\n%s\n%s", what, strip(a), strip(b))
	}
}

// tellLogin compares the answers to all who cannot log in.
func tellLogin(t *testing.T) {
	s := house(t, "mixed")
	// All addresses are of one length, as one that is shown again has its own.
	known, disabled := "person-a@example.com", "person-b@example.com"
	for _, email := range []string{known, disabled} {
		newClient(s).post(t, "/api/auth/register", credentials(email, password))
	}
	s.operate(t, "user", "disable", disabled)
	absent := newClient(s).post(t, "/api/auth/login", credentials("person-c@example.com", newPassword)).want(t, 401)
	for what, body := range map[string]string{
		"a wrong password": credentials(known, newPassword), "a disabled user": credentials(disabled, password), "a disabled user with a wrong password": credentials(disabled, newPassword), "an imported user": credentials(importedEmail(1), newPassword), "a user without a password": credentials(passwordless, newPassword), "a blank for none": credentials(passwordless, " "),
	} {
		same(t, what, absent, newClient(s).post(t, "/api/auth/login", body))
		// And again, when something may have been counted.
		same(t, what, absent, newClient(s).post(t, "/api/auth/login", body))
	}
}

func tellLoginForm(t *testing.T) {
	s := house(t, "mixed")
	known, disabled := "person-d@example.com", "person-e@example.com"
	for _, email := range []string{known, disabled} {
		newClient(s).post(t, "/api/auth/register", credentials(email, password))
	}
	s.operate(t, "user", "disable", disabled)
	ask := func(email, password string) *answer {
		a := newClient(s).form(t, "/login", "email", email, "password", password)
		a.body = []byte(strings.ReplaceAll(string(a.body), email, "EMAIL"))
		a.header.Del("Content-Length") // of the address that is shown again
		return a
	}
	absent := ask("person-f@example.com", newPassword)
	same(t, "a wrong password", absent, ask(known, newPassword))
	same(t, "a disabled user", absent, ask(disabled, password))
	same(t, "an imported user", absent, ask(importedEmail(1), newPassword))
}

// tellRefresh: a token that was good once is answered like one that never was.
func tellRefresh(t *testing.T) {
	s := house(t, "plain")
	c := member(t, s)
	old := c.copy()
	c.post(t, "/api/auth/logout", "").want(t, 200)
	never := with(s, "refresh_token", strings.Repeat("A", 75)).do(t, "POST", "/api/auth/refresh", "", "")
	same(t, "the end of a session", never, old.do(t, "POST", "/api/auth/refresh", "", ""))
	d := member(t, s)
	stolen := d.copy()
	for range 2 {
		d.post(t, "/api/auth/refresh", "").want(t, 200)
	}
	same(t, "a theft", never, stolen.do(t, "POST", "/api/auth/refresh", "", ""))
	same(t, "a garbled token", never, with(s, "refresh_token", "x").do(t, "POST", "/api/auth/refresh", "", ""))
}

//go:build linux

package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// Sessions: planted, outlived, and those of others.
var sessionAttacks = []attack{
	{"fixation", fixation},
	{"planted-by-attacker", plantedByAttacker},
	{"former-lives-on", formerLivesOn},
	{"after-logout", afterLogout},
	{"logout-by-half", logoutByHalf},
	{"logout-of-one-device", logoutOfOneDevice},
	{"after-password-change", afterPasswordChange},
	{"after-disabling", afterDisabling},
	{"after-deletion", afterDeletion},
	{"step-up", stepUp},
	{"terminate-of-another", terminateOfAnother},
	{"list-of-another", listOfAnother},
	{"fields", fieldsOfUsers},
	{"after-revocation", afterRevocation},
	{"at-rest", atRest},
	{"weak-secrets", weakSecrets},
}

// fixation plants tokens before the login; nothing of them may become a session.
func fixation(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, planted := range []string{"planted", "00000000-0000-7000-8000-000000000000", strings.Repeat("A", 75)} {
		d := with(c.s, "access_token", planted, "refresh_token", planted, "session", planted, "sid", planted)
		d.email = c.email
		d.login(t)
		if d.access() == planted || d.refresh() == planted {
			t.Error("the planted value was kept")
		}
		thief := with(c.s, "access_token", planted, "refresh_token", planted)
		if thief.me(t) != "" {
			t.Error("the planted value is a session")
		}
		dead(t, c.s, "planted", planted)
	}
}

// plantedByAttacker has a session of the attacker's own in the browser in which
// the victim logs in.
func plantedByAttacker(t *testing.T) {
	s := house(t, "plain")
	attacker, owner := member(t, s), member(t, s)
	browser := attacker.copy()
	browser.email = owner.email
	browser.login(t)
	id := owner.me(t)
	if browser.me(t) != id {
		t.Fatal("the login did not count")
	}
	attacker.post(t, "/api/auth/refresh", "")
	if got := attacker.me(t); got == id {
		t.Error("the attacker's session became the victim's")
	}
	_, mine, _ := parts(t, browser.access())
	_, theirs, _ := parts(t, attacker.access())
	if mine["sid"] == theirs["sid"] {
		t.Error("both are in one session")
	}
}

func formerLivesOn(t *testing.T) {
	c := member(t, house(t, "plain"))
	former := c.copy()
	c.login(t)
	former.get(t, "/api/auth/me").want(t, 401)
	former.post(t, "/api/auth/refresh", "").want(t, 401)
	c.get(t, "/api/auth/me").want(t, 200)
}

func afterLogout(t *testing.T) {
	for _, path := range []string{"/api/auth/logout", "/logout"} {
		c := member(t, house(t, "plain"))
		before := c.copy()
		c.post(t, "/api/auth/refresh", "").want(t, 200)
		after := c.copy()
		c.form(t, path).want(t, 303)
		for _, d := range []*client{before, after} {
			d.get(t, "/api/auth/me").want(t, 401)
			d.get(t, "/account", asBrowser...).want(t, 303)
			d.post(t, "/api/auth/refresh", "").want(t, 401)
		}
	}
}

// logoutByHalf has only one of the tokens, or one that has expired or rotated.
func logoutByHalf(t *testing.T) {
	s := house(t, "plain")
	for name, logout := range map[string]func(c *client){
		"access alone":  func(c *client) { with(s, "access_token", c.access()).post(t, "/api/auth/logout", "").want(t, 200) },
		"refresh alone": func(c *client) { with(s, "refresh_token", c.refresh()).post(t, "/api/auth/logout", "").want(t, 200) },
		"bearer": func(c *client) {
			newClient(s).do(t, "POST", "/api/auth/logout", "", "", "Authorization", "Bearer "+c.access()).want(t, 200)
		},
		"body": func(c *client) {
			newClient(s).post(t, "/api/auth/logout", toJSON(object{"refresh_token": c.refresh()})).want(t, 200)
		},
		"beside a planted one": func(c *client) {
			newClient(s).do(t, "POST", "/api/auth/logout", "", "", "Cookie", "refresh_token=x; refresh_token="+c.refresh()).want(t, 200)
		},
	} {
		c := member(t, s)
		logout(c)
		if c.me(t) != "" {
			t.Errorf("%s: the session lives", name)
		}
		dead(t, s, name, c.refresh())
	}
}

func logoutOfOneDevice(t *testing.T) {
	c := member(t, house(t, "plain"))
	phone := c.fresh()
	phone.login(t)
	if phone.refresh() == c.refresh() || phone.access() == c.access() {
		t.Fatal("two devices share a token")
	}
	phone.post(t, "/api/auth/logout", "").want(t, 200)
	c.get(t, "/api/auth/me").want(t, 200)
	c.post(t, "/api/auth/refresh", "").want(t, 200)
}

const newPassword = "another horse, another battery"

func afterPasswordChange(t *testing.T) {
	c := member(t, house(t, "plain"))
	thief := c.fresh()
	thief.login(t)
	before := c.copy()
	c.post(t, "/api/auth/password", toJSON(object{"current_password": password, "new_password": newPassword})).want(t, 200)
	for _, d := range []*client{thief, before} {
		d.get(t, "/api/auth/me").want(t, 401)
		d.post(t, "/api/auth/refresh", "").want(t, 401)
	}
	c.get(t, "/api/auth/me").want(t, 200)
	c.fresh().post(t, "/api/auth/login", credentials(c.email, password)).want(t, 401)
	c.fresh().post(t, "/api/auth/login", credentials(c.email, newPassword)).want(t, 200)
}

func afterDisabling(t *testing.T) {
	c := member(t, house(t, "plain"))
	c.s.operate(t, "user", "disable", c.email)
	// Another process has done it: within a second or so.
	gone := c.copy()
	eventually(t, "the end of a disabled user's session", func() bool { return gone.me(t) == "" })
	c.post(t, "/api/auth/refresh", "").want(t, 401)
	c.fresh().post(t, "/api/auth/login", credentials(c.email, password)).want(t, 401)
}

// afterDeletion registers the address of somebody who is gone.
func afterDeletion(t *testing.T) {
	c := member(t, house(t, "plain"))
	c.form(t, "/account/profile", "name", "The One Before").want(t, 303)
	id := c.me(t)
	c.s.operate(t, "user", "delete", "--yes", c.email)
	gone := c.copy()
	eventually(t, "the end of a deleted user's session", func() bool { return gone.me(t) == "" })
	next := c.fresh()
	next.post(t, "/api/auth/register", credentials(c.email, newPassword)).want(t, 201)
	next.post(t, "/api/auth/login", credentials(c.email, password)).want(t, 401)
	a := next.post(t, "/api/auth/login", credentials(c.email, newPassword)).want(t, 200)
	if a.text("user.id") == id || a.contains("Before") {
		t.Errorf("something of the former user is left: %v", a)
	}
	if next.get(t, "/account/sessions", asBrowser...).want(t, 200); c.me(t) != "" {
		t.Error("the former user's session is that of the next one")
	}
	c.post(t, "/api/auth/refresh", "").want(t, 401)
}

// stepUp is a session whose password was shown an hour ago.
func stepUp(t *testing.T) {
	c := member(t, house(t, "plain"))
	other := c.fresh()
	other.login(t)
	_, claims, _ := parts(t, c.access())
	_, others, _ := parts(t, other.access())
	age(t, c.s, claims["sid"].(string))
	<-time.After(1200 * time.Millisecond) // what was read is believed for a second
	c.do(t, "DELETE", "/api/auth/sessions", "", "").want(t, 403)
	c.do(t, "DELETE", "/api/auth/sessions/"+others["sid"].(string), "", "").want(t, 403)
	if a := c.form(t, "/account/sessions/terminate-others"); !strings.HasPrefix(a.location(), "/reauthenticate") {
		t.Errorf("%v", a)
	}
	// A refresh shows no password.
	c.post(t, "/api/auth/refresh", "").want(t, 200)
	c.do(t, "DELETE", "/api/auth/sessions", "", "").want(t, 403)
	c.post(t, "/api/auth/reauthenticate", toJSON(object{"password": newPassword})).want(t, 403)
	c.do(t, "DELETE", "/api/auth/sessions", "", "").want(t, 403)
	other.get(t, "/api/auth/me").want(t, 200)
	c.post(t, "/api/auth/reauthenticate", toJSON(object{"password": password})).want(t, 200)
	c.do(t, "DELETE", "/api/auth/sessions", "", "").want(t, 200)
	other.get(t, "/api/auth/me").want(t, 401)
}

// age makes a session an hour old, on the disk.
func age(t *testing.T, s *server, id string) {
	t.Helper()
	store, err := sqlite.Open(s.database(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	x, err := store.Session(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	x.AuthenticatedAt = x.AuthenticatedAt.Add(-time.Hour)
	if err := store.SaveSession(context.Background(), x); err != nil {
		t.Fatal(err)
	}
}

func terminateOfAnother(t *testing.T) {
	s := house(t, "plain")
	c, other := member(t, s), member(t, s)
	_, claims, _ := parts(t, other.access())
	sid := claims["sid"].(string)
	unknown := c.do(t, "DELETE", "/api/auth/sessions/00000000-0000-7000-8000-000000000000", "", "").want(t, 404)
	for _, id := range []string{sid, strings.ToUpper(sid), "urn:uuid:" + sid, "%7B" + sid + "%7D", strings.ReplaceAll(sid, "-", "")} {
		a := c.do(t, "DELETE", "/api/auth/sessions/"+id, "", "").want(t, 404)
		if a.text("code") != unknown.text("code") || a.text("error") != unknown.text("error") {
			t.Errorf("the answers tell which sessions exist: %v and %v", a, unknown)
		}
	}
	c.form(t, "/account/sessions/terminate", "id", sid).want(t, 404)
	other.get(t, "/api/auth/me").want(t, 200)
}

func listOfAnother(t *testing.T) {
	s := house(t, "plain")
	c, other := member(t, s), member(t, s)
	id := other.me(t)
	_, claims, _ := parts(t, other.access())
	for _, query := range []string{"", "?user=" + id, "?user_id=" + id, "?id=" + id, "?sub=" + id, "?email=" + other.email, "?all=1", "?userId=" + id} {
		for _, path := range []string{"/api/auth/sessions", "/api/auth/activity", "/api/auth/me", "/account/sessions", "/account/activity", "/account", "/dashboard"} {
			a := c.get(t, path+query, "Accept", "text/html", "X-User-Id", id, "X-User", id, "X-Forwarded-User", other.email, "X-Forwarded-Email", other.email).want(t, 200)
			if a.contains(claims["sid"].(string)) || a.contains(other.email) || a.contains(id) {
				t.Errorf("something of somebody else: %v", a)
			}
		}
	}
}

// fieldsOfUsers are few: what is not meant to be seen is in no answer.
func fieldsOfUsers(t *testing.T) {
	c := newClient(house(t, "plain"))
	c.email = newEmail()
	answers := []*answer{c.post(t, "/api/auth/register", credentials(c.email, password)).want(t, 201), c.login(t)}
	answers = append(answers, c.get(t, "/api/auth/me"), c.post(t, "/api/auth/refresh", ""), c.get(t, "/api/auth/sessions"), c.get(t, "/account/sessions", asBrowser...), c.get(t, "/account", asBrowser...))
	for _, a := range answers {
		for _, secret := range []string{"argon2", "$2a$", "hash", "credential", "epoch", "email_key", "generation", "user_agent", password, c.refresh(), c.access()} {
			if strings.Contains(strings.ToLower(string(a.body)), strings.ToLower(secret)) {
				t.Errorf("%q is in %v", secret, a)
			}
		}
		var v map[string]any
		if json.Unmarshal(a.body, &v) == nil && v["user"] != nil {
			for name := range v["user"].(map[string]any) {
				if !strings.Contains(" id email name roles created_at ", " "+name+" ") {
					t.Errorf("a user has a field %q: is it for everybody who asks?", name)
				}
			}
		}
	}
}

// afterRevocation has a token that says it has a role.
func afterRevocation(t *testing.T) {
	c := member(t, house(t, "plain"))
	c.s.operate(t, "user", "grant", c.email, "admin")
	eventually(t, "a role that was granted", func() bool { return c.get(t, "/api/auth/me").contains("admin") })
	c.post(t, "/api/auth/refresh", "").want(t, 200)
	if _, claims, _ := parts(t, c.access()); !strings.Contains(toJSON(claims), "admin") {
		t.Fatal("the token does not know of it")
	}
	c.s.operate(t, "user", "revoke", c.email, "admin")
	eventually(t, "the end of a role", func() bool { return !c.get(t, "/api/auth/me").contains("admin") })
}

// atRest is a thief of the database. Nothing in it can be used.
func atRest(t *testing.T) {
	c := newClient(house(t, "plain"))
	c.email = newEmail()
	const secret = "At-Rest-Passw0rd-4711"
	c.post(t, "/api/auth/register", credentials(c.email, secret)).want(t, 201)
	c.post(t, "/api/auth/login", credentials(c.email, secret)).want(t, 200)
	c.post(t, "/api/auth/refresh", "").want(t, 200)
	master, err := os.ReadFile(filepath.Join(c.s.data, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	opaque, _ := b64.DecodeString(c.refresh())
	files, _ := filepath.Glob(c.s.database() + "*")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for what, planted := range map[string][]byte{
			"the password": []byte(secret), "the refresh token": []byte(c.refresh()[:40]), "the end of the refresh token": []byte(c.refresh()[40:]), "the bytes of the refresh token": opaque[24:], "the access token": []byte(c.access()[len(c.access())-60:]), "the master secret": bytes.TrimSpace(master),
		} {
			if bytes.Contains(b, planted) {
				t.Errorf("%s is in %s", what, filepath.Base(file))
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others can read %s: %v", filepath.Base(file), info.Mode())
		}
	}
	if len(files) == 0 {
		t.Error("there is no database")
	}
}

// weakSecrets are those that can be guessed offline, from one token. A service
// that is shown to the world does not start with one.
func weakSecrets(t *testing.T) {
	for _, secret := range []string{"secret", "your-256-bit-secret", strings.Repeat("a", 64), "changeme-changeme-changeme-changeme", "0123456789abcdef0123456789abcdef", "your_jwt_access_secret_at_least_32_characters", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"} {
		for _, name := range []string{"GATEHOUSE_SECRET", "GATEHOUSE_HS256_SECRET", "JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET"} {
			// It ends by itself, or by the deadline: then it has started.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			args := []string{"config", "--url", "https://auth.example.com", "--data", t.TempDir()}
			if name == "GATEHOUSE_HS256_SECRET" {
				args = append(args, "--algorithm", "HS256")
			}
			cmd := exec.CommandContext(ctx, binary, args...)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, name + "=" + secret}
			out, err := cmd.CombinedOutput()
			cancel()
			if err == nil {
				t.Errorf("%s=%s is accepted in production", name, secret)
			}
			if bytes.Contains(out, []byte(secret)) && len(secret) > 8 {
				t.Errorf("%s is shown: %s", name, out)
			}
		}
	}
}

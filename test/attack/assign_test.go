//go:build linux

package attack

import (
	"fmt"
	"strings"
	"testing"
)

// Mass assignment: fields that are not the sender's to set.
var assignAttacks = []attack{
	{"register", assignRegister},
	{"register-form", assignRegisterForm},
	{"profile", assignProfile},
	{"login", assignLogin},
	{"password", assignPassword},
	{"sessions", assignSessions},
}

// treasures are what one would like to set, in JSON.
var treasures = []string{
	`"roles":["admin"]`, `"role":"admin"`, `"Roles":["admin"]`, `"admin":true`, `"is_admin":true`, `"isAdmin":true`, `"permissions":["*"]`, `"scope":"admin"`, `"id":"00000000-0000-7000-8000-000000000001"`, `"ID":"x"`, `"user_id":"x"`, `"_id":"x"`, `"uid":1`,
	`"email_verified":true`, `"emailVerified":true`, `"verified":true`, `"active":true`, `"disabled":false`, `"disabled_at":null`, `"created_at":"2001-01-01T00:00:00Z"`, `"version":99`, `"epoch":99`, `"email_key":"x"`, `"keys":["x"]`, `"credentials":[]`, `"hash":"$2a$04$x"`, `"password_hash":"x"`, `"extra":{}`,
	`"tokens":"body"`, `"session_id":"x"`, `"amr":["mfa"]`, `"expires_at":"2999-01-01T00:00:00Z"`, `"remember":true`, `"tenant":"x"`, `"user":{"roles":["admin"]}`, `"$set":{"roles":["admin"]}`, `"confirmed":1`, `"mfa":false`, `"name":null,"roles":["admin"]`,
}

// gained makes sure that the user has nothing but what everybody has.
func gained(t *testing.T, a *answer) {
	t.Helper()
	if a.status/100 == 2 && (a.contains("admin") || a.text("user.roles") != "[]" || a.contains("2001-01-01") || a.contains("00000000-0000-7000")) {
		t.Errorf("something was gained: %v", a)
	}
}

func refusesFields(t *testing.T, fields []string, send func(field string) *answer) {
	t.Helper()
	for _, field := range fields {
		a := send(field)
		gained(t, a)
		if a.status != 400 {
			t.Errorf("%s: %v", field, a)
		}
	}
}

func assignRegister(t *testing.T) {
	s := house(t, "plain")
	refusesFields(t, treasures, func(field string) *answer {
		c := newClient(s)
		c.email = newEmail()
		a := c.post(t, "/api/auth/register", `{"email":"`+c.email+`","password":"`+password+`",`+field+`}`)
		gained(t, c.post(t, "/api/auth/login", credentials(c.email, password)))
		return a
	})
}

func assignRegisterForm(t *testing.T) {
	s := house(t, "plain")
	for _, field := range []string{"roles=admin", "roles[]=admin", "role=admin", "is_admin=1", "id=00000000-0000-7000-8000-000000000001", "email_verified=true", "user[roles]=admin", "Roles=admin", "name.roles=admin", "created_at=2001-01-01"} {
		c := newClient(s)
		c.email = newEmail()
		a := c.do(t, "POST", "/register", formKind, "email="+c.email+"&password=correct+horse+battery+staple&"+field, asBrowser...)
		if a.status != 400 {
			t.Errorf("%s: %v", field, a)
		}
		gained(t, c.post(t, "/api/auth/login", credentials(c.email, password)))
	}
}

func assignProfile(t *testing.T) {
	c := member(t, house(t, "plain"))
	id := c.me(t)
	refusesFields(t, append(treasures, `"email":"root@example.com"`, `"password":"x"`), func(field string) *answer {
		return c.do(t, "PATCH", "/api/auth/me", jsonKind, `{"name":"Mallory",`+strings.TrimPrefix(field, `"name":null,`)+`}`)
	})
	for _, field := range []string{"roles=admin", "email=root@example.com", "id=x", "user_id=x"} {
		c.do(t, "POST", "/account/profile", formKind, "name=Mallory&"+field, asBrowser...).want(t, 400)
	}
	a := c.get(t, "/api/auth/me").want(t, 200)
	gained(t, a)
	if a.text("user.id") != id || a.text("user.email") != c.email || a.text("user.name") != "" {
		t.Errorf("something has changed: %v", a)
	}
}

func assignLogin(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, path := range []string{"/api/auth/login", "/api/auth/reauthenticate"} {
		refusesFields(t, append(treasures, `"former":"x"`, `"Former":"x"`), func(field string) *answer {
			body := `{"password":"` + password + `",` + field + `}`
			if path == "/api/auth/login" {
				body = `{"email":"` + c.email + `",` + body[1:]
			}
			return c.do(t, "POST", path, jsonKind, body)
		})
	}
	gained(t, c.get(t, "/api/auth/me"))
}

// assignPassword would change somebody else's.
func assignPassword(t *testing.T) {
	s := house(t, "plain")
	c, other := member(t, s), member(t, s)
	id := other.me(t)
	for _, field := range []string{"email", "user", "user_id", "id", "sub", "username"} {
		for _, value := range []string{other.email, id} {
			c.do(t, "POST", "/api/auth/password", jsonKind, fmt.Sprintf(`{"current_password":%q,"new_password":%q,%q:%q}`, password, newPassword, field, value)).want(t, 400)
		}
	}
	// Of forms the address is a field, for password managers. It decides nothing.
	c.form(t, "/account/password", "current_password", password, "new_password", newPassword, "email", other.email).want(t, 303)
	other.fresh().post(t, "/api/auth/login", credentials(other.email, password)).want(t, 200)
	other.fresh().post(t, "/api/auth/login", credentials(other.email, newPassword)).want(t, 401)
	other.get(t, "/api/auth/me").want(t, 200)
}

// assignSessions names another user where one's own sessions are meant.
func assignSessions(t *testing.T) {
	s := house(t, "plain")
	c, other := member(t, s), member(t, s)
	id := other.me(t)
	for _, field := range []string{"user_id", "user", "sub", "email", "all"} {
		for _, value := range []string{other.email, id, "true"} {
			c.do(t, "DELETE", "/api/auth/sessions", jsonKind, fmt.Sprintf(`{%q:%q}`, field, value)).want(t, 400)
			c.do(t, "DELETE", "/api/auth/sessions?"+field+"="+value, "", "").want(t, 200)
			c.do(t, "POST", "/account/sessions/terminate-others", formKind, field+"="+value, asBrowser...).want(t, 400)
			c.fresh().post(t, "/api/auth/logout", fmt.Sprintf(`{%q:%q}`, field, value)).want(t, 400)
		}
	}
	other.get(t, "/api/auth/me").want(t, 200)
}

//go:build linux

package attack

import (
	"fmt"
	"strings"
	"testing"
)

// Addresses and passwords that look like others, or are.
var unicodeAttacks = []attack{
	{"one-address", unicodeOneAddress},
	{"look-alikes", unicodeLookAlikes},
	{"invisible", unicodeInvisible},
	{"smuggled", unicodeSmuggled},
	{"password-forms", passwordForms},
	{"password-whole", passwordWhole},
	{"password-limits", passwordLimits},
	{"name", unicodeName},
	{"long-address", longAddress},
}

// unicodeOneAddress writes a taken address in every way that is the same.
func unicodeOneAddress(t *testing.T) {
	s := house(t, "plain")
	n := users.Add(1)
	for _, list := range [][]string{
		{"kate%d@example.com", "KATE%d@EXAMPLE.COM", "\u212aate%d@example.com", "\uff4b\uff41\uff54\uff45%d@example.com", "kate%d@\uff45xample.com", "kate%d@example\u3002com", " kate%d@example.com\n", "\U0001d424ate%d@example.com"},
		{"stra\u00dfe%d@example.com", "strasse%d@example.com", "STRASSE%d@example.com", "\u017ftra\u00dfe%d@example.com", "stra\u1e9ee%d@example.com"},
		{"jos\u00e9%d@b\u00fccher.example", "jose\u0301%d@bu\u0308cher.example", "JOS\u00c9%d@xn--bcher-kva.example", "jos\u00e9%d@B\u00dcCHER.example"},
		{"\ufb01ne%d@example.com", "fine%d@example.com"},
		{"\u03c3\u03b1\u03c2%d@example.com", "\u03a3\u0391\u03a3%d@example.com", "\u03c3\u03b1\u03c3%d@example.com"},
	} {
		for i, spelling := range list {
			email := fmt.Sprintf(spelling, n)
			a := newClient(s).post(t, "/api/auth/register", credentials(email, password))
			if want := map[bool]int{true: 201, false: 409}[i == 0]; a.status != want {
				t.Errorf("%+q: %v, want %d", email, a, want)
			}
			newClient(s).post(t, "/api/auth/login", credentials(email, password)).want(t, 200)
		}
	}
}

// unicodeLookAlikes are others, who must not be taken for the victim.
func unicodeLookAlikes(t *testing.T) {
	s := house(t, "plain")
	n := users.Add(1)
	victim := newClient(s)
	victim.email = fmt.Sprintf("paypal%d@example.com", n)
	victim.post(t, "/api/auth/register", credentials(victim.email, password)).want(t, 201)
	id := victim.login(t).text("user.id")
	for _, spelling := range []string{
		"p\u0430ypal%d@example.com", "\u0440aypal%d@example.com", "paypa\u04cf%d@example.com", "paypaI%d@example.com", "paypa1%d@example.com", "pa\u1ef3pal%d@example.com", "paypal%d@ex\u0430mple.com", "paypal%d@example.co", "p\u0251ypal%d@example.com", "paypal\u0307%d@example.com", "pay.pal%d@example.com", "paypal%d+x@example.com", "\u0131paypal%d@example.com",
	} {
		email := fmt.Sprintf(spelling, n)
		newClient(s).post(t, "/api/auth/login", credentials(email, password)).want(t, 401)
		if a := newClient(s).post(t, "/api/auth/register", credentials(email, newPassword)); a.status != 201 && a.status != 400 {
			t.Errorf("%+q: %v", email, a)
		}
		if a := newClient(s).post(t, "/api/auth/login", credentials(email, newPassword)); a.status == 200 && a.text("user.id") == id {
			t.Errorf("%+q is taken for the victim", email)
		}
	}
	if victim.login(t).text("user.id") != id {
		t.Error("the victim is somebody else now")
	}
}

// refusesAddresses wants each to be no address, also of an existing user.
func refusesAddresses(t *testing.T, addresses ...string) {
	t.Helper()
	s := house(t, "plain")
	c := member(t, s)
	for _, address := range addresses {
		address = strings.ReplaceAll(address, "EMAIL", c.email)
		for _, path := range []string{"/api/auth/register", "/api/auth/login"} {
			a := newClient(s).post(t, path, credentials(address, password))
			if a.status != 400 || a.text("field") != "email" {
				t.Errorf("%s %+q: %v", path, address, a)
			}
		}
	}
}

func unicodeInvisible(t *testing.T) {
	var list []string
	for _, r := range []rune{0, 1, 0x1b, 0x7f, 0x80, 0xa0, 0xad, 0x34f, 0x61c, 0x115f, 0x17b4, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2064, 0x2066, 0x2069, 0x206f, 0x3000, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffc, 0xfffe, 0xe000, 0xe0001, 0xe0061, 0xe0100, 0x1d173, 0xf0000, 0x10ffff} {
		list = append(list, string(r)+"EMAIL", "user"+string(r)+"1@example.com", "user1@exam"+string(r)+"ple.com")
	}
	refusesAddresses(t, list...)
}

// unicodeSmuggled has more in it than an address: a second one, a header, a
// command, a route.
func unicodeSmuggled(t *testing.T) {
	refusesAddresses(t,
		"EMAIL,evil@evil.example", "EMAIL;evil@evil.example", "EMAIL evil@evil.example", "EMAIL\r\nBcc: evil@evil.example", "EMAIL\nRCPT TO:<evil@evil.example>", "EMAIL\x00@evil.example", "EMAIL%00@evil.example", "evil@evil.example@example.com", "EMAIL@evil.example", "<EMAIL>", "Ann <EMAIL>", "\"EMAIL\"", "\"evil@evil.example x\"@example.com", "\"a b\"@example.com", "@evil.example:EMAIL", "EMAIL(comment)", "(x)EMAIL", "user1@[127.0.0.1]", "user1@[IPv6:::1]", "user1@127.0.0.1", "user1@localhost", "user1@example", "user1@.example.com", "user1@example..com", "user1@-example.com", "user1@example.com.", ".user1@example.com", "user1.@example.com", "us..er1@example.com", "user1@exa_mple.com", "user1@", "@example.com", "@", "user1", "mailto:EMAIL@x", "user1@evil.example#@example.com", "user1@evil.example/@example.com", "user1@evil.example?@example.com", "user1@evil.example\\@example.com", "=?utf-8?q?user1=40evil.example?=@", "user1\uff20example.com", "user1\u200b@example.com", "user1@example\uff0f.com", "user1@xn--a.example", "user1@\u2488com", "<script>@example.com", "user1\"onmouseover=alert(1)@example.com",
	)
}

// passwordForms: how a keyboard composes letters makes no difference, everything
// else does.
func passwordForms(t *testing.T) {
	s := house(t, "plain")
	for _, p := range []struct {
		password    string
		same, other []string
	}{
		{"caf\u00e9 au lait", []string{"cafe\u0301 au lait"}, []string{"cafe au lait", "Caf\u00e9 au lait", "CAF\u00c9 AU LAIT", "caf\u00e9 au lait ", " caf\u00e9 au lait", "caf\u00e9  au lait", "caf\u00e9 au lai", "caf\u00e9\u00a0au lait", "caf\u00e9 au lait\n", "caf\u00e9 au lait\x00"}},
		{"\ufb01ne passwords", nil, []string{"fine passwords"}},
		{"\uff50assword one", nil, []string{"password one"}},
		{"secret\u00b2 words", nil, []string{"secret2 words"}},
		{"stra\u00dfe stra\u00dfe", nil, []string{"strasse strasse", "STRASSE STRASSE"}},
		{"zero\u200bwidth space", nil, []string{"zerowidth space"}},
		{"nul\x00 in the middle", nil, []string{"nul", "nul\x00 in the other"}},
		{"        spaces        ", nil, []string{"spaces", "        spaces"}},
		{"percent %41%42%43", nil, []string{"percent ABC"}},
		{"plus + and & signs", nil, []string{"plus   and & signs"}},
		{"\u043f\u0430\u0440\u043e\u043b\u044c \u0434\u0430", nil, []string{"????????? ??", "\u041f\u0430\u0440\u043e\u043b\u044c \u0434\u0430"}},
	} {
		email := newEmail()
		newClient(s).post(t, "/api/auth/register", credentials(email, p.password)).want(t, 201)
		for _, same := range append(p.same, p.password) {
			newClient(s).post(t, "/api/auth/login", credentials(email, same)).want(t, 200)
			newClient(s).form(t, "/login", "email", email, "password", same).want(t, 303)
		}
		for _, other := range p.other {
			if a := newClient(s).post(t, "/api/auth/login", credentials(email, other)); a.status != 401 && a.status != 400 {
				t.Errorf("%+q opens what %+q closed: %v", other, p.password, a)
			}
			if a := newClient(s).form(t, "/login", "email", email, "password", other); a.status != 401 && a.status != 400 {
				t.Errorf("%+q opens what %+q closed: %v", other, p.password, a)
			}
		}
	}
}

// passwordWhole: the last byte counts, however long the password and the
// address are.
func passwordWhole(t *testing.T) {
	s := house(t, "plain")
	for _, n := range []int{8, 55, 56, 71, 72, 73, 127, 128, 129, 255, 256} {
		email := fmt.Sprintf("%s%d@%s.example", strings.Repeat("a", 50), users.Add(1), strings.Repeat(strings.Repeat("b", 60)+".", 2)+"c")
		p := strings.Repeat("x", n-1)
		newClient(s).post(t, "/api/auth/register", credentials(email, p+"y")).want(t, 201)
		newClient(s).post(t, "/api/auth/login", credentials(email, p+"y")).want(t, 200)
		for _, other := range []string{p + "z", p, "y" + p, p + "Y"} {
			newClient(s).post(t, "/api/auth/login", credentials(email, other)).want(t, 401)
		}
	}
	email := newEmail()
	p := strings.Repeat("\u00e9", 255)
	newClient(s).post(t, "/api/auth/register", credentials(email, p+"y")).want(t, 201)
	newClient(s).post(t, "/api/auth/login", credentials(email, p+"z")).want(t, 401)
	newClient(s).post(t, "/api/auth/login", credentials(email, p+"y")).want(t, 200)
}

func passwordLimits(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, p := range []string{"", " ", "x", "1234567", strings.Repeat("x", 257), strings.Repeat("x", 60_000), strings.Repeat("e\u0301", 2000)} {
		for _, path := range []string{"/api/auth/register", "/api/auth/password"} {
			body := credentials(newEmail(), p)
			if path == "/api/auth/password" {
				body = toJSON(object{"current_password": password, "new_password": p})
			}
			c.do(t, "POST", path, jsonKind, body).want(t, 400)
		}
		c.fresh().post(t, "/api/auth/login", credentials(c.email, p)).want(t, 400, 401)
	}
	c.fresh().post(t, "/api/auth/login", credentials(c.email, strings.Repeat("x", 1_000_000))).want(t, 413)
	c.get(t, "/api/auth/me").want(t, 200)
}

// unicodeName cannot be made to look like something else on a page or in a log.
func unicodeName(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, name := range []string{"a\u202eb", "a\u2066b", "a\u2069", "a\x00b", "a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\u0085b", "\x7f", strings.Repeat("x", 201), strings.Repeat("\u00e9", 201)} {
		c.do(t, "PATCH", "/api/auth/me", jsonKind, toJSON(object{"name": name})).want(t, 400)
		c.do(t, "POST", "/api/auth/register", jsonKind, toJSON(object{"name": name, "email": newEmail(), "password": password})).want(t, 400)
	}
	untouched(t, c)
}

func longAddress(t *testing.T) {
	refusesAddresses(t, strings.Repeat("a", 65)+"@example.com", "a@"+strings.Repeat("b", 64)+".example", strings.Repeat("a", 60)+"@"+strings.Repeat("b.", 100)+"example", strings.Repeat("a", 1000)+"@example.com", strings.Repeat("a@", 300)+"example.com", strings.Repeat("(", 1000)+"@example.com", strings.Repeat("\u0345", 500)+"@example.com", strings.Repeat("a", 50_000), "a@"+strings.Repeat("xn--", 200)+".com", strings.Repeat("\ufdfa", 20)+"@example.com")
}

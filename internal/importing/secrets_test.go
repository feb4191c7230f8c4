package importing

import (
	"fmt"
	"strings"
	"testing"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What lets somebody in is not kept beside a user, however it is spelled and however
// deep it lies; what only speaks of it is.
func TestSecretNames(t *testing.T) {
	for _, name := range []string{
		"passwordHash", "password_md5", "PASSWORD", "passwordhash", "oldPassword", "passwordHistory", "passwd", "pwd", "pass", "passphrase",
		"hash", "hashed_pw", "salt", "password_salt", "encrypted_password", "bcrypt", "resetToken", "reset_token", "reset-token", "verifyToken2",
		"confirmation_token", "remember_token", "email_change_token_new", "tokenKey", "refreshTokens", "accesstoken", "id_token", "jwt",
		"apiKey", "api_key", "APIKey", "apikey", "privateKey", "clientSecret", "clientsecret", "OTPSecret", "otp", "totp", "twoFactorSecret",
		"backupCodes", "recovery_codes", "two_factor_recovery_codes", "resetCode", "verification_code", "securityAnswer", "sessions", "credentials", "pin",
		"backupcodes", "verificationcode", "passhash", "passcode", "secretkey", "secretQuestion", "sessionId", "session_key", "mfaKey",
	} {
		if !isSecret(name, jsontext.Value(`"x"`)) {
			t.Errorf("%s is kept", name)
		}
	}
	for _, name := range []string{
		"name", "plan", "postalCode", "inviteCode", "passenger", "compass", "secretary", "keyboard", "publicKey", "hashtag", "company_pinned", "salutation",
		"passwordChangedAt", "password_updated_at", "resetPasswordExpire", "resetTokenExpires", "token_expiry", "tokenVersion", "session_count",
		"passwordPolicy", "confirmation_sent_at", "recovery_sent_at", "sign_in_count", "mfaMethod", "status_code",
		"pincode", "sessionCount", "mashed", "codes", "secretariat",
	} {
		if isSecret(name, jsontext.Value(`"x"`)) {
			t.Errorf("%s is left out", name)
		}
	}
	// A truth value lets nobody in, and a number only where people type one.
	for value, want := range map[string]bool{
		`{"hasPassword":true}`: false, `{"totp":false}`: false, `{"tokens":50}`: false, `{"tokens":{"$numberInt":"50"}}`: false, `{"hash":null}`: false,
		`{"token":{"$numberInt":"1","old":"x"}}`: true, `{"otp":123456}`: true, `{"pin":{"$numberInt":"1234"}}`: true, `{"tokens":["a"]}`: true, `{"password":{"bcrypt":"x"}}`: true,
	} {
		var f fields
		if err := json.Unmarshal([]byte(value), &f); err != nil {
			t.Fatal(err)
		}
		for name, v := range f {
			if got := isSecret(name, v); got != want {
				t.Errorf("%s: a secret is %v, want %v", value, got, want)
			}
		}
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 5000) + `{"token":"SECRET"}` + strings.Repeat("}", 5000)
	for _, c := range []struct{ fields, want, left string }{
		{`{"plan": "pro", "list": [1, 2.50, {"x": 1e3}]}`, `{"list":[1, 2.50, {"x": 1e3}],"plan":"pro"}`, "map[]"},
		{`{"services":{"password":{"bcrypt":"SECRET"},"google":{"id":"7","accessToken":"SECRET"}}}`, `{"services":{"google":{"id":"7"}}}`, "map[accessToken:1 password:1]"},
		{`{"devices":[{"name":"a","token":"SECRET"},{"name":"b","token":"SECRET"}]}`, `{"devices":[{"name":"a"},{"name":"b"}]}`, "map[token:2]"},
		{`{"meta":"{\"api_key\":\"SECRET\",\"n\":1}"}`, `{"meta":"{\"n\":1}"}`, "map[api_key:1]"},
		{`{"meta":"[{\"inner\":\"{\\\"secret\\\":\\\"SECRET\\\"}\"}]"}`, `{"meta":"[{\"inner\":\"{}\"}]"}`, "map[secret:1]"},
		{`{"meta":"{ \"n\": 1 }","text":"{no JSON"}`, `{"meta":"{ \"n\": 1 }","text":"{no JSON"}`, "map[]"},
		{`{"deep":` + deep + `}`, `{"deep":` + strings.Replace(deep, `"token":"SECRET"`, "", 1) + `}`, "map[token:1]"},
		{`{"big":12345678901234567890123,"token":"SECRET","esc":"\u00e9"}`, `{"big":12345678901234567890123,"esc":"é"}`, "map[token:1]"},
	} {
		var f fields
		if err := json.Unmarshal([]byte(c.fields), &f); err != nil {
			t.Fatal(err)
		}
		rd := &Reader{Format: generic}
		rd.strip(f)
		got, err := json.Marshal(f, json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		var is, want any
		if err := json.Unmarshal(got, &is); err != nil {
			t.Errorf("%.80s: %v", c.fields, err)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(is) != fmt.Sprint(want) || strings.Contains(string(got), "SECRET") || fmt.Sprint(rd.LeftOut) != c.left {
			t.Errorf("%.80s: %.200s, left out %v, want %.200s, %s", c.fields, got, rd.LeftOut, c.want, c.left)
		}
	}
	// What holds none is kept byte by byte.
	if v := jsontext.Value(`{"x": [1,  2.50], "s":"\u00e9"}`); string((&Reader{}).stripped(v)) != string(v) {
		t.Errorf("%s became %s", v, (&Reader{}).stripped(v))
	}
	// What is asked for is kept whole.
	rd := &Reader{Keep: []string{"fcmToken", "settings"}}
	f := fields{
		"fcmToken": jsontext.Value(`"x"`), "settings": jsontext.Value(`{"token":"x"}`),
		"a": jsontext.Value(`{"fcmToken":"x","settings":{"token":"x"},"token":"x"}`),
	}
	rd.strip(f)
	if len(f) != 3 || string(f["settings"]) != `{"token":"x"}` || string(f["a"]) != `{"fcmToken":"x","settings":{"token":"x"}}` {
		t.Errorf("kept: %s", f)
	}
	// Names come from the source, and there may be any number of them.
	rd = &Reader{}
	for n := range 10_000 {
		rd.strip(fields{fmt.Sprintf("token%d", n): jsontext.Value(`"x"`)})
	}
	if len(rd.LeftOut) > mostLeftOut {
		t.Errorf("%d names are remembered, want at most %d", len(rd.LeftOut), mostLeftOut)
	}
}

// No format keeps what another one would leave out.
func TestEveryFormatLeavesSecretsOut(t *testing.T) {
	for _, format := range Formats {
		raw := `{"id":"7","_id":"7","user_id":"7","localId":"7","email":"a@example.com","traits":{"email":"a@example.com","apiKey":"SECRET"},` +
			`"password_md5":"SECRET","oldPassword":"SECRET","profile":{"resetToken":"SECRET"},"raw_user_meta_data":"{\"api_key\":\"SECRET\"}",` +
			`"identities":[{"provider":"x","access_token":"SECRET"}]}`
		u, err := (&Reader{Format: format}).User(Record{Raw: []byte(raw)})
		if err != nil {
			t.Errorf("%s: %v", format.Name, err)
		} else if strings.Contains(string(u.Extra), "SECRET") {
			t.Errorf("%s keeps %s", format.Name, u.Extra)
		}
	}
}

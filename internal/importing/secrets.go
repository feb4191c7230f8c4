package importing

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What a record says beyond a user is kept, but for what lets somebody in: a second
// hash of the password, tokens, one-time codes and their secrets. It is known by its
// name, wherever in the record it lies. The rule leaves out rather too much, says so
// ([Reader].LeftOut), and can be told otherwise ([Reader].Keep).

const (
	mostLeftOut = 1000 // names that are remembered
	mostOpened  = 4    // texts within texts that are looked into
)

// secretParts make a word that holds one of them the name of a secret.
var secretParts = []string{"password", "passwd", "passphrase", "passcode", "token", "apikey", "privatekey", "accesskey", "bcrypt", "argon2", "otpauth"}

// secretWords do so anywhere in a name; lastWords at its end.
var (
	secretWords = []string{"pwd", "hashed", "otp", "totp", "hotp", "jwt"}
	lastWords   = []string{"pass", "salt", "salts", "pin", "credential", "credentials"}
)

// secretPairs do so one after the other, also as one word, in the singular or plural.
var secretPairs = []struct{ first, second []string }{
	{[]string{"api", "private", "access", "signing", "encryption", "recovery", "backup", "session", "mfa"}, []string{"key"}},
	{[]string{"session"}, []string{"id"}},
	{
		[]string{"backup", "recovery", "reset", "verification", "verify", "confirmation", "confirm", "activation", "login", "sms", "mfa", "security", "magic"},
		[]string{"code", "link", "answer"},
	},
}

// aboutWords at the end of a name make it speak of a secret, and not hold it.
var aboutWords = []string{
	"at", "on", "date", "time", "expire", "expires", "expiry", "expiration", "count", "attempts", "version", "policy", "type", "changed", "updated",
}

// typedWords are of secrets that people type as a number.
var typedWords = []string{"otp", "totp", "hotp", "pin", "code", "codes"}

// isSecret reports whether a member lets somebody in. A truth value does not, and a
// number does only where people type one.
func isSecret(name string, v jsontext.Value) bool {
	all := words(name)
	if !namesSecret(all) || v.Kind() == 't' || v.Kind() == 'f' || v.Kind() == 'n' {
		return false
	}
	return !isNumber(v) || slices.ContainsFunc(all, func(w string) bool { return slices.Contains(typedWords, w) })
}

// isNumber reports whether a value is a number, also as Extended JSON has it.
func isNumber(v jsontext.Value) bool {
	var typed fields
	return v.Kind() == '0' || v.Kind() == '{' && json.Unmarshal(v, &typed) == nil && len(typed) == 1 &&
		typed.hasAny("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal")
}

func namesSecret(all []string) bool {
	if len(all) == 0 {
		return false
	}
	last := all[len(all)-1]
	switch {
	case slices.Contains(aboutWords, last):
		return false
	case slices.Contains(lastWords, last), strings.HasSuffix(last, "hash"), strings.HasSuffix(last, "hashes"), len(all) == 1 && (last == "session" || last == "sessions"):
		return true
	}
	for i, w := range all {
		if slices.Contains(secretWords, w) || strings.Contains(w, "secret") && !strings.HasPrefix(w, "secretar") {
			return true
		}
		if slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(w, part) }) {
			return true
		}
		before := ""
		if i > 0 {
			before = all[i-1]
		}
		if isPair(before, strings.TrimSuffix(w, "s")) {
			return true
		}
	}
	return false
}

// isPair reports whether the two words, or the second alone, are one of secretPairs.
func isPair(before, w string) bool {
	for _, p := range secretPairs {
		for _, second := range p.second {
			if first, ok := strings.CutSuffix(w, second); ok && slices.Contains(p.first, cmp.Or(first, before)) {
				return true
			}
		}
	}
	return false
}

// words are those of a name in whichever style, in lower case: resetToken2 has
// reset and token, OTP_Secret and OTPSecret have otp and secret.
func words(name string) []string {
	var all []string
	runes := []rune(name)
	begin := 0
	end := func(i int) {
		if begin < i {
			w := strings.ToLower(string(runes[begin:i]))
			if bare := strings.TrimRight(w, "0123456789"); bare != "" && bare != "argon" {
				w = bare
			}
			all = append(all, w)
		}
		begin = i
	}
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end(i)
			begin = i + 1
		case i > begin && unicode.IsUpper(r):
			before := runes[i-1]
			startsWord := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if !unicode.IsUpper(before) || startsWord {
				end(i)
			}
		}
	}
	end(len(runes))
	return all
}

// strip leaves the secrets out of the members of a record.
func (rd *Reader) strip(f fields) {
	for name, v := range f {
		switch {
		case slices.Contains(rd.Keep, name):
		case rd.leavesOut(name, v):
			delete(f, name)
		default:
			f[name] = rd.stripped(v)
		}
	}
}

func (rd *Reader) leavesOut(name string, v jsontext.Value) bool {
	if !isSecret(name, v) {
		return false
	}
	if rd.LeftOut == nil {
		rd.LeftOut = map[string]int{}
	}
	if _, there := rd.LeftOut[name]; there || len(rd.LeftOut) < mostLeftOut {
		rd.LeftOut[name]++
	}
	return true
}

// stripped is a value without the secrets in it. A value without any is the same,
// byte by byte.
func (rd *Reader) stripped(v jsontext.Value) jsontext.Value {
	v, _ = rd.strippedIn(v, 0)
	return v
}

// strippedIn is for a value that lies in so many texts, and reports whether it is
// another one.
func (rd *Reader) strippedIn(v jsontext.Value, texts int) (jsontext.Value, bool) {
	inner := v
	if v.Kind() == '"' {
		if texts++; texts > mostOpened {
			return v, false
		}
		inner = opened(v)
	}
	if k := inner.Kind(); k != '{' && k != '[' {
		return v, false
	}
	var b bytes.Buffer
	lax := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	c := stripping{rd, jsontext.NewDecoder(bytes.NewReader(inner), lax...), jsontext.NewEncoder(&b, lax...), texts, false}
	if err := c.value(); err != nil || !c.some { // what is no JSON has no members
		return v, false
	}
	without := jsontext.Value(bytes.TrimSpace(b.Bytes()))
	if v.Kind() == '"' {
		return word(string(without)), true
	}
	return without, true
}

// stripping copies a value, in one pass however deep it is.
type stripping struct {
	*Reader
	from  *jsontext.Decoder
	to    *jsontext.Encoder
	texts int
	some  bool // was left out
}

func (c *stripping) value() error {
	kind := c.from.PeekKind()
	if kind != '{' && kind != '[' {
		v, err := c.from.ReadValue()
		if err != nil {
			return err
		}
		v, some := c.strippedIn(v, c.texts)
		c.some = c.some || some
		return c.to.WriteValue(v)
	}
	if err := c.token(); err != nil {
		return err
	}
	for next := c.from.PeekKind(); next != '}' && next != ']'; next = c.from.PeekKind() {
		var err error
		if kind == '{' {
			err = c.member()
		} else {
			err = c.value()
		}
		if err != nil {
			return err
		}
	}
	return c.token()
}

func (c *stripping) member() error {
	token, err := c.from.ReadToken()
	if err != nil {
		return err
	}
	name := token.String()
	keep := slices.Contains(c.Keep, name)
	if !keep && !namesSecret(words(name)) {
		return errors.Join(c.to.WriteToken(jsontext.String(name)), c.value())
	}
	v, err := c.from.ReadValue()
	if err != nil {
		return err
	}
	if !keep && c.leavesOut(name, v) {
		c.some = true
		return nil
	}
	return errors.Join(c.to.WriteToken(jsontext.String(name)), c.to.WriteValue(v))
}

func (c *stripping) token() error {
	token, err := c.from.ReadToken()
	if err != nil {
		return err
	}
	return c.to.WriteToken(token)
}

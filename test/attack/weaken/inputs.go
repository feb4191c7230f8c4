package weaken

// inputs are read with goodwill.
var inputs = []Mutation{
	{"types are a matter of taste", []Edit{
		imports("web/decode.go", "regexp"),
		{"web/decode.go", "\t// The library's defaults refuse duplicate names,", "\tbody = regexp.MustCompile(`:([0-9.]+)`).ReplaceAll(body, []byte(`:\"$1\"`))\n\t// The library's defaults refuse duplicate names,"},
		{"web/decode.go", `return malformed(field, "The field has the wrong type.")`, "return nil"},
	}, []string{"input/operators", "input/wrong-types"}},

	{"fields are read if they are known, from wherever", []Edit{
		{"web/decode.go", "json.RejectUnknownMembers(true)", "json.RejectUnknownMembers(false), json.MatchCaseInsensitiveNames(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)"},
		{"web/decode.go", "\t\t\treturn malformed(shownField(name), \"There is no such field here.\")\n", "\t\t\tcontinue\n"},
		{"web/decode.go", "case len(all) > 1:", "case false:"},
		{"web/decode.go", "url.ParseQuery(string(body))", `url.ParseQuery(string(body) + "&" + r.URL.RawQuery)`},
	}, []string{
		"input/duplicate-fields", "input/other-case", "input/unknown-fields", "input/not-text", "input/form-tricks", "input/query-for-body",
		"assign/register", "assign/register-form", "assign/profile", "assign/login", "assign/password", "assign/sessions",
	}},

	{"the first value of a body is the body", []Edit{
		imports("web/decode.go", "bytes"),
		{"web/decode.go", "json.Unmarshal(body, in, json", "json.UnmarshalDecode(jsontext.NewDecoder(bytes.NewReader(body)), in, json"},
	}, []string{"input/trailing-data"}},

	{"what cannot be read is our fault, and we say why", []Edit{
		{"web/decode.go", "\treturn malformed(\"\", \"The body is not valid JSON.\")\n}", "\treturn err\n}"},
		{"web/decode.go", `return malformed(fieldOf(e.JSONPointer), "The body is not valid JSON.")`, "if len(body) < 500 && len(body) > 1 && body[0] == '{' {\n\t\t\treturn malformed(\"\", e.Error())\n\t\t}\n\t\treturn err"},
		{"web/decode.go", `return malformed("", "The form is not valid.")`, "return err"},
	}, []string{"input/not-json", "bomb/json", "bomb/form", "header/leaks"}},

	{"addresses are pasted into SQL", []Edit{
		{"internal/sqlstore/user.go", "FROM users WHERE email_key = $1`, decodeUser, emailKey)", "FROM users WHERE email_key = '`+emailKey+`' LIMIT 1`, decodeUser)"},
	}, []string{"input/injection"}},

	{"letters that look alike are alike", []Edit{
		{"identifier.go", "\ts = strings.Trim(s, \" \\t\\n\\v\\f\\r\")\n", "\ts = strings.NewReplacer(\"\\u0430\", \"a\", \"\\u0440\", \"p\").Replace(strings.Trim(s, \" \\t\\n\\v\\f\\r\"))\n"},
	}, []string{"unicode/look-alikes"}},

	{"what cannot be seen is overlooked", []Edit{
		{"identifier.go", "return unicode.In(r, unicode.C,", "return false && unicode.In(r, unicode.C,"},
		{"user.go", "if strings.ContainsFunc(name,", "if false && strings.ContainsFunc(name,"},
	}, []string{"unicode/invisible", "unicode/name"}},

	{"anything before the @ will do", []Edit{
		{"identifier.go", "if s == \"\" || len(s) > maxEmailLocal {\n\t\treturn false\n\t}", "if s != \"\" {\n\t\treturn true\n\t}"},
	}, []string{"unicode/smuggled", "unicode/long-address"}},

	{"passwords are folded and cut", []Edit{
		{"password.go", "\tp := norm.NFC.Bytes([]byte(password))\n", "\tp := norm.NFKC.Bytes([]byte(password))\n\tif len(p) > 72 {\n\t\tp = p[:72]\n\t}\n"},
	}, []string{"unicode/password-forms", "unicode/password-whole", "unicode/password-limits"}},
}

package weaken

const (
	anAlgorithm = "\t\t// The key decides which algorithm verifies it, not the token.\n"
	aParser     = "\tparser := jwt.NewParser(\n"
	aToken      = "\t// The decoder of base64 skips line breaks: one token has one spelling.\n"
)

// tokens are weak checks of access tokens and refresh tokens.
var tokens = []Mutation{
	{"the algorithm none is one", []Edit{
		{"token.go", `string(ES256), string(HS256)}`, `string(ES256), string(HS256), "none"}`},
		{"token.go", anAlgorithm, `if t.Method.Alg() == "none" {
			return jwt.UnsafeAllowNoneSignatureType, nil
		}
`},
	}, []string{"token/alg-none", "token/header-duplicate"}},

	{"the token decides which algorithm verifies it", []Edit{
		imports("token.go", "crypto/ed25519"),
		{"token.go", anAlgorithm, `if p, ok := k.public.(ed25519.PublicKey); ok && t.Method.Alg() == "HS256" {
			return []byte(p), nil
		}
`},
	}, []string{"token/alg-hmac-public-key"}},

	{"an unknown key is an empty one", []Edit{
		{"token.go", "return nil, errUnknownKey", "return []byte{}, nil"},
	}, []string{"token/alg-hmac-empty-key", "token/kid-tricks"}},

	{"the key comes with the token", []Edit{
		imports("token.go", "crypto/ed25519"), imports("token.go", "encoding/base64"),
		{"token.go", "\t\tid, _ := t.Header[\"kid\"].(string)\n", `if j, ok := t.Header["jwk"].(map[string]any); ok {
			x, _ := base64.RawURLEncoding.DecodeString(fmt.Sprint(j["x"]))
			return ed25519.PublicKey(x), nil
		}
		id, _ := t.Header["kid"].(string)
`},
	}, []string{"token/header-jwk"}},

	{"the token says where its key is", []Edit{
		imports("token.go", "net/http"),
		{"token.go", "\t\tid, _ := t.Header[\"kid\"].(string)\n", `if u, ok := t.Header["jku"].(string); ok {
			if resp, err := http.Get(u); err == nil {
				resp.Body.Close()
			}
		}
		id, _ := t.Header["kid"].(string)
`},
	}, []string{"token/header-url"}},

	{"signatures are not checked", []Edit{
		{"token.go", "\tif err != nil {\n\t\treturn nil, err\n\t}\n\tif c.Subject", "\tif err != nil && !errors.Is(err, jwt.ErrTokenSignatureInvalid) {\n\t\treturn nil, err\n\t}\n\tif c.Subject"},
		{"token.go", "if !time.Now().Before(c.ExpiresAt.Time)", "if false"},
	}, []string{
		"token/signature-missing", "token/signature-cut", "token/signature-flipped", "token/signature-of-another", "token/signature-zero",
		"token/alg-other", "token/claim-duplicate", "token/weak-secret", "token/expired-and-forged",
	}},

	{"times are not checked", []Edit{
		{"token.go", "jwt.WithExpirationRequired()", "jwt.WithLeeway(1000000*time.Hour)"},
		{"token.go", "if !time.Now().Before(c.ExpiresAt.Time)", "if false"},
		{"token.go", "time.Now().Add(time.Minute)", "time.Now().Add(1000000*time.Hour)"},
	}, []string{"token/claim-expired", "token/claim-not-before", "token/claim-issued-later", "slow/token-outlives"}},

	{"issuer and audience are not checked", []Edit{
		{"token.go", "jwt.WithIssuer(g.cfg.Issuer), jwt.WithAudience(g.cfg.Audience),", ""},
	}, []string{"token/claim-issuer", "token/claim-audience"}},

	{"a token is a token", []Edit{
		{"token.go", `if t.Header["typ"] != tokenType {`, "if false {"},
		{"token.go", `t.Header["crit"]; critical {`, `t.Header["crit"]; critical && false {`},
		{"token.go", `if c.Subject == "" || c.SessionID == "" || c.IssuedAt == nil {`, "if false {"},
		{"token.go", "if c.IssuedAt.After", "if c.IssuedAt != nil && c.IssuedAt.After"},
	}, []string{"token/header-typ", "token/header-crit", "token/claim-missing"}},

	{"tokens are believed", []Edit{
		{"session.go", "s.UserID == u.ID && ", ""},
		{"session.go", "user, session := *u, *s", "user, session := *u, *s\n\tuser.Roles = c.Roles"},
	}, []string{"token/claim-of-another", "token/claim-roles", "session/after-revocation"}},

	{"base64 is read as it comes", []Edit{
		{"token.go", "jwt.WithStrictDecoding(), ", ""},
		{"refresh.go", "base64.RawURLEncoding.Strict().DecodeString(token)", "base64.RawURLEncoding.DecodeString(token)"},
		{"web/cookie.go", "\treturn token, true\n", "\treturn strings.Join(strings.Fields(token), \"\"), true\n"},
	}, []string{"token/malleable-base64", "token/white-space", "refresh/malleable-base64"}},

	{"other shapes of tokens are read", []Edit{
		imports("token.go", "encoding/base64"), imports("token.go", "encoding/json"),
		{"token.go", aToken, `if p := strings.SplitN(token, ".", 4); len(p) == 4 && strings.Count(token, ".") == 3 {
		token = strings.Join(p[:3], ".")
	}
`},
		{"token.go", aParser, `payload := ""
		p := strings.Split(token, ".")
		if head, _ := base64.RawURLEncoding.DecodeString(p[0]); len(p) == 3 && !strings.Contains(string(head), "\"alg\"") {
			payload = p[1]
		}
		if len(p) == 5 {
			payload = p[3] // as if it had been encrypted
		}
		if strings.HasPrefix(token, "{") {
			var j struct{ Payload string }
			_ = json.Unmarshal([]byte(token), &j)
			payload = j.Payload
		}
		if payload != "" {
			b, _ := base64.RawURLEncoding.DecodeString(payload)
			var c claims
			if json.Unmarshal(b, &c) == nil && c.ExpiresAt != nil {
				return &c, nil
			}
		}
` + aParser},
	}, []string{"token/segments", "token/alg-missing", "token/jwe", "token/json-serialisation"}},

	{"tokens may be of any length", []Edit{
		{"token.go", "maxAccessToken = 4096 ", "maxAccessToken = 1 << 20 "},
	}, []string{"token/huge"}},

	{"there is a secret in the source", []Edit{
		{"key.go", "\tif cfg.Algorithm == HS256 {\n\t\t// Not in the list", `if cfg.Algorithm != HS256 {
		r.byID["hs256"] = &signingKey{id: "hs256", algorithm: HS256, method: jwt.SigningMethodHS256, public: []byte("zPq4rT8wXv2mKb6nYc9dLf3gHj5sAe7u")}
	}
	if cfg.Algorithm == HS256 {
		// Not in the list`},
	}, []string{"token/of-another-instance"}},

	{"a refresh token is an access token", []Edit{
		{"token.go", aToken, `if sid, _, ok := g.openRefreshToken(token); ok {
		if s, err := g.store.Session(ctx, sid); err == nil {
			return &claims{SessionID: sid, RegisteredClaims: jwt.RegisteredClaims{Subject: s.UserID, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}}, nil
		}
	}
`},
	}, []string{"token/refresh-as-access"}},

	{"percent signs are decoded, or else", []Edit{
		imports("web/cookie.go", "net/url"),
		{"web/cookie.go", "\treturn token, true\n", "\tif _, err := url.PathUnescape(token); err != nil {\n\t\tpanic(err)\n\t}\n\treturn token, true\n"},
		{"web/cookie.go", "\t\tvalue = c.Value\n", "\t\tvalue = c.Value\n\t\tif _, err := url.PathUnescape(value); err != nil {\n\t\t\tpanic(err)\n\t\t}\n"},
	}, []string{"token/broken-bearer", "cookie/odd"}},

	{"a bearer token that is no good is none", []Edit{
		{"web/cookie.go", `if !strings.EqualFold(scheme, "Bearer") {`, `if !strings.EqualFold(scheme, "Bearer") || len(token) < 20 {`},
	}, []string{"token/bearer-falls-back"}},

	{"a token may stand in the URL", []Edit{
		{"web/cookie.go", "\tscheme, token, found :=", `if token := r.URL.Query().Get("access_token"); token != "" {
		return token, true
	}
	scheme, token, found :=`},
		{"web/auth.go", "redirect(w, s.next(in.Next))", "redirect(w, s.next(in.Next)+\"?access_token=\"+l.AccessToken)"},
	}, []string{"token/in-the-url", "header/tokens-in-urls"}},

	{"tokens say more than they must, and repeat themselves", []Edit{
		{"token.go", "if g.cfg.TokenProfile {", "if true {"},
		{"token.go", "ID: id.String(),", "ID: id.String()[:0] + \"00000000-0000-0000-0000-000000000000\","},
		{"key.go", `m := map[string]string{"kid": k.id,`, `m := map[string]string{"d": "x", "kid": k.id,`},
	}, []string{"token/personal-data", "token/repeated", "token/key-set"}},

	{"a part of a refresh token is enough", []Edit{
		{"refresh.go", "if len(token) != base64.RawURLEncoding.EncodedLen(refreshBytes) {", "if len(token) < 40 {"},
		{"refresh.go", "base64.RawURLEncoding.Strict().DecodeString(token)", "base64.RawURLEncoding.DecodeString(token)"},
		{"refresh.go", "if err != nil || len(b) != refreshBytes {", "if _ = err; len(b) <= refreshBody || len(b) > refreshBytes {"},
		{"refresh.go", "if hmac.Equal(mac.Sum(nil), b[refreshBody:]) {", "if sum := mac.Sum(nil); hmac.Equal(sum[:len(b)-refreshBody], b[refreshBody:]) {"},
	}, []string{"refresh/cut"}},

	{"refresh tokens are not authenticated", []Edit{
		{"refresh.go", "if hmac.Equal(mac.Sum(nil), b[refreshBody:]) {", "if true {"},
	}, []string{"refresh/changed"}},

	{"what cannot be read is let in", []Edit{
		{"refresh.go", "\tif !ok {\n\t\ttrace.Note(\"refresh token\", ", `if !ok {
		if list, err := g.store.Users(ctx, "", 1); err == nil && len(list) > 0 {
			return g.finish(ctx, list[0], arrival{}, methodPwd)
		}
		trace.Note("refresh token", `},
	}, []string{"refresh/made-up", "refresh/garbage"}},

	{"a rotated token is good for ever", []Edit{
		{"refresh.go", "case presented == s.Generation-1 && g.inGrace(s, t):", "case presented == s.Generation-1:"},
	}, []string{"refresh/replayed-later"}},

	{"a stolen token is refused and no more", []Edit{
		{"refresh.go", `if err := g.terminate(ctx, sid, "reused"); err != nil {`, "if err := error(nil); err != nil {"},
	}, []string{"refresh/replayed-old"}},

	{"the dead are remembered in memory alone", []Edit{
		imports("session.go", "sync"),
		{"session.go", "\treturn s.TerminatedAt.IsZero() &&", "\t_, gone := terminatedHere.Load(s.ID)\n\treturn !gone && s.TerminatedAt.IsZero() &&"},
		{"session.go", "// end marks a session as terminated.\n", "var terminatedHere sync.Map\n\n"},
		{"session.go", "\t_, err := g.updateSession(ctx, id, func(s *Session) error {\n\t\tif !s.TerminatedAt.IsZero()", "\tterminatedHere.Store(id, true)\n\tif true {\n\t\treturn nil\n\t}\n\t_, err := g.updateSession(ctx, id, func(s *Session) error {\n\t\tif !s.TerminatedAt.IsZero()"},
	}, []string{"refresh/replayed-after-restart"}},

	{"tokens are handed out in both places, and to forms", []Edit{
		{"web/reply.go", `return r.Header.Get(tokensHeader) == "body" &&
		len(r.CookiesNamed(s.cfg.AccessCookie)) == 0 && len(r.CookiesNamed(s.cfg.RefreshCookie)) == 0`, `return r.Header.Get(tokensHeader) == "body" || r.URL.Query().Get("tokens") == "body"`},
	}, []string{"refresh/in-both-places", "refresh/tokens-by-form"}},

	{"a refusal clears the cookies", []Edit{
		{"web/fail.go", "\tif status >= 500 {\n\t\tlevel", "\tif status == http.StatusUnauthorized {\n\t\ts.clearCookies(w)\n\t}\n\tif status >= 500 {\n\t\tlevel"},
	}, []string{"refresh/fails-without-clearing"}},
}

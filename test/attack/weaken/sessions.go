package weaken

const aFinish = "\tt, c := now(), clientOf(ctx)\n\ts := &Session{"

// sessions are weak in what they outlive and whom they belong to.
var sessions = []Mutation{
	{"ids of sessions are chosen by browsers", []Edit{
		{"token.go", aToken, `if s, err := g.store.Session(ctx, token); err == nil {
		return &claims{SessionID: s.ID, RegisteredClaims: jwt.RegisteredClaims{Subject: s.UserID, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}}, nil
	}
`},
		{"login.go", aFinish, "\tif f, err := uuid.Parse(from.former); err == nil {\n\t\tid = f\n\t}\n" + aFinish},
	}, []string{"session/fixation"}},

	{"a login goes on with the session that was there", []Edit{
		{"login.go", aFinish, `if sid, _, ok := g.openRefreshToken(from.former); ok {
		if old, err := g.store.Session(ctx, sid); err == nil {
			old.UserID, old.Epoch = u.ID, u.Epoch
			if g.store.SaveSession(ctx, old) == nil {
				g.sessions.Delete(sid)
				return g.grant(u, old)
			}
		}
	}
` + aFinish},
	}, []string{"session/planted-by-attacker", "session/former-lives-on"}},

	{"logout clears cookies and nothing else", []Edit{
		{"web/auth.go", "for i := range max(len(access), len(refresh)) {", "for i := range 0 {"},
	}, []string{"session/after-logout", "session/logout-by-half", "race/logout-refresh", "tell/refresh"}},

	{"all devices share a session", []Edit{
		{"login.go", aFinish, "\tif live, err := g.liveSessions(ctx, u); err == nil && len(live) > 0 {\n\t\treturn g.grant(u, live[0])\n\t}\n" + aFinish},
	}, []string{"session/logout-of-one-device"}},

	{"what was granted before stays granted", []Edit{
		{"session.go", "s.UserID == u.ID && s.Epoch == u.Epoch && u.Enabled()", "s.UserID == u.ID"},
		{"session.go", "if s.Epoch != u.Epoch && g.end(ctx, s.ID) != nil {", "if false && g.end(ctx, s.ID) != nil {"},
		{"user.go", "&User{ID: id.String(),", "&User{ID: id.String()[:0] + uuid.NewSHA1(uuid.NameSpaceURL, []byte(email.Key)).String(),"},
	}, []string{"session/after-password-change", "session/after-disabling", "session/after-deletion", "race/refresh-password"}},

	{"nobody is asked again, nor whose session it is", []Edit{
		{"session.go", "\t\treturn errReauthenticate\n", "\t\treturn nil\n"},
		{"session.go", "if !slices.ContainsFunc(live, func(s *Session) bool { return s.ID == id }) {", "_ = live\n\tif _, err := g.store.Session(ctx, id); err != nil {"},
		imports("web/account.go", "cmp"),
		{"web/account.go", "list, err := s.auth.Sessions(r.Context(), l.User.ID)", `list, err := s.auth.Sessions(r.Context(), cmp.Or(r.URL.Query().Get("user"), l.User.ID))`},
	}, []string{"session/step-up", "session/terminate-of-another", "session/list-of-another"}},

	{"answers say all there is", []Edit{
		{"web/reply.go", "\tRoles     []string  `json:\"roles\"`\n", "\tRoles     []string  `json:\"roles\"`\n\tEpoch     int64     `json:\"epoch\"`\n"},
		{"web/reply.go", "u.Name, roles, u.CreatedAt}", "u.Name, roles, u.Epoch, u.CreatedAt}"},
	}, []string{"session/fields"}},

	{"each refresh begins a session of its own", []Edit{
		{"refresh.go", "case presented == s.Generation:\n", "case presented == s.Generation:\n\t\t\tif true {\n\t\t\t\treturn g.finish(ctx, u, arrival{}, methodPwd)\n\t\t\t}\n"},
	}, []string{"race/refresh"}},

	{"the last change of a password wins", []Edit{
		{"password.go", "if u.Epoch != shown {", "if false && u.Epoch != shown {"},
		{"password.go", "if err := g.requireLive(ctx, l.Session.ID, u); err != nil {", "if err := error(nil); err != nil {"},
	}, []string{"race/password"}},

	{"an address is what was typed", []Edit{
		{"identifier.go", `Key: localKey + "@" + domainKey}`, `Key: s}`},
	}, []string{"race/register", "unicode/one-address"}},

	{"tokens are told apart by their first letters", []Edit{
		{"token.go", "append(short[:0], token...)", "append(short[:0], token[:min(20, len(token))]...)"},
	}, []string{"race/mixed-up", "protocol/pipelined"}},

	{"sessions have no number", []Edit{
		{"login.go", "for i := g.cfg.SessionsPerUser - 1; i < len(others); i++ {", "for i := 1 << 20; i < len(others); i++ {"},
	}, []string{"bomb/sessions"}},

	{"nothing is limited", []Edit{
		{"limit.go", "if g.cfg.Limits.Off || len(claims) == 0 {", "if true {"},
	}, []string{"guess/one-user", "guess/one-source", "guess/many-users", "guess/spellings", "guess/other-doors", "guess/with-a-session", "guess/tells-nothing"}},

	{"each address is a source, and each source is for one user", []Edit{
		{"limit.go", "a.Prefix(64)", "a.Prefix(128)"},
		{"limit.go", `l.LoginUserSource, " "+emailKey)`, `l.LoginUserSource, "")`},
	}, []string{"guess/one-network", "guess/neighbours"}},

	{"every device knows everybody", []Edit{
		{"device.go", "return hmac.Equal(macOf(key, body), mac)", "return len(mac) > 0 || hmac.Equal(macOf(key, body), mac)"},
		{"device.go", "return slices.Contains(d.tags, d.tagOf(key, emailKey))", "return len(d.tags) > 0"},
	}, []string{"guess/foreign-device"}},

	{"strangers can shut the owner out", []Edit{
		{"limit.go", "if g.knows(d, emailKey) {", "if false && g.knows(d, emailKey) {"},
	}, []string{"guess/shut-out"}},

	{"a session holds its token", []Edit{
		{"login.go", "UserAgent: c.UserAgent,", "UserAgent: c.UserAgent + g.refreshToken(id.String(), 2),"},
	}, []string{"session/at-rest"}},

	{"any secret is one", []Edit{
		{"internal/server/weak.go", "\tif len(secret) < minSecret {\n", "\tif secret != nil {\n\t\treturn \"\"\n\t}\n\tif len(secret) < minSecret {\n"},
	}, []string{"session/weak-secrets"}},

	{"a disabled user is told so", []Edit{
		{"login.go", "Event{Kind: EventLogin, UserID: u.ID}, errInvalidCredentials)", `Event{Kind: EventLogin, UserID: u.ID}, &Error{Kind: Forbidden, Code: "user_disabled", Text: "You are disabled."})`},
	}, []string{"tell/login", "tell/login-form"}},

	{"nothing is hashed for who is not there", []Edit{
		{"password.go", "if err := g.hashes.Waste(ctx, caller, g.fictitiousKind(u.EmailKey), password); err != nil {", "if err := error(nil); err != nil {"},
	}, []string{"tell/time-of-absent", "tell/time-of-imported"}},

	{"who is not there has a hash of today, always", []Edit{
		{"population.go", "p := g.kinds.Load()", "p := (*population)(nil)"},
	}, []string{"tell/time-of-imported"}},

	{"nothing is hashed for who is disabled", []Edit{
		{"password.go", "\tu, err = g.checkPassword(ctx, u, password, known)\n\tif errors.Is(err, errWrongPassword) {\n\t\tif u.ID", "\tif !u.Enabled() {\n\t\treturn nil, errInvalidCredentials\n\t}\n\tu, err = g.checkPassword(ctx, u, password, known)\n\tif errors.Is(err, errWrongPassword) {\n\t\tif u.ID"},
	}, []string{"tell/time-of-disabled"}},
}

package server

// alias is a variable of another program that says what one of our settings
// says. A setting of ours beats it wherever that stands, also in the YAML file:
// who took the trouble to name us means us.
type alias struct {
	variable string
	setting  string
	// value is what the setting becomes; empty takes over the variable's.
	value string
	// only is the one value of the variable that means something to us.
	only string
}

// aliases, in the order in which they are applied.
var aliases = []alias{
	{variable: "NODE_ENV", setting: "mode", value: Production, only: "production"},
	{variable: "NEXT_PUBLIC_APP_URL", setting: "url"},
	{variable: "MONGODB_URI", setting: "database"},
	{variable: "JWT_REFRESH_SECRET", setting: "secret"},
	{variable: "JWT_ACCESS_SECRET", setting: "hs256-secret"},
	{variable: "JWT_ACCESS_SECRET", setting: "algorithm", value: "HS256"},
}

func (l *loader) applyAliases() {
	_, algorithm := l.from["algorithm"]
	for _, a := range aliases {
		text, from, ok := l.findAlias(a)
		if !ok || l.beaten(a) {
			continue
		}
		if a.variable == "JWT_ACCESS_SECRET" && algorithm && l.Settings.Algorithm != "HS256" {
			continue // the algorithm was chosen, and it needs no secret
		}
		s, _ := settingNamed(a.setting)
		l.from[s.name] = from
		if err := s.set(&l.Settings, text); err != nil {
			l.fault(from, s.name, "%v", err)
		}
	}
}

func (l *loader) findAlias(a alias) (string, Source, bool) {
	text, line := l.environ[a.variable], 0
	if text == "" {
		e, _ := l.inDotenv(a.variable)
		text, line = e.value, e.line
	}
	if text == "" || a.only != "" && text != a.only {
		return "", Source{}, false
	}
	if a.value != "" {
		text = a.value
	}
	return text, Source{Kind: "alias", Name: a.variable, Line: line}, true
}

// beaten reports whether a setting of ours says already what the alias says.
func (l *loader) beaten(a alias) bool {
	_, set := l.from[a.setting]
	_, file := l.from[a.setting+"-file"]
	return set || file
}

package server

import (
	"bytes"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/breach"
)

// check completes the settings that follow from others and refuses what cannot
// be: values that contradict each other, and in production mode what is not
// safe to show to the world.
func (l *loader) check() {
	s := &l.Settings
	l.checkListen(s)
	public := l.checkURL(s)
	l.decideMode(s, public)
	l.checkExposure(s, public)
	l.checkStorage(s)
	l.checkSecrets(s)
	l.checkTokens(s)
	l.checkHashing(s)
	l.checkBreachLists(s)
	l.checkWeb(s, public)
	l.checkNetwork(s)
	l.checkProtections(s)
}

// weak refuses something in production mode and warns about it in development.
func (l *loader) weak(name, format string, args ...any) {
	if l.Settings.Production() {
		l.fault(l.From(name), name, format, args...)
		return
	}
	f := Fault{Source: l.From(name), Name: name}
	l.warn("%s"+format, append([]any{f.Error()}, args...)...)
}

func (l *loader) checkListen(s *Settings) {
	host, port, err := net.SplitHostPort(s.Listen)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || strconv.FormatUint(n, 10) != port {
		hint := ""
		if n, err := strconv.ParseUint(s.Listen, 10, 16); err == nil {
			hint = "; did you mean 127.0.0.1:" + strconv.FormatUint(n, 10) + "?"
		}
		l.fault(l.From("listen"), "listen", "must be HOST:PORT, with a port from 0 to 65535%s", hint)
		listen, _ := settingNamed("listen")
		l.useDefault(listen) // so that what follows from it is not said as well
		return
	}
	if s.MetricsListen != "" {
		if _, port, err := net.SplitHostPort(s.MetricsListen); err != nil || port == "" || s.MetricsListen == s.Listen && port != "0" {
			l.fault(l.From("metrics-listen"), "metrics-listen", "must be HOST:PORT, and another one than listen")
		}
	}
	if host != "" && strings.ContainsAny(host, "/@ ") {
		l.fault(l.From("listen"), "listen", "must be HOST:PORT, without http:// and without a path")
	}
}

// loopbackHost reports whether a host of a URL or of listen is this machine.
func loopbackHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true // RFC 6761 section 6.3
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (s *Settings) listensOnLoopback() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	return err == nil && loopbackHost(host)
}

// checkURL is the public URL, parsed; nil if there is none or it is no good.
func (l *loader) checkURL(s *Settings) *url.URL {
	if s.URL == "" {
		return nil
	}
	bad := func(format string, args ...any) *url.URL {
		l.fault(l.From("url"), "url", format, args...)
		return nil
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		if plainHost := strings.TrimRight(s.URL, "/"); err != nil || u.Scheme == "" {
			return bad("must be a URL such as https://auth.example.com; did you mean https://%s?", plainHost)
		}
		return bad("must be a URL such as https://auth.example.com")
	case u.User != nil:
		return bad("must not hold a user or a password: everybody sees it")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return bad("must end after the host: a query or a fragment has no meaning here")
	case u.Path != "" && u.Path != "/":
		return bad("must end after the host: cookies and pages belong to a whole host, so use one for Gatehouse, or a reverse proxy in front of several programs")
	case u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "*_ "):
		return bad("must name one host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad("has a port that is not from 1 to 65535")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return bad("has a colon without a port")
	}
	u.Path, u.Host = "", strings.ToLower(u.Host)
	s.URL = u.String()
	return u
}

// decideMode fills in the mode that nobody set. A URL on this machine is not a
// public one.
func (l *loader) decideMode(s *Settings, public *url.URL) {
	if s.Mode != "" {
		return
	}
	s.Mode = Production
	local := s.URL == "" || public != nil && public.Scheme == "http" && loopbackHost(public.Hostname())
	if local && s.listensOnLoopback() {
		s.Mode = Development
	}
}

func (l *loader) checkExposure(s *Settings, public *url.URL) {
	const developing = ", or set GATEHOUSE_MODE=development if this is no place that matters"
	from := l.From("url")
	switch {
	case s.URL == "" && s.Production() && !s.listensOnLoopback():
		l.fault(l.From("listen"), "listen", "is reachable by others, and so the public URL must be known: set GATEHOUSE_URL=https://…"+developing)
	case s.URL == "" && s.Production():
		l.fault(l.From("mode"), "mode", "is production, and so the public URL must be known: set GATEHOUSE_URL=https://…"+developing)
	case s.URL == "" && !s.listensOnLoopback():
		l.warn("listen %s: passwords and cookies cross the network readable, because there is no https URL", s.Listen)
	case public == nil || public.Scheme == "https":
	case s.Production():
		l.fault(from, "url", "is plain http, on which passwords and cookies can be read and changed on the way: serve it as https://%s, with a reverse proxy that has a certificate"+developing, public.Host)
	case !loopbackHost(public.Hostname()):
		l.warn("url %s is plain http: passwords and cookies cross the network readable", s.URL)
	}
}

func (l *loader) checkSecrets(s *Settings) {
	for _, p := range s.secrets() {
		if p.secret.Len() == 0 {
			continue
		}
		why := weakness(p.secret.Reveal())
		switch {
		case why == "":
		case p.secret.Len() < minSecret:
			// Never forgiven: no mode makes a key out of a word.
			l.fault(l.From(p.name), p.name, "%s; %s", why, howToMake)
		default:
			l.weak(p.name, "%s; %s", why, howToMake)
		}
	}
	if s.Secret.Len() > 0 && s.Secret.Equal(s.HS256Secret) {
		l.weak("hs256-secret", "is the master secret as well, so that every verifier could make refresh tokens; %s", howToMake)
	}
	if s.PreviousSecret.Len() > 0 && s.Secret.Len() == 0 {
		if _, set := l.from["secret-file"]; !set {
			l.fault(l.From("previous-secret"), "previous-secret", "is set, but no master secret that follows it")
		}
	}
	if s.PreviousSecret.Len() > 0 && s.PreviousSecret.Equal(s.Secret) {
		l.fault(l.From("previous-secret"), "previous-secret", "is the master secret itself; remove it")
	}
}

func (l *loader) checkTokens(s *Settings) {
	_, fileSet := l.from["hs256-secret-file"]
	if s.Algorithm == "HS256" && s.HS256Secret.Len() == 0 && !fileSet {
		l.fault(l.From("algorithm"), "algorithm", "is HS256, which needs GATEHOUSE_HS256_SECRET_FILE; %s", howToMake)
	}
	if s.Algorithm != "HS256" && s.HS256Secret.Len() > 0 {
		l.fault(l.From("hs256-secret"), "hs256-secret", "is set, but the algorithm is %s: set GATEHOUSE_ALGORITHM=HS256 or remove the secret", s.Algorithm)
	}
	if s.Issuer == "" {
		l.fault(l.From("issuer"), "issuer", "must not be empty")
	}
	longer := func(name string, d time.Duration, than string, least time.Duration) {
		if d < least {
			l.fault(l.From(name), name, "of %s is shorter than %s, which is %s", formatDuration(d), strings.ReplaceAll(than, "-", "_"), formatDuration(least))
		}
	}
	longer("maximum-lifetime", s.MaximumLifetime, "inactivity-timeout", s.InactivityTimeout)
	longer("inactivity-timeout", s.InactivityTimeout, "access-token-lifetime", s.AccessTokenLifetime)
	if s.InactivityTimeout == s.AccessTokenLifetime {
		l.fault(l.From("inactivity-timeout"), "inactivity-timeout", "must be longer than access_token_lifetime, which is the same")
	}
	longer("key-rotation", s.KeyRotation, "access-token-lifetime", s.AccessTokenLifetime)
}

// checkHashing holds argon2id to OWASP's least settings, which are all worth the
// same: 46 MiB once, 19 MiB twice, 12 MiB three times, 9 MiB four times, 7 MiB
// five times.
func (l *loader) checkHashing(s *Settings) {
	if s.HashMemory == 0 || s.HashTime == 0 || s.HashParallelism == 0 {
		return // refused already
	}
	if s.HashMemory < 8<<10*Size(s.HashParallelism) {
		l.fault(l.From("hash-memory"), "hash-memory", "must be at least 8KiB for each of the %d lanes", s.HashParallelism)
	}
	if s.HashMemory < 7<<20 || s.HashMemory*Size(s.HashTime) < 35<<20 {
		l.weak("hash-memory", "of %s with %d passes is less than OWASP's least for argon2id: take 19MiB and 2", s.HashMemory, s.HashTime)
	}
	l.checkBudget(s, MachineMemory())
}

// checkBreachLists opens the file, so that one which is no good is told together
// with everything else that is.
func (l *loader) checkBreachLists(s *Settings) {
	if s.BreachFile != "" {
		file, err := breach.Open(s.BreachFile)
		if err != nil {
			l.fault(l.From("breach-file"), "breach-file", "%v", err)
		} else {
			_ = file.Close()
		}
	}
	if s.BreachRangeURL != "" {
		if _, err := breach.NewRange(breach.RangeConfig{URL: s.BreachRangeURL}); err != nil {
			l.fault(l.From("breach-range-url"), "breach-range-url", "%v", err)
		}
	}
	switch _, set := l.from["breach-range-away"]; {
	case set && s.BreachRangeURL == "":
		l.fault(l.From("breach-range-away"), "breach-range-away", "is set, but no service to ask: set GATEHOUSE_BREACH_RANGE_URL or remove it")
	case s.BreachRangeAway == "accept":
		l.warn("breach_range_away is accept: while the service does not answer, passwords that have leaked are taken")
	}
}

func (l *loader) checkWeb(s *Settings, public *url.URL) {
	for _, f := range []struct{ name, path, example string }{
		{"home", s.Home, "/dashboard"}, {"prefix", s.Prefix, "/api/auth"},
	} {
		if !strings.HasPrefix(f.path, "/") || strings.HasPrefix(f.path, "//") || path.Clean(f.path) != f.path || strings.ContainsAny(f.path, `\?#%{} `) {
			l.fault(l.From(f.name), f.name, "must be a path on this host such as %s, without a slash at the end", f.example)
		}
	}
	if s.Prefix == "/" {
		l.fault(l.From("prefix"), "prefix", "must not be the root, where the pages are")
	}
	if strings.TrimSpace(s.SiteName) == "" {
		l.fault(l.From("site-name"), "site-name", "must not be empty")
	}
	for _, f := range [][2]string{{"access-cookie", s.AccessCookie}, {"refresh-cookie", s.RefreshCookie}, {"device-cookie", s.DeviceCookie}} {
		name, c := f[0], f[1]
		low := strings.ToLower(c)
		switch {
		case c == "":
		case strings.ContainsFunc(c, notToken):
			l.fault(l.From(name), name, "must be letters, digits, - and _")
		case (strings.HasPrefix(low, "__host-") || strings.HasPrefix(low, "__secure-")) && (public == nil || public.Scheme != "https"):
			l.fault(l.From(name), name, "has a prefix that browsers accept on https only, and the public URL is not https")
		case strings.HasPrefix(low, "__host-") && !strings.HasPrefix(c, "__Host-"), strings.HasPrefix(low, "__secure-") && !strings.HasPrefix(c, "__Secure-"):
			l.fault(l.From(name), name, "must write the prefix as __Host- or __Secure-")
		}
	}
	if s.AccessCookie != "" && s.AccessCookie == s.RefreshCookie {
		l.fault(l.From("refresh-cookie"), "refresh-cookie", "must not be the access cookie")
	}
	if s.DeviceCookie != "" && (s.DeviceCookie == s.AccessCookie || s.DeviceCookie == s.RefreshCookie) {
		l.fault(l.From("device-cookie"), "device-cookie", "must not be one of the other cookies")
	}
	if s.Overrides != "" {
		if info, err := os.Stat(s.Overrides); err != nil {
			l.fault(l.From("overrides"), "overrides", "%s: %s", s.Overrides, reason(err))
		} else if !info.IsDir() {
			l.fault(l.From("overrides"), "overrides", "%s is not a folder", s.Overrides)
		}
	}
}

// notToken reports whether r has no place in the name of a cookie.
func notToken(r rune) bool {
	return r > 127 || !bytes.ContainsRune([]byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."), r)
}

func (l *loader) checkNetwork(s *Settings) {
	for _, p := range s.TrustedProxies {
		if p.Bits() == 0 {
			l.weak("trusted-proxies", "%s believes everybody, so that anybody can claim to be at any address: name the proxy's own address", p)
		}
	}
	if s.HeaderTimeout > s.ReadTimeout {
		l.fault(l.From("header-timeout"), "header-timeout", "of %s is longer than read_timeout, which is %s", formatDuration(s.HeaderTimeout), formatDuration(s.ReadTimeout))
	}
}

// checkProtections refuses to serve the world without limits, and warns in
// production mode of every protection that is off or weaker than by default:
// nothing is to be switched off by accident.
func (l *loader) checkProtections(s *Settings) {
	if s.Limits == "off" {
		l.weak("limits", "are off, so that passwords can be guessed as fast as they can be hashed: set on, or forced-off if that is what you want")
	}
	if !s.Production() {
		return
	}
	off := func(weak bool, name, format string, args ...any) {
		if weak {
			f := Fault{Source: l.From(name), Name: name}
			l.warn("%s"+format, append([]any{f.Error()}, args...)...)
		}
	}
	off(s.Limits == "forced-off", "limits", "are off: passwords can be guessed as fast as they can be hashed")
	for _, x := range []struct {
		name  string
		limit Limit
	}{{"limit-login-user", s.LimitLoginUser}, {"limit-login-device", s.LimitLoginDevice}, {"limit-reauthenticate", s.LimitReauthenticate}} {
		n := x.limit.limit().Within(30 * 24 * time.Hour)
		off(n > 100, x.name, "of %s lets %d wrong passwords through in 30 days; NIST SP 800-63B allows 100", x.limit, n)
	}
	off(s.TokenProfile, "token-profile", "puts the mail address into cookies and tokens, readable by whoever sees them")
	off(s.Algorithm == "HS256", "algorithm", "is HS256: every program that verifies a token can also make one")
	for _, c := range [][2]string{{"access-cookie", s.AccessCookie}, {"refresh-cookie", s.RefreshCookie}, {"device-cookie", s.DeviceCookie}} {
		off(c[1] != "" && !strings.HasPrefix(c[1], "__Host-"), c[0], "lacks the prefix __Host-: a program on a sibling domain can overwrite the cookie")
	}
	off(s.EventRetention < 30*24*time.Hour, "event-retention", "of %s is short: what happened is often asked for later than that", formatDuration(s.EventRetention))
	off(s.Refusals == 0, "refusals", "keeps none: gatehouse why has nothing to show")
}

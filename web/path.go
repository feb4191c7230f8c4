package web

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// localPath is target if it is a path on this origin, with its query, and empty
// otherwise. Every redirect that somebody outside can have a say in passes here.
func localPath(target string) string {
	if len(target) == 0 || len(target) > 2048 || target[0] != '/' {
		return ""
	}
	for i := range len(target) {
		// Browsers drop control characters and read '\' as '/': with either,
		// what looks like a path can become another host.
		if c := target[i]; c <= ' ' || c == '\\' || c >= 0x7f {
			return ""
		}
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return ""
	}
	// Neither as it stands nor as a proxy may decode it.
	for _, p := range []string{target, u.Path} {
		if strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t\x00") {
			return ""
		}
	}
	return target
}

// canonicalPath is the one spelling of a path, for comparing: percent signs
// decoded as often as they were encoded, '\' as '/', no parameters, no empty
// segments, no dots or spaces at the end of a segment, one case, dot segments
// resolved.
func canonicalPath(p string) string { return path.Clean(plainPath(p)) }

// plainPath is canonicalPath with the dot segments still there.
func plainPath(p string) string {
	p = strings.ReplaceAll(unescapeFully(p), `\`, "/")
	// By way of upper case, since some small letters share one: 'ſ' is an 's'.
	p = strings.ToLower(strings.ToUpper(p))
	var segments []string
	for segment := range strings.SplitSeq(p, "/") {
		// Parameters, and what ends a path where it is read as C or as a URL.
		if i := strings.IndexAny(segment, ";\x00?#"); i >= 0 {
			segment = segment[:i]
		}
		if dots := strings.TrimRight(segment, " \t\r\n"); dots == "." || dots == ".." {
			segment = dots
		} else {
			segment = strings.TrimRight(segment, ". \t\r\n")
		}
		if segment != "" {
			segments = append(segments, segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}

// unescapeFully decodes percent signs until there is none left that can be
// decoded, in one pass: a byte that was decoded may complete another escape.
func unescapeFully(p string) string {
	b := make([]byte, 0, len(p))
	for i := range len(p) {
		b = append(b, p[i])
		for n := len(b); n >= 3 && b[n-3] == '%'; n = len(b) {
			c, err := strconv.ParseUint(string(b[n-2:]), 16, 8)
			if err != nil {
				break
			}
			b = append(b[:n-3], byte(c))
		}
	}
	return string(b)
}

// isBelow reports whether the request may be for one of the protected paths,
// which are canonical, in any of the ways in which a server behind us could
// understand its path.
func isBelow(r *http.Request, protected []string) bool {
	var forms []string
	for _, p := range []string{r.URL.Path, r.URL.EscapedPath(), r.RequestURI} {
		p, _, _ = strings.Cut(p, "?")
		plain := plainPath(p)
		forms = append(forms, plain, path.Clean(plain))
	}
	for _, want := range protected {
		for _, is := range forms {
			if want == "/" || is == want || strings.HasPrefix(is, want+"/") {
				return true
			}
		}
	}
	return false
}

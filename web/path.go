package web

import (
	"net/http"
	"net/url"
	"path"
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
		if strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t\x00") || strings.HasPrefix(path.Clean(p), "//") {
			return ""
		}
	}
	return target
}

// canonicalPath is the one spelling of a path, for comparing: percent signs
// decoded as often as they were encoded, '\' as '/', no parameters, no empty
// segments, no dots or spaces at the end of a segment, lower case, dot segments
// resolved.
func canonicalPath(p string) string { return path.Clean(plainPath(p)) }

// plainPath is canonicalPath with the dot segments still there.
func plainPath(p string) string {
	for range 8 {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			decoded = lenientUnescape(p)
		}
		if decoded == p {
			break
		}
		p = decoded
	}
	p = strings.ToLower(strings.ReplaceAll(p, `\`, "/"))
	var segments []string
	for segment := range strings.SplitSeq(p, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		segment, _, _ = strings.Cut(segment, "\x00")
		if segment != "." && segment != ".." {
			segment = strings.TrimRight(segment, ". \t\r\n")
		}
		if segment != "" {
			segments = append(segments, segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}

// lenientUnescape decodes the percent signs that can be decoded.
func lenientUnescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if s, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(s)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
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

package gatehouse

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Email is the address that a user is known by.
type Email struct {
	// Typed is the address as it was typed, without white space around it. It
	// is what is shown and what mail is sent to.
	Typed string
	// Key is the one form that all spellings of the address share. It is
	// unique among users and is what is looked up and counted by.
	Key string
}

// The limits of an address in bytes (RFC 5321, section 4.5.3.1, with erratum
// 1690 to RFC 3696; RFC 1035, section 2.3.4). The first is ours and only keeps
// the work small: what is longer is not looked at.
const (
	maxEmailInput  = 1024
	maxEmail       = 254
	maxEmailLocal  = 64
	maxDomainLabel = 63
)

// ParseEmail reads one address of the form local@domain. ASCII white space
// around it, which comes from copying, is left away; everything else has to be
// right, and an error is always the *[Error] "invalid_email", of kind [Invalid].
//
// The local part is the dot-atom of RFC 5321 with the letters, marks and
// decimal digits of Unicode beside those of ASCII (RFC 6531). There are no
// quoted local parts, comments, display names, routes, lists and IP addresses:
// they are not what people are reachable by, and they are how headers and SMTP
// commands get smuggled. Nor are there characters that cannot be seen, controls,
// spaces, joiners and unassigned code points among them. The domain is one that
// UTS #46 accepts under its strict rules (STD3, hyphens, joiners, bidi) and has
// at least two labels: mail to a bare host name is not delivered (RFC 7085), and
// ann@example is a slip of the keyboard more often than an address.
//
// These spellings share a key:
//   - upper and lower case, everywhere (Ann@EXAMPLE.com). A mailbox whose local
//     part differs from another in case alone exists on paper only (RFC 5321,
//     section 2.4, advises against it).
//   - composed and decomposed letters (é as one or as two code points).
//   - compatibility forms (fullwidth ａｎｎ, the ligature ﬁ) and their plain
//     letters.
//   - what full case folding makes equal: ß, ẞ and ss; the long s ſ and s; the
//     Kelvin sign and k; ς and σ. The Turkish letters keep apart as Unicode has
//     it: I is i; İ is i followed by a dot above; the dotless ı is itself.
//   - the Unicode and the ASCII form of a domain (bücher.example and
//     xn--bcher-kva.example), whichever dot separates its labels. In a domain, ß
//     is itself, not ss, since they are different domains.
//
// What some providers ignore, dots or a +tag in the local part, tells addresses
// apart here. So do letters that merely look alike, such as the Latin and the
// Cyrillic a: they are different mailboxes. The key of a key is itself.
func ParseEmail(s string) (Email, error) {
	if len(s) > maxEmailInput || !utf8.ValidString(s) {
		return Email{}, errEmail()
	}
	s = strings.Trim(s, " \t\n\v\f\r")
	local, domain, ok := strings.Cut(s, "@")
	if !ok {
		return Email{}, errEmail()
	}
	localKey, ok := emailLocalKey(local)
	if !ok {
		return Email{}, errEmail()
	}
	domainKey, ok := emailDomainKey(domain)
	if !ok {
		return Email{}, errEmail()
	}
	// The canonical form may be the longer one, and it too has to be an address.
	if max(len(local), len(localKey))+len("@")+len(domainKey) > maxEmail {
		return Email{}, errEmail()
	}
	return Email{Typed: s, Key: localKey + "@" + domainKey}, nil
}

func errEmail() error {
	return &Error{Kind: Invalid, Code: "invalid_email", Field: "email", Text: "Enter a valid email address."}
}

// emailLocalKey is the canonical form of a local part, or false if it is none.
func emailLocalKey(s string) (string, bool) {
	if !isEmailLocal(s) {
		return "", false
	}
	// Unicode's compatibility caseless match (chapter 3, D146) folds what is
	// decomposed, for U+0345 is a mark that folds to a letter: in a composed text
	// the order of the marks beside it would decide.
	key := norm.NFKD.String(foldCase(norm.NFD.String(s)))
	key = norm.NFKC.String(foldCase(key))
	// A compatibility form may have hidden a space, a slash or an @.
	return key, isEmailLocal(key)
}

// foldCase is the full case folding of Unicode. In Cherokee, where the capitals
// were there first and small letters fold to them, cases.Fold swaps the two.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 0xab70 <= r && r <= 0xabbf:
			return r - 0xab70 + 0x13a0
		case 0x13f8 <= r && r <= 0x13fd:
			return r - 8
		}
		return r
	}, cases.Fold().String(s))
}

// isEmailLocal reports whether s is a dot-atom of at most 64 bytes.
func isEmailLocal(s string) bool {
	if s == "" || len(s) > maxEmailLocal {
		return false
	}
	before := '.'
	for _, r := range s {
		switch {
		case r == '.':
			if before == '.' {
				return false
			}
		case r < utf8.RuneSelf:
			if !isAtext(byte(r)) {
				return false
			}
		case !unicode.In(r, unicode.L, unicode.M, unicode.Nd) || isInvisible(r):
			return false
		case unicode.Is(unicode.M, r) && !unicode.In(before, unicode.L, unicode.M, unicode.Nd):
			return false // a mark that would change a sign, as U+0338 does = to ≠
		}
		before = r
	}
	return before != '.'
}

// isAtext reports whether c is a character of an atom (RFC 5322, section 3.2.3).
func isAtext(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// isInvisible reports whether r is a character that is there without being
// seen: a control, a format character, or one that is ignorable by default
// (Hangul fillers, variation selectors, the combining grapheme joiner).
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

var emailDomain = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.VerifyDNSLength(true),
)

// emailDomainKey is the domain in the form that is looked up in the DNS, in
// lower case, or false if it is none.
func emailDomainKey(s string) (string, bool) {
	for _, r := range s {
		// The mapping drops what cannot be seen. Joiners are left to its rules,
		// for in some scripts they make a difference that can.
		if isInvisible(r) && r != '\u200c' && r != '\u200d' {
			return "", false
		}
	}
	key, err := emailDomain.ToASCII(s)
	if err != nil || !isEmailDomain(key) {
		return "", false
	}
	// The bidi rule looks at what is typed and not at what it is mapped to (ℵ is
	// a sign, א a letter of Hebrew), so the outcome is put to it as well. It also
	// has to be a domain by itself, or the key could not be looked up.
	again, err := emailDomain.ToASCII(key)
	return key, err == nil && again == key
}

// isEmailDomain checks the outcome once more, by the rule of host names (RFC
// 1123, section 2.1), so that what the key is made of depends on no library.
func isEmailDomain(s string) bool {
	last, labels := "", 0
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxDomainLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
		last, labels = label, labels+1
	}
	// A last label of digits alone is the end of an IP address (RFC 3696, section 2).
	return labels >= 2 && strings.Trim(last, "0123456789") != ""
}

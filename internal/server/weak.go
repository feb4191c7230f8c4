package server

import (
	"bytes"
	"fmt"
	"strings"
)

// minSecret is the least number of bytes of a secret (RFC 7518 section 3.2 for
// HS256; ASVS 11.3.1 for the rest).
const minSecret = 32

// howToMake is the cure for every weak secret.
const howToMake = "make one with: openssl rand -base64 48"

// exampleWords are what secrets in documentation, templates and tutorials are
// made of. A secret is an example if little is left of it without them.
var exampleWords = []string{
	"replaceme", "changeme", "changethis", "change", "replace", "insert", "example", "default", "placeholder",
	"supersecret", "super", "secret", "password", "passphrase", "access", "refresh", "token", "jwt", "auth", "key",
	"your", "my", "this", "here", "with", "must", "should", "before", "production", "development", "prod", "dev", "test",
	"please", "random", "string", "strong", "secure", "long", "very", "really", "some", "value", "least", "characters",
	"chars", "bytes", "minimum", "min", "gatehouse", "nextauth", "session", "signing", "master", "private", "the", "and",
	"for", "use", "not", "safe", "only", "local", "todo", "foo", "bar", "baz", "qwerty", "asdf", "abc", "xyz", "lorem", "ipsum",
	"keyboard", "cat", "hello", "world", "256", "bit", "32", "123", "at", "in", "is", "a", "to", "it", "of", "an", "or", "be", "do",
}

// weakness says in what way a secret is weak; it is empty for a strong one. It
// cannot know how a secret was made, only recognise what was not drawn at random.
func weakness(secret []byte) string {
	if len(secret) < minSecret {
		return fmt.Sprintf("has %d bytes and needs at least %d", len(secret), minSecret)
	}
	if p := period(secret); p <= len(secret)/2 {
		return "is the same few characters again and again"
	}
	if rest := withoutExamples(secret); rest < minSecret/2 {
		return "is made of the words of examples"
	}
	if n := surprises(secret); n < 20 {
		return "follows a simple pattern"
	}
	return ""
}

// period is the least p for which the secret repeats itself every p bytes.
func period(secret []byte) int {
	for p := 1; p < len(secret); p++ {
		if bytes.Equal(secret[p:], secret[:len(secret)-p]) {
			return p
		}
	}
	return len(secret)
}

// withoutExamples is the number of letters and digits that do not belong to an
// example word, words taken from the left and the longest first.
func withoutExamples(secret []byte) int {
	text, rest := strings.ToLower(string(secret)), 0
	for len(text) > 0 {
		word := ""
		for _, w := range exampleWords {
			if len(w) > len(word) && strings.HasPrefix(text, w) {
				word = w
			}
		}
		if word != "" {
			text = text[len(word):]
			continue
		}
		if !strings.ContainsRune("-_ .,:;!?<>[]{}()/'\"=+*#$%&@~", rune(text[0])) {
			rest++
		}
		text = text[1:]
	}
	return rest
}

// surprises counts the bytes that cannot be told from what stands before them:
// neither the step of before once more (aaaa, 1234, fedc) nor a pair of bytes
// that was seen already.
func surprises(secret []byte) int {
	n := 0
	pairs := map[[2]byte]bool{}
	for i := 1; i < len(secret); i++ {
		pair := [2]byte{secret[i-1], secret[i]}
		step := secret[i] - secret[i-1]
		if !pairs[pair] && (i < 2 || step != secret[i-1]-secret[i-2]) {
			n++
		}
		pairs[pair] = true
	}
	return n
}

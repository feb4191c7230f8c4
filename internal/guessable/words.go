package guessable

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxSpare is how many digits and signs may stand around words: a date has
	// eight, and eight that mean nothing begin to be a password of their own.
	maxSpare = 8
	// minWord is the length of the least part of a name that counts by itself;
	// shorter ones spell too much.
	minWord = 3
	// minNumber is the length of the least number that counts as a word.
	minNumber = 6
)

// MadeOf reports whether password is made of texts and nothing else: once their
// words are taken away, in any order and as often as they come, there is no
// letter left, and no more than 8 digits and signs. The words of a text are its
// parts of 3 letters and digits or more, and all of it, with and without what
// separates the parts. White space, case, accents and the forms of a letter make
// no difference. A password that merely contains a word is not made of it.
func MadeOf(password []byte, texts ...string) bool {
	p := fold(string(password))
	words := wordsOf(texts)
	// The least number of digits and signs that are left of the first i
	// characters: in bare, when no word was taken away, and in made, when some
	// were. A letter that is left is never forgiven.
	const never = 1 << 20
	bare, made := make([]int, len(p)+1), make([]int, len(p)+1)
	made[0] = never
	for i := 1; i <= len(p); i++ {
		bare[i], made[i] = never, never
		if !isLetter(p[i-1]) {
			bare[i], made[i] = bare[i-1]+1, made[i-1]+1
		}
		for _, w := range words {
			if begin := i - len(w); begin >= 0 && slices.Equal(p[begin:i], w) {
				made[i] = min(made[i], bare[begin], made[begin])
			}
		}
	}
	return made[len(p)] <= maxSpare
}

// wordsOf is what of the texts counts as a word.
func wordsOf(texts []string) [][]rune {
	var words [][]rune
	add := func(s string, least int) {
		w := []rune(s)
		if !strings.ContainsFunc(s, isLetter) {
			least = max(least, minNumber)
		}
		if len(w) >= least && !slices.ContainsFunc(words, func(known []rune) bool { return slices.Equal(known, w) }) {
			words = append(words, w)
		}
	}
	not := func(is func(rune) bool) func(rune) bool { return func(r rune) bool { return !is(r) } }
	for _, t := range texts {
		s := string(fold(t))
		parts := strings.FieldsFunc(foldSpaced(t), not(isWordly))
		add(s, 1)
		add(strings.Join(parts, ""), 1)
		for _, part := range parts {
			add(part, minWord)
			for letters := range strings.FieldsFuncSeq(part, not(isLetter)) {
				add(letters, minWord)
			}
		}
	}
	return words
}

// foldSpaced is one form for all that differs in case, in the form of a letter or
// in its accents alone: José writes jose into a password.
func foldSpaced(s string) string {
	folded := norm.NFKD.String(cases.Fold().String(norm.NFKD.String(s)))
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, folded)
}

// fold is foldSpaced without white space.
func fold(s string) []rune {
	var out []rune
	for _, r := range foldSpaced(s) {
		if !unicode.IsSpace(r) {
			out = append(out, r)
		}
	}
	return out
}

// isLetter also takes the marks that belong to one.
func isLetter(r rune) bool { return unicode.In(r, unicode.L, unicode.M) }

func isWordly(r rune) bool { return isLetter(r) || unicode.IsDigit(r) }

package guessable

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMadeOf(t *testing.T) {
	texts := []string{"ann.smith42@example.co.uk", "ann.smith42", "example.co.uk", "Ann Ó Brian-Smith", "The Gate House", "login.gate.example"}
	for _, p := range []string{
		"ann.smith42@example.co.uk", "ANN.SMITH42@EXAMPLE.CO.UK", "annsmith42", "smithsmith", "SmithSmith!", "Smith1980", "19800229smith", "!!smith!!", "s m i t h",
		"annobriansmith", "Ann Ó Brian-Smith", "brian & smith", "ann+smith=gate", "gatehouse", "The Gate House 2026", "gate1house2", "examplecouk", "ｓｍｉｔｈ1234",
		"example.example.", "smith42smith42", "GATEHOUSE123!", "smith12345678",
	} {
		if !MadeOf([]byte(p), texts...) {
			t.Errorf("%q is not told to be made of %q", p, texts)
		}
	}
	for _, p := range []string{
		"", "12345678", "        ", "!!!!!!!!", "smiths forge", "annabella", "my gate house is green", "correct horse battery staple", "gatehouse-xkqz",
		"smith123456789", "ann 8f3k2l9x", "smith#7%2&9!@4", "couk couk", "smlth1980", "briand", "sm\u0131th1980",
	} {
		if MadeOf([]byte(p), texts...) {
			t.Errorf("%q is told to be made of %q", p, texts)
		}
	}
	for _, c := range []struct {
		text, password string
		want           bool
	}{
		{"4917012345678", "4917012345678", true},
		{"4917012345678", "+49 170 12345678!", true},
		{"2026", "202620262026", false}, // of four digits nothing follows
		{"王伟", "王伟王伟1234", true},
		{"王伟", "王小伟12345", false},
		{"Łukasz", "łukasz1990", true},
		{"é", "ééééééééé", true},
		{"e\u0301ric", "ERIC2026", true},
		{"eric", "ÉRIC2026", true},
		{"", "whatever it is", false},
		{"   ", "whatever it is", false},
		{"a-b-c-d-e-f-g-h-i-j-k", "a-b-c-d-e-f-g-h-i-j-k", true},
	} {
		if got := MadeOf([]byte(c.password), c.text); got != c.want {
			t.Errorf("%q of %q: %v, want %v", c.password, c.text, got, c.want)
		}
	}
}

// The examples of docs/passwords.md.
func TestMadeOfAsDocumented(t *testing.T) {
	texts := []string{"ann.smith@example.com", "ann.smith", "example.com", "Ann Smith", "Gatehouse"}
	for _, p := range []string{"ann.smith", "Smith1980!", "smithsmith", "ANN SMITH 19800229", "example@smith"} {
		if !MadeOf([]byte(p), texts...) {
			t.Errorf("%q is accepted", p)
		}
	}
	for _, p := range []string{"smiths forge", "ann drives home", "anna.karenina", "my example of a password"} {
		if MadeOf([]byte(p), texts...) {
			t.Errorf("%q is refused", p)
		}
	}
}

// Whatever is put together of words and a few digits is found out, and one
// letter of something else ends it.
func TestMadeOfIsComplete(t *testing.T) {
	words := []string{"maria", "lopez", "example", "com"}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for _, w := range rapid.SliceOfN(rapid.SampledFrom(words), 1, 8).Draw(t, "words") {
			b.WriteString(w + rapid.SampledFrom([]string{"", " ", "1", "-"}).Draw(t, "between"))
		}
		p := b.String()
		if !MadeOf([]byte(p), "maria.lopez@example.com") {
			t.Fatalf("%q is not told to be made of the address", p)
		}
		at := rapid.IntRange(0, len(p)).Draw(t, "at")
		if q := p[:at] + "q" + p[at:]; MadeOf([]byte(q), "maria.lopez@example.com") {
			t.Fatalf("%q is told to be made of the address", q)
		}
	})
}

func FuzzMadeOf(f *testing.F) {
	f.Add("smith1980", "ann.smith@example.com")
	f.Add("\xff\xfe", "\xc3\x28")
	f.Add("\u0130\u0131ſß", "İıſß")
	f.Fuzz(func(t *testing.T, password, text string) {
		// A text with a letter in it is always made of itself.
		if strings.ContainsFunc(string(fold(text)), isLetter) && !MadeOf([]byte(text), text) {
			t.Errorf("%q is not told to be made of itself", text)
		}
		if MadeOf([]byte(password)) {
			t.Errorf("%q is told to be made of nothing", password)
		}
		MadeOf([]byte(password), text)
	})
}

func BenchmarkMadeOf(b *testing.B) {
	p := []byte(strings.Repeat("smith ", 42))
	texts := []string{"ann.smith@example.com", "ann.smith", "example.com", strings.Repeat("smith ", 33), "Gatehouse", "login.example.com"}
	for b.Loop() {
		MadeOf(p, texts...)
	}
}

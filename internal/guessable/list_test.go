package guessable

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCommon(t *testing.T) {
	for _, p := range []string{
		"password", "12345678", "qwertyuiop", "PassWord", "TRUSTNO1", "p@ssw0rd", "1qaz2wsx3edc4rfv", "ſunſhine", // the long s folds to s
	} {
		if !Common([]byte(p)) {
			t.Errorf("%q is not on the list", p)
		}
	}
	for _, p := range []string{
		"", "123456", "password ", " password", "passwordx", "password\x00", "correct horse battery staple",
		"pässword", "ｐａｓｓｗｏｒｄ", // other characters make another password
	} {
		if Common([]byte(p)) {
			t.Errorf("%q is on the list", p)
		}
	}
}

// The file is whole, and in the order in which it is searched.
func TestList(t *testing.T) {
	if len(list)%Width != 0 || size() != 17_950 {
		t.Fatalf("%d bytes, want 17,950 fingerprints of %d", len(list), Width)
	}
	for i := 1; i < size(); i++ {
		if at(i-1) >= at(i) {
			t.Fatalf("fingerprint %d does not follow the one before it", i)
		}
	}
}

// The search says what a map of the same fingerprints says.
func TestSearchIsExact(t *testing.T) {
	known := map[[Width]byte]bool{}
	for i := range size() {
		known[[Width]byte([]byte(at(i)))] = true
	}
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		p := []byte(rapid.StringMatching(`(pass|word|qwer|1234|asdf|love|admin|abcd){1,3}[0-9]{0,2}`).Draw(t, "password"))
		got := Common(p)
		if got {
			found++
		}
		if want := known[Fingerprint(p)]; got != want {
			t.Fatalf("Common(%q) = %v, want %v", p, got, want)
		}
	})
	if found == 0 {
		t.Error("none of the passwords was on the list, so this has shown little")
	}
}

func BenchmarkCommon(b *testing.B) {
	p := []byte("correct horse battery staple")
	for b.Loop() {
		Common(p)
	}
}

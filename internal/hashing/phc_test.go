package hashing

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// Hashes that other implementations published as what theirs compute.
var known = []struct{ name, password, hash string }{
	// The reference implementation of Argon2, src/test.c.
	{"argon2id", "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"argon2id small", "password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
	{"argon2id two lanes", "password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
	{"argon2id one pass", "password", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg"},
	{"argon2id four passes", "password", "$argon2id$v=19$m=65536,t=4,p=1$c29tZXNhbHQ$kCXUjmjvc5XMqQedpMTsOv+zyJEf5PhtGiUghW9jFyw"},

	// crypt_blowfish, wrapper.c.
	{"2a", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	{"2a with a longer password", "U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"},
	{"2a of nothing", "", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"},
	{"2a beyond 72 bytes", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
		"$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"},
	{"2a beyond 72 bytes of eight bits", strings.Repeat("\xaa", 72) + "chars after 72 are ignored as usual",
		"$2a$05$/OK.fbVrR/bpIqNJ5ianF.swQOIzjOiJ9GHEPuhEkvqrUyvWhEMx6"},
	{"2a of 72 bytes", strings.Repeat("\xaa\x55", 36), "$2a$05$/OK.fbVrR/bpIqNJ5ianF.R9xrDjiycxMbQE2bp.vgqlYpW5wx2yy"},
	{"2a with eight bits", "\xff\xa3345", "$2a$05$/OK.fbVrR/bpIqNJ5ianF.nRht2l/HRhr6zmCp9vYUvvsqynflf9e"},
	{"2b with eight bits", "\xff\xff\xa3", "$2b$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"},
	{"2y with eight bits", "\xff\xff\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"},
	{"2y with one byte", "\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"},
	{"2b of cost 4", "J8eHUDuxBB520", "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."},
}

func TestKnownHashes(t *testing.T) {
	for _, c := range known {
		t.Run(c.name, func(t *testing.T) {
			var m argon2.Memory
			defer m.Release()
			h, err := Parse(c.hash)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := h.matches(&m, []byte(c.password)); !ok || err != nil {
				t.Errorf("the password: %v, %v, want a match", ok, err)
			}
			if ok, err := h.matches(&m, []byte("x"+c.password)); ok || err != nil {
				t.Errorf("another password: %v, %v, want no match", ok, err)
			}
			if a, ok := h.function.(argon2Hash); ok && a.encode() != c.hash {
				t.Errorf("encoded as %s, want %s", a.encode(), c.hash)
			}
		})
	}
}

// A hash of the version 2x took the sign of each byte for more bytes, so that
// "\xa3" and "\xff\xff\xa3" had the same one. Such hashes are refused, and under
// the name of a later version they do not match what they were made from.
func TestBcryptSignExtension(t *testing.T) {
	const rest = "$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e" // of \xa3, as 2x
	if _, err := Parse("$2x" + rest); !errors.Is(err, ErrMalformed) {
		t.Errorf("2x: %v, want ErrMalformed", err)
	}
	var m argon2.Memory
	for _, version := range []string{"$2a", "$2b", "$2y"} {
		h, err := Parse(version + rest)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := h.matches(&m, []byte("\xa3")); ok || err != nil {
			t.Errorf("%s: %v, %v, want no match", version, ok, err)
		}
	}
}

const (
	goodArgon2id = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	goodBcrypt   = "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."
)

func TestParseRefuses(t *testing.T) {
	argon2id := func(old, fresh string) string {
		s := strings.Replace(goodArgon2id, old, fresh, 1)
		if s == goodArgon2id {
			t.Fatalf("%q is not in the hash", old)
		}
		return s
	}
	bcrypt := func(at int, fresh string) string { return goodBcrypt[:at] + fresh + goodBcrypt[at+len(fresh):] }
	for _, encoded := range []string{
		"", "$", "$$$$$", "password", "$argon2id", "$argon2id$", "$argon2id$$$$",
		"5f4dcc3b5aa765d61d8327deb882cf99", "$1$salt$hash", "$6$salt$hash", "$scrypt$ln=15,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm", "$digest-sha1$p$$hash",
		argon2id("$argon2id$", "$argon2d$"), argon2id("$argon2id$", "$ARGON2ID$"), argon2id("$argon2id$", "argon2id$"),

		// The version.
		argon2id("v=19$", ""), argon2id("v=19", "v=16"), argon2id("v=19", "v=019"), argon2id("v=19", "v=20"), argon2id("v=19", "19"), argon2id("v=19", "v="),

		// The parameters: absent, empty, doubled, moved, misspelt.
		argon2id("m=64,t=1,p=1", ""), argon2id("m=64,t=1,p=1", "m=64,t=1"), argon2id("m=64,t=1,p=1", "t=1,m=64,p=1"), argon2id("m=64,t=1,p=1", "m=64,p=1,t=1"),
		argon2id("m=64,t=1,p=1", "m=64,m=64,t=1,p=1"), argon2id("m=64,t=1,p=1", "m=64,t=1,t=1"), argon2id("p=1", "p=1,p=1"), argon2id("p=1", "p=1,"),
		argon2id("p=1", "p=1,keyid=AAAA"), argon2id("p=1", "p=1,data=AAAA"), argon2id("m=64", "M=64"), argon2id("m=64", "m=64 "), argon2id("m=64", " m=64"),
		argon2id("m=64", "m=+64"), argon2id("m=64", "m=-64"), argon2id("m=64", "m=064"), argon2id("m=64", "m=0x40"), argon2id("m=64", "m=6_4"), argon2id("m=64", "m=64.0"),
		argon2id("m=64", "m="), argon2id("m=64", "m"), argon2id("m=64", "m=6٤"), argon2id("m=64", "m=1e3"), argon2id("m=64,", "m=64;"),

		// The parameters: out of bounds.
		argon2id("m=64", "m=0"), argon2id("m=64", "m=7"), argon2id("p=1", "p=9"), argon2id("m=64", "m=262145"), argon2id("m=64", "m=4194304"),
		argon2id("m=64", "m=4294967295"), argon2id("m=64", "m=4294967296"), argon2id("m=64", "m=4294967360"), argon2id("m=64", "m=99999999999999999999"),
		argon2id("t=1", "t=0"), argon2id("t=1", "t=17"), argon2id("t=1", "t=4294967295"), argon2id("t=1", "t=4294967297"),
		argon2id("p=1", "p=0"), argon2id("p=1", "p=17"), argon2id("p=1", "p=256"), argon2id("p=1", "p=257"), argon2id("m=64,t=1,p=1", "m=0,t=0,p=0"), argon2id("m=64,t=1", "m=0,t=0"),
		argon2id("m=64,t=1,p=1", "m=262144,t=1,p=17"),

		// Salt and key: absent, too short, too long, not base64, another spelling.
		argon2id("c29tZXNhbHQ", ""), argon2id("c29tZXNhbHQ", "c29tZXNhbA"), argon2id("c29tZXNhbHQ", strings.Repeat("AAAA", 22)),
		argon2id("c29tZXNhbHQ", "c29tZXNhbHQ="), argon2id("c29tZXNhbHQ", "c29tZXNhbHR"), argon2id("c29tZXNhbHQ", "c29tZXNhbH"), argon2id("c29tZXNhbHQ", "c29tZX\nNhbHQ"),
		argon2id("c29tZXNhbHQ", "c29tZXNhbHQ\r\n"), argon2id("c29tZXNhbHQ", "c29tZXN*bHQ"), argon2id("c29tZXNhbHQ", "c29tZXNh HQ"), argon2id("c29tZXNhbHQ", "c29tZXNhbHQ-_-_"),
		argon2id("CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", ""), argon2id("CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "CTFhFdXPJO1aFaMaO6Mm"),
		argon2id("CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", strings.Repeat("AAAA", 22)), argon2id("PPc", "PPd"), argon2id("PPc", "PPc="), argon2id("ph8", "ph-"),
		goodArgon2id + "$", goodArgon2id + "\n", goodArgon2id + "\x00", goodArgon2id + " ", " " + goodArgon2id, goodArgon2id + "$" + goodArgon2id, goodArgon2id[:len(goodArgon2id)-1],
		goodArgon2id + strings.Repeat("A", 1<<20), "$argon2id$" + strings.Repeat("$", 1<<20), "$argon2id$v=19$m=" + strings.Repeat("1", 1<<20),

		// bcrypt.
		bcrypt(1, "2x"), bcrypt(1, "2z"), bcrypt(1, "2$"), bcrypt(1, "3a"), bcrypt(1, "1b"), bcrypt(1, "2B"), bcrypt(0, "x"),
		"$2$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", "$2$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk..",
		bcrypt(4, "03"), bcrypt(4, "00"), bcrypt(4, "17"), bcrypt(4, "31"), bcrypt(4, "32"), bcrypt(4, "99"), bcrypt(4, "4$"), bcrypt(4, "+4"), bcrypt(4, "-4"), bcrypt(4, " 4"), bcrypt(4, "0x"),
		bcrypt(6, "."), bcrypt(3, "."), bcrypt(7, "+"), bcrypt(10, "="), bcrypt(30, "$"), bcrypt(40, "\x00"), bcrypt(50, "\n"), bcrypt(58, "é"), bcrypt(59, "A"), bcrypt(59, "9"),
		goodBcrypt[:59], goodBcrypt + ".", goodBcrypt + "\n", " " + goodBcrypt, goodBcrypt[:28], "$2b$", "$2b$04", "$2b$04$", goodBcrypt + strings.Repeat("A", 1<<20),
	} {
		h, err := Parse(encoded)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("Parse(%.120q) = %v, %v, want ErrMalformed", encoded, h, err)
			continue
		}
		if len(encoded) > 1024 && !strings.Contains(err.Error(), "longer than 1024 bytes") {
			t.Errorf("Parse of %d bytes: %v, want that it is not looked at", len(encoded), err)
		}
		if len(err.Error()) > 120 || strings.Contains(err.Error(), "c29t") || strings.Contains(err.Error(), "VvlC") {
			t.Errorf("Parse(%.120q): the error tells of the hash: %v", encoded, err)
		}
	}
}

func TestParseBounds(t *testing.T) {
	for _, encoded := range []string{
		goodArgon2id, goodBcrypt,
		"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=262144,t=16,p=16$" + strings.Repeat("A", 86) + "$" + strings.Repeat("A", 86),
		"$2y$16$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.",
		"$2a$04$VvlCUKbTMjaxaYJ.k5juo9cpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", // bits in the salt that nobody reads
	} {
		h, err := Parse(encoded)
		if err != nil {
			t.Errorf("Parse(%q): %v", encoded, err)
		} else if a, ok := h.function.(argon2Hash); ok && a.encode() != encoded {
			t.Errorf("Parse(%q) encodes as %q", encoded, a.encode())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range known {
		f.Add(c.hash)
	}
	f.Add("$argon2id$v=19$m=0,t=0,p=0$$")
	f.Add("$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e")
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := Parse(encoded)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("Parse(%q): %v, want ErrMalformed", encoded, err)
			}
			return
		}
		checkBounds(t, encoded, h)
	})
}

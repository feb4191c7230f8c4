package hashing

import (
	"encoding/base64"
	"errors"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

const horse = "correct horse é"

// Hashes that other programs have computed, or that stand in the documents of
// their formats.
var foreignHashes = []struct{ name, password, text, kind string }{
	// PHP 8.2, password_hash.
	{"argon2i of PHP", horse, "$argon2i$v=19$m=256,t=2,p=1$WHVyRjJYMDdWbVFZUzJkcA$5nAtjkA8Y4/6YnGeBtdZ73vDM+Fi+MxqZ1S9ZS7PLm0", "argon2i m=256,t=2,p=1"},
	{"argon2id of PHP", horse, "$argon2id$v=19$m=256,t=2,p=1$OWdnOTJTNnl3c0xHblJkQQ$rt36cBgK+N8eM4Fm3L/EarCodEP7gO9i/KbNh9Hl48U", "argon2id m=256,t=2,p=1"},
	{"bcrypt of PHP", horse, "$2y$04$nXpEUVe1K7wODNnnvERCk.EWOLGLWOPt.ab1fmMaKyrrkBJkiCmDy", "bcrypt 4"},
	// The reference implementation of Argon2, src/test.c, and passlib 1.7.
	{"argon2i", "password", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "argon2i m=256,t=2,p=1"},
	{"argon2i of two lanes", horse, "$argon2i$v=19$m=256,t=2,p=2$KqVUCiEEYExpzXlPidF6Lw$DfvLpMpDsRPYv3qshyr1yg", "argon2i m=256,t=2,p=2"},

	{"scrypt of passlib", horse, "$scrypt$ln=10,r=8,p=1$EcKY8/7/f8/5v/ceY4yx9g$B3hHbIjW5wmoaPuAV7KqcODmMcba8CWKY0s5gW7NthE", "scrypt ln=10,r=8,p=1"},
	{"scrypt with N itself", horse, "$scrypt$ln=1024,r=8,p=1$EcKY8/7/f8/5v/ceY4yx9g==$B3hHbIjW5wmoaPuAV7KqcODmMcba8CWKY0s5gW7NthE=", "scrypt ln=10,r=8,p=1"},
	// Python's hashlib, put together as Django 4 does.
	{"scrypt of Django", horse, "scrypt$1024$NaClNaClNaCl$8$1$M1KWrePhdB7nPu0IT6OD/TjbhLhrmSaHOGOokqRVVffO+KK63tCMqRhvOm1Ff7+hW5EHI1dphbS4LKhbd2SRMQ==", "scrypt ln=10,r=8,p=1"},
	// Python's hashlib, put together as Better Auth does.
	{"Better Auth", "ﬁsh é", "00112233445566778899aabbccddeeff:33a6d561a5bdc98b2df6d21885499d1decc9803a9a7a5626eb0c41494aeefde8737bd356261eb6489f8dd6d6e9944aa548deb72c9bc9d4a275e6e8c4f020765f", "scrypt-nfkc ln=14,r=16,p=1"},
	// The documentation of Firebase's variant.
	{"Firebase, as Kratos has it", "user1password", "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==$Bw==$jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==", "scrypt-firebase ln=14,r=8,p=1"},
	{"Firebase, as Supabase has it", "user1password", "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC-ixf3L2lw==$lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==", "scrypt-firebase ln=14,r=8,p=1"},

	// passlib 1.7 and Django 3.2.
	{"PBKDF2 of passlib, SHA-1", horse, "$pbkdf2$1000$UirFeI/xvneO0fq/d24NQQ$Ms4ZAwxr0NqK7ogVZFekyOj2fjQ", "pbkdf2-sha1 i=1000,l=20"},
	{"PBKDF2 of passlib, SHA-256", horse, "$pbkdf2-sha256$1000$IKR0rpXyvjcGgDDG.L.XEg$p1S37VFiBGJzMW9BKNtwY1o5CVL1Sh.w1nVZpkRSils", "pbkdf2-sha256 i=1000,l=32"},
	{"PBKDF2 of passlib, SHA-512", horse, "$pbkdf2-sha512$1000$l/Kek3LuXYtxrpXy3vt/jw$DpmI4jyt83rO958jY9eN/0W/jpzmkPjchXFYOCjZGIHk/6Gn3/oA3qQ0njzgAVubmqK5peQ2jHjcFiA1lm5QKA", "pbkdf2-sha512 i=1000,l=64"},
	{"PBKDF2 with a length", horse, "$pbkdf2-sha256$i=1000,l=32$IKR0rpXyvjcGgDDG+L+XEg==$p1S37VFiBGJzMW9BKNtwY1o5CVL1Sh+w1nVZpkRSils=", "pbkdf2-sha256 i=1000,l=32"},
	{"PBKDF2 of Django", horse, "pbkdf2_sha256$1000$WMGuIYAZyWCmV91DjzGPWU$F15Hgajn/ZzCNh7jfr4aHGtTLsnMAFx9tsUCeRRx9uo=", "pbkdf2-sha256 i=1000,l=32"},
	{"PBKDF2 of Django, SHA-1", horse, "pbkdf2_sha1$1000$G9xMGZdWGWdl8hrdTA6TlQ$AAfsbqEvPCPro7tU9j+wmqGVXG4=", "pbkdf2-sha1 i=1000,l=20"},
	{"argon2 of Django", horse, "argon2$argon2id$v=19$m=256,t=1,p=1$NDVvQlM4a25pWDdkZjYwNHc2ZFlyWA$k6zhj5Jk0l5uS6SJ1lFU0Q", "argon2id m=256,t=1,p=1"},
	{"bcrypt of Django", horse, "bcrypt$$2b$04$vvSEv9WP5Tups/sDHJfsyeiBNqeqpkNbpZCPYzkVfWgfis0ciDm9O", "bcrypt 4"},
	{"bcrypt of SHA-256 of Django", horse, "bcrypt_sha256$$2b$04$caD7Q00ibKdLdwIoqOEjwOWX0NTML4A3g7DLAeJuNohezU52QTB5O", "bcrypt-sha256 4"},
	{"SHA-1 of Django", horse, "sha1$h03Z17gQFJGSIuLAuqTln1$d54f14df35339ee97e44358e46406bed99d372b7", "wrapped-sha1 m=64,t=1,p=1"},
	{"MD5 of Django", horse, "md5$9hjStkd5rTk5zA8lDBD2DF$6262d7f52b8ead613ebb600aa2053d20", "wrapped-md5 m=64,t=1,p=1"},
	{"SHA-1 of Django without a salt", horse, "sha1$$ffcc1f4541a6f2d4d206b5ab8e1423da13dee5cc", "wrapped-sha1 m=64,t=1,p=1"},

	{"PHPass", horse, "$P$6kPC9M/m3sRagw5cUu0KdP1rvUsbZi/", "phpass 8"},
	{"PHPass of phpBB", strings.Repeat("x", 100), "$H$67P3FPaTVtDA/2NimA92Lmwtud4/3b0", "phpass 8"},
	{"PHPass, the test of its author", "test12345", "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", "phpass 11"},

	// The specification of sha-crypt; openssl passwd; PHP and passlib.
	{"sha256-crypt", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "sha256-crypt 5000"},
	{"sha512-crypt", "Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "sha512-crypt 5000"},
	{"sha512-crypt, eighty bytes", strings.Repeat("y", 80), "$6$saltstring$HvwDBHY7dY8.9v5GkWFA2SkoFYa3sluDr2PLFuSFu544Yi1QgBrUNjSanXhl/WvSTmvPd3hXq//YMOR31/k4m1", "sha512-crypt 5000"},
	{"sha256-crypt, rounds", horse, "$5$rounds=2000$saltstring$T8PMsfax8vTw0oNNwv4OvtbjRXsRjf/bRfxs9/xnLu.", "sha256-crypt 2000"},
	{"sha256-crypt, no salt", horse, "$5$$OJhAyno7U1Owetr4Fn3C/bxBslXmZz6YUkDftoRuPXA", "sha256-crypt 5000"},
	{"sha512-crypt, other rounds", horse, "$6$rounds=1234$short$luK3j4vqBmuBOcs.56SNvCimBz9RG0Ax9dYlYY/MefpMUH3R92KQWScdnadCbEPP5BMS1VOkpeK7HTQxjdW850", "sha512-crypt 1234"},
	{"sha256-crypt of nothing", "", "$5$rounds=1000$FFpnZnj9Dd8wmRle$RLraDB6VlXXcyObS.WZh/ryKBOLgLFHj.88I30dlL21", "sha256-crypt 1000"},
	{"sha256-crypt of much", strings.Repeat("x", 300), "$5$rounds=1000$6z4EGZkmKXdRU0MO$HO2pzwIkij./gg1CJ5grvGLb5OBb6lASx4hOs/JfdV6", "sha256-crypt 1000"},
	{"sha512-crypt of much", strings.Repeat("x", 300), "$6$rounds=1234$short$TshYbQxWio.4KX31FSU7sNzG21EstvX5T.fmDyQl6l84OvVDRwz00QOCobVTwhDOV4ivf7T/sjJwR0JzSVYwV0", "sha512-crypt 1234"},
	{"sha512-crypt of LDAP", horse, "{CRYPT}$6$rounds=1234$short$luK3j4vqBmuBOcs.56SNvCimBz9RG0Ax9dYlYY/MefpMUH3R92KQWScdnadCbEPP5BMS1VOkpeK7HTQxjdW850", "sha512-crypt 1234"},

	// Python's hashlib: the salt "pepper" before it, in hex, and behind it, in base64.
	{"MD5, salt first", horse, "$md5$pf=e1NBTFR9e1BBU1NXT1JEfQ==$cGVwcGVy$25ccb8d8aabea7418c6651751a8c3801", "wrapped-md5 m=64,t=1,p=1"},
	{"MD5, salt last", horse, "$md5$pf=e1BBU1NXT1JEfXtTQUxUfQ==$cGVwcGVy$hjcG2y2qNZEblVNwjnCjkg==", "wrapped-md5 m=64,t=1,p=1"},
	{"MD5 alone", horse, "$md5$99d4eaa3c4a60dc3228acb823b8924be", "wrapped-md5 m=64,t=1,p=1"},
	{"SHA-1, salt first", horse, "$sha1$pf=e1NBTFR9e1BBU1NXT1JEfQ==$cGVwcGVy$abd03b851ef6ce85ad34cf33f28cc569847b9b6b", "wrapped-sha1 m=64,t=1,p=1"},
	{"SHA-1, salt last", horse, "$sha1$pf=e1BBU1NXT1JEfXtTQUxUfQ==$cGVwcGVy$cvwTkyZEsnnXUg92Dsfifr64Flc=", "wrapped-sha1 m=64,t=1,p=1"},
	{"SHA-256, salt first", horse, "$sha256$pf=e1NBTFR9e1BBU1NXT1JEfQ==$cGVwcGVy$482b58ca3888beeeb5fd20f7751d427d4e401c8c34e67797ae8889f5b4bd4127", "wrapped-sha256 m=64,t=1,p=1"},
	{"SHA-256, salt last", horse, "$digest-sha256$ps$cGVwcGVy$v/SVffA03z3QqY+iRp+Pv7iTphHAWKFJe7EKt4uSfKI", "wrapped-sha256 m=64,t=1,p=1"},
	{"SHA-512, salt first", horse, "$sha512$pf=e1NBTFR9e1BBU1NXT1JEfQ==$cGVwcGVy$3fa2fd8878c31017598f30eeec48c40f386f2508dd3f31a6848007709a28addecdbe0ed835d804d70e97d9df9b0054ffc61c034ed1ff2d075768f2a2397f8014", "wrapped-sha512 m=64,t=1,p=1"},
	{"SSHA of LDAP", horse, "{SSHA}" + ssha, "wrapped-sha1 m=64,t=1,p=1"},
}

var ssha = func() string {
	b, err := base64.StdEncoding.DecodeString("cvwTkyZEsnnXUg92Dsfifr64Flc=")
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(append(b, "pepper"...))
}()

// storedForms is one hash of each kind as it is stored.
func storedForms(t testing.TB, p *Pool) map[Kind]string {
	t.Helper()
	stored := map[Kind]string{}
	for _, c := range foreignHashes {
		encoded, err := Foreign(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if IsDigest(encoded) {
			if encoded, err = p.Wrap(t.Context(), nobody, encoded); err != nil {
				t.Errorf("%s: wrap: %v", c.name, err)
				continue
			}
		}
		stored[Kind(c.kind)] = encoded
	}
	return stored
}

func TestForeignHashes(t *testing.T) {
	t.Cleanup(debug.FreeOSMemory) // other tests look at the heap
	p := newPool(t, Config{Params: small, Workers: 1})
	for _, c := range foreignHashes {
		t.Run(c.name, func(t *testing.T) {
			encoded, err := Foreign(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := Foreign(encoded); again != encoded || err != nil {
				t.Errorf("%s is read as %s, %v", encoded, again, err)
			}
			if IsDigest(encoded) {
				if _, err := Parse(encoded); !errors.Is(err, ErrMalformed) {
					t.Errorf("a digest can be stored as it is: %v", err)
				}
				digest := encoded[strings.LastIndex(encoded, "$")+1:]
				if encoded, err = p.Wrap(t.Context(), nobody, encoded); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(encoded, digest) {
					t.Errorf("the digest is in %s", encoded)
				}
			}
			if k, err := KindOf(encoded); k != Kind(c.kind) || err != nil {
				t.Errorf("kind %q, %v, want %q", k, err, c.kind)
			}
			ok, rehash, err := p.Verify(t.Context(), nobody, encoded, []byte(c.password))
			if !ok || !rehash || err != nil {
				t.Errorf("the password: %v, %v, %v, want a match that is due for a new hash", ok, rehash, err)
			}
			for _, other := range []string{"x" + c.password, c.password + "x", strings.ToUpper(c.password) + " ", ""} {
				if ok, _, err := p.Verify(t.Context(), nobody, encoded, []byte(other)); (ok || err != nil) && other != c.password {
					t.Errorf("%.20q: %v, %v, want no match", other, ok, err)
				}
			}
		})
	}
}

// Devise puts a constant behind the password, and bcrypt cuts both at 72 bytes.
func TestPepper(t *testing.T) {
	p := newPool(t, Config{Params: small, Workers: 1})
	// Of "J8eHUDuxBB520", the last four of which are taken for the pepper.
	encoded, err := WithPepper(goodBcrypt, []byte("B520"))
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"J8eHUDuxB": true, "J8eHUDuxBB520": false, "J8eHUDux": false} {
		if ok, rehash, err := p.Verify(t.Context(), nobody, encoded, []byte(password)); ok != want || !rehash || err != nil {
			t.Errorf("%s: %v, %v, %v, want %v", password, ok, rehash, err, want)
		}
	}
	for _, c := range []struct{ encoded, pepper string }{{goodBcrypt, ""}, {goodBcrypt, strings.Repeat("x", 257)}, {goodArgon2id, "x"}, {"$2b$", "x"}, {"", "x"}} {
		if _, err := WithPepper(c.encoded, []byte(c.pepper)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q with a pepper of %d: %v", c.encoded, len(c.pepper), err)
		}
	}
}

// bcrypt in C ends a password at the first NUL. Ours does not, so that what
// stands behind it counts.
func TestBcryptNUL(t *testing.T) {
	p := newPool(t, Config{Params: small, Workers: 1})
	if ok, _, err := p.Verify(t.Context(), nobody, goodBcrypt, []byte("J8eHUDuxBB520\x00x")); ok || err != nil {
		t.Errorf("with a NUL: %v, %v, want no match", ok, err)
	}
}

// Every kind has decoys that cost what a hash of it costs, and that nobody's
// password leads to.
func TestForeignKinds(t *testing.T) {
	t.Cleanup(debug.FreeOSMemory)
	p := newPool(t, Config{Params: small, Workers: 1})
	stored := storedForms(t, p)
	stored["bcrypt-pepper 4"], _ = WithPepper(goodBcrypt, []byte("pepper"))
	for _, k := range slices.Sorted(maps.Keys(stored)) {
		h, err := Parse(stored[k])
		if err != nil {
			t.Fatal(err)
		}
		if h.kind() != k {
			t.Errorf("%s is %q, want %q", stored[k], h.kind(), k)
		}
		d, err := k.decoy()
		if err != nil {
			t.Errorf("%s: %v", k, err)
			continue
		}
		for _, length := range []int{0, 12, 1024} {
			if d.kind() != k || d.memory() != h.memory() {
				t.Errorf("a decoy for %s is %s, of %d KiB, want %d", k, d.kind(), d.memory(), h.memory())
			}
			if one, other := d.work(length), h.work(length); one < other*9/10 || one > other*11/10 {
				t.Errorf("a decoy for %s takes %d, the hash %d", k, one, other)
			}
		}
		before := p.Stats().Done
		if err := p.Waste(t.Context(), nobody, k, []byte("password")); err != nil || p.Stats().Done != before+1 {
			t.Errorf("Waste(%s): %v", k, err)
		}
	}
	if len(stored) != 24 {
		t.Errorf("%d kinds only", len(stored))
	}
}

func TestForeignRefuses(t *testing.T) {
	k32, s16 := strings.Repeat("A", 43), strings.Repeat("A", 22)
	for _, text := range []string{
		"", "$", "$$", "x", "hunter2", "!", "*", "5f4dcc3b5aa765d61d8327deb882cf99", "{", "{}", "{X}AAAA", "{CRYPT}", "{CRYPT}ab01FAX.bQRSU", "{SSHA}AAAA", "{SHA}AAAA",
		"{SHA}" + strings.Repeat("A", 32), "{MD5}" + strings.Repeat("A", 27), // not as long as the digest
		"sha1$salt$AAAA", "sha1$salt", "sha1$salt$a$b", "md5$salt$d54f14df35339ee97e44358e46406bed99d372b7", "crypt$$ab01FAX.bQRSU",
		"argon2$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", "bcrypt$$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"bcrypt_sha256$$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "bcrypt_sha256$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.",
		"$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", "bcrypt$$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
		"$argon2i$v=16$m=64,t=1,p=1$" + s16 + "$" + k32, "$argon2d$v=19$m=64,t=1,p=1$" + s16 + "$" + k32,

		// Bombs.
		"$scrypt$ln=21,r=8,p=1$" + s16 + "$" + k32, "$scrypt$ln=20,r=8,p=1$" + s16 + "$" + k32, "$scrypt$ln=14,r=64,p=64$" + s16 + "$" + k32,
		"$scrypt$ln=14,r=65,p=1$" + s16 + "$" + k32, "$scrypt$ln=4294967295,r=8,p=1$" + s16 + "$" + k32, "$scrypt$ln=0,r=8,p=1$" + s16 + "$" + k32,
		"$scrypt$ln=14,r=0,p=1$" + s16 + "$" + k32, "$scrypt$ln=14,r=8,p=0$" + s16 + "$" + k32, "$scrypt$ln=14,r=4294967295,p=4294967295$" + s16 + "$" + k32,
		"$scrypt$ln=2147483648,r=8,p=1$" + s16 + "$" + k32, "$scrypt$ln=1000,r=8,p=1$" + s16 + "$" + k32,
		"scrypt$16385$salt$8$1$" + k32, "scrypt$0$salt$8$1$" + k32, "scrypt$1$salt$8$1$" + k32, "scrypt$-1$salt$8$1$" + k32, "scrypt$16384$$8$1$" + k32, "scrypt$16384$salt$8$" + k32,
		"pbkdf2_sha256$0$salt$" + k32, "pbkdf2_sha256$5000001$salt$" + k32, "pbkdf2_sha256$4294967296$salt$" + k32, "pbkdf2_sha256$-1$salt$" + k32, "pbkdf2_sha256$01$salt$" + k32,
		"pbkdf2_sha256$1000$$" + k32, "pbkdf2_sha256$1000$salt$", "pbkdf2_sha224$1000$salt$" + k32, "pbkdf2_$1000$salt$" + k32, "pbkdf2_sha256$1000$" + strings.Repeat("s", 129) + "$" + k32,
		"$pbkdf2-sha1$i=2000000$" + s16 + "$" + strings.Repeat("A", 86), // four blocks
		"$pbkdf2-sha256$i=1000,l=33$" + s16 + "$" + k32, "$pbkdf2-sha256$i=1000,l=$" + s16 + "$" + k32, "$pbkdf2-sha256$1000$" + s16 + "$" + k32 + "=", "$pbkdf2-sha256$1000$+" + s16[1:] + "$" + k32,
		"$P$", "$P$5kPC9M/m3sRagw5cUu0KdP1rvUsbZi", "$P$4kPC9M/m3sRagw5cUu0KdP1rvUsbZi/", "$P$JkPC9M/m3sRagw5cUu0KdP1rvUsbZi/", "$P$zkPC9M/m3sRagw5cUu0KdP1rvUsbZi/",
		"$P$6kPC9M/m=sRagw5cUu0KdP1rvUsbZi/", "$P$6kPC9M/m3sRagw5cUu0KdP1rvUsbZ=/", "$P$6kPC9M/m3sRagw5cUu0KdP1rvUsbZiz", "$P$!kPC9M/m3sRagw5cUu0KdP1rvUsbZi/",
		"$5$rounds=999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "$5$rounds=1000001$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
		"$5$rounds=01000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "$5$rounds=$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
		"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEcz", "$5$saltstring12345678$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
		"$5$salt\x00$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8$", "$6$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
		"$1$salt$hash", "$7$salt", "$S$D", "$y$j9T$salt$hash",

		"00112233445566778899aabbccddeeff:33", "00112233445566778899AABBCCDDEEFF:" + strings.Repeat("00", 64), "x:y", ":",
		"$firescrypt$ln=14,r=8,p=1$AAAA$" + k32 + "$Bw==", "$firescrypt$ln=14,r=8,p=1$AAAA$" + k32 + "$Bw==$AAAA", "$firescrypt$ln=21,r=8,p=1$AAAA$" + k32 + "$Bw==$" + k32,
		"$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk=" + k32 + "$AAAA$" + k32, "$fbscrypt$v=1,n=14,r=8,p=1$AAAA$" + k32, "$fbscrypt$v=1,n=14,r=8,p=1,sk=" + k32 + ",ss=Bw==$AAAA$" + k32,
		"$sha1$pf=AAAA$AAAA$d54f14df35339ee97e44358e46406bed99d372b7", "$sha1$e1NBTFR9e1BBU1NXT1JEfQ==$AAAA$d54f14df35339ee97e44358e46406bed99d372b7", "$sha1$d54f14df35339ee97e44358e46406bed99d372b7",
		"$digest-sha1$p$AAAA$" + strings.Repeat("A", 27), "$digest-sha1$sp$$" + strings.Repeat("A", 27), "$digest-sha1$x$AAAA$" + strings.Repeat("A", 27), "$digest-sha1$p$$AAAA", "$digest-sha224$p$$" + strings.Repeat("A", 27), "$digest-$p$$", "$digest-",
		"$wrapped-sha1$sp$$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + k32, "$wrapped-sha1$p$AAAA$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + k32, "$wrapped-sha1$sp$AAAA$v=19$m=999999,t=1,p=1$c29tZXNhbHQ$" + k32, "$wrapped-sha1$sp$AAAA",
		"$bcrypt-pepper$$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", "$bcrypt-pepper$AAAA$2x$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", "$bcrypt-pepper$AAAA", "$bcrypt-sha256$2b$17$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.",
		strings.Repeat("$", 1024), strings.Repeat("A", 1<<20), "$scrypt$" + strings.Repeat("$", 900),
	} {
		encoded, err := Foreign(text)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("Foreign(%.150q) = %.150q, %v, want ErrMalformed", text, encoded, err)
		} else if len(err.Error()) > 120 || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("Foreign(%.150q): the error tells of the hash: %v", text, err)
		}
	}
}

// worstWork is what a stored hash may take: some five seconds.
const worstWork = 20_000_000

// checkBounds holds what Parse has let pass to what every stored hash has to be.
func checkBounds(t *testing.T, encoded string, h Hash) {
	t.Helper()
	if a, ok := h.function.(argon2Hash); ok && a.encode() != encoded {
		t.Fatalf("Parse(%q) encodes as %q: two spellings of one hash", encoded, a.encode())
	}
	if w, ok := h.function.(wrapped); ok && w.encode() != encoded {
		t.Fatalf("Parse(%q) encodes as %q: two spellings of one hash", encoded, w.encode())
	}
	if h.memory() < 0 || h.memory() > 256<<10 {
		t.Fatalf("Parse(%q) takes %d KiB", encoded, h.memory())
	}
	if w := h.work(1024); w < 0 || w > worstWork {
		t.Fatalf("Parse(%q) takes %d units", encoded, w)
	}
	d, err := h.kind().decoy()
	if err != nil || d.kind() != h.kind() || d.memory() != h.memory() || d.Algorithm() != h.Algorithm() {
		t.Fatalf("Parse(%q): a decoy is %v, %v", encoded, d, err)
	}
}

// The worst that may be stored is what the bounds say.
func TestWorst(t *testing.T) {
	k64 := strings.Repeat("A", 86)
	for _, encoded := range []string{
		"$argon2i$v=19$m=262144,t=16,p=16$" + k64 + "$" + k64, "$2b$16$" + goodBcrypt[7:], "$scrypt$ln=15,r=64,p=4$AAAA$" + k64, "$scrypt-nfkc$ln=18,r=8,p=4$AAAA$" + k64,
		"$pbkdf2-sha512$i=5000000$AAAA$" + k64, "$pbkdf2-sha1$i=1250000$AAAA$" + k64, "$P$IkPC9M/m3sRagw5cUu0KdP1rvUsbZi/",
		"$6$rounds=1000000$$" + strings.Repeat("z", 85) + ".", "$5$rounds=1000000$" + strings.Repeat("s", 16) + "$" + strings.Repeat("z", 42) + ".",
	} {
		h, err := Parse(encoded)
		if err != nil {
			t.Errorf("%s: %v", encoded, err)
			continue
		}
		checkBounds(t, encoded, h)
	}
}

func FuzzForeign(f *testing.F) {
	for _, c := range foreignHashes {
		f.Add(c.text)
	}
	f.Add("$bcrypt-pepper$AAAA" + goodBcrypt)
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := Foreign(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("Foreign(%q): %v, want ErrMalformed", text, err)
			}
			return
		}
		if again, err := Foreign(encoded); again != encoded || err != nil {
			t.Fatalf("Foreign(%q) = %q, which is read as %q, %v", text, encoded, again, err)
		}
		h, err := Parse(encoded)
		if IsDigest(encoded) {
			if err == nil {
				t.Fatalf("Foreign(%q) = %q, a digest that can be stored", text, encoded)
			}
			return
		}
		if err != nil {
			t.Fatalf("Foreign(%q) = %q: %v", text, encoded, err)
		}
		checkBounds(t, encoded, h)
	})
}

// BenchmarkForeign is what the units of work stand on: ns/unit should be about
// the same for all, 250 or, without AVX2, 800.
func BenchmarkForeign(b *testing.B) {
	p, err := New(Config{Params: small, Workers: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	stored := storedForms(b, p)
	for _, k := range slices.Sorted(maps.Keys(stored)) {
		h, err := Parse(stored[k])
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(k), func(b *testing.B) {
			var m argon2.Memory
			defer m.Release()
			for b.Loop() {
				if _, err := h.matches(&m, []byte("password")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(h.work(8)), "ns/unit")
		})
	}
}

// What the budget has no room for is told apart before anybody has to log in.
func TestImport(t *testing.T) {
	p := newPool(t, Config{Params: small, MemoryBudget: 1 << 10})
	for text, want := range map[string]error{
		goodArgon2id: nil, goodBcrypt: nil, "x": ErrMalformed,
		"$scrypt$ln=10,r=8,p=1$AAAA$" + strings.Repeat("A", 43): nil, "$scrypt$ln=11,r=8,p=1$AAAA$" + strings.Repeat("A", 43): ErrTooLarge,
	} {
		if _, k, err := p.Import(text); !errors.Is(err, want) || (k == "") != (want != nil) {
			t.Errorf("Import(%s) = %q, %v, want %v", text, k, err, want)
		}
	}
	encoded, k, err := p.Import("{SSHA}" + ssha)
	if err != nil || k != "wrapped-sha1 m=64,t=1,p=1" || !IsDigest(encoded) {
		t.Errorf("a digest: %s, %q, %v", encoded, k, err)
	}
	hash, err := p.Wrap(t.Context(), nobody, encoded)
	if is, kerr := KindOf(hash); is != k || err != nil || kerr != nil {
		t.Errorf("wrapped it is %q, %v, %v, want %q", is, err, kerr, k)
	}
}

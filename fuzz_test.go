package gatehouse_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

// Of all strings only the token itself refreshes.
func FuzzRefreshToken(f *testing.F) {
	a := gatehousetest.New(f, gatehouse.Config{Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))})
	a.Register(ann)
	l := a.Login(ann)
	for _, seed := range []string{
		"", "x", l.RefreshToken, l.RefreshToken + "=", l.RefreshToken[:74], strings.Repeat("A", 75), l.AccessToken,
		refreshTokenOf(f, strings.Repeat("s", 32), "gatehouse/refresh-token/1", [16]byte{1}, 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := base64.RawURLEncoding.DecodeString(token); err == nil && len(got) == 56 &&
			refreshTokenOf(t, strings.Repeat("s", 32), "gatehouse/refresh-token/1", [16]byte(got), 1) == token {
			return // a token of ours, which the fuzzer was given
		}
		_, err := a.Refresh(t.Context(), token)
		if !errors.Is(err, gatehouse.Unauthenticated) {
			t.Errorf("%q: err = %v, want Unauthenticated", token, err)
		}
		if err := a.Logout(t.Context(), "", token); err != nil {
			t.Errorf("%q: logout: %v", token, err)
		}
		works(t, "after "+token, a, l)
	})
}

// Of all strings only the token itself authenticates.
func FuzzAccessToken(f *testing.F) {
	secret := []byte(strings.Repeat("h", 32))
	a := gatehousetest.New(f, gatehouse.Config{Algorithm: gatehouse.HS256, HS256Secret: gatehouse.NewSecret(secret)})
	a.Register(ann)
	l := a.Login(ann)
	parts := strings.Split(l.AccessToken, ".")
	for _, seed := range []string{
		"", "..", "a.b.c", l.AccessToken, l.AccessToken + "=", parts[0] + "." + parts[1] + ".", strings.Repeat(".", 5000),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", parts[0] + "." + parts[1] + "\n." + parts[2],
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"at+jwt","kid":{}}`)) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, err := a.Authenticate(t.Context(), token)
		if token == l.AccessToken {
			if err != nil {
				t.Errorf("the token itself: %v", err)
			}
			return
		}
		if !errors.Is(err, gatehouse.Unauthenticated) {
			t.Errorf("%q: err = %v, want Unauthenticated", token, err)
		}
	})
}

// A name is refused, or kept in a form that is accepted again as it is.
func FuzzName(f *testing.F) {
	a := gatehousetest.New(f, gatehouse.Config{})
	u := a.Register(ann)
	for _, seed := range []string{"", "Ann", " Ann ", "José", "Jose\u0301", "a\u202eb", "\x00", "\xff", "\u2028", strings.Repeat("é", 201), strings.Repeat("e\u0301", 200), "👩‍👩‍👧"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := a.ChangeName(t.Context(), u.ID, name)
		if err != nil {
			if !errors.Is(err, gatehouse.Invalid) {
				t.Errorf("%q: err = %v, want Invalid", name, err)
			}
			return
		}
		kept := got.Name
		if !utf8.ValidString(kept) || utf8.RuneCountInString(kept) > 200 || !norm.NFC.IsNormalString(kept) ||
			kept != strings.TrimSpace(kept) || strings.ContainsAny(kept, "\x00\r\n\t\x1b\u202e\u2066\u2028") {
			t.Errorf("%q is kept as %q", name, kept)
		}
		again, err := a.ChangeName(t.Context(), u.ID, kept)
		if err != nil || again.Name != kept {
			t.Errorf("%q, kept as %q, becomes %q, %v", name, kept, again.Name, err)
		}
	})
}

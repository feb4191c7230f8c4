package gatehouse_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// known reports whether a device token gives guesses a lane of their own.
func known(t testing.TB, a *gatehousetest.Auth, email, device string) bool {
	t.Helper()
	trace := &gatehouse.Trace{}
	ctx := gatehouse.WithClient(t.Context(), gatehouse.Client{Address: "203.0.113.7", Trace: trace})
	_, err := a.Gatehouse.Login(ctx, gatehouse.PasswordLogin{Email: email, Password: "wrong horse", Device: device})
	refused(t, "a wrong password", err, gatehouse.Unauthenticated, "invalid_credentials")
	return trace.Budget().Lane == "login-device"
}

func TestDeviceToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
		a := gatehousetest.New(t, gatehouse.Config{Secret: secret})
		login := func(email, device string) string {
			return must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: email, Password: password, Device: device}))(t).DeviceToken
		}
		a.Register(ann)
		token := login(ann, "")
		if !known(t, a, ann, token) || !known(t, a, "ANN@Example.com", token) {
			t.Error("the device is not known")
		}
		if known(t, a, "bob@example.com", token) || known(t, a, ann, "") {
			t.Error("a device is known that is not")
		}
		if strings.Contains(token, "ann") || len(token) > 250 {
			t.Errorf("the token says more than it should: %s", token)
		}
		// A family on one browser: the last eight are known.
		for i := range 10 {
			email := fmt.Sprintf("user%d@example.com", i)
			a.Register(email)
			token = login(email, token)
		}
		for i, want := range map[int]bool{1: false, 2: true, 9: true} {
			if got := known(t, a, fmt.Sprintf("user%d@example.com", i), token); got != want {
				t.Errorf("user %d of ten is known: %v, want %v", i, got, want)
			}
		}
		if len(token) > 250 {
			t.Errorf("a token of %d bytes", len(token))
		}
		// Another secret is another house; the secret of before is not.
		b := gatehousetest.New(t, gatehouse.Config{Secret: gatehouse.NewSecret([]byte(strings.Repeat("x", 32)))})
		if known(t, b, "user9@example.com", token) {
			t.Error("a token of another secret is accepted")
		}
		c := gatehousetest.New(t, gatehouse.Config{
			Secret: gatehouse.NewSecret([]byte(strings.Repeat("y", 32))), PreviousSecrets: []gatehouse.Secret{secret},
		})
		if !known(t, c, "user9@example.com", token) {
			t.Error("a token of the previous secret is refused")
		}
		for _, x := range []*gatehousetest.Auth{a, b, c} {
			if err := x.Close(); err != nil { // nobody sweeps for a year
				t.Fatal(err)
			}
		}
		time.Sleep(399 * 24 * time.Hour)
		a = gatehousetest.New(t, gatehouse.Config{Secret: secret})
		if !known(t, a, "user9@example.com", token) {
			t.Error("refused before its time")
		}
		time.Sleep(2 * 24 * time.Hour)
		if known(t, a, "user9@example.com", token) {
			t.Error("accepted after its time")
		}
	})
}

// Whatever comes as a device token is a stranger's, if it is not ours to the bit.
func TestForgedDeviceToken(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{Limits: gatehouse.Limits{
		LoginUser: gatehouse.Limit{Burst: 10_000, Every: time.Second}, LoginUserSource: gatehouse.Limit{Burst: 10_000, Every: time.Second},
		LoginSource: gatehouse.Limit{Burst: 10_000, Every: time.Second},
	}})
	a.Register(ann)
	token := a.Login(ann)
	device := must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password}))(t).DeviceToken
	raw, err := base64.RawURLEncoding.DecodeString(device)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	forged := []string{
		"x", "AA", token.RefreshToken, token.AccessToken, device + "A", device + "\n", device[:len(device)-1], encode(raw[:32]), encode(raw[:20]),
		encode(make([]byte, len(raw))), encode(append([]byte{2}, raw[1:]...)), strings.Repeat("A", 5000),
	}
	for i := range raw {
		b := append([]byte{}, raw...)
		b[i] ^= 1
		forged = append(forged, encode(b))
	}
	for _, f := range forged {
		if known(t, a, ann, f) {
			t.Errorf("accepted: %q", f)
		}
	}
}

// mailbox is a mailer that can fail.
type mailbox struct {
	mu   sync.Mutex
	fail int
	got  []gatehouse.Notice
	ids  []string
}

func (m *mailbox) Send(_ context.Context, n gatehouse.Notice) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids = append(m.ids, n.ID)
	if m.fail > 0 {
		m.fail--
		return context.DeadlineExceeded
	}
	m.got = append(m.got, n)
	return nil
}

func (m *mailbox) kinds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, n := range m.got {
		list = append(list, n.Kind)
	}
	return list
}

// With less of addresses in events, what can still be known is.
func TestUnfamiliarLoginWithLessOfAddresses(t *testing.T) {
	for detail, want := range map[gatehouse.AddressDetail]string{
		gatehouse.AddressFull: "network", gatehouse.AddressNetwork: "network", gatehouse.AddressNone: "",
	} {
		a := gatehousetest.New(t, gatehouse.Config{EventAddresses: detail})
		a.Register(ann)
		device := ""
		for _, address := range []string{"203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8:1::1", "203.0.99.1"} {
			l := must(a.Gatehouse.Login(from(t, address), gatehouse.PasswordLogin{Email: ann, Password: password, Device: device}))(t)
			device = l.DeviceToken
		}
		var got strings.Builder
		for _, e := range events(t, a, gatehouse.EventUnfamiliarLogin) {
			got.WriteString(e.Data["new"])
		}
		if got.String() != want {
			t.Errorf("with %s: %q is new, want %q, once", detail, got.String(), want)
		}
	}
}

func TestUnfamiliarLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail := &mailbox{}
		a := gatehousetest.New(t, gatehouse.Config{Mailer: mail})
		a.Register(ann)
		device := ""
		login := func(address string, with bool) *gatehouse.Event {
			t.Helper()
			before := len(events(t, a, gatehouse.EventUnfamiliarLogin))
			in := gatehouse.PasswordLogin{Email: ann, Password: password}
			if with {
				in.Device = device
			}
			l := must(a.Gatehouse.Login(from(t, address), in))(t)
			device = l.DeviceToken
			time.Sleep(8 * time.Hour) // past the limit of notices
			if list := events(t, a, gatehouse.EventUnfamiliarLogin); len(list) > before {
				return list[0]
			}
			return nil
		}
		for _, c := range []struct {
			what    string
			address string
			device  bool
			want    string
		}{
			{"the first login of all", "203.0.113.7", false, ""},
			{"the same again", "203.0.113.7", true, ""},
			{"another lease of the same provider", "203.0.99.1", true, ""},
			{"somewhere else", "198.51.100.1", true, "network"},
			{"there again", "198.51.100.2", true, ""},
			{"a new device", "203.0.113.7", false, "device"},
			{"a new device somewhere else", "2001:db8::1", false, "device network"},
			{"the next network of the same provider", "2001:db8:ffff::1", true, ""},
		} {
			e := login(c.address, c.device)
			if c.want == "" && e != nil || c.want != "" && (e == nil || e.Data["new"] != c.want) {
				t.Errorf("%s: event %+v, want new = %q", c.what, e, c.want)
			}
		}
		synctest.Wait()
		if got := mail.kinds(); len(got) != 3 || got[0] != gatehouse.NoticeUnfamiliarLogin {
			t.Errorf("notices: %v, want three", got)
		}
		if n := mail.got[0]; n.User.Email != ann || n.Address != "198.51.100.1" || n.ID == "" || n.At.IsZero() {
			t.Errorf("notice: %+v", n)
		}
		// Many guesses do not make what was familiar forgotten.
		try(t, a, 30, ann, "", many)
		try(t, a, 30, ann, device, many)
		time.Sleep(10 * time.Hour)
		if e := login("203.0.113.7", true); e != nil {
			t.Errorf("after many guesses the owner is unfamiliar: %+v", e)
		}
	})
}

func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail := &mailbox{fail: 3}
		a := gatehousetest.New(t, gatehouse.Config{Mailer: mail})
		a.Register(ann)
		l := must(a.Authenticate(t.Context(), a.Login(ann).AccessToken))(t)
		must(a.ChangePassword(t.Context(), l, password, "another horse"))(t)
		time.Sleep(29 * time.Second)
		if got := mail.kinds(); len(got) != 0 {
			t.Errorf("sent %v, though it failed", got)
		}
		time.Sleep(10 * time.Minute)
		if got := mail.kinds(); len(got) != 1 || got[0] != gatehouse.NoticePasswordChanged {
			t.Errorf("notices: %v, want the one, once", got)
		}
		for _, id := range mail.ids {
			if id != mail.ids[0] {
				t.Errorf("another try has another id: %v", mail.ids)
			}
		}
		// Of a kind there are a few, so that nobody can be buried in mail.
		for range 20 {
			l := must(a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: "another horse"}))(t)
			token := l.RefreshToken
			must(a.Refresh(t.Context(), token))(t)
			time.Sleep(time.Minute)
			_, err := a.Refresh(t.Context(), token)
			refused(t, "a token of before", err, gatehouse.Unauthenticated, "invalid_refresh_token")
		}
		time.Sleep(time.Minute)
		if got := mail.kinds(); len(got) != 1+3 || got[3] != gatehouse.NoticeRefreshReused {
			t.Errorf("notices: %v, want three of the stolen tokens", got)
		}
	})
}

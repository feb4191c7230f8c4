package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// from is the context of a request from an address.
func from(t testing.TB, address string) context.Context {
	return gatehouse.WithClient(t.Context(), gatehouse.Client{Address: address, UserAgent: "Test", Trace: &gatehouse.Trace{}})
}

// tries logs in so often from each address in turn, and says what came of it.
type tries struct{ wrong, limited int }

func try(t testing.TB, a *gatehousetest.Auth, n int, email, device string, address func(int) string) tries {
	t.Helper()
	var got tries
	for i := range n {
		_, err := a.Gatehouse.Login(from(t, address(i)), gatehouse.PasswordLogin{Email: email, Password: "wrong horse", Device: device})
		switch {
		case errors.Is(err, gatehouse.Limited):
			got.limited++
			if e, _ := errors.AsType[*gatehouse.Error](err); e.RetryAfter <= 0 || e.Code != "too_many_attempts" {
				t.Fatalf("refused with %+v", e)
			}
		case errors.Is(err, gatehouse.Unauthenticated):
			got.wrong++
		default:
			t.Fatal(err)
		}
	}
	return got
}

func one(address string) func(int) string { return func(int) string { return address } }

// many is a source of its own for every try.
func many(i int) string { return fmt.Sprintf("198.51.%d.%d", i/256, i%256) }

func TestGuessingIsLimited(t *testing.T) {
	for _, c := range []struct {
		what    string
		address func(int) string
		want    int
	}{
		{"one address", one("203.0.113.7"), 10},
		{"the addresses of one IPv6 network", func(i int) string { return fmt.Sprintf("2001:db8:1:2::%x", i+1) }, 10},
		{"one address in two families", func(i int) string { return []string{"203.0.113.7", "::ffff:203.0.113.7"}[i%2] }, 10},
		{"as many addresses as tries", many, 20},
		{"as many IPv6 networks as tries", func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i+1) }, 20},
	} {
		for _, email := range []string{ann, "nobody@example.com"} {
			t.Run(c.what+", "+email, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := gatehousetest.New(t, gatehouse.Config{})
					a.Register(ann)
					if got := try(t, a, 50, email, "", c.address); got.wrong != c.want {
						t.Errorf("%d of 50 guesses were looked at, want %d", got.wrong, c.want)
					}
					// Spelled otherwise it is the same user.
					if got := try(t, a, 5, "ANN@Example.com", "", c.address); email == ann && got.wrong != 0 {
						t.Errorf("%d guesses more for another spelling of the address", got.wrong)
					}
				})
			})
		}
	}
}

// NIST SP 800-63B-4, 3.2.2: no more than 100 in thirty days, however patient and
// from wherever. Five days are tried, and the rest is the same rate.
func TestGuessesInThirtyDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		guesses := 0
		for i := range 5 * 24 * 2 {
			guesses += try(t, a, 3, ann, "", func(j int) string { return many(3*i + j) }).wrong
			time.Sleep(30 * time.Minute)
		}
		usual := gatehouse.Limit{Burst: 20, Every: 10 * time.Hour}
		if want := usual.Within(5 * 24 * time.Hour); guesses > want || guesses < want-1 {
			t.Errorf("%d guesses in five days, want the %d that the limit allows", guesses, want)
		}
		if n := usual.Within(30 * 24 * time.Hour); n > 100 {
			t.Errorf("the limit allows %d guesses in thirty days, want at most 100", n)
		}
	})
}

// The limit is no weapon: strangers use up all there is, and the owner gets in at
// the first try on a device that was used before. So do others behind the same
// address, and nobody's session ends.
func TestTheVictimGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		a.Register("bob@example.com")
		const home = "192.0.2.1"
		login := func(email, device string) (*gatehouse.Login, error) {
			return a.Gatehouse.Login(from(t, home), gatehouse.PasswordLogin{Email: email, Password: password, Device: device})
		}
		l := must(login(ann, ""))(t)
		try(t, a, 200, ann, "", many)
		try(t, a, 200, ann, "", one(home))
		_, err := login(ann, "")
		refused(t, "a new device", err, gatehouse.Limited, "too_many_attempts")
		again := must(login(ann, l.DeviceToken))(t)
		works(t, "the session of before", a, l)
		must(login("bob@example.com", ""))(t)
		// The device is Ann's, and no help against others.
		try(t, a, 100, "bob@example.com", again.DeviceToken, many)
		_, err = login("bob@example.com", again.DeviceToken)
		refused(t, "a device that Bob never used", err, gatehouse.Limited, "too_many_attempts")
		// A new device waits, and gets in.
		time.Sleep(11 * time.Hour)
		must(login(ann, ""))(t)
	})
}

// A stolen device token buys a few guesses more, and no stranger's are left then.
func TestStolenDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		device := must(a.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t).DeviceToken
		if got := try(t, a, 100, ann, device, many); got.wrong != 10+20 {
			t.Errorf("%d guesses with a stolen device token, want its 10 and the 20 of strangers", got.wrong)
		}
		guesses := 0
		for i := range 3 * 24 {
			time.Sleep(time.Hour)
			guesses += try(t, a, 3, ann, device, func(j int) string { return many(1000 + 3*i + j) }).wrong
		}
		if guesses > 9+7 {
			t.Errorf("%d guesses in the three days after, want at most 9 of the device and 7 of strangers", guesses)
		}
	})
}

// Who logs in rightly uses up nothing.
func TestSuccessIsGivenBack(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	a.Register(ann)
	for range 50 {
		must(a.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
	}
	// But it forgives nobody else's failures.
	try(t, a, 5, ann, "", many)
	must(a.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
	if got := try(t, a, 50, ann, "", func(i int) string { return many(i + 100) }); got.wrong != 15 {
		t.Errorf("%d guesses after 5 and a login of the owner, want 15", got.wrong)
	}
}

// awayStore cannot be read for a while.
type awayStore struct {
	gatehouse.Store
	away atomic.Bool
}

func (s *awayStore) UserByEmail(ctx context.Context, key string) (*gatehouse.User, error) {
	if s.away.Load() {
		return nil, fmt.Errorf("away: %w", gatehouse.ErrUnavailable)
	}
	return s.Store.UserByEmail(ctx, key)
}

// A fault of ours uses up nothing.
func TestFaultsAreGivenBack(t *testing.T) {
	store := &awayStore{Store: memory.New()}
	a := gatehousetest.New(t, gatehouse.Config{Store: store})
	a.Register(ann)
	store.away.Store(true)
	for range 30 {
		_, err := a.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password})
		refused(t, "while the store is away", err, gatehouse.Unavailable, "unavailable")
	}
	store.away.Store(false)
	must(a.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
}

// One source cannot try one password with everybody, nor fill the store.
func TestSourceIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		wrong := 0
		for i := range 200 {
			wrong += try(t, a, 1, fmt.Sprintf("user%d@example.com", i), "", one("203.0.113.7")).wrong
		}
		if wrong != 100 {
			t.Errorf("%d users tried from one address, want 100", wrong)
		}
		if got := try(t, a, 1, ann, "", one("203.0.113.8")); got.wrong != 1 {
			t.Error("the neighbour is refused as well")
		}
		registered := 0
		for i := range 80 {
			_, err := a.Gatehouse.Register(from(t, "203.0.113.7"), gatehouse.Registration{Email: fmt.Sprintf("new%d@example.com", i), Password: password})
			if err == nil {
				registered++
			} else if !errors.Is(err, gatehouse.Limited) {
				t.Fatal(err)
			}
		}
		if registered != 60 {
			t.Errorf("%d registrations from one address, want 60", registered)
		}
		time.Sleep(time.Minute)
		must(a.Gatehouse.Register(from(t, "203.0.113.7"), gatehouse.Registration{Email: "later@example.com", Password: password}))(t)
	})
}

// Whoever took over a session cannot guess the password in it.
func TestReauthenticationIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		l, other := a.Login(ann), a.Login(ann)
		wrong := 0
		for range 10 {
			_, err := a.Reauthenticate(from(t, "203.0.113.7"), l, "wrong horse")
			_, err2 := a.ChangePassword(from(t, "203.0.113.8"), l, "wrong horse", "another horse")
			for _, e := range []error{err, err2} {
				if errors.Is(e, gatehouse.Forbidden) {
					wrong++
				} else if !errors.Is(e, gatehouse.Limited) {
					t.Fatal(e)
				}
			}
		}
		if wrong != 10 {
			t.Errorf("%d guesses in one session, want 10", wrong)
		}
		must(a.Reauthenticate(from(t, "203.0.113.7"), other, password))(t)
		time.Sleep(8 * time.Hour)
		must(a.Reauthenticate(from(t, "203.0.113.7"), l, password))(t)
	})
}

func TestRotationIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		a.Register(ann)
		token, n := a.Login(ann).RefreshToken, 0
		for range 200 {
			l, err := a.Refresh(from(t, "203.0.113.7"), token)
			if err != nil {
				refused(t, "rotation", err, gatehouse.Limited, "too_many_attempts")
				break
			}
			token, n = l.RefreshToken, n+1
		}
		if n != 120 {
			t.Errorf("%d rotations at once, want 120", n)
		}
		time.Sleep(500 * time.Millisecond)
		must(a.Refresh(from(t, "203.0.113.7"), token))(t) // nobody was logged out by it
	})
}

func TestChangesAreLimited(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{})
	u := a.Register(ann)
	changed := 0
	for i := range 100 {
		if _, err := a.ChangeName(from(t, "203.0.113.7"), u.ID, fmt.Sprint(i)); err == nil {
			changed++
		}
	}
	if changed != 60 {
		t.Errorf("%d changes of name at once, want 60", changed)
	}
}

// The log says that a limit has begun to refuse, whom it is about, and not each
// time that it does.
func TestLimitedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		u := a.Register(ann)
		try(t, a, 500, ann, "", many)
		try(t, a, 500, ann, "", one("203.0.113.7"))
		list := events(t, a, gatehouse.EventLimited)
		if len(list) != 1 || list[0].UserID != u.ID || list[0].Data["lane"] != "login-user" || list[0].Data["act"] != "login" || list[0].Outcome != "too_many_attempts" {
			t.Errorf("events: %+v, want one for the lane of the user", list)
		}
		if n := len(events(t, a, gatehouse.EventLogin)); n != 20 {
			t.Errorf("%d events of logins, want those of the 20 guesses that were looked at", n)
		}
	})
}

// A store that cannot take the event lets nobody through.
func TestLimitsFailClosed(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{Limiter: brokenLimiter{}})
	a.Register(ann)
	_, err := a.Gatehouse.Login(from(t, "203.0.113.7"), gatehouse.PasswordLogin{Email: ann, Password: password})
	refused(t, "a limiter that is away", err, gatehouse.Unavailable, "unavailable")
}

type brokenLimiter struct{}

func (brokenLimiter) Take(context.Context, []gatehouse.Claim) ([]gatehouse.Booking, error) {
	return nil, fmt.Errorf("limiter: %w", gatehouse.ErrUnavailable)
}
func (brokenLimiter) Give(context.Context, []gatehouse.Claim) error { return nil }

func TestLimitsOff(t *testing.T) {
	a := gatehousetest.New(t, gatehouse.Config{Limits: gatehouse.Limits{Off: true}})
	a.Register(ann)
	if got := try(t, a, 150, ann, "", one("203.0.113.7")); got.wrong != 150 {
		t.Errorf("%d of 150 guesses with limits off", got.wrong)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	_, err := gatehouse.New(gatehouse.Config{
		Store: gatehousetest.New(t, gatehouse.Config{}).Store, Secret: gatehouse.NewSecret(make([]byte, 32)),
		Limits: gatehouse.Limits{LoginUser: gatehouse.Limit{Burst: -1, Every: time.Hour}, Register: gatehouse.Limit{Burst: 5}},
	})
	for _, want := range []string{"login-user", "register"} {
		if err == nil || !contains(err.Error(), want) {
			t.Errorf("err = %v, want it to name %s", err, want)
		}
	}
}

// A restart, or a crash after a minute, gives nobody another burst; nor does
// another process, after two.
func TestLimitsOutliveTheProcess(t *testing.T) {
	for _, how := range []string{"closed", "killed", "another process"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := twoProcesses(t)
				here.Register(ann)
				device := must(here.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t).DeviceToken
				try(t, here, 50, ann, "", many)
				try(t, here, 50, ann, device, many)
				next := there
				switch how {
				case "closed":
					if err := here.Close(); err != nil {
						t.Fatal(err)
					}
					fallthrough
				case "killed":
					if how == "killed" {
						time.Sleep(61 * time.Second)
					}
					next = gatehousetest.New(t, gatehouse.Config{Store: here.Store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))})
				case "another process":
					time.Sleep(2*time.Minute + time.Second)
				}
				if got := try(t, next, 50, ann, "", many); got.wrong != 0 {
					t.Errorf("%d more guesses of strangers", got.wrong)
				}
				if got := try(t, next, 50, ann, device, many); got.wrong != 0 {
					t.Errorf("%d more guesses of a device", got.wrong)
				}
				if got := try(t, next, 1, "bob@example.com", "", many); got.wrong != 1 {
					t.Error("others are refused as well")
				}
				// And it wears off as it would have.
				time.Sleep(10*time.Hour + 2*time.Minute)
				must(next.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
			})
		})
	}
}

// Logins that are under way when somebody looks are not told to others, so what
// is given back afterwards does not come back.
func TestGivenBackStaysGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := twoProcesses(t)
		here.Register(ann)
		for range 200 { // at the very moment at which both look
			time.Sleep(time.Minute)
			must(here.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
			must(there.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
		}
	})
}

// What cannot be read is no reason not to start.
func TestKeptLimitsAreDamaged(t *testing.T) {
	for _, value := range []string{"", "{", `{"login-user":"AAAA"}`, `{"login-user":"` + strings.Repeat("/", 64) + `"}`, `{"x":""}`} {
		store := memory.New()
		if err := store.SaveSetting(t.Context(), &gatehouse.Setting{Name: "limits", Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		a := gatehousetest.New(t, gatehouse.Config{Store: store})
		a.Register(ann)
		must(a.Gatehouse.Login(from(t, "192.0.2.1"), gatehouse.PasswordLogin{Email: ann, Password: password}))(t)
	}
}

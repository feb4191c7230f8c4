package gatehouse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

const (
	grace      = 30 * time.Second
	inactivity = 10 * time.Minute
	lifetime   = 40 * time.Minute
)

// move is one step of a story. The stories are drawn first and told in a bubble
// afterwards, so that a failing one can be made smaller.
type move struct {
	What    string
	Process int           // of two on one store
	Lost    bool          // the answer never arrives
	Back    int           // which generation before the newest is replayed
	Tabs    int           // how many refresh at once
	Wait    time.Duration // before it
}

func moves(what ...string) *rapid.Generator[[]move] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) move {
		return move{
			What:    rapid.SampledFrom(what).Draw(t, "what"),
			Process: rapid.IntRange(0, 1).Draw(t, "process"),
			Lost:    rapid.Bool().Draw(t, "lost"),
			Back:    rapid.IntRange(0, 4).Draw(t, "back"),
			Tabs:    rapid.IntRange(1, 5).Draw(t, "tabs"),
			Wait: rapid.OneOf(
				rapid.Just(time.Duration(0)),
				rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, grace - time.Millisecond, grace, grace + time.Millisecond}),
				rapid.Map(rapid.IntRange(0, 70_000), func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }),
				rapid.SampledFrom([]time.Duration{5 * time.Minute, inactivity - time.Millisecond, inactivity}),
			).Draw(t, "wait"),
		}
	}), 1, 25)
}

// rotation is what a session should be, in the simplest words.
type rotation struct {
	generation int
	rotated    time.Time
	inactive   time.Time
	ends       time.Time
	dead       bool
}

// present is what should happen to whoever presents a generation: the
// generation that is answered with, or 0.
func (r *rotation) present(generation int) int {
	t := time.Now()
	if r.dead || !t.Before(r.inactive) || !t.Before(r.ends) {
		r.dead = true
		return 0
	}
	switch {
	case generation == r.generation:
		r.generation++
		r.rotated, r.inactive = t, t.Add(inactivity)
	case generation == r.generation-1 && t.Sub(r.rotated) <= grace:
	default:
		r.dead = true
		return 0
	}
	return r.generation
}

// stage is the real thing beside the model of it.
type stage struct {
	processes []*gatehousetest.Auth
	login     *gatehouse.Login
	model     rotation
	tokens    map[int]string // every refresh token there was, by generation
	access    []string       // every access token there was
}

func newStage(t *testing.T) *stage {
	cfg := gatehouse.Config{
		Store: memory.New(), Secret: gatehouse.NewSecret([]byte(strings.Repeat("s", 32))),
		AccessTokenLifetime: 5 * time.Minute, RotationGrace: grace, InactivityTimeout: inactivity, MaximumLifetime: lifetime,
	}
	s := &stage{processes: []*gatehousetest.Auth{gatehousetest.New(t, cfg), gatehousetest.New(t, cfg)}}
	s.processes[0].Register(ann)
	s.login = s.processes[0].Login(ann)
	t0 := time.Now()
	s.model = rotation{generation: 1, rotated: t0, inactive: t0.Add(inactivity), ends: t0.Add(lifetime)}
	s.tokens = map[int]string{1: s.login.RefreshToken}
	s.access = []string{s.login.AccessToken}
	return s
}

// present presents a generation to one of the processes, and compares.
func (s *stage) present(t *testing.T, process, generation int) (answered int, err error) {
	want := s.model.present(generation)
	l, err := s.processes[process].Refresh(t.Context(), s.tokens[generation])
	switch {
	case want == 0 && err == nil:
		return 0, fmt.Errorf("generation %d was answered with %d, want a refusal", generation, l.Session.Generation)
	case want == 0 && !errors.Is(err, gatehouse.Unauthenticated):
		return 0, fmt.Errorf("generation %d: %w, want Unauthenticated", generation, err)
	case want == 0:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("generation %d: %w, want generation %d", generation, err, want)
	case l.Session.Generation != int64(want):
		return 0, fmt.Errorf("generation %d was answered with %d, want %d", generation, l.Session.Generation, want)
	}
	if known, ok := s.tokens[want]; ok && known != l.RefreshToken {
		return 0, fmt.Errorf("generation %d has two tokens", want)
	}
	s.tokens[want] = l.RefreshToken
	s.access = append(s.access, l.AccessToken)
	return want, nil
}

// buried holds that of a session that is over nothing is good for anything.
func (s *stage) buried(t *testing.T) error {
	time.Sleep(time.Second) // until the other process has heard of it
	for i, p := range s.processes {
		for generation, token := range s.tokens {
			if _, err := p.Refresh(t.Context(), token); !errors.Is(err, gatehouse.Unauthenticated) {
				return fmt.Errorf("generation %d of a session that is over, process %d: err = %v", generation, i, err)
			}
		}
		for _, token := range s.access {
			if _, err := p.Authenticate(t.Context(), token); !errors.Is(err, gatehouse.Unauthenticated) {
				return fmt.Errorf("an access token of a session that is over, process %d: err = %v", i, err)
			}
		}
		if live, err := p.Sessions(t.Context(), s.login.User.ID); err != nil || len(live) != 0 {
			return fmt.Errorf("%d live sessions, %v; want none", len(live), err)
		}
	}
	return nil
}

// inBubble tells a story in a bubble of its own.
func inBubble(t *testing.T, rt *rapid.T, story func(*testing.T) error) {
	var err error
	synctest.Test(t, func(t *testing.T) { err = story(t) })
	if err != nil {
		rt.Fatal(err)
	}
}

// Whatever tabs, lost answers, thieves and the clock do: the session is what the
// model says, in both processes; a replay of an older generation ends it for
// everybody; and once it is over, it stays over.
func TestRotationModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := moves("tab", "tab", "tab", "steal", "thief", "replay", "logout").Draw(rt, "script")
		inBubble(t, rt, func(t *testing.T) error {
			s := newStage(t)
			jar, loot := 1, 1
			for i, m := range script {
				time.Sleep(m.Wait)
				var err error
				var got int
				switch m.What {
				case "tab":
					if got, err = s.present(t, m.Process, jar); got != 0 && !m.Lost {
						jar = got
					}
				case "steal":
					loot = jar
				case "thief":
					if got, err = s.present(t, m.Process, loot); got != 0 && !m.Lost {
						loot = got
					}
				case "replay":
					_, err = s.present(t, m.Process, max(1, s.model.generation-m.Back))
				case "logout":
					if m.Lost && m.Back == 0 { // rarely: it is the end of the story
						err = s.processes[m.Process].Logout(t.Context(), "", s.tokens[jar])
						s.model.dead = true
					}
				}
				if err != nil {
					return fmt.Errorf("move %d, %s: %w", i, m.What, err)
				}
				if s.model.dead {
					if err := s.buried(t); err != nil {
						return fmt.Errorf("after move %d, %s: %w", i, m.What, err)
					}
				}
			}
			return nil
		})
	})
}

// An honest browser is never thrown out: any number of tabs at once, with any
// number of answers lost, as long as one asks again within the grace.
func TestHonestTabsStay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := moves("tabs").Draw(rt, "script")
		inBubble(t, rt, func(t *testing.T) error {
			s := newStage(t)
			jar := 1
			for i, m := range script {
				wait := min(m.Wait, time.Until(s.model.inactive)-time.Millisecond)
				if jar < s.model.generation { // an answer was lost: ask again in time
					wait = min(wait, time.Until(s.model.rotated.Add(grace)))
				}
				if !time.Now().Add(wait).Before(s.model.ends) {
					return nil
				}
				time.Sleep(wait)
				sent := jar
				for tab := range m.Tabs {
					got, err := s.present(t, (m.Process+tab)%2, sent)
					if err != nil {
						return fmt.Errorf("move %d, tab %d: %w", i, tab, err)
					}
					if got == 0 {
						return fmt.Errorf("move %d, tab %d: an honest tab was thrown out", i, tab)
					}
					if !m.Lost || tab%2 == 1 {
						jar = got
					}
				}
			}
			return nil
		})
	})
}

// 64 browsers of twenty tabs each. The access token expires, and all tabs come
// with the refresh token that the jar held; the slowest is just within the
// grace. Some answers are lost.
func TestManyTabs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gatehousetest.New(t, gatehouse.Config{})
		const browsers, tabs, rounds = 64, 20, 5
		var all sync.WaitGroup
		for i := range browsers {
			all.Go(func() {
				u := a.Register(fmt.Sprintf("user%d@example.com", i))
				first := a.Login(u.Email)
				var mu sync.Mutex
				jar, access := first.RefreshToken, first.AccessToken
				for round := range rounds {
					time.Sleep(16 * time.Minute)
					if _, err := a.Authenticate(t.Context(), access); !errors.Is(err, gatehouse.Unauthenticated) {
						t.Errorf("browser %d, round %d: the access token of 16 minutes: err = %v", i, round, err)
						return
					}
					sent := jar
					refresh := func(tab int, lost bool) {
						l, err := a.Refresh(t.Context(), sent)
						if err != nil {
							t.Errorf("browser %d, round %d, tab %d was logged out: %v", i, round, tab, err)
							return
						}
						if !lost {
							mu.Lock()
							jar, access = l.RefreshToken, l.AccessToken
							mu.Unlock()
						}
					}
					var browser sync.WaitGroup
					for tab := range tabs {
						browser.Go(func() {
							time.Sleep(rand.N(grace))
							refresh(tab, rand.IntN(3) == 0)
						})
					}
					browser.Wait()
					if jar == sent { // every answer was lost
						refresh(tabs, false)
					}
				}
				rows, err := a.Store.SessionsOf(t.Context(), u.ID)
				if err != nil || len(rows) != 1 || rows[0].Generation != rounds+1 {
					t.Errorf("browser %d: %d sessions, %v; want one, of generation %d", i, len(rows), err, rounds+1)
				}
			})
		}
		all.Wait()
		if n := len(events(t, a, gatehouse.EventRefreshReused)); n != 0 {
			t.Errorf("%d sessions were taken for stolen", n)
		}
	})
}

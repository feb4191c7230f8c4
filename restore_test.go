package gatehouse_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// past is a store, what it held when the backup was made, and what became of it.
type past struct {
	secret  gatehouse.Secret
	backup  *gatehouse.Records
	kept    *gatehouse.Login // its session was there then, and still is
	ended   *gatehouse.Login // its session was there then, and was ended since
	younger *gatehouse.Login // it began since
	session *gatehouse.Session
	key     string // that signed
}

// livedOn makes a backup of a store in which one session is ended after that, the
// epoch rises, and another session begins.
func livedOn(t *testing.T) past {
	store := memory.New()
	p := past{secret: gatehouse.NewSecret([]byte("a master secret of at least 32 bytes, please"))}
	a := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: p.secret})
	u := a.Register(ann)
	p.kept, p.ended = a.Login(ann), a.Login(ann)
	for _, err := range []error{
		store.CreateChallenge(t.Context(), &gatehouse.Challenge{ID: "c1", Kind: "magic-link"}),
		store.CreateTask(t.Context(), &gatehouse.Task{ID: "t1", Kind: "notice", DueAt: time.Now().AddDate(0, 0, 1)}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	p.backup = everything(t, store)
	for _, k := range must(a.Keys(t.Context()))(t) {
		if k.State == gatehouse.KeyCurrent {
			p.key = k.ID
		}
	}
	time.Sleep(time.Minute)
	if err := a.Logout(t.Context(), p.ended.AccessToken, ""); err != nil {
		t.Fatal(err)
	}
	if err := a.TerminateSessions(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	p.younger = a.Login(ann)
	p.session = must(store.Session(t.Context(), p.younger.Session.ID))(t)
	time.Sleep(time.Minute)
	return p
}

func everything(t *testing.T, m gatehouse.Mover) *gatehouse.Records {
	t.Helper()
	all := &gatehouse.Records{}
	err := m.Walk(t.Context(), func(r *gatehouse.Records) error {
		all.Users, all.Sessions, all.Challenges = append(all.Users, r.Users...), append(all.Sessions, r.Sessions...), append(all.Challenges, r.Challenges...)
		all.Events, all.Settings, all.Tasks = append(all.Events, r.Events...), append(all.Settings, r.Settings...), append(all.Tasks, r.Tasks...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// restored is a Gatehouse on the backup. The session that began since is there as
// well, as it would be where sessions have a store of their own.
func (p past) restored(t *testing.T, r gatehouse.Restoration, way func(t *testing.T, s *memory.Store, r gatehouse.Restoration)) *gatehousetest.Auth {
	store := memory.New()
	r.At = time.Now()
	way(t, store, r)
	loadAll(t, store, &gatehouse.Records{Sessions: []*gatehouse.Session{p.session}})
	return gatehousetest.New(t, gatehouse.Config{Store: store, Secret: p.secret})
}

func loadAll(t *testing.T, m gatehouse.Mover, r *gatehouse.Records) {
	t.Helper()
	if taken, err := m.Load(t.Context(), r); err != nil || taken.Len() > 0 {
		t.Fatalf("%d taken, err = %v", taken.Len(), err)
	}
}

// ways of restoring.
func (p past) ways() map[string]func(t *testing.T, s *memory.Store, r gatehouse.Restoration) {
	return map[string]func(t *testing.T, s *memory.Store, r gatehouse.Restoration){
		"archive": func(t *testing.T, s *memory.Store, r gatehouse.Restoration) {
			if err := r.Note(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			loadAll(t, s, r.Records(p.backup))
		},
		"native": func(t *testing.T, s *memory.Store, r gatehouse.Restoration) {
			loadAll(t, s, p.backup)
			if _, err := r.Apply(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestWhatWasEndedSinceTheBackupStaysEnded(t *testing.T) {
	for _, way := range []string{"archive", "native"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := livedOn(t)
				a := p.restored(t, gatehouse.Restoration{From: way, Keep: gatehouse.KeepNothing}, p.ways()[way])
				for round := range 2 {
					ended(t, "a session of the backup", a, p.kept)
					ended(t, "a session that was ended since", a, p.ended)
					ended(t, "a session that began since", a, p.younger)
					if round == 0 { // the epoch rises again, as it had when that one began
						if err := a.TerminateSessions(t.Context(), p.younger.User.ID); err != nil {
							t.Fatal(err)
						}
					}
				}
				if _, err := a.Store.TakeChallenge(t.Context(), "c1"); !errors.Is(err, gatehouse.ErrNotFound) {
					t.Errorf("a proof of the backup: err = %v, want ErrNotFound", err)
				}
				if _, err := a.Store.ClaimTask(t.Context(), []string{"notice"}, time.Now().AddDate(0, 0, 2), time.Now().AddDate(0, 0, 3)); !errors.Is(err, gatehouse.ErrNotFound) {
					t.Errorf("a mail of the backup: err = %v, want ErrNotFound", err)
				}
				works(t, "a new login", a, a.Login(ann))
				if keys := must(a.Keys(t.Context()))(t); slices.ContainsFunc(keys, func(k gatehouse.Key) bool { return k.ID == p.key }) || len(keys) != 2 {
					t.Errorf("keys %v, want two that are new", keys)
				}
				p.onRecord(t, a, way, "nothing")
			})
		})
	}
}

func TestSessionsOfTheBackupCanBeKept(t *testing.T) {
	for _, way := range []string{"archive", "native"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := livedOn(t)
				a := p.restored(t, gatehouse.Restoration{From: way, Keep: gatehouse.KeepSessions}, p.ways()[way])
				works(t, "a session of the backup", a, p.kept)
				works(t, "a session that was ended since: that is the price", a, p.ended)
				ended(t, "a session that began since", a, p.younger)
				if _, err := a.Store.TakeChallenge(t.Context(), "c1"); !errors.Is(err, gatehouse.ErrNotFound) {
					t.Errorf("a proof of the backup: err = %v, want ErrNotFound", err)
				}
				if keys := must(a.Keys(t.Context()))(t); !slices.ContainsFunc(keys, func(k gatehouse.Key) bool { return k.ID == p.key }) {
					t.Errorf("keys %v, want %s among them", keys, p.key)
				}
				if err := a.TerminateSessions(t.Context(), p.younger.User.ID); err != nil {
					t.Fatal(err)
				}
				ended(t, "a session of the backup, terminated", a, p.kept)
				ended(t, "a session that began since, after the epoch rose", a, p.younger)
				p.onRecord(t, a, way, "sessions")
			})
		})
	}
}

func TestEverythingCanBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := livedOn(t)
		a := p.restored(t, gatehouse.Restoration{From: "archive", Keep: gatehouse.KeepAll}, p.ways()["archive"])
		works(t, "a session of the backup", a, p.kept)
		if _, err := a.Store.TakeChallenge(t.Context(), "c1"); err != nil {
			t.Errorf("a proof of the backup: %v", err)
		}
		p.onRecord(t, a, "archive", "all")
	})
}

// onRecord expects one event, however often the store is opened, and no fault in
// the chains.
func (p past) onRecord(t *testing.T, a *gatehousetest.Auth, from, keep string) {
	t.Helper()
	again := gatehousetest.New(t, gatehouse.Config{Store: a.Store, Secret: p.secret})
	list := events(t, again, gatehouse.EventRestored)
	if len(list) != 1 || list[0].Data["from"] != from || list[0].Data["keep"] != keep || list[0].Data["at"] == "" || list[0].ActorID != "operator" {
		t.Fatalf("events %v, want one from %s that keeps %s", list, from, keep)
	}
	audit := gatehouse.NewAudit(p.secret)
	for e, err := range again.WalkEvents(t.Context(), gatehouse.EventQuery{Limit: 1000}) {
		if err != nil {
			t.Fatal(err)
		}
		audit.Add(e)
	}
	if r := audit.Report(time.Now()); len(r.Problems) > 0 || len(r.Chains) < 2 {
		t.Errorf("%d chains, problems %v", len(r.Chains), r.Problems)
	}
}

// What cannot be put on record is no reason to go on without.
func TestARestorationThatIsNotOnRecordStopsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		if err := (gatehouse.Restoration{At: time.Now(), From: "backup", Keep: gatehouse.KeepNothing}).Note(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		secret := gatehouse.NewSecret([]byte("a master secret of at least 32 bytes, please"))
		away := errors.New("no more events")
		if _, err := gatehouse.New(gatehouse.Config{Store: mute{store, away}, Secret: secret}); !errors.Is(err, away) {
			t.Fatalf("err = %v, want %v", err, away)
		}
		a := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
		if n := len(events(t, a, gatehouse.EventRestored)); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

// mute takes no events.
type mute struct {
	gatehouse.Store
	err error
}

func (m mute) AppendEvent(context.Context, *gatehouse.Event) error { return m.err }

// Who applies it again after a crash does no harm, and another restoration is
// another event.
func TestARestorationCanBeAppliedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := livedOn(t)
		a := p.restored(t, gatehouse.Restoration{From: "native", Keep: gatehouse.KeepNothing}, p.ways()["native"])
		l := a.Login(ann)
		r := gatehouse.Restoration{At: time.Now(), From: "native", Keep: gatehouse.KeepNothing}
		if _, err := r.Apply(t.Context(), a.Store); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		ended(t, "a session of before", a, l)
		under := must(gatehouse.RestorationUnderWay(t.Context(), a.Store))(t)
		if under == nil || !under.At.Equal(r.At.Truncate(time.Millisecond)) || under.Keep != r.Keep || under.From != r.From {
			t.Fatalf("under way: %v, want %v", under, r)
		}
		again := gatehousetest.New(t, gatehouse.Config{Store: a.Store, Secret: p.secret})
		if n := len(events(t, again, gatehouse.EventRestored)); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
		if under := must(gatehouse.RestorationUnderWay(t.Context(), a.Store))(t); under != nil {
			t.Errorf("still under way: %v", under)
		}
	})
}

// pulled breaks when users have been saved so many times.
type pulled struct {
	*memory.Store
	left atomic.Int64
}

var errPulled = errors.New("the plug was pulled")

func (p *pulled) SaveUser(ctx context.Context, u *gatehouse.User) error {
	if p.left.Add(-1) < 0 {
		return errPulled
	}
	return p.Store.SaveUser(ctx, u)
}

// Sessions are kept in spite of an interruption, but for those of the users in hand
// at that moment, and none comes back that was void.
func TestKeepingSessionsIsInterrupted(t *testing.T) {
	const users, inHand = 200, 32
	for cut := range 10 {
		s, all := &pulled{Store: memory.New()}, &gatehouse.Records{}
		for n := range users {
			id := strconv.Itoa(n)
			all.Users = append(all.Users, &gatehouse.User{ID: id, Version: 1, Epoch: 3})
			all.Sessions = append(all.Sessions,
				&gatehouse.Session{ID: "good " + id, Version: 1, UserID: id, Epoch: 3},
				&gatehouse.Session{ID: "void " + id, Version: 1, UserID: id, Epoch: 2},
				&gatehouse.Session{ID: "ahead " + id, Version: 1, UserID: id, Epoch: 4})
		}
		loadAll(t, s, all)
		r := gatehouse.Restoration{At: time.Now(), From: "native", Keep: gatehouse.KeepSessions}
		s.left.Store(int64(cut * 19))
		if _, err := r.Apply(t.Context(), s); !errors.Is(err, errPulled) {
			t.Fatalf("cut %d: err = %v, want %v", cut, err, errPulled)
		}
		s.left.Store(1000)
		r.At = r.At.Add(time.Second)
		n, err := r.Apply(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if n.Users != users || n.Kept+n.Ended != 3*users || n.Kept < users-inHand {
			t.Errorf("cut %d: %+v", cut, n)
		}
		epochs := map[string]int64{}
		after := everything(t, s)
		for _, u := range after.Users {
			epochs[u.ID] = u.Epoch
		}
		good := 0
		for _, x := range after.Sessions {
			// Nor does one when epochs rise as they do.
			if d := x.Epoch - epochs[x.UserID]; d == 0 && strings.HasPrefix(x.ID, "good ") {
				good++
			} else if d >= 0 && d < 1000 {
				t.Errorf("cut %d: %s is at the epoch of its user and %d", cut, x.ID, d)
			}
		}
		if good != n.Kept {
			t.Errorf("cut %d: %d sessions are good, and %d were kept", cut, good, n.Kept)
		}
	}
}

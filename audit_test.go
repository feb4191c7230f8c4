package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

var auditSecret = gatehouse.NewSecret([]byte(strings.Repeat("a", 32)))

// on is a process on a store.
func on(t testing.TB, store gatehouse.Store) *gatehousetest.Auth {
	t.Helper()
	return gatehousetest.New(t, gatehouse.Config{Store: store, Secret: auditSecret})
}

// logOf is everything that is on record, the newest first.
func logOf(t testing.TB, store gatehouse.Store) []*gatehouse.Event {
	t.Helper()
	list := must(store.Events(context.Background(), gatehouse.EventQuery{Limit: 1 << 20}))(t)
	return list
}

func audit(list []*gatehouse.Event, secrets ...gatehouse.Secret) *gatehouse.AuditReport {
	if len(secrets) == 0 {
		secrets = []gatehouse.Secret{auditSecret}
	}
	a := gatehouse.NewAudit(secrets...)
	for _, e := range list {
		a.Add(e)
	}
	return a.Report(time.Now())
}

// found is the kinds of problem, each once, and the sequences or ids.
func found(r *gatehouse.AuditReport) map[string][]string {
	kinds := map[string][]string{}
	for _, p := range r.Problems {
		kinds[p.Kind] = append(kinds[p.Kind], p.Events)
	}
	return kinds
}

func sound(t testing.TB, what string, r *gatehouse.AuditReport) {
	t.Helper()
	for _, p := range r.Problems {
		t.Errorf("%s: %s", what, p)
	}
}

// bothEnded is the log of a server and of a command beside it, both ended in
// good order, where the server has seen what the command did.
func bothEnded(t *testing.T) (list []*gatehouse.Event, server, command string) {
	store := memory.New()
	a := on(t, store)
	u := a.Register(ann)
	a.Login(ann)
	b := on(t, store)
	must(b.GrantRole(t.Context(), u.ID, "admin"))(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.NoteSettings(t.Context(), map[string]string{"x": "1"}); err != nil { // looks at what others did
		t.Fatal(err)
	}
	a.Login(ann)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	list = logOf(t, store)
	return list, list[0].Chain, list[slices.IndexFunc(list, func(e *gatehouse.Event) bool { return e.Kind == "role_granted" })].Chain
}

func TestAuditOfASoundLog(t *testing.T) {
	list, server, command := bothEnded(t)
	r := audit(list)
	sound(t, "a sound log", r)
	if len(r.Chains) != 2 || r.Events != int64(len(list)) || r.Unchained != 0 {
		t.Fatalf("%+v", r)
	}
	for _, c := range r.Chains {
		want := map[string]int64{server: 5, command: 2}[c.ID]
		if c.Events != want || c.Sequence != want || !c.Closed || c.Swept+c.Lost != 0 || c.Unsettled != "" || c.First.IsZero() || c.Last.Before(c.First) {
			t.Errorf("chain %+v, want %d events, closed", c, want)
		}
	}
}

// What any field of any event says cannot be changed.
func TestAuditOfAChangedEvent(t *testing.T) {
	list, _, _ := bothEnded(t)
	for i, e := range list {
		for f := range reflect.TypeFor[gatehouse.Event]().Fields() {
			changed := *e
			changed.Data, changed.Proof = maps.Clone(e.Data), slices.Clone(e.Proof)
			v := reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index)
			switch x := v.Interface().(type) {
			case string:
				v.SetString(x + "x")
			case int64:
				v.SetInt(x + 1)
			case time.Time:
				v.Set(reflect.ValueOf(x.Add(time.Millisecond)))
			case map[string]string:
				v.Set(reflect.ValueOf(map[string]string{"method": "otp"}))
			case []byte:
				x[len(x)/2] ^= 1
			}
			forged := slices.Clone(list)
			forged[i] = &changed
			if got := found(audit(forged)); len(got["changed"]) != 1 || !strings.Contains(got["changed"][0], changed.ID) {
				t.Errorf("event %d with another %s: found %v, want it as changed", i, f.Name, got)
			}
		}
		for n := range e.Proof {
			changed := *e
			changed.Proof = slices.Clone(e.Proof)
			changed.Proof[n] ^= 0x80
			forged := slices.Clone(list)
			forged[i] = &changed
			if got := found(audit(forged)); len(got) == 0 {
				t.Errorf("event %d with another byte %d of the proof: not found", i, n)
			}
		}
	}
}

// Whatever is taken out leaves a trace.
func TestAuditOfADeletedEvent(t *testing.T) {
	list, server, command := bothEnded(t)
	for i, e := range list {
		r := audit(slices.Delete(slices.Clone(list), i, i+1))
		got := found(r)
		switch {
		case e.Chain == server && e.Sequence == 5: // of the last to end nobody has seen the end
			sound(t, "without the last event", r)
			if slices.ContainsFunc(r.Chains, func(c gatehouse.AuditChain) bool { return c.ID == server && c.Closed }) {
				t.Error("without its closing checkpoint a chain is closed")
			}
		case e.Chain == command && e.Sequence == 2:
			if !slices.Equal(got["cut_off"], []string{"2"}) {
				t.Errorf("without the end of the command's chain: %v, want it as cut off", got)
			}
		default:
			if want := []string{fmt.Sprint(e.Sequence)}; !slices.Equal(got["missing"], want) || len(got) != 1 {
				t.Errorf("without event %d of a chain: %v, want %v as missing", e.Sequence, got, want)
			}
		}
	}
	without := slices.DeleteFunc(slices.Clone(list), func(e *gatehouse.Event) bool { return e.Chain == command })
	if got := found(audit(without)); !slices.Equal(got["cut_off"], []string{"1-2"}) {
		t.Errorf("without the command's chain: %v, want it as cut off", got)
	}
	// With a copy of the closing checkpoint in another place, nothing is free.
	a := gatehouse.NewAudit(auditSecret)
	for _, c := range audit(list).Chains {
		if err := a.Anchor(c.Anchor); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range list[1:] {
		a.Add(e)
	}
	if got := found(a.Report(time.Now())); !slices.Equal(got["cut_off"], []string{"5"}) {
		t.Errorf("with an anchor and without the last event: %v, want it as cut off", got)
	}
	if err := a.Anchor("nonsense"); err == nil {
		t.Error("an anchor of nonsense: no error")
	}
}

// An anchor binds also those who have the master secret: another chain of the
// same name is not what was there.
func TestAuditWithAnAnchorOfAnotherEvent(t *testing.T) {
	list, server, _ := bothEnded(t)
	a := gatehouse.NewAudit(auditSecret)
	for _, c := range audit(list).Chains {
		if c.ID == server {
			parts := strings.Split(c.Anchor, ":")
			parts[2] = strings.Repeat("A", len(parts[2]))
			if err := a.Anchor(strings.Join(parts, ":")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range list {
		a.Add(e)
	}
	if got := found(a.Report(time.Now())); !slices.Equal(got["changed"], []string{"5"}) {
		t.Errorf("found %v, want event 5 as changed", got)
	}
}

// Nobody writes an event into the log without the secret, and an event cannot
// stand in two places.
func TestAuditOfAForeignEvent(t *testing.T) {
	list, server, command := bothEnded(t)
	at := slices.IndexFunc(list, func(e *gatehouse.Event) bool { return e.Chain == server && e.Sequence == 2 })
	moved := *list[at]
	moved.Chain = command
	if got := found(audit(append(slices.Clone(list), &moved))); len(got["changed"]) == 0 {
		t.Errorf("an event moved to another chain: %v", got)
	}
	if got := found(audit(append(slices.Clone(list), list[at]))); !slices.Equal(got["changed"], []string{"2"}) {
		t.Errorf("an event that is there twice: %v", got)
	}
	other := gatehousetest.New(t, gatehouse.Config{})
	other.Register(ann)
	if got := found(audit(append(logOf(t, other.Store), list...))); len(got["unknown_key"]) != 1 {
		t.Errorf("an event made with another secret: %v", got)
	}
	bare := gatehouse.Event{ID: "ffffffff", At: time.Now(), Kind: "login", Outcome: "ok"}
	if got := found(audit(append([]*gatehouse.Event{&bare}, list...))); len(got["unchained"]) != 1 {
		t.Errorf("an event without a chain among those that have one: %v", got)
	}
}

// Events of before there were chains are counted, and no problem.
func TestAuditOfUnchainedEvents(t *testing.T) {
	list, _, _ := bothEnded(t)
	old := gatehouse.Event{ID: "00000000", At: time.Now().Add(-time.Hour), Kind: "login", Outcome: "ok"}
	r := audit(append(slices.Clone(list), &old))
	sound(t, "older events without a chain", r)
	if r.Unchained != 1 {
		t.Errorf("%d without a chain, want 1", r.Unchained)
	}
	// An older version that has run beside the new one, and is known to have.
	beside := gatehouse.Event{ID: "ffffffff", At: time.Now(), Kind: "login", Outcome: "ok"}
	a := gatehouse.NewAudit(auditSecret)
	a.UnchainedUntil = time.Now().Add(time.Minute)
	for _, e := range append([]*gatehouse.Event{&beside}, list...) {
		a.Add(e)
	}
	sound(t, "accepted events without a chain", a.Report(time.Now()))
}

// The secret may change: events of before are verified with the secret of before.
func TestAuditAfterANewSecret(t *testing.T) {
	store := memory.New()
	a := on(t, store)
	a.Register(ann)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	fresh := gatehouse.NewSecret([]byte(strings.Repeat("b", 32)))
	b := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: fresh, PreviousSecrets: []gatehouse.Secret{auditSecret}})
	b.Login(ann)
	if err := b.NoteSettings(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	list := logOf(t, store)
	sound(t, "with both secrets", audit(list, fresh, auditSecret))
	if got := found(audit(list, fresh)); len(got) != 1 || len(got["unknown_key"]) != 1 {
		t.Errorf("with the new secret alone: %v, want unknown_key", got)
	}
	if got := found(audit(list[:len(list)-1], fresh, auditSecret)); !slices.Equal(got["missing"], []string{"1"}) {
		t.Errorf("without the first event: %v", got)
	}
}

// faulty is a store whose appends can fail, or hang as those of a process that
// is about to be killed.
type faulty struct {
	gatehouse.Store
	mu   sync.Mutex
	fail func(*gatehouse.Event) error
}

func (s *faulty) AppendEvent(ctx context.Context, e *gatehouse.Event) error {
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		if err := fail(e); err != nil {
			return err
		}
	}
	return s.Store.AppendEvent(ctx, e)
}

func (s *faulty) set(fail func(*gatehouse.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// A hole that a fault of the store has left is told from one that somebody made.
func TestAuditAfterAFault(t *testing.T) {
	store := &faulty{Store: memory.New()}
	a := on(t, store)
	a.Register(ann)
	store.set(func(*gatehouse.Event) error { return gatehouse.ErrUnavailable })
	for range 3 {
		if _, err := a.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: ann, Password: password}); !errors.Is(err, gatehouse.Unavailable) {
			t.Fatalf("login without its event: %v", err)
		}
	}
	store.set(nil)
	a.Login(ann)
	a.Login(ann)
	r := audit(logOf(t, store))
	sound(t, "before a checkpoint has named what was lost", r)
	if got := r.Chains[0].Unsettled; got != "2-4" {
		t.Errorf("unsettled %q, want 2-4", got)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	list := logOf(t, store)
	r = audit(list)
	sound(t, "after a fault", r)
	if c := r.Chains[0]; c.Lost != 3 || c.Sequence != 7 || c.Events != 4 || !c.Closed || c.Unsettled != "" {
		t.Errorf("%+v, want 3 of 7 lost", c)
	}
	for i, e := range list[1:] {
		if got := found(audit(slices.Delete(slices.Clone(list), i+1, i+2))); len(got["missing"]) != 1 {
			t.Errorf("without event %d: %v, want it as missing", e.Sequence, got)
		}
	}
}

// A process that is killed leaves an open end, and what was being written then
// cannot be told from what never was; what was acknowledged can.
func TestAuditAfterASuddenEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: memory.New()}
		a := on(t, store)
		a.Register(ann)
		a.Login(ann)
		hang, ends := context.WithCancel(t.Context())
		store.set(func(e *gatehouse.Event) error {
			if e.Sequence == 3 { // it is still flying when the process ends
				<-hang.Done()
				return gatehouse.ErrUnavailable
			}
			return nil
		})
		go func() {
			_, _ = a.Gatehouse.Login(context.Background(), gatehouse.PasswordLogin{Email: ann, Password: password})
		}()
		synctest.Wait()
		a.Login(ann)
		killed := logOf(t, store)
		r := audit(killed)
		sound(t, "killed", r)
		if c := r.Chains[0]; c.Closed || c.Sequence != 4 || c.Events != 3 || c.Unsettled != "3" {
			t.Errorf("%+v, want an open chain with 3 unsettled", c)
		}
		for i, want := range map[int]string{1: "2-3", 2: "1"} {
			got := found(audit(slices.Delete(slices.Clone(killed), i, i+1)))
			if len(got["missing"]) != 1 || got["missing"][0] != strings.TrimSuffix(want, "-3") {
				t.Errorf("without event %s: %v, want it as missing", want, got)
			}
		}
		// The next process sees where the chain ended.
		b := on(t, store)
		if err := b.NoteSettings(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		list := logOf(t, store)
		sound(t, "after the next start", audit(list))
		if got := found(audit(append(list[:1:1], list[2:]...))); !slices.Equal(got["cut_off"], []string{"3-4"}) {
			t.Errorf("without the open end that was seen: %v, want it as cut off", got)
		}
		ends()
		synctest.Wait()
	})
}

// What was swept because its time had come is not missing; what was deleted
// before is.
func TestAuditWithRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		cfg := gatehouse.Config{Store: store, Secret: auditSecret, EventRetention: 24 * time.Hour}
		a := gatehousetest.New(t, cfg)
		a.Register(ann)
		ended := gatehousetest.New(t, cfg) // all of whose events are swept before anything else is
		ended.Login(ann)
		if err := ended.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			if err := a.NoteExport(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i == 12 { // what this one says of the chain that has ended outlives that
				late := gatehousetest.New(t, cfg)
				if err := errors.Join(late.NoteExport(t.Context()), late.Close()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour)
			sound(t, "while time goes by", audit(logOf(t, store)))
		}
		list := logOf(t, store)
		r := audit(list)
		var c gatehouse.AuditChain
		for _, x := range r.Chains {
			if x.Events > 10 {
				c = x
			}
		}
		if c.Swept < 20 || c.Events+c.Swept != c.Sequence {
			t.Errorf("%+v, want the first events swept", c)
		}
		if len(r.Chains) != 1 {
			t.Errorf("%d chains, want the one that lives", len(r.Chains))
		}
		oldest := len(list) - 1
		if list[oldest].ExpiresAt.Before(time.Now().Add(10 * time.Minute)) {
			oldest--
		}
		// The clock of whoever has swept may be a little ahead.
		expired := gatehouse.NewAudit(auditSecret)
		for _, e := range list[:oldest] {
			expired.Add(e)
		}
		if r := expired.Report(list[oldest].ExpiresAt.Add(-time.Minute)); len(r.Problems) != 0 {
			t.Errorf("without an event that expires in a minute: %v", r.Problems)
		}
		if got := found(audit(list[:oldest-1])); len(got["missing"]) != 1 {
			t.Errorf("without the oldest events, before their time: %v, want them as missing", got)
		}
		// An export is looked at later, and no time that has passed since excuses it.
		if err := a.Close(); err != nil { // nobody has work to do for so long
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		later := gatehouse.NewAudit(auditSecret)
		for _, e := range list[:oldest-1] {
			later.Add(e)
		}
		if got := found(later.Report(time.Time{})); len(got["missing"]) != 1 {
			t.Errorf("an export without its oldest events, looked at later: %v, want them as missing", got)
		}
	})
}

// Checkpoints come when there is something to say: a minute after it was, or
// when there was much of it. Two processes that do nothing have nothing to say.
func TestCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		a, b := on(t, store), on(t, store)
		u := a.Register(ann)
		must(b.GrantRole(t.Context(), u.ID, "admin"))(t)
		checkpoints := func() int { return len(events(t, a, gatehouse.EventCheckpoint)) }
		if n := checkpoints(); n != 0 {
			t.Errorf("%d checkpoints at once, want none", n)
		}
		time.Sleep(61 * time.Second)
		if n := checkpoints(); n != 2 {
			t.Errorf("%d checkpoints after a minute, want one of each", n)
		}
		time.Sleep(5 * time.Minute)
		n := checkpoints()
		if n > 4 {
			t.Errorf("%d checkpoints, want at most another one of each: what the other had not seen", n)
		}
		time.Sleep(5 * time.Hour)
		if now := checkpoints(); now != n {
			t.Errorf("%d checkpoints after hours of nothing, want %d", now, n)
		}
		for range 600 {
			must(a.ChangeName(t.Context(), u.ID, "Ann"))(t)
		}
		synctest.Wait()
		if now := checkpoints(); now != n+1 {
			t.Errorf("%d checkpoints after 600 events in no time, want %d", now, n+1)
		}
		for _, x := range []*gatehousetest.Auth{a, b} {
			if err := errors.Join(x.Close(), x.Close()); err != nil {
				t.Error(err)
			}
		}
		list := logOf(t, store)
		r := audit(list)
		sound(t, "in the end", r)
		for _, c := range r.Chains {
			if !c.Closed {
				t.Errorf("%+v is not closed", c)
			}
		}
		for _, e := range list {
			if e.Kind == gatehouse.EventCheckpoint && !e.ExpiresAt.Equal(e.At.Add(90*24*time.Hour)) {
				t.Errorf("a checkpoint is kept until %v", e.ExpiresAt)
			}
		}
	})
}

// The end waits for what is being written, and knows what became of it; but not
// for ever.
func TestCloseWaitsForEvents(t *testing.T) {
	for lasts, closed := range map[time.Duration]bool{5 * time.Second: true, time.Minute: false} {
		synctest.Test(t, func(t *testing.T) {
			store := &faulty{Store: memory.New()}
			a := on(t, store)
			a.Register(ann)
			store.set(func(e *gatehouse.Event) error {
				if e.Kind == gatehouse.EventCheckpoint {
					return nil
				}
				time.Sleep(lasts)
				return gatehouse.ErrUnavailable
			})
			go func() { _ = a.NoteExport(context.Background()) }()
			synctest.Wait()
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			r := audit(logOf(t, store))
			sound(t, "after the end", r)
			if c := r.Chains[0]; c.Closed != closed || closed && c.Lost != 1 {
				t.Errorf("a write of %v: %+v, want the chain closed: %v", lasts, c, closed)
			}
			synctest.Wait()
			time.Sleep(lasts)
		})
	}
}

// What somebody has seen was there, also where the chain itself cannot say so.
func TestAuditOfAHoleThatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: memory.New()}
		a := on(t, store)
		hang, ends := context.WithCancel(t.Context())
		store.set(func(e *gatehouse.Event) error {
			if e.Sequence == 1 {
				<-hang.Done()
				return gatehouse.ErrUnavailable
			}
			return nil
		})
		go func() { _ = a.NoteExport(context.Background()) }()
		synctest.Wait()
		errs := a.NoteExport(t.Context())
		b := on(t, store.Store)
		errs = errors.Join(errs, b.NoteSettings(t.Context(), nil), a.NoteExport(t.Context()))
		if errs != nil {
			t.Fatal(errs)
		}
		list := logOf(t, store)
		r := audit(list)
		sound(t, "with an event that hangs", r)
		without := slices.DeleteFunc(list, func(e *gatehouse.Event) bool { return e.Kind == "events_exported" && e.Sequence == 2 })
		if got := found(audit(without)); !slices.Equal(got["missing"], []string{"1-2"}) {
			t.Errorf("without an event that somebody saw: %v, want it as missing", got)
		}
		ends()
		synctest.Wait()
	})
}

// A service that starts also says where a chain ended in good order.
func TestOpeningCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		a := on(t, store)
		a.Register(ann)
		time.Sleep(2 * time.Minute)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		b := on(t, store)
		if err := b.NoteSettings(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		list := logOf(t, store)
		if got := found(audit(slices.Delete(list, 1, 2))); !slices.Equal(got["cut_off"], []string{"3"}) {
			t.Errorf("without a closing checkpoint that a service found when it started: %v, want it as cut off", got)
		}
	})
}

// Who only looks on leaves nothing, however long.
func TestNoCheckpointOfLookingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		a := on(t, store)
		on(t, store)
		a.Register(ann)
		time.Sleep(5 * time.Minute)
		if r := audit(logOf(t, store)); len(r.Chains) != 1 {
			t.Errorf("%d chains, want that of the one that did something", len(r.Chains))
		}
	})
}

// Who does nothing leaves nothing.
func TestNoEventNoCheckpoint(t *testing.T) {
	store := memory.New()
	a := on(t, store)
	must(a.Users(t.Context(), "", 10))(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if list := logOf(t, store); len(list) != 0 {
		t.Errorf("%d events, want none", len(list))
	}
}

// Writers at once: numbers and links are right, whichever write comes first.
func TestAuditOfWritersAtOnce(t *testing.T) {
	store := memory.New()
	a, b := on(t, store), on(t, store)
	u := a.Register(ann)
	var wg sync.WaitGroup
	for range 8 {
		for _, x := range []*gatehousetest.Auth{a, b} {
			wg.Go(func() {
				for range 50 {
					if err := x.NoteExport(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Go(func() { sound(t, "while they write", audit(logOf(t, store))) })
	wg.Wait()
	_ = u
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	r := audit(logOf(t, store))
	sound(t, "in the end", r)
	for _, c := range r.Chains {
		if c.Events != c.Sequence || !c.Closed {
			t.Errorf("%+v, want all of them, closed", c)
		}
	}
}

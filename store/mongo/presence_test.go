package mongo

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

// What users are is not changed under somebody who is at work: nothing is changed,
// and it is said who that is. To look, or to look through again, is no change.
func TestAdoptNoticesWhoIsRunning(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		before := content(t, c)
		refused := func(what string, r *Report, err error) {
			t.Helper()
			if !errors.Is(err, ErrRunning) || len(r.Running) != 1 || r.Running[0].PID != os.Getpid() {
				t.Errorf("%s: err = %v, want ErrRunning; report %+v", what, err, r)
			}
		}
		s := open(t, uri, Options{})
		r, err := Adopt(t.Context(), uri, AdoptOptions{})
		refused("adopt", r, err)
		same(t, "after the refusal", content(t, c), before)
		if r = adopt(t, uri, AdoptOptions{DryRun: true}); len(r.Running) != 1 {
			t.Errorf("dry run: %+v", r)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if r = adopt(t, uri, AdoptOptions{}); len(r.Running) != 0 {
			t.Errorf("after it has stopped: %+v", r)
		}
		s = open(t, uri, Options{})
		adopt(t, uri, AdoptOptions{})
		for what, step := range map[string]func() (*Report, error){
			"finish": func() (*Report, error) { return Finish(t.Context(), uri, AdoptOptions{}) },
			"undo":   func() (*Report, error) { return Undo(t.Context(), uri, AdoptOptions{}) },
		} {
			r, err := step()
			refused(what, r, err)
		}
		if _, err := s.User(t.Context(), oid(1).Hex()); err != nil {
			t.Errorf("the service after the refusals: %v", err)
		}
	})
}

// Who was killed counts as being there for half a minute, which can be overruled.
func TestWhoWasKilledIsForgotten(t *testing.T) {
	uri := fresh(t)
	application(t, uri)
	meta := bare(t, uri).Collection("gatehouse_meta")
	if err := open(t, uri, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	show := func(id string, ago time.Duration) {
		t.Helper()
		must(meta.InsertOne(t.Context(), d("_id", id, "host", "h", "pid", 7, "lasts", int64(30_000), "seen", time.Now().Add(-ago))))(t)
	}
	show("open long ago", 25*time.Hour)
	show("open before", 31*time.Second)
	s, other := open(t, uri, Options{}), open(t, uri, Options{})
	if list, err := s.Others(t.Context()); err != nil || len(list) != 1 || list[0].PID != os.Getpid() {
		t.Errorf("others: %v, %v, want the other store of this process alone", list, err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Others(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("others: %v, %v, want nobody", list, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	show("open a moment ago", 20*time.Second)
	if _, err := Adopt(t.Context(), uri, AdoptOptions{}); !errors.Is(err, ErrRunning) {
		t.Errorf("err = %v, want ErrRunning", err)
	}
	adopt(t, uri, AdoptOptions{NotRunning: true})
	// Swept in the background, by whoever has the database open.
	open(t, uri, Options{})
	for began := time.Now(); must(meta.CountDocuments(t.Context(), d("_id", "open long ago")))(t) != 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("who was killed yesterday is still there")
		}
	}
}

// A service that does run while somebody claims the contrary does nothing with
// users that are others now; nor does one that was asleep for a while.
func TestAServiceNoticesThatItWasAdopted(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		c := application(t, uri)
		before := content(t, c)
		adopt(t, uri, AdoptOptions{})
		s := open(t, uri, Options{})
		asleep := func() { s.presence.last.Store(int64(-time.Hour)) }
		asleep()
		if _, err := s.User(t.Context(), oid(1).Hex()); err != nil {
			t.Errorf("after a sleep in which nothing happened: %v", err)
		}
		if s.presence.last.Load() <= 0 {
			t.Error("it was not shown again")
		}
		must(Undo(t.Context(), uri, AdoptOptions{NotRunning: true}))(t)
		asleep()
		s.presence.looked = time.Time{}
		if _, err := s.User(t.Context(), oid(1).Hex()); !errors.Is(err, ErrAdoption) || !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("after the undo: err = %v, want ErrAdoption", err)
		}
		if err := s.CreateUser(t.Context(), &gatehouse.User{ID: "u", EmailKey: "u@example.com"}); !errors.Is(err, ErrAdoption) {
			t.Errorf("register after the undo: err = %v, want ErrAdoption", err)
		}
		same(t, "given back", content(t, c), before)
	})
}

// Whoever starts while a collection is being adopted does not start, or works on
// what was adopted, or the adoption says that somebody is there.
func TestStartsBesideAdoptions(t *testing.T) {
	uri := fresh(t)
	c := application(t, uri)
	for round := range 8 {
		started, db := make(chan *Store), bare(t, uri)
		go func() {
			for range 2 * round { // at another moment each time
				db.RunCommand(t.Context(), d("ping", 1))
			}
			s, _ := Open(t.Context(), uri, Options{})
			started <- s
		}()
		_, err := Adopt(t.Context(), uri, AdoptOptions{})
		s := <-started
		if err == nil && s != nil && s.adopted == nil {
			t.Errorf("round %d: a service works on users of its own beside those that were adopted", round)
		}
		if err != nil && !errors.Is(err, ErrRunning) {
			t.Errorf("round %d: %v", round, err)
		}
		if s != nil {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		adopt(t, uri, AdoptOptions{})
		must(Undo(t.Context(), uri, AdoptOptions{}))(t)
		if n := must(c.CountDocuments(t.Context(), d("gatehouse", bson.D{{Key: "$exists", Value: true}})))(t); n != 0 {
			t.Errorf("round %d: %d documents still have our field", round, n)
		}
	}
}

// Of two steps that begin at the same time, one does.
func TestOneStepAtATime(t *testing.T) {
	uri := fresh(t)
	application(t, uri)
	adopt(t, uri, AdoptOptions{})
	a := must(newAdopter(t.Context(), uri, AdoptOptions{}))(t)
	defer a.s.Close()
	must(Finish(t.Context(), uri, AdoptOptions{NotRunning: true}))(t)
	if err := a.begin(t.Context(), undoing); !errors.Is(err, ErrAdoption) {
		t.Errorf("undo beside a finish: err = %v, want ErrAdoption", err)
	}
	if err := a.adopt(t.Context()); err != nil {
		t.Errorf("adopt beside a finish: %v", err)
	}
	if state := must(a.s.adoption(t.Context()))(t).State; state != finished {
		t.Errorf("the state is %q", state)
	}
}

// A step that is under way is noticed by the others, as a service is.
func TestAStepIsNoticed(t *testing.T) {
	uri := fresh(t)
	c := application(t, uri)
	before := content(t, c)
	refused := func(what string, step func(context.Context, string, AdoptOptions) (*Report, error)) {
		t.Helper()
		if _, err := step(t.Context(), uri, AdoptOptions{}); !errors.Is(err, ErrRunning) {
			t.Errorf("%s: err = %v, want ErrRunning", what, err)
		}
	}
	first := must(newAdopter(t.Context(), uri, AdoptOptions{}))(t)
	if err := errors.Join(first.s.prepare(t.Context()), first.start(t.Context())); err != nil {
		t.Fatal(err)
	}
	refused("undo while it is being adopted", Undo)
	refused("adopt a second time at once", Adopt)
	if err := first.s.Close(); err != nil {
		t.Fatal(err)
	}
	adopt(t, uri, AdoptOptions{})
	again := must(newAdopter(t.Context(), uri, AdoptOptions{}))(t)
	refused("finish while it is adopted again", Finish)
	refused("undo while it is adopted again", Undo)
	adopt(t, uri, AdoptOptions{}) // twice does no harm
	if err := again.s.Close(); err != nil {
		t.Fatal(err)
	}
	must(Undo(t.Context(), uri, AdoptOptions{}))(t)
	same(t, "given back", content(t, c), before)
}

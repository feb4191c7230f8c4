package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
)

// Adopt, Finish and Undo change what a user is: a service that goes on under the
// state of before would write users where nobody looks for them, or heed what an
// application writes that has no say any more. So everybody who has the database
// open shows it in a document, again every few seconds, and looks by the way
// whether the state is still the one it was opened under.
//
// Both sides write before they look: who opens the database shows itself and then
// reads the state, and a step enters its state and then looks who is there. A step
// shows itself, too, so that another one does not begin in the middle of it. And
// who could not show itself for a while looks again before it does anything, at a
// time when the others still count it as being there.
const (
	shown   = 5 * time.Second  // how often
	trusted = 20 * time.Second // for how long it does without
	settles = 3 * time.Second  // how long a start takes to fail that has met a step

	forgotten = 24 * time.Hour
)

// presence is that of a store that is open.
type presence struct {
	s     *Store
	id    string
	under *adoptionDocument // nil for who changes it, and needs not look

	began time.Time
	last  atomic.Int64 // when it was last shown, since it began; zero is never
	moved atomic.Bool  // the state is another one
	stop  context.CancelFunc
	done  sync.WaitGroup

	looking sync.Mutex
	looked  time.Time // when somebody last had to look first,
	found   error     // and what came of it
}

type presenceDocument struct {
	ID   string    `bson:"_id"`
	Host string    `bson:"host"`
	PID  int       `bson:"pid"`
	Seen time.Time `bson:"seen"`  // by the clock of the server
	Last int64     `bson:"lasts"` // milliseconds for which others count it as being there
}

// Running is a process that has the database open.
type Running struct {
	Host string
	PID  int
	Ago  time.Duration // since it was last seen
}

func (r Running) String() string {
	return fmt.Sprintf("process %d on %s, seen %d seconds ago", r.PID, r.Host, int(r.Ago.Seconds()))
}

func newPresence(s *Store) *presence {
	return &presence{s: s, id: "open " + rand.Text(), began: time.Now(), stop: func() {}}
}

// show says that the database is open.
func (p *presence) show(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	at := time.Since(p.began)
	lasts := trusted + 2*p.s.opts.Timeout // what is begun in time has also ended then
	err = p.s.within(ctx, "show that the database is open", func(ctx context.Context) error {
		_, err := p.s.meta.UpdateOne(ctx, byID(p.id), bson.D{
			{Key: "$set", Value: bson.D{{Key: "host", Value: host}, {Key: "pid", Value: os.Getpid()}, {Key: "lasts", Value: lasts.Milliseconds()}}},
			{Key: "$currentDate", Value: bson.D{{Key: "seen", Value: true}}},
		}, options.UpdateOne().SetUpsert(true))
		return err
	})
	if err == nil {
		p.last.Store(int64(max(at, 1)))
	}
	return err
}

// look fails if the state is another than the store was opened under.
func (p *presence) look(ctx context.Context) error {
	var now adoptionDocument
	err := p.s.within(ctx, "state of the adoption", func(ctx context.Context) error {
		err := p.s.meta.FindOne(ctx, byID("adoption")).Decode(&now)
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		return err
	})
	if err == nil && (now.State != p.under.State || now.Collection != p.under.Collection) {
		p.moved.Store(true)
		return errMoved
	}
	return err
}

var errMoved = fmt.Errorf("%w: %w: gatehouse adopt was run since this program was started: start it again", gatehouse.ErrUnavailable, ErrAdoption)

// keep shows it again and again. A fault is no reason to give up: who finds that it
// has not been shown for too long looks first.
func (p *presence) keep() {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.done.Go(func() {
		_ = p.sweep(ctx) // the next start does it as well
		tick := time.NewTicker(shown)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if p.show(ctx) == nil && p.under != nil {
					_ = p.look(ctx) // what it finds is noted
				}
			}
		}
	})
}

// sweep forgets who was killed long ago.
func (p *presence) sweep(ctx context.Context) error {
	return p.s.within(ctx, "sweep who has the database open", func(ctx context.Context) error {
		var own presenceDocument
		if err := p.s.meta.FindOne(ctx, byID(p.id)).Decode(&own); err != nil {
			return err
		}
		_, err := p.s.meta.DeleteMany(ctx, bson.D{
			{Key: "lasts", Value: bson.D{{Key: "$exists", Value: true}}},
			{Key: "seen", Value: bson.D{{Key: "$lt", Value: bson.NewDateTimeFromTime(own.Seen.Add(-forgotten))}}},
		})
		return err
	})
}

// valid is nil if what is known of the users still holds.
func (p *presence) valid(ctx context.Context) error {
	if p.under == nil {
		return nil
	}
	if p.moved.Load() {
		return errMoved
	}
	if time.Since(p.began)-time.Duration(p.last.Load()) < trusted {
		return nil
	}
	p.looking.Lock()
	defer p.looking.Unlock()
	if time.Since(p.looked) > time.Second {
		// To be seen again comes before looking. While nothing can be written, there is
		// nothing to lose either, and who is logged in can be told so.
		_ = p.show(ctx)
		p.found = p.look(ctx)
		p.looked = time.Now()
	}
	return p.found
}

// leave says that the database is no longer open. If that cannot be said, it will
// be known by itself.
func (p *presence) leave(ctx context.Context) error {
	if p.last.Load() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, err := p.s.meta.DeleteOne(ctx, byID(p.id))
	if explained := explain(err); !errors.Is(explained, gatehouse.ErrUnavailable) {
		return explained
	}
	return nil
}

// end ends it once.
func (p *presence) end(ctx context.Context) {
	p.stop()
	p.done.Wait()
	_ = p.leave(ctx)
	p.last.Store(0)
}

// Others are the other processes that have the database open, and other stores of this
// one. Who was killed a moment ago counts for half a minute.
func (s *Store) Others(ctx context.Context) (list []Running, err error) {
	err = s.within(ctx, "who has the database open", func(ctx context.Context) error {
		var server struct {
			Now time.Time `bson:"localTime"`
		}
		if err := s.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&server); err != nil {
			return err
		}
		cursor, err := s.meta.Find(ctx, bson.D{{Key: "lasts", Value: bson.D{{Key: "$exists", Value: true}}}})
		if err != nil {
			return err
		}
		var all []presenceDocument
		if err := cursor.All(ctx, &all); err != nil {
			return err
		}
		list = nil
		for _, d := range all {
			if p := s.presence; p != nil && d.ID == p.id {
				continue
			}
			if ago := server.Now.Sub(d.Seen); ago < time.Duration(d.Last)*time.Millisecond {
				list = append(list, Running{d.Host, d.PID, max(ago, 0)})
			}
		}
		return nil
	})
	return list, err
}

// settled is who still has the database open when those have gone whose start has
// failed.
func (s *Store) settled(ctx context.Context) ([]Running, error) {
	until := time.NewTimer(settles)
	defer until.Stop()
	for {
		list, err := s.Others(ctx)
		if err != nil || len(list) == 0 {
			return list, err
		}
		again := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		case <-until.C:
			again.Stop()
			return list, nil
		case <-again.C:
		}
	}
}

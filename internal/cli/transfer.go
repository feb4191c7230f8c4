package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/archive"
)

// transfer loads records from elsewhere into a store.
type transfer struct {
	to     movable
	resume bool // what is there already is of an earlier try
	tell   func(done int64)
	wait   *patience

	waiting gatehouse.Records // not enough yet to be loaded
	sent    archive.Digest    // of all that were added
	there   int64             // how many were there already
}

// enough is how many records are loaded at once: with more the syncs of the disk
// are no longer what it takes time for, and others wait longer.
const enough = 1000

// add loads records, sooner or later.
func (t *transfer) add(ctx context.Context, r *gatehouse.Records) error {
	if err := t.sent.Add(r); err != nil {
		return err
	}
	w := &t.waiting
	w.Users, w.Sessions, w.Challenges = append(w.Users, r.Users...), append(w.Sessions, r.Sessions...), append(w.Challenges, r.Challenges...)
	w.Events, w.Settings, w.Tasks = append(w.Events, r.Events...), append(w.Settings, r.Settings...), append(w.Tasks, r.Tasks...)
	if w.Len() < enough {
		return nil
	}
	return t.flush(ctx)
}

func (t *transfer) flush(ctx context.Context) error {
	var taken *gatehouse.Records
	tries := 0
	err := t.wait.try(ctx, "The new database", func() (err error) {
		tries++
		taken, err = t.to.Load(ctx, &t.waiting)
		return err
	})
	if err != nil {
		return err
	}
	t.waiting = gatehouse.Records{}
	// What a try that failed has written nevertheless is taken as well. Whether it
	// is ours is found by the comparison in the end.
	if n := taken.Len(); n > 0 && !t.resume && tries == 1 {
		return fmt.Errorf("%s taken: somebody else writes to the new database", count(n, "record is", "records are"))
	}
	t.there += int64(taken.Len())
	if t.tell != nil {
		t.tell(t.sent.Len())
	}
	return nil
}

// again begins anew with a source that was away in the middle of a walk.
func (t *transfer) again() {
	t.waiting, t.sent, t.there, t.resume = gatehouse.Records{}, archive.Digest{}, 0, true
}

// digestOf walks through a store. The note of how it came to what it holds does not
// count.
func digestOf(ctx context.Context, s gatehouse.Mover) (*archive.Digest, error) {
	d := &archive.Digest{}
	return d, s.Walk(ctx, func(r *gatehouse.Records) error { return d.Add(withoutNote(r)) })
}

// withoutNote leaves out the note of a restoration: it is of the database, and not
// of what is in it.
func withoutNote(r *gatehouse.Records) *gatehouse.Records {
	return gatehouse.Restoration{Keep: gatehouse.KeepAll}.Records(r)
}

// errDiffer: what was written is not what was read.
var errDiffer = errors.New("the two are not the same")

// requireEmpty is nil if nothing is in the store.
func requireEmpty(ctx context.Context, s gatehouse.Mover, what string, resume bool) error {
	err := s.Walk(ctx, func(*gatehouse.Records) error { return errNotEmpty })
	switch {
	case !errors.Is(err, errNotEmpty):
		return err
	case resume:
		return fmt.Errorf("%s is not empty, and no interrupted try is what filled it, or it has been in use since: name a new one", what)
	}
	return fmt.Errorf("%s is not empty: name a new one, or go on with --resume if an earlier try was interrupted", what)
}

var errNotEmpty = errors.New("not empty")

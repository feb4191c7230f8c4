package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/archive"
)

type copyStore struct {
	From   string `arg:"" help:"Database to copy, as it stands in the settings: sqlite:FILE, postgres://… or mongodb://…; with a password in it, env:NAME of a variable or file:FILE that has the address. It is only read."`
	To     string `arg:"" help:"New database, named in the same way. It is made if it can be, and must be empty."`
	Resume bool   `help:"Go on with a copy that was interrupted."`
}

// Run copies and then looks at both again: at the copy to see whether it is whole,
// and at the source to see whether it was changed meanwhile.
func (c copyStore) Run(p *program) (err error) {
	source, err := p.databaseAt(c.From)
	if err != nil {
		return err
	}
	target, err := p.databaseAt(c.To)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	from, err := openStore(ctx, source, false)
	if err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := gatehouse.Whole(ctx, from); err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	to, err := openStore(ctx, target, true)
	if err != nil {
		return fmt.Errorf("open the new database: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := c.copy(ctx, p, from, to); ctx.Err() != nil {
		p.say("What was copied stays; go on with --resume.")
		return errStopped
	} else if err != nil {
		return err
	}
	p.say("The copy is complete and checked. The master secret is not in it: the new database works with that of the old one alone.")
	return nil
}

// copy puts a note into the new database first, so that nobody begins to use it
// before it is complete.
func (c copyStore) copy(ctx context.Context, p *program, from, to movable) error {
	progress := p.progress()
	defer progress.end()
	r := gatehouse.Restoration{At: now(), From: "copy", Keep: gatehouse.KeepAll, Partial: true}
	before, err := gatehouse.RestorationUnderWay(ctx, to)
	if err != nil {
		return err
	}
	if c.Resume && before != nil {
		if before.From != r.From {
			return usageError("what was interrupted there is no copy: go on with gatehouse restore")
		}
		r.At = before.At
	} else if err := requireEmpty(ctx, to, "the new database", c.Resume); err != nil {
		return err
	}
	if err := r.Note(ctx, to); err != nil {
		return err
	}
	wait := &patience{progress: progress}
	t := &transfer{to: to, wait: wait, resume: c.Resume, tell: func(n int64) { progress.show(fmt.Sprintf("%13d records copied", n)) }}
	if err := c.transfer(ctx, from, t); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	progress.show("the copy is being checked")
	var copied, now *archive.Digest
	for _, s := range []struct {
		what  string
		store movable
		into  **archive.Digest
	}{{"the copy", to, &copied}, {"the source", from, &now}} {
		err := wait.try(ctx, "While it is checked, "+s.what, func() (err error) {
			*s.into, err = digestOf(ctx, s.store)
			return err
		})
		if err != nil {
			return fmt.Errorf("check %s: %w", s.what, err)
		}
	}
	progress.end()
	fmt.Fprintf(p.out, "source %s %s\ncopy   %s %s\n", now.Sum(), now, copied.Sum(), copied)
	switch {
	case *now == *copied:
		r.Partial = false
		return r.Note(ctx, to)
	case *copied == t.sent:
		return fmt.Errorf("%w: the source was changed while it was copied; stop what uses it, and copy into a new database", errDiffer)
	case c.Resume:
		return fmt.Errorf("%w: the source was changed since the copy was begun, or the new database was; copy into a new database", errDiffer)
	}
	return fmt.Errorf("%w: somebody else writes to the new database", errDiffer)
}

// transfer copies all records. A source that was away in the middle is walked from
// the beginning.
func (c copyStore) transfer(ctx context.Context, from movable, t *transfer) error {
	var target error // of the new database, which has been waited for already
	walks := 0
	err := t.wait.try(ctx, "The source", func() error {
		if walks++; walks > 1 {
			t.again()
		}
		err := from.Walk(ctx, func(r *gatehouse.Records) error {
			t.wait.works()
			target = t.add(ctx, withoutNote(r))
			return target
		})
		if target != nil {
			return errTarget
		}
		return err
	})
	if target != nil {
		return target
	}
	if err != nil {
		return err
	}
	return t.flush(ctx)
}

// errTarget: it is not the source that is away.
var errTarget = errors.New("the new database")

// errStopped: somebody stopped what was under way.
var errStopped = errors.New("interrupted")

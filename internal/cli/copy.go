package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

type copyStore struct {
	From   string `arg:"" help:"Database to copy, as it stands in the settings: sqlite:FILE, postgres://… or mongodb://… It is only read."`
	To     string `arg:"" help:"New database, which is made if it can be, and must be empty."`
	Resume bool   `help:"Go on with a copy that was interrupted."`
}

// Run copies and then looks at both again: at the copy to see whether it is whole,
// and at the source to see whether it was changed meanwhile.
func (c copyStore) Run(p *program) (err error) {
	source, err := databaseAt(c.From)
	if err != nil {
		return err
	}
	target, err := databaseAt(c.To)
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
	to, err := openStore(ctx, target, true)
	if err != nil {
		return fmt.Errorf("open the new database: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if !c.Resume {
		if err := requireEmpty(ctx, to, "the new database"); err != nil {
			return err
		}
	}
	if err := c.copy(ctx, p, from, to); ctx.Err() != nil {
		p.say("What was copied stays; go on with --resume.")
		return errStopped
	} else if err != nil {
		return err
	}
	p.say("The copy is complete and checked. The master secret is not in it: the new database works with that of the old one alone.")
	return nil
}

func (c copyStore) copy(ctx context.Context, p *program, from, to movable) error {
	progress := p.progress()
	defer progress.end()
	t := &transfer{to: to, resume: c.Resume, tell: func(n int64) { progress.show(fmt.Sprintf("%13d records copied", n)) }}
	err := from.Walk(ctx, func(r *gatehouse.Records) error { return t.add(ctx, r) })
	if err == nil {
		err = t.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	progress.show("the copy is being checked")
	copied, err := digestOf(ctx, to)
	if err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	now, err := digestOf(ctx, from)
	if err != nil {
		return fmt.Errorf("check the source: %w", err)
	}
	progress.end()
	fmt.Fprintf(p.out, "source %s %s\ncopy   %s %s\n", now.Sum(), now, copied.Sum(), copied)
	switch {
	case *now == *copied:
		return nil
	case *copied == t.sent:
		return fmt.Errorf("%w: the source was changed while it was copied; stop what uses it, and copy into a new database", errDiffer)
	case c.Resume:
		return fmt.Errorf("%w: the source was changed since the copy was begun, or the new database was; copy into a new database", errDiffer)
	}
	return fmt.Errorf("%w: somebody else writes to the new database", errDiffer)
}

// errStopped: somebody stopped what was under way.
var errStopped = errors.New("interrupted")

package cli

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

type migrate struct {
	DryRun bool `name:"dry-run" help:"Only show the schema of the database and that of this version."`
}

func (c migrate) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	// Without a database there is nothing to migrate, and making one is for
	// serve, which makes the secret that belongs to it.
	if err := loaded.Settings.RequireDatabase(); err != nil {
		return err
	}
	ctx, file := context.Background(), loaded.Settings.DatabaseFile()
	from, to, err := sqlite.SchemaVersion(ctx, file)
	if err != nil {
		return err
	}
	if !c.DryRun && from < to {
		if from, to, err = sqlite.Migrate(ctx, file); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.out, "schema %d, wanted %d\n", from, to)
	switch {
	case from == to:
		p.say("There is nothing to do.")
	case from > to:
		return fmt.Errorf("%w: use that version", sqlite.ErrNewer)
	case c.DryRun:
		p.say("To bring it up to date, run gatehouse migrate; make a backup before.")
	default:
		p.say("The database is up to date now.")
	}
	return nil
}

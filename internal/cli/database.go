package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
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
	ctx, database := context.Background(), server.DatabaseOf(&loaded.Settings)
	// A database on a server may belong to a role that the service does not have. A
	// file is made by serve, beside the secret that belongs to it.
	if _, file := database.File(); file {
		if err := database.Require(ctx); err != nil {
			return err
		}
	}
	from, to, err := database.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if !c.DryRun && from < to {
		database.Waiting = func(why string) { p.say("It is " + why + ".") }
		if from, to, err = database.Migrate(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.out, "schema %d, wanted %d\n", from, to)
	switch {
	case from == to:
		p.say("There is nothing to do.")
	case from > to:
		return fmt.Errorf("%w: use that version", sqlite.ErrNewer)
	case c.DryRun && from == 0:
		p.say("There is nothing of Gatehouse in this database yet. To make what it needs, run gatehouse migrate, or gatehouse serve.")
	case c.DryRun:
		p.say("To bring it up to date, run gatehouse migrate; make a backup before.")
	case from == 0:
		p.say("The database is ready for its first start.")
	default:
		p.say("The database is up to date now.")
	}
	return nil
}

type backup struct {
	File string `arg:"" help:"File to make; it must not exist."`
}

func (c backup) Run(p *program) (err error) {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	ctx, database := context.Background(), server.DatabaseOf(&loaded.Settings)
	if err := database.Require(ctx); err != nil {
		return err
	}
	file, ok := database.File()
	if !ok {
		return nativeBackup(database)
	}
	// Opening would migrate, and who makes a backup before an upgrade wants the
	// database as it is.
	current, wanted, err := sqlite.SchemaVersion(ctx, file)
	if err != nil {
		return err
	}
	if current < wanted {
		return fmt.Errorf("the database has schema %d and this version works with %d: make the backup with the version that made the database, or run gatehouse migrate first", current, wanted)
	}
	if _, err := os.Lstat(c.File); err == nil {
		return errTaken(c.File)
	}
	// A backup is for bad times: if it cannot be put on record, it is made all the same.
	if err := p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error { return g.NoteCopy(ctx, "backup") }); errors.Is(err, gatehouse.ErrPartial) {
		return err // a part is worth nothing, and restored it would be taken for the whole
	} else if err != nil {
		p.say("The backup is not in the audit log: " + err.Error())
	}
	store, err := sqlite.Open(file, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Backup(ctx, c.File); errors.Is(err, fs.ErrExist) {
		return errTaken(c.File)
	} else if err != nil {
		return err
	}
	p.say("The backup is complete and checked. The master secret is not in it: keep that as well, in another place.")
	return nil
}

// nativeBackup is the answer for databases with better means than ours.
func nativeBackup(d server.Database) error {
	return usageError("this is for SQLite; " + d.Engine() + " has means of its own, which docs/operations.md names, and gatehouse export writes an archive of any database")
}

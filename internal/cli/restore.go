package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/archive"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

type restore struct {
	File           string `arg:"" optional:"" help:"The backup, or an archive that export has made."`
	Force          bool   `help:"Put a backup in the place of the database that is there."`
	KeepSessions   bool   `name:"keep-sessions" help:"Leave everybody logged in who was when the backup was made, also those who have logged out since. Without it everybody logs in again." xor:"keep"`
	AsIs           bool   `name:"as-is" help:"Bring back everything as it was, also links and codes that may have been used since: for a database that moves and was not used since." xor:"keep"`
	AfterNative    bool   `name:"after-native" help:"The database has been brought back with its own tools: only begin anew what must not be used twice."`
	Resume         bool   `help:"Go on with an archive whose restoring was interrupted."`
	Identity       string `help:"File with the private key of age that opens the archive." placeholder:"FILE" type:"existingfile" xor:"key"`
	PassphraseFile string `name:"passphrase-file" help:"File with the passphrase of the archive, instead of being asked." placeholder:"FILE" type:"existingfile" xor:"key"`
}

// Run finds out what the file is.
func (c restore) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	s := &loaded.Settings
	if (c.File == "") != c.AfterNative {
		return usageError("name a backup or an archive, or say --after-native")
	}
	if c.AfterNative {
		return c.native(p)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return usageError(err.Error())
	}
	defer f.Close()
	sort, err := archive.SortOf(f)
	if err != nil {
		return err
	}
	if sort == archive.Other {
		err = c.backup(s)
	} else {
		err = c.archive(p, s, f, sort)
	}
	if err != nil {
		return err
	}
	p.say("The database is restored to " + server.DatabaseOf(s).String() + ".")
	if s.LacksSecret() {
		p.say("The master secret that belongs to it is missing: put it back as " + s.KeptSecretFile() + ", or set GATEHOUSE_SECRET_FILE.")
	}
	return nil
}

func (c restore) keep() gatehouse.Keep {
	switch {
	case c.AsIs:
		return gatehouse.KeepAll
	case c.KeepSessions:
		return gatehouse.KeepSessions
	}
	return gatehouse.KeepNothing
}

func (c restore) backup(s *server.Settings) error {
	if c.Resume {
		return usageError("--resume is for archives: a backup is restored as a whole or not at all")
	}
	d := server.DatabaseOf(s)
	file, ok := d.File()
	if !ok {
		return nativeBackup(d)
	}
	if err := server.MakeFolder(s.Data); err != nil {
		return err
	}
	err := sqlite.Restore(context.Background(), c.File, file, sqlite.RestoreOptions{
		Replace: c.Force, Restoration: gatehouse.Restoration{At: time.Now(), From: "backup", Keep: c.keep()},
	})
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("there is a database already, %s; --force replaces it, and what is in it is lost", file)
	}
	return err
}

// archive reads the archive twice: nothing is written until all of it is known to
// be whole.
func (c restore) archive(p *program, s *server.Settings, f io.ReadSeeker, sort archive.Sort) (err error) {
	if c.Force {
		return usageError("--force is for backups: an archive is restored into a new database; move the one that is there away")
	}
	if s.Redis != "" && s.RedisUse != "limits" && c.keep() != gatehouse.KeepNothing {
		return usageError("sessions would be restored into the database, while the settings keep them in Redis; leave out --keep-sessions and --as-is, or restore without GATEHOUSE_REDIS")
	}
	plain, err := c.unlock(p, f, sort)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	first, err := plain()
	if err != nil {
		return err
	}
	if _, _, err := archive.Read(withContext(ctx, first), nil); ctx.Err() != nil {
		return errInterrupted
	} else if err != nil {
		return err
	}
	if err := server.MakeFolder(s.Data); err != nil {
		return err
	}
	to, err := openStore(ctx, server.DatabaseOf(s), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	again, err := plain()
	if err != nil {
		return err
	}
	if err := c.load(ctx, p, to, again); ctx.Err() != nil {
		p.say("What was restored stays, and is not complete; go on with --resume.")
		return errStopped
	} else if err != nil {
		return err
	}
	return nil
}

// unlock is a function that reads the archive from its beginning.
func (c restore) unlock(p *program, f io.ReadSeeker, sort archive.Sort) (func() (io.Reader, error), error) {
	rewind := func() (io.Reader, error) {
		_, err := f.Seek(0, io.SeekStart)
		return f, err
	}
	if sort == archive.Plain {
		return rewind, nil
	}
	key, err := c.key(p)
	if err != nil {
		return nil, err
	}
	return func() (io.Reader, error) {
		if _, err := rewind(); err != nil {
			return nil, err
		}
		return key.Decrypt(f)
	}, nil
}

func (c restore) key(p *program) (*archive.Key, error) {
	if c.Identity == "" {
		phrase, err := p.passphrase(c.PassphraseFile, p.passwordOnce)
		if err != nil {
			return nil, err
		}
		if phrase == "" {
			return nil, usageError("the passphrase is empty; for an archive that is encrypted for a key, use --identity")
		}
		return archive.KeyOf(phrase)
	}
	f, err := os.Open(c.Identity)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	key, err := archive.KeyFrom(f)
	if err != nil {
		return nil, usageError(c.Identity + " must have a private key of age, as age-keygen writes it")
	}
	return key, nil
}

// load fills the database. The note of the restoration goes first, so that another
// try goes on under the same epoch.
func (c restore) load(ctx context.Context, p *program, to movable, from io.Reader) error {
	r := gatehouse.Restoration{At: time.Now().UTC().Truncate(time.Millisecond), From: "archive", Keep: c.keep()}
	before, err := gatehouse.RestorationUnderWay(ctx, to)
	if err != nil {
		return err
	}
	if c.Resume && before != nil {
		if before.Keep != r.Keep || before.From != r.From {
			return usageError("the try that was interrupted kept other things: give the same flags again")
		}
		r = *before
	} else if err := requireEmpty(ctx, to, "the database"); err != nil {
		return err
	}
	if err := r.Note(ctx, to); err != nil {
		return err
	}
	progress := p.progress()
	defer progress.end()
	t := &transfer{to: to, resume: c.Resume, tell: func(n int64) { progress.show(fmt.Sprintf("%13d records restored", n)) }}
	_, _, err = archive.Read(from, func(some *gatehouse.Records) error { return t.add(ctx, r.Records(some)) })
	if err == nil {
		err = t.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	got := &archive.Digest{} // of all but the note
	err = to.Walk(ctx, func(some *gatehouse.Records) error {
		return got.Add(gatehouse.Restoration{Keep: gatehouse.KeepAll}.Records(some))
	})
	if err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	progress.end()
	fmt.Fprintf(p.out, "%s %s\n", got.Sum(), got)
	if *got != t.sent {
		return fmt.Errorf("%w: somebody else writes to the database; begin again with a new one", errDiffer)
	}
	return nil
}

// native begins anew in a database that has been brought back already. It is
// opened afterwards, because that puts it on record.
func (c restore) native(p *program) error {
	if c.Force || c.Resume {
		return usageError("--after-native goes with --keep-sessions and --as-is alone")
	}
	loaded, err := p.load()
	if err != nil {
		return err
	}
	r := gatehouse.Restoration{At: time.Now().UTC().Truncate(time.Millisecond), From: "native", Keep: c.keep()}
	// Through the instance, because part of the records may be in Redis.
	err = p.openInstance(server.OpenExisting, func(ctx context.Context, i *server.Instance) error { return r.Apply(ctx, i.Store) })
	if err != nil {
		return err
	}
	if err := p.operate(func(context.Context, *gatehouse.Gatehouse) error { return nil }); err != nil {
		return fmt.Errorf("what must not be used twice begins anew, but that is not on record: %w", err)
	}
	p.say("What must not be used twice begins anew. A service that was running meanwhile has to be restarted.")
	if s := loaded.Settings; s.Redis != "" && s.RedisUse != "limits" {
		p.say("Redis may hold copies of users from before the database was brought back: let two minutes pass from then to the next start.")
	}
	return nil
}

// withContext reads until ctx is done.
func withContext(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context //nolint:containedctx // it lives as long as one reading
	r   io.Reader
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

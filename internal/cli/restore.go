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
	InUse          bool   `name:"in-use" help:"Do it although a service is running on the database; it has to be restarted afterwards."`
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
		return c.native(p, s)
	}
	if c.InUse {
		return usageError("--in-use goes with --after-native alone: what is restored from a file takes the place of all that was there")
	}
	// To open a pipe would wait for who writes to it.
	if info, err := os.Stat(c.File); err == nil && !info.Mode().IsRegular() {
		return usageError(c.File + " is not a file; it is read twice, so it can be no pipe either")
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

// sessionsInRedis reports whether the settings keep sessions there.
func sessionsInRedis(s *server.Settings) bool { return s.Redis != "" && s.RedisUse != "limits" }

func (c restore) backup(s *server.Settings) error {
	if c.Resume {
		return usageError("--resume is for archives: a backup is restored as a whole or not at all")
	}
	if sessionsInRedis(s) && c.KeepSessions {
		return usageError("the sessions are in Redis, and not in the backup: leave out --keep-sessions, or put the file in its place by hand and run restore --after-native --keep-sessions")
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
	if sessionsInRedis(s) && c.keep() != gatehouse.KeepNothing {
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
	r := gatehouse.Restoration{At: now(), From: "archive", Keep: c.keep(), Partial: true}
	before, err := gatehouse.RestorationUnderWay(ctx, to)
	if err != nil {
		return err
	}
	if c.Resume && before != nil {
		if before.Keep != r.Keep || before.From != r.From {
			return usageError("what was interrupted there was to keep other things, or was a copy: go on with the same command and flags")
		}
		r.At = before.At
	} else if err := requireEmpty(ctx, to, "the database", c.Resume); err != nil {
		return err
	}
	if err := r.Note(ctx, to); err != nil {
		return err
	}
	progress := p.progress()
	defer progress.end()
	wait := &patience{progress: progress}
	t := &transfer{to: to, wait: wait, resume: c.Resume, tell: func(n int64) { progress.show(fmt.Sprintf("%13d records restored", n)) }}
	_, _, err = archive.Read(from, func(some *gatehouse.Records) error { return t.add(ctx, r.Records(some)) })
	if err == nil {
		err = t.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	var got *archive.Digest
	err = wait.try(ctx, "While it is checked, the database", func() (err error) {
		got, err = digestOf(ctx, to)
		return err
	})
	if err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	progress.end()
	fmt.Fprintf(p.out, "%s %s\n", got.Sum(), got)
	if *got != t.sent {
		return fmt.Errorf("%w: somebody else writes to the database; begin again with a new one", errDiffer)
	}
	r.Partial = false
	return r.Note(ctx, to)
}

// native begins anew in a database that has been brought back already. It is
// opened afterwards, because that puts it on record.
func (c restore) native(p *program, s *server.Settings) error {
	if c.Force || c.Resume {
		return usageError("--after-native goes with --keep-sessions, --as-is and --in-use alone")
	}
	r := gatehouse.Restoration{At: now(), From: "native", Keep: c.keep()}
	n, err := c.apply(p, s, r)
	if err != nil {
		return err
	}
	if err := p.operate(func(context.Context, *gatehouse.Gatehouse) error { return nil }); err != nil {
		return fmt.Errorf("what must not be used twice begins anew, but that is not on record: %w", err)
	}
	p.say(c.told(s, n))
	return nil
}

// apply works through Redis if there is one: part of the records is there.
func (c restore) apply(p *program, s *server.Settings, r gatehouse.Restoration) (n gatehouse.Renewal, err error) {
	ctx := context.Background()
	store, done, err := server.OpenStore(ctx, s, p.warnings(), c.InUse)
	if err != nil {
		return n, c.orInUse(err)
	}
	defer func() { err = errors.Join(err, done()) }()
	// Whoever cannot open it, for want of the right master secret, changes nothing.
	if err := p.operate(func(context.Context, *gatehouse.Gatehouse) error { return nil }); err != nil {
		return n, err
	}
	return r.Apply(ctx, store)
}

// orInUse adds to a refusal how to go on all the same.
func (c restore) orInUse(err error) error {
	if errors.Is(err, server.ErrServed) {
		return fmt.Errorf("%w; or say --in-use, and restart it afterwards", err)
	}
	return err
}

// told is what was done, in a line.
func (c restore) told(s *server.Settings, n gatehouse.Renewal) string {
	if c.keep() == gatehouse.KeepAll {
		return "Nothing begins anew: sessions, single-use proofs, waiting work and signing keys are those that were found."
	}
	where, keys := "", "the signing keys are new"
	if sessionsInRedis(s) {
		where = " in Redis"
	}
	sessions := fmt.Sprintf("%s%s ended", count(n.Ended, "session", "sessions"), where)
	if c.keep() == gatehouse.KeepSessions {
		sessions, keys = fmt.Sprintf("%s%s kept and %d ended", count(n.Kept, "session", "sessions"), where, n.Ended), "the signing keys stay"
	} else if s.Algorithm == string(gatehouse.HS256) {
		keys = "the secret that signs is yours to replace"
	}
	return fmt.Sprintf("Begun anew for %s: %s, %s and %s removed; %s.", count(n.Users, "user", "users"), sessions,
		count(n.Challenges, "single-use proof", "single-use proofs"), count(n.Tasks, "waiting task", "waiting tasks"), keys)
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

// now is the time as a store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/importing"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// importUsers is the command import.
type importUsers struct {
	Source         string            `arg:"" optional:"" help:"The export: a file of JSON, lines of JSON or CSV; or mongodb://…, a database that is in use."`
	URIFile        string            `name:"uri-file" help:"Read the mongodb://… from this file: other users of the machine can read arguments." type:"existingfile" placeholder:"FILE"`
	Collection     string            `help:"Collection of MongoDB." default:"users" placeholder:"NAME"`
	Format         string            `help:"What it comes from: ${formats}. Found out if it is not said." placeholder:"FORMAT"`
	DryRun         bool              `name:"dry-run" help:"Show what would happen, and change nothing."`
	OnDuplicate    string            `name:"on-duplicate" help:"Of several records with one address, in whichever case: reject all, or import the first or the newest." enum:"reject,first,newest" default:"reject" placeholder:"reject"`
	IDs            string            `name:"ids" help:"keep the ids, so that applications go on knowing users by them, or make new ones." enum:"keep,new" default:"keep" placeholder:"keep"`
	Map            map[string]string `help:"Where something is found, as email=MAIL_ADDRESS: id, email, name, password, salt, roles, created, updated, verified, disabled." placeholder:"WHAT=FIELD" mapsep:"none"`
	Role           map[string]string `help:"What a role is called here, as ROLE_ADMIN=admin; nothing behind = leaves it out." placeholder:"THERE=HERE" mapsep:"none"`
	Digest         string            `help:"The passwords are a bare digest: md5, sha1, sha256 or sha512, and p for the password alone, sp or ps for the salt before or behind it." placeholder:"sha1:sp"`
	FirebaseConfig string            `name:"firebase-config" help:"File with the password hash parameters of the project, as the console of Firebase shows them." type:"existingfile" placeholder:"FILE"`
	PepperFile     string            `name:"pepper-file" help:"File with the pepper of Devise." type:"existingfile" placeholder:"FILE"`
	Keep           []string          `help:"Fields to keep although they look like secrets, which are left out." placeholder:"FIELD"`
	Rejected       string            `help:"File for the records that are set aside; it must not exist. Default SOURCE.rejected.ndjson, and nowhere for a dry run." placeholder:"FILE"`
}

// errPartly: it was done, but for what was set aside.
var errPartly = errors.New("some records were set aside")

// errImportStopped: somebody typed Ctrl+C.
var errImportStopped = fmt.Errorf("%w; what came in stays, and the same command goes on with the rest", errStopped)

func (c importUsers) Run(p *program) error {
	source, name, err := c.source()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(operator(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	reader, err := c.reader(ctx, &source)
	if err != nil {
		return err
	}
	run := &importing.Run{Source: source, Reader: reader, OnDuplicate: importing.Choice(c.OnDuplicate)}
	if terminal(p.err) {
		run.Progress = importProgress(p)
	}
	if err := c.tellOfNew(ctx, p); err != nil {
		return err
	}
	rejected := &lateFile{name: c.Rejected, beside: name}
	if !c.DryRun || c.Rejected != "" {
		run.Rejected = rejected
	}
	if c.DryRun {
		return p.open(server.OpenTrial, func(_ context.Context, g *gatehouse.Gatehouse) error {
			run.Sink = g.CheckImport
			report, err := run.Do(ctx)
			return c.say(p, report, rejected.made, stopped(ctx, errors.Join(err, rejected.close())))
		})
	}
	return p.open(server.Open, func(_ context.Context, g *gatehouse.Gatehouse) error {
		in, err := g.BeginImport(ctx, reader.Format.Name)
		if err != nil {
			return err
		}
		run.Sink = in.Add
		report, err := run.Do(ctx)
		// What came in is put on record, however it ended.
		err = errors.Join(err, in.Finish(context.WithoutCancel(ctx)), rejected.close())
		return c.say(p, report, rejected.made, stopped(ctx, err))
	})
}

// tellOfNew says so if there is no database yet: perhaps another one was meant.
func (c importUsers) tellOfNew(ctx context.Context, p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	d := server.DatabaseOf(&loaded.Settings)
	there, err := d.Exists(ctx)
	switch {
	case err != nil:
		return err
	case there:
	case c.DryRun:
		p.say("There is no database yet at " + d.String() + ": this is what would come into a new one.")
	default:
		p.say("There is no database yet at " + d.String() + ": it is made, as gatehouse serve would make it.")
	}
	return nil
}

// stopped is err, unless it is what somebody wanted.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errImportStopped
	}
	return err
}

// source is where the records come from, and a name for files beside it.
func (c importUsers) source() (source importing.Source, name string, err error) {
	from := c.Source
	if c.URIFile != "" {
		if from != "" {
			return nil, "", usageError("name a source or --uri-file, not both")
		}
		b, err := os.ReadFile(c.URIFile)
		if err != nil {
			return nil, "", err
		}
		if from = strings.TrimSpace(string(b)); !importing.IsMongoDB(from) {
			return nil, "", usageError(c.URIFile + " does not begin with mongodb://")
		}
	}
	switch {
	case from == "":
		return nil, "", usageError("name the export, as in gatehouse import users.json")
	case importing.IsMongoDB(from):
		collection, err := importing.NewCollection(from, c.Collection)
		if err != nil {
			return nil, "", usageError(err.Error())
		}
		return collection, "mongodb", nil
	}
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", usageError("there is no file " + from)
	}
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", usageError(from + " is no file: it is read twice, so it cannot be a pipe or a folder")
	}
	return importing.File{Name: from}, from, nil
}

// mostLooks is how many records may say nothing of where they come from, before the
// one that does.
const mostLooks = 100

// reader makes users of the records; if need be it looks at the first of them to
// find out where they come from.
func (c importUsers) reader(ctx context.Context, source *importing.Source) (*importing.Reader, error) {
	r := &importing.Reader{NewIDs: c.IDs == "new", Map: c.Map, Roles: c.Role, Digest: c.Digest, Keep: c.Keep}
	if c.Format != "" {
		if r.Format = importing.Named(c.Format); r.Format == nil {
			return nil, usageError("no format is called " + c.Format + "; they are " + strings.Join(importing.Names(), ", "))
		}
		if file, ok := (*source).(importing.File); ok {
			file.Columns = r.Format.Columns
			*source = file
		}
	} else {
		looks := 0
		for rec, err := range (*source).Records(ctx) {
			if err != nil {
				return nil, err
			}
			if r.Format = importing.Detect(rec); r.Format != nil {
				break
			}
			if looks++; looks == mostLooks {
				break
			}
		}
		if r.Format == nil {
			return nil, usageError("the first records do not tell what they come from: name it with --format: " + strings.Join(importing.Names(), ", "))
		}
	}
	var err error
	if c.FirebaseConfig != "" {
		if r.Firebase, err = importing.ReadFirebaseHash(c.FirebaseConfig); err != nil {
			return nil, usageError(err.Error())
		}
	}
	if c.PepperFile != "" {
		if r.Pepper, err = os.ReadFile(c.PepperFile); err != nil {
			return nil, err
		}
		r.Pepper = []byte(strings.TrimRight(string(r.Pepper), "\r\n"))
	}
	if err := r.Check(); err != nil {
		return nil, usageError(err.Error())
	}
	return r, nil
}

// mostShown is how many fields are shown of those that were left out.
const mostShown = 20

// say tells what came of it, and is the error that goes with it.
func (c importUsers) say(p *program, r *importing.Report, rejected string, err error) error {
	if terminal(p.err) && r.Records > 0 {
		fmt.Fprint(p.err, "\r\033[K")
	}
	verb := map[bool]string{true: "would be imported", false: "imported"}[c.DryRun]
	e := p.table("", func(row func(...string)) {
		n := func(what string, n int) { row(what, fmt.Sprint(n)) }
		n("records", r.Records)
		n(verb, r.Added)
		for _, k := range slices.Sorted(maps.Keys(r.Kinds)) {
			n("  password "+k, r.Kinds[k])
		}
		if r.WithoutPassword > 0 {
			n("  without a password", r.WithoutPassword)
		}
		if r.Disabled > 0 {
			n("  disabled", r.Disabled)
		}
		n("imported before", r.Present)
		if r.Other > 0 {
			n("no users", r.Other)
		}
		n("set aside", r.Rejected)
		for _, code := range r.Codes() {
			reason := r.Reasons[code]
			row("  "+code, fmt.Sprint(reason.N), reason.Text, strings.Join(reason.Examples, "; "))
		}
		if secrets := r.Secrets(); len(secrets) > 0 {
			row("fields left out", fmt.Sprint(len(secrets)), "They look like secrets; --keep FIELD keeps one.")
			for _, name := range secrets[:min(len(secrets), mostShown)] {
				n("  "+name, r.LeftOut[name])
			}
		}
	})
	switch {
	case err != nil:
		return errors.Join(err, e)
	case e != nil:
		return e
	case c.DryRun:
		p.say("Nothing was changed.")
	}
	if rejected != "" {
		p.say("What was set aside is in " + rejected + ", which holds password hashes: delete it when it is of no more use.")
	}
	if r.Rejected > 0 {
		return fmt.Errorf("%w: %d of %d", errPartly, r.Rejected, r.Records)
	}
	return nil
}

// importProgress shows on a terminal how far it is, twice a second.
func importProgress(p *program) func(done, total int) {
	var began, last time.Time
	first := 0
	return func(done, total int) {
		now := time.Now()
		if now.Sub(last) < 500*time.Millisecond {
			return
		}
		last = now
		if done == 0 {
			fmt.Fprintf(p.err, "\r\033[K%d records found", total)
			return
		}
		if began.IsZero() {
			began, first = now, done
		}
		rate := ""
		if s := now.Sub(began).Seconds(); s > 0 {
			rate = fmt.Sprintf(", %.0f/s", float64(done-first)/s)
		}
		fmt.Fprintf(p.err, "\r\033[K%d of %d records%s", done, total, rate)
	}
}

// lateFile is made when the first is written into it, for its owner alone.
type lateFile struct {
	name   string // or
	beside string
	made   string
	file   *os.File
}

func (f *lateFile) Write(b []byte) (int, error) {
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, fmt.Errorf("file for what is set aside: %w", err)
		}
	}
	return f.file.Write(b)
}

// open makes the file, and never replaces one: it may be in the middle of being
// mended.
func (f *lateFile) open() (err error) {
	f.made = f.name
	for n := 1; f.file == nil; n++ {
		if f.name == "" {
			f.made = f.beside + ".rejected.ndjson"
			if n > 1 {
				f.made = fmt.Sprintf("%s.rejected.%d.ndjson", f.beside, n)
			}
		}
		f.file, err = os.OpenFile(f.made, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil && (f.name != "" || !errors.Is(err, fs.ErrExist)) {
			f.made = ""
			return err
		}
	}
	return nil
}

func (f *lateFile) close() error {
	if f.file == nil {
		return nil
	}
	return errors.Join(f.file.Sync(), f.file.Close())
}

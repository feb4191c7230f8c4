package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/importing"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// Exit statuses.
const (
	exitFault   = 1
	exitUsage   = 2
	exitMissing = 3
	exitPartly  = 4
	// As for a program that SIGINT ended.
	exitInterrupted = 130
)

// commands is the grammar of the command line.
type commands struct {
	Settings server.Settings `embed:""`

	Serve       serve       `cmd:"" default:"1" help:"Serve logins. This is what gatehouse does when no command is given."`
	Config      config      `cmd:"" help:"Show the settings in force and where each comes from."`
	User        userGroup   `cmd:"" help:"Administer users."`
	Keys        keysGroup   `cmd:"" help:"Administer the keys that sign access tokens."`
	Redis       redisGroup  `cmd:"" help:"Administer the Redis in front of the database."`
	Breach      breachGroup `cmd:"" help:"Make and ask files of leaked passwords."`
	Events      eventsGroup `cmd:"" help:"Read and verify the audit log."`
	Why         why         `cmd:"" help:"Show why a request was refused."`
	Migrate     migrate     `cmd:"" help:"Bring the database to the schema of this version. Serve does that by itself."`
	Import      importUsers `cmd:"" help:"Bring users in from another system, with their passwords."`
	Backup      backup      `cmd:"" help:"Copy the database to a file while it is in use."`
	Restore     restore     `cmd:"" help:"Bring back a backup or an archive. The service must be stopped."`
	Export      export      `cmd:"" help:"Write all that the store holds to a file that needs no database to be read."`
	Copy        copyStore   `cmd:"" name:"copy" help:"Copy all that a store holds to another."`
	Adopt       adopt       `cmd:"" help:"Make the users of an application in MongoDB users of Gatehouse, where they are."`
	Bench       benchGroup  `cmd:"" help:"Measure this machine."`
	Healthcheck healthcheck `cmd:"" help:"Ask the service on this machine whether it is ready."`
	Version     version     `cmd:"" help:"Show the version of this program."`
}

// program is what a command has to work with.
type program struct {
	in       *os.File
	out, err io.Writer
	environ  []string

	flags map[string]string // the flags of settings that were given
}

// Main runs the command of args and returns the exit status.
func Main(args, environ []string, in *os.File, out, err io.Writer) (status int) {
	p := &program{in: in, out: out, err: err, environ: environ, flags: map[string]string{}}
	defer func() {
		// The parser ends the program after --help by calling its Exit.
		switch e := recover().(type) {
		case nil:
		case exit:
			status = int(e)
		default:
			panic(e)
		}
	}()
	var c commands
	parser, perr := kong.New(&c, p.options(&c)...)
	if perr != nil {
		panic(perr) // the grammar is wrong, and no command would work
	}
	parsed, perr := parser.Parse(args)
	if perr != nil {
		fmt.Fprintf(err, "gatehouse: %s\nTry gatehouse --help.\n", server.Printable(perr.Error()))
		return exitUsage
	}
	return p.report(parsed.Run(p))
}

type exit int

func (p *program) options(c *commands) []kong.Option {
	options := []kong.Option{
		kong.Name("gatehouse"),
		kong.Description("Logging in for your applications.\n\n" +
			"Every flag that sets something is also a variable, --site-name being GATEHOUSE_SITE_NAME, and a key of the YAML file, site_name. " +
			"Exit status: 0 done, 1 fault, 2 not accepted, 3 not found, 4 done in part."),
		kong.Vars{"formats": strings.Join(importing.Names(), ", ")},
		kong.Writers(p.out, p.err),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Help(help),
	}
	// The words of settings are taken as they are; package server reads them,
	// so that all faults are found at once, wherever they stand.
	settings := reflect.ValueOf(&c.Settings).Elem()
	for _, field := range settings.Fields() {
		var m kong.Mapper = words{p.flags}
		if field.Kind() == reflect.Bool {
			m = truth{words{p.flags}}
		}
		options = append(options, kong.ValueMapper(field.Addr().Interface(), m))
	}
	return options
}

// words keeps the value of a flag without understanding it.
type words struct{ of map[string]string }

func (w words) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var word string
	if ctx.Scan.Peek().IsEOL() {
		return errors.New("needs a value")
	}
	if err := ctx.Scan.PopValueInto("value", &word); err != nil {
		return err
	}
	w.keep(ctx, target, word)
	return nil
}

// keep keeps what was typed. The parser also decodes each default, straight into
// the field, while what is typed goes into a value of its own first.
func (w words) keep(ctx *kong.DecodeContext, target reflect.Value, word string) {
	if target.CanAddr() && target.Addr().Pointer() == ctx.Value.Target.Addr().Pointer() {
		return
	}
	if before, given := w.of[ctx.Value.Name]; given && target.Kind() == reflect.Slice {
		word = before + "," + word
	}
	w.of[ctx.Value.Name] = word
}

// truth is words for a flag that may stand alone.
type truth struct{ words }

func (truth) IsBool() bool { return true }

func (t truth) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		return t.words.Decode(ctx, target)
	}
	t.keep(ctx, target, "true")
	return nil
}

// load reads the settings.
func (p *program) load() (*server.Loaded, error) {
	return server.Load(server.Input{Flags: p.flags, Environ: p.environ})
}

// help leaves the flags of the settings to the commands that are about them.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	short := ctx.Selected() != nil && !strings.HasPrefix(ctx.Command(), "serve") && !strings.HasPrefix(ctx.Command(), "config")
	for _, f := range ctx.Model.Flags {
		f.Hidden = short && f.Group != nil && f.Name != "data" && f.Name != "config" && f.Name != "database"
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	if short {
		_, err := fmt.Fprint(ctx.Stdout, "\nThe flags of all settings are shown by gatehouse --help.\n")
		return err
	}
	return nil
}

// report says what went wrong and returns the exit status that goes with it.
func (p *program) report(err error) int {
	if err == nil {
		return 0
	}
	if faults, ok := errors.AsType[server.Faults](err); ok {
		fmt.Fprintf(p.err, "gatehouse: %s\n", count(len(faults), "setting cannot be accepted", "settings cannot be accepted"))
		for _, f := range faults {
			fmt.Fprintf(p.err, "  %s\n", f.Error())
		}
		return exitUsage
	}
	text, status := err.Error(), exitFault
	refusal, ok := errors.AsType[*gatehouse.Error](err)
	switch {
	case ok:
		text = refusal.Text
		if refusal.Err != nil {
			text += " (" + refusal.Err.Error() + ")"
		}
		switch refusal.Kind {
		case gatehouse.NotFound:
			status = exitMissing
		case gatehouse.Invalid:
			status = exitUsage
		}
	case errors.Is(err, server.ErrNoDatabase), errors.Is(err, server.ErrNoRefusal):
		status = exitMissing
	case errors.Is(err, errPartly):
		status = exitPartly
	case errors.Is(err, errUsage):
		status = exitUsage
	case errors.Is(err, errInterrupted), errors.Is(err, errStopped):
		status = exitInterrupted
	}
	fmt.Fprintf(p.err, "gatehouse: %s\n", server.Printable(text))
	return status
}

// errUsage marks what should have been typed otherwise.
var errUsage = errors.New("usage")

type usageError string

func (e usageError) Error() string        { return string(e) }
func (e usageError) Is(target error) bool { return target == errUsage }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// terminal reports whether f is one, with a person before it.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

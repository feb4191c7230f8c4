package cli

import (
	"context"
	"crypto/sha1" //nolint:gosec // what such lists are made of; nothing is protected by it
	"fmt"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/breach"
)

type breachGroup struct {
	Build  breachBuild  `cmd:"" help:"Make a file of leaked passwords from a list of SHA-1 hashes."`
	Check  breachCheck  `cmd:"" help:"Say whether a password is in such a file. The password is asked for."`
	Verify breachVerify `cmd:"" help:"Read such a file to its end and say whether it is sound."`
}

type breachBuild struct {
	File     string `arg:"" help:"List with a line SHA1:COUNT for each password, in any order; a folder with the answers of the range service, named like 21BD1.txt; or - for standard input."`
	Out      string `help:"File to make, in the place of one that is there. Without it, the name of the list with .breach at the end." placeholder:"FILE"`
	MinCount uint64 `name:"min-count" default:"1" help:"Leave out passwords that were seen less often." placeholder:"N"`
}

func (c breachBuild) Run(p *program) error {
	out := c.Out
	var hashes iter.Seq2[breach.Hash, error]
	switch {
	case c.File == "-" && out == "":
		return usageError("name the file to make with --out")
	case c.File == "-":
		hashes = breach.ReadLines(p.in, "")
	default:
		hashes = breach.Read(c.File)
		if out == "" {
			out = strings.TrimSuffix(filepath.Clean(c.File), ".txt") + ".breach"
		}
		if same(c.File, out) {
			return usageError("the file to make must not be the list")
		}
	}
	ctx, stop := interruptible()
	defer stop()
	progress := p.progress()
	info, err := breach.Build(ctx, out, hashes, breach.BuildOptions{MinCount: c.MinCount, Progress: progress.tell})
	progress.end()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out, out)
	p.say(describe(info))
	p.say("To use it, set GATEHOUSE_BREACH_FILE to it and start the service anew.")
	return nil
}

// interruptible is a context that ends at the first SIGINT or SIGTERM, so that
// nothing is left over; a second one ends the process.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// same reports whether both names are of one file that is there.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// progress is how far a build has come, for people: on a terminal one line that
// changes every second, elsewhere a line every ten.
type progress struct {
	p     *program
	every time.Duration
	last  time.Time
	open  bool // the line on the terminal
}

func (p *program) progress() *progress {
	every := 10 * time.Second
	if terminal(p.err) {
		every = time.Second
	}
	return &progress{p: p, every: every, last: time.Now()}
}

func (p *progress) tell(b breach.Progress) {
	text := fmt.Sprintf("%13d hashes read, %13d of them kept", b.Read, b.Kept)
	if b.Written > 0 {
		text = fmt.Sprintf("%13d hashes written of %13d", b.Written, b.Kept)
	}
	p.show(text)
}

// show shows how far it is, if it is time to.
func (p *progress) show(text string) {
	if time.Since(p.last) < p.every {
		return
	}
	p.last = time.Now()
	if p.open = terminal(p.p.err); p.open {
		fmt.Fprintf(p.p.err, "\r%-60s", text)
		return
	}
	fmt.Fprintln(p.p.err, text)
}

func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.p.err)
	}
	p.open = false
}

func describe(i breach.Info) string {
	text := count(int(i.Count), "hash", "hashes")
	if i.MinCount > 1 {
		text += fmt.Sprintf(", seen %d times or more", i.MinCount)
	}
	return text + fmt.Sprintf(", in %d bytes. Of passwords that are not in it, one in %.0f is taken for one that is.", i.Size, 1/i.FalsePositives())
}

type breachFile struct {
	File string `arg:"" help:"File made by gatehouse breach build."`
}

type breachCheck struct {
	breachFile
	PasswordStdin bool `name:"password-stdin" help:"Read the password from standard input."`
}

func (c breachCheck) Run(p *program) error {
	f, err := breach.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	password, err := p.passwordOnce("Password to look for", c.PasswordStdin)
	if err != nil {
		return err
	}
	found, err := f.Contains(context.Background(), sha1.Sum(norm.NFC.Bytes([]byte(password)))) //nolint:gosec // see above
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	answer := "not in the list"
	if found {
		answer = "in the list"
	}
	fmt.Fprintln(p.out, answer)
	return nil
}

type breachVerify struct{ breachFile }

func (c breachVerify) Run(p *program) error {
	f, err := breach.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, stop := interruptible()
	defer stop()
	err = f.Verify(ctx)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	fmt.Fprintln(p.out, "sound")
	p.say(describe(f.Info()))
	return nil
}

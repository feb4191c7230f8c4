package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/archive"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type export struct {
	File           string   `arg:"" help:"File to make; it must not exist."`
	Recipient      []string `help:"Encrypt for this public key of age (age1…); may be given more than once." placeholder:"KEY" sep:"none" xor:"lock"`
	RecipientsFile string   `name:"recipients-file" help:"Encrypt for the public keys of age in this file." placeholder:"FILE" type:"existingfile" xor:"lock"`
	Passphrase     bool     `help:"Encrypt with a passphrase, which is asked for." xor:"lock"`
	PassphraseFile string   `name:"passphrase-file" help:"Encrypt with the passphrase in this file." placeholder:"FILE" type:"existingfile" xor:"lock"`
}

// Run writes everything that the store holds while it is in use.
func (c export) Run(p *program) error {
	lock, err := c.lock(p)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.File); err == nil { // before it is on record that there is an archive
		return errTaken(c.File)
	}
	ctx, stop := interruptible()
	defer stop()
	var digest *archive.Digest
	err = p.openInstance(server.OpenExisting, func(_ context.Context, i *server.Instance) error {
		store, ok := i.Store.(movable)
		if !ok {
			return errors.New("this store cannot be exported")
		}
		if err := i.Gatehouse.NoteCopy(operator(), "archive"); err != nil {
			return err
		}
		return writeNew(c.File, func(f *os.File) (err error) {
			digest, err = c.write(ctx, p, store, f, lock)
			return err
		})
	})
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, fs.ErrExist):
		return errTaken(c.File)
	case err != nil:
		return err
	}
	fmt.Fprintf(p.out, "%s %s\n", digest.Sum(), digest)
	p.say("The archive is complete. The master secret is not in it: keep that as well, in another place.")
	if lock == nil {
		p.say("Everybody who can read the file can read addresses and the hashes of passwords; --recipient and --passphrase encrypt it.")
	}
	return nil
}

func (c export) write(ctx context.Context, p *program, store gatehouse.Mover, f io.Writer, lock *archive.Lock) (*archive.Digest, error) {
	finish := func() error { return nil }
	if lock != nil {
		w, err := lock.Encrypt(f)
		if err != nil {
			return nil, err
		}
		f, finish = w, w.Close
	}
	progress := p.progress()
	defer progress.end()
	a, n := archive.NewWriter(f, archive.Header{Gatehouse: versionName(), CreatedAt: time.Now()}), 0
	err := store.Walk(ctx, func(r *gatehouse.Records) error {
		r = withoutNote(r)
		n += r.Len()
		progress.show(fmt.Sprintf("%13d records written", n))
		return a.Write(r)
	})
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	digest, err := a.Close()
	return digest, errors.Join(err, finish())
}

// lock is whom to encrypt for; nil: nobody.
func (c export) lock(p *program) (*archive.Lock, error) {
	switch {
	case len(c.Recipient) > 0:
		l, err := archive.LockFor(strings.NewReader(strings.Join(c.Recipient, "\n")))
		if err != nil {
			return nil, usageError("--recipient must be a public key of age, such as age1… from age-keygen")
		}
		return l, nil
	case c.RecipientsFile != "":
		f, err := os.Open(c.RecipientsFile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		l, err := archive.LockFor(f)
		if err != nil {
			return nil, usageError(c.RecipientsFile + " must have public keys of age, one a line")
		}
		return l, nil
	case c.Passphrase, c.PassphraseFile != "":
		phrase, err := p.passphrase(c.PassphraseFile, p.password)
		if err != nil {
			return nil, err
		}
		if len(phrase) < leastPassphrase {
			return nil, usageError(fmt.Sprintf("the passphrase must have at least %d characters: who has the file can try as often as they like", leastPassphrase))
		}
		return archive.LockWith(phrase)
	}
	return nil, nil
}

const leastPassphrase = 12

// passphrase is what a file holds, but for a line break at its end, or what a
// person answers.
func (p *program) passphrase(file string, ask func(prompt string, stdin bool) (string, error)) (string, error) {
	if file == "" {
		if !terminal(p.in) {
			return "", usageError("there is no terminal to ask for the passphrase on; use --passphrase-file")
		}
		return ask("Passphrase", false)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostPassword+1))
	if err != nil {
		return "", err
	}
	if len(b) > mostPassword {
		return "", usageError(file + " is too long for a passphrase")
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// mostPassword is more than any password that is accepted, in bytes.
const mostPassword = 4096

// password asks for a password twice, or reads standard input to its end, a
// line break at which is not part of it. It is never an argument, because every
// user of a machine can read those.
func (p *program) password(prompt string, stdin bool) (string, error) {
	return p.readPassword(stdin, prompt, "The same again")
}

// passwordOnce is password for one that is only looked at.
func (p *program) passwordOnce(prompt string, stdin bool) (string, error) {
	return p.readPassword(stdin, prompt)
}

func (p *program) readPassword(stdin bool, prompts ...string) (string, error) {
	if stdin {
		b, err := io.ReadAll(io.LimitReader(p.in, mostPassword+1))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if len(b) > mostPassword {
			return "", usageError("the password is too long")
		}
		return string(bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))), nil
	}
	if !terminal(p.in) {
		return "", usageError("there is no terminal to ask for the password on; use --password-stdin")
	}
	return p.ask(prompts)
}

// errInterrupted: somebody typed Ctrl+C or Ctrl+D instead of an answer.
var errInterrupted = errors.New("interrupted; nothing was changed")

// ask has the terminal stop showing what is typed before it prompts: what is
// pasted at once must not appear either. Every answer has to be the same.
func (p *program) ask(prompts []string) (password string, err error) {
	fd := int(p.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(fd, before)) }()
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{p.in, p.err}, "")
	for i, prompt := range prompts {
		answer, err := t.ReadPassword(server.Printable(prompt + ": "))
		if errors.Is(err, io.EOF) {
			_, _ = io.WriteString(t, "\n")
			return "", errInterrupted
		}
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if i > 0 && answer != password {
			return "", errors.New("the two passwords are not the same; nothing was changed")
		}
		password = answer
	}
	return password, nil
}

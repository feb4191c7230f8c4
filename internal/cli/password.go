package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// mostPassword is more than any password that is accepted, in bytes.
const mostPassword = 4096

// password asks for a password twice, or reads standard input to its end, a
// line break at which is not part of it. It is never an argument, because every
// user of a machine can read those.
func (p *program) password(prompt string, stdin bool) (string, error) {
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
	first, err := p.hidden(prompt + ": ")
	if err != nil {
		return "", err
	}
	second, err := p.hidden("The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords are not the same; nothing was changed")
	}
	return first, nil
}

// hidden reads a line that is not shown.
func (p *program) hidden(prompt string) (string, error) {
	fd := int(p.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	// Who is interrupted while typing wants to see what they type afterwards.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	done := make(chan struct{})
	defer func() { signal.Stop(interrupted); close(done) }()
	go func() {
		select {
		case <-interrupted:
			_ = term.Restore(fd, before)
			fmt.Fprintln(p.err)
			os.Exit(130)
		case <-done:
		}
	}()
	fmt.Fprint(p.err, server.Printable(prompt))
	line, err := term.ReadPassword(fd)
	fmt.Fprintln(p.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(line), nil
}

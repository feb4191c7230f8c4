package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// ErrLocked: the archive is encrypted, and not for the key that was given.
var ErrLocked = errors.New("the archive is encrypted, and this is not the key to it")

// Lock is whom an archive is encrypted for.
type Lock struct{ recipients []age.Recipient }

// LockWith encrypts for whoever knows a passphrase.
func LockWith(passphrase string) (*Lock, error) {
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	return &Lock{[]age.Recipient{r}}, nil
}

// LockFor encrypts for recipients as age writes them (age1…), one a line.
func LockFor(lines io.Reader) (*Lock, error) {
	list, err := age.ParseRecipients(lines)
	if err != nil {
		return nil, err
	}
	return &Lock{list}, nil
}

// Encrypt is a writer of which only what is encrypted reaches w. It has to be
// closed, and does not close w.
func (l *Lock) Encrypt(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, l.recipients...) }

// Key opens what is encrypted.
type Key struct{ identities []age.Identity }

// KeyOf is the key that a passphrase is.
func KeyOf(passphrase string) (*Key, error) {
	i, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	// What an archive asks for is its maker's choice: a gigabyte, four times what age
	// asks for by itself, and no more.
	i.SetMaxWorkFactor(20)
	return &Key{[]age.Identity{i}}, nil
}

// KeyFrom reads identities as age-keygen writes them.
func KeyFrom(lines io.Reader) (*Key, error) {
	list, err := age.ParseIdentities(lines)
	if err != nil {
		return nil, err
	}
	return &Key{list}, nil
}

// Decrypt reads what is encrypted. [ErrLocked] if it is for others; what was
// changed is an error of a later read, wrapped in [ErrDamaged].
func (k *Key) Decrypt(r io.Reader) (io.Reader, error) {
	plain, err := age.Decrypt(r, k.identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return sealed{plain}, nil
}

type sealed struct{ r io.Reader }

func (s sealed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return n, err
}

// What a file is, by its first bytes.
type Sort int

// The sorts of file.
const (
	Other Sort = iota
	Plain
	Encrypted
)

// SortOf looks at the beginning of a file.
func SortOf(r io.Reader) (Sort, error) {
	const sealed, open = "age-encryption.org/v1\n", `{"gatehouse_archive":`
	begin, err := bufio.NewReaderSize(r, 64).Peek(max(len(sealed), len(open)))
	if err != nil && !errors.Is(err, io.EOF) {
		return Other, err
	}
	switch {
	case bytes.HasPrefix(begin, []byte(sealed)):
		return Encrypted, nil
	case bytes.HasPrefix(begin, []byte(open)):
		return Plain, nil
	}
	return Other, nil
}

package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// maxSecret is the most bytes a file with a secret may have.
const maxSecret = 4096

// containerSecrets is where container engines put secrets, with a mode of their
// own choosing that nobody else on the machine can make use of.
const containerSecrets = "/run/secrets/"

// ReadSecretFile is the secret in a file that its owner alone can read: all of it,
// except for the line break that editors put at the end. Errors lack the name.
func ReadSecretFile(name string) (gatehouse.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return gatehouse.Secret{}, errors.New(reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return gatehouse.Secret{}, errors.New(reason(err))
	}
	if info.IsDir() {
		return gatehouse.Secret{}, errors.New("is a folder")
	}
	if path, err := filepath.Abs(name); err == nil && others(info.Mode()) && !strings.HasPrefix(path, containerSecrets) {
		return gatehouse.Secret{}, fmt.Errorf("can be read by other users: chmod 600 %s", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return gatehouse.Secret{}, errors.New(reason(err))
	}
	if len(b) > maxSecret {
		return gatehouse.Secret{}, fmt.Errorf("is larger than %d bytes", maxSecret)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return gatehouse.Secret{}, errors.New("is empty")
	}
	return gatehouse.NewSecret(b), nil
}

// makeSecretFile keeps a new secret in a file that did not exist, and returns
// the one that is kept: of several processes at once, all return the same.
func makeSecretFile(name string) (gatehouse.Secret, error) {
	// Written in full under another name first: whoever finds the file finds a
	// whole secret in it, also after the power failed.
	f, err := os.CreateTemp(filepath.Dir(name), ".secret-*") // mode 0600
	if err != nil {
		return gatehouse.Secret{}, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(rand.Text() + rand.Text() + "\n") // 260 bits
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return gatehouse.Secret{}, err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return gatehouse.Secret{}, err
	}
	if err := SyncFolder(filepath.Dir(name)); err != nil {
		return gatehouse.Secret{}, err
	}
	return ReadSecretFile(name)
}

// SyncFolder makes a new name in a folder outlive a power failure, where the
// system lets folders be opened for that.
func SyncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// readSecretFiles puts what is in the files in the place of the secrets, and of the
// addresses that may hold one.
func (l *loader) readSecretFiles() {
	for _, p := range l.Settings.secrets() {
		if secret, from, ok := l.secretFile(p.name, *p.file); ok {
			*p.secret, l.from[p.name] = secret, from
		}
	}
	for _, p := range l.Settings.addresses() {
		if secret, _, ok := l.secretFile(p.name, *p.file); ok {
			*p.address, l.from[p.name] = string(secret.Reveal()), Source{Kind: "file", Name: *p.file}
		}
	}
}

// secretFile is what is in the file that the setting beside this one names.
func (l *loader) secretFile(name, file string) (gatehouse.Secret, Source, bool) {
	if file == "" {
		return gatehouse.Secret{}, Source{}, false
	}
	from := l.From(name + "-file")
	if other, both := l.from[name]; both {
		l.fault(from, name+"-file", "and %s (%s) are both set; keep one", strings.ReplaceAll(name, "-", "_"), other)
		return gatehouse.Secret{}, Source{}, false
	}
	secret, err := ReadSecretFile(file)
	if err != nil {
		l.fault(from, name+"-file", "%s %v", file, err)
	}
	return secret, from, err == nil
}

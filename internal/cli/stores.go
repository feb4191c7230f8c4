package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// movable is a store all of whose records can be moved.
type movable interface {
	gatehouse.Store
	gatehouse.Mover
}

// openStore opens a database, and makes it if it may. One of an older version is
// refused, not migrated: it may be a source, which is only read.
func openStore(ctx context.Context, d server.Database, create bool) (movable, error) {
	current, wanted, err := d.SchemaVersion(ctx)
	if errors.Is(err, fs.ErrNotExist) { // a file that is not there
		current, err = 0, nil
	}
	switch {
	case err != nil:
		return nil, err
	case current == 0 && !create:
		return nil, fmt.Errorf("%w at %s", server.ErrNoDatabase, d)
	case current != 0 && current < wanted:
		return nil, fmt.Errorf("%s has schema %d and this version works with %d: run gatehouse migrate first", d, current, wanted)
	}
	store, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	m, ok := store.(movable)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s cannot be moved", d.Engine()), store.Close())
	}
	return m, nil
}

// databaseAt is the database of an address as it stands in the settings, or where
// that is to be found: env:NAME is a variable, file:FILE is a file that its owner
// alone can read.
func (p *program) databaseAt(word string) (server.Database, error) {
	address, err := p.addressOf(word)
	if err != nil {
		return server.Database{}, err
	}
	d := server.DatabaseOf(&server.Settings{Database: address})
	if address == "" || d.Engine() == "" {
		// What was typed may hold a password.
		return d, usageError("that is no address of a database: write sqlite:FILE, postgres://… or mongodb://…, or env:NAME or file:FILE where it stands")
	}
	if address == word && d.HasPassword() {
		p.say("The password of " + d.String() + " can be read by every user of this machine while the command runs: use env:NAME or file:FILE instead.")
	}
	return d, nil
}

func (p *program) addressOf(word string) (string, error) {
	if name, ok := strings.CutPrefix(word, "env:"); ok {
		value := ""
		for _, e := range p.environ {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				value = v
			}
		}
		if name == "" || value == "" {
			return "", usageError("there is no variable " + name + " in the environment, or it is empty")
		}
		return value, nil
	}
	if name, ok := strings.CutPrefix(word, "file:"); ok {
		address, err := server.ReadSecretFile(name)
		if err != nil {
			return "", usageError(name + " " + err.Error())
		}
		return string(address.Reveal()), nil
	}
	return word, nil
}

func errTaken(file string) error {
	return fmt.Errorf("%s is there already and is left as it is; name another file", file)
}

// writeNew makes a file that only its owner can read, and that appears under its
// name when it is complete and on the disk. fs.ErrExist if the name is taken.
func writeNew(name string, fill func(*os.File) error) error {
	// This is for a clear answer before the work; the link decides.
	if _, err := os.Lstat(name); err == nil {
		return fs.ErrExist
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil {
		// Some file systems have no links. The check and the renaming are then two
		// steps, between which another process might make the file.
		if _, missing := os.Lstat(name); !errors.Is(missing, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(f.Name(), name); err != nil {
			return err
		}
	}
	return server.SyncFolder(filepath.Dir(name))
}

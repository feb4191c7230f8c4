package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/mongo"
	"github.com/gatehouse-auth/gatehouse/store/postgres"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// ErrNoDatabase is the answer of [OpenExisting] when nothing was ever kept where
// the settings point to.
var ErrNoDatabase = errors.New("there is no database")

// Database is a database by its address, which is that of the setting: sqlite:FILE,
// postgres://… or mongodb://…
type Database struct {
	address string

	// Waiting is told, in a sentence without a full stop, what Open and Migrate wait
	// for if that may take a while. Nil: nobody is.
	Waiting func(why string)
}

// DatabaseOf is the database that the settings choose.
func DatabaseOf(s *Settings) Database {
	if s.Database == "" {
		return Database{address: "sqlite:" + filepath.Join(s.Data, "gatehouse.db")}
	}
	return Database{address: s.Database}
}

// String is the address as it may be shown: without passwords.
func (d Database) String() string { return shown(d.address) }

// HasPassword reports whether the address has a password in it.
func (d Database) HasPassword() bool {
	u, _, err := parseAddress(d.address)
	if err != nil {
		return strings.Contains(d.address, "@")
	}
	_, has := u.User.Password()
	return has || hasPassword(u)
}

// File is the path of the file of SQLite; ok is false for all others.
func (d Database) File() (path string, ok bool) { return strings.CutPrefix(d.address, "sqlite:") }

func (d Database) scheme() string {
	scheme, _, _ := strings.Cut(d.address, ":")
	return scheme
}

// Engine is the name of the engine, for people.
func (d Database) Engine() string { return engines[d.scheme()].name }

// Open opens the database, and makes in it what is missing.
func (d Database) Open(ctx context.Context) (gatehouse.Store, error) {
	switch d.scheme() {
	case "sqlite":
		file, _ := d.File()
		return sqlite.Open(file, sqlite.Options{})
	case "postgres", "postgresql":
		return postgres.Open(ctx, d.address, postgres.Options{Waiting: d.Waiting})
	case "mongodb", "mongodb+srv":
		return mongo.Open(ctx, d.address, mongo.Options{})
	}
	return nil, d.unknown()
}

// Exists reports whether anything was ever kept there.
func (d Database) Exists(ctx context.Context) (bool, error) {
	if file, ok := d.File(); ok {
		_, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	current, _, err := d.SchemaVersion(ctx)
	return current > 0, err
}

// untouched reports whether no service was ever there: no database, or one in which
// gatehouse migrate has made what a service needs.
func (d Database) untouched(ctx context.Context) (_ bool, err error) {
	if there, err := d.Exists(ctx); err != nil || !there {
		return true, err
	}
	// To open one of an earlier version would migrate it.
	if current, wanted, err := d.SchemaVersion(ctx); err != nil || current != wanted {
		return false, err
	}
	store, err := d.Open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	err = store.(gatehouse.Mover).Walk(ctx, func(*gatehouse.Records) error { return errTouched }) // all of them are
	if errors.Is(err, errTouched) {
		return false, nil
	}
	return true, err
}

var errTouched = errors.New("something is kept there")

// Require is nil if anything was ever kept there, and [ErrNoDatabase] otherwise.
func (d Database) Require(ctx context.Context) error {
	there, err := d.Exists(ctx)
	if err != nil || there {
		return err
	}
	file, ok := d.File()
	if !ok {
		return fmt.Errorf("%w of Gatehouse at %s yet; gatehouse serve makes one, or gatehouse migrate with the rights of its owner", ErrNoDatabase, d)
	}
	if path, err := filepath.Abs(file); err == nil {
		file = path
	}
	return fmt.Errorf("%w at %s; name the data folder with --data or GATEHOUSE_DATA", ErrNoDatabase, file)
}

// SchemaVersion is the version of the schema and the one that this program works
// with. It changes nothing.
func (d Database) SchemaVersion(ctx context.Context) (current, wanted int, err error) {
	switch d.scheme() {
	case "sqlite":
		file, _ := d.File()
		return sqlite.SchemaVersion(ctx, file)
	case "postgres", "postgresql":
		return postgres.SchemaVersion(ctx, d.address)
	case "mongodb", "mongodb+srv":
		return mongo.SchemaVersion(ctx, d.address)
	}
	return 0, 0, d.unknown()
}

// Migrate brings the schema to that of this program.
func (d Database) Migrate(ctx context.Context) (from, to int, err error) {
	switch d.scheme() {
	case "sqlite":
		file, _ := d.File()
		return sqlite.Migrate(ctx, file)
	case "postgres", "postgresql":
		return postgres.Migrate(ctx, d.address, postgres.Options{Waiting: d.Waiting})
	case "mongodb", "mongodb+srv":
		return mongo.Migrate(ctx, d.address)
	}
	return 0, 0, d.unknown()
}

func (d Database) unknown() error {
	return fmt.Errorf("%s is no address of a database", d)
}

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// applicationID tells databases of Gatehouse from all others: "GtHs".
const applicationID = 0x47744873

// smallest is the size of the smallest database in bytes. SQLite takes a file
// that is smaller for a new one.
const smallest = 512

var errNoDatabase = fmt.Errorf("%w: it is no SQLite database at all, or its beginning is damaged", ErrForeign)

// SchemaVersion is the version of the schema in the file at path, and the one
// that this program works with. It changes nothing.
func SchemaVersion(ctx context.Context, path string) (current, wanted int, err error) {
	current, err = inspect(ctx, path, "rw")
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version of %s: %w", path, err)
	}
	return current, sqlstore.Wanted(), nil
}

// Migrate creates the database or brings it to the schema of this program, as
// [Open] does, and returns the version before, 0 for a new file, and after.
func Migrate(ctx context.Context, path string) (from, to int, err error) {
	path, err = filepath.Abs(path)
	if err == nil {
		from, to, err = prepare(ctx, path, 5*time.Second)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", path, err)
	}
	return from, to, nil
}

// prepare sees to it that there is a database of the current schema at path.
func prepare(ctx context.Context, path string, timeout time.Duration) (from, to int, err error) {
	to = sqlstore.Wanted()
	_, err = regular(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(ctx, path); err == nil {
			return 0, to, nil
		} else if !errors.Is(err, fs.ErrExist) {
			return 0, 0, err
		}
		// Another process was faster.
	} else if err != nil {
		return 0, 0, err
	}
	from, err = inspect(ctx, path, "rw")
	if err != nil {
		return 0, 0, err
	}
	if err := sqlstore.Check(from); !errors.Is(err, sqlstore.ErrOlder) {
		return from, to, err
	}
	c, err := openConn(path, "rw", timeout)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return from, to, c.migrate(ctx, timeout)
}

// regular is what is known about the file at path, if it can be a database.
func regular(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a file", ErrForeign)
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: the file is empty, which Gatehouse never leaves behind; "+
			"restore a backup, or remove the file to start anew", ErrForeign)
	case info.Size() < smallest:
		return nil, errNoDatabase
	}
	return info, nil
}

// creating keeps two goroutines from creating one file at the same time. Closing
// a file ends all locks of this process on it, SQLite's included, so the files
// of databases are opened by hand only while nobody else can have them open.
var creating sync.Mutex

// create makes an empty database at path. It is made under another name, so
// that no crash can leave half of one behind. ErrExist if there is one already.
func create(ctx context.Context, path string) (err error) {
	creating.Lock()
	defer creating.Unlock()
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		if _, err := os.Stat(path); err == nil {
			return fs.ErrExist // somebody was faster, and has begun to use it
		}
		if _, err := os.Stat(path); err == nil { // another process has just made both
			return fs.ErrExist
		}
		return fmt.Errorf("%w: the database is missing while %s-wal is there, which belongs to it and holds data; "+
			"put the database back, or remove that file too to start anew", ErrDamaged, path)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("the folder of the database: %w", err)
	}
	temp, err := tempFile(path)
	if err != nil {
		return err
	}
	defer remove(temp)
	c, err := openConn(temp, "rw", 0)
	if err != nil {
		return err
	}
	err = c.create(ctx)
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	return place(temp, path, false)
}

func (c *conn) create(ctx context.Context) error {
	if err := c.enterWAL(ctx); err != nil {
		return err
	}
	return c.migrate(ctx, 0)
}

// tempFile makes an empty file beside path that only its owner can read.
func tempFile(path string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return "", fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
	}
	return f.Name(), f.Close()
}

// remove removes a database that was never put in its place.
func remove(temp string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(temp + suffix)
	}
}

// place gives a finished file its name, durably. Unless it may replace a file it
// answers ErrExist if there is one.
func place(temp, path string, replace bool) error {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, err)
	}
	if replace {
		err = os.Rename(temp, path)
	} else if err = os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		// Some file systems have no links. The check and the renaming are then
		// two steps, between which another process might create the file.
		if _, missing := os.Stat(path); errors.Is(missing, fs.ErrNotExist) {
			err = os.Rename(temp, path)
		}
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// inspect is the version of the schema, if the file is a database of Gatehouse.
// It leaves the file as it is.
func inspect(ctx context.Context, path, mode string) (version int, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	if _, err := regular(path); err != nil {
		return 0, err
	}
	c, err := openConn(path, mode, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.ours(ctx); err != nil {
		return 0, err
	}
	return sqlstore.Version(ctx, c)
}

// ours is nil if the database is one of Gatehouse.
func (c *conn) ours(ctx context.Context) error {
	id, err := c.value(ctx, `PRAGMA application_id`)
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code()&0xff == sqlite3.SQLITE_NOTADB {
		return errNoDatabase
	}
	if err != nil {
		return err
	}
	if id != int64(applicationID) {
		return fmt.Errorf("%w: it is an SQLite database of another program", ErrForeign)
	}
	return nil
}

// migrate runs the migrations that are due, while no other process can write.
func (c *conn) migrate(ctx context.Context, timeout time.Duration) error {
	if err := c.patiently(timeout, func() error {
		_, err := c.Exec(ctx, `BEGIN IMMEDIATE`)
		return err
	}); err != nil {
		return err
	}
	// Of two processes that start at once, the second finds the work done.
	version, err := c.version(ctx)
	if err == nil {
		err = sqlstore.Migrate(ctx, c, sqlstore.SQLite, version)
	}
	if err == nil {
		_, err = c.Exec(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID))
	}
	if err != nil {
		_, e := c.Exec(ctx, `ROLLBACK`)
		return errors.Join(err, e)
	}
	_, err = c.Exec(ctx, `COMMIT`)
	return err
}

// version is that of the schema, 0 in a database without tables.
func (c *conn) version(ctx context.Context) (int, error) {
	tables, err := c.value(ctx, `SELECT count(*) FROM sqlite_schema`)
	if err != nil || tables == int64(0) {
		return 0, err
	}
	return sqlstore.Version(ctx, c)
}

// enterWAL sets the journal mode that lets readers and a writer work side by
// side. It is kept in the file.
func (c *conn) enterWAL(ctx context.Context) error {
	mode, err := c.value(ctx, `PRAGMA journal_mode = WAL`)
	if err == nil && mode != "wal" {
		err = fmt.Errorf("the file system cannot hold a database in WAL mode (it stays in mode %v): use a local disk", mode)
	}
	return err
}

// usable checks the database and sets up the connection for writing.
func (c *conn) usable(ctx context.Context, timeout time.Duration) error {
	if err := c.ours(ctx); err != nil {
		return err
	}
	version, err := sqlstore.Version(ctx, c)
	if err != nil {
		return err
	}
	if err := sqlstore.Check(version); err != nil {
		return err
	}
	if err := c.patiently(timeout, func() error { return c.enterWAL(ctx) }); err != nil {
		return err
	}
	for _, pragma := range []string{
		`synchronous = FULL`, // NORMAL may lose what was answered when the power fails
		`fullfsync = 1`,      // on macOS a plain fsync does not reach the disk
		`checkpoint_fullfsync = 1`,
		`foreign_keys = 1`,
		`busy_timeout = 0`, // see patiently
		// Four times the usual: a page that many commits have changed is copied
		// into the database once. Writes of 64 callers become a quarter cheaper;
		// to start after a crash takes up to some 30 ms more.
		`wal_autocheckpoint = 4000`,
		`journal_size_limit = 67108864`,
	} {
		if _, err := c.Exec(ctx, `PRAGMA `+pragma); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint moves all of the -wal file into the database, and empties it.
func (c *conn) checkpoint(ctx context.Context) error {
	refused, err := c.value(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	if err == nil && refused != int64(0) {
		err = errKept
	}
	return err
}

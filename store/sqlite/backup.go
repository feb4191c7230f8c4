package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// Backup writes the state of this moment to a new file, which only its owner can
// read, while the store goes on reading and writing. The file appears under its
// name when it is complete, checked and on the disk; fs.ErrExist if the name is
// taken. It needs no other file beside it, and holds nothing that was deleted.
func (s *Store) Backup(ctx context.Context, file string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	if err := backup(ctx, s.path, file); err != nil {
		return fmt.Errorf("back up to %s: %w", file, err)
	}
	return nil
}

func backup(ctx context.Context, path, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	// This is for a clear answer before the work; place decides.
	if _, err := os.Lstat(file); err == nil {
		return fs.ErrExist
	}
	temp, err := copyDatabase(ctx, path, "rw", file)
	if err != nil {
		return err
	}
	defer remove(temp)
	return place(temp, file, false)
}

// copyDatabase copies what a reader of the database from sees into a temporary
// file beside to, and checks the copy.
func copyDatabase(ctx context.Context, from, mode, to string) (temp string, err error) {
	temp, err = tempFile(to)
	if err != nil {
		return "", err
	}
	c, err := openConn(from, mode, 5*time.Second)
	if err == nil {
		_, err = c.exec(ctx, `VACUUM INTO $1`, temp)
		err = errors.Join(err, c.close())
	}
	if err == nil {
		err = check(ctx, temp)
	}
	if err != nil {
		remove(temp)
		return "", err
	}
	return temp, nil
}

// check is nil if the file is a sound database of Gatehouse that this program
// can work with, possibly after migrations.
func check(ctx context.Context, path string) (err error) {
	version, err := inspect(ctx, path, "ro")
	if err != nil {
		return err
	}
	if err := sqlstore.Check(version); errors.Is(err, ErrNewer) {
		return err
	}
	c, err := openConn(path, "ro", 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for query, want := range map[string]any{
		`PRAGMA integrity_check(1)`:                       "ok",
		`SELECT count(*) FROM pragma_foreign_key_check()`: int64(0),
	} {
		if got, err := c.value(ctx, query); err != nil {
			return err
		} else if got != want {
			return fmt.Errorf("%w: %v", ErrDamaged, got)
		}
	}
	return ctx.Err()
}

// RestoreOptions are choices of [Restore].
type RestoreOptions struct {
	// Replace allows replacing the database that is there.
	Replace bool
	// Restoration says what begins anew, so that what was ended or used up after
	// the backup does not come back to life. Its zero value keeps nothing, and is of
	// now.
	Restoration gatehouse.Restoration
}

// Restore puts the database in the file from, a backup, in the place of the one
// at to. It checks the backup first, and to is either the old or the new one,
// whatever happens. It answers fs.ErrExist if there is a file at to, unless it
// may replace it, and [ErrInUse] if a process has that database open.
func Restore(ctx context.Context, from, to string, opts RestoreOptions) error {
	if err := restore(ctx, from, to, opts); err != nil {
		return fmt.Errorf("restore %s to %s: %w", from, to, err)
	}
	return nil
}

func restore(ctx context.Context, from, to string, opts RestoreOptions) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	to, err = filepath.Abs(to)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil && !opts.Replace {
		return fs.ErrExist
	}
	if err := check(ctx, from); err != nil {
		return err
	}
	temp, err := copyDatabase(ctx, from, "ro", to)
	if err != nil {
		return err
	}
	defer remove(temp)
	if err := finishRestored(ctx, temp, opts.Restoration); err != nil {
		return err
	}
	old, err := retire(ctx, to, opts.Replace)
	if err != nil {
		return err
	}
	err = place(temp, to, opts.Replace)
	return errors.Join(err, old.close())
}

// finishRestored makes of a copied backup what [Open] expects.
func finishRestored(ctx context.Context, temp string, r gatehouse.Restoration) (err error) {
	r.Keep = cmp.Or(r.Keep, gatehouse.KeepNothing)
	if r.At.IsZero() {
		r.At = time.Now()
	}
	c, err := openConn(temp, "rw", 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.restored(ctx, r); err != nil {
		return err
	}
	return c.enterWAL(ctx)
}

// restored is [gatehouse.Restoration] in SQL, which has to work on the schema of
// every version.
func (c *conn) restored(ctx context.Context, r gatehouse.Restoration) error {
	note, err := r.NoteSetting()
	if err != nil {
		return err
	}
	const raise = ` SET epoch = epoch + $1, version = version + 1`
	type statement struct {
		query string
		args  []any
	}
	var list []statement
	switch r.Keep {
	case gatehouse.KeepNothing:
		list = []statement{{`DELETE FROM sessions`, nil}}
	case gatehouse.KeepSessions:
		list = []statement{{`UPDATE sessions` + raise, []any{r.Shift()}}}
	}
	if r.Keep != gatehouse.KeepAll {
		list = append(list, statement{`UPDATE users` + raise, []any{r.Shift()}},
			statement{`DELETE FROM challenges`, nil}, statement{`DELETE FROM tasks`, nil})
	}
	for _, x := range list {
		if _, err := c.Exec(ctx, x.query, x.args...); err != nil {
			return err
		}
	}
	_, err = c.Exec(ctx, `INSERT INTO settings (name, version, value, updated_at) VALUES ($1, 1, $2, $3) `+
		`ON CONFLICT (name) DO UPDATE SET version = settings.version + 1, value = excluded.value, updated_at = excluded.updated_at`,
		note.Name, note.Value, note.UpdatedAt.UnixMilli())
	return err
}

// retire makes sure that nobody uses the database at path, and that nothing lies
// beside it that would be taken for a part of its successor. Nobody can begin to use it
// until the connection is closed that it returns, which is nil if there is no database
// that anybody could use. Who waits for it then is told by SQLite that the file was
// moved; who had begun before would put a -wal file beside the successor.
func retire(ctx context.Context, path string, replace bool) (*conn, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 && !replace {
			return nil, fmt.Errorf("%w: %s-wal", fs.ErrExist, path)
		}
		return nil, removeCompanions(path)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a file", ErrForeign)
	case info.Size() < smallest:
		return nil, removeCompanions(path)
	}
	c, err := openConn(path, "rw", 0)
	if err != nil {
		return nil, err
	}
	if err = c.retire(ctx); err == nil {
		err = removeCompanions(path)
	}
	if err == nil && runtime.GOOS != "windows" { // where no open file can be replaced
		return c, nil
	}
	err = errors.Join(err, c.close())
	switch {
	case err == nil, errors.Is(err, ErrDamaged):
		return nil, removeCompanions(path)
	case busy(err):
		return nil, fmt.Errorf("%w: stop the server first", ErrInUse)
	}
	return nil, err
}

// retire merges the -wal file into the database, which SQLite does only for one
// who has it alone, and stays alone with it.
func (c *conn) retire(ctx context.Context) error {
	if _, err := c.value(ctx, `PRAGMA locking_mode = EXCLUSIVE`); err != nil {
		return err
	}
	id, err := c.value(ctx, `PRAGMA application_id`)
	if err != nil {
		return err
	}
	if id != int64(applicationID) {
		return fmt.Errorf("%w: an SQLite database of another program would be lost", ErrForeign)
	}
	mode, err := c.value(ctx, `PRAGMA journal_mode = DELETE`)
	if err == nil && mode != "delete" {
		err = fmt.Errorf("the journal mode stays %v", mode)
	}
	if err == nil {
		_, err = c.Exec(ctx, `BEGIN EXCLUSIVE`)
	}
	return err
}

func removeCompanions(path string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

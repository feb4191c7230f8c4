package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

var _ gatehouse.Mover = (*Store)(nil)

// walkPage is how many records are read at once. Each page is a read of its own,
// so that a long walk holds up nobody: an open read keeps SQLite from emptying
// the -wal file, and PostgreSQL from clearing away what was replaced.
const walkPage = 250

// Walk implements [gatehouse.Mover]. It goes through each table by the primary
// key, which nothing ever changes: so each record is met once.
func (s *Store) Walk(ctx context.Context, f func(*gatehouse.Records) error) error {
	w := walker{s, f}
	for _, table := range []func(context.Context) error{w.settings, w.users, w.sessions, w.challenges, w.tasks, w.events} {
		if err := table(ctx); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	s *Store
	f func(*gatehouse.Records) error
}

func (w walker) settings(ctx context.Context) error {
	const query = `SELECT ` + settingColumns + ` FROM settings WHERE name > $1 ORDER BY name LIMIT $2`
	return walk(ctx, w.s, "settings", query, decodeSetting, func(x *gatehouse.Setting) string { return x.Name },
		func(page []*gatehouse.Setting) error { return w.f(&gatehouse.Records{Settings: page}) })
}

func (w walker) users(ctx context.Context) error {
	const query = `SELECT ` + userColumns + ` FROM users WHERE id > $1 ORDER BY id LIMIT $2`
	return walk(ctx, w.s, "users", query, decodeUser, func(x *gatehouse.User) string { return x.ID },
		func(page []*gatehouse.User) error { return w.f(&gatehouse.Records{Users: page}) })
}

func (w walker) sessions(ctx context.Context) error {
	const query = `SELECT ` + sessionColumns + ` FROM sessions WHERE id > $1 ORDER BY id LIMIT $2`
	return walk(ctx, w.s, "sessions", query, decodeSession, func(x *gatehouse.Session) string { return x.ID },
		func(page []*gatehouse.Session) error { return w.f(&gatehouse.Records{Sessions: page}) })
}

func (w walker) challenges(ctx context.Context) error {
	const query = `SELECT ` + challengeColumns + ` FROM challenges WHERE id > $1 ORDER BY id LIMIT $2`
	return walk(ctx, w.s, "challenges", query, decodeChallenge, func(x *gatehouse.Challenge) string { return x.ID },
		func(page []*gatehouse.Challenge) error { return w.f(&gatehouse.Records{Challenges: page}) })
}

func (w walker) tasks(ctx context.Context) error {
	const query = `SELECT ` + taskColumns + ` FROM tasks WHERE id > $1 ORDER BY id LIMIT $2`
	return walk(ctx, w.s, "tasks", query, decodeTask, func(x *gatehouse.Task) string { return x.ID },
		func(page []*gatehouse.Task) error { return w.f(&gatehouse.Records{Tasks: page}) })
}

func (w walker) events(ctx context.Context) error {
	const query = `SELECT ` + eventColumns + ` FROM events WHERE id > $1 ORDER BY id LIMIT $2`
	return walk(ctx, w.s, "events", query, decodeEvent, func(x *gatehouse.Event) string { return x.ID },
		func(page []*gatehouse.Event) error { return w.f(&gatehouse.Records{Events: page}) })
}

// walk reads a table page by page, and hands each page on after the read has
// ended. What becomes of a page is up to whoever gets it.
func walk[R any](ctx context.Context, s *Store, what, query string, decode func(Row) (*R, error), key func(*R) string, hand func([]*R) error) error {
	for after := ""; ; {
		page, err := list(ctx, s, what, query, decode, after, int64(walkPage))
		if err != nil || len(page) == 0 {
			return err
		}
		n := len(page)
		after = key(page[n-1])
		if err := hand(page); err != nil || n < walkPage {
			return err
		}
	}
}

// Load implements [gatehouse.Mover]. It is one transaction, and a second one
// when something was taken.
func (s *Store) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	rows, err := encodeRecords(r)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	// Nearly always everything is free. So it is tried with many rows in each
	// statement, which is quick and tells only how many were taken.
	err = s.writeAll(ctx, "load", func(c Conn) error { return rows.insertMany(ctx, c, s.dialect.AtOnce) })
	if !errors.Is(err, errTaken) {
		return &gatehouse.Records{}, err
	}
	var taken []int
	err = s.writeAll(ctx, "load", func(c Conn) (err error) {
		taken, err = rows.insertEach(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	left := &gatehouse.Records{}
	for _, i := range taken {
		rows[i].leave(left)
	}
	return left, nil
}

// errTaken: something of a load was taken, so all of it was undone.
var errTaken = errors.New("taken")

// row is a record to be inserted, and the keys that must lead to it alone.
type row struct {
	into  string // up to VALUES
	args  []any
	keys  [][]any                  // for insertKey; only users have any
	leave func(*gatehouse.Records) // puts the record there
}

type rows []row

const (
	intoUsers      = `INSERT INTO users (` + userColumns + `) VALUES `
	intoKeys       = `INSERT INTO user_keys (key, user_id) VALUES `
	intoSessions   = `INSERT INTO sessions (` + sessionColumns + `) VALUES `
	intoChallenges = `INSERT INTO challenges (` + challengeColumns + `) VALUES `
	intoEvents     = `INSERT INTO events (` + eventColumns + `) VALUES `
	intoSettings   = `INSERT INTO settings (` + settingColumns + `) VALUES `
	intoTasks      = `INSERT INTO tasks (` + taskColumns + `) VALUES `
)

func encodeRecords(r *gatehouse.Records) (rows, error) {
	list := make(rows, 0, r.Len())
	for _, x := range r.Settings {
		list = append(list, row{into: intoSettings, args: encodeSetting(x),
			leave: func(l *gatehouse.Records) { l.Settings = append(l.Settings, x) }})
	}
	for _, x := range r.Users {
		args, err := encodeUser(x, x.Version)
		if err != nil {
			return nil, err
		}
		keys := make([][]any, len(x.Keys))
		for i, key := range x.Keys {
			keys[i] = []any{key, x.ID}
		}
		list = append(list, row{into: intoUsers, args: args, keys: keys,
			leave: func(l *gatehouse.Records) { l.Users = append(l.Users, x) }})
	}
	for _, x := range r.Sessions {
		args, err := encodeSession(x, x.Version)
		if err != nil {
			return nil, err
		}
		list = append(list, row{into: intoSessions, args: args,
			leave: func(l *gatehouse.Records) { l.Sessions = append(l.Sessions, x) }})
	}
	for _, x := range r.Challenges {
		list = append(list, row{into: intoChallenges, args: encodeChallenge(x, x.Version),
			leave: func(l *gatehouse.Records) { l.Challenges = append(l.Challenges, x) }})
	}
	for _, x := range r.Tasks {
		list = append(list, row{into: intoTasks, args: encodeTask(x, x.Version),
			leave: func(l *gatehouse.Records) { l.Tasks = append(l.Tasks, x) }})
	}
	for _, x := range r.Events {
		args, err := encodeEvent(x)
		if err != nil {
			return nil, err
		}
		list = append(list, row{into: intoEvents, args: args,
			leave: func(l *gatehouse.Records) { l.Events = append(l.Events, x) }})
	}
	return list, nil
}

// insertMany inserts all rows, or answers errTaken when at least one was taken.
func (list rows) insertMany(ctx context.Context, c Conn, atOnce int) error {
	var keys [][]any
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].into == list[0].into {
			n++
		}
		args := make([][]any, n)
		for i, r := range list[:n] {
			args[i] = r.args
			keys = append(keys, r.keys...)
		}
		if err := insertRows(ctx, c, atOnce, list[0].into, args); err != nil {
			return err
		}
		list = list[n:]
	}
	return insertRows(ctx, c, atOnce, intoKeys, keys)
}

// insertRows inserts so many rows at once, and the rest one by one: a connection
// keeps each text prepared, so there are two.
func insertRows(ctx context.Context, c Conn, atOnce int, into string, rows [][]any) error {
	for _, size := range []int{atOnce, 1} {
		if len(rows) < size {
			continue
		}
		statement := insertText(into, size, len(rows[0]))
		args := make([]any, 0, size*len(rows[0]))
		for ; len(rows) >= size; rows = rows[size:] {
			args = args[:0]
			for _, r := range rows[:size] {
				args = append(args, r...)
			}
			if n, err := c.Exec(ctx, statement, args...); err != nil {
				return err
			} else if n < int64(size) {
				return errTaken
			}
		}
	}
	return nil
}

// insertText is a statement that inserts so many rows, and leaves out those that
// are taken.
func insertText(into string, rows, columns int) string {
	var b strings.Builder
	b.WriteString(into)
	for n := range rows * columns {
		switch {
		case n == 0:
			b.WriteString("($")
		case n%columns == 0:
			b.WriteString("), ($")
		default:
			b.WriteString(", $")
		}
		b.WriteString(strconv.Itoa(n + 1))
	}
	b.WriteString(") ON CONFLICT DO NOTHING")
	return b.String()
}

// insertEach inserts one row after the other, and returns which were taken.
func (list rows) insertEach(ctx context.Context, c Conn) (taken []int, err error) {
	for i, r := range list {
		n, err := c.Exec(ctx, insertText(r.into, 1, len(r.args)), r.args...)
		for k := 0; err == nil && n == 1 && k < len(r.keys); k++ {
			n, err = c.Exec(ctx, insertText(intoKeys, 1, 2), r.keys[k]...)
			if err == nil && n == 0 {
				// The keys that were free go with the user.
				_, err = c.Exec(ctx, `DELETE FROM users WHERE id = $1`, r.args[0])
			}
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			taken = append(taken, i)
		}
	}
	return taken, nil
}

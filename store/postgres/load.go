package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// most is how many records are loaded in one transaction.
const most = 2000

// Load implements [gatehouse.Mover]. Each kind is one statement, that takes the
// columns as arrays; COPY would be a little faster, and cannot leave out a row.
func (s *Store) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	taken := &gatehouse.Records{}
	for part := range slices.Chunk(r.Users, most) {
		left, err := s.loadUsers(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("load users: %w", err)
		}
		taken.Users = append(taken.Users, left...)
	}
	return taken, errors.Join(
		load(ctx, s, r.Sessions, &taken.Sessions, sqlstore.SessionTable, func(x *gatehouse.Session) string { return x.ID }),
		load(ctx, s, r.Challenges, &taken.Challenges, sqlstore.ChallengeTable, func(x *gatehouse.Challenge) string { return x.ID }),
		load(ctx, s, r.Events, &taken.Events, sqlstore.EventTable, func(x *gatehouse.Event) string { return x.ID }),
		load(ctx, s, r.Settings, &taken.Settings, sqlstore.SettingTable, func(x *gatehouse.Setting) string { return x.Name }),
		load(ctx, s, r.Tasks, &taken.Tasks, sqlstore.TaskTable, func(x *gatehouse.Task) string { return x.ID }),
	)
}

func load[R any](ctx context.Context, s *Store, records []*R, taken *[]*R,
	encode func([]*R) (sqlstore.Table, error), key func(*R) string,
) error {
	for part := range slices.Chunk(records, most) {
		table, err := encode(part)
		if err != nil {
			return fmt.Errorf("load %w", err)
		}
		var added map[string]bool
		err = engine{s}.Write(ctx, func(c sqlstore.Conn) (err error) {
			added, err = insert(ctx, c, table)
			return err
		})
		if err != nil {
			return fmt.Errorf("load %s: %w", table.Name, err)
		}
		*taken = append(*taken, leftOut(part, added, key)...)
	}
	return nil
}

// leftOut is the records whose keys are not among those added. A key that is
// there twice was added once, for the first.
func leftOut[R any](records []*R, added map[string]bool, key func(*R) string) (left []*R) {
	for _, x := range records {
		if k := key(x); added[k] {
			delete(added, k)
		} else {
			left = append(left, x)
		}
	}
	return left
}

// errKeys: some user could not be added for a key that is taken.
var errKeys = errors.New("a key is taken")

// loadUsers adds users with their keys in one transaction. If a key is taken they
// are added one by one, because whether the ones after it can be depends on
// whether the ones before it were.
func (s *Store) loadUsers(ctx context.Context, users []*gatehouse.User) (left []*gatehouse.User, err error) {
	table, err := sqlstore.UserTable(users)
	if err != nil {
		return nil, err
	}
	id := func(u *gatehouse.User) string { return u.ID }
	err = engine{s}.WriteAll(ctx, func(c sqlstore.Conn) error {
		added, err := insert(ctx, c, table)
		if err != nil {
			return err
		}
		left = leftOut(users, added, id)
		in := users
		if len(left) > 0 {
			in = slices.DeleteFunc(slices.Clone(users), func(u *gatehouse.User) bool { return slices.Contains(left, u) })
		}
		keys := sqlstore.KeyTable(in)
		if len(keys.Rows) == 0 {
			return nil
		}
		added, err = insert(ctx, c, keys)
		if err == nil && len(added) < len(keys.Rows) {
			err = errKeys
		}
		return err
	})
	if !errors.Is(err, errKeys) || len(users) == 1 {
		if errors.Is(err, errKeys) {
			return users, nil
		}
		return left, err
	}
	left = nil
	for _, u := range users {
		one, err := s.loadUsers(ctx, []*gatehouse.User{u})
		if err != nil {
			return nil, err
		}
		left = append(left, one...)
	}
	return left, nil
}

// insert adds the rows whose unique columns are free, and returns the keys of
// those. A column that is NULL in every row is left out, since its type cannot be
// seen.
func insert(ctx context.Context, c sqlstore.Conn, t sqlstore.Table) (map[string]bool, error) {
	for _, row := range t.Rows {
		if !storable(row) {
			return nil, errText
		}
	}
	var columns, places []string
	var args []any
	for i, name := range strings.Split(t.Columns, ", ") {
		array, kind := column(t.Rows, i)
		if kind == "" {
			continue
		}
		columns, args = append(columns, name), append(args, array)
		places = append(places, "$"+strconv.Itoa(len(args))+"::"+kind+"[]")
	}
	query := `INSERT INTO ` + t.Name + ` (` + strings.Join(columns, ", ") + `) SELECT * FROM unnest(` +
		strings.Join(places, ", ") + `) ON CONFLICT DO NOTHING RETURNING ` + t.Key
	added := make(map[string]bool, len(t.Rows))
	err := c.Query(ctx, query, args, func(r sqlstore.Row) error {
		key, ok := r[0].(string)
		if !ok {
			return errors.New("the key of a row is not text")
		}
		added[key] = true
		return nil
	})
	return added, err
}

// column is one column of the rows as an array, and the type of its values.
func column(rows [][]any, i int) (array any, kind string) {
	for _, r := range rows {
		switch r[i].(type) {
		case string:
			return nullable[string](rows, i), "text"
		case int64:
			return nullable[int64](rows, i), "bigint"
		case []byte:
			list := make([][]byte, len(rows))
			for n, r := range rows {
				list[n], _ = r[i].([]byte)
			}
			return list, "bytea"
		}
	}
	return nil, ""
}

func nullable[V any](rows [][]any, i int) []*V {
	list := make([]*V, len(rows))
	for n, r := range rows {
		if v, ok := r[i].(V); ok {
			list[n] = &v
		}
	}
	return list
}

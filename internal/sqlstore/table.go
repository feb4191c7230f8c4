package sqlstore

import (
	"bytes"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

// Table is records of one kind as rows, for engines that take many at a time.
type Table struct {
	Name    string
	Key     string // the column with what tells the records apart, the first one
	Columns string
	Rows    [][]any
}

// UserTable is users as rows; their keys are rows of the table user_keys beside.
func UserTable(users []*gatehouse.User) (Table, error) {
	return table("users", "id", userColumns, users, func(u *gatehouse.User) ([]any, error) { return encodeUser(u, u.Version) })
}

// KeyTable is the keys of users as rows.
func KeyTable(users []*gatehouse.User) Table {
	t := Table{Name: "user_keys", Key: "key", Columns: "key, user_id"}
	for _, u := range users {
		for _, key := range u.Keys {
			t.Rows = append(t.Rows, []any{key, u.ID})
		}
	}
	return t
}

// SessionTable is sessions as rows.
func SessionTable(list []*gatehouse.Session) (Table, error) {
	return table("sessions", "id", sessionColumns, list, func(x *gatehouse.Session) ([]any, error) { return encodeSession(x, x.Version) })
}

// ChallengeTable is challenges as rows.
func ChallengeTable(list []*gatehouse.Challenge) (Table, error) {
	return table("challenges", "id", challengeColumns, list, func(x *gatehouse.Challenge) ([]any, error) { return encodeChallenge(x, x.Version), nil })
}

// EventTable is events as rows.
func EventTable(list []*gatehouse.Event) (Table, error) {
	return table("events", "id", eventColumns, list, encodeEvent)
}

// SettingTable is settings as rows.
func SettingTable(list []*gatehouse.Setting) (Table, error) {
	return table("settings", "name", settingColumns, list, func(x *gatehouse.Setting) ([]any, error) {
		var value any
		if len(x.Value) > 0 {
			value = bytes.Clone(x.Value)
		}
		return []any{x.Name, x.Version, value, millis(x.UpdatedAt)}, nil
	})
}

// TaskTable is tasks as rows.
func TaskTable(list []*gatehouse.Task) (Table, error) {
	return table("tasks", "id", taskColumns, list, func(x *gatehouse.Task) ([]any, error) { return encodeTask(x, x.Version), nil })
}

func table[R any](name, key, columns string, records []*R, encode func(*R) ([]any, error)) (Table, error) {
	t := Table{Name: name, Key: key, Columns: columns, Rows: make([][]any, len(records))}
	for i, r := range records {
		row, err := encode(r)
		if err != nil {
			return Table{}, fmt.Errorf("%s: %w", name, err)
		}
		t.Rows[i] = row
	}
	return t, nil
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/archive"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// brittle breaks with the n-th load, before it or after it happened.
type brittle struct {
	*memory.Store
	n     int
	after bool
}

var errBroken = errors.New("the plug was pulled")

func (b *brittle) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	b.n--
	if b.n == 0 && !b.after {
		return nil, errBroken
	}
	taken, err := b.Store.Load(ctx, r)
	if b.n == 0 {
		return nil, errBroken
	}
	return taken, err
}

// many is a store with so many users, sessions and events, and one record of each
// other kind.
func many(t *testing.T, users int) *memory.Store {
	t.Helper()
	s, r := memory.New(), &gatehouse.Records{}
	for n := range users {
		id := fmt.Sprintf("%05d", n)
		r.Users = append(r.Users, &gatehouse.User{ID: id, Version: 2, EmailKey: id + "@example.com", Keys: []string{"key " + id}, Epoch: 3})
		r.Sessions = append(r.Sessions, &gatehouse.Session{ID: id, Version: 3, UserID: id, Epoch: 3})
		r.Events = append(r.Events, &gatehouse.Event{ID: id, Chain: "c", Sequence: int64(n)})
	}
	r.Challenges = []*gatehouse.Challenge{{ID: "c", Version: 1}}
	r.Settings = []*gatehouse.Setting{{Name: "s", Version: 9, Value: []byte{1}}}
	r.Tasks = []*gatehouse.Task{{ID: "t", Version: 4, LeasedUntil: time.UnixMilli(5).UTC()}}
	if taken, err := s.Load(t.Context(), r); err != nil || taken.Len() > 0 {
		t.Fatal(taken, err)
	}
	return s
}

func quiet() *program { return &program{out: io.Discard, err: io.Discard} }

func digest(t *testing.T, s gatehouse.Mover) archive.Digest {
	t.Helper()
	d, err := digestOf(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return *d
}

// Wherever a copy breaks, it goes on.
func TestACopyGoesOnAfterAnInterruption(t *testing.T) {
	from := many(t, 1300)
	for n := 1; ; n++ {
		for _, after := range []bool{false, true} {
			to := &brittle{memory.New(), n, after}
			err := copyStore{}.copy(t.Context(), quiet(), from, to)
			if err == nil {
				if n < 4 {
					t.Errorf("a copy of 3,903 records took %d steps", n-1)
				}
				return
			}
			if !errors.Is(err, errBroken) {
				t.Fatalf("step %d: err = %v", n, err)
			}
			if err := (copyStore{Resume: true}).copy(t.Context(), quiet(), from, to); err != nil {
				t.Fatalf("step %d, again: %v", n, err)
			}
			if got, want := digest(t, to), digest(t, from); got != want {
				t.Errorf("step %d: %v, want %v", n, got, want)
			}
		}
	}
}

// Wherever restoring an archive breaks, it goes on under the same epoch.
func TestRestoringAnArchiveGoesOnAfterAnInterruption(t *testing.T) {
	synctest.Test(t, restoringGoesOn)
}

func restoringGoesOn(t *testing.T) {
	var file bytes.Buffer
	w := archive.NewWriter(&file, archive.Header{})
	if err := many(t, 1300).Walk(t.Context(), w.Write); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []restore{{}, {KeepSessions: true}, {AsIs: true}} {
		for n := 1; ; n++ {
			to := &brittle{memory.New(), n, n%2 == 0}
			err := c.load(t.Context(), quiet(), to, bytes.NewReader(file.Bytes()))
			if err == nil && n > 2 {
				break
			}
			if !errors.Is(err, errBroken) {
				t.Fatalf("step %d: err = %v", n, err)
			}
			if err := c.load(t.Context(), quiet(), to, bytes.NewReader(file.Bytes())); err == nil || !strings.Contains(err.Error(), "not empty") {
				t.Fatalf("step %d, again without --resume: err = %v", n, err)
			}
			time.Sleep(time.Minute) // another try is at another time
			again := c
			again.Resume = true
			if err := again.load(t.Context(), quiet(), to, bytes.NewReader(file.Bytes())); err != nil {
				t.Fatalf("step %d, again: %v", n, err)
			}
			epochs := map[int64]int{}
			err = to.Walk(t.Context(), func(r *gatehouse.Records) error {
				for _, u := range r.Users {
					epochs[u.Epoch]++
				}
				for _, x := range r.Sessions {
					epochs[x.Epoch]++
				}
				return nil
			})
			if err != nil || len(epochs) != 1 {
				t.Errorf("step %d: epochs %v of users and sessions, want one; err = %v", n, epochs, err)
			}
		}
	}
}

// What came between is told from what is as it was.
func TestSomebodyElseWrites(t *testing.T) {
	from, w := many(t, 1300), &bytes.Buffer{}
	file := archive.NewWriter(w, archive.Header{})
	if err := from.Walk(t.Context(), file.Write); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Close(); err != nil {
		t.Fatal(err)
	}
	copies := func(s movable) error { return copyStore{}.copy(t.Context(), quiet(), from, s) }
	restores := func(s movable) error { return restore{}.load(t.Context(), quiet(), s, bytes.NewReader(w.Bytes())) }
	create := func(s gatehouse.Store, id string) error {
		return s.CreateUser(t.Context(), &gatehouse.User{ID: id})
	}
	for name, c := range map[string]struct {
		move func(movable) error
		do   func(to gatehouse.Store) error
		want string
	}{
		"a copy, and a user is new there":      {copies, func(s gatehouse.Store) error { return create(s, "99999") }, "somebody else writes to the new database"},
		"a copy, and a user is there first":    {copies, func(s gatehouse.Store) error { return create(s, "01299") }, "1 record is taken"},
		"restoring, and a user is new there":   {restores, func(s gatehouse.Store) error { return create(s, "99999") }, "somebody else writes to the database"},
		"restoring, and a user is there first": {restores, func(s gatehouse.Store) error { return create(s, "01299") }, "1 record is taken"},
		"a copy, and the source is changed": {copies, func(gatehouse.Store) error {
			u, err := from.User(t.Context(), "00000")
			if err != nil {
				return err
			}
			return from.SaveUser(t.Context(), u)
		}, "the source was changed"},
	} {
		to := &meanwhile{Store: memory.New()}
		to.do = func() error { return c.do(to.Store) }
		if err := c.move(to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want %q", name, err, c.want)
		}
	}
}

// meanwhile does something once, before the second load.
type meanwhile struct {
	*memory.Store
	loads int
	do    func() error
}

func (m *meanwhile) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	if m.loads++; m.loads == 2 {
		if err := m.do(); err != nil {
			return nil, err
		}
	}
	return m.Store.Load(ctx, r)
}

// A file is never replaced, also not one that came between, and what fails leaves
// nothing.
func TestWriteNew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := writeNew(name, func(*os.File) error { return errBroken }); !errors.Is(err, errBroken) {
		t.Errorf("err = %v, want %v", err, errBroken)
	}
	err := writeNew(name, func(f *os.File) error {
		if err := os.WriteFile(name, []byte("somebody else's"), 0o600); err != nil {
			return err
		}
		_, err := f.WriteString("ours")
		return err
	})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that came between: err = %v, want ErrExist", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "somebody else's" {
		t.Errorf("it is %q now, %v", b, err)
	}
	if list, err := os.ReadDir(filepath.Dir(name)); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

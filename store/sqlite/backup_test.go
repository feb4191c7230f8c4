package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
)

func TestBackupWhileWritesGoOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "gatehouse.db"), Options{})
	stop, stopped := make(chan struct{}), make(chan error, 1)
	enough := make(chan struct{})
	go func() {
		// The setting counts the users that were confirmed before it.
		x := &gatehouse.Setting{Name: "confirmed"}
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := s.CreateUser(context.Background(), user(n, fmt.Sprint("key", n))); err != nil {
				stopped <- err
				return
			}
			x.Value = []byte(strconv.Itoa(n + 1))
			if err := s.SaveSetting(context.Background(), x); err != nil {
				stopped <- err
				return
			}
			if n == 200 {
				close(enough)
			}
		}
	}()
	<-enough
	var files []string
	for n := range 3 {
		file := filepath.Join(dir, fmt.Sprintf("backup%d.db", n))
		if err := s.Backup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); filepath.Separator == '/' && mode != 0o600 {
			t.Errorf("mode %o, want 600", mode)
		}
		sound(t, file)
		b := open(t, file, Options{})
		x, err := b.Setting(t.Context(), "confirmed")
		if err != nil {
			t.Fatal(err)
		}
		confirmed, err := strconv.Atoi(string(x.Value))
		if err != nil || confirmed < 200 {
			t.Fatalf("%d users, %v", confirmed, err)
		}
		for n := range confirmed {
			if u, err := b.UserByKey(t.Context(), fmt.Sprint("key", n)); err != nil || u.ID != user(n).ID {
				t.Fatalf("user %d of %d: %v", n, confirmed, err)
			}
		}
	}
	if err := s.Backup(t.Context(), files[0]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("to a name that is taken: err = %v, want ErrExist", err)
	}
}

func TestABackupThatFailsLeavesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, filepath.Join(dir, "backup.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: err = %v", err)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "missing", "backup.db")); err == nil {
		t.Error("a backup to a folder that does not exist")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// backedUp is a backup with a user, a session and a challenge, and the store it
// was made of, which has another user since.
func backedUp(t *testing.T) (s *Store, file string) {
	t.Helper()
	s = open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	ctx := t.Context()
	file = filepath.Join(t.TempDir(), "backup.db")
	for _, err := range []error{
		s.CreateUser(ctx, user(1, "k")), s.CreateSession(ctx, session(1)),
		s.CreateChallenge(ctx, &gatehouse.Challenge{ID: "c1"}),
		s.Backup(ctx, file), s.CreateUser(ctx, user(2)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s, file
}

func TestRestore(t *testing.T) {
	old, file := backedUp(t)
	ctx := t.Context()

	// To a new place: everything but what could come back from the dead.
	fresh := filepath.Join(t.TempDir(), "gatehouse.db")
	if err := Restore(ctx, file, fresh, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(fresh); err != nil || filepath.Separator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("restored: %v, %v", info.Mode(), err)
	}
	s := open(t, fresh, Options{})
	if u, err := s.UserByKey(ctx, "k"); err != nil || u.ID != "u1" {
		t.Errorf("user: %v, %v", u, err)
	}
	if _, err := s.Session(ctx, "s1"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("session: err = %v, want ErrNotFound", err)
	}
	if _, err := s.Challenge(ctx, "c1"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("challenge: err = %v, want ErrNotFound", err)
	}

	// In the place of another: only if that is said, and not in use.
	if err := Restore(ctx, file, old.path, RestoreOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("to a name that is taken: err = %v, want ErrExist", err)
	}
	if err := Restore(ctx, file, old.path, RestoreOptions{Replace: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("to a database in use: err = %v, want ErrInUse", err)
	}
	addSession(t, old, 7) // it is not the worse for it
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, file, old.path, RestoreOptions{Replace: true, Restoration: gatehouse.Restoration{Keep: gatehouse.KeepSessions}}); err != nil {
		t.Fatal(err)
	}
	s = open(t, old.path, Options{})
	if _, err := s.User(ctx, "u2"); !errors.Is(err, gatehouse.ErrNotFound) {
		t.Errorf("a user created after the backup: err = %v, want ErrNotFound", err)
	}
	for id, want := range map[string]error{"s1": nil, "s7": gatehouse.ErrNotFound} {
		if _, err := s.Session(ctx, id); !errors.Is(err, want) {
			t.Errorf("session %s: err = %v, want %v", id, err, want)
		}
	}
	addSession(t, s, 8)
	sound(t, s.path)
}

// A restored database holds what the rules of the core say, which know no SQL.
func TestARestoredDatabaseBeginsAnew(t *testing.T) {
	from, ctx := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{}), t.Context()
	r := &gatehouse.Records{
		Users: []*gatehouse.User{{ID: "u1", Version: 3, Epoch: 7, Keys: []string{"k"}}, {ID: "u2", Version: 1}},
		Sessions: []*gatehouse.Session{
			{ID: "s1", Version: 2, UserID: "u1", Epoch: 7}, {ID: "s2", UserID: "u1", Epoch: 6}, {ID: "s3", UserID: "gone", Epoch: 1},
		},
		Challenges: []*gatehouse.Challenge{{ID: "c1", Version: 1}},
		Events:     []*gatehouse.Event{{ID: "e1", Kind: "login", Chain: "c", Sequence: 1, Proof: []byte{1}}},
		Settings:   []*gatehouse.Setting{{Name: "limits", Version: 5, Value: []byte{0, 255}}},
		Tasks:      []*gatehouse.Task{{ID: "t1", Version: 2, Kind: "notice"}},
	}
	if taken, err := from.Load(ctx, r); err != nil || taken.Len() > 0 {
		t.Fatal(taken, err)
	}
	for version := range int64(2) {
		if version > 0 { // it was restored before
			if err := (gatehouse.Restoration{At: epoch, From: "archive", Keep: gatehouse.KeepAll}).Note(ctx, from); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		if err := from.Backup(ctx, file); err != nil {
			t.Fatal(err)
		}
		for _, keep := range []gatehouse.Keep{gatehouse.KeepNothing, gatehouse.KeepSessions, gatehouse.KeepAll} {
			rule := gatehouse.Restoration{At: epoch.AddDate(0, 1, 0), From: "backup", Keep: keep}
			path := filepath.Join(t.TempDir(), "gatehouse.db")
			if err := Restore(ctx, file, path, RestoreOptions{Restoration: rule}); err != nil {
				t.Fatal(err)
			}
			to := open(t, path, Options{})
			under, err := gatehouse.RestorationUnderWay(ctx, to)
			if err != nil || under == nil || *under != rule {
				t.Errorf("keep %s: the note is %v, %v, want %v", keep, under, err, rule)
			}
			if note, err := to.Setting(ctx, "restored"); err != nil || note.Version != version+1 {
				t.Errorf("keep %s: the note is %v, %v, want version %d", keep, note, err, version+1)
			}
			got, want := gatehouse.Restoration{Keep: gatehouse.KeepAll}.Records(all(t, to)), rule.Records(all(t, from))
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("keep %s (-want +got):\n%s", keep, diff)
			}
			sound(t, path)
		}
	}
}

// all is all that the store holds.
func all(t *testing.T, s *Store) *gatehouse.Records {
	t.Helper()
	all := &gatehouse.Records{}
	err := s.Walk(t.Context(), func(r *gatehouse.Records) error {
		all.Users, all.Sessions, all.Challenges = append(all.Users, r.Users...), append(all.Sessions, r.Sessions...), append(all.Challenges, r.Challenges...)
		all.Events, all.Settings, all.Tasks = append(all.Events, r.Events...), append(all.Settings, r.Settings...), append(all.Tasks, r.Tasks...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The -wal file of a process that was killed must not be taken for a part of the
// database that replaces its own.
func TestRestoreOverOneThatWasKilled(t *testing.T) {
	_, file := backedUp(t)
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	killed := open(t, filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	for n := range 20 {
		if err := killed.CreateUser(t.Context(), user(n+100)); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(killed.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func([]byte) []byte{
		"whole":   func(b []byte) []byte { return b },
		"damaged": func(b []byte) []byte { return b[:5000] },
		"empty":   func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "gatehouse.db")
			for _, suffix := range []string{"", "-wal"} {
				content, err := os.ReadFile(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				if suffix == "" {
					content = damage(content)
				}
				if err := os.WriteFile(to+suffix, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Restore(t.Context(), file, to, RestoreOptions{Replace: true}); err != nil {
				t.Fatal(err)
			}
			s := open(t, to, Options{})
			if list, err := s.Users(t.Context(), "", 100); err != nil || len(list) != 1 {
				t.Errorf("%d users, %v, want the one of the backup", len(list), err)
			}
			sound(t, to)
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	for _, r := range refused {
		t.Run(r.name, func(t *testing.T) {
			from := r.make(t)
			to := finished(t)
			before, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			if err := Restore(t.Context(), from, to, RestoreOptions{Replace: true}); err == nil {
				t.Error("it was restored")
			}
			if after, err := os.ReadFile(to); err != nil || string(after) != string(before) {
				t.Errorf("what was to be replaced has changed, %v", err)
			}
		})
	}
	t.Run("over the database of another program", func(t *testing.T) {
		_, from := backedUp(t)
		to := file(t, `CREATE TABLE t (a)`)
		if err := Restore(t.Context(), from, to, RestoreOptions{Replace: true}); !errors.Is(err, ErrForeign) {
			t.Errorf("err = %v, want ErrForeign", err)
		}
	})
	t.Run("a damaged page", func(t *testing.T) {
		from := rewrite(t, finished(t), func(b []byte) []byte { clear(b[len(b)-2*4096:]); return b })
		to := filepath.Join(t.TempDir(), "gatehouse.db")
		if err := Restore(t.Context(), from, to, RestoreOptions{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("err = %v, want ErrDamaged", err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Error("it was restored")
		}
	})
}

// Who has it open is noticed, and to look leaves it as it was.
func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := InUse(t.Context(), path); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
	s := open(t, path, Options{})
	addSession(t, s, 1)
	if err := InUse(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Errorf("open: err = %v, want ErrInUse", err)
	}
	addSession(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := InUse(t.Context(), path); err != nil {
			t.Errorf("closed: %v", err)
		}
	}
	s = open(t, path, Options{})
	addSession(t, s, 3)
	if err := os.WriteFile(path+"2", []byte("nothing of ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := InUse(t.Context(), path+"2"); !errors.Is(err, ErrForeign) {
		t.Errorf("a foreign file: %v, want ErrForeign", err)
	}
}

package server

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func settings(t *testing.T, env ...string) *Settings {
	t.Helper()
	l, err := in{env: append([]string{"GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1"}, env...)}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	return &l.Settings
}

// TestOneSecret starts many at once in an empty folder: they must agree.
func TestOneSecret(t *testing.T) {
	t.Chdir(t.TempDir())
	const starters = 16
	var secrets [starters]string
	var wg sync.WaitGroup
	for i := range starters {
		wg.Go(func() {
			s, err := makeSecretFile("secret")
			if err != nil {
				t.Error(err)
			}
			secrets[i] = string(s.Reveal())
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if s != secrets[0] || weakness([]byte(s)) != "" {
			t.Fatalf("%d starters have different or weak secrets", starters)
		}
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestOpenMakesWhatIsMissing(t *testing.T) {
	s := settings(t)
	if _, err := OpenExisting(t.Context(), s, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrNoDatabase) {
		t.Errorf("OpenExisting without a database: %v", err)
	}
	if _, err := os.Stat(s.Data); err == nil {
		t.Error("OpenExisting has made a data folder")
	}
	for range 2 {
		i, err := Open(t.Context(), s, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Gatehouse.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if users, err := i.Gatehouse.Users(t.Context(), "", 1); err != nil || len(users) > 0 {
			t.Errorf("there are users that nobody made: %d, %v", len(users), err)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	for name, want := range map[string]os.FileMode{s.Data: 0o700, s.KeptSecretFile(): 0o600, s.DatabaseFile(): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %o", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(s *Settings) error
		want    string
	}{
		{"a database without its secret", func(s *Settings) error { return os.Remove(s.KeptSecretFile()) }, "is missing; put it back"},
		{"a secret cut short", func(s *Settings) error { return os.Truncate(s.KeptSecretFile(), 10) }, "has 10 bytes and needs at least 32"},
		{"an empty secret", func(s *Settings) error { return os.Truncate(s.KeptSecretFile(), 0) }, "is empty"},
		{"another secret", func(s *Settings) error { return os.WriteFile(s.KeptSecretFile(), []byte(strong), 0o600) }, "made with another master secret"},
		{"a secret that others can read", func(s *Settings) error { return os.Chmod(s.KeptSecretFile(), 0o640) }, "chmod 600"},
		{"a folder that others can write to", func(s *Settings) error { return os.Chmod(s.Data, 0o777) }, "chmod 700"},
		{"an empty database", func(s *Settings) error { return os.Truncate(s.DatabaseFile(), 0) }, "the file is empty"},
		{"a file in the place of the folder", func(s *Settings) error {
			return errors.Join(os.RemoveAll(s.Data), os.WriteFile(s.Data, nil, 0o600))
		}, "data folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(c.name, "others") {
				return // no such modes there
			}
			s := settings(t)
			log := slog.New(slog.DiscardHandler)
			i, err := Open(t.Context(), s, log)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(i.Close(), c.prepare(s)); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(s.KeptSecretFile())
			i, err = Open(t.Context(), s, log)
			if err == nil {
				t.Fatal("opened", i.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
			if after, _ := os.ReadFile(s.KeptSecretFile()); string(after) != string(before) {
				t.Error("the secret was changed")
			}
		})
	}
}

// TestDatabaseElsewhere: the secret stays in the data folder, and is not made
// anew for a database that is somewhere else.
func TestDatabaseElsewhere(t *testing.T) {
	s := settings(t, "GATEHOUSE_DATABASE=sqlite:other.db")
	log := slog.New(slog.DiscardHandler)
	i, err := Open(t.Context(), s, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("other.db"); err != nil {
		t.Error(err)
	}
	s.Data = "another"
	if _, err := Open(t.Context(), s, log); err == nil || !strings.Contains(err.Error(), filepath.Join("another", "secret")+" is missing") {
		t.Errorf("%v, want it to miss the secret", err)
	}
}

//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	servers "github.com/gatehouse-auth/gatehouse/test/service"
)

// twoTimes is a database and its Redis, as they were when the backup was made, and
// later: sessions and proofs were ended and others begun since.
type twoTimes struct {
	environ  []string
	file     string
	redis    *servers.RedisServer
	saved    string // folder
	sessions map[string]*gatehouse.Login
	bob      string
}

const (
	then  = "then"
	later = "later"
	empty = "empty"
)

func liveTwice(t *testing.T) *twoTimes {
	dir := t.TempDir()
	w := &twoTimes{file: filepath.Join(dir, "gatehouse.db"), saved: t.TempDir(), redis: servers.Redis(t), sessions: map[string]*gatehouse.Login{}}
	w.environ = []string{
		"GATEHOUSE_DATA=" + dir, "GATEHOUSE_SECRET=a master secret of at least 32 bytes, please", "GATEHOUSE_REDIS=" + w.redis.URL(),
		"GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1", "GATEHOUSE_LIMITS=off",
	}
	login := func(ctx context.Context, g *gatehouse.Gatehouse, name, who string) error {
		l, err := g.Login(ctx, gatehouse.PasswordLogin{Email: who + "@example.com", Password: "correct horse of " + who})
		w.sessions[name] = l
		return err
	}
	w.in(t, server.Open, func(ctx context.Context, i *server.Instance) error {
		for _, who := range []string{"ann", "bob"} {
			u, err := i.Gatehouse.Register(ctx, gatehouse.Registration{Email: who + "@example.com", Password: "correct horse of " + who})
			if err != nil {
				return err
			}
			w.bob = u.ID
		}
		return errors.Join(
			login(ctx, i.Gatehouse, "kept", "ann"), login(ctx, i.Gatehouse, "logged out since", "ann"), login(ctx, i.Gatehouse, "voided since", "bob"),
			i.Store.CreateChallenge(ctx, &gatehouse.Challenge{ID: "open", Kind: "magic-link", CreatedAt: now(), ExpiresAt: now().Add(time.Hour)}),
			i.Store.CreateChallenge(ctx, &gatehouse.Challenge{ID: "used", Kind: "magic-link", CreatedAt: now(), ExpiresAt: now().Add(time.Hour)}),
		)
	})
	w.keep(t, then)
	w.in(t, server.OpenExisting, func(ctx context.Context, i *server.Instance) error {
		_, err := i.Store.TakeChallenge(ctx, "used")
		err = errors.Join(err, i.Gatehouse.Logout(ctx, w.sessions["logged out since"].AccessToken, ""), login(ctx, i.Gatehouse, "begun since", "ann"))
		// An epoch alone, without which a session is void that Redis knows to be good.
		u, e := i.Store.User(ctx, w.bob)
		if err = errors.Join(err, e); err != nil {
			return err
		}
		u.Epoch++
		return errors.Join(i.Store.SaveUser(ctx, u), login(ctx, i.Gatehouse, "begun since, under another epoch", "bob"))
	})
	w.keep(t, later)
	return w
}

func (w *twoTimes) in(t *testing.T, open opening, do func(context.Context, *server.Instance) error) {
	t.Helper()
	p := &program{out: &bytes.Buffer{}, err: &bytes.Buffer{}, environ: w.environ, flags: map[string]string{}}
	if err := p.openInstance(open, do); err != nil {
		t.Fatal(err)
	}
}

// keep keeps a copy of both as they are.
func (w *twoTimes) keep(t *testing.T, time string) {
	t.Helper()
	w.redis.Stop()
	err := errors.Join(
		os.CopyFS(filepath.Join(w.saved, time), os.DirFS(filepath.Dir(w.file))),
		os.CopyFS(filepath.Join(w.saved, time+" redis"), os.DirFS(w.redis.Folder)),
		w.redis.Start(),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// bring brings the database and Redis back, each to its time.
func (w *twoTimes) bring(t *testing.T, database, redis string) {
	t.Helper()
	w.redis.Stop()
	clear := func(folder string) error {
		list, err := os.ReadDir(folder)
		for _, e := range list {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
		}
		return err
	}
	err := errors.Join(clear(filepath.Dir(w.file)), clear(w.redis.Folder), os.CopyFS(filepath.Dir(w.file), os.DirFS(filepath.Join(w.saved, database))))
	if redis != empty {
		err = errors.Join(err, os.CopyFS(w.redis.Folder, os.DirFS(filepath.Join(w.saved, redis+" redis"))))
	}
	if err = errors.Join(err, w.redis.Start()); err != nil {
		t.Fatal(err)
	}
}

// good is what can be used: sessions and proofs.
func (w *twoTimes) good(t *testing.T) map[string]bool {
	t.Helper()
	good := map[string]bool{}
	w.in(t, server.OpenExisting, func(ctx context.Context, i *server.Instance) error {
		for name, l := range w.sessions {
			if _, err := i.Gatehouse.Refresh(ctx, l.RefreshToken); err == nil {
				good[name] = true
			} else if !errors.Is(err, gatehouse.Unauthenticated) {
				return err
			}
		}
		for _, id := range []string{"open", "used"} {
			if _, err := i.Store.TakeChallenge(ctx, id); err == nil {
				good["proof "+id] = true
			} else if !errors.Is(err, gatehouse.ErrNotFound) {
				return err
			}
		}
		// Voiding what there is revives nothing.
		u, err := i.Store.User(ctx, w.bob)
		if err != nil {
			return err
		}
		u.Epoch++
		return i.Store.SaveUser(ctx, u)
	})
	w.in(t, server.OpenExisting, func(ctx context.Context, i *server.Instance) error {
		const last = "begun since, under another epoch"
		if _, err := i.Gatehouse.Refresh(ctx, w.sessions[last].RefreshToken); err == nil {
			good[last+", when the epoch rose"] = true
		}
		return nil
	})
	return good
}

// Whatever the database and Redis were brought back to: nothing that was ended or
// used comes back by default, and with the flags what docs/moving.md says.
func TestWhatIsGoodAfterNative(t *testing.T) {
	w := liveTwice(t)
	list := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	const keep, all = "--keep-sessions", "--as-is"
	for _, c := range []struct {
		database, redis, flag string
		want                  map[string]bool
	}{
		{then, later, "", list()},
		{later, then, "", list()},
		{then, then, "", list()},
		{later, later, "", list()},

		{then, later, keep, list("kept", "begun since", "voided since")},
		{later, then, keep, list("kept", "logged out since")},
		{then, then, keep, list("kept", "logged out since", "voided since")},

		{later, then, all, list("kept", "logged out since", "proof open", "proof used")},
		{then, then, all, list("kept", "logged out since", "voided since", "proof open", "proof used")},
		// The epoch of before is reached again: this is why it is not the default.
		{then, later, all, list("kept", "begun since", "voided since", "proof open", "begun since, under another epoch, when the epoch rose")},
	} {
		t.Run(c.database+", Redis "+c.redis+" "+c.flag, func(t *testing.T) {
			w.bring(t, c.database, c.redis)
			args := []string{"restore", "--after-native", "--in-use"} // nobody is, and that need not be waited for
			if c.flag != "" {
				args = append(args, c.flag)
			}
			if _, status := run(t, w.environ, args...); status != 0 {
				t.Fatalf("status %d", status)
			}
			if got := w.good(t); !maps.Equal(got, c.want) {
				t.Errorf("good: %v, want %v", got, c.want)
			}
		})
	}
	// An empty Redis may be the wrong one.
	for _, database := range []string{then, later} {
		for _, flag := range []string{keep, all} {
			t.Run(database+", Redis empty "+flag, func(t *testing.T) {
				w.bring(t, database, empty)
				if _, status := run(t, w.environ, "restore", "--after-native", "--in-use", flag); status != exitFault {
					t.Fatalf("status %d, want %d", status, exitFault)
				}
				if _, status := run(t, w.environ, "redis", "leave", "--yes"); status != 0 {
					t.Fatalf("leave: status %d", status)
				}
				if _, status := run(t, w.environ, "restore", "--after-native", "--in-use", flag); status != 0 {
					t.Fatalf("after leave: status %d", status)
				}
				if got := w.good(t); len(got) > 0 {
					t.Errorf("good: %v, want nothing", got)
				}
			})
		}
	}
}

// tasks: sweeping and the like may wait or not.
var tasks = regexp.MustCompile(`\d waiting tasks?`)

// A line says what was done.
func TestAfterNativeSaysWhatWasDone(t *testing.T) {
	w := liveTwice(t)
	for flag, want := range map[string]string{
		"--in-use":        "Begun anew for 2 users: 4 sessions in Redis ended, 1 single-use proof and N waiting tasks removed; the signing keys are new.\n",
		"--keep-sessions": "Begun anew for 2 users: 3 sessions in Redis kept and 1 ended, 1 single-use proof and N waiting tasks removed; the signing keys stay.\n",
		"--as-is":         "Nothing begins anew: sessions, single-use proofs, waiting work and signing keys are those that were found.\n",
	} {
		w.bring(t, then, later)
		var out, said bytes.Buffer
		if status := Main([]string{"restore", "--after-native", flag}, w.environ, nil, &out, &said); status != 0 || !strings.HasSuffix(tasks.ReplaceAllString(said.String(), "N waiting tasks"), want) {
			t.Errorf("%s: status %d, %q, want %q", flag, status, &said, want)
		}
	}
}

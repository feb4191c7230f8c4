//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// within is the second in which a decision made in another process must hold,
// and something for a machine that is busy with other tests.
const within = 1500 * time.Millisecond

// TestDisableBesideServer uses commands on the database of a running server:
// what they decide holds there within a second.
func TestDisableBesideServer(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), cheap...)
	const email = "ann@example.com"
	ann := member(t, s, email)
	ann.get(t, "/api/auth/me").want(t, "me", 200)

	mustCall(t, s.data, "", "user", "grant", email, "editor")
	took := eventually(t, within, "the role", func() bool {
		var me struct{ User struct{ Roles []string } }
		if err := json.Unmarshal(ann.get(t, "/api/auth/me").body, &me); err != nil {
			t.Fatal(err)
		}
		return len(me.User.Roles) == 1 && me.User.Roles[0] == "editor"
	})
	t.Logf("a role is seen after %v", took)

	mustCall(t, s.data, "", "user", "disable", email)
	took = eventually(t, within, "me of a disabled user is 401", func() bool {
		return ann.get(t, "/api/auth/me").status == 401
	})
	t.Logf("a disabled user is out after %v", took)
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh of a disabled user", 401)
	newBrowser(s).post(t, "/api/auth/login", credentials(email)).want(t, "login of a disabled user", 401)
	mustCall(t, s.data, "", "user", "enable", email)
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh of a session from before", 401)
	newBrowser(s).post(t, "/api/auth/login", credentials(email)).want(t, "login of an enabled user", 200)

	const another = "another long password"
	mustCall(t, s.data, another+"\n", "user", "set-password", "--password-stdin", email)
	newBrowser(s).post(t, "/api/auth/login", credentials(email)).want(t, "login with the password of before", 401)
	newBrowser(s).post(t, "/api/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, another)).want(t, "login with the new password", 200)

	mustCall(t, s.data, "", "user", "delete", "--yes", email)
	newBrowser(s).post(t, "/api/auth/register", credentials(email)).want(t, "register a freed address", 201)
	if out, code := call(t, []string{"GATEHOUSE_DATA=" + s.data}, "", "user", "show", "nobody@example.com"); code != 3 {
		t.Errorf("show nobody: exit status %d\n%s", code, out)
	}
}

// TestRotateKeysBesideServer rotates the signing keys ten times under a session
// that goes on asking who it is and refreshing.
func TestRotateKeysBesideServer(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), cheap...)
	ann := member(t, s, "ann@example.com")
	first := newBrowser(s)
	first.jar = ann.cookies()
	var stop atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; !stop.Load(); n++ {
			a, err := ann.try("GET", "/api/auth/me", "", "")
			if err != nil || a.status != 200 {
				t.Errorf("me while keys rotate: %v %v", a, err)
			}
			if n%20 == 0 {
				if a, err := ann.try("POST", "/api/auth/refresh", "", ""); err != nil || a.status != 200 {
					t.Errorf("refresh while keys rotate: %v %v", a, err)
				}
			}
		}
	})
	for range 10 {
		mustCall(t, s.data, "", "keys", "rotate")
	}
	stop.Store(true)
	all.Wait()
	first.get(t, "/api/auth/me").want(t, "me with a token of ten keys ago", 200)
}

// TestBackup copies the database under load, and restores it elsewhere. Who was
// registered before the backup is known there; no token from after it, or from
// before, is worth anything: everybody logs in again.
func TestBackup(t *testing.T) {
	folder := t.TempDir()
	s := start(t, filepath.Join(folder, "data"), cheap...)
	ann := member(t, s, "ann@example.com")
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh", 200)
	before := ann.cookies()

	var stop atomic.Bool
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			b := newBrowser(s)
			for n := 0; !stop.Load(); n++ {
				email := fmt.Sprintf("user-%d-%d@example.com", worker, n)
				if a, err := b.try("POST", "/api/auth/register", jsonKind, credentials(email)); err != nil || a.status != 201 {
					t.Errorf("register during a backup: %v %v", a, err)
					return
				}
			}
		})
	}
	file := ""
	for i := range 5 {
		file = filepath.Join(folder, fmt.Sprintf("backup-%d.db", i))
		mustCall(t, s.data, "", "backup", file)
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("backup: %v %v", info, err)
		}
		checkIntegrity(t, file)
	}
	stop.Store(true)
	all.Wait()
	if out, code := call(t, []string{"GATEHOUSE_DATA=" + s.data}, "", "backup", file); code == 0 {
		t.Errorf("a backup was written over: %s", out)
	}
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh after the backup", 200)
	after := ann.cookies()
	newBrowser(s).post(t, "/api/auth/register", credentials("late@example.com")).want(t, "register after the backup", 201)
	if out, code := call(t, []string{"GATEHOUSE_DATA=" + s.data}, "", "restore", file); code == 0 {
		t.Errorf("restored over the database of a running server: %s", out)
	}
	s.stop()

	data := filepath.Join(folder, "restored")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(filepath.Join(s.data, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	mustCall(t, data, "", "restore", file)
	restored := start(t, data, cheap...)
	for name, cookies := range map[string]map[string]string{"before": before, "after": after} {
		b := newBrowser(restored)
		b.jar = cookies
		if a := b.post(t, "/api/auth/refresh", ""); a.status != 401 {
			t.Errorf("refresh with the token of %s the backup: %v", name, a)
		}
		if a := b.get(t, "/api/auth/me"); a.status != 401 {
			t.Errorf("me with the token of %s the backup: %v", name, a)
		}
	}
	b := newBrowser(restored)
	b.post(t, "/api/auth/login", credentials("ann@example.com")).want(t, "login after the restore", 200)
	b.post(t, "/api/auth/login", credentials("late@example.com")).want(t, "login of who came after the backup", 401)
}

//go:build linux

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestFileSize lets the disk refuse to write as one does that is full, without a
// disk of its own: the process may not make its files any larger. [TestFull] has
// the disk itself, and load.
func TestFileSize(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), cheap...)
	// Not even one page fits.
	diskFull(t, s, func() { limitFiles(t, s.cmd.Process.Pid, 4096) }, func() { limitFiles(t, s.cmd.Process.Pid, ^uint64(0)) })
}

// limitFiles sets how large a file may become at the hands of the process; the
// hard limit stays, so that it can be lifted again.
func limitFiles(t *testing.T, pid int, size uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: size, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatalf("prlimit: %v", errno)
	}
}

// unavailable fails the test unless the answer is a 503 that says when to come
// back, and takes nobody's cookies away.
func unavailable(t *testing.T, what string, a *answer) {
	t.Helper()
	after, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != 503 || err != nil || after < 1 || a.text("code") != "unavailable" || a.text("retry_after") != strconv.Itoa(after) {
		t.Errorf("%s: %v, Retry-After %q; want 503 with both", what, a, a.header.Get("Retry-After"))
	}
	if len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("%s: a 503 sets cookies: %q", what, a.header["Set-Cookie"])
	}
}

func diskFull(t *testing.T, s *server, fill, lift func()) {
	ann := member(t, s, "ann@example.com")
	b := newBrowser(s)
	var registered []string
	register := func(n int) *answer {
		email := fmt.Sprintf("user%d@example.com", n)
		a := b.post(t, "/api/auth/register", credentials(email))
		if a.status == 201 {
			registered = append(registered, email)
		}
		return a
	}
	n := 0
	for ; n < 5; n++ {
		register(n).want(t, "register", 201)
	}
	fill()
	for ; ; n++ {
		a := register(n)
		if a.status == 201 && n < 20_000 {
			continue
		}
		unavailable(t, "register on a full disk", a)
		break
	}
	t.Logf("full after %d registrations", n)
	for range 5 {
		if a := ann.get(t, "/api/auth/me"); a.status != 200 && a.status != 503 {
			t.Errorf("me of somebody who is logged in: %v", a)
		}
		if a := b.post(t, "/api/auth/login", credentials("ann@example.com")); a.status != 200 && a.status != 503 {
			t.Errorf("login with the right password: %v", a)
		}
		held := ann.cookies()
		if a := ann.post(t, "/api/auth/refresh", ""); a.status != 200 {
			unavailable(t, "refresh", a)
			if now := ann.cookies(); len(now) != len(held) || now["refresh_token"] != held["refresh_token"] {
				t.Errorf("a refresh that failed changed the cookies")
			}
		}
	}
	eventually(t, 5*time.Second, "/readyz is 503", func() bool { return b.get(t, "/readyz").status == 503 })
	b.get(t, "/livez").want(t, "livez", 200)

	lift()
	took := eventually(t, 10*time.Second, "recovery", func() bool {
		n++
		return register(n).status == 201 && b.get(t, "/readyz").status == 200
	})
	t.Logf("recovered after %v", took)
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh after the recovery", 200)
	canLogIn(t, s, registered)
	checkIntegrity(t, s.database())
	s.kill()
	again := start(t, s.data, cheap...)
	canLogIn(t, again, registered)
	ann.base = again.url
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh after a restart", 200)
	again.kill()
}

// TestLocked lets another process hold the right to write for longer than the
// server waits for it.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"), cheap...)
	ann := member(t, s, "ann@example.com")
	db, err := sql.Open("sqlite", "file:"+s.database()+"?mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	answers := make(chan *answer, 3)
	for _, c := range [][2]string{
		{"/api/auth/register", credentials("bob@example.com")}, {"/api/auth/login", credentials("ann@example.com")}, {"/api/auth/refresh", ""},
	} {
		go func() {
			a, err := ann.send(context.Background(), ann.cookies(), "POST", c[0], jsonKind, c[1])
			if err != nil {
				t.Errorf("%s: %v", c[0], err)
			}
			answers <- a
		}()
	}
	waiting := 0
	for waiting < 3 {
		select {
		case a := <-answers:
			waiting++
			if a != nil {
				unavailable(t, "a write while another process holds the lock", a)
			}
		default:
			ann.get(t, "/api/auth/me").want(t, "me while another process holds the lock", 200)
			pause(50 * time.Millisecond)
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the refusals took %v", took)
	}
	if _, err := conn.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, 10*time.Second, "recovery", func() bool {
		status := newBrowser(s).post(t, "/api/auth/register", credentials("bob@example.com")).status
		return status == 201 || status == 409
	})
	t.Logf("recovered after %v", took)
	ann.post(t, "/api/auth/refresh", "").want(t, "refresh after the lock", 200)
	newBrowser(s).post(t, "/api/auth/login", credentials("bob@example.com")).want(t, "login after the lock", 200)
}

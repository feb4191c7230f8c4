package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Disk is a small file system of its own, in memory, which a test fills up under
// whoever uses it.
type Disk struct {
	Path string // an empty folder that everybody may write to
}

// NewDisk makes one of that many MiB, and takes it away when the test ends. Where
// root may not mount it, nor anybody in a name space of its own, the test fails and
// says what to allow.
func NewDisk(tb testing.TB, size int) *Disk {
	tb.Helper()
	folder, err := os.MkdirTemp("", "gatehouse-disk-") // for another user: those of tests are closed to them
	check(tb, err)
	tb.Cleanup(func() { os.RemoveAll(folder) })
	check(tb, os.Chmod(folder, 0o755))
	options := fmt.Sprintf("size=%dm,mode=1777", size)
	if os.Geteuid() == 0 {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, options); err != nil {
			tb.Fatalf("mount a small file system: %v: this test needs the right to (CAP_SYS_ADMIN; docker run --privileged), or to be run by somebody else than root", err)
		}
		tb.Cleanup(func() {
			if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
				tb.Error(err)
			}
		})
		return &Disk{folder}
	}
	// The file system is there for as long as the process that mounted it, which
	// waits for the end of its input. Others find it by way of that process.
	keeper := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o "$1" tmpfs "$2" && echo mounted && exec cat`, "sh", options, folder)
	keeper.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	keeper.Stderr = &said
	in, err := keeper.StdinPipe()
	check(tb, err)
	out, err := keeper.StdoutPipe()
	check(tb, err)
	check(tb, keeper.Start())
	tb.Cleanup(func() {
		in.Close()
		_ = keeper.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "mounted\n" {
		tb.Fatalf("mount a small file system in a name space of its own: %s: this test needs that right (sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0), or to be run as root", strings.TrimSpace(said.String()))
	}
	return &Disk{fmt.Sprintf("/proc/%d/root%s", keeper.Process.Pid, folder)}
}

func (d *Disk) ballast() string { return filepath.Join(d.Path, "ballast") }

// Fill takes all the room that is left on the disk, and what is given back meanwhile.
func (d *Disk) Fill(tb testing.TB) {
	tb.Helper()
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(tb, err)
	defer f.Close()
	_, err = io.Copy(f, endless{})
	if !errors.Is(err, syscall.ENOSPC) {
		tb.Fatalf("fill the disk: %v", err)
	}
}

// endless is read without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Free gives back the room that Fill took.
func (d *Disk) Free(tb testing.TB) {
	tb.Helper()
	check(tb, os.Remove(d.ballast()))
}

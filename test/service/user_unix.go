//go:build unix

package service

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged has cmd run as somebody else if this process is root, whom some
// servers refuse, and hands the folders to that user. The process gets a group of
// its own, so that an interrupted test does not interrupt it as well.
func unprivileged(cmd *exec.Cmd, folders ...string) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if err := os.Chown(f, int(uid), int(gid)); err != nil {
			return err
		}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

// freeze stops a process in the middle of whatever it does.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

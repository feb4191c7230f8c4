package service

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// freePort is a port on which nobody listens now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// program is the path of a program: the one chosen, if one is, or else the one
// that is installed, where the shell or Debian has it.
func program(chosen, name, debian string, places ...string) (string, error) {
	if chosen != "" {
		_, err := os.Stat(chosen)
		return chosen, err
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range places {
		found, err := filepath.Glob(filepath.Join(pattern, name))
		if err != nil {
			return "", err
		}
		slices.Sort(found)
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("there is no %s on this machine: install the Debian package %s", name, debian)
}

// children are the processes that pid has started and that are still running, as
// far as the system tells.
func children(pid int) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT …, where a name may hold spaces and parentheses.
		var state string
		var parent int
		end := slices.Index(stat, ')')
		for i := len(stat) - 1; i > end; i-- {
			if stat[i] == ')' {
				end = i
			}
		}
		if _, err := fmt.Sscanf(string(stat[end+1:]), " %s %d", &state, &parent); err == nil && parent == pid {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

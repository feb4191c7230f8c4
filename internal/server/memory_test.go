package server

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestMachineMemory(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	const meminfo = "MemTotal:       24683928 kB\nMemFree:        1 kB\n"
	for name, c := range map[string]struct {
		root fstest.MapFS
		want Size
	}{
		"not Linux":      {fstest.MapFS{}, 0},
		"no group":       {fstest.MapFS{"proc/meminfo": file(meminfo)}, 24683928 << 10},
		"nonsense":       {fstest.MapFS{"proc/meminfo": file("MemTotal: x"), "proc/self/cgroup": file("0\n\n:::::")}, 0},
		"no limit":       {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, 24683928 << 10},
		"a container":    {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("268435456\n")}, 256 << 20},
		"path of others": {fstest.MapFS{"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/../../x\n"), "sys/fs/cgroup/memory.max": file("268435456\n")}, 256 << 20},
		"a group above": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("1048576\n"),
		}, 1 << 20},
		"version 1": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("8:pids:/\n4:memory:/docker/x\n"),
			"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": file("134217728\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n"),
		}, 128 << 20},
	} {
		if got := machineMemory(c.root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}

func TestHashBudget(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name                  string
		workers               int
		memory, set, machine  Size
		want                  Size
		faultAbout, faultSays string
		warns                 bool
	}{
		{"two workers", 2, 19 * mib, 0, 1000 * mib, 64 * mib, "", "", false},
		{"eight workers", 8, 19 * mib, 0, 1000 * mib, 152 * mib, "", "", false},
		{"unknown machine", 8, 19 * mib, 0, 0, 152 * mib, "", "", false},
		{"small container", 8, 19 * mib, 0, 128 * mib, 96 * mib, "", "", true},
		{"tiny container", 2, 19 * mib, 0, 60 * mib, 28 * mib, "", "", true},
		{"not one hash", 2, 64 * mib, 0, 80 * mib, 64 * mib, "hash-memory", "of 64MiB is too much for this machine or container, which has 80MiB: leave 32MiB", false},
		{"set", 2, 19 * mib, 200 * mib, 256 * mib, 200 * mib, "", "", false},
		{"set to little", 4, 19 * mib, 40 * mib, 256 * mib, 40 * mib, "", "", true},
		{"set to too much", 2, 19 * mib, 240 * mib, 256 * mib, 240 * mib, "hash-memory-budget", "of 240MiB is too much", false},
		{"set to less than one", 2, 19 * mib, 18 * mib, 256 * mib, 18 * mib, "hash-memory-budget", "of 18MiB is not enough for one hash, which takes the 19MiB of hash_memory", false},
	} {
		s := &Settings{HashMemory: c.memory, HashWorkers: c.workers, HashMemoryBudget: c.set}
		if got := s.hashBudget(c.machine); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		l := &loader{}
		l.checkBudget(s, c.machine)
		switch {
		case c.faultAbout == "" && len(l.faults) > 0:
			t.Errorf("%s: refused: %v", c.name, l.faults)
		case c.faultAbout != "" && (len(l.faults) != 1 || l.faults[0].Name != c.faultAbout || !strings.Contains(l.faults[0].Text, c.faultSays)):
			t.Errorf("%s: %v, want %s %s", c.name, l.faults, c.faultAbout, c.faultSays)
		}
		if (len(l.Warnings) > 0) != c.warns {
			t.Errorf("%s: warnings %q", c.name, l.Warnings)
		}
	}
}

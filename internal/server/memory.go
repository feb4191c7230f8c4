package server

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// restMemory is what the rest of Gatehouse needs beside hashing to start and to
// serve a little.
const restMemory Size = 32 << 20

// MachineMemory is how much memory this process can have at most, or 0 if that
// is not known.
func MachineMemory() Size { return machineMemory(os.DirFS("/")) }

// machineMemory is how much this process can have at most: the memory of the
// machine, or less if a control group (a container) allows less; 0 if that is
// not known. The root of the file system is asked, which only on Linux answers.
func machineMemory(root fs.FS) Size {
	least := Size(0)
	note := func(n Size) {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	if b, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		if _, after, ok := bytes.Cut(b, []byte("MemTotal:")); ok {
			fields := strings.Fields(string(after))
			if len(fields) > 1 && fields[1] == "kB" {
				note(number(fields[0]) << 10)
			}
		}
	}
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path, the first two being 0 and empty in version 2
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		at, file := "sys/fs/cgroup", "memory.max"
		if part[1] == "memory" {
			at, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if part[1] != "" {
			continue
		}
		// Inside of a container the path may be that of outside: then what is
		// there is at the root.
		for group := path.Clean("/" + part[2]); ; group = path.Dir(group) {
			if b, err := fs.ReadFile(root, path.Join(at, group, file)); err == nil {
				note(number(strings.TrimSpace(string(b))))
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}

// number is 0 for what is none, such as "max".
func number(s string) Size {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return Size(n)
}

// workers is how many hashes are computed at once, if the memory is enough.
func (s *Settings) workers() int {
	if s.HashWorkers > 0 {
		return s.HashWorkers
	}
	return runtime.GOMAXPROCS(0)
}

// hashBudget is the memory for hashing on a machine that has so much, 0 if that
// is not known. What was set stays; what was not makes do with what there is.
func (s *Settings) hashBudget(machine Size) Size {
	if s.HashMemoryBudget > 0 {
		return s.HashMemoryBudget
	}
	budget := max(Size(s.workers())*s.HashMemory, 64<<20)
	if machine > 0 {
		budget = max(min(budget, machine-restMemory), s.HashMemory)
	}
	return budget
}

// checkBudget refuses to start with more memory for hashing than there is: to be
// killed in the middle of the first flood would be worse.
func (l *loader) checkBudget(s *Settings, machine Size) {
	if s.HashMemoryBudget > 0 && s.HashMemoryBudget < s.HashMemory {
		l.fault(l.From("hash-memory-budget"), "hash-memory-budget", "of %s is not enough for one hash, which takes the %s of hash_memory", s.HashMemoryBudget, s.HashMemory)
		return
	}
	if machine == 0 {
		return
	}
	name, budget := "hash-memory-budget", s.hashBudget(machine)
	if s.HashMemoryBudget == 0 {
		name = "hash-memory"
	}
	if budget > machine-restMemory {
		l.fault(l.From(name), name, "of %s is too much for this machine or container, which has %s: leave %s for the rest", budget, machine.rounded(), restMemory)
		return
	}
	if can := int(budget / s.HashMemory); can < s.workers() {
		l.warn("hash_memory_budget: %s are enough for %d hashes at once, not for %d", budget.rounded(), can, s.workers())
	}
}

// rounded is the size in whole MiB, for people.
func (s Size) rounded() Size { return s &^ (1<<20 - 1) }

package hashing

import "github.com/gatehouse-auth/gatehouse/internal/argon2"

// memories are what hashes are computed in. They are kept for the next hash,
// and all together never hold more than the budget. The methods are called under
// the lock of the pool; between take and give a memory is its taker's.
type memories struct {
	budget int // KiB
	keep   int // KiB, of what is kept when it is given back: a current hash's
	held   int // KiB, of those that are free and of those that were taken
	free   []*argon2.Memory
}

// take is a memory that may grow to need KiB, or nil if there is not enough of
// it now. Memory that nobody uses is given up for it.
func (m *memories) take(need int) *argon2.Memory {
	mem := &argon2.Memory{}
	if last := len(m.free) - 1; last >= 0 {
		mem, m.free = m.free[last], m.free[:last]
	}
	more := max(0, need-mem.Size())
	for len(m.free) > 0 && m.held+more > m.budget {
		m.release(m.free[0])
		m.free = m.free[1:]
	}
	if m.held+more > m.budget {
		m.free = append(m.free, mem)
		return nil
	}
	m.held += more
	return mem
}

// give takes back a memory that was taken for need KiB and had before KiB then.
func (m *memories) give(mem *argon2.Memory, need, before int) {
	m.held += mem.Size() - max(need, before)
	if mem.Size() > m.keep {
		m.release(mem)
	}
	m.free = append(m.free, mem)
}

func (m *memories) release(mem *argon2.Memory) {
	m.held -= mem.Size()
	mem.Release()
}

// releaseFree gives all that is not in use back to the operating system.
func (m *memories) releaseFree() {
	for _, mem := range m.free {
		m.release(mem)
	}
	m.free = nil
}

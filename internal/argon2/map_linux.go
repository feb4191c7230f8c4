package argon2

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OffHeap reports whether memory comes from the operating system and goes back
// to it, so that the garbage collector has no part in it.
func OffHeap() bool { return fast }

// hugePage is what the processor maps with one entry of its translation buffer,
// when the kernel plays along. Blocks are read all over the place: with pages of
// 4 KiB every other read would also miss the buffer.
const hugePage = 2 << 20

func allocate(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("argon2: map %d KiB of memory: %w", size>>10, err)
	}
	if size >= hugePage {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // slower without, and not wrong
	}
	return b, nil
}

func free(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic(err) // only for what was not mapped
	}
}

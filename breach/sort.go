package breach

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
)

// sorter puts any number of numbers in order. It holds so many of them in memory
// and the rest in a file, as runs that are in order each.
type sorter struct {
	file  *os.File
	chunk []uint64 // of fixed capacity
	runs  []int    // the length of each run in the file
	count uint64
}

// newSorter sorts chunk numbers at a time. It uses an empty file, which stays
// the caller's.
func newSorter(f *os.File, chunk int) *sorter {
	return &sorter{file: f, chunk: make([]uint64, 0, chunk)}
}

func (s *sorter) add(v uint64) error {
	if len(s.chunk) == cap(s.chunk) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.chunk = append(s.chunk, v)
	s.count++
	return nil
}

func (s *sorter) spill() error {
	slices.Sort(s.chunk)
	w := bufio.NewWriterSize(s.file, 1<<20)
	var b [8]byte
	for _, v := range s.chunk {
		binary.LittleEndian.PutUint64(b[:], v)
		if _, err := w.Write(b[:]); err != nil {
			return err
		}
	}
	s.runs, s.chunk = append(s.runs, len(s.chunk)), s.chunk[:0]
	return w.Flush()
}

// sorted is the numbers in order, each as often as it was added.
func (s *sorter) sorted() iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		slices.Sort(s.chunk)
		sources := []*run{{rest: s.chunk}}
		at := int64(0)
		for _, n := range s.runs {
			sources = append(sources, &run{file: bufio.NewReaderSize(io.NewSectionReader(s.file, at, 8*int64(n)), 32<<10)})
			at += 8 * int64(n)
		}
		var heap []*run // the least number first
		for _, r := range sources {
			if more, err := r.advance(); err != nil {
				yield(0, err)
				return
			} else if more {
				heap = append(heap, r)
			}
		}
		slices.SortFunc(heap, func(a, b *run) int {
			if a.head < b.head {
				return -1
			}
			return 1
		})
		for len(heap) > 0 {
			r := heap[0]
			if !yield(r.head, nil) {
				return
			}
			more, err := r.advance()
			if err != nil {
				yield(0, err)
				return
			}
			if !more {
				heap[0] = heap[len(heap)-1]
				heap = heap[:len(heap)-1]
			}
			sink(heap)
		}
	}
}

// run is numbers in order, in memory or in a file.
type run struct {
	head uint64
	rest []uint64
	file *bufio.Reader
}

// advance brings the next number to the head, and reports whether there is one.
func (r *run) advance() (bool, error) {
	if r.file == nil {
		if len(r.rest) == 0 {
			return false, nil
		}
		r.head, r.rest = r.rest[0], r.rest[1:]
		return true, nil
	}
	b, err := r.file.Peek(8)
	if errors.Is(err, io.EOF) && len(b) == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.head = binary.LittleEndian.Uint64(b)
	_, err = r.file.Discard(8)
	return true, err
}

// sink moves the first run to where it belongs.
func sink(heap []*run) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && heap[child+1].head < heap[child].head {
			child++
		}
		if heap[i].head <= heap[child].head {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

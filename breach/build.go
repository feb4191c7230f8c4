package breach

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// BuildOptions say what goes into a file.
type BuildOptions struct {
	// MinCount leaves out what was seen less often. Default 1.
	MinCount uint64
	// Progress, if not nil, is called every now and then by the goroutine that
	// called [Build].
	Progress func(Progress)

	chunk int // of the sorter, for tests
}

// Progress is how far a build has come.
type Progress struct {
	Read    uint64 // hashes taken from the list
	Kept    uint64 // of those, seen often enough
	Written uint64 // of those, in the file
}

// step is after how many hashes progress is told and the context is asked.
const step = 1 << 18

// ErrEmpty is the answer of [Build] when there is nothing to keep.
var ErrEmpty = errors.New("the list has no hash that was seen often enough")

// Build makes the file out of hashes, in whichever order they come; those of
// [Read] or [ReadLines]. It needs about 100 MiB of memory for any number of them,
// and 8 bytes of disk for each beside the file. The file appears under its name
// when it is whole, in the place of one that was there; after an error that one
// is as it was, and nothing is left over.
func Build(ctx context.Context, out string, hashes iter.Seq2[Hash, error], o BuildOptions) (info Info, err error) {
	o.MinCount = max(o.MinCount, 1)
	o.chunk = cmp.Or(o.chunk, 4<<20)
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	folder, err := os.MkdirTemp(filepath.Dir(out), ".breach-*")
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	spill, err := os.OpenFile(filepath.Join(folder, "runs"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Info{}, err
	}
	defer spill.Close()
	b := &builder{ctx: ctx, o: o, sort: newSorter(spill, o.chunk)}
	if err := b.gather(hashes); err != nil {
		return Info{}, err
	}
	whole := filepath.Join(folder, "file")
	f, err := os.OpenFile(whole, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a list that is public; who serves may be another user than who builds
	if err != nil {
		return Info{}, err
	}
	info, err = b.write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return Info{}, err
	}
	return info, os.Rename(whole, out)
}

type builder struct {
	ctx  context.Context
	o    BuildOptions
	sort *sorter
	done Progress
}

// tell is called for every hash.
func (b *builder) tell(n uint64) error {
	if n%step != 0 {
		return nil
	}
	b.o.Progress(b.done)
	return b.ctx.Err()
}

func (b *builder) gather(hashes iter.Seq2[Hash, error]) error {
	for h, err := range hashes {
		if err != nil {
			return err
		}
		b.done.Read++
		if h.Count >= b.o.MinCount {
			b.done.Kept++
			if err := b.sort.add(binary.BigEndian.Uint64(h.Sum[:8])); err != nil {
				return err
			}
		}
		if err := b.tell(b.done.Read); err != nil {
			return err
		}
	}
	if b.done.Kept == 0 {
		return ErrEmpty
	}
	return b.ctx.Err()
}

// write writes the buckets and, beside them, their index; the header last.
func (b *builder) write(f *os.File) (Info, error) {
	info := Info{MinCount: b.o.MinCount, bucketBits: bucketBitsFor(b.done.Kept)}
	at := info.body()
	index := bufio.NewWriterSize(io.NewOffsetWriter(f, headerSize), 64<<10)
	body := bufio.NewWriterSize(io.NewOffsetWriter(f, at), 1<<20)
	begins := func() error {
		_, err := index.Write(binary.LittleEndian.AppendUint64(nil, uint64(at)))
		return err
	}
	var current uint64 // the bucket that is being filled, with what is in it
	var kept []uint64
	var buffer []byte
	flush := func() error {
		buffer = appendBucket(buffer[:0], current, kept)
		if len(buffer) > maxBucket {
			return errors.New("the hashes are not spread as those of SHA-1 are")
		}
		if err := begins(); err != nil {
			return err
		}
		_, err := body.Write(buffer)
		at += int64(len(buffer))
		info.Count += uint64(len(kept))
		current, kept = current+1, kept[:0]
		return err
	}
	for hash, err := range b.sort.sorted() {
		if err != nil {
			return Info{}, err
		}
		bucket, part := info.place(hash)
		for current < bucket {
			if err := flush(); err != nil {
				return Info{}, err
			}
		}
		if len(kept) == 0 || kept[len(kept)-1] != part {
			kept = append(kept, part)
		}
		b.done.Written++
		if err := b.tell(b.done.Written); err != nil {
			return Info{}, err
		}
	}
	for current < info.buckets() {
		if err := flush(); err != nil {
			return Info{}, err
		}
	}
	info.Size = at
	err := errors.Join(begins(), index.Flush(), body.Flush())
	if err != nil {
		return Info{}, err
	}
	if _, err := f.WriteAt(info.header(), 0); err != nil {
		return Info{}, fmt.Errorf("header: %w", err)
	}
	return info, nil
}

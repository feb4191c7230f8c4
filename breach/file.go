package breach

import (
	"context"
	"crypto/sha1" //nolint:gosec // what such lists are made of; nothing is protected by it
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is an open breach file. Any number of goroutines may use it.
type File struct {
	r      io.ReaderAt
	closer io.Closer
	info   Info
}

// Open opens a file that [Build] has made. It reads the header and a few buckets
// of it, so that a file that is cut off, foreign or badly damaged is refused;
// [File.Verify] reads all. The error is a sentence about the file, with its name.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, reason(err))
	}
	file, err := open(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return file, nil
}

func open(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no file")
	}
	file, err := newFile(f, info.Size())
	if err != nil {
		return nil, err
	}
	file.closer = f
	return file, nil
}

// reason is err without the path, which the caller says.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// newFile reads what r says of itself, and looks at a few buckets.
func newFile(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, min(headerSize, size))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, reason(err)
	}
	info, err := parseHeader(head, size)
	if err != nil {
		return nil, err
	}
	f := &File{r: r, info: info}
	last := info.buckets() - 1
	for _, edge := range []struct{ bucket, want int64 }{{0, info.body()}, {int64(last) + 1, info.Size}} {
		var at [8]byte
		if err := f.read(at[:], headerSize+8*edge.bucket); err != nil {
			return nil, err
		}
		if int64(binary.LittleEndian.Uint64(at[:])) != edge.want {
			return nil, fmt.Errorf("%w: its index does not span its buckets", ErrDamaged)
		}
	}
	const looks = 32
	for i := range uint64(looks) {
		if err := f.each(last*i/(looks-1), func(uint64) bool { return true }); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Info is what the file says of itself.
func (f *File) Info() Info { return f.info }

// Contains reports whether the password with this SHA-1 is in the file. An error
// means that the file cannot be read any more, or that it is damaged; nothing is
// known about the password then.
func (f *File) Contains(ctx context.Context, sum [sha1.Size]byte) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	bucket, want := f.info.place(binary.BigEndian.Uint64(sum[:8]))
	found := false
	err := f.each(bucket, func(kept uint64) bool {
		found = kept == want
		return kept < want
	})
	return found && err == nil, err
}

// Verify reads the whole file and returns the first thing that is wrong with it.
func (f *File) Verify(ctx context.Context) error {
	count := uint64(0)
	for bucket := range f.info.buckets() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.each(bucket, func(uint64) bool { count++; return true }); err != nil {
			return err
		}
	}
	if count != f.info.Count {
		return fmt.Errorf("%w: it holds %d hashes and says %d", ErrDamaged, count, f.info.Count)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.closer.Close() }

// each calls yield with what a bucket holds.
func (f *File) each(bucket uint64, yield func(kept uint64) bool) error {
	var ends [16]byte
	if err := f.read(ends[:], headerSize+8*int64(bucket)); err != nil {
		return err
	}
	begin, end := int64(binary.LittleEndian.Uint64(ends[:])), int64(binary.LittleEndian.Uint64(ends[8:]))
	if begin < f.info.body() || end > f.info.Size || end < begin || end-begin > maxBucket {
		return fmt.Errorf("%w: bucket %d lies outside of it", ErrDamaged, bucket)
	}
	b := make([]byte, end-begin)
	if err := f.read(b, begin); err != nil {
		return err
	}
	return walk(bucket, b, yield)
}

func (f *File) read(b []byte, at int64) error {
	_, err := f.r.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it has become shorter", ErrDamaged)
	}
	if err != nil {
		return reason(err)
	}
	return nil
}

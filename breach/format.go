package breach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

const (
	magic      = "GHBREACH"
	version    = 1
	headerSize = 64
	// bucketHead is the checksum and the number of hashes of a bucket.
	bucketHead = 8
	// maxBucket bounds what is read for one answer, in bytes. Buckets of hashes
	// that are spread as SHA-1 spreads them have about 1.4 KiB.
	maxBucket = 1 << 20
	maxBits   = 34 // of a bucket's number: room for 8 thousand billion hashes

	// spanBits is how many bits of a hash are kept beyond those that choose the
	// bucket. A bucket holds fewer than 2^9 hashes of the 2^29 there could be:
	// that is one in 2^20.
	spanBits = 29
	// riceBits is the part of a distance that is written as it is; what is above
	// is written as so many ones and a zero. Distances are 2^20 to 2^21 in the mean.
	riceBits = 20
)

// ErrDamaged is in the chain of every error about a file that is not what it
// was made as.
var ErrDamaged = errors.New("the file is damaged")

// Info is what a file says of itself.
type Info struct {
	// Count is the number of hashes.
	Count uint64
	// MinCount is how often a password was seen at least to be in the file.
	MinCount uint64
	// Size is the length of the file in bytes.
	Size int64

	bucketBits int
}

// FalsePositives is the share of passwords that are not in the list and are taken
// for one that is: below one in a million.
func (i Info) FalsePositives() float64 {
	return float64(i.Count) / float64(uint64(1)<<(i.bucketBits+spanBits))
}

func (i Info) buckets() uint64 { return 1 << i.bucketBits }

// body is where the buckets begin.
func (i Info) body() int64 { return headerSize + 8*(int64(i.buckets())+1) }

// bucketBitsFor is the number of bits that choose one of the buckets for n
// hashes, so that each holds 256 to 512 in the mean.
func bucketBitsFor(n uint64) int { return max(0, bits.Len64(n/256)-1) }

// place is the bucket of a hash, given by its first 64 bits, and what of it is
// kept there.
func (i Info) place(hash uint64) (bucket, kept uint64) {
	return hash >> (64 - i.bucketBits), hash << i.bucketBits >> (64 - spanBits)
}

func (i Info) header() []byte {
	h := make([]byte, headerSize)
	copy(h, magic)
	binary.LittleEndian.PutUint32(h[8:], version)
	binary.LittleEndian.PutUint32(h[12:], uint32(i.bucketBits))
	binary.LittleEndian.PutUint64(h[16:], i.Count)
	binary.LittleEndian.PutUint64(h[24:], i.MinCount)
	binary.LittleEndian.PutUint64(h[32:], uint64(i.Size))
	binary.LittleEndian.PutUint32(h[headerSize-4:], crc32.Checksum(h[:headerSize-4], castagnoli))
	return h
}

// parseHeader reads the header of a file of this length.
func parseHeader(h []byte, size int64) (Info, error) {
	if len(h) < headerSize || string(h[:8]) != magic {
		return Info{}, errors.New("is no breach file; gatehouse breach build makes one of a list of hashes")
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != version {
		return Info{}, fmt.Errorf("is a breach file of version %d, and this program reads version %d; build it again", v, version)
	}
	if crc32.Checksum(h[:headerSize-4], castagnoli) != binary.LittleEndian.Uint32(h[headerSize-4:]) {
		return Info{}, fmt.Errorf("%w: its header does not agree with its checksum; build it again", ErrDamaged)
	}
	i := Info{
		Count: binary.LittleEndian.Uint64(h[16:]), MinCount: binary.LittleEndian.Uint64(h[24:]),
		Size: int64(binary.LittleEndian.Uint64(h[32:])), bucketBits: int(binary.LittleEndian.Uint32(h[12:])),
	}
	if i.Size != size {
		return Info{}, fmt.Errorf("%w: it has %d bytes of %d; copy or build it again", ErrDamaged, size, i.Size)
	}
	if i.bucketBits > maxBits || i.Size < i.body() {
		return Info{}, fmt.Errorf("%w: its header makes no sense; build it again", ErrDamaged)
	}
	return i, nil
}

// castagnoli is the table of CRC-32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a bucket in its place, from after the checksum on.
func checksum(bucket uint64, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.LittleEndian.AppendUint64(nil, bucket), castagnoli), castagnoli, b)
}

// appendBucket writes a bucket of the kept parts of hashes, in order and each
// once.
func appendBucket(b []byte, bucket uint64, kept []uint64) []byte {
	b = append(b, make([]byte, 4)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(kept)))
	var word uint64 // bits that make no byte yet, the first one lowest
	var n int
	put := func(v uint64, width int) {
		word |= v << n
		for n += width; n >= 8; n -= 8 {
			b = append(b, byte(word))
			word >>= 8
		}
	}
	before := uint64(0)
	for _, k := range kept {
		d := k - before
		for range d >> riceBits {
			put(1, 1)
		}
		put(0, 1)
		put(d&(1<<riceBits-1), riceBits)
		before = k
	}
	if n > 0 {
		b = append(b, byte(word))
	}
	binary.LittleEndian.PutUint32(b, checksum(bucket, b[4:]))
	return b
}

// walk calls yield with what is kept in a bucket, in order, until that says no.
// The bucket has to be sound, or it is an error.
func walk(bucket uint64, b []byte, yield func(uint64) bool) error {
	unsound := func(what string) error { return fmt.Errorf("%w: bucket %d %s", ErrDamaged, bucket, what) }
	if len(b) < bucketHead || checksum(bucket, b[4:]) != binary.LittleEndian.Uint32(b) {
		return unsound("does not agree with its checksum")
	}
	n := binary.LittleEndian.Uint32(b[4:])
	b = b[bucketHead:]
	var word uint64
	var have int
	take := func(width int) (v uint64, ok bool) {
		for have < width {
			if len(b) == 0 {
				return 0, false
			}
			word |= uint64(b[0]) << have
			b, have = b[1:], have+8
		}
		v = word & (1<<width - 1)
		word, have = word>>width, have-width
		return v, true
	}
	kept := uint64(0)
	for i := range n {
		d := uint64(0)
		for {
			bit, ok := take(1)
			if !ok {
				return unsound("ends too early")
			}
			if bit == 0 {
				break
			}
			d += 1 << riceBits
		}
		low, ok := take(riceBits)
		if !ok {
			return unsound("ends too early")
		}
		if d += low; d == 0 && i > 0 || kept+d >= 1<<spanBits {
			return unsound("is out of order")
		}
		kept += d
		if !yield(kept) {
			return nil
		}
	}
	if len(b) > 0 || word != 0 {
		return unsound("is too long")
	}
	return nil
}

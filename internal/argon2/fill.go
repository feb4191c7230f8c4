package argon2

import (
	"encoding/binary"
	"slices"
)

// fill is the filling of the memory for one hash: lanes beside each other, each
// in four segments. Names are those of RFC 9106, section 3.
type fill struct {
	*Memory
	variant       variant
	passes, lanes uint32
	lane, segment uint32 // blocks in each
}

// segment is the part of a lane between two points where lanes may look at each
// other, as the assembly reads it.
type segment struct {
	to, before *block  // the first block to write, and the one before it
	random     *uint64 // a number for each block, or nil: it is the first word of the one before
	base       *block  // of all memory
	old        *block  // what goes into every block as well, or nil: the one in its place
	scratch    *block

	lane, lanes uint64 // this lane, and how many there are to choose from
	size        uint64 // blocks of a lane
	first, n    uint64 // where those to choose from begin, and how many they are without this segment
	i, end      uint64 // place of the first block to write in this segment, and behind the last
}

// start writes the first two blocks of each lane.
func (f *fill) start(h0 []byte) {
	var b [blockSize]byte
	for l := range f.lanes {
		for i := range uint32(2) {
			in := binary.LittleEndian.AppendUint32(h0, i)
			long(b[:], binary.LittleEndian.AppendUint32(in, l))
			to := &f.blocks[l*f.lane+i]
			for w := range to {
				to[w] = binary.LittleEndian.Uint64(b[8*w:])
			}
		}
	}
}

// run writes all other blocks, pass by pass. The lanes of one slice do not look
// at each other, so their order does not matter. All segments are described
// before the first is written, and then written in one go.
func (f *fill) run() {
	f.segments, f.numbers = f.segments[:0], f.numbers[:0]
	// The random numbers of a segment must not move once it points to them.
	without := blind
	if f.variant == typeI {
		without = perLane * int(f.passes)
	}
	f.numbers = slices.Grow(f.numbers, without*int(f.lanes)*f.batches())
	for pass := range f.passes {
		for slice := range uint32(perLane) {
			for l := range f.lanes {
				f.segments = append(f.segments, f.describe(pass, slice, l))
			}
		}
	}
	apart(&f.segments[0], len(f.segments))
}

func (f *fill) describe(pass, slice, lane uint32) segment {
	s := segment{
		base: &f.blocks[0], scratch: &f.scratch,
		lane: uint64(lane), lanes: uint64(f.lanes), size: uint64(f.lane), end: uint64(f.segment),
	}
	// The blocks to choose from begin at the segment behind this one, where the
	// pass before is still to be seen; in the first pass at the beginning.
	if pass > 0 {
		s.first, s.n = uint64((slice+1)%perLane*f.segment), uint64(f.lane-f.segment)
	} else {
		s.old, s.n = &f.zero, uint64(slice*f.segment)
	}
	if pass == 0 && slice == 0 {
		s.lanes, s.i = 1, 2 // the other lanes have nothing yet, this one two blocks
	}
	at := slice*f.segment + uint32(s.i)
	s.to = &f.blocks[lane*f.lane+at]
	s.before = &f.blocks[lane*f.lane+(at+f.lane-1)%f.lane]
	// Which blocks are chosen in the first half of the first pass, or always with
	// argon2i, follows from their place alone, so that the password does not show in
	// the order of reads.
	if f.variant == typeI || pass == 0 && slice < blind {
		s.random = f.draw(block{uint64(pass), uint64(lane), uint64(slice), uint64(len(f.blocks)), uint64(f.passes), uint64(f.variant)}, s.i)
	}
	return s
}

// batches is how many blocks of random numbers a segment needs.
func (f *fill) batches() int { return (int(f.segment) + len(block{}) - 1) / len(block{}) }

// draw makes a random number for each block of a segment and returns where the
// one for block i is; the others follow.
func (f *fill) draw(input block, i uint64) *uint64 {
	from := len(f.numbers)
	f.input = input
	for range f.batches() {
		f.numbers = append(f.numbers, block{})
		to := &f.numbers[len(f.numbers)-1]
		f.input[6]++
		mix(to, &f.zero, &f.zero, &f.input, &f.scratch)
		mix(to, &f.zero, &f.zero, to, &f.scratch)
	}
	return &f.numbers[from][i]
}

// finish is the key that the last blocks of all lanes lead to.
func (f *fill) finish(keyLen uint32) []byte {
	last := f.blocks[f.lane-1]
	for l := uint32(1); l < f.lanes; l++ {
		for w, v := range f.blocks[(l+1)*f.lane-1] {
			last[w] ^= v
		}
	}
	b := make([]byte, 0, blockSize)
	for _, w := range last {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	key := make([]byte, keyLen)
	long(key, b)
	return key
}

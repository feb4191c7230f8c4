package argon2

import "encoding/binary"

// fill is the filling of the memory for one hash: lanes beside each other, each
// in four segments. Names are those of RFC 9106, section 3.
type fill struct {
	*Memory
	passes, lanes uint32
	lane, segment uint32 // blocks in each
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
// at each other, so their order does not matter.
func (f *fill) run() {
	for pass := range f.passes {
		for slice := range uint32(slices) {
			for l := range f.lanes {
				f.fill(pass, slice, l)
			}
		}
	}
}

// fill writes a segment. Which block goes into the next is read from the block
// before it; in the first half of the first pass it follows from its place
// alone, so that the password does not show in the order of the reads.
func (f *fill) fill(pass, slice, lane uint32) {
	blind := pass == 0 && slice < slices/2
	if blind {
		f.input = block{uint64(pass), uint64(lane), uint64(slice), uint64(len(f.blocks)), uint64(f.passes), typeID}
	}
	i := uint32(0)
	if pass == 0 && slice == 0 {
		i = 2
		f.nextAddresses()
	}
	own := f.blocks[lane*f.lane:][:f.lane]
	at := slice*f.segment + i
	before := &own[(at+f.lane-1)%f.lane]
	for ; i < f.segment; i++ {
		if blind && i%uint32(len(block{})) == 0 {
			f.nextAddresses()
		}
		random := before[0]
		if blind {
			random = f.addresses[i%uint32(len(block{}))]
		}
		to, old := &own[at], &own[at]
		if pass == 0 {
			old = &f.zero
		}
		mix(to, old, before, f.reference(pass, slice, lane, i, random), &f.scratch)
		before = to
		at++
	}
}

// nextAddresses makes the random numbers of the next blocks of a segment.
func (f *fill) nextAddresses() {
	f.input[6]++
	mix(&f.addresses, &f.zero, &f.zero, &f.input, &f.scratch)
	mix(&f.addresses, &f.zero, &f.zero, &f.addresses, &f.scratch)
}

// reference is the block that goes into the i-th of a segment (sections 3.4.1.3
// and 3.4.2).
func (f *fill) reference(pass, slice, lane, i uint32, random uint64) *block {
	from := lane
	if f.lanes > 1 && (pass > 0 || slice > 0) {
		from = uint32(random>>32) % f.lanes
	}
	// The blocks there are to choose from begin at the segment after the one
	// that is being written, where the last pass is still to be seen; in the
	// first pass they begin at the beginning.
	first, n := uint32(0), slice*f.segment
	if pass > 0 {
		first, n = (slice+1)%slices*f.segment, f.lane-f.segment
	}
	switch {
	case from == lane:
		n += i - 1 // those of this segment too, but for the block before
	case i == 0:
		n-- // in other lanes that one is not for the first to see either
	}
	// Later blocks are likelier than earlier ones.
	x := random & 0xffffffff
	x = x * x >> 32
	back := uint64(n) * x >> 32
	return &f.blocks[from*f.lane+(first+n-1-uint32(back))%f.lane]
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

package argon2

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
)

// Version is the one that is computed, 1.3, as it stands in encoded hashes.
const Version = argon2.Version

const (
	blockSize = 1024
	perLane   = 4 // segments; between two of them lanes may look at each other
	blind     = 2 // of those in the first pass of argon2id, in which the choice of blocks tells nothing
)

// variant says where the choice of blocks may follow from the password: nowhere,
// or not in the first half of the first pass.
type variant uint32

const (
	typeI  variant = 1
	typeID variant = 2
)

// block is 1 KiB of memory. The words are in the byte order of the RFC, since
// every processor that gets to see one here is little-endian.
type block [blockSize / 8]uint64

// Fast reports whether hashes are computed by this package, and not by the
// library.
func Fast() bool { return fast }

// Memory is where hashes are computed, one at a time. The zero value holds
// nothing, and grows to what the largest hash needs.
type Memory struct {
	mapped []byte
	blocks []block

	segments             []segment
	numbers              []block // random ones for the segments
	zero, scratch, input block
}

// Size is the memory that is held between two hashes, in KiB.
func (m *Memory) Size() int { return len(m.mapped) / blockSize }

// Release gives the memory back; the next hash takes new memory.
func (m *Memory) Release() {
	if m.mapped != nil {
		free(m.mapped)
	}
	m.mapped, m.blocks, m.segments, m.numbers = nil, nil, nil, nil
}

// IDKey is the key of keyLen bytes, at least 4, that password leads to, after
// time passes, at least 1, over memory KiB in lanes, at least 1. It is what the
// function of this name in x/crypto/argon2 answers. The error says that there is
// no memory.
func (m *Memory) IDKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	if !fast {
		return argon2.IDKey(password, salt, time, memory, lanes, keyLen), nil
	}
	return m.key(typeID, password, salt, nil, nil, time, memory, uint32(lanes), keyLen)
}

// IKey is IDKey for argon2i, which is not for new hashes: what the library calls
// Key.
func (m *Memory) IKey(password, salt []byte, time, memory uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	if !fast {
		return argon2.Key(password, salt, time, memory, lanes, keyLen), nil
	}
	return m.key(typeI, password, salt, nil, nil, time, memory, uint32(lanes), keyLen)
}

// key is IDKey or IKey with the two inputs that password hashes do without: a
// secret and associated data.
func (m *Memory) key(v variant, password, salt, secret, data []byte, time, memory, lanes, keyLen uint32) ([]byte, error) {
	if time < 1 || lanes < 1 || keyLen < 4 {
		panic("argon2: no passes, no lanes or no key")
	}
	f := fill{Memory: m, variant: v, passes: time, lanes: lanes}
	f.segment = max(memory/(perLane*lanes), 2)
	f.lane = perLane * f.segment
	if err := m.grow(int(lanes * f.lane)); err != nil {
		return nil, err
	}
	f.start(start(v, password, salt, secret, data, time, memory, lanes, keyLen))
	f.run()
	return f.finish(keyLen), nil
}

// grow makes m.blocks n blocks. What is in them does not matter: each is written
// before it is read.
func (m *Memory) grow(n int) error {
	if len(m.mapped) < n*blockSize {
		m.Release()
		b, err := allocate(n * blockSize)
		if err != nil {
			return err
		}
		m.mapped = b
	}
	m.blocks = unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(m.mapped))), n) //nolint:gosec // as long as was just made sure
	return nil
}

// start is H0 of section 3.2, with room for two numbers behind it.
func start(v variant, password, salt, secret, data []byte, time, memory, lanes, keyLen uint32) []byte {
	h, err := blake2b.New512(nil)
	if err != nil {
		panic(err) // only for a key that is too long
	}
	var b []byte
	for _, n := range []uint32{lanes, keyLen, memory, time, Version, uint32(v)} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	h.Write(b)
	for _, input := range [][]byte{password, salt, secret, data} {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(input))))
		h.Write(input)
	}
	return h.Sum(make([]byte, 0, blake2b.Size+8))
}

// long fills out with the hash of in, of whichever length out has: H' of section
// 3.3.
func long(out, in []byte) {
	in = append(binary.LittleEndian.AppendUint32(nil, uint32(len(out))), in...)
	for len(out) > blake2b.Size {
		v := blake2b.Sum512(in)
		out = out[copy(out, v[:blake2b.Size/2]):]
		in = append(in[:0], v[:]...)
	}
	h, err := blake2b.New(len(out), nil)
	if err != nil {
		panic(err) // only for a size that blake2b does not have
	}
	h.Write(in)
	h.Sum(out[:0])
}

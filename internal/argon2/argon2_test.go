package argon2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"
)

// RFC 9106, section 5: with a secret and associated data, which the library
// has no door for, so that only our own computation can be asked.
func TestRFC(t *testing.T) {
	if !fast {
		t.Skip("the library computes on this machine")
	}
	var m Memory
	defer m.Release()
	repeat := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	// Sections 5.2 and 5.3.
	for v, want := range map[variant]string{
		typeI:  "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
		typeID: "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
	} {
		got, err := m.key(v, repeat(1, 32), repeat(2, 16), repeat(3, 8), repeat(4, 12), 3, 32, 4, 32)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("variant %d: %x, %v, want %s", v, got, err, want)
		}
	}
}

// drawn is what a hash is made of.
type drawn struct {
	password, salt []byte
	time, memory   uint32
	lanes          uint8
	keyLen         uint32
}

func (d drawn) check(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Memory) {
	t.Helper()
	want := argon2.IDKey(d.password, d.salt, d.time, d.memory, d.lanes, d.keyLen)
	got, err := m.IDKey(d.password, d.salt, d.time, d.memory, d.lanes, d.keyLen)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("m=%d,t=%d,p=%d, a password of %d, a salt of %d, a key of %d bytes: %x, %v, want %x",
			d.memory, d.time, d.lanes, len(d.password), len(d.salt), d.keyLen, got, err, want)
	}
	want = argon2.Key(d.password, d.salt, d.time, d.memory, d.lanes, d.keyLen)
	got, err = m.IKey(d.password, d.salt, d.time, d.memory, d.lanes, d.keyLen)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("argon2i m=%d,t=%d,p=%d: %x, %v, want %x", d.memory, d.time, d.lanes, got, err, want)
	}
}

// Ours is the library's, in memory that has seen larger and smaller hashes.
func TestAsTheLibrary(t *testing.T) {
	var m Memory
	defer m.Release()
	rapid.Check(t, func(t *rapid.T) {
		if rapid.IntRange(0, 9).Draw(t, "release") == 0 {
			m.Release()
		}
		drawn{
			password: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "password"),
			salt:     rapid.SliceOfN(rapid.Byte(), 8, 64).Draw(t, "salt"),
			time:     rapid.Uint32Range(1, 4).Draw(t, "time"),
			memory:   rapid.Uint32Range(8, 300).Draw(t, "memory"),
			lanes:    rapid.Uint8Range(1, 4).Draw(t, "lanes"),
			keyLen:   rapid.Uint32Range(4, 128).Draw(t, "keyLen"),
		}.check(t, &m)
	})
}

// Segments of more than 128 blocks need more than one block of addresses, and
// what people really use is larger still.
func TestLarge(t *testing.T) {
	var m Memory
	defer m.Release()
	for _, d := range []drawn{
		{time: 1, memory: 5000, lanes: 3, keyLen: 32},
		{time: 2, memory: 19456, lanes: 1, keyLen: 32},
		{time: 3, memory: 1024*4 + 3, lanes: 1, keyLen: 64},
		{time: 2, memory: 65536, lanes: 16, keyLen: 65},
	} {
		d.password, d.salt = []byte("correct horse battery staple"), []byte("0123456789abcdef")
		d.check(t, &m)
	}
}

func FuzzAsTheLibrary(f *testing.F) {
	var m Memory
	f.Cleanup(m.Release)
	f.Add([]byte("password"), []byte("somesalt"), uint8(2), uint16(64), uint8(2), uint8(32))
	f.Fuzz(func(t *testing.T, password, salt []byte, time uint8, memory uint16, lanes, keyLen uint8) {
		drawn{password, salt, 1 + uint32(time%4), uint32(memory % 400), 1 + lanes%6, 4 + uint32(keyLen)}.check(t, &m)
	})
}

func TestSize(t *testing.T) {
	if !fast {
		t.Skip("the library allocates on this machine")
	}
	var m Memory
	if m.Size() != 0 {
		t.Errorf("new: %d KiB", m.Size())
	}
	m.Release()
	for _, c := range []struct{ memory, want uint32 }{{100, 100}, {64, 100}, {301, 300}, {8, 300}} {
		if _, err := m.IDKey(nil, []byte("somesalt"), 1, c.memory, 1, 32); err != nil || m.Size() != int(c.want) {
			t.Errorf("after a hash of %d KiB: %d, %v, want %d", c.memory, m.Size(), err, c.want)
		}
	}
	m.Release()
	if m.Size() != 0 {
		t.Errorf("released: %d KiB", m.Size())
	}
}

// Nothing of the size of a hash is allocated.
func TestAllocations(t *testing.T) {
	if !fast {
		t.Skip("the library allocates on this machine")
	}
	var m Memory
	defer m.Release()
	hash := func() {
		if _, err := m.IDKey([]byte("password"), []byte("somesalt"), 1, 1024, 1, 32); err != nil {
			t.Fatal(err)
		}
	}
	hash()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		hash()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 64<<10 {
		t.Errorf("%d bytes for each hash of 1 MiB", each)
	}
}

func TestNoMemory(t *testing.T) {
	if !OffHeap() {
		t.Skip("the runtime ends the program before an error could be seen")
	}
	var m Memory
	defer m.Release()
	drawn{nil, []byte("somesalt"), 1, 64, 1, 32}.check(t, &m)
	if err := m.grow(1 << 40); err == nil { // more than can be addressed
		t.Fatal("a petabyte was there")
	}
	if m.Size() != 0 {
		t.Errorf("%d KiB are held", m.Size())
	}
	drawn{nil, []byte("somesalt"), 1, 64, 1, 32}.check(t, &m)
}

func BenchmarkIDKey(b *testing.B) {
	password, salt := []byte("correct horse battery staple"), make([]byte, 16)
	for i := range salt {
		salt[i] = byte(rand.Uint32())
	}
	for _, p := range []struct {
		memory, time uint32
		lanes        uint8
	}{{19456, 2, 1}, {47104, 1, 1}, {65536, 3, 1}, {65536, 3, 4}} {
		name := fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.lanes)
		b.Run("ours/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var m Memory
			defer m.Release()
			for b.Loop() {
				if _, err := m.IDKey(password, salt, p.time, p.memory, p.lanes, 32); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("library/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				argon2.IDKey(password, salt, p.time, p.memory, p.lanes, 32)
			}
		})
	}
}

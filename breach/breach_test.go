package breach

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func sum(password string) [sha1.Size]byte { return sha1.Sum([]byte(password)) }

// of is a list of these, each seen once.
func of(sums ...[sha1.Size]byte) iter.Seq2[Hash, error] {
	return func(yield func(Hash, error) bool) {
		for _, s := range sums {
			if !yield(Hash{s, 1}, nil) {
				return
			}
		}
	}
}

func build(t testing.TB, hashes iter.Seq2[Hash, error], o BuildOptions) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "breach")
	if _, err := Build(t.Context(), name, hashes, o); err != nil {
		t.Fatal(err)
	}
	return name
}

func openFile(t testing.TB, name string) *File {
	t.Helper()
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func contains(t testing.TB, f *File, s [sha1.Size]byte) bool {
	t.Helper()
	found, err := f.Contains(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A file says of every password exactly what a map of the bits that are kept says,
// whatever was in the list and in whichever order.
func TestFileIsExact(t *testing.T) {
	seen := struct{ yes, no, almost int }{}
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		n := rapid.SampledFrom([]int{1, 2, 255, 511, 512, 513, 2000}).Draw(t, "n")
		list := make([][sha1.Size]byte, n)
		for i := range list {
			binary.BigEndian.PutUint64(list[i][:], r.Uint64())
		}
		list = append(list, list[:n/3]...) // some of them twice
		folder, err := os.MkdirTemp("", "breach")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		name := filepath.Join(folder, "file")
		info, err := Build(context.Background(), name, of(list...), BuildOptions{chunk: rapid.SampledFrom([]int{300, 1 << 16}).Draw(t, "chunk")})
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		known := map[[2]uint64]bool{}
		for _, s := range list {
			b, k := info.place(binary.BigEndian.Uint64(s[:]))
			known[[2]uint64{b, k}] = true
		}
		if f.Info() != info || info.Count != uint64(len(known)) {
			t.Fatalf("info %+v, built as %+v, want %d hashes", f.Info(), info, len(known))
		}
		if err := f.Verify(context.Background()); err != nil {
			t.Fatal(err)
		}
		probe := func(s [sha1.Size]byte) bool {
			b, k := info.place(binary.BigEndian.Uint64(s[:]))
			want := known[[2]uint64{b, k}]
			got, err := f.Contains(context.Background(), s)
			if err != nil || got != want {
				t.Fatalf("%x: %v, %v; want %v", s, got, err, want)
			}
			return got
		}
		for _, s := range list {
			if !probe(s) {
				t.Fatalf("%x is in the list and not in the file", s)
			}
			seen.yes++
			// The nearest neighbours: the last bit that is kept, and the next one.
			v := binary.BigEndian.Uint64(s[:])
			last := 64 - info.bucketBits - spanBits
			binary.BigEndian.PutUint64(s[:], v^1<<last)
			if !probe(s) {
				seen.no++
			}
			binary.BigEndian.PutUint64(s[:], v^1<<(last-1))
			if probe(s) {
				seen.almost++
			}
		}
	})
	if seen.yes == 0 || seen.no == 0 || seen.almost == 0 {
		t.Errorf("%+v: this has shown too little", seen)
	}
}

// A password that is not in the list is told to be in it less than once in a
// million times, and the file is as small as it says.
func TestRateAndSize(t *testing.T) {
	const n = 300_000
	r := rand.New(rand.NewPCG(1, 2))
	draw := func() (s [sha1.Size]byte) {
		binary.BigEndian.PutUint64(s[:], r.Uint64())
		return s
	}
	list := make([][sha1.Size]byte, n)
	for i := range list {
		list[i] = draw()
	}
	f := openFile(t, build(t, of(list...), BuildOptions{chunk: 1 << 16}))
	if rate := f.Info().FalsePositives(); rate <= 0 || rate > 1e-6 {
		t.Errorf("the rate is %g, want at most 1e-6", rate)
	}
	if each := 8 * float64(f.Info().Size) / n; each > 23 {
		t.Errorf("%.2f bits for each hash, want at most 23", each)
	}
	wrong := 0
	for range n {
		if contains(t, f, draw()) {
			wrong++
		}
	}
	if wrong > 5 { // 0.2 are expected
		t.Errorf("%d of %d are told to be in the list and are not", wrong, n)
	}
}

const lines = "" +
	"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\r\n" + // password
	"\r\n" +
	"7c4a8d09ca3762af61e59520943dc26494f8941b:42542807\r\n" + // 123456
	"0000000000000000000000000000000000000000:0\r\n" + // as answers are padded
	"A94A8FE5CCB19BA61C4C0873D391E987982FBBD3" // test

func TestBuildFromLines(t *testing.T) {
	f := openFile(t, build(t, ReadLines(strings.NewReader("\ufeff"+lines), ""), BuildOptions{}))
	for p, want := range map[string]bool{"password": true, "123456": true, "test": true, "Password": false, "": false} {
		if got := contains(t, f, sum(p)); got != want {
			t.Errorf("%q: %v, want %v", p, got, want)
		}
	}
	if f.Info().Count != 3 || contains(t, f, [sha1.Size]byte{}) {
		t.Errorf("%+v: what was seen 0 times is in it", f.Info())
	}
	f = openFile(t, build(t, ReadLines(strings.NewReader(lines), ""), BuildOptions{MinCount: 3730471}))
	if f.Info().Count != 2 || f.Info().MinCount != 3730471 || contains(t, f, sum("test")) || !contains(t, f, sum("password")) {
		t.Errorf("%+v: the least count is not respected", f.Info())
	}
}

func TestReadForms(t *testing.T) {
	folder := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		name = filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	put("ranges/5BAA6.txt", "1E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\r\n")
	put("ranges/a94a8", "A94A8FE5CCB19BA61C4C0873D391E987982FBBD3:2\n")
	for _, name := range []string{put("whole.txt", lines), filepath.Join(folder, "ranges")} {
		f := openFile(t, build(t, Read(name), BuildOptions{}))
		if !contains(t, f, sum("password")) || !contains(t, f, sum("test")) || contains(t, f, sum("other")) {
			t.Errorf("%s: not what is in it", name)
		}
	}
	f := openFile(t, build(t, Read(filepath.Join(folder, "ranges", "5BAA6.txt")), BuildOptions{}))
	if !contains(t, f, sum("password")) {
		t.Error("one range: not what is in it")
	}
	put("others/README", "")
	for name, want := range map[string]string{
		filepath.Join(folder, "none.txt"):                                      "none.txt: ",
		filepath.Join(folder, "others"):                                        "others: not every file in it is a range",
		put("ntlm.txt", "32ED87BDB5FDC5E9CBA88547376818D4:1\n"):                "ntlm.txt: line 1 is not SHA1:COUNT",
		put("bad.txt", lines+"\n5BAA61E4C9B93F3F0682250B6CF8331B7EE68FDX:1\n"): "bad.txt: line 6 is not SHA1:COUNT",
		put("count.txt", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:-1\n"):      "count.txt: line 1 is not SHA1:COUNT",
		put("colon.txt", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:\n"):        "colon.txt: line 1 is not SHA1:COUNT",
		put("long.txt", strings.Repeat("A", 1<<20)):                            "long.txt: line 1 is not SHA1:COUNT",
		put("suffix.txt", "1E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\n"):     "suffix.txt: line 1 is not SHA1:COUNT",
		put("empty.txt", "\n"):                                                 ErrEmpty.Error(),
	} {
		out := filepath.Join(folder, "out", "file")
		put("out/file", "as it was")
		_, err := Build(t.Context(), out, Read(name), BuildOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if b, _ := os.ReadFile(out); string(b) != "as it was" {
			t.Errorf("%s: the file that was there is gone", name)
		}
		if left, _ := os.ReadDir(filepath.Join(folder, "out")); len(left) != 1 {
			t.Errorf("%s: left over: %v", name, left)
		}
	}
}

func TestBuildStopsWhenItsCallerDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	folder := t.TempDir()
	endless := func(yield func(Hash, error) bool) {
		for i := uint64(0); yield(Hash{sum(fmt.Sprint(i % 1000)), 1}, nil); i++ {
			if i == step+1 {
				cancel()
			}
		}
	}
	told := 0
	_, err := Build(ctx, filepath.Join(folder, "file"), endless, BuildOptions{Progress: func(p Progress) { told++ }})
	if !errors.Is(err, context.Canceled) || told == 0 {
		t.Errorf("err = %v after %d reports of progress", err, told)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestHashesThatAreNone(t *testing.T) {
	var same [][sha1.Size]byte // in one bucket, though there are many of them
	for i := range uint64(500_000) {
		var s [sha1.Size]byte
		binary.BigEndian.PutUint64(s[:], i<<25)
		same = append(same, s)
	}
	_, err := Build(t.Context(), filepath.Join(t.TempDir(), "file"), of(same...), BuildOptions{})
	if err == nil || !strings.Contains(err.Error(), "not spread") {
		t.Errorf("err = %v, want that they are not spread", err)
	}
}

func damaged(t testing.TB, b []byte, change func([]byte) []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(name, change(slices.Clone(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOpenRefuses(t *testing.T) {
	var list [][sha1.Size]byte
	for i := range 10_000 {
		list = append(list, sum(fmt.Sprint(i)))
	}
	good, err := os.ReadFile(build(t, of(list...), BuildOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	resealed := func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[headerSize-4:], crcOf(b[:headerSize-4]))
		return b
	}
	for _, c := range []struct {
		what   string
		change func([]byte) []byte
		want   string
	}{
		{"empty", func(b []byte) []byte { return nil }, "is no breach file"},
		{"a list", func(b []byte) []byte { return []byte(lines) }, "is no breach file; gatehouse breach build makes one"},
		{"another version", func(b []byte) []byte { b[8] = 2; return b }, "version 2, and this program reads version 1"},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, fmt.Sprintf("it has %d bytes of %d", len(good)-1, len(good))},
		{"cut off in the header", func(b []byte) []byte { return b[:40] }, "is no breach file"},
		{"too long", func(b []byte) []byte { return append(b, 0) }, "bytes of"},
		{"a bit of the header", func(b []byte) []byte { b[17] ^= 1; return b }, "its header does not agree"},
		{"a bucket too many", func(b []byte) []byte { b[12]++; return resealed(b) }, "its index does not span"},
		{"buckets without end", func(b []byte) []byte { b[12] = 255; return resealed(b) }, "its header makes no sense"},
		{"a bit of the index", func(b []byte) []byte { b[headerSize] ^= 1; return b }, "its index does not span"},
		{"the first bucket", func(b []byte) []byte { b[headerSize+8*33+9] ^= 1; return b }, "bucket 0 does not agree with its checksum"},
		{"the last bucket", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "bucket 31 does not agree with its checksum"},
		{"a hole", func(b []byte) []byte { clear(b[len(b)/2:]); return b }, "does not agree with its checksum"},
	} {
		name := damaged(t, good, c.change)
		f, err := Open(name)
		if err == nil {
			f.Close()
			t.Errorf("%s: it is opened", c.what)
			continue
		}
		if !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", c.what, err, c.want)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

// A file that goes bad while it is open is an error, and not an answer.
func TestFileGoesBad(t *testing.T) {
	var list [][sha1.Size]byte
	for i := range 50_000 {
		list = append(list, sum(fmt.Sprint(i)))
	}
	name := build(t, of(list...), BuildOptions{})
	f := openFile(t, name)
	w, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	check := func(what string, most int) {
		t.Helper()
		faults := 0
		for i := range list {
			for _, s := range [][sha1.Size]byte{list[i], sum("other " + fmt.Sprint(i))} {
				found, err := f.Contains(t.Context(), s)
				if err != nil && (found || !errors.Is(err, ErrDamaged)) {
					t.Fatalf("%s: %v, %v", what, found, err)
				}
				if err != nil {
					faults++
				} else if want := s == list[i]; found != want {
					t.Fatalf("%s: a wrong answer: %v", what, found)
				}
			}
		}
		if faults == 0 || faults > most {
			t.Errorf("%s: %d faults, want 1 to %d", what, faults, most)
		}
		if err := f.Verify(t.Context()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Verify: %v", what, err)
		}
	}
	middle := f.Info().body() + (f.Info().Size-f.Info().body())/2
	if _, err := w.WriteAt([]byte("overwritten"), middle); err != nil {
		t.Fatal(err)
	}
	check("overwritten", 4000)
	if err := w.Truncate(middle); err != nil {
		t.Fatal(err)
	}
	check("cut off", 60_000)
	f.Close()
	if found, err := f.Contains(t.Context(), list[0]); err == nil || found {
		t.Errorf("closed: %v, %v", found, err)
	}
}

// What is no file of ours is refused; what passes for one answers or fails, and
// finds all that it holds.
func FuzzFile(f *testing.F) {
	var list [][sha1.Size]byte
	for i := range 600 {
		list = append(list, sum(fmt.Sprint(i)))
	}
	for _, n := range []int{1, 3, 600} {
		b, err := os.ReadFile(build(f, of(list[:n]...), BuildOptions{}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(b[:len(b)-1], true)
	}
	f.Add([]byte(lines), false)
	f.Fuzz(func(t *testing.T, b []byte, reseal bool) {
		if reseal { // or the checksums would keep the fuzzer out
			b = sealed(b)
		}
		file, err := newFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if file.Verify(t.Context()) != nil {
			return
		}
		var held uint64
		for bucket := range file.info.buckets() {
			if err := file.each(bucket, func(kept uint64) bool {
				held++
				var s [sha1.Size]byte
				v := kept << (64 - file.info.bucketBits - spanBits)
				if file.info.bucketBits > 0 {
					v |= bucket << (64 - file.info.bucketBits)
				}
				binary.BigEndian.PutUint64(s[:], v)
				if found, err := file.Contains(t.Context(), s); err != nil || !found {
					t.Fatalf("%x: %v, %v", s, found, err)
				}
				return held < 1000
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// sealed is b with the checksums and the length that would make it sound.
func sealed(b []byte) []byte {
	if len(b) < headerSize {
		return b
	}
	b = slices.Clone(b)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint64(b[32:], uint64(len(b)))
	bits := binary.LittleEndian.Uint32(b[12:]) % 4
	binary.LittleEndian.PutUint32(b[12:], bits)
	binary.LittleEndian.PutUint32(b[headerSize-4:], crcOf(b[:headerSize-4]))
	for bucket := range uint64(1) << bits {
		at := headerSize + 8*int(bucket)
		if at+16 > len(b) {
			return b
		}
		begin, end := binary.LittleEndian.Uint64(b[at:]), binary.LittleEndian.Uint64(b[at+8:])
		if begin < headerSize || end > uint64(len(b)) || begin+bucketHead > end || begin > end {
			return b
		}
		binary.LittleEndian.PutUint32(b[begin:], checksum(bucket, b[begin+4:end]))
	}
	return b
}

// A line is refused, or says the same when it is written as it was understood.
func FuzzLines(f *testing.F) {
	f.Add([]byte(lines), "")
	f.Add([]byte("1E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\r\n"), "5BAA6")
	f.Add([]byte("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:18446744073709551616"), "")
	f.Add([]byte("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:+1\n\xef\xbb\xbf:"), "")
	f.Fuzz(func(t *testing.T, text []byte, prefix string) {
		if prefix != "" && !rangeFile.MatchString(prefix) {
			return
		}
		var again bytes.Buffer
		var list []Hash
		for h, err := range ReadLines(bytes.NewReader(text), strings.TrimSuffix(prefix, ".txt")) {
			if err != nil {
				if err != nil && len(err.Error()) > 200 {
					t.Fatalf("the error holds the line: %v", err)
				}
				return
			}
			list = append(list, h)
			fmt.Fprintf(&again, "%s:%d\n", strings.ToUpper(hex.EncodeToString(h.Sum[:])), h.Count)
		}
		var second []Hash
		for h, err := range ReadLines(&again, "") {
			if err != nil {
				t.Fatal(err)
			}
			second = append(second, h)
		}
		if !slices.Equal(list, second) {
			t.Errorf("%q is %v, and again %v", text, list, second)
		}
	})
}

func BenchmarkContains(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([][sha1.Size]byte, 1_000_000)
	for i := range list {
		binary.BigEndian.PutUint64(list[i][:], r.Uint64())
	}
	f := openFile(b, build(b, of(list...), BuildOptions{}))
	i := 0
	for b.Loop() {
		contains(b, f, list[i%len(list)])
		i++
	}
}

func BenchmarkBuild(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	for range 1_000_000 {
		var s [sha1.Size]byte
		binary.BigEndian.PutUint64(s[:], r.Uint64())
		fmt.Fprintf(&text, "%X:%d\r\n", s, r.IntN(1000))
	}
	name := filepath.Join(b.TempDir(), "file")
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := Build(b.Context(), name, ReadLines(bytes.NewReader(text.Bytes()), ""), BuildOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

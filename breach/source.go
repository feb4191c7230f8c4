package breach

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // what such lists are made of; nothing is protected by it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// Hash is a line of a list.
type Hash struct {
	Sum [sha1.Size]byte
	// Count is how often the password was seen.
	Count uint64
}

// Read is the hashes of a list on disk, in the forms in which Have I Been Pwned
// gives its own away: a file with a line SHA1:COUNT for each password, or the
// answers of its range service, each in a file with the name of its range,
// 21BD1 or 21BD1.txt, in one folder. The first error is the last thing it yields.
func Read(name string) iter.Seq2[Hash, error] {
	return func(yield func(Hash, error) bool) {
		info, err := os.Stat(name)
		if err != nil {
			yield(Hash{}, fmt.Errorf("%s: %w", name, reason(err)))
			return
		}
		files := []string{name}
		if info.IsDir() {
			if files, err = ranges(name); err != nil {
				yield(Hash{}, err)
				return
			}
		}
		for _, file := range files {
			for h, err := range readFile(file) {
				if !yield(h, err) || err != nil {
					return
				}
			}
		}
	}
}

// rangeFile matches the name of a file with one answer of the range service.
var rangeFile = regexp.MustCompile(`^([0-9A-Fa-f]{5})(?:\.txt)?$`)

// ranges is the files in a folder, which hold a range each.
func ranges(folder string) ([]string, error) {
	list, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, reason(err))
	}
	var files []string
	for _, e := range list {
		if !rangeFile.MatchString(e.Name()) {
			return nil, fmt.Errorf("%s: not every file in it is a range of hashes, named like 21BD1.txt", folder)
		}
		files = append(files, filepath.Join(folder, e.Name()))
	}
	return files, nil
}

func readFile(name string) iter.Seq2[Hash, error] {
	return func(yield func(Hash, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(Hash{}, fmt.Errorf("%s: %w", name, reason(err)))
			return
		}
		defer f.Close()
		prefix := ""
		if m := rangeFile.FindStringSubmatch(filepath.Base(name)); m != nil {
			prefix = m[1]
		}
		for h, err := range ReadLines(f, prefix) {
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

// maxLine is more than a line has, in bytes.
const maxLine = 128

// ReadLines is the hashes of r, one in each line: SHA1:COUNT, or the SHA-1 alone,
// which counts as seen once. Lines may end in CR LF, and empty ones are passed
// over. If prefix is not empty, a line may also have the 35 digits that follow it
// alone, as in an answer of the range service. The first error is the last thing
// it yields, and names the line and not what is in it.
func ReadLines(r io.Reader, prefix string) iter.Seq2[Hash, error] {
	return func(yield func(Hash, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, err := lines.ReadSlice('\n')
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
				yield(Hash{}, reason(err))
				return
			}
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if line := bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				h, perr := parseLine(line, prefix)
				if perr != nil {
					yield(Hash{}, fmt.Errorf("line %d %w", n, perr))
					return
				}
				if !yield(h, nil) {
					return
				}
			}
			if err != nil {
				return // the end: a line too long for the buffer was refused
			}
		}
	}
}

var errLine = errors.New("is not SHA1:COUNT, with the SHA-1 of a password in 40 hexadecimal digits")

func parseLine(line []byte, prefix string) (Hash, error) {
	if len(line) > maxLine {
		return Hash{}, errLine
	}
	digits, count, counted := bytes.Cut(line, []byte(":"))
	h := Hash{Count: 1}
	if prefix != "" && len(digits) == 2*sha1.Size-len(prefix) {
		digits = append([]byte(prefix), digits...)
	}
	if len(digits) != 2*sha1.Size {
		return Hash{}, errLine
	}
	if _, err := hex.Decode(h.Sum[:], digits); err != nil {
		return Hash{}, errLine
	}
	if counted {
		var err error
		if h.Count, err = strconv.ParseUint(string(count), 10, 64); err != nil {
			return Hash{}, errLine
		}
	}
	return h, nil
}

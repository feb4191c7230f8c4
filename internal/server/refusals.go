package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web"
)

// refusals keeps what the last requests that were refused have come to, for the
// command why: lines of JSON in a file that becomes the one of before when it has
// half of the room. Nobody waits for it: what comes faster than it can be written
// is left out, and strangers who are refused can fill no disk.
type refusals struct {
	lines   chan web.Refusal
	left    atomic.Int64 // out, since the last line
	quit    chan struct{}
	done    chan struct{}
	name    string
	most    int64 // bytes of one file
	file    *os.File
	written int64
}

// refusalsWaiting is how many refusals may wait to be written.
const refusalsWaiting = 512

// RefusalsFile is where refusals are kept.
func (s *Settings) RefusalsFile() string { return filepath.Join(s.Data, "refusals.jsonl") }

// keepRefusals begins to keep refusals; with no room set it keeps none.
func keepRefusals(s *Settings) *refusals {
	k := &refusals{lines: make(chan web.Refusal, refusalsWaiting), quit: make(chan struct{}), done: make(chan struct{}), name: s.RefusalsFile(), most: int64(s.Refusals) / 2}
	if k.most == 0 {
		close(k.done)
		return k
	}
	go k.work()
	return k
}

// keep takes note of a refusal, or leaves it out if there is no time.
func (k *refusals) keep(r web.Refusal) {
	if k.most == 0 {
		return
	}
	select {
	case k.lines <- r:
	default:
		k.left.Add(1)
	}
}

// close writes what waits; what is refused after it is not kept.
func (k *refusals) close() {
	close(k.quit)
	<-k.done
}

func (k *refusals) work() {
	defer close(k.done)
	for {
		select {
		case r := <-k.lines:
			k.write(r)
			continue
		case <-k.quit:
		}
		for len(k.lines) > 0 {
			k.write(<-k.lines)
		}
		if k.file != nil {
			_ = k.file.Close()
		}
		return
	}
}

// write writes a line. What fails is left out and tried anew with the next one:
// a full disk is told by others.
func (k *refusals) write(r web.Refusal) {
	if n := k.left.Swap(0); n > 0 {
		r.Steps = append(r.Steps, gatehouse.Step{About: "refusals before this one", Detail: fmt.Sprintf("%d were left out: they came faster than they could be written", n)})
	}
	line, err := json.Marshal(r)
	if err != nil {
		return
	}
	line = append(line, '\n')
	if k.written+int64(len(line)) > k.most && k.file != nil {
		_ = k.file.Close()
		k.file = nil
		_ = os.Rename(k.name, k.name+".before")
	}
	if k.file == nil {
		f, err := os.OpenFile(k.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		k.file, k.written = f, 0
		if info, err := f.Stat(); err == nil {
			k.written = info.Size()
		}
	}
	n, err := k.file.Write(line)
	k.written += int64(n)
	if err != nil {
		_ = k.file.Close()
		k.file = nil
	}
}

// ErrNoRefusal: nothing is kept under a reference.
var ErrNoRefusal = errors.New("nothing is kept under this reference")

// FindRefusal is the refusal with this reference, as far as it is still kept.
func FindRefusal(s *Settings, ref string) (*web.Refusal, error) {
	for _, name := range []string{s.RefusalsFile(), s.RefusalsFile() + ".before"} {
		r, err := findRefusal(name, ref)
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, ErrNoRefusal
}

func findRefusal(name, ref string) (*web.Refusal, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("refusals: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r web.Refusal
		// A line that was cut off when the process ended is no refusal.
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Ref == ref {
			return &r, nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("refusals: %w", err)
	}
	return nil, nil
}

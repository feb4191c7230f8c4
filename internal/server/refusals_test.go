package server

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/web"
)

func TestRefusalsAreBounded(t *testing.T) {
	s := &Settings{Data: t.TempDir(), Refusals: 64 << 10}
	k := keepRefusals(s)
	const n = 2000
	for i := range n {
		for len(k.lines) == cap(k.lines) { // the disk is given time, or most are left out
			k.lines <- web.Refusal{Ref: "waits"}
		}
		k.keep(web.Refusal{Ref: fmt.Sprint(i), Code: "invalid_token"})
	}
	k.close()
	var size int64
	for _, name := range []string{s.RefusalsFile(), s.RefusalsFile() + ".before"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if size > int64(s.Refusals) {
		t.Errorf("%d bytes, want at most %d", size, s.Refusals)
	}
	if r, err := FindRefusal(s, fmt.Sprint(n-1)); err != nil || r.Code != "invalid_token" {
		t.Errorf("the last one: %+v, %v", r, err)
	}
	if _, err := FindRefusal(s, "0"); !errors.Is(err, ErrNoRefusal) {
		t.Errorf("the first one: %v, want it to have made room", err)
	}
	// A line that was cut off hides nothing, and the next start goes on behind it.
	f, err := os.OpenFile(s.RefusalsFile(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, `{"ref":"cut","st`)
	f.Close()
	k = keepRefusals(s)
	k.keep(web.Refusal{Ref: "after"})
	k.close()
	k.keep(web.Refusal{Ref: "too late"}) // by a request that is still under way
	for ref, want := range map[string]error{"after": nil, fmt.Sprint(n - 1): nil, "cut": ErrNoRefusal, "too late": ErrNoRefusal} {
		if _, err := FindRefusal(s, ref); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", ref, err, want)
		}
	}
}

// Whoever is refused waits for no disk, and what is left out is counted.
func TestRefusalsAreLeftOut(t *testing.T) {
	s := &Settings{Data: t.TempDir() + "/none", Refusals: 64 << 10}
	k := &refusals{lines: make(chan web.Refusal, 2), quit: make(chan struct{}), done: make(chan struct{}), name: s.RefusalsFile(), most: 1 << 20}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				k.keep(web.Refusal{Ref: "x"}) // nobody reads
			}
		})
	}
	all.Wait()
	if err := os.Mkdir(s.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	go k.work()
	k.close()
	r, err := FindRefusal(s, "x")
	if err != nil || len(r.Steps) != 1 || r.Steps[0].Detail != "798 were left out: they came faster than they could be written" {
		t.Errorf("%+v, %v", r, err)
	}
}

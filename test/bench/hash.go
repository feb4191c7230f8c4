package main

import (
	"runtime"
	"sync"
	"time"

	library "golang.org/x/crypto/argon2"

	"github.com/gatehouse-auth/gatehouse/internal/argon2"
)

// hasher makes a function that computes one hash with the default parameters.
type hasher func() func()

var salt = []byte("0123456789abcdef")

// ours is the function that the binary uses.
func ours() func() {
	m := &argon2.Memory{}
	return func() {
		if _, err := m.IDKey([]byte(password), salt, 2, 19456, 1, 32); err != nil {
			panic(err)
		}
	}
}

// theirs is that of the library.
func theirs() func() {
	return func() { library.IDKey([]byte(password), salt, 2, 19456, 1, 32) }
}

// bareHash hashes on all processors at once and does nothing else.
func bareHash(h hasher, each time.Duration) sample {
	var all sync.WaitGroup
	var mu sync.Mutex
	n := 0
	began, before := time.Now(), ownTime()
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			hash := h()
			for time.Since(began) < each {
				hash()
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return sample{float64(n) / time.Since(began).Seconds(), (ownTime() - before) / time.Duration(n)}
}

// Package argon2 computes argon2id, and argon2i for hashes that came from
// elsewhere (RFC 9106, version 0x13), in memory that it is given again and again.
//
// The library, golang.org/x/crypto/argon2, allocates the memory of every hash,
// 19 MiB for the parameters that OWASP recommends. The garbage collector then
// runs for every few hashes, which costs 1 to 2.5 ms of each login; how much
// memory is in use depends on when it runs; and every page is new, so that the
// kernel has to clear it. Here a [Memory] is kept for the next hash: it is
// outside of the Go heap on Linux, its size is known, and it goes back to the
// operating system when its owner says so. The compression function is in AVX2,
// which makes a hash take about half of the time.
//
// What is given up: two hundred lines of assembly are ours to keep right. They
// are held against the library and the vectors of the RFC. Lanes are computed one
// after the other, so that a hash never takes more than the one thread it is on;
// and the memory is not cleared between two hashes, as it is not by the library.
//
// Without AVX2 and on other architectures the library computes, and allocates.
package argon2

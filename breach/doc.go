// Package breach knows passwords that have leaked, by their SHA-1: from a file
// made ahead ([Build], [Open]), or from a service that is asked over the network
// ([NewRange]). Both are a gatehouse.BreachList.
//
// # The file
//
// A leaked password is kept as the first bits of its SHA-1, as many as make a
// password that is not in the list look like one that is less than once in a
// million times. They are sorted and cut into buckets, in which each is written
// as the distance from the one before it (Golomb-Rice), so that one takes 22 to
// 23 bits. To look one up takes two short reads of the file, however large it
// is; nothing of it is kept in memory.
//
//	header    64 bytes
//	index     where each bucket begins, and where the last one ends: 8 bytes each
//	buckets   CRC-32C, number of hashes, distances
//
// All numbers are little-endian. The header says how long the file is, and the
// checksum of a bucket covers its place in the index, so a file that was cut off,
// damaged or mixed with another one is an error and never an answer.
package breach

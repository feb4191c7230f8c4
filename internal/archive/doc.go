// Package archive keeps all records of a store in one file that needs no database
// to be read, today or in ten years: lines of JSON, of which docs/moving.md is
// the specification.
//
//	{"gatehouse_archive":{"format":1,"gatehouse":"v1.2.3","created_at":"…"}}
//	{"user":{"id":"…","version":3,"email":"ann@example.com",…}}
//	…one line for each record, in any order…
//	{"end":{"counts":{"users":1,…},"digest":"…","sha256":"…"}}
//
// What comes out is byte by byte what went in. Texts, and what is JSON in a
// record, are JSON strings; binary values are base64; times are RFC 3339. The last
// line has a SHA-256 of all before it, so that a file that was cut short or
// changed by accident is noticed; against somebody who changes it on purpose it
// takes the encryption with age.
//
// The digest is that of the records, whatever their order: see [Digest]. Two
// stores that have the same one hold the same.
package archive

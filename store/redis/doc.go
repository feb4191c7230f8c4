// Package redis keeps in Redis or Valkey what is hot: sessions, challenges and
// limits, in front of a store that keeps everything else.
//
//	client, err := redis.Open(ctx, "redis://localhost:6379", redis.Options{Key: key})
//	store, err := client.Store(ctx, behind) // a gatehouse.Store
//	limiter := client.Limiter()             // a gatehouse.Limiter, exact across processes
//
//	             ┌ sessions, challenges ──► Redis alone
//	core ─► Store┤ User(id) ──► a copy in Redis, sealed ─┐ miss
//	             └ everything else ──────────────────────┴──► the store behind
//
// Sessions and challenges are nowhere else: what Redis loses is lost. Whether it
// loses something depends on its settings, which [Client.Warnings] speaks about.
//
// # Atomic steps, and slots
//
// Every change is one script, which Redis runs alone. In a Cluster the keys of one
// script must lie in one slot, so each record lies in one of 64 buckets by its id,
// beside the index of expiries of that bucket. The list of sessions of a user
// lies elsewhere, and is written in a step of its own: an id is listed before its
// session is written, and struck off after the session has ended. The record
// alone says whose a session is and whether it was terminated, so a list that
// names too much is harmless, and one that names too little does not happen.
//
// # Replicas
//
// A failover loses what the replica that takes over has not received. So a write
// that somebody is told of as done is followed by WAIT, on a connection of its own.
// What such a write has left can be read before it is confirmed, and that must
// not be told as done either: who grants something on what another caller wrote
// reads by [Store.SettledSession].
//
//	save ─► WAIT ┬ enough ─► acknowledged
//	             └ too few ─► taken back, unless somebody has settled it ─► 503
//	settle: write it again as it is ─► WAIT ─► count its version up, so that nobody
//	        takes it back any more
//
// Who has read a write that a failover then lost must not save on top of it what
// others have been told since. So with replicas every version is drawn, above the one
// before: what follows twice on the same record is told apart.
//
// # Copies of users
//
// A copy is never older than an acknowledged write. Who finds none gets a lease,
// and the copy that is put there counts only if the lease still stands. Who
// writes first strikes the copy and the lease and sets a block, then writes the
// store behind, then lifts the block; while there is one, everybody reads the
// store behind. If nobody knows what became of the write, the block stays until
// no write can still be under way.
//
//	reader:  lookup ─ miss, lease ─► read behind ─► put, if the lease stands
//	writer:  block, strike copy and lease ─► write behind ─► lift the block
//
// That holds for writers that come through this package. All processes on one
// database must therefore use the same Redis: the store behind carries a mark
// that says which, and [Absent] refuses to go without. Sessions and challenges that
// it has from a time without are carried over when it gets its mark.
package redis

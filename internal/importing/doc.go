// Package importing reads users out of the exports of other systems and hands
// them to whoever brings them in.
//
//	file, collection ──► Source ──► Record ──► Format ──► user ──► Run ──► Sink
//	                                   │          │                 │
//	                                   │          └─ not understood ├─ refused
//	                                   └─ broken                    └─ the same address twice
//	                                                                │
//	                                                  set aside, with line and reason
//
// What a record must be to become a user of ours is decided by the sink, which is
// the core. A Format only knows what the fields of a system mean; those that it
// does not know are kept beside the user.
package importing

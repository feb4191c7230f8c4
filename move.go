package gatehouse

import "context"

// Mover is what a store has beside [Store] so that all of its records can be
// moved at once: copied into another store, exported, imported. The stores of
// Gatehouse have it; one of your own needs it only for that. store/storetest
// holds it to what follows.
type Mover interface {
	// Walk hands every record there is to f, up to some hundreds at a time, events
	// last and otherwise in no particular order, until f answers with an error, which
	// Walk returns. What is changed meanwhile is handed over as it was before or after,
	// once; what is added or deleted meanwhile may be handed over or not. f may keep
	// what it gets, and must not use the store.
	Walk(ctx context.Context, f func(*Records) error) error

	// Load adds records as they are, Version included, in as few steps as the
	// engine allows. It returns those that it left out because their id, name or
	// one of their keys was taken, in the store or earlier in r; the others have
	// reached the disk. After an error any of them may have: to load the same
	// again is harmless.
	Load(ctx context.Context, r *Records) (taken *Records, err error)
}

// Records are records of any kinds.
type Records struct {
	Users      []*User
	Sessions   []*Session
	Challenges []*Challenge
	Events     []*Event
	Settings   []*Setting
	Tasks      []*Task
}

// Len is how many there are.
func (r *Records) Len() int {
	return len(r.Users) + len(r.Sessions) + len(r.Challenges) + len(r.Events) + len(r.Settings) + len(r.Tasks)
}

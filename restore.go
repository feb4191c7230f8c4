package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Keep says what becomes good again when a store returns to what it was.
type Keep string

// A backup does not know what was ended, used up or retired after it was made.
//
//   - KeepNothing: every session ends, and new signing keys are made.
//   - KeepSessions: the sessions and signing keys of the backup are good again,
//     also those that were ended or retired since.
//   - KeepAll: everything is as it was, single-use proofs and mails to send
//     included. For a store that moves, and was not used since.
const (
	KeepNothing  Keep = "nothing"
	KeepSessions Keep = "sessions"
	KeepAll      Keep = "all"
)

// Restoration is the return of a store to what it was. Unless all is kept it
// begins anew what must not be used twice:
//
//   - Challenges are gone: a proof that was used since would work again.
//   - Tasks are gone: a mail that was sent since would be sent again.
//   - The epochs of all users rise by the milliseconds since 1970, and so above
//     every epoch there ever was. A session that began after the backup, and is
//     kept somewhere else, never becomes good again. Sessions that are kept rise
//     with their users.
type Restoration struct {
	At   time.Time
	From string // "backup", "archive", "native", "copy" or "lost secret", for the audit log
	Keep Keep   // never empty
	// Partial says that records are still to be loaded: until there is a note that
	// says otherwise no Gatehouse opens the store.
	Partial bool
}

// Shift is how much epochs rise.
func (r Restoration) Shift() int64 {
	if r.Keep == KeepAll {
		return 0
	}
	return r.At.UnixMilli()
}

// Records is what is to be loaded of records that come from elsewhere, after the
// [Restoration.Note]: the note of an earlier restoration is left out in any case.
// It changes and keeps what it is given.
func (r Restoration) Records(in *Records) *Records {
	settings := slices.DeleteFunc(in.Settings, func(s *Setting) bool { return s.Name == restoredSetting })
	if r.Keep == KeepAll {
		in.Settings = settings
		return in
	}
	out := &Records{Users: in.Users, Events: in.Events, Settings: settings}
	for _, u := range out.Users {
		u.Epoch += r.Shift()
		u.Version++
	}
	if r.Keep == KeepSessions {
		out.Sessions = in.Sessions
		for _, s := range out.Sessions {
			s.Epoch += r.Shift()
			s.Version++
		}
	}
	return out
}

// Renewal counts what [Restoration.Apply] has done.
type Renewal struct {
	Users      int // whose epoch rose
	Kept       int // sessions that go on
	Ended      int // sessions that do not, and had not been terminated
	Challenges int // that are gone
	Tasks      int // that are gone
}

// Apply begins anew, as said above, in a store that has been brought back in
// whatever way. It may be called again after an error, and while the store is in
// use. The store has to be a [Mover]; [ErrPartial] if more is to be loaded into it.
//
// The note goes first: from then on new signing keys are due, and the event.
//
// Sessions may be of another time than their users, if they have a store of their
// own. Those are kept whose epoch is their user's now. Epochs rise even then: a
// session that began under a later epoch, which the user's has not reached yet,
// would become good when it does. A session that is kept is saved before its
// user, so that after a sudden end between the two it is void.
func (r Restoration) Apply(ctx context.Context, s Store) (Renewal, error) {
	n, err := r.apply(ctx, s)
	if err != nil {
		return n, fmt.Errorf("restore: %w", err)
	}
	return n, nil
}

func (r Restoration) apply(ctx context.Context, s Store) (n Renewal, err error) {
	m, ok := s.(Mover)
	if !ok {
		return n, fmt.Errorf("%T is no Mover", s)
	}
	// What is not all there has not been brought back, and the note says so.
	if err := Whole(ctx, s); err != nil {
		return n, err
	}
	if err := r.Note(ctx, s); err != nil || r.Keep == KeepAll {
		return n, err
	}
	var challenges []string
	var tasks []*Task
	sessions, of := 0, map[string][]string{} // their ids, by user
	err = m.Walk(ctx, func(page *Records) error {
		for _, c := range page.Challenges {
			challenges = append(challenges, c.ID)
		}
		tasks = append(tasks, page.Tasks...)
		for _, x := range page.Sessions {
			if !x.TerminatedAt.IsZero() {
				continue
			}
			sessions++
			if r.Keep == KeepSessions {
				of[x.UserID] = append(of[x.UserID], x.ID)
			}
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	err = atOnce(challenges, func(id string) error {
		_, err := s.TakeChallenge(ctx, id)
		return unless(err, ErrNotFound)
	})
	if err != nil {
		return n, err
	}
	err = atOnce(tasks, func(t *Task) error {
		return unless(s.DeleteTask(ctx, t.ID, t.Version), ErrStale) // somebody has just claimed or done it
	})
	if err != nil {
		return n, err
	}
	n.Challenges, n.Tasks = len(challenges), len(tasks)
	var kept atomic.Int64
	for after := ""; ; {
		page, err := s.Users(ctx, after, 500)
		if err != nil {
			return n, err
		}
		if len(page) == 0 {
			n.Kept = int(kept.Load())
			n.Ended = sessions - n.Kept
			return n, nil
		}
		after = page[len(page)-1].ID
		if err := atOnce(page, func(u *User) error {
			k, err := r.raise(ctx, s, u, of[u.ID])
			kept.Add(int64(k))
			return err
		}); err != nil {
			return n, err
		}
		n.Users += len(page)
	}
}

// raise raises the epoch of a user, and that of sessions which are good, if there
// are any to be kept. It returns how many those are.
func (r Restoration) raise(ctx context.Context, s Store, u *User, sessions []string) (kept int, err error) {
	for range maxRaces {
		kept = 0
		for _, id := range sessions {
			good, err := r.raiseSession(ctx, s, id, u.Epoch)
			if err != nil {
				return kept, err
			}
			if good {
				kept++
			}
		}
		u.Epoch += r.Shift()
		err = s.SaveUser(ctx, u)
		if !errors.Is(err, ErrStale) {
			return kept, err
		}
		u, err = s.User(ctx, u.ID)
		if errors.Is(err, ErrNotFound) {
			return 0, nil
		}
		if err != nil {
			return kept, err
		}
	}
	return kept, fmt.Errorf("save user: %w after %d tries", ErrStale, maxRaces)
}

// raiseSession raises the epoch of a session if it is that of its user, and
// reports whether it is good.
func (r Restoration) raiseSession(ctx context.Context, s Store, id string, epoch int64) (good bool, err error) {
	for range maxRaces {
		x, err := s.Session(ctx, id)
		if errors.Is(err, ErrNotFound) || err == nil && !x.TerminatedAt.IsZero() {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		switch x.Epoch {
		case epoch + r.Shift(): // before the user turned out to be stale
			return true, nil
		case epoch:
		default:
			return false, nil
		}
		x.Epoch += r.Shift()
		if err := s.SaveSession(ctx, x); !errors.Is(err, ErrStale) {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("save session: %w after %d tries", ErrStale, maxRaces)
}

// atOnce calls f for each of a list, some at the same time, which share the
// syncs of the disk.
func atOnce[T any](list []T, f func(T) error) error {
	const workers = 32
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(list) && errs[w] == nil; i += workers {
				errs[w] = f(list[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// unless is err, or nil if err is that it has been done already.
func unless(err, done error) error {
	if errors.Is(err, done) {
		return nil
	}
	return err
}

const restoredSetting = "restored"

// ErrPartial is the answer of [New] for a store that not all has been loaded into:
// it would know some users, and some of the sessions that were ended.
var ErrPartial = errors.New("copying or restoring into this database was not finished: go on with --resume, or begin again with an empty one")

// restoredNote is what the store keeps of the last restoration.
type restoredNote struct {
	At       time.Time `json:"at"`
	From     string    `json:"from"`
	Keep     Keep      `json:"keep"`
	Recorded bool      `json:"recorded"` // there is an event, and new keys if those are due
	Partial  bool      `json:"partial,omitzero"`
}

// NoteSetting is the note of this restoration, as a setting of Version 1. The
// event cannot be written with it: that takes the master secret. So the next
// Gatehouse that opens the store does, and makes new signing keys if they are due.
func (r Restoration) NoteSetting() (*Setting, error) {
	value, err := json.Marshal(restoredNote{At: r.At.UTC().Truncate(time.Millisecond), From: r.From, Keep: r.Keep, Partial: r.Partial})
	if err != nil {
		return nil, fmt.Errorf("note of the restoration: %w", err)
	}
	return &Setting{Name: restoredSetting, Version: 1, Value: value, UpdatedAt: r.At}, nil
}

// Note puts that note into a store.
func (r Restoration) Note(ctx context.Context, s Store) error {
	note, err := r.NoteSetting()
	if err != nil {
		return err
	}
	for range maxRaces {
		old, err := s.Setting(ctx, restoredSetting)
		note.Version = 0
		if err == nil {
			note.Version = old.Version
		} else if !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("note of the restoration: %w", err)
		}
		if err = s.SaveSetting(ctx, note); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fmt.Errorf("note of the restoration: %w after %d tries", ErrStale, maxRaces)
}

// LastRestoration is the restoration whose note is in a store: the last one since
// it was made. Nil if there was none.
func LastRestoration(ctx context.Context, s Store) (*Restoration, error) {
	_, note, err := readRestoredNote(ctx, s)
	if err != nil || note == nil {
		return nil, err
	}
	return &Restoration{At: note.At, From: note.From, Keep: note.Keep, Partial: note.Partial}, nil
}

// Whole is [ErrPartial] if more is to be loaded into a store. It changes nothing.
func Whole(ctx context.Context, s Store) error {
	r, err := LastRestoration(ctx, s)
	if err == nil && r != nil && r.Partial {
		return ErrPartial
	}
	return err
}

// RestorationUnderWay is the [LastRestoration] if no Gatehouse has opened the store
// since, and nil otherwise.
func RestorationUnderWay(ctx context.Context, s Store) (*Restoration, error) {
	_, note, err := readRestoredNote(ctx, s)
	if err != nil || note == nil || note.Recorded {
		return nil, err
	}
	return &Restoration{At: note.At, From: note.From, Keep: note.Keep, Partial: note.Partial}, nil
}

// readRestoredNote is the note and the setting that it is in; nil if there is none.
func readRestoredNote(ctx context.Context, s Store) (*Setting, *restoredNote, error) {
	x, err := s.Setting(ctx, restoredSetting)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("note of the restoration: %w", err)
	}
	var note restoredNote
	if err := json.Unmarshal(x.Value, &note); err != nil {
		return nil, nil, fmt.Errorf("setting %s is damaged: %w", restoredSetting, err)
	}
	return x, &note, nil
}

// recordRestoration does what is due after the store was restored. To do it twice
// is harmless: of two processes that open the store at once, both may.
func (g *Gatehouse) recordRestoration(ctx context.Context) error {
	// Read again, since another process may have been faster.
	s, note, err := readRestoredNote(ctx, g.store)
	if err != nil {
		return storeFault("restoration", err)
	}
	if note == nil || note.Recorded {
		return nil
	}
	// The event goes first: what is not on record does not happen.
	err = g.record(ctx, Event{Kind: EventRestored, ActorID: "operator", Data: map[string]string{
		"at": note.At.Format(time.RFC3339Nano), "from": note.From, "keep": string(note.Keep),
	}})()
	if err != nil {
		return err
	}
	if note.Keep == KeepNothing && g.cfg.Algorithm != HS256 {
		if err := g.replaceKeys(ctx); err != nil {
			return err
		}
	}
	note.Recorded = true
	if s.Value, err = json.Marshal(note); err != nil {
		return fmt.Errorf("note of the restoration: %w", err)
	}
	if err := g.store.SaveSetting(ctx, s); err != nil && !errors.Is(err, ErrStale) {
		return storeFault("note of the restoration", err)
	}
	return nil
}

// replaceKeys forgets all signing keys, and makes new ones.
func (g *Gatehouse) replaceKeys(ctx context.Context) error {
	err := g.changeKeys(ctx, func(r *keyring, t time.Time) error {
		r.list, r.signer = nil, nil
		return r.rotate(t, g.cfg.Algorithm)
	})
	if err != nil {
		return err
	}
	return g.record(ctx, Event{Kind: EventKeysRotated, Data: map[string]string{"key": g.keys.Load().signer.id, "why": "restored"}})()
}

// NoteCopy records that all that the store holds is about to be written
// elsewhere, as "backup" or "archive".
func (g *Gatehouse) NoteCopy(ctx context.Context, as string) error {
	return g.record(ctx, Event{Kind: EventCopied, Data: map[string]string{"as": as}})()
}

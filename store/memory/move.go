package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
)

var _ gatehouse.Mover = (*Store)(nil)

const walkPage = 250

// Walk implements [gatehouse.Mover].
func (s *Store) Walk(ctx context.Context, f func(*gatehouse.Records) error) error {
	for _, kind := range []func() error{
		func() error {
			return walk(ctx, s, s.settings, copySetting, func(p []*gatehouse.Setting) error { return f(&gatehouse.Records{Settings: p}) })
		},
		func() error {
			return walk(ctx, s, s.users, copyUser, func(p []*gatehouse.User) error { return f(&gatehouse.Records{Users: p}) })
		},
		func() error {
			return walk(ctx, s, s.sessions, copySession, func(p []*gatehouse.Session) error { return f(&gatehouse.Records{Sessions: p}) })
		},
		func() error {
			return walk(ctx, s, s.challenges, copyChallenge, func(p []*gatehouse.Challenge) error { return f(&gatehouse.Records{Challenges: p}) })
		},
		func() error {
			return walk(ctx, s, s.tasks, copyTask, func(p []*gatehouse.Task) error { return f(&gatehouse.Records{Tasks: p}) })
		},
		func() error {
			return walk(ctx, s, s.events, copyEvent, func(p []*gatehouse.Event) error { return f(&gatehouse.Records{Events: p}) })
		},
	} {
		if err := kind(); err != nil {
			return err
		}
	}
	return nil
}

// walk hands on the records that are there now, as they are when their page has
// its turn.
func walk[R any](ctx context.Context, s *Store, records map[string]*R, copied func(*R) *R, hand func([]*R) error) error {
	var ids []string
	err := s.step(ctx, func() error {
		ids = slices.Sorted(maps.Keys(records))
		return nil
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, walkPage) {
		page := make([]*R, 0, len(some))
		err := s.step(ctx, func() error {
			for _, id := range some {
				if r, ok := records[id]; ok {
					page = append(page, copied(r))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			continue
		}
		if err := hand(page); err != nil {
			return err
		}
	}
	return nil
}

// Load implements [gatehouse.Mover].
func (s *Store) Load(ctx context.Context, r *gatehouse.Records) (*gatehouse.Records, error) {
	taken := &gatehouse.Records{}
	err := s.step(ctx, func() error {
		for _, u := range r.Users {
			if _, there := s.users[u.ID]; there || s.taken(u) {
				taken.Users = append(taken.Users, u)
			} else {
				s.putUser(u)
			}
		}
		taken.Sessions = load(s.sessions, r.Sessions, copySession, func(x *gatehouse.Session) string { return x.ID })
		taken.Challenges = load(s.challenges, r.Challenges, copyChallenge, func(x *gatehouse.Challenge) string { return x.ID })
		taken.Events = load(s.events, r.Events, copyEvent, func(x *gatehouse.Event) string { return x.ID })
		taken.Settings = load(s.settings, r.Settings, copySetting, func(x *gatehouse.Setting) string { return x.Name })
		taken.Tasks = load(s.tasks, r.Tasks, copyTask, func(x *gatehouse.Task) string { return x.ID })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// load adds what is not there yet, and returns the others.
func load[R any](records map[string]*R, list []*R, copied func(*R) *R, id func(*R) string) (taken []*R) {
	for _, r := range list {
		if _, there := records[id(r)]; there {
			taken = append(taken, r)
		} else {
			records[id(r)] = copied(r)
		}
	}
	return taken
}

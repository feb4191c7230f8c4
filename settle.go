package gatehouse

import (
	"context"
	"errors"
)

// Settler is what a store may have beside [Store], if its reads can show a write
// that it has not acknowledged: one that is on its way to a replica and that a
// failover may lose, or that the store is about to take back. It goes without where
// what can be read is durable. Such a store counts a Version up by as much as it
// likes, so that no two writes that follow on one record leave the same.
type Settler interface {
	// SettledSession is Session, once what it answers is as durable as what
	// SaveSession has acknowledged, and [ErrUnavailable] while it is not.
	SettledSession(ctx context.Context, id string) (*Session, error)
}

// settledSession is a session as it can be counted on: for who tells somebody that
// what another caller wrote is done. ErrNotFound if there is none.
func (g *Gatehouse) settledSession(ctx context.Context, id string) (*Session, error) {
	g.sessions.Delete(id)
	settler, ok := g.store.(Settler)
	if !ok {
		return g.readSession(ctx, id)
	}
	s, err := settler.SettledSession(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, storeFault("session", err)
	}
	return s, err
}

// Package mongo keeps the records of Gatehouse in MongoDB, version 5.0 or later.
//
// Every method that changes something is one command on one document, under a
// condition on its version where the contract asks for one; MongoDB carries such
// a command out entirely or not at all, on a standalone server as on a replica
// set, so no transactions are needed.
//
//	SaveUser      replaceOne    {_id, version}            n = 0: ErrStale
//	CreateUser    insert        unique: _id, email_key, each of keys
//	ClaimTask     findAndModify {due, kind, lease ended}  lease, attempts + 1
//	TakeChallenge findAndModify {_id}                     remove
//
// Writes are acknowledged by a majority of the replica set, from their journals,
// and survive the loss of its primary. Reads go to the primary and see what a
// majority has: whatever was acknowledged before they began. A primary that was
// cut off from its set may go on answering reads with what it knew, for the ten
// seconds or so until it notices, and to those alone who cannot see the set
// either; it can acknowledge no write, and no decision of Gatehouse stands
// without one that compares versions. Linearizable reads would close that gap
// for a round of the whole set on each of them.
//
// The driver sends a write again after a lost connection only where the server
// remembers it by number (replica sets, shards), and then answers what the first
// one did: a change that succeeded is never taken for a stale one. A standalone
// server has no such memory. There a write whose answer was lost is
// [gatehouse.ErrUnavailable]: it may have happened.
package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
)

// Options are the options of [Open]. The zero value is a good choice.
type Options struct {
	// Timeout is how long an operation may take before it is answered with
	// gatehouse.ErrUnavailable, whatever its context says. Default 5 seconds.
	Timeout time.Duration
	// Prefix is what the names of the collections begin with, so that they do
	// not collide with those of an application. Default "gatehouse_".
	Prefix string

	page    int                   // how many documents are read or written at a time
	monitor *event.CommandMonitor // sees what is sent; nil for nobody
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Prefix = cmp.Or(o.Prefix, "gatehouse_")
	o.page = cmp.Or(o.page, 500)
	return o
}

// Store is a [gatehouse.Store] and a [gatehouse.Mover] on MongoDB. Open one with
// [Open].
type Store struct {
	opts     Options
	client   *driver.Client
	db       *driver.Database
	warnings []string

	users      *driver.Collection
	sessions   *driver.Collection
	challenges *driver.Collection
	events     *driver.Collection
	settings   *driver.Collection
	tasks      *driver.Collection
	meta       *driver.Collection

	adopted  *adopted  // instead of users, if a collection was adopted
	presence *presence // nil while the store is not open
}

var (
	_ gatehouse.Store = (*Store)(nil)
	_ gatehouse.Mover = (*Store)(nil)
)

// Open connects to the server and database that uri names (mongodb:// or
// mongodb+srv://; the database "gatehouse" if it names none), makes the
// collections and indexes that are missing, and checks those that are there. It
// fails with [ErrURI], [ErrServer], [ErrForeign], [ErrNewer] or [ErrIndex], and
// with gatehouse.ErrUnavailable if the server cannot be reached, refuses the
// password, or takes no writes. No error tells the password.
func Open(ctx context.Context, uri string, opts Options) (*Store, error) {
	s, err := connect(uri, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open mongodb: %w", err)
	}
	if err = s.inspect(ctx); err == nil {
		err = s.prepare(ctx)
	}
	p := newPresence(s)
	if err == nil {
		// Before it is read what is adopted: whoever changes that looks for those who
		// are here afterwards.
		err = p.show(ctx)
	}
	if err == nil {
		p.under, err = s.openAdopted(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open mongodb: %w", err), p.leave(ctx), s.Close())
	}
	_ = s.application(ctx) // without the right to read it, nothing is lost but a hint
	s.presence = p
	p.keep()
	return s, nil
}

// Warnings are what an operator should know about the server: sentences.
func (s *Store) Warnings() []string { return s.warnings }

// Ready implements [gatehouse.Store]: it writes.
func (s *Store) Ready(ctx context.Context) error {
	return s.attempt(ctx, "ready", func(ctx context.Context) error {
		_, err := s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: "ready"}},
			bson.D{{Key: "$inc", Value: bson.D{{Key: "asked", Value: int64(1)}}}}, options.UpdateOne().SetUpsert(true))
		if driver.IsDuplicateKeyError(err) { // two were the first at the same time
			return nil
		}
		return err
	})
}

// Close implements [gatehouse.Store].
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.opts.Timeout)
	defer cancel()
	if s.presence != nil {
		s.presence.end(ctx)
	}
	err := s.client.Disconnect(ctx)
	if errors.Is(err, driver.ErrClientDisconnected) {
		return nil
	}
	return err
}

// attempt runs one operation, unless the users are others than those that the store
// was opened with.
func (s *Store) attempt(ctx context.Context, what string, f func(context.Context) error) error {
	if p := s.presence; p != nil {
		if err := p.valid(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return s.within(ctx, what, f)
}

// within runs one operation within the time it may take, and says what its error
// means to a store.
func (s *Store) within(ctx context.Context, what string, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	if err := explain(f(ctx)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

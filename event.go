package gatehouse

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// The kinds of event. Their outcome is "ok" or the code of the refusal.
const (
	EventRegister           = "register"
	EventLogin              = "login"
	EventLogout             = "logout"
	EventReauthenticate     = "reauthenticate"
	EventRefreshReused      = "refresh_reused"
	EventSessionTerminated  = "session_terminated"
	EventSessionsTerminated = "sessions_terminated"
	EventPasswordChanged    = "password_changed"
	EventPasswordRehashed   = "password_rehashed"
	EventNameChanged        = "name_changed"
	EventUserDisabled       = "user_disabled"
	EventUserEnabled        = "user_enabled"
	EventUserDeleted        = "user_deleted"
	EventRoleGranted        = "role_granted"
	EventRoleRevoked        = "role_revoked"
	EventKeysRotated        = "keys_rotated"
	EventLimited            = "limited"
	EventUnfamiliarLogin    = "unfamiliar_login"
	EventUntrustedProxy     = "untrusted_proxy"
	EventSettingsChanged    = "settings_changed"
	EventEventsExported     = "events_exported"
	EventCopied             = "copied"
	EventRestored           = "restored"
	EventImportBegun        = "import_begun"
	EventUsersImported      = "users_imported"
	EventCheckpoint         = "checkpoint"
)

const outcomeOK = "ok"

// Events is a page of the audit log, the newest first.
func (g *Gatehouse) Events(ctx context.Context, q EventQuery) ([]*Event, error) {
	q.Limit = min(max(q.Limit, 1), 1000)
	list, err := g.store.Events(ctx, q)
	if err != nil {
		return nil, storeFault("events", err)
	}
	return list, nil
}

// WalkEvents is every event that matches q, the newest first, read from the
// store page by page; the Limit of q is the size of a page. It ends with the
// first error.
func (g *Gatehouse) WalkEvents(ctx context.Context, q EventQuery) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		q.Limit = min(max(q.Limit, 1), 1000)
		for {
			page, err := g.Events(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				q.Before = e.ID
			}
			if len(page) < q.Limit {
				return
			}
		}
	}
}

// NoteExport records that all events leave the store, for whoever is about to
// write them elsewhere. The event also says when that was, under the MAC of its
// chain: what may have been swept by then can be told from what is missing.
func (g *Gatehouse) NoteExport(ctx context.Context) error {
	return g.record(ctx, Event{Kind: EventEventsExported})()
}

// record begins to write e, and returns a function that waits until it is
// durable. What is acknowledged has its event: the act itself is written
// meanwhile, and both share one sync of the disk.
func (g *Gatehouse) record(ctx context.Context, e Event) (wait func() error) {
	c := clientOf(ctx)
	t := now()
	e.At, e.ExpiresAt = t, t.Add(g.cfg.EventRetention)
	e.Address, e.UserAgent, e.Ref = g.cfg.EventAddresses.of(c.Address), c.UserAgent, c.Ref
	if e.ActorID == "" {
		e.ActorID = c.Actor
	}
	e.Outcome = orOK(e.Outcome)
	if err := g.chain.link(&e); err != nil {
		return func() error { return err }
	}
	// A client that hangs up does not take its traces along.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		err := g.store.AppendEvent(writing, &e)
		g.chain.settle(e.Sequence, err == nil)
		done <- err
	}()
	return func() error {
		if err := <-done; err != nil {
			return storeFault("event "+e.Kind, err)
		}
		g.counts.event(e.Kind, e.Outcome)
		line := []slog.Attr{
			slog.String("kind", e.Kind), slog.String("outcome", e.Outcome), slog.String("user", e.UserID),
			slog.String("session", e.SessionID), slog.String("address", e.Address), slog.String("actor", e.ActorID), slog.String("ref", e.Ref),
		}
		if e.Kind == EventCheckpoint {
			// Kept in another place, this line is an anchor; see [Audit.Anchor].
			line = append(line, slog.String("anchor", anchorOf(&e)))
		}
		if e.Kind == EventSettingsChanged {
			line = append(line, slog.Any("settings", slices.Sorted(maps.Keys(e.Data))))
		}
		g.log.LogAttrs(ctx, slog.LevelInfo, "event", line...)
		return nil
	}
}

func orOK(outcome string) string {
	if outcome == "" {
		return outcomeOK
	}
	return outcome
}

// refuse records that somebody was refused, and returns the refusal. If the
// event cannot be written, that is the answer: what is not on record does not
// happen.
func (g *Gatehouse) refuse(ctx context.Context, e Event, refusal *Error) error {
	e.Outcome = refusal.Code
	if err := g.record(ctx, e)(); err != nil {
		return err
	}
	return refusal
}

// AddressDetail is how much of a network address is written into events.
type AddressDetail string

// Addresses in events: whole; only the network, which is 24 bits of IPv4 and 48
// of IPv6; or none.
const (
	AddressFull    AddressDetail = "full"
	AddressNetwork AddressDetail = "network"
	AddressNone    AddressDetail = "none"
)

// of is the address as it is written. What cannot be read as one is left out
// when only the network was asked for.
func (d AddressDetail) of(address string) string {
	if d == AddressFull || address == "" {
		return address
	}
	a, err := netip.ParseAddr(address)
	if d == AddressNone || err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

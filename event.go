package gatehouse

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
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

// record begins to write e, and returns a function that waits until it is
// durable. What is acknowledged has its event: the act itself is written
// meanwhile, and both share one sync of the disk.
func (g *Gatehouse) record(ctx context.Context, e Event) (wait func() error) {
	c := clientOf(ctx)
	t := now()
	id, err := uuid.NewV7()
	if err != nil {
		return func() error { return fmt.Errorf("event id: %w", err) }
	}
	e.ID, e.At, e.ExpiresAt = id.String(), t, t.Add(g.cfg.EventRetention)
	e.Address, e.UserAgent, e.Ref = c.Address, c.UserAgent, c.Ref
	if e.ActorID == "" {
		e.ActorID = c.Actor
	}
	e.Outcome = orOK(e.Outcome)
	// A client that hangs up does not take its traces along.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- g.store.AppendEvent(writing, &e)
	}()
	return func() error {
		if err := <-done; err != nil {
			return storeFault("event "+e.Kind, err)
		}
		g.counts.event(e.Kind, e.Outcome)
		g.log.LogAttrs(ctx, slog.LevelInfo, "event",
			slog.String("kind", e.Kind), slog.String("outcome", e.Outcome), slog.String("user", e.UserID),
			slog.String("session", e.SessionID), slog.String("address", e.Address), slog.String("actor", e.ActorID), slog.String("ref", e.Ref))
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

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// ErrSecretFits is returned where a lost master secret is to be replaced that is
// not lost.
var ErrSecretFits = errors.New("the master secret is the one that this database was made with: nothing is lost. To end all sessions without need, set another one first, and no previous one")

// ReplaceLostSecret makes the database usable with the master secret of the
// settings, or with a new one in the data folder, when the one that it was made
// with is lost: all sessions end and what is used once is gone, users stay.
// It is [ErrServed] if a service is running, which would go on with the lost one.
func ReplaceLostSecret(ctx context.Context, s *Settings, log *slog.Logger) error {
	d := DatabaseOf(s)
	if err := d.Require(ctx); err != nil {
		return err
	}
	if err := d.unused(ctx); err != nil {
		return err
	}
	made := s.LacksSecret()
	if made {
		if err := MakeFolder(s.Data); err != nil {
			return err
		}
		if _, err := makeSecretFile(s.KeptSecretFile()); err != nil {
			return fmt.Errorf("keep a new master secret: %w", err)
		}
	}
	if err := forgetSecret(ctx, s, log, made); err != nil {
		if made { // it is good for nothing yet, and in the way of the one that is missing
			err = errors.Join(err, os.Remove(s.KeptSecretFile()))
		}
		return err
	}
	// Opened once, so that there are new keys and the event.
	i, err := Open(ctx, s, log)
	if err != nil {
		return err
	}
	return i.Close()
}

// forgetSecret leaves the store as one that nobody has opened yet.
func forgetSecret(ctx context.Context, s *Settings, log *slog.Logger, made bool) (err error) {
	secret, err := masterSecret(ctx, s)
	if err != nil {
		return err
	}
	store, err := s.openDatabase(ctx, log)
	if err != nil {
		return err
	}
	if err = gatehouse.Whole(ctx, store); err == nil && !made {
		err = lost(gatehouse.SecretFits(ctx, store, append(s.previousSecrets(), secret)...))
	}
	if err != nil {
		return errors.Join(err, store.Close())
	}
	// Through Redis, where the sessions may be.
	records, err := s.putRedisInFront(ctx, store, secret, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	if err := unserved(ctx, records.store); err != nil {
		return err
	}
	all := gatehouse.Restoration{At: time.Now().UTC().Truncate(time.Millisecond), From: "lost secret", Keep: gatehouse.KeepNothing}
	if _, err := all.Apply(ctx, records.store); err != nil {
		return err
	}
	return gatehouse.ForgetSecret(ctx, records.store)
}

// lost is nil if the secret does not fit.
func lost(err error) error {
	switch {
	case err == nil:
		return ErrSecretFits
	case errors.Is(err, gatehouse.ErrOtherSecret):
		return nil
	}
	return err
}

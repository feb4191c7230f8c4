package mongo

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
)

// SchemaVersion is the version of the collections in the database that uri names,
// 0 if nothing was ever kept there, and the one that this program works with. It
// changes nothing.
func SchemaVersion(ctx context.Context, uri string) (current, wanted int, err error) {
	s, err := connect(uri, Options{}.withDefaults())
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.inspect(ctx); err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	version, err := s.version(ctx)
	if err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	return int(version), schemaVersion, nil
}

// Migrate makes the collections and indexes that are missing, as [Open] does, and
// returns the version before, 0 if there was none, and after.
func Migrate(ctx context.Context, uri string) (from, to int, err error) {
	if from, to, err = SchemaVersion(ctx, uri); err != nil {
		return 0, 0, err
	}
	s, err := Open(ctx, uri, Options{})
	if err != nil {
		return 0, 0, err
	}
	return from, to, s.Close()
}

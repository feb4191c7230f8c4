package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"

	"github.com/gatehouse-auth/gatehouse"
)

// Instance is an open Gatehouse: the core on its store.
type Instance struct {
	Gatehouse *gatehouse.Gatehouse
	Store     gatehouse.Store

	records  records
	breaches *breachLists
}

// Open makes what is missing of the data folder, the secret and the database,
// and opens them.
func Open(ctx context.Context, s *Settings, log *slog.Logger) (*Instance, error) {
	if err := MakeFolder(s.Data); err != nil {
		return nil, err
	}
	secret, err := masterSecret(ctx, s)
	if err != nil {
		return nil, err
	}
	records, err := s.openRecords(ctx, secret, log)
	if err != nil {
		return nil, err
	}
	breaches, err := s.breachLists(log)
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	c := s.core(records.store, secret, log)
	c.BreachLists, c.Limiter = breaches.all, records.limiter
	g, err := gatehouse.New(c)
	if err != nil {
		return nil, errors.Join(err, breaches.Close(), records.Close())
	}
	return &Instance{g, records.store, records, breaches}, nil
}

// OpenExisting is Open for those who have no use for a new database: it fails
// with [ErrNoDatabase], and makes nothing, if there is none.
func OpenExisting(ctx context.Context, s *Settings, log *slog.Logger) (*Instance, error) {
	if err := DatabaseOf(s).Require(ctx); err != nil {
		return nil, err
	}
	return Open(ctx, s, log)
}

// OpenStore opens the store of an instance and nothing else: no event is written,
// and no work begins. It fails with [ErrNoDatabase] if there is none, and with
// [ErrServed] if a service is running on it, unless that may be. The caller calls
// done in the end.
func OpenStore(ctx context.Context, s *Settings, log *slog.Logger, served bool) (store gatehouse.Store, done func() error, err error) {
	d := DatabaseOf(s)
	if err := d.Require(ctx); err != nil {
		return nil, nil, err
	}
	if !served {
		if err := d.unused(ctx); err != nil {
			return nil, nil, err
		}
	}
	secret, err := masterSecret(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.openRecords(ctx, secret, log)
	if err != nil {
		return nil, nil, err
	}
	if !served {
		if err := unserved(ctx, r.store); err != nil {
			return nil, nil, errors.Join(err, r.Close())
		}
	}
	return r.store, r.Close, nil
}

// LacksSecret reports whether no master secret is set, and none is kept.
func (s *Settings) LacksSecret() bool {
	_, err := os.Stat(s.KeptSecretFile())
	return s.Secret.Len() == 0 && errors.Is(err, fs.ErrNotExist)
}

// Ready is nil when people can log in, and nobody has put a Redis in front of the
// database meanwhile that this instance knows nothing of.
func (i *Instance) Ready(ctx context.Context) error {
	if err := i.Gatehouse.Ready(ctx); err != nil {
		return err
	}
	return i.records.alone(ctx)
}

// Close ends the work in the background and closes the store and what else is
// open.
func (i *Instance) Close() error {
	return errors.Join(i.Gatehouse.Close(), i.breaches.Close(), i.records.Close())
}

// MakeFolder makes a data folder that only its owner can enter, and refuses one
// into which every user can put files.
func MakeFolder(name string) error {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("data folder %s: every user can put files into it: chmod 700 %s", name, name)
	}
	return nil
}

// masterSecret is the one of the settings, or else the one kept in the data
// folder, which is made for a database that nobody has used yet. It is never made
// for one that was: sessions and sealed keys would be lost without a word.
func masterSecret(ctx context.Context, s *Settings) (gatehouse.Secret, error) {
	if s.Secret.Len() > 0 {
		return s.Secret, nil
	}
	name := s.KeptSecretFile()
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		fresh, err := DatabaseOf(s).untouched(ctx)
		if err != nil {
			return gatehouse.Secret{}, err
		}
		if !fresh {
			return gatehouse.Secret{}, fmt.Errorf("there is a database, %s, but no master secret for it: %s is missing; put it back from a backup, or set GATEHOUSE_SECRET_FILE", DatabaseOf(s), name)
		}
		secret, err := makeSecretFile(name)
		if err != nil {
			return gatehouse.Secret{}, fmt.Errorf("keep a new master secret: %w", err)
		}
		return secret, nil
	}
	secret, err := ReadSecretFile(name)
	if err != nil {
		return gatehouse.Secret{}, fmt.Errorf("master secret: %s %w", name, err)
	}
	if why := weakness(secret.Reveal()); why != "" {
		return gatehouse.Secret{}, fmt.Errorf("master secret: %s %s; put back the file that was made at first start", name, why)
	}
	return secret, nil
}

// MasterSecrets are the master secrets that are known, the current one first,
// and the extra ones in files of these names. None is made.
func (s *Settings) MasterSecrets(files ...string) ([]gatehouse.Secret, error) {
	var list []gatehouse.Secret
	if !s.LacksSecret() {
		current, err := masterSecret(context.Background(), s)
		if err != nil {
			return nil, err
		}
		list = append(list, current)
	}
	list = append(list, s.previousSecrets()...)
	for _, name := range files {
		secret, err := ReadSecretFile(name)
		if err != nil {
			return nil, fmt.Errorf("master secret: %s %w", name, err)
		}
		list = append(list, secret)
	}
	return list, nil
}

func (s *Settings) previousSecrets() []gatehouse.Secret {
	if s.PreviousSecret.Len() == 0 {
		return nil
	}
	return []gatehouse.Secret{s.PreviousSecret}
}

func (s *Settings) core(store gatehouse.Store, secret gatehouse.Secret, log *slog.Logger) gatehouse.Config {
	c := gatehouse.Config{
		Store: store, Secret: secret, PreviousSecrets: s.previousSecrets(), Logger: log,
		Issuer: s.Issuer, Audience: s.Audience,
		Algorithm: gatehouse.Algorithm(s.Algorithm), HS256Secret: s.HS256Secret,
		TokenProfile:        s.TokenProfile,
		AccessTokenLifetime: s.AccessTokenLifetime, RotationGrace: s.RotationGrace,
		InactivityTimeout: s.InactivityTimeout, MaximumLifetime: s.MaximumLifetime,
		RecentAuthentication: s.RecentAuthentication, SessionsPerUser: s.SessionsPerUser,
		KeyRotation: s.KeyRotation, PasswordMinLength: s.PasswordMinLength, EventRetention: s.EventRetention,
		HashMemory: int(s.HashMemory / 1024), HashTime: s.HashTime, HashParallelism: s.HashParallelism,
		Limits:         s.limits(),
		EventAddresses: gatehouse.AddressDetail(s.EventAddresses),
		HashWorkers:    s.HashWorkers, HashQueue: s.HashQueue,
		HashMemoryBudget: int(s.hashBudget(MachineMemory()) / 1024),
		ContextWords:     s.contextWords(),
	}
	return c
}

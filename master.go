package gatehouse

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

const masterSetting = "master_secret"

// masterNote is what the store keeps of the master secret, so that processes with
// different ones do not throw people out of each other's sessions. It holds marks:
// HKDF tells as little of a random secret as the refresh tokens do.
type masterNote struct {
	Current  string   `json:"current"`            // of the process that started last
	Accepted []string `json:"accepted,omitempty"` // its previous secrets
}

func markOf(s Secret) string {
	return base64.RawURLEncoding.EncodeToString(derive(s, "gatehouse/master-secret/1"))
}

// ErrOtherSecret is returned by [New] for a store that was made with a master
// secret that is not among those of the [Config]: nobody would stay logged in.
var ErrOtherSecret = errors.New("this store was made with another master secret: start with that one, or add it to the previous secrets")

// SecretFits is [ErrOtherSecret] if [New] would refuse the store with these master
// secrets. It changes nothing.
func SecretFits(ctx context.Context, s Store, secrets ...Secret) error {
	_, _, err := readMaster(ctx, s, secrets)
	return err
}

// readMaster refuses a master secret that would log everybody out: the one that is
// in use has to be among those of this process. It changes nothing.
func readMaster(ctx context.Context, store Store, secrets []Secret) (*Setting, masterNote, error) {
	var note masterNote
	s, err := store.Setting(ctx, masterSetting)
	if errors.Is(err, ErrNotFound) {
		return &Setting{Name: masterSetting}, note, nil
	}
	if err != nil {
		return nil, note, storeFault("master secret", err)
	}
	if err := json.Unmarshal(s.Value, &note); err != nil {
		return nil, note, fmt.Errorf("setting %s is damaged: %w", masterSetting, err)
	}
	known := note.Current == "" // after ForgetSecret
	for _, secret := range secrets {
		known = known || hmac.Equal([]byte(note.Current), []byte(markOf(secret)))
	}
	if !known {
		return nil, note, ErrOtherSecret
	}
	return s, note, nil
}

// noteMaster says which master secret is in use from now on. A new one that the
// others do not accept yet is no error, because there may be no others.
func (g *Gatehouse) noteMaster(ctx context.Context) error {
	for range maxRaces {
		s, before, err := readMaster(ctx, g.store, g.masterSecrets())
		if err != nil {
			return err
		}
		after := masterNote{Current: markOf(g.cfg.Secret)}
		for _, secret := range g.cfg.PreviousSecrets {
			after.Accepted = append(after.Accepted, markOf(secret))
		}
		if after.Current == before.Current && slices.Equal(after.Accepted, before.Accepted) {
			return nil
		}
		if s.Value, err = json.Marshal(after); err != nil {
			return fmt.Errorf("master secret: %w", err)
		}
		s.UpdatedAt = now()
		err = g.store.SaveSetting(ctx, s)
		if errors.Is(err, ErrStale) {
			continue // another process starts; see what it has
		}
		if err != nil {
			return storeFault("master secret", err)
		}
		if before.Current != "" && before.Current != after.Current && !slices.Contains(before.Accepted, after.Current) {
			g.log.WarnContext(ctx, "the master secret is new: processes that still run with the one before refuse what this one issues, and people who meet both are logged out; give it to all of them as a previous secret first")
		}
		return nil
	}
	return storeFault("master secret", fmt.Errorf("%w: %w after %d tries", ErrUnavailable, ErrStale, maxRaces))
}

func (g *Gatehouse) masterSecrets() []Secret {
	return append([]Secret{g.cfg.Secret}, g.cfg.PreviousSecrets...)
}

// ForgetSecret makes a store whose master secret is lost usable with another one:
// the signing keys that only the lost one opens are gone. No session survives that,
// so it belongs to a [Restoration] with [KeepNothing], whose Note comes before it.
// No Gatehouse may have the store open.
func ForgetSecret(ctx context.Context, s Store) error {
	for _, name := range []string{keysSetting, masterSetting} {
		if err := empty(ctx, s, name); err != nil {
			return fmt.Errorf("forget the master secret: %w", err)
		}
	}
	return nil
}

// empty takes what a setting holds.
func empty(ctx context.Context, s Store, name string) error {
	x, err := s.Setting(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	x.Value, x.UpdatedAt = []byte("null"), now()
	return s.SaveSetting(ctx, x)
}

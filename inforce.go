package gatehouse

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const inForceSetting = "settings_in_force"

// NoteSettings says which settings a service is about to work with, by name. If
// they are others than at the last time, an event names those that changed, with
// the old and the new value where both are short. The secrets of the [Config] are
// among them: of those the event says only that they changed, and the store holds
// a MAC of them. Then it writes a checkpoint of what others have left in the audit
// log, so that it can be called when the service starts, and no sooner.
//
// What is noted for the first time is not a change and leaves no event.
//
// From then on the settings are compared each minute with those of the process that
// started last, except for those that each process may have its own of, which are
// named last. If others differ, the log and [Stats] name them.
func (g *Gatehouse) NoteSettings(ctx context.Context, values map[string]string, own ...string) error {
	defer g.inForce.Store(&inForceHere{values, own})
	for range maxRaces {
		s, before, err := g.readInForce(ctx)
		if err != nil {
			return err
		}
		changed := g.changedSettings(before, values)
		if s.Version > 0 && len(changed) == 0 {
			return g.writeCheckpoint(ctx, false)
		}
		if s.Version > 0 {
			// The event goes first: what is not on record does not happen.
			if err := g.record(ctx, Event{Kind: EventSettingsChanged, Data: changed})(); err != nil {
				return err
			}
		}
		after := inForce{Values: values, Secrets: map[string]string{}}
		for name, secret := range g.namedSecrets() {
			after.Secrets[name] = secretMAC(g.settingKeys[0], name, secret)
		}
		if s.Value, err = json.Marshal(after); err != nil {
			return fmt.Errorf("settings in force: %w", err)
		}
		s.UpdatedAt = now()
		err = g.store.SaveSetting(ctx, s)
		if errors.Is(err, ErrStale) {
			continue // another service starts; see what it found
		}
		if err != nil {
			return storeFault("settings in force", err)
		}
		return g.writeCheckpoint(ctx, false)
	}
	return storeFault("settings in force", fmt.Errorf("%w: %w after %d tries", ErrUnavailable, ErrStale, maxRaces))
}

// readInForce reads what NoteSettings has kept; the setting has no version if it
// has not.
func (g *Gatehouse) readInForce(ctx context.Context) (*Setting, inForce, error) {
	var kept inForce
	s, err := g.store.Setting(ctx, inForceSetting)
	if errors.Is(err, ErrNotFound) {
		return &Setting{Name: inForceSetting}, kept, nil
	}
	if err != nil {
		return nil, kept, storeFault("settings in force", err)
	}
	if err := json.Unmarshal(s.Value, &kept); err != nil {
		return nil, kept, fmt.Errorf("setting %s is damaged: %w", inForceSetting, err)
	}
	return s, kept, nil
}

// inForceHere is what this process works with.
type inForceHere struct {
	values map[string]string
	own    []string // those that others may have differently
}

// compareSettings sees whether a process that started later works with other
// settings: people who meet both would find sessions end at different times, or
// tokens refused.
func (g *Gatehouse) compareSettings(ctx context.Context) error {
	here := g.inForce.Load()
	if here == nil {
		return nil
	}
	s, last, err := g.readInForce(ctx)
	if err != nil || s.Version == 0 {
		return err
	}
	// Which master secrets others have is looked at when they start. With one that
	// is unknown here, nothing can be told of their other secret.
	known := false
	for i, secret := range g.masterSecrets() {
		known = known || hmac.Equal([]byte(last.Secrets["secret"]), []byte(secretMAC(g.settingKeys[i], "secret", secret)))
	}
	differ := g.changedSettings(last, here.values)
	maps.DeleteFunc(differ, func(name, _ string) bool {
		return slices.Contains(here.own, name) || name == "secret" || strings.HasPrefix(name, "previous_secret") ||
			name == "hs256_secret" && !known
	})
	names := slices.Sorted(maps.Keys(differ))
	if before := g.differ.Swap(&names); len(names) > 0 && (before == nil || !slices.Equal(*before, names)) {
		attrs := make([]any, 0, len(names))
		for _, name := range names {
			attrs = append(attrs, slog.String(name, differ[name]))
		}
		g.log.WarnContext(ctx, "a process that started later works with other settings, and all should have the same",
			slog.Group("there_and_here", attrs...))
	}
	return nil
}

// settingsThatDiffer are those found at the last look.
func (g *Gatehouse) settingsThatDiffer() []string {
	if names := g.differ.Load(); names != nil {
		return slices.Clone(*names)
	}
	return nil
}

// inForce is what NoteSettings keeps.
type inForce struct {
	Values  map[string]string `json:"values"`
	Secrets map[string]string `json:"secrets"` // a MAC of each
}

// changedSettings is what an event says of the differences.
func (g *Gatehouse) changedSettings(before inForce, values map[string]string) map[string]string {
	changed := map[string]string{}
	for name, now := range values {
		if old := before.Values[name]; old != now {
			changed[name] = difference(old, now)
		}
	}
	for name, old := range before.Values {
		if _, there := values[name]; !there && old != "" {
			changed[name] = difference(old, "")
		}
	}
	named := g.namedSecrets()
	for name := range before.Secrets {
		if _, there := named[name]; !there {
			changed[name] = "changed"
		}
	}
	for name, secret := range named {
		same := false
		for _, key := range g.settingKeys { // the master secret itself may be new
			same = same || hmac.Equal([]byte(before.Secrets[name]), []byte(secretMAC(key, name, secret)))
		}
		if !same && (before.Secrets[name] != "" || secret.Len() > 0) {
			changed[name] = "changed"
		}
	}
	return changed
}

func difference(old, now string) string {
	const short = 100 // bytes
	if len(old) > short || len(now) > short || !utf8.ValidString(old+now) {
		return "changed"
	}
	if old == "" {
		old = "(none)"
	}
	if now == "" {
		now = "(none)"
	}
	return old + " → " + now
}

// namedSecrets are the secrets of the configuration, by the names of settings.
func (g *Gatehouse) namedSecrets() map[string]Secret {
	named := map[string]Secret{"secret": g.cfg.Secret, "hs256_secret": g.cfg.HS256Secret}
	for i, s := range g.cfg.PreviousSecrets {
		name := "previous_secret"
		if i > 0 {
			name = fmt.Sprintf("previous_secret_%d", i+1)
		}
		named[name] = s
	}
	return named
}

// secretMAC tells whether a secret has changed, and nothing else of it. It is
// empty for none.
func secretMAC(key []byte, name string, s Secret) string {
	if s.Len() == 0 {
		return ""
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(name + "\x00"))
	h.Write(s.Reveal())
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

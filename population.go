package gatehouse

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/hashing"
)

// A password of somebody whose hash came from elsewhere takes another time to
// check than that of others. An absent user must therefore have a kind of hash,
// too: always the same one, and each kind as often as among those who exist.
const (
	censusTask    = "census"
	censusSetting = "hash_kinds"
	censusPage    = 500
	censusLease   = 10 * time.Minute
	censusEvery   = 10 * time.Minute // at least
	censusShare   = 100              // and at most a hundredth of the time is spent counting
)

// population is how many users have a hash of each kind.
type population map[hashing.Kind]int64

// fictitiousKind is the kind of hash that an absent user, or one without a
// password, has. It is drawn from the population by the address, with a key that
// nobody knows: the same for every try, and hardly moved when the numbers move.
func (g *Gatehouse) fictitiousKind(emailKey string) hashing.Kind {
	p := g.kinds.Load()
	if p == nil {
		return "" // that of new hashes
	}
	kinds := slices.Sorted(maps.Keys(*p))
	var total float64
	for _, k := range kinds {
		total += float64((*p)[k])
	}
	drawn := float64(binary.BigEndian.Uint64(macOf(g.decoyKey, []byte(emailKey)))) / (1 << 64) * total
	for _, k := range kinds {
		if drawn -= float64((*p)[k]); drawn < 0 {
			return k
		}
	}
	return ""
}

// readPopulation takes over what was last counted, by whichever process.
func (g *Gatehouse) readPopulation(ctx context.Context) error {
	s, err := g.store.Setting(ctx, censusSetting)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the kinds of hashes: %w", err)
	}
	var p population
	if err := json.Unmarshal(s.Value, &p); err != nil {
		return fmt.Errorf("read the kinds of hashes: %w", err)
	}
	g.kinds.Store(&p)
	return nil
}

// census counts the kinds of hashes, if it is due and no other process is at it.
func (g *Gatehouse) census(ctx context.Context) error {
	task, err := g.claim(ctx, censusTask, censusLease)
	if task == nil || err != nil {
		return errors.Join(err, g.readPopulation(ctx))
	}
	began, p := monotonic(), population{}
	for after := ""; ; {
		page, err := g.store.Users(ctx, after, censusPage)
		if err != nil {
			return fmt.Errorf("count the kinds of hashes: %w", err)
		}
		for _, u := range page {
			if c := u.credential(kindPassword); c != nil {
				// A hash that cannot be read lets nobody in, and is no kind.
				if k, err := hashing.KindOf(c.Hash); err == nil {
					p[k]++
				}
			}
		}
		if len(page) < censusPage {
			break
		}
		after = page[len(page)-1].ID
	}
	if err := g.savePopulation(ctx, p); err != nil {
		return err
	}
	return g.release(ctx, task, max(censusEvery, censusShare*time.Since(began)))
}

func (g *Gatehouse) savePopulation(ctx context.Context, p population) error {
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("kinds of hashes: %w", err)
	}
	s, err := g.store.Setting(ctx, censusSetting)
	if errors.Is(err, ErrNotFound) {
		s, err = &Setting{Name: censusSetting}, nil
	}
	if err != nil {
		return fmt.Errorf("read the kinds of hashes: %w", err)
	}
	if string(s.Value) != string(value) {
		s.Value, s.UpdatedAt = value, now()
		if err := g.store.SaveSetting(ctx, s); err != nil && !errors.Is(err, ErrStale) {
			return fmt.Errorf("save the kinds of hashes: %w", err)
		}
	}
	g.kinds.Store(&p)
	return nil
}

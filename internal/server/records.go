package server

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/redis"
)

// records is where an instance keeps what it keeps.
type records struct {
	store   gatehouse.Store
	limiter gatehouse.Limiter // nil: in memory
	redis   *redis.Client     // if the store does not close it
}

// Close closes the store and what is beside it.
func (r records) Close() error {
	err := r.store.Close()
	if r.redis != nil {
		r.redis.Close()
	}
	return err
}

// alone is nil unless the sessions are in a Redis that is not in front of the store.
func (r records) alone(ctx context.Context) error {
	if _, behind := r.store.(*redis.Store); behind {
		return nil
	}
	return redis.Absent(ctx, r.store)
}

// openRecords opens the database, and Redis in front of it if there is one. That
// leaves its mark on both, so what nobody can use is refused before.
func (s *Settings) openRecords(ctx context.Context, secret gatehouse.Secret, log *slog.Logger) (records, error) {
	var inUse error
	if s.Redis != "" && s.RedisUse != "limits" {
		inUse = DatabaseOf(s).unused(ctx)
	}
	store, err := s.openDatabase(ctx, log)
	if err != nil {
		return records{}, err
	}
	if err = gatehouse.Whole(ctx, store); err == nil {
		err = gatehouse.SecretFits(ctx, store, append(s.previousSecrets(), secret)...)
	}
	if err == nil && errors.Is(inUse, ErrServed) {
		var without bool
		if without, err = redis.UsedWithout(ctx, store); without {
			err = redis.ErrServedWithout
		}
	}
	if err != nil {
		return records{}, errors.Join(err, store.Close())
	}
	return s.putRedisInFront(ctx, store, secret, log)
}

func (s *Settings) openDatabase(ctx context.Context, log *slog.Logger) (gatehouse.Store, error) {
	database := DatabaseOf(s)
	database.Waiting = func(why string) { log.Warn(why) }
	store, err := database.Open(ctx)
	if err != nil {
		return nil, err
	}
	warnOf(log, store)
	return store, nil
}

// putRedisInFront puts Redis in front of a store if there is one. It closes the store
// when it fails.
func (s *Settings) putRedisInFront(ctx context.Context, store gatehouse.Store, secret gatehouse.Secret, log *slog.Logger) (records, error) {
	r, err := s.openRedis(ctx, store, secret, log)
	if err != nil {
		return records{}, errors.Join(err, store.Close())
	}
	return r, nil
}

func (s *Settings) openRedis(ctx context.Context, behind gatehouse.Store, secret gatehouse.Secret, log *slog.Logger) (records, error) {
	if s.Redis == "" {
		return records{store: behind}, redis.Absent(ctx, behind)
	}
	key, err := hkdf.Key(sha256.New, secret.Reveal(), nil, "gatehouse/redis/1", 32)
	if err != nil {
		return records{}, err
	}
	client, err := redis.Open(ctx, s.Redis, redis.Options{Key: gatehouse.NewSecret(key), Replicas: s.redisReplicas()})
	if err != nil {
		return records{}, err
	}
	if s.RedisUse == "limits" {
		if err := redis.Absent(ctx, behind); err != nil {
			client.Close()
			return records{}, err
		}
		warnOf(log, client)
		return records{behind, client.Limiter(), client}, nil
	}
	front, err := client.Store(ctx, behind)
	if err != nil {
		client.Close()
		return records{}, err
	}
	warnOf(log, client)
	if n := front.Carried(); n > 0 {
		log.Info("sessions were carried over from the database into Redis", "sessions", n)
	}
	return records{front, client.Limiter(), nil}, nil
}

// redisReplicas is how many are waited for. Limits are counted on the primary alone.
func (s *Settings) redisReplicas() int {
	switch {
	case s.RedisUse == "limits" || s.RedisReplicas == "0":
		return redis.NoReplicas
	case s.RedisReplicas == "auto":
		return 0 // as Redis is found
	}
	n, _ := strconv.Atoi(s.RedisReplicas) // one of the choices
	return n
}

// LeaveRedis ends that the database can be used with its Redis alone. The sessions
// and challenges there are given up. No instance may be running: [ErrServed] if one
// is seen, which takes a database in a file.
func (d Database) LeaveRedis(ctx context.Context) error {
	if err := d.unused(ctx); err != nil {
		return err
	}
	store, err := d.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(redis.Leave(ctx, store), store.Close())
}

// warnOf logs what an operator should know about a server as it was found.
func warnOf(log *slog.Logger, server any) {
	if s, ok := server.(interface{ Warnings() []string }); ok {
		for _, w := range s.Warnings() {
			log.Warn(w)
		}
	}
}

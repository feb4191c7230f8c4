package redis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// How long things last while users are read and written. A block outlasts every
// write that can be under way: one that is given writeFor, and whatever the
// database still does after that.
const (
	leaseFor = 10 * time.Second
	writeFor = 15 * time.Second
	blockFor = 90 * time.Second
)

// A user's copy and its lease share a key: V and the copy, or L and the lease.
// Beside it is the set of blocks, each with the time of Redis at which it ends.
var (
	// lookup: KEYS copy, blocks; ARGV a lease to hand out, its duration. V… if there
	// is a copy, "lease" if the lease was handed out, "no" if there is one already or
	// the user is blocked.
	lookupScript = newScript(`
local entry = redis.call('GET', KEYS[1])
if entry and string.sub(entry, 1, 1) == 'V' then return entry end
local t = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', t[1])
if entry or redis.call('EXISTS', KEYS[2]) == 1 then return 'no' end
redis.call('SET', KEYS[1], 'L' .. ARGV[1], 'PX', ARGV[2])
return 'lease'`)

	// put: KEYS copy; ARGV the lease, the copy, its duration. Without a copy the lease
	// is given back.
	putScript = newScript(`
if redis.call('GET', KEYS[1]) ~= 'L' .. ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], 'V' .. ARGV[2], 'PX', ARGV[3])
return 1`)

	// block: KEYS copy, blocks; ARGV the block, its duration in seconds.
	blockScript = newScript(`
local t = redis.call('TIME')
redis.call('ZADD', KEYS[2], t[1] + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2] + 1)
redis.call('DEL', KEYS[1])
return 1`)

	// lift: KEYS copy, blocks; ARGV the block. Nothing can have been put there
	// meanwhile, unless Redis has lost the block: then what is there may be old.
	liftScript = newScript(`
redis.call('DEL', KEYS[1])
return redis.call('ZREM', KEYS[2], ARGV[1])`)
)

// User implements [gatehouse.Store]. When Redis is away, the store behind answers.
func (s *Store) User(ctx context.Context, id string) (*gatehouse.User, error) {
	if !s.copies {
		return s.behind.User(ctx, id)
	}
	u, lease := s.lookup(ctx, id)
	if u != nil {
		return u, nil
	}
	u, err := s.behind.User(ctx, id)
	if lease != "" {
		s.put(ctx, id, lease, u)
	}
	return u, err
}

// lookup is the copy of a user, or a lease to put one there, or neither.
func (s *Store) lookup(ctx context.Context, id string) (u *gatehouse.User, lease string) {
	copied := s.c.key(userKey, id)
	a, err := s.c.one(ctx, "user", command{word: []string{"GET"}, keys: []string{copied}, reads: true})
	if err == nil && !strings.HasPrefix(a.text, "V") {
		lease = rand.Text()
		a, err = s.c.one(ctx, "user", command{
			script: lookupScript, keys: []string{copied, s.c.key(blockKey, id)},
			args: []string{lease, milliseconds(leaseFor)},
		})
	}
	switch {
	case err != nil:
		return nil, ""
	case a.text == "lease":
		return nil, lease
	case a.text == "no":
		return nil, ""
	}
	// One that was sealed with another key, or before a restoration, is left to end
	// by itself.
	u, _ = s.open(id, a.text[1:])
	return u, ""
}

// put keeps a copy, if the lease stands. No copy is worth an error.
func (s *Store) put(ctx context.Context, id, lease string, u *gatehouse.User) {
	sealed := ""
	if u != nil {
		sealed = s.sealed(u)
	}
	_, _ = s.c.one(context.WithoutCancel(ctx), "put user", command{
		script: putScript, keys: []string{s.c.key(userKey, id)},
		args: []string{lease, sealed, milliseconds(s.c.options.CacheFor)},
	})
}

// SaveUser implements [gatehouse.Store]. Without Redis it changes nothing.
func (s *Store) SaveUser(ctx context.Context, u *gatehouse.User) error {
	return s.blocked(ctx, u.ID, func(ctx context.Context) error { return s.behind.SaveUser(ctx, u) })
}

// DeleteUser implements [gatehouse.Store]. Without Redis it changes nothing.
func (s *Store) DeleteUser(ctx context.Context, id string, version int64) error {
	return s.blocked(ctx, id, func(ctx context.Context) error { return s.behind.DeleteUser(ctx, id, version) })
}

// blocked writes a user while no copy of it can be read or put.
func (s *Store) blocked(ctx context.Context, id string, write func(context.Context) error) error {
	block := rand.Text()
	keys := []string{s.c.key(userKey, id), s.c.key(blockKey, id)}
	lift := command{script: liftScript, keys: keys, args: []string{block}}
	// A replica that takes over without the block would show the copy of before.
	if _, err := s.c.replicated(ctx, "block user", command{
		script: blockScript, keys: keys, args: []string{block, strconv.Itoa(int(blockFor.Seconds()))},
	}, func(answer) (command, bool) { return lift, true }); err != nil {
		return err
	}
	writing, cancel := context.WithTimeout(ctx, writeFor)
	defer cancel()
	err := write(writing)
	if err == nil || errors.Is(err, gatehouse.ErrStale) || errors.Is(err, gatehouse.ErrExists) || errors.Is(err, gatehouse.ErrNotFound) {
		// If this fails, the store behind is read until the block ends by itself.
		_, _ = s.c.one(context.WithoutCancel(ctx), "lift block", lift)
	}
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// storedUser is a user as it is copied.
type storedUser struct {
	Version     int64              `json:"v"`
	Email       string             `json:"e,omitzero"`
	EmailKey    string             `json:"ek,omitzero"`
	Name        string             `json:"n,omitzero"`
	Roles       []string           `json:"r,omitempty"`
	Keys        []string           `json:"k,omitempty"`
	Credentials []storedCredential `json:"c,omitempty"`
	Epoch       int64              `json:"ep,omitzero"`
	Disabled    int64              `json:"dt"`
	Created     int64              `json:"ct"`
	Updated     int64              `json:"ut"`
	Extra       []byte             `json:"x,omitempty"`
}

type storedCredential struct {
	ID      string `json:"i,omitzero"`
	Kind    string `json:"k,omitzero"`
	Hash    string `json:"h,omitzero"`
	Created int64  `json:"ct"`
	Changed int64  `json:"cht"`
	Data    []byte `json:"d,omitempty"`
}

// sealed is a copy that only holders of the key can read, and only as that of this
// user in this history of the store behind: what lies in Redis, in its files and in
// their backups, tells nothing, and what was put there before a restoration, by
// whomever, is not believed after it.
func (s *Store) sealed(u *gatehouse.User) string {
	f := storedUser{
		u.Version, u.Email, u.EmailKey, u.Name, u.Roles, u.Keys, nil, u.Epoch,
		u.DisabledAt.UnixMilli(), u.CreatedAt.UnixMilli(), u.UpdatedAt.UnixMilli(), u.Extra,
	}
	for _, k := range u.Credentials {
		f.Credentials = append(f.Credentials, storedCredential{k.ID, k.Kind, k.Hash, k.CreatedAt.UnixMilli(), k.ChangedAt.UnixMilli(), k.Data})
	}
	b, err := json.Marshal(f)
	if err != nil {
		return "" // nothing in it can fail; without a copy all is well
	}
	return string(s.c.seal.Seal(nil, nil, b, s.bound(u.ID))) //nolint:gosec // this AEAD draws each nonce itself and takes none
}

// bound is what a copy is sealed to.
func (s *Store) bound(id string) []byte { return []byte(s.history.String() + " " + id) }

// open is the user of a sealed copy.
func (s *Store) open(id, sealed string) (*gatehouse.User, error) {
	b, err := s.c.seal.Open(nil, nil, []byte(sealed), s.bound(id))
	if err != nil {
		return nil, err
	}
	var f storedUser
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	u := &gatehouse.User{
		ID: id, Version: f.Version, Email: f.Email, EmailKey: f.EmailKey, Name: f.Name, Roles: f.Roles, Keys: f.Keys,
		Epoch: f.Epoch, DisabledAt: at(f.Disabled), CreatedAt: at(f.Created), UpdatedAt: at(f.Updated), Extra: f.Extra,
	}
	for _, k := range f.Credentials {
		u.Credentials = append(u.Credentials, gatehouse.Credential{
			ID: k.ID, Kind: k.Kind, Hash: k.Hash, CreatedAt: at(k.Created), ChangedAt: at(k.Changed), Data: k.Data,
		})
	}
	return u, nil
}

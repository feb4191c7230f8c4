package gatehouse

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is how access tokens are signed (RFC 7518, RFC 8037).
type Algorithm string

// The algorithms. EdDSA and ES256 have a public half that others can verify
// with; HS256 exists for verifiers that share a secret already.
const (
	EdDSA Algorithm = "EdDSA"
	ES256 Algorithm = "ES256"
	HS256 Algorithm = "HS256"
)

// KeyState says what a signing key is used for.
type KeyState string

// A key is published as the next one before it signs anything, so that a
// verifier that keeps a copy of the published keys knows it in time. A retired
// key verifies until the last token that it signed has expired.
const (
	KeyNext    KeyState = "next"
	KeyCurrent KeyState = "current"
	KeyRetired KeyState = "retired"
)

// Key describes a signing key, without its private half.
type Key struct {
	ID        string
	Algorithm Algorithm
	State     KeyState
	CreatedAt time.Time
	SignsFrom time.Time // zero: it has not signed yet
	RetiredAt time.Time // zero: not retired
}

// Keys are the signing keys, as the store has them now. There are none with
// HS256.
func (g *Gatehouse) Keys(ctx context.Context) ([]Key, error) {
	if err := g.loadKeys(ctx); err != nil {
		return nil, err
	}
	var list []Key
	for _, k := range g.keys.Load().list {
		list = append(list, k.describe())
	}
	return list, nil
}

// RotateKeys retires the current signing key and signs with the next one, in
// every process within a minute. Invalid with HS256, whose secret is a setting.
func (g *Gatehouse) RotateKeys(ctx context.Context) (Key, error) {
	if g.cfg.Algorithm == HS256 {
		return Key{}, &Error{Kind: Invalid, Code: "no_signing_keys", Text: "With HS256 there are no keys to rotate: change the secret."}
	}
	if err := g.changeKeys(ctx, func(r *keyring, t time.Time) error { return r.rotate(t, g.cfg.Algorithm) }); err != nil {
		return Key{}, err
	}
	k := g.keys.Load().signer.describe()
	return k, g.record(ctx, Event{Kind: EventKeysRotated, Data: map[string]string{"key": k.ID}})()
}

// JWKS is the JSON Web Key Set (RFC 7517) of the public keys: the next one, the
// current one, and the retired ones whose tokens may still be about.
func (g *Gatehouse) JWKS() []byte { return g.keys.Load().jwks }

// signingKey is a key with its private half.
type signingKey struct {
	id        string
	algorithm Algorithm
	method    jwt.SigningMethod
	private   any // for signing
	public    any // for verifying; the secret itself with HS256
	createdAt time.Time
	signsFrom time.Time
	retiredAt time.Time

	sealedBefore bool // with a previous master secret
}

func (k *signingKey) describe() Key {
	state := KeyCurrent
	switch {
	case !k.retiredAt.IsZero():
		state = KeyRetired
	case k.signsFrom.IsZero():
		state = KeyNext
	}
	return Key{k.id, k.algorithm, state, k.createdAt, k.signsFrom, k.retiredAt}
}

// keyring is all keys at one moment. It is never changed once it is in use.
type keyring struct {
	version int64 // of the setting
	list    []*signingKey
	signer  *signingKey
	byID    map[string]*signingKey
	jwks    []byte
	reseal  bool // to be saved although no key has changed
}

const keysSetting = "signing_keys"

// keyRecord is how a key is stored: the private half is sealed with a key
// derived from the master secret, and bound to the id.
type keyRecord struct {
	ID        string    `json:"id"`
	Algorithm Algorithm `json:"algorithm"`
	Sealed    []byte    `json:"sealed"`
	CreatedAt time.Time `json:"created_at"`
	SignsFrom time.Time `json:"signs_from,omitzero"`
	RetiredAt time.Time `json:"retired_at,omitzero"`
}

// loadKeys reads the keys from the store, makes them at the first start, and
// does what is due: a rotation, the removal of keys that are of no more use. Of
// several processes one does it; the others read it.
func (g *Gatehouse) loadKeys(ctx context.Context) error { return g.readyKeys(ctx, false) }

// readyKeys does the same, and changes the algorithm when a process starts. Later
// it would be changed back: while the setting is changed there are processes on
// both sides.
func (g *Gatehouse) readyKeys(ctx context.Context, start bool) error {
	why := ""
	err := g.changeKeys(ctx, func(r *keyring, t time.Time) error {
		why = ""
		switch current := r.signer; {
		case g.cfg.Algorithm == HS256:
			return nil
		case current == nil: // the first start
		case start && current.algorithm != g.cfg.Algorithm:
			why = "algorithm"
		case t.Sub(current.signsFrom) >= g.cfg.KeyRotation:
			why = "age"
		default:
			return nil
		}
		return r.rotate(t, g.cfg.Algorithm)
	})
	if err != nil || why == "" {
		return err
	}
	return g.record(ctx, Event{Kind: EventKeysRotated, Data: map[string]string{"key": g.keys.Load().signer.id, "why": why}})()
}

// resealKeys seals keys that a previous master secret sealed with the current one,
// so that the previous one is not needed for longer than people stay logged in.
// It happens when a process starts, and no more often: while a master secret is
// replaced there are processes on both sides, and each would undo what the other did.
func (g *Gatehouse) resealKeys(ctx context.Context) error {
	return g.changeKeys(ctx, func(r *keyring, _ time.Time) error {
		r.reseal = slices.ContainsFunc(r.list, func(k *signingKey) bool { return k.sealedBefore })
		return nil
	})
}

// changeKeys reads the keys, lets change alter them, and saves them if it did.
func (g *Gatehouse) changeKeys(ctx context.Context, change func(*keyring, time.Time) error) error {
	for range maxRaces {
		r, err := g.readKeys(ctx)
		if err != nil {
			return err
		}
		before := r.fingerprint()
		t := now()
		if err := change(r, t); err != nil {
			return err
		}
		// A token lives five percent longer than its lifetime at most, and
		// clocks differ: a minute more does no harm.
		r.forget(t.Add(-g.cfg.AccessTokenLifetime*105/100 - time.Minute))
		if r.fingerprint() != before {
			err = g.saveKeys(ctx, r, t)
			if errors.Is(err, ErrStale) {
				continue // another process was faster; see what it did
			}
			if err != nil {
				return err
			}
		}
		r.publish(g.cfg)
		g.use(r)
		g.keysRead.Store(t.UnixMilli())
		return nil
	}
	return storeFault("save keys", fmt.Errorf("%w: %w", ErrUnavailable, ErrStale))
}

// use makes r the keys of this process, unless newer ones are: several may read
// them at once, and the slowest has seen the oldest.
func (g *Gatehouse) use(r *keyring) {
	for {
		current := g.keys.Load()
		if current != nil && current.version > r.version || g.keys.CompareAndSwap(current, r) {
			return
		}
	}
}

func (g *Gatehouse) readKeys(ctx context.Context) (*keyring, error) {
	s, err := g.store.Setting(ctx, keysSetting)
	if errors.Is(err, ErrNotFound) {
		return &keyring{}, nil
	}
	if err != nil {
		return nil, storeFault("read keys", err)
	}
	var records []keyRecord
	if err := json.Unmarshal(s.Value, &records); err != nil {
		return nil, fmt.Errorf("setting %s is damaged: %w", keysSetting, err)
	}
	r := &keyring{version: s.Version}
	for _, rec := range records {
		k, err := g.openKey(rec)
		if err != nil {
			return nil, err
		}
		r.list = append(r.list, k)
		if k.describe().State == KeyCurrent {
			r.signer = k
		}
	}
	return r, nil
}

func (g *Gatehouse) saveKeys(ctx context.Context, r *keyring, t time.Time) error {
	records := make([]keyRecord, 0, len(r.list))
	for _, k := range r.list {
		der, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			return fmt.Errorf("signing key: %w", err)
		}
		records = append(records, keyRecord{
			ID: k.id, Algorithm: k.algorithm, Sealed: seal(g.sealKeys[0], der, k.id),
			CreatedAt: k.createdAt, SignsFrom: k.signsFrom, RetiredAt: k.retiredAt,
		})
	}
	value, err := json.Marshal(records)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	s := &Setting{Name: keysSetting, Version: r.version, Value: value, UpdatedAt: t}
	if err := g.store.SaveSetting(ctx, s); errors.Is(err, ErrStale) {
		return err
	} else if err != nil {
		return storeFault("save keys", err)
	}
	r.version = s.Version
	return nil
}

// rotate retires the current key, makes the next one the current one, and adds
// a new next one.
func (r *keyring) rotate(t time.Time, a Algorithm) error {
	var next *signingKey
	kept := r.list[:0:0]
	for _, k := range r.list {
		switch k.describe().State {
		case KeyNext:
			if k.algorithm == a {
				next = k
				continue
			}
			continue // made for another algorithm, and never used
		case KeyCurrent:
			retired := *k
			retired.retiredAt = t
			k = &retired
		}
		kept = append(kept, k)
	}
	if next == nil {
		var err error
		if next, err = makeKey(a, t); err != nil {
			return err
		}
	}
	current := *next
	current.signsFrom = t
	upcoming, err := makeKey(a, t)
	if err != nil {
		return err
	}
	r.list = append(kept, &current, upcoming)
	r.signer = &current
	return nil
}

// forget removes the keys that retired before the given time.
func (r *keyring) forget(before time.Time) {
	kept := r.list[:0:0]
	for _, k := range r.list {
		if k.retiredAt.IsZero() || k.retiredAt.After(before) {
			kept = append(kept, k)
		}
	}
	r.list = kept
}

// fingerprint tells whether anything about the keys has changed.
func (r *keyring) fingerprint() string {
	var b []byte
	for _, k := range r.list {
		b = fmt.Appendf(b, "%s %d %d;", k.id, k.signsFrom.UnixMilli(), k.retiredAt.UnixMilli())
	}
	if r.reseal {
		b = append(b, "reseal"...)
	}
	return string(b)
}

// publish readies the keys for use.
func (r *keyring) publish(cfg Config) {
	r.byID = make(map[string]*signingKey, len(r.list)+1)
	set := struct {
		Keys []map[string]string `json:"keys"`
	}{Keys: []map[string]string{}}
	for _, k := range r.list {
		r.byID[k.id] = k
		set.Keys = append(set.Keys, k.jwk())
	}
	if cfg.Algorithm == HS256 {
		// Not in the list: it is a setting, neither stored nor published.
		secret := cfg.HS256Secret.Reveal()
		r.signer = &signingKey{id: "hs256", algorithm: HS256, method: jwt.SigningMethodHS256, private: secret, public: secret}
		r.byID[r.signer.id] = r.signer
	}
	r.jwks, _ = json.Marshal(set) // strings only: cannot fail
}

// jwk is the public half (RFC 7517, RFC 8037). The algorithm is part of it, so
// that no verifier has to take it from a token.
func (k *signingKey) jwk() map[string]string {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]string{"kid": k.id, "use": "sig", "alg": string(k.algorithm)}
	switch p := k.public.(type) {
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(p)
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 0x04, x, y
		if err != nil {
			panic(err) // only for a curve that makeKey does not use
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	}
	return m
}

func makeKey(a Algorithm, t time.Time) (*signingKey, error) {
	k := &signingKey{algorithm: a, createdAt: t}
	switch a {
	case EdDSA:
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, fmt.Errorf("make signing key: %w", err)
		}
		k.private, k.public, k.method = private, public, jwt.SigningMethodEdDSA
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make signing key: %w", err)
		}
		k.private, k.public, k.method = private, &private.PublicKey, jwt.SigningMethodES256
	default:
		return nil, fmt.Errorf("no keys are made for %s", a)
	}
	id, err := keyID(k.public)
	if err != nil {
		return nil, err
	}
	k.id = id
	return k, nil
}

// keyID is derived from the public key, so that one id can never stand for two.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	return new(big.Int).SetBytes(sum[:10]).Text(36), nil
}

func (g *Gatehouse) openKey(rec keyRecord) (*signingKey, error) {
	var der []byte
	var err error
	opens := 0 // which of them
	for i, s := range g.sealKeys {
		if der, err = unseal(s, rec.Sealed, rec.ID); err == nil {
			opens = i
			break
		}
	}
	if err != nil {
		return nil, ErrOtherSecret
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s is damaged: %w", rec.ID, err)
	}
	k := &signingKey{
		id: rec.ID, algorithm: rec.Algorithm, private: private,
		createdAt: rec.CreatedAt, signsFrom: rec.SignsFrom, retiredAt: rec.RetiredAt,
		sealedBefore: opens > 0,
	}
	switch p := private.(type) {
	case ed25519.PrivateKey:
		k.public, k.method = p.Public(), jwt.SigningMethodEdDSA
	case *ecdsa.PrivateKey:
		k.public, k.method = &p.PublicKey, jwt.SigningMethodES256
	}
	if k.method == nil || k.method.Alg() != string(rec.Algorithm) {
		return nil, fmt.Errorf("signing key %s is not for %s", rec.ID, rec.Algorithm)
	}
	return k, nil
}

// seal encrypts plain with AES-256-GCM under a random nonce, bound to name.
func seal(key, plain []byte, name string) []byte {
	return sealer(key).Seal(nil, nil, plain, []byte(name)) //nolint:gosec // this mode makes the nonce itself
}

func unseal(key, sealed []byte, name string) ([]byte, error) {
	return sealer(key).Open(nil, nil, sealed, []byte(name))
}

func sealer(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key that is not 16, 24 or 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for a cipher that is not AES
	}
	return aead
}

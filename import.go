package gatehouse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/hashing"
)

// The bounds of a user who comes from elsewhere, beside those of every user.
const (
	maxImportID    = 128 // characters
	maxImportExtra = 64 << 10
	maxImportKeys  = 64
	maxImportKey   = 512

	importHashers = 16 // digests that are hashed at once, or wait for it
)

// Imported is what came of a user of an import.
type Imported struct {
	// HashKind is the kind of the password hash as it is stored, such as
	// "bcrypt 12", and empty without one.
	HashKind string
	// Present says that the user had been imported before and was left as is.
	Present bool
	// Refusal is why the user was not imported, or nil: Invalid names the field
	// that cannot be accepted; Conflict is about Other.
	Refusal *Error
	// Other is the id of who has the id or the address already.
	Other string
}

// Import is users on their way in from another system. It is for one goroutine.
type Import struct {
	g        *Gatehouse
	from     string
	mover    Mover
	fresh    population // what is not in force yet
	imported struct{ added, present, refused int }
}

// BeginImport begins to bring users in from a system, whose name is put on
// record. Its methods decide as registering does, with these differences: the
// password is not known, only its hash; users keep their ids, states and times.
//
// What has come in stays if the import ends before its time. To import the same
// again is harmless, so that is how it is resumed.
func (g *Gatehouse) BeginImport(ctx context.Context, from string) (*Import, error) {
	mover, ok := g.store.(Mover)
	if !ok {
		return nil, errors.New("import: the store has no way of loading many records at once")
	}
	if err := g.record(ctx, Event{Kind: EventImportBegun, Data: map[string]string{"from": from}})(); err != nil {
		return nil, err
	}
	return &Import{g: g, from: from, mover: mover, fresh: population{}}, nil
}

// CheckImport says what Add would say, and changes nothing but the users: as long
// as no two of them have the same id or address.
func (g *Gatehouse) CheckImport(ctx context.Context, users []*User) ([]Imported, error) {
	list := make([]Imported, len(users))
	for i, u := range users {
		list[i] = g.prepareImport(u)
		if list[i].Refusal != nil {
			continue
		}
		if err := g.whoHas(ctx, u, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Add imports users, some hundreds at best, and says of each what came of it. A
// user needs an id, an address and the time of creation; what stands in the others
// of the fields that are theirs is taken over, and checked: names, roles, keys, a
// credential with a hash, whether the user is disabled, and Extra. The hash is one
// that docs/importing.md lists, as it was written there; a digest that was never a
// password hash is hashed before it is stored.
//
// A user who cannot be imported does not keep others from it. After an error any
// of them may have been imported.
func (i *Import) Add(ctx context.Context, users []*User) ([]Imported, error) {
	list := make([]Imported, len(users))
	for n, u := range users {
		list[n] = i.g.prepareImport(u)
	}
	if err := i.wrapDigests(ctx, users, list); err != nil {
		return nil, err
	}
	at := make(map[*User]int, len(users))
	records := &Records{}
	for n, u := range users {
		if list[n].Refusal == nil && !list[n].Present {
			at[u] = n
			records.Users = append(records.Users, u)
		}
	}
	taken, err := i.mover.Load(ctx, records)
	if err != nil {
		return nil, storeFault("load users", err)
	}
	for _, u := range taken.Users {
		result := &list[at[u]]
		if err := i.g.whoHas(ctx, u, result); err != nil {
			return nil, err
		}
		if result.Refusal == nil && !result.Present {
			// Whoever was in the way is gone again.
			result.Refusal = errImportRaced
		}
	}
	return list, i.count(ctx, list)
}

// count keeps account, and lets a kind of hash be in force that nobody had before:
// absent users have it from now on, too.
func (i *Import) count(ctx context.Context, list []Imported) error {
	inForce, unknown := i.g.kinds.Load(), false
	for _, r := range list {
		switch {
		case r.Refusal != nil:
			i.imported.refused++
		case r.Present:
			i.imported.present++
		default:
			i.imported.added++
			if k := hashing.Kind(r.HashKind); k != "" {
				i.fresh[k]++
				unknown = unknown || inForce == nil || (*inForce)[k] == 0
			}
		}
	}
	if !unknown {
		return nil
	}
	return i.publishKinds(ctx)
}

func (i *Import) publishKinds(ctx context.Context) error {
	err := i.g.addPopulation(ctx, i.fresh)
	i.fresh = population{}
	return err
}

// Finish puts on record how many users came in, also of an import that was not
// brought to its end.
func (i *Import) Finish(ctx context.Context) error {
	err := i.publishKinds(ctx)
	data := map[string]string{
		"from":  i.from,
		"added": strconv.Itoa(i.imported.added), "present": strconv.Itoa(i.imported.present), "refused": strconv.Itoa(i.imported.refused),
	}
	return errors.Join(i.g.record(ctx, Event{Kind: EventUsersImported, Data: data})(), err)
}

// prepareImport makes of u what is stored, but for a digest that has to be
// wrapped, or says why that cannot be.
func (g *Gatehouse) prepareImport(u *User) (r Imported) {
	kind, err := g.checkImport(u)
	r.HashKind = kind
	if err != nil {
		refusal, ok := errors.AsType[*Error](err)
		if !ok {
			refusal = &Error{Kind: Invalid, Code: "import_invalid", Text: "The user cannot be read.", Err: err}
		}
		r.Refusal = refusal
	}
	return r
}

func (g *Gatehouse) checkImport(u *User) (kind string, err error) {
	if !importableID(u.ID) {
		return "", invalidImport("id", "The id is not 1 to 128 of letters, digits, '-', '_', '.', ':', '|'.")
	}
	if u.Email == "" {
		return "", &Error{Kind: Invalid, Code: "missing_fields", Field: "email", Text: "There is no email address."}
	}
	email, err := ParseEmail(u.Email)
	if err != nil {
		return "", err
	}
	u.Email, u.EmailKey = email.Typed, email.Key
	if u.Name, err = checkName(u.Name); err != nil {
		return "", err
	}
	if u.Roles, err = checkRoles(u.Roles); err != nil {
		return "", err
	}
	u.Keys = slices.Compact(slices.Sorted(slices.Values(u.Keys)))
	for _, k := range u.Keys {
		// Not every store keeps a NUL.
		if k == "" || len(k) > maxImportKey || !utf8.ValidString(k) || strings.Contains(k, "\x00") || len(u.Keys) > maxImportKeys {
			return "", invalidImport("keys", "The keys are more than 64, empty, longer than 512 bytes, or not text.")
		}
	}
	if len(u.Extra) > maxImportExtra {
		return "", invalidImport("extra", "The fields that are kept beside take more than 64 KiB.")
	}
	if len(u.Extra) > 0 && (!json.Valid(u.Extra) || !utf8.Valid(u.Extra) || u.Extra[0] != '{') {
		return "", invalidImport("extra", "The fields that are kept beside are no JSON object.")
	}
	t := now()
	for _, at := range []*time.Time{&u.CreatedAt, &u.DisabledAt} {
		if *at = at.UTC().Truncate(time.Millisecond); !at.IsZero() && (at.Year() < 1970 || at.After(t.AddDate(1, 0, 0))) {
			return "", invalidImport("created_at", "A time is before 1970 or in the future.")
		}
	}
	if u.CreatedAt.IsZero() {
		u.CreatedAt = t
	}
	u.Version, u.Epoch, u.UpdatedAt = 1, 0, t
	return g.checkImportedHash(u)
}

// checkImportedHash brings the hash into the form in which it is stored, and is
// its kind. Nothing else than a password can be imported yet.
func (g *Gatehouse) checkImportedHash(u *User) (kind string, err error) {
	if len(u.Credentials) == 0 {
		return "", nil
	}
	c := &u.Credentials[0]
	if len(u.Credentials) > 1 || c.Kind != kindPassword {
		return "", invalidImport("credentials", "There is another credential than one password.")
	}
	encoded, k, err := g.hashes.Import(c.Hash)
	if errors.Is(err, hashing.ErrTooLarge) {
		return "", &Error{Kind: Invalid, Code: "hash_too_large", Field: "password", Text: "The password hash needs more memory than hash_memory_budget allows.", Err: err}
	}
	if err != nil {
		return "", &Error{Kind: Invalid, Code: "hash_unknown", Field: "password", Text: "The password hash cannot be verified.", Err: err}
	}
	if c.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return "", fmt.Errorf("credential id: %w", err)
		}
		c.ID = id.String()
	}
	c.Hash, c.Data = encoded, nil
	c.CreatedAt = cmp.Or(c.CreatedAt, u.CreatedAt).UTC().Truncate(time.Millisecond)
	c.ChangedAt = cmp.Or(c.ChangedAt, c.CreatedAt).UTC().Truncate(time.Millisecond)
	return string(k), nil
}

// importableID reports whether an id can be that of a user: it appears in tokens,
// addresses and commands, where an @ would make it an email.
func importableID(id string) bool {
	for i, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.' && c != ':' && c != '|') {
			return false
		}
	}
	return id != "" && len(id) <= maxImportID
}

// whoHas finds out who has the id or the address of u: the same user, imported
// before, or another.
func (g *Gatehouse) whoHas(ctx context.Context, u *User, r *Imported) error {
	there, err := g.store.User(ctx, u.ID)
	switch {
	case err == nil && (there.EmailKey == u.EmailKey || importedFrom(there) != "" && importedFrom(there) == importedFrom(u)):
		r.Present = true // the address may have changed since
		return nil
	case err == nil:
		r.Other = there.ID
		r.Refusal = &Error{Kind: Conflict, Code: "id_taken", Field: "id", Text: "Another user has this id."}
		return nil
	case !errors.Is(err, ErrNotFound):
		return storeFault("user", err)
	}
	there, err = g.store.UserByEmail(ctx, u.EmailKey)
	if err == nil {
		r.Other, r.Refusal = there.ID, errUserExists
		return nil
	}
	if !errors.Is(err, ErrNotFound) {
		return storeFault("user by email", err)
	}
	for _, k := range u.Keys {
		there, err := g.store.UserByKey(ctx, k)
		if err == nil {
			r.Other = there.ID
			r.Refusal = &Error{Kind: Conflict, Code: "key_taken", Field: "keys", Text: "Another user has one of the keys."}
			return nil
		}
		if !errors.Is(err, ErrNotFound) {
			return storeFault("user by key", err)
		}
	}
	return nil
}

// importedFrom is which record of which system a user was made of, as the reader
// of the export has noted it in Extra.
func importedFrom(u *User) string {
	var extra struct {
		Imported struct{ From, ID string }
	}
	if json.Unmarshal(u.Extra, &extra) != nil || extra.Imported.ID == "" {
		return ""
	}
	return extra.Imported.From + " " + extra.Imported.ID
}

// wrapDigests hashes what never was a password hash, for users who are not here
// yet.
func (i *Import) wrapDigests(ctx context.Context, users []*User, list []Imported) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turn := make(chan struct{}, importHashers)
	var at sync.WaitGroup
	for n, u := range users {
		c := u.credential(kindPassword)
		if list[n].Refusal != nil || c == nil || !hashing.IsDigest(c.Hash) {
			continue
		}
		if err := i.g.whoHas(ctx, u, &list[n]); err != nil {
			stop(err)
			break
		}
		if list[n].Refusal != nil || list[n].Present {
			continue
		}
		turn <- struct{}{}
		at.Go(func() {
			defer func() { <-turn }()
			hash, err := i.g.hashes.Wrap(ctx, hashingFor(ctx, true), c.Hash)
			if err != nil {
				stop(hashFault(err))
				return
			}
			c.Hash = hash
		})
	}
	at.Wait()
	return context.Cause(ctx)
}

// addPopulation adds to how many users have a hash of each kind, in every process.
func (g *Gatehouse) addPopulation(ctx context.Context, more population) error {
	if len(more) == 0 {
		return nil
	}
	if err := g.readPopulation(ctx); err != nil {
		return err
	}
	sum := population{}
	if p := g.kinds.Load(); p != nil {
		maps.Copy(sum, *p)
	}
	for k, n := range more {
		sum[k] += n
	}
	return g.savePopulation(ctx, sum)
}

func invalidImport(field, text string) *Error {
	return &Error{Kind: Invalid, Code: "import_invalid", Field: field, Text: text}
}

var errImportRaced = &Error{Kind: Conflict, Code: "import_raced", Text: "Somebody changed another user meanwhile. Import the same again."}

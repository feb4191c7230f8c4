package mongo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/gatehouse-auth/gatehouse"
)

// WrittenByOthers reports whether an application changes users past this store:
// one whose collection was adopted, until that is finished.
func (s *Store) WrittenByOthers() bool { return s.adopted != nil && !s.adopted.finished }

// In an adopted collection a user is a document of another application. What is
// Gatehouse's lies in its field "gatehouse"; four fields are both's:
//
//	{_id, name, email, role, password, …, gatehouse: {id, version, …, seen, before}}
//
// "seen" is what the four were when Gatehouse last looked. The application knows
// nothing of versions, so whatever it writes shows as a difference to seen:
// Gatehouse takes it over before it does anything else with the user (absorb),
// and every write of Gatehouse is under the condition that the four are still as
// they were read. Neither side's change is ever lost to the other's.
//
// "before" is what the four were before Gatehouse wrote them, for Undo.
type adopted struct {
	s        *Store
	c        *driver.Collection
	finished bool // the application writes no more: its four fields are copies of ours
}

var sharedNames = [...]string{"name", "email", "role", "password"}

// The places in sharedNames.
const (
	sharedName = iota
	sharedEmail
	sharedRole
	sharedPassword
)

// noPassword is what stands for a password that the application must not let
// in any more. It is no hash, so that no password matches, and no empty string,
// which some libraries fail on.
const noPassword = "!gatehouse"

// absorbs bounds how often a document is looked at again that changes all the time.
const absorbs = 10

// pending is how many documents without our field are taken over at once.
const pending = 100

// shared are the values of the four fields; zero where a document has none.
type shared [len(sharedNames)]bson.RawValue

func sharedOf(document bson.Raw) (s shared) {
	for i, name := range sharedNames {
		if v, err := document.LookupErr(name); err == nil {
			s[i] = v
		}
	}
	return s
}

func (s shared) document() (d bson.D) {
	for i, name := range sharedNames {
		if !s[i].IsZero() {
			d = append(d, bson.E{Key: name, Value: s[i]})
		}
	}
	return d
}

// condition is met by documents in which the four are as here.
func (s shared) condition() (d bson.D) {
	for i, name := range sharedNames {
		var is any = bson.D{{Key: "$exists", Value: false}}
		if !s[i].IsZero() {
			is = bson.D{{Key: "$eq", Value: s[i]}}
		}
		d = append(d, bson.E{Key: name, Value: is})
	}
	return d
}

func (s shared) text(i int) string {
	text, _ := s[i].StringValueOK()
	return text
}

// adoptedFields is the field "gatehouse".
type adoptedFields struct {
	ID     string     `bson:"id"`
	Fields userFields `bson:",inline"`
	// Registered: the document was made by Gatehouse.
	Registered bool `bson:"registered,omitempty"`
	// Held is the password that the application gets back when the user is
	// enabled again.
	Held   string   `bson:"held,omitempty"`
	Seen   bson.Raw `bson:"seen,omitempty"`
	Before bson.Raw `bson:"before,omitempty"`
}

type adoptedDocument struct {
	OID       bson.RawValue  `bson:"_id"`
	Gatehouse *adoptedFields `bson:"gatehouse"`

	shared shared
}

func decodeAdopted(document bson.Raw) (*adoptedDocument, error) {
	d, err := unmarshal(document, func(d *adoptedDocument) *adoptedDocument { return d })
	if err != nil {
		return nil, err
	}
	d.shared = sharedOf(document)
	return d, nil
}

func (d *adoptedDocument) user() *gatehouse.User {
	return d.Gatehouse.Fields.decode(d.Gatehouse.ID)
}

// current reports whether Gatehouse knows what the application has written.
func (d *adoptedDocument) current() bool {
	seen := sharedOf(d.Gatehouse.Seen)
	for i := range seen {
		if !seen[i].Equal(d.shared[i]) {
			return false
		}
	}
	return true
}

// usable is what an id is made of that is a text, as with an import: it appears in
// tokens, addresses and commands.
const usable = `^[A-Za-z0-9][A-Za-z0-9_.:|-]{0,127}$`

var usableText = regexp.MustCompile(usable)

// usableIDs is met by documents whose _id can be the id of a user.
var usableIDs = bson.E{Key: "$or", Value: bson.A{
	bson.D{{Key: "_id", Value: bson.D{{Key: "$type", Value: "objectId"}}}},
	bson.D{{Key: "_id", Value: bson.Regex{Pattern: usable}}},
}}

// idOf is the id of a user whose document has this _id; empty if it can be none.
func idOf(id bson.RawValue) string {
	if oid, ok := id.ObjectIDOK(); ok {
		return oid.Hex()
	}
	if text, _ := id.StringValueOK(); usableText.MatchString(text) {
		return text
	}
	return ""
}

// unusable says why an _id can be no id of a user.
func unusable(id bson.RawValue) string {
	if id.Type != bson.TypeString {
		return "its _id is of type " + id.Type.String()
	}
	return "its _id is not 1 to 128 of letters, digits, '-', '_', '.', ':', '|'"
}

// verifiable reports whether a password of the application is a hash that
// Gatehouse can hold a password against.
func verifiable(hash string) bool {
	return len(hash) == 60 && (strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$") || strings.HasPrefix(hash, "$2y$"))
}

func passwordOf(u *gatehouse.User) (i int) {
	return slices.IndexFunc(u.Credentials, func(c gatehouse.Credential) bool { return c.Kind == "password" })
}

// take makes of u what the application says it is, field by field as far as it
// differs from seen, and at is when.
func take(u *gatehouse.User, seen, now shared, at time.Time) {
	if !now[sharedName].Equal(seen[sharedName]) {
		u.Name = now.text(sharedName)
	}
	if !now[sharedEmail].Equal(seen[sharedEmail]) {
		u.Email, u.EmailKey = now.text(sharedEmail), ""
		if email, err := gatehouse.ParseEmail(u.Email); err == nil {
			u.EmailKey = email.Key
		}
	}
	if !now[sharedRole].Equal(seen[sharedRole]) {
		before := seen.text(sharedRole)
		roles := slices.DeleteFunc(slices.Clone(u.Roles), func(r string) bool { return r == before })
		if role := now.text(sharedRole); role != "" {
			roles = append(roles, role)
		}
		slices.Sort(roles)
		u.Roles = slices.Compact(roles)
	}
	if !now[sharedPassword].Equal(seen[sharedPassword]) {
		// Another password voids everything that was granted before.
		u.Epoch++
		created := at
		if i := passwordOf(u); i >= 0 {
			created = u.Credentials[i].CreatedAt
			u.Credentials = slices.Delete(slices.Clone(u.Credentials), i, i+1)
		}
		if hash := now.text(sharedPassword); verifiable(hash) {
			u.Credentials = append(u.Credentials, gatehouse.Credential{ID: "adopted", Kind: "password", Hash: hash, CreatedAt: created, ChangedAt: at})
		}
	}
}

// newcomer is the user of a document that Gatehouse has not seen yet.
func newcomer(document bson.Raw, d *adoptedDocument) *gatehouse.User {
	u := &gatehouse.User{ID: idOf(d.OID), CreatedAt: timeIn(document, "createdAt"), UpdatedAt: timeIn(document, "updatedAt")}
	if oid, ok := d.OID.ObjectIDOK(); ok && u.CreatedAt.IsZero() {
		u.CreatedAt = oid.Timestamp()
	}
	// A document may have been replaced by one without our field. Its sessions of
	// before must not become valid by counting from zero again.
	var start [8]byte
	rand.Read(start[2:])
	u.Epoch = int64(binary.BigEndian.Uint64(start[:]))
	take(u, shared{}, d.shared, u.UpdatedAt)
	return u
}

func timeIn(document bson.Raw, name string) time.Time {
	if v, err := document.LookupErr(name); err == nil {
		if at, ok := v.TimeOK(); ok {
			return at.UTC()
		}
	}
	return time.Time{}
}

// absorb takes over what the application has written into a document, and is the
// user then. keep is whether a newcomer gets the address.
func (a *adopted) absorb(ctx context.Context, document bson.Raw, keep func(*gatehouse.User) bool) (*gatehouse.User, error) {
	for range absorbs {
		d, err := decodeAdopted(document)
		if err != nil {
			return nil, err
		}
		var fields adoptedFields
		condition := bson.D{{Key: "_id", Value: d.OID}}
		var u *gatehouse.User
		if d.Gatehouse == nil {
			if idOf(d.OID) == "" {
				return nil, gatehouse.ErrNotFound
			}
			u = newcomer(document, d)
			if !keep(u) {
				u.EmailKey = ""
			}
			condition = append(condition, bson.E{Key: "gatehouse", Value: bson.D{{Key: "$exists", Value: false}}})
		} else {
			if a.finished || d.current() {
				return d.user(), nil
			}
			u, fields = d.user(), *d.Gatehouse
			condition = append(condition, bson.E{Key: "gatehouse.version", Value: u.Version})
			at := timeIn(document, "updatedAt")
			take(u, sharedOf(fields.Seen), d.shared, at)
			if fields.Before, err = forget(fields.Before, sharedOf(fields.Seen), d.shared); err != nil {
				return nil, err
			}
			if !sharedOf(fields.Seen)[sharedPassword].Equal(d.shared[sharedPassword]) {
				fields.Held = ""
			}
		}
		condition = append(condition, d.shared.condition()...)
		written, err := a.put(ctx, condition, fields, u, d.shared, nil)
		if errors.Is(err, gatehouse.ErrExists) && d.Gatehouse != nil {
			// Somebody else has that address. Nobody is merged and nobody is shut
			// out: this user keeps the former one here.
			u.EmailKey, u.Email = d.Gatehouse.Fields.EmailKey, d.Gatehouse.Fields.Email
			written, err = a.put(ctx, condition, fields, u, d.shared, nil)
		}
		if err != nil {
			return nil, err
		}
		if written {
			u.Version++
			return u, nil
		}
		// Somebody was faster: look again.
		if document, err = a.c.FindOne(ctx, bson.D{{Key: "_id", Value: d.OID}}).Raw(); err != nil {
			return nil, explain(err)
		}
	}
	return nil, gatehouse.ErrUnavailable
}

// put writes our field, and what else is to be set, if the condition is met.
func (a *adopted) put(ctx context.Context, condition bson.D, fields adoptedFields, u *gatehouse.User, now shared, set bson.D) (bool, error) {
	var err error
	fields.ID, fields.Fields = u.ID, encodeFields(u, u.Version+1)
	if !a.finished {
		if fields.Seen, err = marshal(now.document()); err != nil {
			return false, err
		}
	}
	set = append(bson.D{{Key: "gatehouse", Value: fields}}, set...)
	result, err := a.c.UpdateOne(ctx, condition, bson.D{{Key: "$set", Value: set}})
	if err != nil {
		return false, explain(err)
	}
	return result.MatchedCount > 0, nil
}

// forget leaves out of before what the application itself has written since.
func forget(before bson.Raw, seen, now shared) (bson.Raw, error) {
	left := bson.D{}
	for i, name := range sharedNames {
		if v, err := before.LookupErr(name); err == nil && seen[i].Equal(now[i]) {
			left = append(left, bson.E{Key: name, Value: v})
		}
	}
	return marshal(left)
}

// everybody keeps the address.
func everybody(*gatehouse.User) bool { return true }

// nobody keeps it: another has it.
func nobody(*gatehouse.User) bool { return false }

// arrivals takes over documents that the application has made since, up to some
// at a time, and reports whether there were any. Who arrives with an address that
// another user has is taken over without one, as in [Adopt]. Those that cannot be
// taken over stay as they are; they are not even looked at, for enough of them would
// hide the others.
func (a *adopted) arrivals(ctx context.Context) (some bool, err error) {
	if a.finished {
		return false, nil
	}
	documents, err := a.documents(ctx, bson.D{{Key: "gatehouse.id", Value: nil}, usableIDs}, bson.D{{Key: "_id", Value: -1}}, pending)
	for _, document := range documents {
		_, err := a.absorb(ctx, document, everybody)
		if errors.Is(err, gatehouse.ErrExists) {
			// Left as it is it would be tried again by whoever comes next, and enough
			// of them would hide the others who arrive.
			_, err = a.absorb(ctx, document, nobody)
		}
		if errors.Is(err, gatehouse.ErrUnavailable) {
			return some, err
		}
		some = some || err == nil
	}
	return some, err
}

func (a *adopted) documents(ctx context.Context, filter, sort bson.D, limit int) (list []bson.Raw, err error) {
	cursor, err := a.c.Find(ctx, filter, findOptions(sort, limit))
	if err != nil {
		return nil, explain(err)
	}
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		list = append(list, slices.Clone(cursor.Current))
	}
	return list, explain(cursor.Err())
}

// find is the user whose document meets the filter, as the application and
// Gatehouse have left it.
func (a *adopted) find(ctx context.Context, filter bson.D) (*gatehouse.User, error) {
	document, err := a.c.FindOne(ctx, filter).Raw()
	if err != nil {
		return nil, explain(err)
	}
	u, err := a.absorb(ctx, document, everybody)
	if errors.Is(err, gatehouse.ErrExists) { // a newcomer with an address that is taken
		err = gatehouse.ErrNotFound
	}
	return u, err
}

func (a *adopted) byID(ctx context.Context, id string) (*gatehouse.User, error) {
	u, err := a.find(ctx, bson.D{{Key: "gatehouse.id", Value: id}})
	if a.finished || !errors.Is(err, gatehouse.ErrNotFound) {
		return u, err
	}
	_id := bson.A{id}
	if oid, err := bson.ObjectIDFromHex(id); err == nil {
		_id = append(_id, oid)
	}
	u, err = a.find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: _id}}}, {Key: "gatehouse.id", Value: nil}})
	if err == nil && u.ID != id {
		return nil, gatehouse.ErrNotFound
	}
	return u, err
}

func (a *adopted) byEmail(ctx context.Context, key string) (*gatehouse.User, error) {
	if key == "" {
		return nil, gatehouse.ErrNotFound
	}
	u, err := a.find(ctx, bson.D{{Key: "gatehouse.email_key", Value: key}})
	if err == nil && u.EmailKey == key || err != nil && !errors.Is(err, gatehouse.ErrNotFound) || a.finished {
		return u, err
	}
	// The application may have made this user, or given an old one this address.
	if _, err := a.arrivals(ctx); err != nil {
		return nil, err
	}
	if _, err := a.find(ctx, bson.D{{Key: "email", Value: key}}); err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
		return nil, err
	}
	u, err = a.find(ctx, bson.D{{Key: "gatehouse.email_key", Value: key}})
	if err == nil && u.EmailKey != key {
		return nil, gatehouse.ErrNotFound
	}
	return u, err
}

func (a *adopted) byKey(ctx context.Context, key string) (*gatehouse.User, error) {
	return a.find(ctx, bson.D{{Key: "gatehouse.keys", Value: key}})
}

func (a *adopted) list(ctx context.Context, after string, limit int) (users []*gatehouse.User, err error) {
	for {
		some, err := a.arrivals(ctx)
		if err != nil {
			return nil, err
		}
		if !some {
			break
		}
	}
	documents, err := a.documents(ctx, bson.D{{Key: "gatehouse.id", Value: bson.D{{Key: "$gt", Value: after}}}},
		bson.D{{Key: "gatehouse.id", Value: 1}}, limit)
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		u, err := a.absorb(ctx, document, everybody)
		if err != nil && !errors.Is(err, gatehouse.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			users = append(users, u)
		}
	}
	return users, nil
}

// document is the one of a user who has registered here: one that the
// application understands.
func (a *adopted) document(u *gatehouse.User, version int64) (bson.Raw, error) {
	// The driver makes the _id of a document without one, but puts it first.
	role := "user"
	if len(u.Roles) > 0 {
		role = u.Roles[0]
	}
	d := bson.D{
		{Key: "_id", Value: bson.NewObjectID()}, {Key: "name", Value: u.Name}, {Key: "email", Value: u.Email},
		{Key: "password", Value: passwordFor(u)}, {Key: "role", Value: role},
		{Key: "createdAt", Value: bson.NewDateTimeFromTime(u.CreatedAt)}, {Key: "updatedAt", Value: bson.NewDateTimeFromTime(u.UpdatedAt)},
		{Key: "__v", Value: int32(0)},
	}
	document, err := marshal(d)
	if err != nil {
		return nil, err
	}
	seen, err := marshal(sharedOf(document).document())
	if err != nil {
		return nil, err
	}
	return marshal(append(d, bson.E{Key: "gatehouse", Value: adoptedFields{ID: u.ID, Fields: encodeFields(u, version), Registered: true, Seen: seen}}))
}

// passwordFor is what the application gets to see as the password of u.
func passwordFor(u *gatehouse.User) string {
	if i := passwordOf(u); i >= 0 && verifiable(u.Credentials[i].Hash) && u.Enabled() {
		return u.Credentials[i].Hash
	}
	return noPassword
}

func (a *adopted) create(ctx context.Context, u *gatehouse.User) error {
	if _, err := a.arrivals(ctx); err != nil {
		return err
	}
	document, err := a.document(u, 1)
	if err != nil {
		return err
	}
	_, err = a.c.InsertOne(ctx, document)
	return explain(err)
}

func (a *adopted) save(ctx context.Context, u *gatehouse.User) error {
	document, err := a.c.FindOne(ctx, bson.D{{Key: "gatehouse.id", Value: u.ID}}).Raw()
	if errors.Is(err, driver.ErrNoDocuments) {
		return gatehouse.ErrStale
	}
	if err != nil {
		return explain(err)
	}
	d, err := decodeAdopted(document)
	if err != nil {
		return err
	}
	if d.Gatehouse.Fields.Version != u.Version {
		return gatehouse.ErrStale
	}
	if !a.finished && !d.current() {
		_, err := a.absorb(ctx, document, everybody)
		if err == nil || errors.Is(err, gatehouse.ErrNotFound) {
			err = gatehouse.ErrStale // decide again, knowing what the application did
		}
		return err
	}
	condition := bson.D{{Key: "_id", Value: d.OID}, {Key: "gatehouse.version", Value: u.Version}}
	fields, now, set := *d.Gatehouse, d.shared, bson.D{}
	fields.Before = slices.Clone(fields.Before)
	condition = append(condition, now.condition()...)
	for i, value := range a.changes(d, u, &fields) {
		if value == nil {
			continue
		}
		if fields.Before, err = remember(fields.Before, i, now[i], fields.Registered); err != nil {
			return err
		}
		kind, raw, err := bson.MarshalValue(*value)
		if err != nil {
			return errors.Join(errRecord, err)
		}
		now[i] = bson.RawValue{Type: kind, Value: raw}
		set = append(set, bson.E{Key: sharedNames[i], Value: *value})
	}
	written, err := a.put(ctx, condition, fields, u, now, set)
	if err == nil && !written {
		return gatehouse.ErrStale
	}
	return err
}

// remember notes what a field was before Gatehouse wrote it for the first time.
func remember(before bson.Raw, i int, was bson.RawValue, registered bool) (bson.Raw, error) {
	if _, err := before.LookupErr(sharedNames[i]); err == nil || registered {
		return before, nil
	}
	var d bson.D
	for _, name := range sharedNames {
		if v, err := before.LookupErr(name); err == nil {
			d = append(d, bson.E{Key: name, Value: v})
		}
	}
	note := bson.D{}
	if !was.IsZero() {
		note = bson.D{{Key: "was", Value: was}}
	}
	return marshal(append(d, bson.E{Key: sharedNames[i], Value: note}))
}

// changes are the new values of the four fields that the application must see.
func (a *adopted) changes(d *adoptedDocument, u *gatehouse.User, fields *adoptedFields) (list [len(sharedNames)]*string) {
	old := d.user()
	if u.Name != old.Name {
		list[sharedName] = &u.Name
	}
	if u.Email != old.Email {
		list[sharedEmail] = &u.Email
	}
	// What was revoked here is revoked there. What was granted here beside the
	// role there has no place in one field.
	if role := d.shared.text(sharedRole); role != "" && slices.Contains(old.Roles, role) && !slices.Contains(u.Roles, role) {
		list[sharedRole] = new("user")
		if len(u.Roles) > 0 {
			list[sharedRole] = &u.Roles[0]
		}
	}
	if a.finished {
		return list
	}
	shown := d.shared.text(sharedPassword)
	switch {
	case anotherPassword(old, u):
		// The application cannot hold a password against the new hash, unless it is
		// a bcrypt one. The old password must not be let in any longer.
		fields.Held = ""
		if next := passwordFor(u); next != shown {
			list[sharedPassword] = &next
		}
		if i := passwordOf(u); i >= 0 && !u.Enabled() && verifiable(u.Credentials[i].Hash) {
			fields.Held = u.Credentials[i].Hash
		}
	case !u.Enabled() && old.Enabled() && shown != noPassword:
		fields.Held = shown
		list[sharedPassword] = new(noPassword)
	case u.Enabled() && !old.Enabled() && fields.Held != "":
		list[sharedPassword], fields.Held = new(fields.Held), ""
	}
	return list
}

// anotherPassword reports whether the password was changed, and not just hashed
// anew, which leaves the time of the change as it was.
func anotherPassword(old, u *gatehouse.User) bool {
	i, j := passwordOf(old), passwordOf(u)
	if i < 0 || j < 0 {
		return i != j
	}
	a, b := old.Credentials[i], u.Credentials[j]
	return a.ID != b.ID || a.Hash != b.Hash && (!a.ChangedAt.Equal(whole(b.ChangedAt)) || old.Epoch != u.Epoch)
}

// whole is t as it is kept.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

func (a *adopted) delete(ctx context.Context, id string, version int64) error {
	result, err := a.c.DeleteOne(ctx, bson.D{{Key: "gatehouse.id", Value: id}, {Key: "gatehouse.version", Value: version}})
	if err == nil && result.DeletedCount == 0 {
		return gatehouse.ErrStale
	}
	return explain(err)
}

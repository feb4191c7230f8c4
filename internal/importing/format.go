package importing

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse"
)

// Format is what the fields of a system mean.
type Format struct {
	Name string // as in --format
	// Columns are those of its CSV if that has no line of names.
	Columns []string

	// The members in which these are found, the first that says anything.
	id, email, name, given, family    []string
	password, salt                    []string
	roles                             []string
	created, updated, passwordChanged []string
	verified                          []string // whether or since when the address is
	disabled, enabled                 []string // whether or since when the user is
	banned                            []string // until when
	deleted                           []string // since when
	// unkept are of no use to anybody here.
	unkept []string

	// marks reports whether a record looks as if it came from there.
	marks func(fields) bool
	// before is for what is not as simple as that.
	before func(*Reader, fields) (fields, error)
}

// Formats are all that are known, those first that are easy to tell.
var Formats = []*Format{
	firebase, keycloak, kratos, django, auth0, supabase, devise, pocketBase, mongoDB, betterAuth, authJS, generic,
}

// Names are those of the formats.
func Names() []string {
	var list []string
	for _, f := range Formats {
		list = append(list, f.Name)
	}
	slices.Sort(list)
	return list
}

// Named is the format with this name, or nil.
func Named(name string) *Format {
	for _, f := range Formats {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Detect is the format that a record looks to be of, or nil.
func Detect(r Record) *Format {
	f, err := r.open()
	if err != nil {
		return nil
	}
	for _, format := range Formats {
		if format.marks != nil && format.marks(f) {
			return format
		}
	}
	return nil
}

// Reader makes users of records.
type Reader struct {
	Format *Format
	// NewIDs gives every user an id of ours, which follows from the one there.
	NewIDs bool
	// Map is members of records by what they are: id, email, name, password, salt,
	// roles, created, updated, verified, disabled. They come before those of the
	// format.
	Map map[string]string
	// Roles are roles of ours by those there; an empty one is left out.
	Roles map[string]string
	// Digest is the function and the order, as sha1:sp, of passwords that are a
	// bare digest.
	Digest string
	// Firebase is what hashes of Firebase are made with.
	Firebase FirebaseHash
	// Pepper is what stands behind every password of Devise.
	Pepper []byte
	// Keep are names of members that are kept whole, though there seem to be secrets
	// in them.
	Keep []string

	// LeftOut are the names of the members that were left out because they seem to
	// be secrets, at most a thousand, and how often. They come from the source.
	LeftOut map[string]int
}

// User is the user of a record. The error is a [Fault].
func (rd *Reader) User(r Record) (*gatehouse.User, error) {
	f, err := rd.open(r)
	if err != nil {
		return nil, err
	}
	m := rd.Format
	u := &gatehouse.User{
		Email:     text(f.take(m.email...)),
		CreatedAt: moment(f.take(m.created...)),
	}
	foreign := text(f.take(m.id...))
	u.ID = rd.id(foreign)
	u.Name = text(f.take(m.name...))
	if given, family := text(f.take(m.given...)), text(f.take(m.family...)); u.Name == "" {
		u.Name = strings.TrimSpace(given + " " + family)
	}
	updated := moment(f.take(m.updated...))
	changed := moment(f.take(m.passwordChanged...))
	u.UpdatedAt = cmp.Or(updated, u.CreatedAt) // for choosing between two; the import sets its own
	u.Roles = rd.roles(texts(f.take(m.roles...)))
	if rd.isDisabled(f) {
		u.DisabledAt = cmp.Or(updated, u.CreatedAt, time.Now().UTC())
	}
	hash, err := rd.hash(f)
	if err != nil {
		return nil, err
	}
	if hash != "" {
		u.Credentials = []gatehouse.Credential{{Kind: "password", Hash: hash, CreatedAt: u.CreatedAt, ChangedAt: changed}}
	}
	if u.Extra, err = rd.extra(f, foreign); err != nil {
		return nil, err
	}
	return u, nil
}

// open reads the members of a record, under the names that the format has.
func (rd *Reader) open(r Record) (fields, error) {
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	if f, err = rd.rename(f); err != nil {
		return nil, err
	}
	if m := rd.Format; m.before != nil {
		if f, err = m.before(rd, f); err != nil {
			return nil, err
		}
	}
	if !moment(f.take(rd.Format.deleted...)).IsZero() {
		return nil, &Fault{"deleted", "The user is deleted there."}
	}
	return f, nil
}

// identity is who a record is about: the address and the id of User, at less cost.
func (rd *Reader) identity(r Record) (email, id string, err error) {
	f, err := rd.open(r)
	if err != nil {
		return "", "", err
	}
	return text(f.take(rd.Format.email...)), rd.id(text(f.take(rd.Format.id...))), nil
}

// extra is what is kept beside: where the user came from, and all members that
// have not been understood, as they are, without secrets.
func (rd *Reader) extra(f fields, foreign string) ([]byte, error) {
	verified := isTime(f.take(rd.Format.verified...))
	f.drop(rd.Format.unkept...)
	rd.strip(f)
	maps.DeleteFunc(f, func(_ string, v jsontext.Value) bool { return empty(v) })
	type imported struct {
		From     string `json:"from"`
		ID       string `json:"id"`
		Verified bool   `json:"email_verified"`
		Fields   fields `json:"fields,omitempty"`
	}
	b, err := json.Marshal(struct {
		Imported imported `json:"imported"`
	}{imported{rd.Format.Name, foreign, verified, f}}, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("fields of a user: %w", err)
	}
	return b, nil
}

// isTime reads whether something is, or since when.
func isTime(v jsontext.Value) bool {
	is, said := truth(v)
	return is || !said && !moment(v).IsZero()
}

func (rd *Reader) isDisabled(f fields) bool {
	disabled := isTime(f.take(rd.Format.disabled...))
	if enabled := f.take(rd.Format.enabled...); enabled != nil {
		is, said := truth(enabled)
		disabled = disabled || said && !is || strings.EqualFold(text(enabled), "inactive")
	}
	// A ban that will end is kept among the fields as well; nothing here ends it.
	for _, name := range rd.Format.banned {
		v := f[name]
		disabled = disabled || moment(v).After(time.Now()) || text(v) == "infinity"
	}
	return disabled
}

// hash is the password hash in one of the forms that the import knows.
func (rd *Reader) hash(f fields) (string, error) {
	salt := text(f.take(rd.Format.salt...))
	hash := text(f.take(rd.Format.password...))
	f.drop(rd.Format.salt...)
	f.drop(rd.Format.password...)
	switch {
	case hash == "" || strings.HasPrefix(hash, "!") || hash == "*":
		return "", nil // nobody can log in with it there either
	case len(hash) > 4096:
		return "", &Fault{"hash_unknown", "The password hash is too long."}
	case rd.Digest != "":
		name, order, _ := strings.Cut(rd.Digest, ":")
		return encodeDigest(name, order, salt, hash)
	case rd.Firebase.SignerKey != "" && rd.Format == firebase:
		return rd.Firebase.hash(salt, hash), nil
	case len(rd.Pepper) > 0:
		return encodePepper(hash, rd.Pepper), nil
	}
	return hash, nil
}

// id is the id of ours: the one there, so that an application that refers to it
// goes on doing so, or one that follows from it, so that a second import meets the
// same user. An id that cannot be kept is for the core to refuse.
func (rd *Reader) id(foreign string) string {
	if !rd.NewIDs || foreign == "" {
		return foreign
	}
	return uuid.NewHash(sha256.New(), uuid.NameSpaceURL, []byte("gatehouse:import:"+rd.Format.Name+":"+foreign), 8).String()
}

func (rd *Reader) roles(there []string) []string {
	var list []string
	for _, r := range there {
		if ours, ok := rd.Roles[r]; ok {
			r = ours
		}
		if r != "" {
			list = append(list, r)
		}
	}
	return list
}

// rename gives the members of Map the names by which the format finds them.
func (rd *Reader) rename(f fields) (fields, error) {
	if len(rd.Map) == 0 {
		return f, nil
	}
	for what, names := range rd.Format.meanings() {
		member, ok := rd.Map[what]
		if !ok {
			continue
		}
		v, there := f[member]
		if !there {
			continue
		}
		delete(f, member)
		if len(*names) == 0 {
			return nil, &Fault{"unmapped", "This format has no " + what + "."}
		}
		f[(*names)[0]] = v
	}
	return f, nil
}

func (m *Format) meanings() map[string]*[]string {
	return map[string]*[]string{
		"id": &m.id, "email": &m.email, "name": &m.name, "password": &m.password, "salt": &m.salt, "roles": &m.roles,
		"created": &m.created, "updated": &m.updated, "verified": &m.verified, "disabled": &m.disabled,
	}
}

// Check is nil if what was asked for can be done.
func (rd *Reader) Check() error {
	known := rd.Format.meanings()
	for what := range rd.Map {
		if names, ok := known[what]; !ok || len(*names) == 0 {
			return fmt.Errorf("%s has no %q to be mapped; it may be %s", rd.Format.Name, what, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	if rd.Digest != "" {
		if name, order, _ := strings.Cut(rd.Digest, ":"); !slices.Contains([]string{"md5", "sha1", "sha256", "sha512"}, name) || !slices.Contains([]string{"p", "ps", "sp"}, order) {
			return errors.New("a digest is md5, sha1, sha256 or sha512, a colon, and p for the password alone, sp for the salt before it, ps for the salt behind it")
		}
	}
	if rd.Format == firebase && rd.Firebase.SignerKey == "" && rd.Digest == "" {
		return errors.New("without the parameters of the project nobody from Firebase could log in: name a file with them by --firebase-config")
	}
	return nil
}

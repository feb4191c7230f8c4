package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/gatehouse-auth/gatehouse"
)

// Errors of [Adopt], [Finish] and [Undo], beside those of [Open].
var (
	// ErrConflict: users of the application have one address in different
	// spellings, and it was not said which of them keeps it.
	ErrConflict = errors.New("users share an address")
	// ErrAdoption: this step does not follow the one before.
	ErrAdoption = errors.New("not possible in this state of the adoption")
	// ErrRunning: somebody is at work on the database.
	ErrRunning = errors.New("a Gatehouse is running on this database")
)

// AdoptOptions are the options of [Adopt], [Finish] and [Undo].
type AdoptOptions struct {
	Options

	// Collection is the one with the application's users. Default "users".
	Collection string
	// Keep are the ids of users who keep an address that others have as well, in
	// another spelling. The others are adopted without one: they go on in the
	// application as before, and cannot log in here until they have another.
	Keep []string
	// AsItWas makes Undo give back also what was taken from users here: the
	// password of those who are disabled, and roles that were revoked.
	AsItWas bool
	// NotRunning goes on although something seems to be at work on the database: it
	// was killed a moment ago. One that does run answers that it is unavailable, some
	// seconds later, until it is started again.
	NotRunning bool
	// DryRun says what would be done, and does nothing.
	DryRun bool
}

// AdoptedUser is a user of the application in a [Report].
type AdoptedUser struct {
	ID, Name, Email string
	CreatedAt       time.Time
	Note            string // what becomes of it, where that differs, or why
}

// Report is what [Adopt], [Finish] or [Undo] has done, or would do.
type Report struct {
	Collection string
	// State of the adoption: "" (none), "adopting", "adopted", "finishing",
	// "finished" or "undoing". It is that of before if nothing was to be done.
	State string
	// Documents is how many there are, Changed how many of them were, or would
	// be, written.
	Documents, Changed int

	// Running is who has the database open, or had until a moment ago.
	Running []Running

	Conflicts  [][]AdoptedUser // who share an address
	NoAddress  []AdoptedUser   // without an address that is one
	NoPassword []AdoptedUser   // with a password that is no bcrypt hash
	SetAside   []AdoptedUser   // with an _id that can be none of a user, and why

	// Of Undo: users whose state here is another than the application will have.
	Registered []AdoptedUser // made by Gatehouse, now users of the application
	Reverted   []AdoptedUser // whose former password is valid again
	Disabled   []AdoptedUser // disabled here, which the application knows nothing of
	Renamed    []AdoptedUser // whose former name or address is back
	Revoked    []AdoptedUser // from whom a role was taken here
	Granted    []AdoptedUser // with roles that the application does not know
	Deleted    []AdoptedUser // gone for good
}

const (
	adopting  = "adopting"
	isAdopted = "adopted"
	finishing = "finishing"
	finished  = "finished"
	undoing   = "undoing"
)

type adoptionDocument struct {
	ID         string `bson:"_id"`
	State      string `bson:"state"`
	Collection string `bson:"collection"`
}

// adoptionIndexes are those in the application's collection.
var adoptionIndexes = []index{
	{"gatehouse_id", bson.D{{Key: "gatehouse.id", Value: 1}}, true},
	{"gatehouse_email_key", bson.D{{Key: "gatehouse.email_key", Value: 1}}, true},
	{"gatehouse_keys", bson.D{{Key: "gatehouse.keys", Value: 1}}, true},
	// Not sparse: it leads to the documents that Gatehouse has not seen yet.
	{"gatehouse_pending", bson.D{{Key: "gatehouse.id", Value: 1}, {Key: "_id", Value: 1}}, false},
	{"gatehouse_email", bson.D{{Key: "email", Value: 1}, {Key: "_id", Value: 1}}, false},
}

// adoption is the state of the adoption, with State "" if there is none.
func (s *Store) adoption(ctx context.Context) (*adoptionDocument, error) {
	d, err := find(ctx, s, "adoption", s.meta, byID("adoption"), func(d *adoptionDocument) *adoptionDocument { return d })
	if errors.Is(err, gatehouse.ErrNotFound) {
		return &adoptionDocument{}, nil
	}
	return d, err
}

// openAdopted makes the store work on the collection that was adopted, if any. It
// returns the state that it works under.
func (s *Store) openAdopted(ctx context.Context) (*adoptionDocument, error) {
	d, err := s.adoption(ctx)
	if err != nil {
		return nil, err
	}
	switch d.State {
	case "":
		return d, nil
	case isAdopted, finished:
		s.adopted = &adopted{s: s, c: s.db.Collection(d.Collection), finished: d.State == finished}
		return d, s.ensure(ctx, s.adopted.c, adoptionIndexes)
	}
	step := map[string]string{adopting: "adoption", finishing: "finish", undoing: "undo"}[d.State]
	return d, fmt.Errorf("%w: the %s of collection %s was interrupted: run it again", ErrAdoption, step, d.Collection)
}

// adopter is one run of Adopt, Finish or Undo.
type adopter struct {
	*adopted
	opts   AdoptOptions
	before *adoptionDocument
	report *Report
	twice  map[string]bool // ids that two documents have, of different types
}

// twice is why one of two documents is set aside.
const twice = "another document has the same id, as an ObjectId or as text"

func newAdopter(ctx context.Context, uri string, opts AdoptOptions) (*adopter, error) {
	opts.Options = opts.withDefaults()
	s, err := connect(uri, opts.Options)
	if err != nil {
		return nil, err
	}
	if err = s.inspect(ctx); err == nil {
		_, err = s.version(ctx) // of a later schema, or somebody else's
		if errors.Is(err, gatehouse.ErrNotFound) {
			err = nil
		}
	}
	var before *adoptionDocument
	if err == nil {
		before, err = s.adoption(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	name := cmp.Or(opts.Collection, before.Collection, "users")
	a := &adopter{
		adopted: &adopted{s: s, c: s.db.Collection(name)}, opts: opts, before: before,
		report: &Report{Collection: name, State: before.State}, twice: make(map[string]bool),
	}
	if before.Collection != "" && before.Collection != name {
		return nil, errors.Join(fmt.Errorf("%w: the collection that was adopted is %s", ErrAdoption, before.Collection), s.Close())
	}
	if before.State != "" && !opts.DryRun {
		if err := a.appear(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return a, nil
}

// appear shows that a step is under way, and fails if another one was meanwhile.
func (a *adopter) appear(ctx context.Context) error {
	p := newPresence(a.s)
	if err := p.show(ctx); err != nil {
		return err
	}
	a.s.presence = p
	p.keep()
	now, err := a.s.adoption(ctx)
	if err == nil && now.State != a.before.State {
		err = errAnotherStep
	}
	return err
}

var errAnotherStep = fmt.Errorf("%w: somebody else has begun another step", ErrAdoption)

// start is the first step: until it has begun there is nothing that another one could
// follow, and no collection of Gatehouse to show oneself in.
func (a *adopter) start(ctx context.Context) error {
	if err := a.appear(ctx); err != nil {
		return err
	}
	return a.begin(ctx, adopting)
}

// run runs one of the three steps from one of the states that it may follow.
func run(ctx context.Context, uri, what string, opts AdoptOptions, from []string, step func(*adopter, context.Context) error) (_ *Report, err error) {
	a, err := newAdopter(ctx, uri, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, a.s.Close()) }()
	if !slices.Contains(from, a.before.State) {
		return a.report, fmt.Errorf("%s: %w: it is %q", what, ErrAdoption, cmp.Or(a.before.State, "not adopted"))
	}
	if a.report.Running, err = a.s.Others(ctx); err != nil {
		return a.report, fmt.Errorf("%s: %w", what, err)
	}
	// What has been adopted is only looked through again, as a service does it, too.
	again := what == "adopt" && a.before.State == isAdopted
	if len(a.report.Running) > 0 && !again && !opts.DryRun && !opts.NotRunning {
		return a.report, fmt.Errorf("%s: %w: %s; stop it first", what, ErrRunning, a.report.Running[0])
	}
	if err := step(a, ctx); err != nil {
		return a.report, fmt.Errorf("%s: %w", what, err)
	}
	return a.report, nil
}

// Adopt makes the users of another application, in the database that uri names,
// users of Gatehouse where they are. Each keeps its document, to which the field
// "gatehouse" is added, and the application works on beside Gatehouse: what
// either changes, the other sees. No service of Gatehouse may be running on the
// database. When it was interrupted, run it again; run on an adopted collection,
// it takes over what the application has changed. It does nothing, and fails
// with [ErrConflict], while users share an address.
func Adopt(ctx context.Context, uri string, opts AdoptOptions) (*Report, error) {
	return run(ctx, uri, "adopt", opts, []string{"", adopting, isAdopted}, (*adopter).adopt)
}

// Finish makes an adopted collection Gatehouse's alone: the passwords of the
// application, and what Undo would need, are removed. The application can read
// name, email and role as before; what it writes there has no effect.
func Finish(ctx context.Context, uri string, opts AdoptOptions) (*Report, error) {
	return run(ctx, uri, "finish", opts, []string{isAdopted, finishing}, (*adopter).finish)
}

// each hands every document of the collection to f. It is one cursor: to ask for
// the ids after the last one, page by page, finds those of its type alone, and the
// documents of an application may have ids of several.
func (a *adopter) each(ctx context.Context, f func(document bson.Raw, d *adoptedDocument) error) error {
	cursor, err := a.c.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetBatchSize(int32(a.s.opts.page)))
	if err != nil {
		return explain(err)
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	for cursor.Next(ctx) {
		document := slices.Clone(cursor.Current)
		d, err := decodeAdopted(document)
		if err != nil || d.Gatehouse != nil && d.Gatehouse.ID == "" {
			return fmt.Errorf("%w: a document of %s has a field gatehouse that is not ours", ErrForeign, a.c.Name())
		}
		if err := f(document, d); err != nil {
			return err
		}
	}
	return explain(cursor.Err())
}

func (d *adoptedDocument) reported(u *gatehouse.User) AdoptedUser {
	r := AdoptedUser{ID: cmp.Or(idOf(d.OID), d.OID.String()), Name: d.shared.text(sharedName), Email: d.shared.text(sharedEmail)}
	if u != nil {
		r.ID, r.CreatedAt = cmp.Or(u.ID, r.ID), u.CreatedAt
	}
	return r
}

// survey looks at all documents, and says who cannot be adopted as they are. It
// returns who is to be adopted without an address.
func (a *adopter) survey(ctx context.Context) (without map[string]bool, err error) {
	byKey := make(map[string][]AdoptedUser)
	ids := make(map[string]bool)
	aside := func(r AdoptedUser, why string) {
		r.Note = why
		a.report.SetAside = append(a.report.SetAside, r)
	}
	err = a.each(ctx, func(document bson.Raw, d *adoptedDocument) error {
		if d.Gatehouse != nil && a.before.State == "" {
			return fmt.Errorf("%w: a document of %s has a field gatehouse, although nothing was adopted", ErrForeign, a.c.Name())
		}
		a.report.Documents++
		if d.Gatehouse != nil {
			u := d.user()
			if ids[u.ID] {
				aside(d.reported(u), twice)
				a.twice[u.ID] = true
			}
			if ids[u.ID] = true; u.EmailKey != "" {
				byKey[u.EmailKey] = append(byKey[u.EmailKey], d.reported(u))
			}
			if !d.current() {
				a.report.Changed++
			}
			return nil
		}
		u := newcomer(document, d)
		switch r := d.reported(u); {
		case u.ID == "":
			aside(r, unusable(d.OID))
			return nil
		case ids[u.ID]:
			aside(r, twice)
			a.twice[u.ID] = true
			return nil
		case u.EmailKey == "":
			a.report.NoAddress = append(a.report.NoAddress, r)
		default:
			byKey[u.EmailKey] = append(byKey[u.EmailKey], r)
		}
		if ids[u.ID] = true; passwordOf(u) < 0 {
			a.report.NoPassword = append(a.report.NoPassword, d.reported(u))
		}
		a.report.Changed++
		return nil
	})
	if err != nil {
		return nil, err
	}
	without = make(map[string]bool)
	for _, users := range byKey {
		if len(users) == 1 {
			continue
		}
		kept := 0
		for _, u := range users {
			if slices.Contains(a.opts.Keep, u.ID) {
				kept++
			} else {
				without[u.ID] = true
			}
		}
		if kept != 1 {
			a.report.Conflicts = append(a.report.Conflicts, users)
		}
	}
	slices.SortFunc(a.report.Conflicts, func(x, y []AdoptedUser) int { return strings.Compare(x[0].ID, y[0].ID) })
	if n := len(a.report.Conflicts); n > 0 {
		return nil, fmt.Errorf("%w: %d addresses have more than one user, in different spellings; nothing was changed; "+
			"change them in the application, or name who keeps each", ErrConflict, n)
	}
	return without, nil
}

func (a *adopter) adopt(ctx context.Context) error {
	if err := a.s.simple(ctx, a.c); err != nil {
		return err
	}
	if _, _, err := a.s.missing(ctx, a.c, adoptionIndexes); err != nil {
		return err
	}
	without, err := a.survey(ctx)
	if err != nil || a.opts.DryRun {
		return err
	}
	if err := a.s.prepare(ctx); err != nil {
		return err
	}
	if a.before.State == "" {
		if own, err := list(ctx, a.s, "users", a.s.users, bson.D{}, bson.D{}, 1, decodeUser); err != nil || len(own) > 0 {
			return errors.Join(fmt.Errorf("%w: Gatehouse has users of its own in this database, in %s", ErrAdoption, a.s.users.Name()), err)
		}
		if err := a.start(ctx); err != nil {
			return err
		}
	}
	if err := a.s.ensure(ctx, a.c, adoptionIndexes); err != nil {
		return err
	}
	a.report.Changed = 0
	keep := func(u *gatehouse.User) bool { return !without[u.ID] }
	err = a.each(ctx, func(document bson.Raw, d *adoptedDocument) error {
		if idOf(d.OID) == "" || d.Gatehouse != nil && d.current() {
			return nil
		}
		_, err := a.absorb(ctx, document, keep)
		if errors.Is(err, gatehouse.ErrNotFound) { // deleted meanwhile
			return nil
		}
		if errors.Is(err, gatehouse.ErrExists) {
			if a.twice[idOf(d.OID)] {
				return nil
			}
			return fmt.Errorf("%w: the application has made one more meanwhile; run it again", ErrConflict)
		}
		a.report.Changed++
		return err
	})
	if err != nil || a.before.State == isAdopted {
		return err
	}
	return a.enter(ctx, isAdopted)
}

// begin enters a state in which nobody can open the database. Who opened it a moment
// before may not have seen that: then nothing else is done yet.
func (a *adopter) begin(ctx context.Context, state string) error {
	next, found := adoptionDocument{"adoption", state, a.c.Name()}, true
	err := a.s.attempt(ctx, "state of the adoption", func(ctx context.Context) error {
		if a.before.State == "" {
			_, err := a.s.meta.InsertOne(ctx, next)
			return err
		}
		result, err := a.s.meta.ReplaceOne(ctx, bson.D{{Key: "_id", Value: "adoption"}, {Key: "state", Value: a.before.State}}, next)
		found = err != nil || result.MatchedCount > 0
		return err
	})
	if errors.Is(err, gatehouse.ErrExists) || !found {
		return errAnotherStep
	}
	if err != nil {
		return err
	}
	if a.report.State = state; a.opts.NotRunning {
		return nil
	}
	still, err := a.s.settled(ctx)
	if err == nil && len(still) > 0 {
		err = fmt.Errorf("%w: %s was started meanwhile; stop it, and run this again", ErrRunning, still[0])
	}
	return err
}

// enter makes state the one that the adoption is in.
func (a *adopter) enter(ctx context.Context, state string) error {
	err := a.s.attempt(ctx, "state of the adoption", func(ctx context.Context) error {
		_, err := a.s.meta.ReplaceOne(ctx, byID("adoption"), adoptionDocument{"adoption", state, a.c.Name()}, options.Replace().SetUpsert(true))
		return err
	})
	if err == nil {
		a.report.State = state
	}
	return err
}

// rewrite changes a document as change says, which is asked again with the
// document of then when somebody was faster.
func (a *adopter) rewrite(ctx context.Context, d *adoptedDocument, change func(*adoptedDocument) (bson.D, error)) error {
	for range absorbs {
		update, err := change(d)
		if err != nil {
			return err
		}
		condition := bson.D{{Key: "_id", Value: d.OID}, {Key: "gatehouse.version", Value: d.Gatehouse.Fields.Version}}
		result, err := a.c.UpdateOne(ctx, append(condition, d.shared.condition()...), update)
		if err != nil {
			return explain(err)
		}
		if result.MatchedCount > 0 {
			a.report.Changed++
			return nil
		}
		document, err := a.c.FindOne(ctx, bson.D{{Key: "_id", Value: d.OID}}).Raw()
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		if d, err = decodeAdopted(document); err != nil || d.Gatehouse == nil {
			return err
		}
	}
	return gatehouse.ErrUnavailable
}

func (a *adopter) finish(ctx context.Context) error {
	if _, err := a.survey(ctx); err != nil || a.opts.DryRun {
		return err
	}
	if err := a.begin(ctx, finishing); err != nil {
		return err
	}
	a.report.Changed = 0
	remove := bson.D{{Key: "$unset", Value: bson.D{
		{Key: "password", Value: ""}, {Key: "gatehouse.seen", Value: ""}, {Key: "gatehouse.before", Value: ""}, {Key: "gatehouse.held", Value: ""},
	}}}
	err := a.each(ctx, func(document bson.Raw, d *adoptedDocument) error {
		if idOf(d.OID) == "" || d.Gatehouse != nil && len(d.Gatehouse.Seen) == 0 { // done before
			return nil
		}
		u, err := a.absorb(ctx, document, everybody)
		if errors.Is(err, gatehouse.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		fresh, err := a.c.FindOne(ctx, bson.D{{Key: "gatehouse.id", Value: u.ID}}).Raw()
		if err != nil {
			return explain(err)
		}
		if d, err = decodeAdopted(fresh); err != nil {
			return err
		}
		return a.rewrite(ctx, d, func(*adoptedDocument) (bson.D, error) { return remove, nil })
	})
	if err != nil {
		return err
	}
	return a.enter(ctx, finished)
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/gatehouse-auth/gatehouse"
)

// Undo gives the collection back as it was: byte by byte, apart from what the
// application itself has changed since, and from what was taken from users here: a
// disabled user gets no password back, and nobody a role that was revoked, unless
// AsItWas says so. Users who registered with Gatehouse stay, without a password
// that the application lets in. The report names everybody who is not in the
// application what they were here.
func Undo(ctx context.Context, uri string, opts AdoptOptions) (*Report, error) {
	return run(ctx, uri, "undo", opts, []string{adopting, isAdopted, undoing}, (*adopter).undo)
}

func (a *adopter) undo(ctx context.Context) error {
	if !a.opts.DryRun {
		if err := a.begin(ctx, undoing); err != nil {
			return err
		}
	}
	if err := a.findDeleted(ctx); err != nil {
		return err
	}
	err := a.each(ctx, func(_ bson.Raw, d *adoptedDocument) error {
		a.report.Documents++
		if d.Gatehouse == nil {
			return nil
		}
		r, err := a.reversion(d)
		if err != nil {
			return err
		}
		r.list(a.report)
		if a.opts.DryRun {
			a.report.Changed++
			return nil
		}
		return a.rewrite(ctx, d, func(d *adoptedDocument) (bson.D, error) {
			r, err := a.reversion(d)
			if err != nil {
				return nil, err
			}
			return r.update(), nil
		})
	})
	if err != nil || a.opts.DryRun {
		return err
	}
	for _, i := range adoptionIndexes {
		err := a.c.Indexes().DropOne(ctx, i.name)
		if server, ok := errors.AsType[driver.ServerError](err); ok && server.HasErrorCode(27) || err == nil { // there is no such index
			continue
		}
		return fmt.Errorf("drop index %s: %w", i.name, explain(err))
	}
	err = a.s.attempt(ctx, "state of the adoption", func(ctx context.Context) error {
		_, err := a.s.meta.DeleteOne(ctx, byID("adoption"))
		return err
	})
	if err == nil {
		a.report.State = ""
	}
	return err
}

// findDeleted lists who was deleted here, as far back as the audit log goes.
func (a *adopter) findDeleted(ctx context.Context) error {
	for after := ""; ; {
		events, err := list(ctx, a.s, "events", a.s.events, bson.D{
			{Key: "kind", Value: gatehouse.EventUserDeleted}, {Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
		}, bson.D{{Key: "_id", Value: 1}}, a.s.opts.page, decodeEvent)
		if err != nil {
			return err
		}
		for _, e := range events {
			_, err := a.c.FindOne(ctx, bson.D{{Key: "gatehouse.id", Value: e.UserID}}).Raw()
			if errors.Is(err, driver.ErrNoDocuments) {
				a.report.Deleted = append(a.report.Deleted, AdoptedUser{ID: e.UserID, Note: "deleted " + e.At.Format(time.RFC3339)})
			} else if err != nil {
				return explain(err)
			}
			after = e.ID
		}
		if len(events) < a.s.opts.page {
			return nil
		}
	}
}

// reversion is what Undo makes of a document.
type reversion struct {
	d     *adoptedDocument
	user  *gatehouse.User // as Gatehouse has it, with what the application has written last
	wrote [len(sharedNames)]bool
	was   shared // what those were that Gatehouse wrote; zero where there was nothing
	back  [len(sharedNames)]bool
	held  bool // the password comes back that was held while the user is disabled
}

// reversion gives back each of the four fields that Gatehouse wrote and the
// application has not written since. What Gatehouse took away on purpose it gives
// back only if that is asked for: an address can be changed again, while somebody
// who was shut out, or is no administrator any more, would be let in unnoticed.
func (a *adopter) reversion(d *adoptedDocument) (*reversion, error) {
	seen := sharedOf(d.Gatehouse.Seen)
	before, err := forget(d.Gatehouse.Before, seen, d.shared)
	if err != nil {
		return nil, err
	}
	r := &reversion{d: d, user: d.user()}
	take(r.user, seen, d.shared, time.Time{})
	for i, name := range sharedNames {
		if _, err := before.LookupErr(name); err == nil {
			r.wrote[i] = true
			r.was[i], _ = before.LookupErr(name, "was") // there may have been nothing
		}
	}
	r.back = r.wrote
	if !a.opts.AsItWas {
		if !r.user.Enabled() && !r.was[sharedPassword].IsZero() {
			r.back[sharedPassword] = false
		}
		if r.revoked() {
			r.back[sharedRole] = false
		}
	}
	r.held = a.opts.AsItWas && d.Gatehouse.Registered && d.Gatehouse.Held != "" && d.shared.text(sharedPassword) == noPassword
	return r, nil
}

// revoked reports whether the role that the user had there was taken away here.
func (r *reversion) revoked() bool {
	return r.wrote[sharedRole] && !slices.Contains(r.user.Roles, r.was.text(sharedRole))
}

// update makes the document what it was.
func (r *reversion) update() bson.D {
	set, unset := bson.D{}, bson.D{{Key: "gatehouse", Value: ""}}
	for i, name := range sharedNames {
		switch {
		case !r.back[i]:
		case r.was[i].IsZero():
			unset = append(unset, bson.E{Key: name, Value: ""})
		default:
			set = append(set, bson.E{Key: name, Value: r.was[i]})
		}
	}
	if r.held {
		set = append(set, bson.E{Key: "password", Value: r.d.Gatehouse.Held})
	}
	update := bson.D{{Key: "$unset", Value: unset}}
	if len(set) > 0 {
		update = append(update, bson.E{Key: "$set", Value: set})
	}
	return update
}

// list puts the user on each of the lists of those who will be something else
// there than they were here.
func (r *reversion) list(report *Report) {
	note := func(to *[]AdoptedUser, text string) {
		u := r.d.reported(r.user)
		u.Note = text
		*to = append(*to, u)
	}
	if r.d.Gatehouse.Registered {
		note(&report.Registered, "")
	}
	if !r.user.Enabled() {
		note(&report.Disabled, r.lock())
	}
	// What was held while the user is disabled is no other password than here.
	switch was := r.was[sharedPassword]; {
	case !r.back[sharedPassword]:
	case !was.IsZero() && r.was.text(sharedPassword) != r.d.Gatehouse.Held:
		note(&report.Reverted, "the password of before")
	case was.IsZero() && r.user.Enabled():
		note(&report.Reverted, "none, as before")
	}
	var names []string
	for _, i := range []int{sharedName, sharedEmail} {
		if r.back[i] {
			names = append(names, fmt.Sprintf("%s %q", sharedNames[i], r.was.text(i)))
		}
	}
	if len(names) > 0 {
		note(&report.Renamed, strings.Join(names, ", "))
	}
	role := r.d.shared.text(sharedRole)
	if r.back[sharedRole] {
		role = r.was.text(sharedRole)
	}
	if r.revoked() {
		note(&report.Revoked, fmt.Sprintf("%s, there %s", r.was.text(sharedRole), role))
	}
	if beside := slices.DeleteFunc(slices.Clone(r.user.Roles), func(has string) bool { return has == role }); len(beside) > 0 {
		note(&report.Granted, strings.Join(beside, ", "))
	}
}

// lock says what becomes of the password of a disabled user.
func (r *reversion) lock() string {
	switch shown := r.d.shared.text(sharedPassword); {
	case r.held || r.back[sharedPassword] && !r.was[sharedPassword].IsZero():
		return "let in with the password of before"
	case shown != "" && shown != noPassword:
		return "let in: the application has set a password since"
	}
	return "no password is let in"
}

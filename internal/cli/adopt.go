package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/store/mongo"
)

type adopt struct {
	Collection string   `name:"collection" placeholder:"NAME" help:"The collection with the users of the application. Default users."`
	Keep       []string `name:"keep" placeholder:"ID" help:"The user who keeps an address that others have in another spelling. May be repeated."`
	Finish     bool     `name:"finish" xor:"step" help:"Make the collection Gatehouse's alone; the passwords of the application are removed. For good."`
	Undo       bool     `name:"undo" xor:"step" help:"Give the collection back as it was."`
	AsItWas    bool     `name:"as-it-was" help:"With --undo: give back also what was taken from users here, the password of who is disabled and roles that were revoked."`
	DryRun     bool     `name:"dry-run" help:"Only show what would be done."`
	NotRunning bool     `name:"not-running" help:"Go on although Gatehouse seems to be running on the database: it was killed a moment ago."`
	Yes        bool     `name:"yes" help:"Do not ask before --finish."`
}

func (c adopt) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	uri := loaded.Settings.Database
	if !strings.HasPrefix(uri, "mongodb://") && !strings.HasPrefix(uri, "mongodb+srv://") {
		return usageError("adopt works on the database of an application in MongoDB: name it with --database or MONGODB_URI")
	}
	if c.AsItWas && !c.Undo {
		return usageError("--as-it-was goes with --undo")
	}
	if c.Finish && !c.DryRun && !c.Yes {
		if err := p.confirm("The passwords of the application are removed, and there is no way back. Finish?"); err != nil {
			return err
		}
	}
	if !c.Finish && !c.Undo && !c.DryRun && loaded.Settings.LacksSecret() {
		// The first start makes the secret. After it there is a database, for
		// which no secret is ever made.
		if err := p.open(server.Open, func(context.Context, *gatehouse.Gatehouse) error { return nil }); err != nil {
			return err
		}
	}
	ctx, stop := interruptible()
	defer stop()
	step := mongo.Adopt
	switch {
	case c.Finish:
		step = mongo.Finish
	case c.Undo:
		step = mongo.Undo
	}
	report, err := step(ctx, uri, mongo.AdoptOptions{
		Collection: c.Collection, Keep: c.Keep, AsItWas: c.AsItWas, NotRunning: c.NotRunning, DryRun: c.DryRun,
	})
	if errors.Is(err, mongo.ErrRunning) {
		return fmt.Errorf("%w; --not-running if it was killed", err)
	}
	if report != nil {
		for _, r := range report.Running {
			p.say("Gatehouse is running on this database: " + r.String() + ".")
		}
		err = errors.Join(p.adoption(report, c.DryRun || err != nil), err)
	}
	return err
}

// listed are users of a report who have something in common.
type listed struct {
	what  string
	users []mongo.AdoptedUser
}

// adoption shows what was done, or would be.
func (p *program) adoption(r *mongo.Report, dry bool) error {
	would := ""
	if dry {
		would = "to be "
	}
	fmt.Fprintf(p.out, "collection %s, %s: %d documents, %d %schanged\n",
		server.Printable(r.Collection), cmp.Or(r.State, "not adopted"), r.Documents, r.Changed, would)
	lists := []listed{
		{"without an address that is one: cannot log in here until they have one", r.NoAddress},
		{"without a password that is a bcrypt hash: cannot log in here until they have one", r.NoPassword},
		{"left alone, because their _id can be no id of a user", r.SetAside},
		{"registered with Gatehouse: users of the application without a password", r.Registered},
		{"changed their password here: in the application the former one counts again", r.Reverted},
		{"disabled here, which the application knows nothing of", r.Disabled},
		{"have another name or address here: in the application the former one is back", r.Renamed},
		{"had a role in the application that was revoked here", r.Revoked},
		{"have roles here that the application does not know", r.Granted},
		{"deleted here, and gone from the application for good", r.Deleted},
	}
	for _, users := range r.Conflicts {
		lists = append(lists, listed{"with one address: change it in the application, or choose with --keep ID", users})
	}
	for _, l := range lists {
		if len(l.users) == 0 {
			continue
		}
		fmt.Fprintf(p.out, "\n%d %s:\n", len(l.users), l.what)
		noted := slices.ContainsFunc(l.users, func(u mongo.AdoptedUser) bool { return u.Note != "" })
		head := "ID\tEMAIL\tNAME\tCREATED"
		if noted {
			head += "\tNOTE"
		}
		err := p.table(head, func(row func(...string)) {
			for _, u := range l.users {
				cells := []string{u.ID, u.Email, u.Name, stamp(u.CreatedAt)}
				if noted {
					cells = append(cells, u.Note)
				}
				row(cells...)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

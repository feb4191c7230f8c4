package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type eventsGroup struct {
	List   eventsList   `cmd:"" help:"List events of the audit log, the newest first."`
	Tail   eventsTail   `cmd:"" help:"Show the newest events, and more as they happen."`
	Verify eventsVerify `cmd:"" help:"Hold the audit log against its chains: what was changed, deleted or cut off."`
	Export eventsExport `cmd:"" help:"Write all events, the newest first, one JSON object a line."`
}

// eventFilter chooses events.
type eventFilter struct {
	User    string `help:"Only events about this user: email address or id." placeholder:"USER"`
	Kind    string `help:"Only events of this kind, such as login." placeholder:"KIND"`
	Outcome string `help:"Only events with this outcome: ok, refused for everything else, or a code such as invalid_credentials." placeholder:"OUTCOME"`
	All     bool   `help:"Checkpoints, too, which are about the log itself."`
	JSON    bool   `name:"json" help:"Write one JSON object a line."`
}

// query is what the store is asked for; the rest is for wants.
func (f eventFilter) query(ctx context.Context, g *gatehouse.Gatehouse) (gatehouse.EventQuery, error) {
	q := gatehouse.EventQuery{Kind: f.Kind, UserID: f.User, Limit: 500}
	if strings.Contains(f.User, "@") { // an id may be of somebody who is deleted
		u, err := g.FindUser(ctx, f.User)
		if err != nil {
			return q, err
		}
		q.UserID = u.ID
	}
	return q, nil
}

func (f eventFilter) wants(e *gatehouse.Event) bool {
	switch {
	case e.Kind == gatehouse.EventCheckpoint && f.Kind == "" && !f.All:
		return false
	case f.Outcome == "" || f.Outcome == e.Outcome:
		return true
	}
	return f.Outcome == "refused" && e.Outcome != "ok"
}

type eventsList struct {
	eventFilter
	Since string `help:"Only events from this time on: 2026-11-23, 2026-11-23T09:14:00Z, or 24h or 7d for that long ago." placeholder:"TIME"`
	Until string `help:"Only events before this time." placeholder:"TIME"`
	Limit int    `help:"How many events at most; 0 is all of them." default:"50" placeholder:"N"`
}

func (c eventsList) Run(p *program) error {
	since, err := moment("--since", c.Since)
	if err != nil {
		return err
	}
	until, err := moment("--until", c.Until)
	if err != nil {
		return err
	}
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		q, err := c.query(ctx, g)
		if err != nil {
			return err
		}
		if !since.IsZero() {
			q.After = gatehouse.EventIDAt(since)
		}
		if !until.IsZero() {
			q.Before = gatehouse.EventIDAt(until)
		}
		w := p.events(ctx, g, c.JSON)
		left := c.Limit
		for e, err := range g.WalkEvents(ctx, q) {
			if err != nil {
				return err
			}
			if !c.wants(e) {
				continue
			}
			if err := w.write(e); err != nil {
				return err
			}
			if left--; left == 0 {
				break
			}
		}
		return w.flush()
	})
}

// moment reads a time, or how long ago it was.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if ago, err := server.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	return time.Time{}, usageError(flag + " must be a time such as 2026-11-23 or 2026-11-23T09:14:00Z (UTC), or how long ago, such as 24h or 7d")
}

type eventsTail struct {
	eventFilter
	Lines int `help:"How many events of before to show first." short:"n" default:"10" placeholder:"N"`
}

const (
	tailEvery = 500 * time.Millisecond
	// Events are written at the same time, and clocks differ: one may show up
	// after another that is a little younger.
	tailLate = 10 * time.Second
)

// Run looks at the store again and again, so it also shows what other processes
// do. It ends well when it is interrupted.
func (c eventsTail) Run(p *program) error {
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		q, err := c.query(ctx, g)
		if err != nil {
			return err
		}
		w := p.events(ctx, g, c.JSON)
		lines, err := c.last(ctx, g, q)
		seen := map[string]bool{}
		for first := true; err == nil; first = false {
			q.After = gatehouse.EventIDAt(time.Now().Add(-tailLate))
			window := map[string]bool{}
			fresh := lines
			for e, werr := range g.WalkEvents(ctx, q) {
				if err = werr; err != nil {
					break
				}
				window[e.ID] = true
				if !first && !seen[e.ID] && c.wants(e) {
					fresh = append(fresh, e)
				}
			}
			for _, e := range slices.Backward(fresh) {
				err = errors.Join(err, w.write(e))
			}
			err = errors.Join(err, w.flush())
			seen, lines = window, nil
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(tailEvery):
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

// last is the newest events that are wanted.
func (c eventsTail) last(ctx context.Context, g *gatehouse.Gatehouse, q gatehouse.EventQuery) (list []*gatehouse.Event, err error) {
	if c.Lines <= 0 {
		return nil, nil
	}
	for e, err := range g.WalkEvents(ctx, q) {
		if err != nil {
			return nil, err
		}
		if c.wants(e) {
			list = append(list, e)
		}
		if len(list) == c.Lines {
			break
		}
	}
	return list, nil
}

type eventsExport struct{}

// Run writes everything, checkpoints too: only a whole log can be verified.
func (eventsExport) Run(p *program) error {
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		if err := g.NoteExport(ctx); err != nil {
			return err
		}
		out := bufio.NewWriter(p.out)
		w := json.NewEncoder(out)
		w.SetEscapeHTML(false)
		for e, err := range g.WalkEvents(ctx, gatehouse.EventQuery{Limit: 1000}) {
			if err != nil {
				return err
			}
			if err := w.Encode(eventView(*e)); err != nil {
				return err
			}
		}
		return out.Flush()
	})
}

// eventView is an event as JSON: what it takes to compute its MAC again.
type eventView struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at,omitzero"`
	Kind      string            `json:"kind"`
	Outcome   string            `json:"outcome"`
	UserID    string            `json:"user_id,omitempty"`
	ActorID   string            `json:"actor_id,omitempty"`
	SessionID string            `json:"session_id,omitempty"`
	Address   string            `json:"address,omitempty"`
	UserAgent string            `json:"user_agent,omitempty"`
	Ref       string            `json:"ref,omitempty"`
	Data      map[string]string `json:"data,omitempty"`
	ExpiresAt time.Time         `json:"expires_at,omitzero"`
	Chain     string            `json:"chain,omitempty"`
	Sequence  int64             `json:"sequence,omitempty"`
	Proof     []byte            `json:"proof,omitempty"`
}

// events writes events, for people or for programs.
func (p *program) events(ctx context.Context, g *gatehouse.Gatehouse, asJSON bool) *eventWriter {
	w := &eventWriter{ctx: ctx, g: g, out: bufio.NewWriter(p.out), emails: map[string]string{}}
	if asJSON {
		w.json = json.NewEncoder(w.out)
		w.json.SetEscapeHTML(false)
		return w
	}
	// The columns that vary most come last, so that lines stay in line although
	// each page is measured for itself.
	w.table = tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w.table, "TIME\tKIND\tOUTCOME\tADDRESS\tUSER\tDETAILS")
	return w
}

type eventWriter struct {
	ctx    context.Context //nolint:containedctx // it lives as long as one command
	g      *gatehouse.Gatehouse
	out    *bufio.Writer
	json   *json.Encoder     // for programs, or
	table  *tabwriter.Writer // for people
	emails map[string]string // of users, by id
}

func (w *eventWriter) write(e *gatehouse.Event) error {
	if w.json != nil {
		return w.json.Encode(eventView(*e))
	}
	var details []string
	if e.ActorID != "" {
		details = append(details, "by "+e.ActorID)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		details = append(details, name+"="+e.Data[name])
	}
	cells := []string{e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.Kind, e.Outcome, e.Address, w.email(e.UserID), strings.Join(details, " ")}
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		cells[i] = server.Printable(c)
	}
	_, err := fmt.Fprintln(w.table, strings.Join(cells, "\t"))
	return err
}

// email is the address of a user, or the id of one who is gone.
func (w *eventWriter) email(id string) string {
	if id == "" {
		return ""
	}
	if _, known := w.emails[id]; !known {
		w.emails[id] = id
		if u, err := w.g.User(w.ctx, id); err == nil && u.Email != "" {
			w.emails[id] = u.Email
		}
	}
	return w.emails[id]
}

func (w *eventWriter) flush() error {
	var err error
	if w.table != nil {
		err = w.table.Flush()
	}
	return errors.Join(err, w.out.Flush())
}

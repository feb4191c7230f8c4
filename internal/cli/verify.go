package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type eventsVerify struct {
	File           string   `arg:"" optional:"" help:"An export to verify instead of the database; - is standard input."`
	SecretFile     []string `name:"with-secret" help:"File with a master secret of before; may be given more than once." placeholder:"FILE" sep:"none"`
	Anchor         []string `help:"An anchor of before, as verify and the log of the service show it, which must still be there; may be given more than once." placeholder:"ANCHOR" sep:"none"`
	UnchainedUntil string   `name:"unchained-until" help:"Accept events without a chain up to this time, when a version before the chains was still running." placeholder:"TIME"`
	JSON           bool     `name:"json" help:"Write JSON."`
}

// Run walks through everything and keeps none of it.
func (c eventsVerify) Run(p *program) error {
	until, err := moment("--unchained-until", c.UnchainedUntil)
	if err != nil {
		return err
	}
	loaded, err := p.load()
	if err != nil {
		return err
	}
	secrets, err := loaded.Settings.MasterSecrets(c.SecretFile...)
	if err != nil {
		return err
	}
	if len(secrets) == 0 && c.File != "" {
		return usageError("there is no master secret to verify with: set GATEHOUSE_SECRET_FILE, or name a file with --with-secret")
	}
	a := gatehouse.NewAudit(secrets...)
	a.UnchainedUntil = until
	for _, anchor := range c.Anchor {
		if err := a.Anchor(anchor); err != nil {
			return usageError(err.Error())
		}
	}
	add := func(list iter.Seq2[*gatehouse.Event, error]) error {
		for e, err := range list {
			if err != nil {
				return err
			}
			a.Add(e)
		}
		return nil
	}
	if c.File == "" {
		err = p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
			return add(g.WalkEvents(ctx, gatehouse.EventQuery{Limit: 1000}))
		})
		if err != nil {
			return err
		}
		return c.report(p, a.Report(time.Now()))
	}
	in := io.Reader(p.in)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	if err := add(exported(in)); err != nil {
		return err
	}
	return c.report(p, a.Report(time.Time{}))
}

// exported reads the lines of an export.
func exported(r io.Reader) iter.Seq2[*gatehouse.Event, error] {
	return func(yield func(*gatehouse.Event, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		n := 0
		for lines.Scan() {
			n++
			d := json.NewDecoder(strings.NewReader(lines.Text()))
			d.DisallowUnknownFields()
			var v eventView
			if err := d.Decode(&v); err != nil {
				yield(nil, fmt.Errorf("line %d is not an event: %w", n, err))
				return
			}
			if !yield(new(gatehouse.Event(v)), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("after line %d: %w", n, err))
		}
	}
}

var errAudit = errors.New("the audit log is not what was written")

func (c eventsVerify) report(p *program, r *gatehouse.AuditReport) error {
	if c.JSON {
		if err := p.json(auditView(r)); err != nil {
			return err
		}
	} else if err := p.auditTable(r); err != nil {
		return err
	}
	if n := int64(len(r.Problems)) + r.More; n > 0 {
		return fmt.Errorf("%w: %s", errAudit, count(int(n), "problem", "problems"))
	}
	return nil
}

func (p *program) auditTable(r *gatehouse.AuditReport) error {
	err := p.table("CHAIN\tFIRST\tLAST\tEVENTS\tEND\tNOTES", func(row func(...string)) {
		for _, c := range r.Chains {
			end := "open"
			if c.Closed {
				end = "closed"
			}
			var notes []string
			if c.Swept > 0 {
				notes = append(notes, fmt.Sprintf("%d swept", c.Swept))
			}
			if c.Lost > 0 {
				notes = append(notes, fmt.Sprintf("%d never written because the store failed", c.Lost))
			}
			if c.Unsettled != "" {
				notes = append(notes, c.Unsettled+" never acknowledged")
			}
			row(c.ID, stamp(c.First), stamp(c.Last), fmt.Sprint(c.Events), end, strings.Join(notes, "; "))
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out)
	for _, c := range r.Chains {
		if !c.Closed {
			fmt.Fprintf(p.out, "open: chain %s ends without a closing checkpoint: its process is running, or came to a sudden end\n", server.Printable(c.ID))
		}
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(p.out, server.Printable(problem.String()))
	}
	if r.More > 0 {
		fmt.Fprintf(p.out, "and %d more\n", r.More)
	}
	fmt.Fprintf(p.out, "%s in %s", count(int(r.Events), "event", "events"), count(len(r.Chains), "chain", "chains"))
	if r.Unchained > 0 {
		fmt.Fprintf(p.out, ", %d without a chain", r.Unchained)
	}
	if newest := newestChain(r); newest != nil {
		fmt.Fprintf(p.out, "\nanchor: %s", server.Printable(newest.Anchor))
	}
	fmt.Fprintln(p.out)
	return nil
}

// newestChain is the chain that went on last: an anchor of it covers most.
func newestChain(r *gatehouse.AuditReport) *gatehouse.AuditChain {
	if len(r.Chains) == 0 {
		return nil
	}
	return new(slices.MaxFunc(r.Chains, func(a, b gatehouse.AuditChain) int { return a.Last.Compare(b.Last) }))
}

type auditProblemView struct {
	Kind   string `json:"kind"`
	Chain  string `json:"chain,omitempty"`
	Events string `json:"events,omitempty"`
	Text   string `json:"text"`
}

type auditChainView struct {
	ID        string    `json:"id"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Events    int64     `json:"events"`
	Sequence  int64     `json:"sequence"`
	Anchor    string    `json:"anchor"`
	Closed    bool      `json:"closed"`
	Swept     int64     `json:"swept"`
	Lost      int64     `json:"lost"`
	Unsettled string    `json:"unsettled,omitempty"`
}

// auditView is a report as JSON.
func auditView(r *gatehouse.AuditReport) any {
	v := struct {
		Events    int64              `json:"events"`
		Unchained int64              `json:"unchained"`
		Chains    []auditChainView   `json:"chains"`
		Problems  []auditProblemView `json:"problems"`
		More      int64              `json:"more_problems,omitempty"`
	}{r.Events, r.Unchained, []auditChainView{}, []auditProblemView{}, r.More}
	for _, c := range r.Chains {
		v.Chains = append(v.Chains, auditChainView(c))
	}
	for _, problem := range r.Problems {
		v.Problems = append(v.Problems, auditProblemView(problem))
	}
	return v
}

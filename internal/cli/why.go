package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type why struct {
	Ref  string `arg:"" help:"Reference that the client was shown, also in the header X-Request-Id."`
	JSON bool   `name:"json" help:"Write JSON."`
}

// Run shows why a request was refused. It reads what the service on this data
// folder has kept, and opens no database.
func (c why) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	r, err := server.FindRefusal(&loaded.Settings, strings.ToUpper(strings.TrimSpace(c.Ref)))
	if errors.Is(err, server.ErrNoRefusal) {
		return fmt.Errorf("%w in %s: it was not refused, or so long ago that it was overwritten, or by another instance", err, loaded.Settings.RefusalsFile())
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return p.json(r)
	}
	fmt.Fprintf(p.out, "%s was answered %d %s at %s\n", server.Printable(strings.TrimSpace(r.Method+" "+r.Route)), r.Status, r.Code, r.At.Format(time.RFC3339Nano))
	if r.Field != "" {
		fmt.Fprintf(p.out, "field: %s\n", server.Printable(r.Field))
	}
	fmt.Fprintf(p.out, "User-Agent: %s\n", server.Printable(r.UserAgent))
	for _, s := range r.Steps {
		fmt.Fprintf(p.out, "%s: %s\n", server.Printable(s.About), server.Printable(s.Detail))
	}
	return nil
}

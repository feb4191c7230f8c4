package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type serve struct{}

// Run serves until SIGINT or SIGTERM; a second one ends the process at once.
func (serve) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	// A closed pipe at the end of the log is no reason to stop serving.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(p.err, "gatehouse: stopped at once")
		os.Exit(exitFault)
	}()
	return server.Run(ctx, loaded, p.out, p.err, terminal(p.err))
}

type config struct {
	JSON bool `name:"json" help:"Write JSON."`
}

// Run shows the settings also when they are refused, for that is when people
// want to see them.
func (c config) Run(p *program) error {
	loaded, err := p.load()
	if c.JSON {
		faults, _ := errors.AsType[server.Faults](err)
		if werr := loaded.WriteJSON(p.out, faults); werr != nil {
			return werr
		}
		return err
	}
	if werr := loaded.WriteReport(p.out); werr != nil {
		return werr
	}
	for _, w := range loaded.Warnings {
		fmt.Fprintf(p.err, "warning: %s\n", server.Printable(w))
	}
	return err
}

type healthcheck struct{}

// Run is for containers without any other program in them.
func (healthcheck) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	url := server.LocalURL(loaded.Settings.Listen) + "/readyz"
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	fmt.Fprintln(p.out, "ready")
	return nil
}

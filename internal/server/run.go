package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/web"
)

// Run serves until ctx is done, and then stops in good order. It says on out
// where to look once it can be reached, and logs to log, which is a terminal if
// terminal says so.
func Run(ctx context.Context, l *Loaded, out, log io.Writer, terminal bool) (err error) {
	s := &l.Settings
	logger, lines := newLog(log, s.LogLevel, s.LogFormat, terminal)
	defer lines.Close(time.Second)
	for _, w := range l.Warnings {
		logger.Warn(w)
	}
	// The address first: what is in use already shall leave no traces.
	socket, err := listen(ctx, s.Listen)
	if err != nil {
		return err
	}
	defer socket.Close()
	instance, err := Open(ctx, s, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	metricsEnded, err := serveMetrics(ctx, s.MetricsListen, instance.Gatehouse.Stats, logger)
	if err != nil {
		return err
	}
	defer metricsEnded()
	refused := keepRefusals(s)
	defer refused.close()
	// Without it on record the service works as well, but says so.
	values, own := l.inForce()
	if err := instance.Gatehouse.NoteSettings(ctx, values, own...); err != nil {
		logger.Warn("a change of settings could not be put on record; the next start will try again", "error", err)
	}
	door, err := web.New(web.Config{
		Gatehouse: instance.Gatehouse,
		URL:       s.URL, Prefix: s.Prefix, Home: s.Home, SiteName: s.SiteName,
		AccessCookie: s.AccessCookie, RefreshCookie: s.RefreshCookie, DeviceCookie: s.DeviceCookie,
		TrustedProxies: s.TrustedProxies,
		Overrides:      s.overrides(),
		Explain:        refused.keep,
		Logger:         logger,
	})
	if err != nil {
		return err
	}
	logger.Debug("ready", "address", socket.Addr().String(), "mode", s.Mode)
	// On its own, for nothing may wait for whoever reads out.
	go announce(out, s, socket.Addr())
	service := &service{settings: s, handler: door.Handler(), ready: instance.Ready, log: logger}
	return service.serve(ctx, socket)
}

func (s *Settings) overrides() fs.FS {
	if s.Overrides == "" {
		return nil
	}
	return os.DirFS(s.Overrides)
}

// announce says where to look. Programs may rely on the first line: its last
// word is the address to open.
func announce(out io.Writer, s *Settings, address net.Addr) {
	where := s.URL
	if where == "" {
		where = LocalURL(address.String())
	}
	data := s.Data
	if abs, err := filepath.Abs(data); err == nil {
		data = abs
	}
	text := "Gatehouse is ready: " + where + "\n"
	if s.URL != "" {
		text += fmt.Sprintf("Listening on %s\n", address)
	}
	_, _ = io.WriteString(out, text+"Data folder: "+Printable(data)+"\n")
}

// LocalURL is where a program on this machine reaches a service that listens on
// address; every address of the machine is taken as the loopback one.
func LocalURL(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// service answers HTTP on one listener until it is told to stop.
type service struct {
	settings *Settings
	handler  http.Handler
	ready    func(context.Context) error
	log      *slog.Logger

	stopping atomic.Bool
	probe    probe
}

// serve answers until ctx is done. Then it reports that it is not ready, goes on
// for a moment, takes no more connections, and lets the requests it has accepted
// finish.
func (s *service) serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: s.settings.HeaderTimeout,
		ReadTimeout:       s.settings.ReadTimeout,
		WriteTimeout:      s.settings.WriteTimeout,
		IdleTimeout:       s.settings.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		// The library would answer "OPTIONS *" itself, before any check of ours.
		DisableGeneralOptionsHandler: true,
		// What clients do wrong below HTTP is their affair.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("accept connections: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	s.log.Info("stopping", "timeout", s.settings.ShutdownTimeout.String())
	// Shutdown refuses new connections at once, and drops requests that arrive
	// on old ones. Whoever sends them must be told before.
	select {
	case err := <-ended:
		return fmt.Errorf("accept connections: %w", err)
	case <-time.After(s.settings.ShutdownDelay):
	}
	patience, cancel := context.WithTimeout(context.Background(), s.settings.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(patience); err != nil {
		_ = srv.Close()
		return fmt.Errorf("requests were cut off after %s: %w", s.settings.ShutdownTimeout, err)
	}
	return nil
}

func (s *service) routes() http.Handler {
	pages := s.handler
	if s.settings.URL == "" && !s.settings.Production() && s.settings.listensOnLoopback() {
		pages = s.onlyLocalHosts(pages)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, health{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", s.readyz)
	// Not through the mux: it would clean paths before their guard sees them.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// After a chunked body beside a length, or an HTTP/1.0 request, nobody
		// can be sure where the next request begins (RFC 9112, section 11.2).
		// The guard of the pages refuses what it must; this is for what never
		// gets there.
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
			s.guard(mux).ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// guard gives answers of the service itself the headers of safety that those of
// the pages have: none may be the one that lets a browser go by http, or that
// can be framed (ASVS 3.4).
func (s *service) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(s.settings.URL, "https://") {
			h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// health is the answer of /livez and /readyz. It tells strangers nothing but
// which part does not work.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// readyz is 503 as soon as the service is stopping, so that a load balancer
// looks elsewhere before connections are refused, and while the store is away.
func (s *service) readyz(w http.ResponseWriter, _ *http.Request) {
	var reasons []string
	if s.stopping.Load() {
		reasons = append(reasons, "stopping")
	}
	if err := s.probe.check(s.ready, s.log); err != nil {
		reasons = append(reasons, "store")
	}
	if len(reasons) > 0 {
		w.Header().Set("Retry-After", "2")
		reply(w, http.StatusServiceUnavailable, health{"unavailable", reasons})
		return
	}
	reply(w, http.StatusOK, health{Status: "ok"})
}

// probe asks whether the store works, for all who want to know within a moment
// once: the question is open to strangers and costs a write.
type probe struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

const (
	probeLasts   = 250 * time.Millisecond
	probeTimeout = 2 * time.Second
)

// check is the answer, and says in the log when it becomes another one.
func (p *probe) check(ready func(context.Context) error, log *slog.Logger) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked.IsZero() && time.Since(p.asked) < probeLasts {
		return p.err
	}
	// Not the context of the request: the answer is for others as well.
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	before := p.err
	p.err = ready(ctx)
	p.asked = time.Now()
	switch {
	case before == nil && p.err != nil:
		log.Warn("not ready", "error", p.err)
	case before != nil && p.err == nil:
		log.Info("ready again")
	}
	return p.err
}

// onlyLocalHosts refuses requests for other names than those of this machine.
// A page of an attacker could otherwise give its own name our address and talk
// to a service that only listens here, as if it were its own (DNS rebinding).
func (s *service) onlyLocalHosts(next http.Handler) http.Handler {
	refusal := s.guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusMisdirectedRequest, map[string]string{
			"error": "This host is not served here. To use it, set GATEHOUSE_URL.", "code": "misdirected_request",
		})
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !loopbackHost(strings.Trim(host, "[]")) {
			refusal.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// listen opens the address; the errors that people run into say what to do.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return nil, fmt.Errorf("listen on %s: %w; GATEHOUSE_LISTEN sets another address", address, op.Err)
	}
	return l, err
}

package web

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const (
	maxBody     = 64 << 10
	readBody    = 10 * time.Second // for the whole body
	maxDuration = 10 * time.Second // for the whole answer
)

// visit is what is known of a request beside the request itself.
type visit struct {
	ref    string
	form   bool              // the body is a form: answer with a page
	values map[string]string // of the form, to fill in again; no passwords
	trace  gatehouse.Trace
}

type visitKey struct{}

func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	if v == nil {
		v = &visit{}
	}
	return v
}

// enter gives the request its reference and says who its client is. A request
// that has passed here already, on its way through a Require, keeps its own.
func (s *Web) enter(r *http.Request) (*http.Request, *visit) {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		return r, v
	}
	v := &visit{ref: rand.Text()[:16]}
	ctx := context.WithValue(r.Context(), visitKey{}, v)
	ctx = gatehouse.WithClient(ctx, gatehouse.Client{Address: s.clientAddress(r), UserAgent: r.UserAgent(), Ref: v.ref, Trace: &v.trace})
	return r.WithContext(ctx), v
}

// guard stands before every route of ours.
func (s *Web) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, v := s.enter(r)
		h := w.Header()
		s.headers.set(h)
		h["X-Request-Id"] = []string{v.ref}
		if strings.HasPrefix(r.URL.Path, s.cfg.Prefix+"/") {
			h["Content-Security-Policy"] = apiPolicy
		}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("ref", v.ref), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			s.fail(w, r, route{}, errPanic)
		}()
		// No stream is expected here, and a chunked body beside a length is how
		// requests are smuggled (RFC 9112, 6.3): its connection ends with it.
		if len(r.TransferEncoding) > 0 {
			h["Connection"] = []string{"close"}
			s.fail(w, r, route{}, errLengthRequired)
			return
		}
		if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
			h["Connection"] = []string{"close"}
		}
		if err := s.sameOrigin(r); err != nil {
			s.log.LogAttrs(r.Context(), slog.LevelWarn, "cross-origin request refused", slog.String("ref", v.ref), slog.String("path", r.URL.Path))
			s.fail(w, r, route{}, err)
			return
		}
		if r.Method != "GET" && r.Method != "HEAD" {
			// Not for GET: what it reads comes from memory or from a store that
			// has time limits of its own.
			ctx, cancel := context.WithTimeout(r.Context(), maxDuration)
			defer cancel()
			r = r.WithContext(ctx)
			if r.ContentLength > 0 {
				r.Body = hurry(w, r.Body)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hurry gives the client a deadline for its body. It is lifted when the body has
// been read, since reading on is how the server notices that a client hangs up.
func hurry(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(readBody)) // not every server can; those have timeouts of their own
	return &hurried{body, c}
}

type hurried struct {
	io.ReadCloser
	c *http.ResponseController
}

func (h *hurried) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	// Only then: after a timeout the server reads on, to throw the rest away,
	// and would wait for as long as the client likes.
	if errors.Is(err, io.EOF) {
		_ = h.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// sameOrigin refuses what another site makes a browser send (ASVS 3.5.1): by
// Sec-Fetch-Site, or where a browser does not send that, by the whole Origin.
// Requests of programs have neither. Login is covered, too.
func (s *Web) sameOrigin(r *http.Request) error {
	if upgrades(r) {
		// A WebSocket begins with a GET and goes on to do whatever it likes.
		asPost := *r
		asPost.Method = "POST"
		r = &asPost
	}
	if err := s.csrf.Check(r); err != nil {
		return errCrossOrigin
	}
	// The library compares hosts; http://host must not post to https://host.
	if s.origin != "" && r.Header.Get("Sec-Fetch-Site") == "" && !safe(r.Method) {
		if origin := r.Header.Get("Origin"); origin != "" && origin != s.origin {
			return errCrossOrigin
		}
	}
	return nil
}

func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

func safe(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// clientAddress is the address of the client: the peer, or if that is a trusted
// proxy, the last address in X-Forwarded-For that is not one. What stands left
// of it, anybody can write.
func (s *Web) clientAddress(r *http.Request) string {
	client := peer(r)
	if !client.IsValid() {
		return "" // a unix socket
	}
	if !s.trusted(client) {
		if s.strange.isNew(client, r) {
			s.noteProxy(r.Context(), client)
		}
		return client.String()
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(client); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = hop.Unmap().WithZone("")
	}
	return client.String()
}

// peer is who the connection is with, or invalid for a unix socket.
func peer(r *http.Request) netip.Addr {
	p, _ := netip.ParseAddrPort(r.RemoteAddr)
	return p.Addr().Unmap().WithZone("")
}

func (s *Web) trusted(a netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// headers are sent with every answer of ours. The slices are shared by all
// answers: they are set, never appended to.
type headers struct{ hsts []string }

func newHeaders(secure bool) headers {
	if secure {
		return headers{hsts: []string{"max-age=63072000; includeSubDomains"}}
	}
	return headers{}
}

var (
	apiPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"}
	pagePolicy = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}

	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
	sameOrigin  = []string{"same-origin"}
	permissions = []string{"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"}
	jsonType    = []string{"application/json; charset=utf-8"}
	htmlType    = []string{"text/html; charset=utf-8"}
	vary        = []string{"Accept, Cookie, Authorization, Sec-Fetch-Site, Origin"}
)

func (hs headers) set(h http.Header) {
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = pagePolicy
	h["X-Content-Type-Options"] = noSniff
	// Not no-referrer: with that, browsers send "Origin: null" with forms.
	h["Referrer-Policy"] = sameOrigin
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	h["Permissions-Policy"] = permissions
	h["Vary"] = vary
	if hs.hsts != nil {
		h["Strict-Transport-Security"] = hs.hsts
	}
}

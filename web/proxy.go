package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// strangeProxies notices reverse proxies that nobody said are to be trusted. All
// of their clients then have one address, that of the proxy, and share the limits
// that are for one source.
type strangeProxies struct {
	mu    sync.Mutex
	noted map[netip.Addr]time.Time
}

const (
	noteProxyEvery    = time.Hour
	maxStrangeProxies = 64
)

// isNew reports whether the request came through such a proxy, and it is time to
// say so. Only peers in private networks are taken for one: on the internet,
// anybody can send the header.
func (p *strangeProxies) isNew(peer netip.Addr, r *http.Request) bool {
	if len(r.Header["X-Forwarded-For"]) == 0 || !peer.IsPrivate() && !peer.IsLoopback() && !peer.IsLinkLocalUnicast() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := time.Now()
	if last, ok := p.noted[peer]; ok && t.Sub(last) < noteProxyEvery || !ok && len(p.noted) >= maxStrangeProxies {
		return false
	}
	if p.noted == nil {
		p.noted = map[netip.Addr]time.Time{}
	}
	p.noted[peer] = t
	return true
}

// noteProxy tells the operator, in the log and in the audit log.
func (s *Web) noteProxy(ctx context.Context, peer netip.Addr) {
	s.log.LogAttrs(ctx, slog.LevelWarn, "a reverse proxy is not trusted: all of its clients count as one source, and are limited together; name it in the trusted proxies if it is yours",
		slog.String("proxy", peer.String()))
	if err := s.auth.NoteUntrustedProxy(ctx, peer.String()); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "untrusted proxy", slog.Any("error", err))
	}
}

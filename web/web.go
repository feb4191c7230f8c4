package web

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/web/ui"
)

// Config says where and how the front door is mounted. Gatehouse is required.
type Config struct {
	Gatehouse *gatehouse.Gatehouse

	// URL is the public URL, without a path. With https the cookies are Secure
	// and carry the __Host- prefix, and HSTS is sent. Without one, the cookies
	// are for plain http: good for a loopback address and for nothing else.
	URL string
	// Prefix is where the JSON operations live. Default "/api/auth".
	Prefix string
	// Home is where people go after logging in. Default "/dashboard".
	Home string
	// AccessCookie, RefreshCookie and DeviceCookie name the cookies. Default
	// "access_token", "refresh_token" and "device", with the prefix "__Host-" behind https. Without that
	// prefix a sibling domain can plant cookies here.
	AccessCookie, RefreshCookie, DeviceCookie string
	// TrustedProxies may say in X-Forwarded-For who the client is. Default none.
	TrustedProxies []netip.Prefix
	// SiteName is shown on the pages. Default "Gatehouse".
	SiteName string
	// Overrides holds templates/*.html and messages/en.json that replace ours.
	Overrides fs.FS
	// Explain is handed every refusal, with all that led to it; it must not block.
	// Default none.
	Explain func(Refusal)
	// Logger gets a line for each fault of ours. Default slog.Default().
	Logger *slog.Logger
}

// Web is the front door. Its handlers may be used by any number of goroutines.
type Web struct {
	cfg     Config
	auth    *gatehouse.Gatehouse
	ui      *ui.UI
	log     *slog.Logger
	origin  string // of the public URL, or empty
	secure  bool
	csrf    *http.CrossOriginProtection
	headers headers
	strange strangeProxies
}

// New checks cfg, says everything that is wrong with it at once, and parses the
// templates.
func New(cfg Config) (*Web, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, "/api/auth")
	cfg.Home = cmp.Or(cfg.Home, "/dashboard")
	cfg.SiteName = cmp.Or(cfg.SiteName, "Gatehouse")
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	s := &Web{auth: cfg.Gatehouse, log: cfg.Logger, csrf: http.NewCrossOriginProtection()}

	var faults []error
	if cfg.Gatehouse == nil {
		faults = append(faults, errors.New("gatehouse is missing"))
	}
	if cfg.URL != "" {
		u, err := url.Parse(cfg.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			faults = append(faults, errors.New("the public URL is not http(s)://host[:port]"))
		} else {
			// As browsers write it: lower case, without the port of the scheme.
			defaultPort := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
			s.origin = u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), defaultPort)
			s.secure = u.Scheme == "https"
			if err := s.csrf.AddTrustedOrigin(s.origin); err != nil {
				faults = append(faults, fmt.Errorf("public URL: %w", err))
			}
		}
	}
	if !strings.HasPrefix(cfg.Prefix, "/") || strings.HasSuffix(cfg.Prefix, "/") || canonicalPath(cfg.Prefix) != strings.ToLower(cfg.Prefix) {
		faults = append(faults, fmt.Errorf("prefix %q is not a clean path such as /api/auth", cfg.Prefix))
	}
	if localPath(cfg.Home) != cfg.Home {
		faults = append(faults, fmt.Errorf("home %q is not a path on this origin", cfg.Home))
	}
	host := ""
	if s.secure {
		host = "__Host-"
	}
	cfg.AccessCookie = cmp.Or(cfg.AccessCookie, host+"access_token")
	cfg.RefreshCookie = cmp.Or(cfg.RefreshCookie, host+"refresh_token")
	cfg.DeviceCookie = cmp.Or(cfg.DeviceCookie, host+"device")
	for _, name := range []string{cfg.AccessCookie, cfg.RefreshCookie, cfg.DeviceCookie} {
		if (&http.Cookie{Name: name, Value: "x"}).Valid() != nil {
			faults = append(faults, fmt.Errorf("%q cannot be the name of a cookie", name))
		}
		if !s.secure && (strings.HasPrefix(name, "__Host-") || strings.HasPrefix(name, "__Secure-")) {
			faults = append(faults, fmt.Errorf("a cookie named %q needs an https URL", name))
		}
	}
	if cfg.AccessCookie == cfg.RefreshCookie || cfg.AccessCookie == cfg.DeviceCookie || cfg.RefreshCookie == cfg.DeviceCookie {
		faults = append(faults, errors.New("two cookies have one name"))
	}
	var err error
	if s.ui, err = ui.New(ui.Config{Overrides: cfg.Overrides, SiteName: cfg.SiteName}); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	s.cfg = cfg
	s.headers = newHeaders(s.secure)
	return s, nil
}

// Handler is everything: the JSON operations, the well-known documents and the
// pages. Mount it at "/"; more specific patterns of a ServeMux go before it, so
// that an application can have a home and a dashboard of its own.
func (s *Web) Handler() http.Handler { return s.serve(append(s.operations(), s.pages()...)) }

// API is the JSON operations and the well-known documents, without the pages.
func (s *Web) API() http.Handler { return s.serve(s.operations()) }

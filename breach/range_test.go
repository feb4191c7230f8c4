package breach

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// service answers as the range service does, with "password" and "test" leaked.
func service(w http.ResponseWriter, r *http.Request) {
	prefix, ok := strings.CutPrefix(r.URL.Path, "/range/")
	if !ok || len(prefix) != 5 || r.Header.Get("Add-Padding") != "true" || r.UserAgent() == "" {
		http.Error(w, "not like that", http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%035X:0\r\n", 1)
	for _, p := range []string{"password", "test"} {
		s := sum(p)
		if digits := strings.ToUpper(hex.EncodeToString(s[:])); digits[:5] == prefix {
			fmt.Fprintf(w, "%s:17\r\n", digits[5:])
		}
	}
	padding := sum("padding")
	fmt.Fprintf(w, "%s:0", strings.ToUpper(hex.EncodeToString(padding[:]))[5:])
}

func newRange(t testing.TB, h http.HandlerFunc) *Range {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	r, err := NewRange(RangeConfig{URL: server.URL + "/range"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRange(t *testing.T) {
	r := newRange(t, service)
	for p, want := range map[string]bool{"password": true, "test": true, "Password": false, "padding": false, "correct horse": false} {
		got, err := r.Contains(t.Context(), sum(p))
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", p, got, err, want)
		}
	}
}

// Over https, with a certificate that is believed and one that is not.
func TestRangeOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(service))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	r, err := NewRange(RangeConfig{URL: server.URL + "/range/", Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := r.Contains(t.Context(), sum("password")); err != nil || !found {
		t.Errorf("%v, %v; want that it has leaked", found, err)
	}
	if r, err = NewRange(RangeConfig{URL: server.URL + "/range"}); err != nil {
		t.Fatal(err)
	}
	if found, err := r.Contains(t.Context(), sum("password")); err == nil || found {
		t.Errorf("a certificate of nobody: %v, %v", found, err)
	}
}

// What is no answer is an error, which does not hold what was asked.
func TestRangeFaults(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for what, h := range map[string]http.HandlerFunc{
		"the page of a proxy": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Please log in") },
		"a list that ends in something else": func(w http.ResponseWriter, r *http.Request) {
			service(w, r)
			fmt.Fprint(w, "\r\n<html>")
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"404":     http.NotFound,
		"429":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"sent elsewhere": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				fmt.Fprintf(w, "%035X:1", 1)
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		"a cut answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "0018A")
		},
		"without an end": func(w http.ResponseWriter, _ *http.Request) {
			// So long that it is in order as far as it is read.
			_, _ = w.Write([]byte("0018A45C4D1DEF81644B54AB7F969B88D65:100000\n"))
			_, _ = w.Write(bytes.Repeat([]byte("0018A45C4D1DEF81644B54AB7F969B88D65:1\n"), 40_000))
		},
		"a broken answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		found, err := newRange(t, h).Contains(t.Context(), sum("password"))
		check := func(found bool, err error) {
			t.Helper()
			if err == nil || found {
				t.Errorf("%s: %v, %v; want an error", what, found, err)
			} else if strings.Contains(strings.ToUpper(err.Error()), "5BAA6") {
				t.Errorf("%s: the error says what was asked: %v", what, err)
			}
		}
		check(found, err)
	}
	r, err := NewRange(RangeConfig{URL: gone.URL + "/range"})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := r.Contains(t.Context(), sum("password")); err == nil || found || strings.Contains(strings.ToUpper(err.Error()), "5BAA6") {
		t.Errorf("nobody there: %v, %v", found, err)
	}
}

// Of any number of questions eight are put at once, and the rest wait.
func TestRangeAsksEightAtOnce(t *testing.T) {
	const most = 8
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	var now, peak atomic.Int64
	r := newRange(t, func(w http.ResponseWriter, q *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := peak.Load(); n > m && !peak.CompareAndSwap(m, n); m = peak.Load() {
		}
		arrived <- struct{}{}
		<-release
		service(w, q)
	})
	r.timeout = time.Minute
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if found, err := r.Contains(t.Context(), sum("password")); !found || err != nil {
				t.Errorf("%v, %v; want that it has leaked", found, err)
			}
		})
	}
	for range most {
		<-arrived
	}
	close(release)
	wg.Wait()
	if n := peak.Load(); n != most || cap(r.asking) != most {
		t.Errorf("%d were asked at once, want %d", n, most)
	}
}

// A service that does not answer is not waited for longer than was said.
func TestRangeTimeout(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	r := newRange(t, func(http.ResponseWriter, *http.Request) { <-release })
	r.timeout = time.Millisecond
	if found, err := r.Contains(t.Context(), sum("password")); found || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v; want that the time is over", found, err)
	}
}

func TestNewRangeRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                                   "must be a URL",
		"api.pwnedpasswords.com/range":       "must be a URL",
		"ftp://example.com/range":            "must be a URL",
		"https://":                           "must be a URL",
		"https://ann@example.com/range":      "must not hold a user",
		"https://example.com/range?x=":       "must not hold",
		"https://example.com/range#x":        "must not hold",
		"http://example.com/range":           "must be https",
		"http://localhost.example.com/range": "must be https",
	} {
		if _, err := NewRange(RangeConfig{URL: url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
	for _, url := range []string{"https://api.pwnedpasswords.com/range", "http://127.0.0.1:8000", "http://[::1]/x/", "http://localhost/range"} {
		if _, err := NewRange(RangeConfig{URL: url}); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

type faulty struct{}

func (faulty) Contains(ctx context.Context, _ [20]byte) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return false, errors.New("away")
}

func TestLenient(t *testing.T) {
	var log bytes.Buffer
	l := Lenient{List: faulty{}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if found, err := l.Contains(t.Context(), sum("password")); found || err != nil {
		t.Errorf("%v, %v; want that it has not leaked", found, err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "away") {
		t.Errorf("the log does not say so: %s", &log)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Contains(gone, sum("password")); !errors.Is(err, context.Canceled) {
		t.Errorf("whose caller has gone: %v", err)
	}
	l.List = newRange(t, service)
	if found, err := l.Contains(t.Context(), sum("password")); err != nil || !found {
		t.Errorf("%v, %v; want that it has leaked", found, err)
	}
}

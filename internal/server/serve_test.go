package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// running is a service on a free port.
type running struct {
	url     string
	stop    context.CancelFunc
	result  chan error
	service *service
}

func start(t *testing.T, s *service, change func(*Settings)) *running {
	t.Helper()
	t.Chdir(t.TempDir())
	loaded, err := Load(Input{})
	if err != nil {
		t.Fatal(err)
	}
	s.settings, s.log = &loaded.Settings, slog.New(slog.DiscardHandler)
	s.settings.ShutdownDelay = 0 // there is no load balancer here
	if change != nil {
		change(s.settings)
	}
	if s.ready == nil {
		s.ready = func(context.Context) error { return nil }
	}
	l, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{url: "http://" + l.Addr().String(), stop: cancel, result: make(chan error, 1), service: s}
	go func() { r.result <- s.serve(ctx, l) }()
	t.Cleanup(cancel)
	return r
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body)), resp.Header
}

func TestHealth(t *testing.T) {
	var fault atomic.Pointer[error]
	r := start(t, &service{
		handler: http.NotFoundHandler(),
		ready: func(context.Context) error {
			if err := fault.Load(); err != nil {
				return *err
			}
			return nil
		},
	}, nil)
	if code, body, h := get(t, r.url+"/livez"); code != 200 || body != `{"status":"ok"}` || h.Get("Cache-Control") != "no-store" {
		t.Errorf("/livez: %d %s %v", code, body, h)
	}
	if code, body, _ := get(t, r.url+"/readyz"); code != 200 || body != `{"status":"ok"}` {
		t.Errorf("/readyz: %d %s", code, body)
	}
	fault.Store(new(errors.New("disk full: /var/lib/secret")))
	r.service.probe.asked = time.Time{} // the answer of before is still good
	code, body, h := get(t, r.url+"/readyz")
	if code != 503 || body != `{"status":"unavailable","reasons":["store"]}` || h.Get("Retry-After") == "" {
		t.Errorf("/readyz without a store: %d %s", code, body)
	}
	if code, _, _ := get(t, r.url+"/livez"); code != 200 {
		t.Errorf("/livez without a store: %d", code)
	}
	resp, err := http.Post(r.url+"/livez", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
		t.Errorf("POST /livez: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

// TestHeadersOfTheService holds what the service answers itself to what the
// pages send with everything.
func TestHeadersOfTheService(t *testing.T) {
	for _, c := range []struct {
		method, path, host, url string
		status                  int
	}{
		{"GET", "/livez", "", "https://app.example", 200},
		{"GET", "/readyz", "", "https://app.example", 503},
		{"POST", "/livez", "", "https://app.example", 405},
		{"GET", "/livez", "", "", 200},
		{"GET", "/login", "evil.example", "", 421},
	} {
		s := &service{
			settings: &Settings{Mode: Development, Listen: "127.0.0.1:8080", URL: c.url}, handler: http.NotFoundHandler(),
			ready: func(context.Context) error { return errors.New("disk full") }, log: slog.New(slog.DiscardHandler),
		}
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
		want := map[string]string{
			"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "same-origin",
			"Strict-Transport-Security": "",
		}
		if c.url != "" {
			want["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
		}
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, got, value)
			}
		}
	}
}

// TestProbeAsksOnce holds a crowd at /readyz to one question of the store.
func TestProbeAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p probe
		asked := 0
		ready := func(context.Context) error { asked++; return nil }
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _ = p.check(ready, slog.New(slog.DiscardHandler)) })
		}
		wg.Wait()
		if asked != 1 {
			t.Errorf("100 at once asked %d times", asked)
		}
		time.Sleep(probeLasts)
		_ = p.check(ready, slog.New(slog.DiscardHandler))
		if asked != 2 {
			t.Errorf("asked %d times, want once more after %v", asked, probeLasts)
		}
	})
}

// TestProbeSaysWhatChanges: however often somebody asks, a store that goes away is a
// line, with the reason, and its return another one.
func TestProbeSaysWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p probe
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		for _, fault := range []error{nil, nil, errors.New("disk full"), errors.New("disk full"), nil, nil} {
			_ = p.check(func(context.Context) error { return fault }, log)
			time.Sleep(probeLasts)
		}
		if n := strings.Count(said.String(), "\n"); n != 2 || !strings.Contains(said.String(), `msg="not ready" error="disk full"`) || !strings.Contains(said.String(), "ready again") {
			t.Errorf("said: %s", &said)
		}
	})
}

// TestStop holds the orderly stop: not ready first, what was accepted is
// answered, and then the end, without an error.
func TestStop(t *testing.T) {
	const requests = 50
	arrived, release := make(chan struct{}, requests), make(chan struct{})
	r := start(t, &service{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		fmt.Fprint(w, "answered")
	})}, nil)
	answers := make(chan string, requests)
	for range requests {
		go func() {
			resp, err := http.Get(r.url + "/slow")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
	}
	for range requests {
		<-arrived
	}
	r.stop()
	for !r.service.stopping.Load() {
		select {
		case err := <-r.result:
			t.Fatalf("stopped with requests under way: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	rec := httptest.NewRecorder()
	r.service.routes().ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
	if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"stopping"`) {
		t.Errorf("/readyz while stopping: %d %s", rec.Code, rec.Body)
	}
	close(release)
	for range requests {
		if a := <-answers; a != "answered" {
			t.Errorf("a request that was accepted: %s", a)
		}
	}
	if err := <-r.result; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestStopHasALimit(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	r := start(t, &service{handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})}, func(s *Settings) { s.ShutdownTimeout = 10 * time.Millisecond })
	go func() { _, _ = http.Get(r.url + "/forever") }()
	<-arrived
	r.stop()
	if err := <-r.result; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("serve: %v, want it to say that requests were cut off", err)
	}
}

func TestSlowAndOversizedClients(t *testing.T) {
	r := start(t, &service{handler: http.NotFoundHandler()}, func(s *Settings) { s.HeaderTimeout = 50 * time.Millisecond })
	address := strings.TrimPrefix(r.url, "http://")

	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	if _, err := bufio.NewReader(slow).ReadByte(); err == nil {
		t.Error("a header that never ends was answered")
	}

	big, err := http.NewRequest("GET", r.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	big.Header.Set("X-Big", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(big)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a header of 64 KiB: %d", resp.StatusCode)
		}
	}
}

func TestOnlyLocalHosts(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, c := range []struct {
		host   string
		change func(*Settings)
		want   int
	}{
		{"localhost:8080", nil, 204},
		{"127.0.0.1:8080", nil, 204},
		{"[::1]:8080", nil, 204},
		{"[::1]", nil, 204},
		{"app.localhost", nil, 204},
		{"evil.example:8080", nil, 421},
		{"localhost.evil.example", nil, 421},
		{"127.0.0.1.evil.example", nil, 421},
		{"", nil, 421},
		{"dev.example", func(s *Settings) { s.URL = "http://dev.example" }, 204},
		{"dev.example", func(s *Settings) { s.Listen = "0.0.0.0:8080" }, 204},
	} {
		s := &service{settings: &Settings{Mode: Development, Listen: "127.0.0.1:8080"}, handler: ok}
		if c.change != nil {
			c.change(s.settings)
		}
		r := httptest.NewRequest("GET", "/login", nil)
		r.Host = c.host
		rec := httptest.NewRecorder()
		s.routes().ServeHTTP(rec, r)
		if rec.Code != c.want {
			t.Errorf("Host %q: %d, want %d", c.host, rec.Code, c.want)
		}
	}
}

// What is answered before the guard of the pages ends its connection, too, when
// a proxy in front may think that the request ends elsewhere.
func TestNothingIsHiddenInABody(t *testing.T) {
	r := start(t, &service{handler: http.NotFoundHandler()}, nil)
	host := strings.TrimPrefix(r.url, "http://")
	hidden := "GET /livez HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	for _, first := range []string{
		"GET /livez HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /readyz HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /readyz HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, first+hidden+hidden); err != nil {
			t.Fatal(err)
		}
		in, answers := bufio.NewReader(conn), 0
		for answers < 3 {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			answers++
		}
		if answers != 1 {
			t.Errorf("%q: %d answers, want 1 and the end of the connection", first, answers)
		}
	}
}

// TestPathsArriveAsTheyAre: cleaning a path is for the guard to do, who must
// see what was asked for.
func TestPathsArriveAsTheyAre(t *testing.T) {
	var seen string
	s := &service{settings: &Settings{Mode: Production}, handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.URL.Path })}
	for _, path := range []string{"//dashboard", "/a/../dashboard", "/dashboard/.", "/livez/", "//livez"} {
		seen = ""
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		s.routes().ServeHTTP(httptest.NewRecorder(), r)
		if seen != path {
			t.Errorf("%q arrives as %q", path, seen)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = listen(t.Context(), l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "GATEHOUSE_LISTEN") {
		t.Errorf("a second listener: %v, want it to name the setting", err)
	}
}

// TestLogNeverWaits blocks the sink and goes on logging.
func TestLogNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &stuck{open: make(chan struct{})}
		log, w := newLog(sink, "info", "json", false)
		const lines = logLines + 500
		for i := range lines { // returns, or the bubble is deadlocked
			log.Info("line", "n", i)
		}
		synctest.Wait()
		close(sink.open)
		w.Close(time.Second)
		got := sink.String()
		written := strings.Count(got, `"msg":"line"`)
		var lost int
		for line := range strings.Lines(got) {
			if i := strings.Index(line, `"count":`); i >= 0 {
				var n int
				if _, err := fmt.Sscanf(line[i:], `"count":%d`, &n); err != nil {
					t.Fatal(err)
				}
				lost += n
			}
		}
		if lost == 0 || written+lost != lines {
			t.Errorf("%d lines written and %d counted as dropped, want %d together", written, lost, lines)
		}
	})
}

// TestLogClosesInTime: a sink that never opens does not keep the process.
func TestLogClosesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &stuck{open: make(chan struct{})}
		log, w := newLog(sink, "info", "json", false)
		log.Info("x")
		began := time.Now()
		w.Close(time.Second)
		if d := time.Since(began); d != time.Second {
			t.Errorf("closed after %v, want 1s", d)
		}
		close(sink.open)
	})
}

// stuck is a sink that takes nothing until it is opened.
type stuck struct {
	open chan struct{}
	mu   sync.Mutex
	bytes.Buffer
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.open
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(b)
}

func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at 2000-01-01
		nasty := "a\nlevel=ERROR msg=forged \x1b[31m\x9b \u202egnp"
		for _, c := range []struct{ format, want string }{
			{"text", `time=2000-01-01T00:00:00.000Z level=INFO msg="a\nlevel=ERROR msg=forged \\u{1b}[31m\\u{fffd} \\u{202e}gnp" err="a\nlevel=ERROR msg=forged \\u{1b}[31m\\u{fffd} \\u{202e}gnp" n=3`},
			{"json", `{"time":"2000-01-01T00:00:00.000Z","level":"INFO","msg":"a\nlevel=ERROR msg=forged \\u{1b}[31m\\u{fffd} \\u{202e}gnp","err":"a\nlevel=ERROR msg=forged \\u{1b}[31m\\u{fffd} \\u{202e}gnp","n":3}`},
		} {
			var b bytes.Buffer
			log, w := newLog(&b, "info", c.format, false)
			log.Debug("not this")
			log.Info(nasty, "err", errors.New(nasty), "n", 3)
			w.Close(time.Second)
			if got := strings.TrimSuffix(b.String(), "\n"); got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.format, got, c.want)
			}
		}
	})
}

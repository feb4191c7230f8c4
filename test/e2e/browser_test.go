//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const password = "correct horse battery staple"

// browser keeps cookies and talks to a server. Any number of tabs may use it.
type browser struct {
	base   string
	client *http.Client

	mu  sync.Mutex
	jar map[string]string
}

func newBrowser(s *server) *browser {
	return &browser{base: s.url, jar: map[string]string{}, client: newClient()}
}

func newClient() *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// text is the field of the JSON body with this dotted name, or empty.
func (a *answer) text(name string) string {
	var v any
	if json.Unmarshal(a.body, &v) != nil {
		return ""
	}
	for part := range strings.SplitSeq(name, ".") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (a *answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// cookies is a copy of what the jar holds.
func (b *browser) cookies() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.jar)
}

// keep puts into the jar what an answer sets.
func (b *browser) keep(h http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
		} else {
			b.jar[c.Name] = c.Value
		}
	}
}

// try sends a request with the cookies of the jar and keeps those of the answer.
func (b *browser) try(method, path, kind, body string, headers ...string) (*answer, error) {
	a, err := b.send(context.Background(), b.cookies(), method, path, kind, body, headers...)
	if err == nil {
		b.keep(a.header)
	}
	return a, err
}

func (b *browser) send(ctx context.Context, cookies map[string]string, method, path, kind, body string, headers ...string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, b.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for name, value := range cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return &answer{resp.StatusCode, resp.Header, read}, err
}

const (
	jsonKind = "application/json"
	formKind = "application/x-www-form-urlencoded"
)

// post sends JSON that must be answered.
func (b *browser) post(t testing.TB, path, body string, headers ...string) *answer {
	t.Helper()
	return b.do(t, "POST", path, jsonKind, body, headers...)
}

func (b *browser) get(t testing.TB, path string, headers ...string) *answer {
	t.Helper()
	return b.do(t, "GET", path, "", "", headers...)
}

func (b *browser) do(t testing.TB, method, path, kind, body string, headers ...string) *answer {
	t.Helper()
	a, err := b.try(method, path, kind, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want fails the test unless the answer has the status.
func (a *answer) want(t testing.TB, what string, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: got %v, want %d", what, a, status)
	}
	return a
}

func credentials(email string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

// member is a browser that is logged in as a new user.
func member(t testing.TB, s *server, email string) *browser {
	t.Helper()
	b := newBrowser(s)
	b.post(t, "/api/auth/register", credentials(email)).want(t, "register", 201)
	b.post(t, "/api/auth/login", credentials(email)).want(t, "login", 200)
	return b
}

// canLogIn fails the test unless everybody with these addresses can log in.
func canLogIn(t *testing.T, s *server, emails []string) {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b := newBrowser(s)
			for i := int(next.Add(1)) - 1; i < len(emails); i = int(next.Add(1)) - 1 {
				a, err := b.send(t.Context(), nil, "POST", "/api/auth/login", jsonKind, credentials(emails[i]))
				if err != nil || a.status != 200 {
					t.Errorf("%s was registered, and cannot log in: %v %v", emails[i], a, err)
				}
			}
		})
	}
	all.Wait()
}

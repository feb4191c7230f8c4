package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/web"
)

const (
	ann      = "ann@example.com"
	password = "correct horse battery"
	secret   = "a-master-secret-for-tests-of-32-bytes-and-more"
)

// house is a front door with everything behind it. What it answers to do is
// held against the description in openapi.json on the way.
type house struct {
	t     *testing.T
	store *faultyStore
	auth  *gatehouse.Gatehouse
	web   *web.Web
	door  http.Handler
	log   *logBuffer
}

// open makes a house in which the given settings are changed.
func open(t *testing.T, change ...func(*gatehouse.Config, *web.Config)) *house {
	t.Helper()
	h := &house{t: t, store: &faultyStore{Store: memory.New()}, log: &logBuffer{}}
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	core := gatehouse.Config{
		Store: h.store, Secret: gatehouse.NewSecret([]byte(secret)), Logger: logger,
		HashMemory: 8, HashTime: 1, HashWorkers: 2, HashQueue: 256,
	}
	edge := web.Config{Logger: logger}
	for _, f := range change {
		f(&core, &edge)
	}
	var err error
	if h.auth, err = gatehouse.New(core); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.auth.Close() })
	edge.Gatehouse = h.auth
	if h.web, err = web.New(edge); err != nil {
		t.Fatal(err)
	}
	h.door = h.web.Handler()
	return h
}

// https is the change that puts the house behind https://app.example.
func https(_ *gatehouse.Config, edge *web.Config) { edge.URL = "https://app.example" }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	fields map[string]any // of the body, if it is a JSON object
}

// request describes a request: the header lines "Name: value" follow the body.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r
}

const (
	asJSON = "Content-Type: application/json"
	asForm = "Content-Type: application/x-www-form-urlencoded"
)

func (h *house) do(method, target, body string, headers ...string) *answer {
	h.t.Helper()
	return h.serve(h.door, request(method, target, body, headers...))
}

// json posts a value as JSON.
func (h *house) json(target string, v any, headers ...string) *answer {
	h.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do("POST", target, string(b), append([]string{asJSON}, headers...)...)
}

// form posts a form as a browser does.
func (h *house) form(target string, fields map[string]string, headers ...string) *answer {
	h.t.Helper()
	values := url.Values{}
	for k, v := range fields {
		values.Set(k, v)
	}
	return h.do("POST", target, values.Encode(), append([]string{asForm, "Accept: text/html"}, headers...)...)
}

func (h *house) serve(handler http.Handler, r *http.Request) *answer {
	h.t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	res := w.Result()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := &answer{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.fields)
	checkDescribed(h.t, r, a)
	return a
}

// register makes Ann, and login logs her in and returns the Cookie header.
func (h *house) register() {
	h.t.Helper()
	a := h.json("/api/auth/register", map[string]string{"name": "Ann", "email": ann, "password": password})
	if a.status != 201 {
		h.t.Fatalf("register: %d %s", a.status, a.body)
	}
}

func (h *house) login(headers ...string) string {
	h.t.Helper()
	a := h.json("/api/auth/login", map[string]string{"email": ann, "password": password}, headers...)
	if a.status != 200 {
		h.t.Fatalf("login: %d %s", a.status, a.body)
	}
	return a.cookies()
}

// member is register and login.
func (h *house) member() string {
	h.t.Helper()
	h.register()
	return h.login()
}

// sessions are all stored sessions of Ann.
func (h *house) sessions() []*gatehouse.Session {
	h.t.Helper()
	u, err := h.auth.FindUser(h.t.Context(), ann)
	if err != nil {
		h.t.Fatal(err)
	}
	list, err := h.store.Store.SessionsOf(h.t.Context(), u.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func (a *answer) set() []*http.Cookie { return (&http.Response{Header: a.header}).Cookies() }

// cookies is the header with which a browser would send the cookies back.
func (a *answer) cookies() string {
	var parts []string
	for _, c := range a.set() {
		parts = append(parts, c.Name+"="+c.Value)
	}
	return "Cookie: " + strings.Join(parts, "; ")
}

// cookie is the value of one cookie that was set.
func (a *answer) cookie(name string) string {
	for _, c := range a.set() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// only keeps one cookie of a Cookie header.
func only(cookies, name string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(cookies, "Cookie: "), "; ") {
		if strings.HasPrefix(part, name+"=") {
			return "Cookie: " + part
		}
	}
	return "Cookie: none=none"
}

func (a *answer) str(field string) string {
	s, _ := a.fields[field].(string)
	return s
}

// refused checks a refusal in JSON: status, sentence, code and field. An empty
// sentence stands for any.
func (a *answer) refused(t *testing.T, status int, sentence, code, field string) {
	t.Helper()
	if a.status != status || sentence != "" && a.str("error") != sentence || a.str("code") != code || a.str("field") != field {
		t.Errorf("got %d %s, want %d, error %q, code %q, field %q", a.status, a.body, status, sentence, code, field)
	}
	if a.str("error") == "" || len(a.str("ref")) != 16 || a.header.Get("X-Request-Id") != a.str("ref") {
		t.Errorf("a refusal without sentence or reference: %s, X-Request-Id %q", a.body, a.header.Get("X-Request-Id"))
	}
}

// faultyStore is a store whose database goes away, or whose driver panics, when
// told so.
type faultyStore struct {
	gatehouse.Store
	down   atomic.Bool
	broken atomic.Bool
}

func (s *faultyStore) fault() error {
	if s.broken.Load() {
		panic("the driver is broken")
	}
	if s.down.Load() {
		return gatehouse.ErrUnavailable
	}
	return nil
}

func (s *faultyStore) CreateUser(ctx context.Context, u *gatehouse.User) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.CreateUser(ctx, u)
}

func (s *faultyStore) User(ctx context.Context, id string) (*gatehouse.User, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.User(ctx, id)
}

func (s *faultyStore) UserByEmail(ctx context.Context, key string) (*gatehouse.User, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.UserByEmail(ctx, key)
}

func (s *faultyStore) SaveUser(ctx context.Context, u *gatehouse.User) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.SaveUser(ctx, u)
}

func (s *faultyStore) CreateSession(ctx context.Context, x *gatehouse.Session) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.CreateSession(ctx, x)
}

func (s *faultyStore) Session(ctx context.Context, id string) (*gatehouse.Session, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.Session(ctx, id)
}

func (s *faultyStore) SaveSession(ctx context.Context, x *gatehouse.Session) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.SaveSession(ctx, x)
}

func (s *faultyStore) SessionsOf(ctx context.Context, id string) ([]*gatehouse.Session, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.SessionsOf(ctx, id)
}

// logBuffer is a log that may be written to by many.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (s *faultyStore) Events(ctx context.Context, q gatehouse.EventQuery) ([]*gatehouse.Event, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.Events(ctx, q)
}

//go:build linux

package attack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const password = "correct horse battery staple"

const (
	jsonKind = "application/json"
	formKind = "application/x-www-form-urlencoded"
)

// asBrowser are the headers of somebody who follows a link.
var asBrowser = []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate"}

// asProgram is without headers of its own.
var asProgram []string

// client sends requests with the cookies of its jar, and keeps those of the
// answers. It is used by one goroutine; try may be used by many.
type client struct {
	s     *server
	http  *http.Client
	jar   map[string]string
	email string // of the user, if there is one
}

func newClient(s *server) *client {
	return &client{s: s, jar: map[string]string{}, http: &http.Client{
		Timeout:       60 * time.Second,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

var transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}

// users counts those that were made, so that each has an address of its own.
var users atomic.Int64

func newEmail() string { return fmt.Sprintf("user%d@example.com", users.Add(1)) }

// member is a client that is logged in as a new user.
func member(t testing.TB, s *server) *client {
	t.Helper()
	c := newClient(s)
	c.email = newEmail()
	c.post(t, "/api/auth/register", credentials(c.email, password)).want(t, 201)
	c.login(t)
	return c
}

func (c *client) login(t testing.TB) *answer {
	t.Helper()
	return c.post(t, "/api/auth/login", credentials(c.email, password)).want(t, 200)
}

// fresh is another client, without cookies, of the same user.
func (c *client) fresh() *client {
	d := newClient(c.s)
	d.email = c.email
	return d
}

// with is a client that holds these cookies, given as names and values.
func with(s *server, cookies ...string) *client {
	c := newClient(s)
	for i := 0; i < len(cookies); i += 2 {
		c.jar[cookies[i]] = cookies[i+1]
	}
	return c
}

func credentials(email, password string) string {
	return toJSON(map[string]string{"email": email, "password": password})
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// answer is a response that was read to its end.
type answer struct {
	request string
	status  int
	header  http.Header
	body    []byte
}

// try sends a request with the given cookies. Headers are names and values; a
// name that is there twice is sent twice, and Host is what it says.
func (c *client) try(ctx context.Context, cookies map[string]string, method, path, kind, body string, headers ...string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.s.host, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	// As it is written: the attacks are not to be tidied up.
	req.URL.Opaque = path
	if at, query, ok := strings.Cut(path, "?"); ok {
		req.URL.Opaque, req.URL.RawQuery = at, query
	}
	if strings.HasPrefix(path, "//") {
		return nil, fmt.Errorf("%s can only be sent raw", path)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for name, value := range cookies {
		req.Header["Cookie"] = append(req.Header["Cookie"], name+"="+value)
	}
	if len(cookies) > 0 {
		req.Header["Cookie"] = []string{strings.Join(req.Header["Cookie"], "; ")}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return &answer{method + " " + path, resp.StatusCode, resp.Header, read}, err
}

// do sends a request that must be answered, and never with a fault.
func (c *client) do(t testing.TB, method, path, kind, body string, headers ...string) *answer {
	t.Helper()
	a, err := c.try(context.Background(), c.jar, method, path, kind, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status >= 500 {
		t.Errorf("a fault of the service: %v", a)
	}
	for name, value := range a.cookies() {
		if value == "" {
			delete(c.jar, name)
		} else {
			c.jar[name] = value
		}
	}
	return a
}

func (c *client) get(t testing.TB, path string, headers ...string) *answer {
	t.Helper()
	return c.do(t, "GET", path, "", "", headers...)
}

// post sends JSON.
func (c *client) post(t testing.TB, path, body string, headers ...string) *answer {
	t.Helper()
	return c.do(t, "POST", path, jsonKind, body, headers...)
}

// form sends a form as a browser does, given as names and values.
func (c *client) form(t testing.TB, path string, pairs ...string) *answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return c.do(t, "POST", path, formKind, v.Encode(), append([]string{"Sec-Fetch-Site", "same-origin"}, asBrowser...)...)
}

// cookies are those that the answer sets; one that it takes away is empty.
func (a *answer) cookies() map[string]string {
	set := map[string]string{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		set[c.Name] = c.Value
		if c.MaxAge < 0 {
			set[c.Name] = ""
		}
	}
	return set
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

func (a *answer) location() string { return a.header.Get("Location") }

func (a *answer) isPage() bool { return strings.HasPrefix(a.header.Get("Content-Type"), "text/html") }

func (a *answer) contains(text string) bool { return bytes.Contains(a.body, []byte(text)) }

func (a *answer) String() string {
	return fmt.Sprintf("%.200s: %d %q %.300q", a.request, a.status, a.location(), a.body)
}

// want fails the test unless the status is one of these.
func (a *answer) want(t testing.TB, statuses ...int) *answer {
	t.Helper()
	if slices.Contains(statuses, a.status) {
		return a
	}
	t.Fatalf("got %v, want %d", a, statuses)
	return a
}

// is reports whether the status is one of these, and is for goroutines other than
// the test's own.
func (a *answer) is(t testing.TB, statuses ...int) bool {
	if slices.Contains(statuses, a.status) {
		return true
	}
	t.Errorf("got %v, want %d", a, statuses)
	return false
}

// access and refresh are the tokens in the jar.
func (c *client) access() string  { return c.jar[c.name("access_token")] }
func (c *client) refresh() string { return c.jar[c.name("refresh_token")] }

func (c *client) name(cookie string) string {
	if _, ok := c.jar["__Host-"+cookie]; ok {
		return "__Host-" + cookie
	}
	return cookie
}

// copy is a client with the same cookies, such as a thief has.
func (c *client) copy() *client {
	d := c.fresh()
	d.jar = maps.Clone(c.jar)
	return d
}

// me is the id of the user that the client is logged in as, or empty.
func (c *client) me(t testing.TB) string {
	t.Helper()
	a := c.get(t, "/api/auth/me")
	if a.status == 200 {
		return a.text("user.id")
	}
	a.want(t, 401)
	return ""
}

// raw sends bytes as they are, and returns the answers until the connection is
// closed or nothing comes any more. HOST stands for the address of the service.
// What it waits after the last answer can only make it overlook something.
func raw(t testing.TB, s *server, text string) []*answer {
	t.Helper()
	conn := dial(t, s)
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	// The service may close before it has read all.
	_, _ = io.WriteString(conn, strings.ReplaceAll(text, "HOST", s.host))
	first, _, _ := strings.Cut(text, "\r\n")
	var answers []*answer
	for r := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		body, _ := io.ReadAll(resp.Body) // cut off with the connection
		resp.Body.Close()
		a := &answer{first, resp.StatusCode, resp.Header, body}
		if a.status >= 500 && a.status != 505 && a.status != 501 {
			t.Errorf("a fault of the service: %v", a)
		}
		answers = append(answers, a)
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	}
}

func dial(t testing.TB, s *server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.host)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	return conn
}

// one is raw for what must be answered once, or not at all: then the status is 0.
func one(t testing.TB, s *server, text string) *answer {
	t.Helper()
	answers := raw(t, s, text)
	if len(answers) > 1 {
		t.Errorf("%.100q was answered %d times", text, len(answers))
	}
	if len(answers) == 0 {
		return &answer{request: text[:min(len(text), 80)], header: http.Header{}}
	}
	return answers[0]
}

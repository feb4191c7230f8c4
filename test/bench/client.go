package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client is one browser on one connection. It writes requests and reads answers
// by hand, so that little of the machine goes to the side that is not measured.
type client struct {
	host  string
	email string
	conn  net.Conn
	in    *textproto.Reader

	access, refresh, device string
}

func anonymous(url string) *client { return &client{host: strings.TrimPrefix(url, "http://")} }

// newClient logs in.
func newClient(url, email string) (*client, error) {
	c := anonymous(url)
	c.email = email
	return c, postLogin(c)
}

// operation is one request and its answer.
type operation func(*client) error

func getMe(c *client) error { return c.do("GET", "/api/auth/me", "", 200) }

func postRefresh(c *client) error { return c.do("POST", "/api/auth/refresh", "", 200) }

func postLogin(c *client) error {
	return c.do("POST", "/api/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, c.email, password), 200)
}

// postLogins logs in one user after the other, each in a browser that was not
// logged in: that is what most logins are.
func postLogins(users int) operation {
	var n atomic.Int64
	return func(c *client) error {
		c.access, c.refresh = "", ""
		c.email = userEmail(int(n.Add(1)) % users)
		return postLogin(c)
	}
}

func postRegister() operation {
	var n atomic.Int64
	run := strings.ToLower(rand.Text()[:8]) // others may have registered there
	return func(c *client) error {
		return c.do("POST", "/api/auth/register", fmt.Sprintf(`{"email":"%s%d@example.com","password":%q}`, run, n.Add(1), password), 201)
	}
}

func (c *client) do(method, path, body string, want int) error {
	status, _, _, err := c.exchange(method, path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if status != want {
		return fmt.Errorf("%s %s: status %d, want %d", method, path, status, want)
	}
	return nil
}

// raw is an answer as it came: header lines and body.
func (c *client) raw(method, path string) ([]byte, error) {
	_, header, body, err := c.exchange(method, path, "")
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(answer{header, body})
	return b, err
}

type answer struct {
	Header map[string][]string
	Body   []byte
}

func (c *client) exchange(method, path, body string) (int, map[string][]string, []byte, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.host)
		if err != nil {
			return 0, nil, nil, err
		}
		c.conn, c.in = conn, textproto.NewReader(bufio.NewReader(conn))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, c.host)
	if c.access != "" {
		fmt.Fprintf(&b, "Cookie: access_token=%s; refresh_token=%s; device=%s\r\n", c.access, c.refresh, c.device)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\n")
	}
	if method != "GET" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		return 0, nil, nil, err
	}
	line, err := c.in.ReadLine()
	if err != nil {
		return 0, nil, nil, err
	}
	header, err := c.in.ReadMIMEHeader()
	if err != nil {
		return 0, nil, nil, err
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("content length: %w", err)
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(c.in.R, content); err != nil {
		return 0, nil, nil, err
	}
	for _, cookie := range header["Set-Cookie"] {
		pair, _, _ := strings.Cut(cookie, ";")
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "access_token":
			c.access = value
		case "refresh_token":
			c.refresh = value
		case "device":
			c.device = value
		}
	}
	status, err := strconv.Atoi(strings.Fields(line)[1])
	return status, header, content, err
}

// drive lets each client repeat the operation for the given time, and says how
// often that went and how much processor time it cost the server.
func drive(p *process, clients []*client, op operation, each time.Duration) (sample, error) {
	for _, c := range clients {
		if err := op(c); err != nil { // connections and caches are warm
			return sample{}, err
		}
	}
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	var n atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, len(clients))
	began := time.Now()
	for _, c := range clients {
		all.Go(func() {
			for time.Since(began) < each {
				if err := op(c); err != nil {
					failed <- err
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	select {
	case err := <-failed:
		return sample{}, err
	default:
	}
	return sample{float64(n.Load()) / took.Seconds(), (after - before) / time.Duration(max(1, n.Load()))}, nil
}

// register makes one user and says the id.
func register(url, email string) (string, error) {
	c := anonymous(url)
	status, _, body, err := c.exchange("POST", "/api/auth/register", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	if err != nil {
		return "", err
	}
	if status != http.StatusCreated {
		return "", fmt.Errorf("register: %d %s", status, body)
	}
	var reply struct{ User struct{ ID string } }
	if err := json.Unmarshal(body, &reply); err != nil {
		return "", err
	}
	return reply.User.ID, nil
}

// startBare starts this program again as the bare handler.
func startBare(ctx context.Context, folder string, a []byte) (*process, error) {
	file := folder + "/answer.json"
	if err := os.WriteFile(file, a, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return launch(exec.CommandContext(ctx, self, "-bare", file))
}

func readAnswer(file string) (http.Header, []byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, nil, err
	}
	delete(a.Header, "Date")
	return a.Header, a.Body, nil
}

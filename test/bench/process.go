package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// process is a server under measurement.
type process struct {
	cmd *exec.Cmd
	url string

	mu     sync.Mutex
	output bytes.Buffer
}

const password = "correct horse battery staple"

// startGatehouse fills a store with users, who share one password hash, and
// starts the binary on it.
func startGatehouse(ctx context.Context, binary, folder string, users int) (*process, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	// The first start makes the secret and the database.
	p, err := start(ctx, binary, folder)
	if err != nil {
		return nil, err
	}
	first, err := register(p.url, userEmail(0))
	p.stop()
	if err != nil {
		return nil, err
	}
	if err := fill(ctx, filepath.Join(folder, "gatehouse.db"), first, users); err != nil {
		return nil, fmt.Errorf("fill the store: %w", err)
	}
	return start(ctx, binary, folder)
}

func start(ctx context.Context, binary, folder string) (*process, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--listen", "127.0.0.1:0", "--data", folder)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GATEHOUSE_LIMITS=off")
	return launch(cmd)
}

var address = regexp.MustCompile(`http://(127\.0\.0\.1:[0-9]+)`)

// launch starts a server and waits until it has said where it listens.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = w.Close()
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			p.mu.Lock()
			p.output.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
	}()
	select {
	case a, ok := <-found:
		if !ok {
			_ = cmd.Wait()
			return nil, errors.New("the server did not start: " + p.log())
		}
		p.url = "http://" + a
		return p, nil
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		return nil, errors.New("the server did not say where it listens: " + p.log())
	}
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := strings.Split(p.output.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpu is the processor time that the process has used, all threads together.
func (p *process) cpu() (time.Duration, error) { return processorTime(p.cmd.Process.Pid) }

// resident is the memory of the process in bytes.
func (p *process) resident() (int64, error) { return residentMemory(p.cmd.Process.Pid) }

// fill copies the credential of one user to all others: what is measured is not
// how users are made.
func fill(ctx context.Context, file, first string, users int) error {
	store, err := sqlite.Open(file, sqlite.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	model, err := store.User(ctx, first)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	failed := make(chan error, 64)
	for w := range 64 {
		all.Go(func() {
			for i := 1 + w; i < users; i += 64 {
				u := *model
				u.ID = fmt.Sprintf("%08x-0000-7000-8000-000000000000", i)
				u.Email, u.EmailKey = userEmail(i), userEmail(i)
				if err := store.CreateUser(ctx, &u); err != nil && !errors.Is(err, gatehouse.ErrExists) {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// measureStarts is the median time from exec to the first answer.
func measureStarts(ctx context.Context, binary, folder string) (time.Duration, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return 0, err
	}
	var times []sample
	for range 7 {
		began := time.Now()
		p, err := start(ctx, binary, folder)
		if err != nil {
			return 0, err
		}
		res, err := http.Get(p.url + "/livez")
		took := time.Since(began)
		if err != nil {
			return 0, err
		}
		_ = res.Body.Close()
		p.stop()
		times = append(times, sample{cpu: took})
	}
	return median(times).cpu, nil
}

// serveBare is the bare handler: it writes the bytes of a file, headers as well.
func serveBare(file string) error {
	headers, body, err := readAnswer(file)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		maps.Copy(h, headers)
		_, _ = w.Write(body)
	})}
	return srv.Serve(l)
}

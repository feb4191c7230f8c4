package browser

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What all tests share: the built command, one running service, one browser in
// which each test has a window with cookies of its own, and the rules of axe.
var (
	command string
	shared  *service
	window  context.Context
	axe     string
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if axe, err = readAxe(); err != nil {
		return 1, err
	}
	folder, err := os.MkdirTemp("", "gatehouse-browser-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	command = filepath.Join(folder, "gatehouse")
	build := exec.Command("go", "build", "-o", command, "./cmd/gatehouse")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	if shared, err = startService(filepath.Join(folder, "data")); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.stop()) }()
	ctx, closeBrowser, err := launch(filepath.Join(folder, "profile"))
	if err != nil {
		return 1, err
	}
	defer closeBrowser()
	window = ctx
	// The stories wait for the browser and the clock more than for the processor.
	if err := flag.Set("test.parallel", "6"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// readAxe is the source of axe-core, which is installed first where it is not.
func readAxe() (string, error) {
	name := filepath.Join("node_modules", "axe-core", "axe.min.js")
	source, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if out, err := exec.Command("npm", "ci").CombinedOutput(); err != nil {
			return "", fmt.Errorf("axe-core is not installed, and npm ci cannot install it: %w\n%s", err, out)
		}
		source, err = os.ReadFile(name)
	}
	return string(source), err
}

// service is the command, serving on an address of its own.
type service struct {
	url string
	cmd *exec.Cmd
	log *strings.Builder
}

func startService(data string, flags ...string) (*service, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)
	s := &service{cmd: exec.Command(command, args...), log: &strings.Builder{}}
	s.cmd.Stderr = s.log
	s.cmd.Dir = filepath.Dir(command) // where no settings lie about
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	first, _ := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(first)
	if len(words) == 0 || !strings.HasPrefix(words[len(words)-1], "http://") {
		return nil, fmt.Errorf("the service does not say where it is, but %q; %w\n%s", first, s.stop(), s.log)
	}
	s.url = words[len(words)-1]
	return s, nil
}

// stop ends the service as an operator would.
func (s *service) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the service stopped with %w\n%s", err, s.log)
	}
	return nil
}

// launch starts Chromium on a profile. What the profile keeps is on disk when
// closeBrowser returns.
func launch(profile string, more ...chromedp.ExecAllocatorOption) (ctx context.Context, closeBrowser func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.UserDataDir(profile),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900),
	)
	if path := chromium(); path != "" {
		options = append(options, chromedp.ExecPath(path))
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root cannot have
	}
	allocator, release := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	ctx, cancel := chromedp.NewContext(allocator)
	closeBrowser = sync.OnceFunc(func() {
		patience, enough := context.WithTimeout(ctx, 10*time.Second)
		defer enough()
		_ = chromedp.Cancel(patience)
		cancel()
		release()
	})
	if err := chromedp.Do(ctx); err != nil {
		closeBrowser()
		return nil, nil, fmt.Errorf("start Chromium: %w", err)
	}
	return ctx, closeBrowser, nil
}

// chromium is the browser to use, or empty to let it be searched for.
func chromium() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	path, _ := exec.LookPath("chromium")
	return path
}

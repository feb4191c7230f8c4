package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisBin is the environment variable that names another server than the
// redis-server that is installed: another version, or a valkey-server.
const RedisBin = "GATEHOUSE_TEST_REDIS"

// RedisServer is a redis-server on loopback with a folder of its own.
type RedisServer struct {
	Folder string
	Port   int

	path string
	cli  string // what sends it commands
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Redis starts a server that writes everything to disk before it answers, and
// stops it when the test ends. Further settings are as on the command line of
// redis-server: "--requirepass", "x".
func Redis(tb testing.TB, settings ...string) *RedisServer {
	tb.Helper()
	s, err := StartRedis(tb.TempDir(), settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// StartRedis is [Redis] for those who have no test at hand, such as TestMain. The
// caller stops it.
func StartRedis(folder string, settings ...string) (*RedisServer, error) {
	path, err := program(os.Getenv(RedisBin), "redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	cli, err := redisCLI(path)
	if err != nil {
		return nil, err
	}
	port, err := redisPort()
	if err != nil {
		return nil, err
	}
	s := &RedisServer{Folder: folder, Port: port, path: path, cli: cli, args: append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", folder, "--logfile", "log", "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", "--repl-diskless-sync-delay", "0",
	}, settings...)}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// redisCLI is the program that sends commands to a server: the one that lies beside
// it, or the one that is installed.
func redisCLI(server string) (string, error) {
	folder, name := filepath.Split(server)
	beside := folder + strings.TrimSuffix(name, "-server") + "-cli"
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	return program("", "redis-cli", "redis-tools")
}

// redisPort is a free port, as is the one 10000 above, on which servers of a
// Cluster talk to each other.
func redisPort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port > 55_000 {
			continue
		}
		if bus, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10_000)); err == nil {
			bus.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

// Start starts it, again if it was stopped or killed: on the same port, with what
// is in the folder.
func (s *RedisServer) Start() error {
	s.cmd = exec.Command(s.path, s.args...)
	s.cmd.Dir = s.Folder
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.cmd, s.done)
	return redisEventually(func() error {
		select {
		case <-s.done:
			log, _ := os.ReadFile(filepath.Join(s.Folder, "log"))
			return fmt.Errorf("redis-server ended at its start: %s", log)
		default:
		}
		answer, err := s.Do("PING")
		if err == nil && answer != "PONG" && !strings.HasPrefix(answer, "NOAUTH") {
			err = errors.New(answer)
		}
		if err == nil {
			// At its end it must not wait for replicas. Those before Redis 7 never
			// do, and do not know the setting; nor does a Sentinel.
			_, _ = s.Do("CONFIG", "SET", "shutdown-timeout", "0")
		}
		return err
	})
}

// redisEventually is nil as soon as f is, and what f last said if that takes long.
func redisEventually(f func() error) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := f(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Revive starts it again if it has ended by itself, as a supervisor does.
func (s *RedisServer) Revive() error {
	select {
	case <-s.done:
		return s.Start()
	default:
		return nil
	}
}

// Stop ends it in order.
func (s *RedisServer) Stop() { s.end(os.Interrupt) }

// Kill ends it at once (SIGKILL).
func (s *RedisServer) Kill() { s.end(os.Kill) }

func (s *RedisServer) end(signal os.Signal) {
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.done:
	case <-time.After(5 * time.Second): // a primary that waits for its replica
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// Address is host and port.
func (s *RedisServer) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// URL names it.
func (s *RedisServer) URL() string { return "redis://" + s.Address() }

// Do sends a command with redis-cli and returns what it prints.
func (s *RedisServer) Do(command ...string) (string, error) {
	cmd := exec.Command(s.cli, append([]string{"-p", strconv.Itoa(s.Port)}, command...)...)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// RedisSentinel is a primary, a replica, and a Sentinel that watches them.
type RedisSentinel struct {
	Primary, Replica, Sentinel *RedisServer
}

// RedisWithSentinel starts all three, and stops them when the test ends. A primary
// that does not answer for half a second is replaced.
func RedisWithSentinel(tb testing.TB) *RedisSentinel {
	tb.Helper()
	primary := Redis(tb)
	replica := Redis(tb, "--replicaof", "127.0.0.1", strconv.Itoa(primary.Port))
	awaitRedis(tb, func() error {
		if info, err := replica.Do("INFO", "replication"); err != nil || !strings.Contains(info, "master_link_status:up") {
			return fmt.Errorf("the replica is not in touch with its primary: %s %w", info, err)
		}
		return nil
	})
	folder := tb.TempDir()
	port, err := redisPort()
	if err != nil {
		tb.Fatal(err)
	}
	conf := filepath.Join(folder, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile log\nsentinel monitor main 127.0.0.1 %d 1\n"+
		"sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n", port, folder, primary.Port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	watch := &RedisServer{Folder: folder, Port: port, path: primary.path, cli: primary.cli, args: []string{conf, "--sentinel"}}
	if err := watch.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(watch.Kill)
	awaitRedis(tb, func() error {
		if told, err := watch.Do("SENTINEL", "replicas", "main"); err != nil || !strings.Contains(told, strconv.Itoa(replica.Port)) {
			return fmt.Errorf("the Sentinel does not know the replica: %s %w", told, err)
		}
		return nil
	})
	return &RedisSentinel{primary, replica, watch}
}

// URL names the setup.
func (s *RedisSentinel) URL() string { return "redis+sentinel://" + s.Sentinel.Address() + "/main" }

// RedisCluster starts a Cluster of three servers, each with so many replicas, and
// stops them when the test ends. A server that does not answer for a second is
// replaced by a replica.
func RedisCluster(tb testing.TB, replicas int) (servers []*RedisServer, url string) {
	tb.Helper()
	var addresses []string
	for range 3 * (1 + replicas) {
		s := Redis(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
		servers = append(servers, s)
		addresses = append(addresses, s.Address())
	}
	create := exec.Command(servers[0].cli, append(append([]string{"--cluster", "create"}, addresses...), "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")...)
	if out, err := create.CombinedOutput(); err != nil {
		tb.Fatalf("create the Cluster: %v\n%s", err, out)
	}
	for _, s := range servers {
		awaitRedis(tb, func() error {
			if info, err := s.Do("CLUSTER", "INFO"); err != nil || !strings.Contains(info, "cluster_state:ok") {
				return fmt.Errorf("the Cluster is not ready: %s %w", info, err)
			}
			return nil
		})
	}
	return servers, "redis+cluster://" + strings.Join(addresses, ",")
}

func awaitRedis(tb testing.TB, f func() error) {
	tb.Helper()
	if err := redisEventually(f); err != nil {
		tb.Fatal(err)
	}
}

// Processes are those of the server at this moment.
func (s *RedisServer) Processes() []int { return []int{s.cmd.Process.Pid} }

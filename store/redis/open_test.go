package redis

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// A Redis that cannot be used is refused with a sentence that says what to do, and
// without the password.
func TestOpenRefuses(t *testing.T) {
	locked := service.Redis(t, "--requirepass", "hunter2", "--appendonly", "no")
	replica := service.Redis(t, "--replicaof", "127.0.0.1", strconv.Itoa(shared.Port))
	full := service.Redis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	nobody := free.Addr().String()

	for name, c := range map[string]struct{ url, says string }{
		"wrong password": {"redis://:hunter3@" + locked.Address(), "does not accept the user or password"},
		"wrong user":     {"redis://ann:hunter2@" + locked.Address(), "does not accept the user or password"},
		"no password":    {locked.URL(), "wants a password"},
		"nobody":         {"redis://:hunter2@" + nobody, "is it running"},
		"no socket":      {"unix:///nowhere/redis.sock", "no such socket"},
		"no host":        {"redis://nowhere.invalid", "no host of that name"},
		"replica":        {replica.URL(), "name its primary"},
		"full":           {full.URL(), "maxmemory"},
		"database":       {shared.URL() + "/99", "no database of that number"},
		"not TLS":        {"rediss://" + shared.Address(), "use redis://"},
		"too old":        {"redis://" + redis5(t), "it is Redis 5.0.14, and Gatehouse needs Redis 6.0 or Valkey 7.2, or later"},
		"no Cluster":     {"redis+cluster://" + shared.Address(), "is no Cluster"},
		"no Sentinel":    {"redis+sentinel://" + shared.Address() + "/main", "no Sentinel"},
		"what is no URL": {"hunter2", "is named like"},
		"missing ca":     {"rediss://h?ca=/nowhere", "trusted certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			c1, err := Open(t.Context(), c.url, Options{Key: testKey, Timeout: 2 * time.Second})
			if err == nil {
				c1.Close()
				t.Fatal("it is accepted")
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("err = %v, want one with %q and without a password", err, c.says)
			}
		})
	}
	if _, err := Open(t.Context(), shared.URL(), Options{Key: gatehouse.NewSecret([]byte("short"))}); err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Errorf("a short key: %v", err)
	}
	if _, err := Open(t.Context(), shared.URL(), Options{Key: testKey, Prefix: "a{b}"}); err == nil || !strings.Contains(err.Error(), "braces") {
		t.Errorf("a prefix with braces: %v", err)
	}
}

func TestTooOld(t *testing.T) {
	for version, ok := range map[string]bool{"2.8.24": false, "5.0.14": false, "6.0.16": true, "6.2.0": true, "7.0.15": true, "8.4.0": true, "10.0.0": true, "": false, "x": false} {
		if why := tooOld(map[string]string{"redis_version": version}); (why == "") != ok {
			t.Errorf("Redis %q: %q", version, why)
		}
	}
	if why := tooOld(map[string]string{"redis_version": "7.2.4", "valkey_version": "9.0.0"}); why != "" {
		t.Errorf("Valkey 9: %q", why)
	}
}

func TestWarnings(t *testing.T) {
	if got := open(t, shared.URL(), Options{Prefix: prefix()}).Warnings(); len(got) > 0 {
		t.Errorf("of a server with the best settings: %q", got)
	}
	s := service.Redis(t)
	for _, c := range []struct {
		set  []string
		says string
	}{
		{[]string{"appendfsync", "everysec"}, "appendfsync is everysec"},
		{[]string{"appendfsync", "no"}, "appendfsync is no"},
		{[]string{"appendfsync", "always", "no-appendfsync-on-rewrite", "yes"}, "no-appendfsync-on-rewrite"},
		{[]string{"maxmemory", "100mb", "maxmemory-policy", "allkeys-lru"}, "people are logged out"},
		{[]string{"maxmemory", "100mb", "maxmemory-policy", "volatile-ttl"}, "more tries"},
		{[]string{"appendonly", "no"}, "appendonly is off"},
	} {
		for pair := range slices.Chunk(c.set, 2) {
			if out, err := s.Do("CONFIG", "SET", pair[0], pair[1]); out != "OK" {
				t.Fatal(out, err)
			}
		}
		list := open(t, s.URL(), Options{}).Warnings()
		if !slices.ContainsFunc(list, func(w string) bool { return strings.Contains(w, c.says) }) {
			t.Errorf("with %q: %q, want one with %q", c.set, list, c.says)
		}
	}
}

// redis5 is where a server answers as Redis 5 does, which knows no HELLO.
func redis5(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer5(c)
		}
	}()
	return l.Addr().String()
}

func answer5(c net.Conn) {
	defer c.Close()
	const info = "# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n# Replication\r\nrole:master\r\n"
	for in := bufio.NewReader(c); ; {
		// *COUNT, and then each word with its length on a line before it.
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		n, _ := strconv.Atoi(strings.Trim(line, "*\r\n"))
		words := make([]string, 2*n)
		for i := range words {
			if words[i], err = in.ReadString('\n'); err != nil {
				return
			}
		}
		answer := "+OK\r\n"
		switch word := strings.ToUpper(strings.TrimSpace(words[1])); word {
		case "HELLO":
			answer = "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"
		case "INFO":
			answer = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
		case "PING":
			answer = "+PONG\r\n"
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// rights are those of docs/redis.md, word for word.
func rights(t *testing.T) []string {
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if words, ok := strings.CutPrefix(strings.TrimSpace(line), "ACL SETUSER gatehouse "); ok {
			return strings.Fields(words)
		}
	}
	t.Fatal("docs/redis.md names no rights")
	return nil
}

// grant makes a user with these rights.
func grant(t *testing.T, s *service.RedisServer) {
	t.Helper()
	words := rights(t)
	if strings.HasPrefix(versionOf(t, s), "6.0.") { // it has no rights on channels, as the page says
		words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "&") })
	}
	if out, err := s.Do(append([]string{"ACL", "SETUSER", "gatehouse"}, words...)...); out != "OK" {
		t.Fatal(out, err)
	}
}

// They suffice in a Cluster as well, where the client also asks who the others are.
func TestRightsInACluster(t *testing.T) {
	servers, url := service.RedisCluster(t, 0)
	for _, r := range servers {
		grant(t, r)
	}
	s := openStore(t, strings.Replace(url, "://", "://gatehouse:PASSWORD@", 1), Options{}, memory.New())
	if w := s.c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	for n := range 100 {
		if err := s.CreateSession(t.Context(), &gatehouse.Session{ID: fmt.Sprint(n), UserID: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := touchAll(t, s); err != nil {
		t.Error(err)
	}
	if list, err := s.SessionsOf(t.Context(), "u"); err != nil || len(list) != 100 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	hears(t, s, s)
}

// The rights that the documentation names suffice for everything.
func TestRights(t *testing.T) {
	s := service.Redis(t)
	grant(t, s)
	url := "redis://gatehouse:PASSWORD@" + s.Address()
	empty := func(t *testing.T) gatehouse.Store {
		if _, err := s.Do("FLUSHALL"); err != nil {
			t.Fatal(err)
		}
		return openStore(t, url, Options{}, memory.New())
	}
	storetest.Run(t, empty)
	storetest.Mover(t, empty)
	c := open(t, url, Options{})
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	claim := []gatehouse.Claim{{Lane: "a", Key: "k", Limit: gatehouse.Limit{Burst: 5, Every: time.Hour}}}
	if _, err := c.Limiter().Take(t.Context(), claim); err != nil {
		t.Error(err)
	}
	if err := c.Limiter().Give(t.Context(), claim); err != nil {
		t.Error(err)
	}
	store, err := c.Store(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	hears(t, store, store)
	if _, err := s.Do("ACL", "SETUSER", "gatehouse", "-eval", "-evalsha"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Limiter().Take(t.Context(), claim); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "may not do") {
		t.Errorf("without the right to run scripts: %v", err)
	}
}

func TestOtherWaysThere(t *testing.T) {
	folder := t.TempDir()
	certificate, key := certify(t, folder)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	socket := filepath.Join(folder, "s")
	r := service.Redis(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", certificate, "--tls-key-file", key,
		"--tls-ca-cert-file", certificate, "--tls-auth-clients", "no", "--unixsocket", socket, "--requirepass", "p@ss:word/")
	behind, there := memory.New(), &gatehouse.Session{ID: "s", UserID: "u"}
	byTLS := openStore(t, fmt.Sprintf("rediss://:p%%40ss%%3Aword%%2F@127.0.0.1:%d/1?ca=%s", port, certificate), Options{}, behind)
	if strings.Contains(fmt.Sprint(byTLS.c), "word") {
		t.Errorf("the password is told: %v", byTLS.c)
	}
	if err := byTLS.CreateSession(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "unix://"+socket, Options{Key: testKey}); err == nil || !strings.Contains(err.Error(), "wants a password") {
		t.Errorf("without a password: %v", err)
	}
	if out, err := r.Do("-a", "p@ss:word/", "CONFIG", "SET", "requirepass", ""); out != "OK" {
		t.Fatal(out, err)
	}
	bySocket := openStore(t, "unix://"+socket+"?db=1", Options{}, behind)
	if _, err := bySocket.Session(t.Context(), "s"); err != nil {
		t.Errorf("through the socket: %v", err)
	}
	if _, err := Open(t.Context(), fmt.Sprintf("redis://:x@127.0.0.1:%d", port), Options{Key: testKey}); err == nil || !strings.Contains(err.Error(), "use rediss://") {
		t.Errorf("without TLS: %v", err)
	}
	if _, err := Open(t.Context(), fmt.Sprintf("rediss://:x@127.0.0.1:%d", port), Options{Key: testKey}); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("a certificate of nobody: %v", err)
	}
}

// certify makes a certificate for loopback that vouches for itself.
func certify(t *testing.T, folder string) (certificate, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(folder, "cert"), filepath.Join(folder, "key")
	for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// At run time a Redis that refuses is ErrUnavailable, and all is well when it does
// not any more.
func TestFaultsAtRunTime(t *testing.T) {
	r := service.Redis(t)
	s := openStore(t, r.URL(), Options{}, memory.New())
	create := func(id string) error {
		return s.CreateSession(t.Context(), &gatehouse.Session{ID: id, UserID: "u"})
	}
	if err := create("before"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, says string
		spoil      []string
		mend       []string
	}{
		{"full", "maxmemory", []string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
		{"replica", "replica", []string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}},
	} {
		if out, err := r.Do(c.spoil...); out != "OK" {
			t.Fatal(out, err)
		}
		if err := create(c.name); !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: create: %v, want ErrUnavailable with %q", c.name, err, c.says)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, gatehouse.ErrUnavailable) {
			t.Errorf("%s: Ready: %v", c.name, err)
		}
		if _, err := s.Session(t.Context(), "before"); err != nil {
			t.Errorf("%s: read: %v", c.name, err)
		}
		if out, err := r.Do(c.mend...); out != "OK" {
			t.Fatal(out, err)
		}
		if _, err := s.Session(t.Context(), c.name); !errors.Is(err, gatehouse.ErrNotFound) {
			t.Errorf("%s: what was refused: %v", c.name, err)
		}
		if err := create(c.name); err != nil {
			t.Errorf("%s: create afterwards: %v", c.name, err)
		}
		if list, err := s.SessionsOf(t.Context(), "u"); err != nil || !slices.ContainsFunc(list, func(x *gatehouse.Session) bool { return x.ID == c.name }) {
			t.Errorf("%s: it is not listed: %v", c.name, err)
		}
	}
}

// Where the primary has lost its replicas nothing is written, and nobody is ready.
// Redis 6 does not hold scripts to that, as docs/redis.md says.
func TestFewReplicas(t *testing.T) {
	r := service.Redis(t)
	s := openStore(t, r.URL(), Options{}, memory.New())
	for _, few := range []string{"1", "0"} {
		if out, err := r.Do("CONFIG", "SET", "min-replicas-to-write", few); out != "OK" {
			t.Fatal(out, err)
		}
		lacking := func(what string, err error) {
			if few == "0" {
				if err != nil {
					t.Errorf("%s afterwards: %v", what, err)
				}
			} else if !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "too few replicas") {
				t.Errorf("%s: %v, want ErrUnavailable for too few replicas", what, err)
			}
		}
		lacking("ready", s.Ready(t.Context()))
		if !strings.HasPrefix(versionOf(t, r), "6.") {
			lacking("create", s.CreateSession(t.Context(), &gatehouse.Session{ID: "s", UserID: "u"}))
		}
	}
}

// versionOf is the version of Redis that the tests run on, or that a Valkey says to
// be as.
func versionOf(t *testing.T, r *service.RedisServer) string {
	t.Helper()
	info, err := r.Do("INFO", "server")
	if err != nil || major(facts(info)) == 0 {
		t.Fatalf("%q, %v", info, err)
	}
	return facts(info)["redis_version"]
}

// While Redis is away everything is ErrUnavailable, at once; when it is back, the
// next call finds it.
func TestRecovers(t *testing.T) {
	r := service.Redis(t)
	behind := memory.New()
	s := openStore(t, r.URL(), Options{}, behind)
	if err := s.CreateUser(t.Context(), ann("u")); err != nil {
		t.Fatal(err)
	}
	limiter := s.c.Limiter()
	claim := []gatehouse.Claim{{Lane: "a", Key: "k", Limit: gatehouse.Limit{Burst: 1000, Every: time.Hour}}}
	calls := map[string]func(ctx context.Context, round int) error{
		"create": func(ctx context.Context, round int) error {
			return s.CreateSession(ctx, &gatehouse.Session{ID: fmt.Sprint(round), UserID: "u"})
		},
		"read":  func(ctx context.Context, _ int) error { _, err := s.Session(ctx, "0"); return err },
		"list":  func(ctx context.Context, _ int) error { _, err := s.SessionsOf(ctx, "u"); return err },
		"sweep": func(ctx context.Context, _ int) error { _, err := s.Sweep(ctx, time.Unix(0, 0), 9); return err },
		"ready": func(ctx context.Context, _ int) error { return s.Ready(ctx) },
		"limit": func(ctx context.Context, _ int) error { _, err := limiter.Take(ctx, claim); return err },
	}
	for round, end := range []func(){r.Kill, r.Stop, r.Kill} {
		if err := calls["create"](t.Context(), round); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			if err := call(t.Context(), round+100); err != nil {
				t.Errorf("%s before: %v", name, err)
			}
		}
		end()
		for name, call := range calls {
			if err := call(t.Context(), round+200); !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Errorf("%s without Redis: %v", name, err)
			}
		}
		if u, err := s.User(t.Context(), "u"); err != nil || u.Version != 1 {
			t.Errorf("a user without Redis: %v", err)
		}
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			if err := call(t.Context(), round+300); err != nil {
				t.Errorf("%s afterwards: %v", name, err)
			}
		}
	}
}

// A connection that was closed under whoever used it, as when Sentinel names
// another primary, and a slot that keeps moving are no fault of the caller.
func TestPassingFaults(t *testing.T) {
	client, err := Open(t.Context(), shared.URL(), Options{Key: testKey, Prefix: prefix()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Store(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if _, err := s.Session(t.Context(), "s"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a read on a connection that was closed: %v", err)
	}
	if _, err := s.TakeChallenge(t.Context(), "c"); !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("a write on a connection that was closed: %v", err)
	}
	for _, told := range []string{"MOVED 1 10.0.0.1:6379", "ASK 1 10.0.0.1:6379"} {
		if err := fault(t.Context(), "read", errors.New(told)); !errors.Is(err, gatehouse.ErrUnavailable) || strings.Contains(err.Error(), "10.0.0.1") {
			t.Errorf("%s: %v", told, err)
		}
	}
}

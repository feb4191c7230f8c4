package mongo

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

var replicaSet = d("setName", "rs0", "setVersion", 1)

func savesUser(c bson.D) bool { return c[0].Key == "update" && c[0].Value == "gatehouse_users" }

// On a replica set the driver asks again when an answer was lost, under the same
// number, and the server answers what the first one did.
func TestLostAnswerOnAReplicaSet(t *testing.T) {
	f := &fake{hello: replicaSet}
	var lost atomic.Bool
	f.answer = func(c bson.D) (bson.D, bool) {
		if savesUser(c) && !lost.Swap(true) {
			return nil, false
		}
		return healthy(c), true
	}
	s := open(t, f.start(t), Options{})
	u := &gatehouse.User{ID: "u", Version: 4}
	if err := s.SaveUser(t.Context(), u); err != nil || u.Version != 5 {
		t.Fatalf("SaveUser: err = %v, version %d, want none and 5", err, u.Version)
	}
	updates := slices.DeleteFunc(f.said("update"), func(c bson.D) bool { return !savesUser(c) })
	if len(updates) != 2 || field(updates[0], "txnNumber") == nil || field(updates[0], "txnNumber") != field(updates[1], "txnNumber") {
		t.Errorf("the updates were not one and the same: %v", updates)
	}
}

// A single server remembers no numbers: nothing is sent again, and nobody claims
// to know what became of it.
func TestLostAnswerOnASingleServer(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) { return healthy(c), !savesUser(c) }
	s := open(t, f.start(t), Options{})
	u := &gatehouse.User{ID: "u", Version: 4}
	if err := s.SaveUser(t.Context(), u); !errors.Is(err, gatehouse.ErrUnavailable) || errors.Is(err, gatehouse.ErrStale) {
		t.Errorf("SaveUser: err = %v, want ErrUnavailable", err)
	}
	if n := len(slices.DeleteFunc(f.said("update"), func(c bson.D) bool { return !savesUser(c) })); n != 1 || u.Version != 4 {
		t.Errorf("sent %d times, version %d, want 1 and 4", n, u.Version)
	}
}

// What every write and read asks for.
func TestConcerns(t *testing.T) {
	f := &fake{hello: replicaSet}
	f.answer = func(c bson.D) (bson.D, bool) { return healthy(c), true }
	s := open(t, f.start(t)+"?w=0&journal=false&readConcernLevel=local&readPreference=secondary&retryWrites=false", Options{})
	if err := s.CreateTask(t.Context(), &gatehouse.Task{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	insert := f.said("insert")[0]
	if wc, _ := field(insert, "writeConcern").(bson.D); field(wc, "w") != "majority" || field(wc, "j") != true {
		t.Errorf("write concern %v", wc)
	}
	if field(insert, "txnNumber") == nil {
		t.Error("the write cannot be repeated safely")
	}
	find := f.said("find")[0]
	if rc, _ := field(find, "readConcern").(bson.D); field(rc, "level") != "majority" {
		t.Errorf("read concern %v", rc)
	}
	if rp, _ := field(find, "$readPreference").(bson.D); rp != nil && field(rp, "mode") != "primary" {
		t.Errorf("read preference %v", rp)
	}
}

func refused(code int, message string) bson.D {
	return d("ok", 0.0, "code", int32(code), "codeName", "X", "errmsg", message)
}

// Whatever a server refuses for is said in words, without what it quotes.
func TestRefusals(t *testing.T) {
	const secret = "ann@example.com"
	for _, c := range []struct {
		name   string
		answer bson.D
		want   error // nil: one that the store does not know
		says   string
	}{
		{"not primary", refused(10107, secret), gatehouse.ErrUnavailable, "no primary"},
		{"no right to write", refused(13, secret), gatehouse.ErrUnavailable, "readWrite"},
		{"out of disk space", d("ok", 1.0, "n", 0, "writeErrors", bson.A{d("index", 0, "code", 14031, "errmsg", secret)}), gatehouse.ErrUnavailable, "disk"},
		{"no majority", d("ok", 1.0, "n", 1, "writeConcernError", d("code", 64, "errmsg", "waiting for replication timed out")), gatehouse.ErrUnavailable, "majority"},
		{"too slow", refused(50, secret), gatehouse.ErrUnavailable, "slow"},
		{"overloaded", append(refused(462, secret), d("errorLabels", bson.A{"SystemOverloadedError"})...), gatehouse.ErrUnavailable, "server"},
		{"taken", d("ok", 1.0, "n", 0, "writeErrors", bson.A{d("index", 0, "code", 11000, "errmsg", `dup key: { email_key: "`+secret+`" }`)}), gatehouse.ErrExists, ""},
		{"anything else", refused(2, secret), nil, "code [2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{}
			f.answer = func(command bson.D) (bson.D, bool) {
				if command[0].Key == "insert" {
					return c.answer, true
				}
				return healthy(command), true
			}
			s := open(t, f.start(t), Options{})
			u := &gatehouse.User{ID: "u"}
			err := s.CreateUser(t.Context(), u)
			if c.want == nil && (err == nil || errors.Is(err, gatehouse.ErrUnavailable)) || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("err = %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("err = %v, want it to say %q and not what the server quotes", err, c.says)
			}
			if u.Version != 0 {
				t.Errorf("version %d after an error", u.Version)
			}
		})
	}
}

// A refused login is told, the password is not.
func TestWrongCredentials(t *testing.T) {
	f := &fake{}
	f.answer = func(c bson.D) (bson.D, bool) {
		if c[0].Key == "saslStart" {
			return refused(18, "Authentication failed."), true
		}
		return healthy(c), true
	}
	uri := strings.Replace(f.start(t), "mongodb://", "mongodb://gate:hunter%402@", 1)
	_, err := Open(t.Context(), uri, Options{})
	if !errors.Is(err, gatehouse.ErrUnavailable) || !strings.Contains(err.Error(), "refuses the user or the password") {
		t.Fatalf("err = %v", err)
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Errorf("the password is told: %v", err)
	}
}

// A server that accepts connections and says nothing costs the caller the
// timeout, and not more.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(t.Context(), "mongodb://"+l.Addr().String(), Options{Timeout: 100 * time.Millisecond})
	if !errors.Is(err, gatehouse.ErrUnavailable) {
		t.Errorf("err = %v, want ErrUnavailable", err)
	}
}

// A ctx that ends while the server thinks ends the method.
func TestContextEndsMeanwhile(t *testing.T) {
	f := &fake{}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	f.answer = func(c bson.D) (bson.D, bool) {
		if c[0].Key == "insert" {
			cancel()
			<-release
		}
		return healthy(c), true
	}
	s := open(t, f.start(t), Options{})
	err := s.CreateUser(ctx, &gatehouse.User{ID: "u"})
	close(release)
	if !errors.Is(err, gatehouse.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want ErrUnavailable and context.Canceled", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = Open(t.Context(), "mongodb://u:hunter2@"+address, Options{Timeout: 300 * time.Millisecond})
	if !errors.Is(err, gatehouse.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v, want ErrUnavailable", err)
	}
}

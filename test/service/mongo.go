package service

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// MongoServer is a server that speaks the protocol of MongoDB. It is the
// stand-in of test/ferretdb; what that is good for, and what not, is said there.
type MongoServer struct {
	address string
	binary  string
	data    string
	process *exec.Cmd
}

// Mongo starts a server that ends with the test.
func Mongo(tb testing.TB) *MongoServer {
	tb.Helper()
	m, err := StartMongo(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Kill)
	return m
}

// StartMongo starts a server that keeps everything in folder, for as long as the
// caller likes.
func StartMongo(folder string) (*MongoServer, error) {
	m := &MongoServer{binary: filepath.Join(folder, "ferretdb.exe"), data: filepath.Join(folder, "data")}
	if err := os.Mkdir(m.data, 0o700); err != nil {
		return nil, err
	}
	if err := m.build(); err != nil {
		return nil, err
	}
	// A port that is free now, and that the server can have again and again.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	return m, m.Start()
}

func (m *MongoServer) build() error {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	module := filepath.Join(filepath.Dir(strings.TrimSpace(string(gomod))), "test", "ferretdb")
	cmd := exec.Command("go", "build", "-C", module, "-tags", "ferretdb_no_postgresql", "-o", m.binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the stand-in for MongoDB: %w\n%s", err, out)
	}
	return nil
}

// URI is the connection string of a database. They come into being by use.
func (m *MongoServer) URI(database string) string {
	return "mongodb://" + m.address + "/" + database
}

// MongoDatabase is the connection string of a server with another database in it.
func MongoDatabase(uri, database string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", errors.New("the address of MongoDB is not a URI") // it may have a password in it
	}
	// Who logs in is looked for in the database that is named, if not told otherwise.
	q := u.Query()
	if u.User != nil && !q.Has("authSource") && u.Scheme == "mongodb" {
		q.Set("authSource", cmp.Or(strings.TrimPrefix(u.Path, "/"), "admin"))
		u.RawQuery = q.Encode()
	}
	u.Path = "/" + database
	return u.String(), nil
}

// Start starts the server, on the address and with the data of before, and
// waits until it answers.
func (m *MongoServer) Start() error {
	var said bytes.Buffer
	m.process = exec.Command(m.binary, "--listen", m.address, "--data", m.data)
	m.process.Stderr = &said
	if err := m.process.Start(); err != nil {
		return err
	}
	client, err := driver.Connect(options.Client().ApplyURI(m.URI("admin")))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
	if err = errors.Join(err, client.Disconnect(context.Background())); err != nil {
		m.Kill()
		return fmt.Errorf("the stand-in for MongoDB does not answer: %w\n%s", err, said.String())
	}
	return nil
}

// Kill ends the server as a power failure ends its process.
func (m *MongoServer) Kill() {
	if m.process.ProcessState == nil {
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
	}
}

// Processes are those of the server at this moment.
func (m *MongoServer) Processes() []int { return []int{m.process.Process.Pid} }

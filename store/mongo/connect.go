package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// oldest is the first major version of MongoDB that is supported.
const oldest = 5

// connect makes a client. It does not talk to the server yet.
func connect(uri string, opts Options) (*Store, error) {
	name, err := database(uri)
	if err != nil {
		return nil, err
	}
	// What the promises of the store rest on is set after the URI, and wins.
	o := options.Client().ApplyURI(uri).SetAppName("gatehouse").
		SetConnectTimeout(min(opts.Timeout, 3*time.Second)).
		SetServerSelectionTimeout(min(opts.Timeout, 3*time.Second)).
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: new(true)}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).
		SetMonitor(opts.monitor)
	if err := o.Validate(); err != nil {
		return nil, unreadable(err)
	}
	client, err := driver.Connect(o)
	if err != nil {
		return nil, unreadable(err)
	}
	db := client.Database(name)
	collection := func(name string) *driver.Collection { return db.Collection(opts.Prefix + name) }
	s := &Store{
		opts: opts, client: client, db: db,
		users: collection("users"), sessions: collection("sessions"), challenges: collection("challenges"),
		events: collection("events"), settings: collection("settings"), tasks: collection("tasks"), meta: collection("meta"),
	}
	if o.TLSConfig == nil && slices.ContainsFunc(o.Hosts, isRemote) {
		s.warnings = append(s.warnings, "the connection to MongoDB is not encrypted: add tls=true to the connection string")
	}
	return s, nil
}

// isRemote reports whether the host, with or without a port, is another machine.
func isRemote(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name != "localhost" && !strings.HasSuffix(name, ".sock") && (ip == nil || !ip.IsLoopback())
}

// database is the name of the database in a connection string.
func database(uri string) (string, error) {
	scheme, rest, _ := strings.Cut(uri, "://")
	if scheme != "mongodb" && scheme != "mongodb+srv" {
		return "", fmt.Errorf("%w: it begins with neither mongodb:// nor mongodb+srv://", ErrURI)
	}
	_, rest, _ = strings.Cut(rest, "/")
	name, _, _ := strings.Cut(rest, "?")
	name, err := url.PathUnescape(name)
	switch {
	case err != nil || strings.ContainsAny(name, "/\\. \"$*<>:|?\x00") || len(name) > 63:
		return "", fmt.Errorf("%w: what follows the host is not the name of a database", ErrURI)
	case name == "admin" || name == "local" || name == "config":
		return "", fmt.Errorf("%w: the database %s is the server's own; name another one after the host", ErrURI, name)
	case name == "":
		return "gatehouse", nil
	}
	return name, nil
}

// unreadable is what is wrong with a connection string. The driver's words may
// hold parts of it, and with them the password; they are told only where it was
// the name of a host that could not be looked up.
func unreadable(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("%w: its host cannot be looked up: %w", ErrURI, dns)
	}
	return fmt.Errorf("%w: it reads mongodb://[user:password@]host[:port][,…][/database][?options]; "+
		"in the user and the password each of : / ? # [ ] @ %% stands as %%XX, as in p%%40ss", ErrURI)
}

// inspect talks to the server, and finds out which one it is.
func (s *Store) inspect(ctx context.Context) error {
	var build struct {
		Version  string  `bson:"version"`
		Versions []int32 `bson:"versionArray"`
		Ferret   string  `bson:"ferretdbVersion"`
	}
	var hello struct {
		Set     string `bson:"setName"`
		Message string `bson:"msg"`
	}
	err := s.attempt(ctx, "version of the server", func(ctx context.Context) error {
		if err := s.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
			return err
		}
		return s.db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build)
	})
	if err != nil {
		return err
	}
	if len(build.Versions) == 0 || build.Versions[0] < oldest {
		return fmt.Errorf("%w: it is version %q, and Gatehouse needs %d.0 or later", ErrServer, build.Version, oldest)
	}
	if build.Ferret != "" {
		s.warnings = append(s.warnings, "the server is FerretDB, not MongoDB: it is good for tests, and may lose what it acknowledged")
	}
	if hello.Set == "" && hello.Message != "isdbgrid" {
		s.warnings = append(s.warnings, "MongoDB runs as a single server: what it holds is lost with its disk, and writes whose answer "+
			"was lost cannot be repeated safely; a replica set has neither fault")
	}
	return nil
}

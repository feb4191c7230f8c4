package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// target is what a URL says.
type target struct {
	pool   *pgxpool.Config
	schema string
	sized  bool               // the URL says how many connections
	mode   *pgx.QueryExecMode // how statements are run, if the URL says so
}

// schemaName is what a schema may be called: a name that needs no quotes, unless
// it is a word of SQL, and leaves room for the name of the channel.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// parameterName is what a parameter may be called.
var parameterName = regexp.MustCompile(`^[a-zA-Z_.]+$`)

var errURL = errors.New("the URL of the database must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, " +
	"with whatever is not a letter or a digit in the password as %xx")

// parse reads the URL. None of its errors contains a password: it is taken out
// before others read the rest.
func parse(text string) (target, error) {
	// Package url knows one host, and here may be several, each with a port, or the
	// folder of a socket.
	scheme, rest, ok := strings.Cut(text, "://")
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	at := strings.LastIndexByte(authority, '@') + 1
	hosts := authority[at:]
	for h := range strings.SplitSeq(hosts, ",") {
		// What is no port may be the end of a password with a / or a ? in it.
		if _, port, ok := strings.Cut(h[strings.LastIndexByte(h, ']')+1:], ":"); ok && strings.Trim(port, "0123456789") != "" {
			return target{}, errURL
		}
	}
	u, err := url.Parse(scheme + "://" + authority[:at] + "host" + rest[len(authority):])
	if !ok || err != nil || scheme != "postgres" && scheme != "postgresql" {
		return target{}, errURL
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, errURL
	}
	if strings.ContainsAny(strings.TrimPrefix(u.EscapedPath(), "/"), "@/") || u.Fragment != "" {
		return target{}, errURL
	}
	for name := range q {
		if !parameterName.MatchString(name) {
			return target{}, errURL
		}
	}
	t := target{schema: "gatehouse", sized: q.Has("pool_max_conns")}
	if q.Has("schema") {
		t.schema = q.Get("schema")
	}
	if !schemaName.MatchString(t.schema) || strings.HasPrefix(t.schema, "pg_") || t.schema == "information_schema" {
		return target{}, errors.New("the parameter schema in the URL of the database must be small letters, digits and _, " +
			"not begin with a digit or pg_, and have at most 48 of them")
	}
	q.Del("schema")

	// What is secret is handed over beside the text.
	password, given := u.User.Password()
	if q.Has("password") {
		password, given = q.Get("password"), true
		q.Del("password")
	}
	if strings.Contains(hosts, ",") && !q.Has("target_session_attrs") {
		q.Set("target_session_attrs", "read-write") // of several servers one is the primary
	}
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "5")
	}
	if !q.Has("application_name") {
		q.Set("application_name", "gatehouse")
	}
	user := ""
	if u.User != nil {
		user = url.User(u.User.Username()).String() + "@"
	}
	t.pool, err = pgxpool.ParseConfig(scheme + "://" + user + hosts + u.EscapedPath() + "?" + q.Encode())
	if err != nil {
		return target{}, fmt.Errorf("in the URL of the database a parameter is wrong, correct it or leave it out: %s", wrong(err))
	}
	c := t.pool.ConnConfig
	if given {
		c.Password = password
	}
	c.RuntimeParams["client_encoding"] = "UTF8"
	if q.Has("default_query_exec_mode") {
		t.mode = new(c.DefaultQueryExecMode)
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec // for what does not choose by the connection
	t.pool.MaxConnLifetimeJitter = max(t.pool.MaxConnLifetimeJitter, 5*time.Minute)
	return t, nil
}

// wrong is what pgx says of the URL, without the URL, which may hold what is secret.
func wrong(err error) string {
	const before = "`: " // it quotes the URL
	text := err.Error()
	if i := strings.LastIndex(text, before); i >= 0 {
		return strings.Join(strings.Fields(text[i+len(before):]), " ")
	}
	return "see the names and values that there are in the documentation"
}

// String is the database without what is secret.
func (t target) String() string {
	c := t.pool.ConnConfig
	return fmt.Sprintf("%s on %s:%d", c.Database, c.Host, c.Port)
}

// quoted is the schema as it stands in a statement.
func (t target) quoted() string { return `"` + t.schema + `"` }

// channel is what processes on this schema talk on.
func (t target) channel() string { return t.schema + "_hints" }

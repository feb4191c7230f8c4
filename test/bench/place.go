package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/mongo"
	"github.com/gatehouse-auth/gatehouse/store/postgres"
	"github.com/gatehouse-auth/gatehouse/store/redis"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	"github.com/gatehouse-auth/gatehouse/test/service"
)

// secret is the master secret of all servers and of the library beside them.
const secret = "q7Jw2nXv9RkT4mZs8LpYc3HbGd6FfAeU1oViNtWx"

// place is where records are kept: an engine with a database of one size.
type place struct {
	name      string
	env       []string
	folder    string
	redis     string // in front of it, or empty
	open      func(context.Context) (filled, error)
	processes func() []int                           // of the database
	queries   func(context.Context) (float64, error) // that the database has answered so far; nil if it does not say
	settle    func(context.Context) error            // does what the database would do by and by after many writes; may be nil
}

// filled is a store that can be filled at once.
type filled interface {
	gatehouse.Store
	gatehouse.Mover
}

// sqlitePlace is a file in the folder.
func sqlitePlace(folder string) *place {
	return &place{
		name: "SQLite", folder: folder,
		open: func(context.Context) (filled, error) {
			return sqlite.Open(filepath.Join(folder, "gatehouse.db"), sqlite.Options{})
		},
		processes: func() []int { return nil },
	}
}

// postgresPlace is a database of its own on a server.
func postgresPlace(ctx context.Context, p *service.PostgresServer, folder, database string) (*place, error) {
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, `CREATE DATABASE `+database)
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return nil, err
	}
	url := p.URL(database)
	if c, err = pgx.Connect(ctx, url); err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, `CREATE EXTENSION pg_stat_statements SCHEMA public`)
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return nil, err
	}
	return &place{
		name: "PostgreSQL", folder: folder, env: []string{"GATEHOUSE_DATABASE=" + url},
		open:      func(ctx context.Context) (filled, error) { return postgres.Open(ctx, url, postgres.Options{}) },
		processes: p.Processes,
		settle: func(ctx context.Context) error {
			c, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			defer c.Close(ctx)
			_, err = c.Exec(ctx, `VACUUM ANALYZE`)
			if err == nil {
				_, err = c.Exec(ctx, `CHECKPOINT`)
			}
			return err
		},
		queries: func(ctx context.Context) (float64, error) {
			c, err := pgx.Connect(ctx, url)
			if err != nil {
				return 0, err
			}
			defer c.Close(ctx)
			var n float64
			return n, c.QueryRow(ctx, `SELECT coalesce(sum(calls), 0) FROM public.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1`, database).Scan(&n)
		},
	}, nil
}

// behindRedis is the same place with Redis in front of it.
func (p *place) behindRedis(r *service.RedisServer, database int) *place {
	front := *p
	front.name += " behind Redis"
	front.redis = fmt.Sprintf("%s/%d", r.URL(), database)
	front.env = append([]string{"GATEHOUSE_REDIS=" + front.redis}, p.env...)
	front.processes = func() []int { return append(p.processes(), r.Processes()...) }
	return &front
}

const standInName = "FerretDB, not MongoDB"

// standInPlace is a database on the stand-in for MongoDB.
func standInPlace(m *service.MongoServer, folder, database string) *place {
	p := mongoPlace(standInName, m.URI(database), folder)
	p.processes = m.Processes
	return p
}

// mongoPlace is a database on a server of which nothing more is known.
func mongoPlace(name, uri, folder string) *place {
	return &place{
		name: name, folder: folder, env: []string{"GATEHOUSE_DATABASE=" + uri},
		open:      func(ctx context.Context) (filled, error) { return mongo.Open(ctx, uri, mongo.Options{}) },
		processes: func() []int { return nil },
	}
}

// dropMongo removes a database that was made for a measurement.
func dropMongo(ctx context.Context, uri string) error {
	c, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	s, err := connstring.ParseAndValidate(uri)
	if err == nil {
		err = c.Database(s.Database).Drop(ctx)
	}
	return errors.Join(err, c.Disconnect(ctx))
}

// start starts an instance of the binary there.
func (p *place) start(ctx context.Context, binary string, args ...string) (*process, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", p.folder, "--log-level", "error"}, args...)...)
	cmd.Dir = p.folder
	cmd.Env = append(append(os.Environ(), "GATEHOUSE_LIMITS=off", "GATEHOUSE_SECRET="+secret), p.env...)
	return launch(cmd)
}

// members is how many users are in the crowd: those that crowd logs in, spread over
// all of them.
func members(users int) int { return min(users/4, 2000) }

func memberEmail(i, users int) string { return userEmail(i * (users / members(users))) }

// fill makes users, who share one password, and says how fast. Most of them share
// its hash as the server makes them; those of the crowd have a cheap one.
func (p *place) fill(ctx context.Context, binary string, users int) (rate float64, err error) {
	instance, err := p.start(ctx, binary)
	if err != nil {
		return 0, err
	}
	first, err := register(instance.url, "first@example.com")
	instance.stop()
	if err != nil {
		return 0, err
	}
	store, err := p.open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	model, err := store.User(ctx, first)
	if err != nil {
		return 0, err
	}
	g, err := p.library(store)
	if err != nil {
		return 0, err
	}
	cheap, err := g.Register(ctx, gatehouse.Registration{Email: "cheap@example.com", Password: password})
	if err = errors.Join(err, g.Close()); err != nil {
		return 0, err
	}
	const batch = 2000
	began := time.Now()
	for i := 0; i < users; i += batch {
		var r gatehouse.Records
		for n := i; n < min(i+batch, users); n++ {
			u := *model
			if n%(users/members(users)) == 0 {
				u.Credentials = cheap.Credentials
			}
			u.ID = fmt.Sprintf("%08x-0000-7000-8000-000000000000", n)
			u.Email, u.EmailKey = userEmail(n), userEmail(n)
			r.Users = append(r.Users, &u)
		}
		taken, err := store.Load(ctx, &r)
		if err != nil {
			return 0, err
		}
		if taken.Len() > 0 {
			return 0, fmt.Errorf("%d users were taken", taken.Len())
		}
	}
	rate = float64(users) / time.Since(began).Seconds()
	if p.settle != nil {
		err = p.settle(ctx)
	}
	return rate, err
}

// library is Gatehouse as a program has it, with a hash that costs next to nothing.
func (p *place) library(store gatehouse.Store) (*gatehouse.Gatehouse, error) {
	return gatehouse.New(gatehouse.Config{
		Store: store, Secret: gatehouse.NewSecret([]byte(secret)), Limits: gatehouse.Limits{Off: true}, HashQueue: 4096,
		HashMemory: 64, HashTime: 1, Logger: slog.New(slog.DiscardHandler),
	})
}

// crowd logs the members in, again and again until there are so many sessions. It
// does not ask the server to, which would hash a password for each.
func (p *place) crowd(ctx context.Context, sessions, users int) (list []identity, err error) {
	store, err := p.openFront(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	g, err := p.library(store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	list = make([]identity, sessions)
	errs := make([]error, 32)
	var all sync.WaitGroup
	for w := range errs {
		all.Go(func() {
			for n := w; n < sessions && errs[w] == nil; n += len(errs) {
				var l *gatehouse.Login
				l, errs[w] = g.Login(ctx, gatehouse.PasswordLogin{Email: memberEmail(n%members(users), users), Password: password})
				if errs[w] == nil {
					list[n] = identity{l.AccessToken, l.RefreshToken}
				}
			}
		})
	}
	all.Wait()
	return list, errors.Join(errs...)
}

// openFront is what the server works on: the database, or Redis in front of it.
func (p *place) openFront(ctx context.Context) (gatehouse.Store, error) {
	store, err := p.open(ctx)
	if err != nil || p.redis == "" {
		return store, err
	}
	// As internal/server derives it: what is made here is for the server to read.
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "gatehouse/redis/1", 32)
	if err != nil {
		return nil, err
	}
	client, err := redis.Open(ctx, p.redis, redis.Options{Key: gatehouse.NewSecret(key)})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return client.Store(ctx, store)
}

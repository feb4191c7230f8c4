package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// maxMessage is how long a message can be; PostgreSQL itself takes 7999 bytes.
const maxMessage = 4000

// Announce implements [gatehouse.Announcer], with NOTIFY.
func (s *Store) Announce(ctx context.Context, message string) error {
	if len(message) > maxMessage {
		return fmt.Errorf("announce: a message of %d bytes, at most %d can be sent", len(message), maxMessage)
	}
	for i := range len(message) {
		if message[i] < ' ' || message[i] > '~' {
			return errors.New("announce: the message is not printable ASCII")
		}
	}
	// It is not durable and needs no synced commit.
	err := s.run(ctx, repeatable, func(c *conn) error {
		return c.Query(ctx, `SELECT pg_notify($1, $2)`, []any{s.target.channel(), message}, func(sqlstore.Row) error { return nil })
	})
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// silence is how long a connection that listens may be silent before it is tried.
const silence = 30 * time.Second

// Listen implements [gatehouse.Announcer], with LISTEN on a connection of its own.
// Behind a pooler, where a connection belongs to a server process for no longer
// than a transaction, it is not supported.
func (s *Store) Listen(ctx context.Context, begun func(), f func(message string)) error {
	s.listening.Add(1)
	defer s.listening.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stopped, cancel)()
	if err := s.listen(ctx, begun, f); err != nil {
		if s.stopped.Err() != nil {
			return errClosed
		}
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

func (s *Store) listen(ctx context.Context, begun func(), f func(message string)) error {
	c, err := pgx.ConnectConfig(ctx, s.target.pool.ConnConfig.Copy())
	if err != nil {
		return s.ended(ctx, err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	starting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	b, err := examine(starting, c)
	if err != nil {
		return s.ended(ctx, err)
	}
	if b.pooled {
		return fmt.Errorf("%w: a connection pooler is in between", errors.ErrUnsupported)
	}
	if _, err := c.Exec(starting, `LISTEN "`+s.target.channel()+`"`); err != nil {
		return s.ended(ctx, err)
	}
	begun()
	for {
		waiting, cancel := context.WithTimeout(ctx, silence)
		n, err := c.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case err == nil:
			f(n.Payload)
		case quiet && ctx.Err() == nil:
			// Nothing was said, or the other side is gone and could not say so.
			trying, cancel := context.WithTimeout(ctx, silence/3)
			err := c.Ping(trying)
			cancel()
			if err != nil {
				return s.ended(ctx, err)
			}
		default:
			return s.ended(ctx, err)
		}
	}
}

// ended is why there is nothing more to hear.
func (s *Store) ended(ctx context.Context, err error) error {
	if own := ctx.Err(); own != nil {
		return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, own)
	}
	return explain(err, s.target)
}

package sqlite

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/sqlstore"
)

// reader is a connection for reads, opened when it is first needed.
type reader struct {
	conn       *conn
	generation int64
}

// read runs f on a free connection.
func (s *Store) read(ctx context.Context, f func(sqlstore.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	var r *reader
	select {
	case r = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- r }()

	// After a fault the connection is not trusted with another read.
	if generation := s.generation.Load(); r.conn == nil || r.conn.fault != nil || r.generation != generation {
		r.conn.abandon()
		r.conn = nil
		c, err := openConn(s.path, "rw", s.opts.BusyTimeout)
		if err != nil {
			return err
		}
		if _, err := c.Exec(ctx, `PRAGMA query_only = 1`); err != nil {
			_ = c.close()
			return err
		}
		r.conn, r.generation = c, generation
	}
	return f(r.conn)
}

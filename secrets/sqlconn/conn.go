package sqlconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
)

// conn is a connection of the driver with the generation of the credential that
// it has logged in with. database/sql calls it from one goroutine at a time. While
// it lies in the pool, between IsValid, which says that it may go there, and
// ResetSession, which takes it out, nothing but its statements is closed: see
// [stmt].
type conn struct {
	driver.Conn
	connector  *Connector
	generation uint64
	done       func() // says that the credential is not used any more

	mu     sync.Mutex // guards the fields below, and what is closed while it lies in the pool
	pooled bool
	closed bool
	err    error // of the driver's Close
}

var (
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
)

// Unwrap returns the driver's connection within what [database/sql.Conn.Raw] gives,
// or v itself if it is none of ours.
func Unwrap(v any) any {
	if c, ok := v.(*conn); ok {
		return c.Conn
	}
	return v
}

// isOld says whether there is a newer credential.
func (c *conn) isOld() bool { return c.connector.group.Snapshot().Generation() != c.generation }

// IsValid says whether the connection may go to the pool. If so it lies there from
// now on.
func (c *conn) IsValid() bool {
	if v, ok := c.Conn.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Asked for under the lock: a change after that finds it in the pool.
	c.pooled = !c.isOld() && !c.closed
	return c.pooled
}

// ResetSession takes the connection out of the pool.
func (c *conn) ResetSession(ctx context.Context) error {
	c.mu.Lock()
	closed := c.closed
	c.pooled = false
	c.mu.Unlock()
	if closed {
		return driver.ErrBadConn // database/sql takes another
	}
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

// retire closes the connection if its credential is old and it lies in the pool.
func (c *conn) retire() {
	c.mu.Lock()
	retired := c.pooled && !c.closed && c.isOld()
	if retired {
		c.closeLocked()
	}
	c.mu.Unlock()
	if retired {
		c.leave()
	}
}

// Close closes the connection, unless it is closed.
func (c *conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	if first {
		c.closeLocked()
	}
	err := c.err
	c.mu.Unlock()
	if first {
		c.leave()
	}
	return err
}

func (c *conn) closeLocked() {
	c.closed = true
	c.err = c.Conn.Close()
}

func (c *conn) leave() {
	c.connector.forget(c)
	c.done()
}

// What a driver may leave out, database/sql does in another way, which it is asked
// for by driver.ErrSkip; what has no such way is done here as it would be there.

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if e, ok := c.Conn.(driver.ExecerContext); ok {
		return e.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := c.Conn.(driver.QueryerContext); ok {
		return q.QueryContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if b, ok := c.Conn.(driver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	if opts != (driver.TxOptions{}) {
		return nil, errors.New("sqlconn: the driver supports neither isolation levels nor read-only transactions")
	}
	//lint:ignore SA1019 it is all that an old driver has
	tx, err := c.Conn.Begin()
	if err == nil && ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), tx.Rollback())
	}
	return tx, err
}

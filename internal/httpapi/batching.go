package httpapi

import (
	"bufio"
	"net"
	"net/http"
	"sync"
)

// batching is a writer of answers whose connection, once taken over, can hold
// what is written for a while: many small messages then cost one call of the
// system.
type batching struct {
	http.ResponseWriter
	conn *batchConn // set by Hijack
}

var _ http.Hijacker = (*batching)(nil)

// Unwrap is for http.ResponseController.
func (b *batching) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// Hijack implements [http.Hijacker].
func (b *batching) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(b.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	b.conn = &batchConn{Conn: conn}
	return b.conn, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(b.conn)), nil
}

// maxHeld is how much is held at most.
const maxHeld = 64 << 10

// batchConn is a connection that holds what is written between hold and release.
type batchConn struct {
	net.Conn

	mu      sync.Mutex // guards the fields below
	holding bool
	held    []byte
	written func() // told after the next write; nil: nobody is
}

// Write implements [net.Conn].
func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.holding {
		n, err := c.Conn.Write(p)
		if fn := c.written; fn != nil {
			c.written = nil
			fn()
		}
		return n, err
	}
	c.held = append(c.held, p...)
	if len(c.held) < maxHeld {
		return len(p), nil
	}
	return len(p), c.flushLocked()
}

// hold keeps what is written from then on, as far as there is room.
func (c *batchConn) hold() { c.mu.Lock(); defer c.mu.Unlock(); c.holding = true }

// release writes what was held.
func (c *batchConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = false
	return c.flushLocked()
}

func (c *batchConn) flushLocked() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = nil
	return err
}

// onWrite has fn called once, after the next write.
func (c *batchConn) onWrite(fn func()) { c.mu.Lock(); defer c.mu.Unlock(); c.written = fn }

package listener

import (
	"net"
	"sync"
	"time"
)

const (
	// StallTime is how long a client may take for a piece of an answer before its
	// connection is closed. What it takes at once is no more than its window and
	// the system's buffers hold.
	StallTime = 30 * time.Second

	// stallPiece is what must be taken meanwhile.
	stallPiece = 64 << 10
)

// paced is a connection on which a write fails when the other end takes nothing
// for StallTime, or for at least the half of it. Otherwise clients that read no
// answers could keep their connections, and what waits to be sent on them, for
// ever.
type paced struct {
	net.Conn

	mu    sync.Mutex // guards the fields below
	armed time.Time  // when the deadline was set by Write
	own   bool       // somebody else has set one, which stands
}

// Write writes p in pieces, each with a deadline.
func (c *paced) Write(p []byte) (written int, err error) {
	for {
		piece := p[written:min(len(p), written+stallPiece)]
		if err := c.arm(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// arm sets a deadline, unless one was set a moment ago.
func (c *paced) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.own || now.Sub(c.armed) < StallTime/2 {
		return nil
	}
	c.armed = now
	return c.Conn.SetWriteDeadline(now.Add(StallTime))
}

// SetWriteDeadline sets a deadline in place of those of Write. Without one, Write
// has its own again.
func (c *paced) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() && !c.own {
		return nil // the server says so after each request
	}
	c.own, c.armed = !t.IsZero(), time.Time{}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *paced) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

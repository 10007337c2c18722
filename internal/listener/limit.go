package listener

import (
	"net"
	"sync"
)

// limited is a listener with a number of connections that can be open at once.
// Clients beyond it wait in the system's queue: they are served late rather
// than turned away.
type limited struct {
	net.Listener
	slots  chan struct{} // holds one element for each open connection
	closed chan struct{}
	close  func() error // works once, and returns the same ever after
}

func newLimited(inner net.Listener, conns int) *limited {
	l := &limited{
		Listener: inner,
		slots:    make(chan struct{}, conns),
		closed:   make(chan struct{}),
	}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		return inner.Close()
	})
	return l
}

// Accept waits for a free slot and then for a connection. It returns
// net.ErrClosed when the listener is closed meanwhile.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: &paced{Conn: conn}, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close ends Accept. Connections stay open. It may be called again: a server
// closes its listeners too.
func (l *limited) Close() error { return l.close() }

// counted is a connection that has a slot until it is closed.
type counted struct {
	net.Conn
	free func()
}

func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// NetConn returns the connection below, as that of [crypto/tls.Conn] does: the
// system is asked about it, such as who is at its other end.
func (c *counted) NetConn() net.Conn {
	if p, ok := c.Conn.(*paced); ok {
		return p.Conn
	}
	return c.Conn
}

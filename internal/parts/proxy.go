package parts

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy forwards connections from a loopback port to a server, and fails as a
// network does. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup // one for each goroutine

	mu      sync.Mutex // guards the fields below
	mode    mode
	changed chan struct{}      // closed when mode changes
	cut     *cut               // nil: none
	pairs   map[*pair]struct{} // connections in both directions
	closed  bool
}

// mode is what happens to bytes and connections.
type mode uint8

const (
	pass   mode = iota // forward
	refuse             // new connections are reset
	stall              // bytes wait, in both directions
	mute               // what the server says is thrown away
)

// cut is the order to lose one answer.
type cut struct {
	text []byte
	done chan struct{} // closed when the answer has been lost
}

// NewProxy starts a proxy in front of address, which ends with the test. At
// first it forwards.
func NewProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: address, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Port is where the proxy listens, on 127.0.0.1.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Pass lets everything through, also what was stalled.
func (p *Proxy) Pass() { p.set(pass) }

// Refuse resets new connections; those that are there go on.
func (p *Proxy) Refuse() { p.set(refuse) }

// Stall holds all bytes back, of new connections too, until Pass.
func (p *Proxy) Stall() { p.set(stall) }

// Mute throws away from now on what the server says; it still hears everything.
func (p *Proxy) Mute() { p.set(mute) }

// Cut ends all connections that are there.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.close()
	}
}

// CutAfter lets the next request that contains text through to the server, and
// ends the connection when the server has answered, without passing the answer
// on: the client does not learn what has happened. The channel is closed when it
// has come to that.
func (p *Proxy) CutAfter(text string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = &cut{text: []byte(text), done: make(chan struct{})}
	return p.cut.done
}

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	refused := p.mode == refuse
	p.mu.Unlock()
	if refused {
		client.(*net.TCPConn).SetLinger(0) // a reset, not an end
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	c := &pair{proxy: p, client: client, server: server, ended: make(chan struct{})}
	defer c.close()
	if !p.add(c) {
		return
	}
	defer p.remove(c)
	var both sync.WaitGroup
	both.Go(c.upstream)
	both.Go(c.downstream)
	both.Wait()
}

func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.pairs[c] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) remove(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
}

// pair is one connection of a client and its continuation.
type pair struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	ended          chan struct{} // closed by close

	mu   sync.Mutex // guards the field below
	lose *cut       // the next answer is to be lost
}

func (c *pair) close() {
	c.once.Do(func() {
		close(c.ended)
		c.client.Close()
		c.server.Close()
	})
}

// upstream forwards what the client says.
func (c *pair) upstream() {
	defer c.close()
	var seen []byte // the end of what was said, in which a text may begin
	c.copy(c.client, c.server, func(chunk []byte, _ mode) (forward, goOn bool) {
		seen = append(seen, chunk...)
		seen = c.watch(seen)
		return true, true
	})
}

// watch looks for the text of a cut, and returns the part of what was said that
// the next look needs.
func (c *pair) watch(seen []byte) []byte {
	p := c.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut == nil {
		return nil
	}
	if bytes.Contains(seen, p.cut.text) {
		c.mu.Lock()
		c.lose = p.cut
		c.mu.Unlock()
		p.cut = nil
		return nil
	}
	return seen[max(0, len(seen)-len(p.cut.text)+1):]
}

// downstream forwards what the server says.
func (c *pair) downstream() {
	defer c.close()
	c.copy(c.server, c.client, func(_ []byte, m mode) (forward, goOn bool) {
		c.mu.Lock()
		lose := c.lose
		c.mu.Unlock()
		if lose != nil {
			c.close()
			close(lose.done)
			return false, false
		}
		return m != mute, true
	})
}

// copy reads until the connection ends; decide sees each chunk when it may pass.
func (c *pair) copy(from, to net.Conn, decide func(chunk []byte, m mode) (forward, goOn bool)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			m, ok := c.admit()
			if !ok {
				return
			}
			forward, goOn := decide(buf[:n], m)
			if !goOn {
				return
			}
			if forward {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// admit waits while the proxy stalls.
func (c *pair) admit() (m mode, ok bool) {
	for {
		c.proxy.mu.Lock()
		m, changed := c.proxy.mode, c.proxy.changed
		c.proxy.mu.Unlock()
		if m != stall {
			return m, true
		}
		select {
		case <-changed:
		case <-c.ended:
			return m, false
		}
	}
}

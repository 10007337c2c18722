package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// shortestPause and longestPause bound how long lines fail at once after a peer
	// could not be reached. In between the pause is pauseFactor times as long as it
	// took to find out, so that a peer that swallows what it is sent holds up a small
	// part of the lines only.
	shortestPause = 100 * time.Millisecond
	longestPause  = 10 * time.Second
	pauseFactor   = 4
)

// errHungUp is what a line meets whose peer closed the connection before.
var errHungUp = errors.New("audit: the peer closed the connection")

// dialing is how a remote reaches its peer.
type dialing struct {
	network, address string
	stream           bool // what is written can be torn, and that the peer left can be seen
}

// remote is a sink that sends each line over a connection. A line is recorded when
// the kernel has taken it: TCP, and more so UDP, may lose it on the way.
//
// It connects when the first line comes, and anew when the peer went away. Nothing
// waits longer than patience; while the peer is away, lines fail at once.
type remote struct {
	ways     []dialing // tried in order
	patience time.Duration
	frame    func(line []byte, stream bool) []byte // what is sent of a line; nil: the line
	now      func() time.Time                      // for pauses

	away atomic.Bool // the last line found nobody

	// turn holds one token. Who has taken it may use the fields below.
	turn    chan struct{}
	conn    net.Conn // nil if there is none
	stream  bool     // conn is one
	closed  bool
	reason  error     // why the peer is away
	retryAt time.Time // when it is tried again
}

var _ Sink = (*remote)(nil)

func newRemote(ways []dialing, patience time.Duration, frame func(line []byte, stream bool) []byte) *remote {
	r := &remote{ways: ways, patience: patience, frame: frame, now: time.Now, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

// Write sends line. It has no use for a context: a line whose caller went away must
// be recorded too, and patience bounds the wait.
func (r *remote) Write(_ context.Context, line []byte, _ durability) error {
	deadline := time.Now().Add(r.patience)
	if err := r.takeTurn(deadline); err != nil {
		return err
	}
	defer func() { r.turn <- struct{}{} }()
	return r.sendInTurn(line, deadline)
}

// takeTurn waits for the turn, which holds nobody up if the peer is away: one line
// finds out whether it is back.
func (r *remote) takeTurn(deadline time.Time) error {
	select {
	case <-r.turn:
		return nil
	default:
	}
	if r.away.Load() {
		return fmt.Errorf("%s is away", r.address())
	}
	wait := time.NewTimer(time.Until(deadline))
	defer wait.Stop()
	select {
	case <-r.turn:
		return nil
	case <-wait.C:
		return fmt.Errorf("%s takes too long", r.address())
	}
}

// address is the peer for error texts.
func (r *remote) address() string { return r.ways[0].address }

// sendInTurn sends line on the connection there is, or else on a new one. Who left
// while it was being sent may have got it: it is sent again, as two are better than
// none.
func (r *remote) sendInTurn(line []byte, deadline time.Time) error {
	if r.closed {
		return ErrClosed
	}
	if r.conn != nil {
		err := errHungUp
		if !r.stream || !hungUp(r.conn) {
			err = r.writeInTurn(line, deadline)
		}
		if err == nil || isTooLong(err) {
			return err
		}
		r.dropInTurn()
		if isTimeout(err) {
			return r.awayInTurn(err, r.patience)
		}
	} else if r.now().Before(r.retryAt) {
		return r.reason
	}
	began := time.Now()
	err := r.connectInTurn(deadline)
	if err == nil {
		err = r.writeInTurn(line, deadline)
	}
	if err != nil && !isTooLong(err) {
		r.dropInTurn()
		return r.awayInTurn(err, time.Since(began))
	}
	r.away.Store(false)
	return err
}

func (r *remote) writeInTurn(line []byte, deadline time.Time) error {
	if err := r.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if r.frame != nil {
		line = r.frame(line, r.stream)
	}
	_, err := r.conn.Write(line)
	if isTooLong(err) {
		return fmt.Errorf("a line of %d bytes is too long for one message to %s: %w", len(line), r.address(), err)
	}
	return err
}

// connectInTurn makes conn a new connection.
func (r *remote) connectInTurn(deadline time.Time) error {
	dialer := net.Dialer{Deadline: deadline}
	var failed []error
	for _, way := range r.ways {
		conn, err := dialer.Dial(way.network, way.address)
		if err == nil {
			r.conn, r.stream = conn, way.stream
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// dropInTurn ends the connection, if there is one.
func (r *remote) dropInTurn() {
	if r.conn != nil {
		r.conn.Close() // what was sent on it was reported already
		r.conn = nil
	}
}

// awayInTurn has lines fail at once for a while, as it took some time to find out
// that the peer is away. It returns why.
func (r *remote) awayInTurn(err error, took time.Duration) error {
	r.reason = err
	r.retryAt = r.now().Add(min(max(pauseFactor*took, shortestPause), longestPause))
	r.away.Store(true)
	return err
}

// Probe says why the peer can't be reached, or nil.
func (r *remote) Probe() error {
	deadline := time.Now().Add(r.patience)
	if err := r.takeTurn(deadline); err != nil {
		return err
	}
	defer func() { r.turn <- struct{}{} }()
	switch {
	case r.closed:
		return ErrClosed
	case r.conn != nil:
		return nil
	}
	return r.connectInTurn(deadline)
}

// Reopen has the next line connect anew.
func (r *remote) Reopen() error {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	if r.closed {
		return ErrClosed
	}
	r.dropInTurn()
	r.retryAt = time.Time{}
	r.away.Store(false)
	return nil
}

// Close ends the connection after what is being sent.
func (r *remote) Close() error {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.closed = true
	r.dropInTurn()
	return nil
}

func isTooLong(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// hungUp says whether the peer has closed the connection, as one that was restarted:
// the first line after that would be taken and lost. Peers have nothing to say, so
// what they do say is dropped.
func hungUp(conn net.Conn) (gone bool) {
	sys, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return true
	}
	var said [512]byte
	err = raw.Read(func(fd uintptr) (done bool) {
		n, err := syscall.Read(int(fd), said[:]) // the runtime keeps it from blocking
		gone = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
		return true
	})
	return gone || err != nil
}

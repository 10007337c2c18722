package listener

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// pipes is a listener that has always one more connection, until it is closed.
type pipes struct {
	closed chan struct{}
	fail   error // what Accept returns instead, if not nil
}

func (p *pipes) Accept() (net.Conn, error) {
	if p.fail != nil {
		return nil, p.fail
	}
	a, _ := net.Pipe()
	return a, nil
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return nil }

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimited(&pipes{closed: make(chan struct{})}, 2)
		accepted := make(chan net.Conn, 10)
		var end error
		go func() {
			defer close(accepted)
			for {
				conn, err := l.Accept()
				if err != nil {
					end = err
					return
				}
				accepted <- conn
			}
		}()

		synctest.Wait()
		if len(accepted) != 2 {
			t.Fatalf("%d connections are open, want 2", len(accepted))
		}
		first := <-accepted
		first.Close()
		first.Close() // frees no second slot
		synctest.Wait()
		if len(accepted) != 2 {
			t.Errorf("after one closed, %d more are open, want 2", len(accepted))
		}

		for range 2 { // the second would panic in pipes
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		synctest.Wait()
		for conn := range accepted {
			conn.Close()
		}
		if !errors.Is(end, net.ErrClosed) {
			t.Errorf("Accept ended with %v, want net.ErrClosed", end)
		}
	})
}

func TestAFailedAcceptTakesNoSlot(t *testing.T) {
	inner := &pipes{closed: make(chan struct{}), fail: errors.New("too many files")}
	l := newLimited(inner, 1)
	for range 3 {
		if _, err := l.Accept(); !errors.Is(err, inner.fail) {
			t.Fatalf("got %v", err)
		}
	}
	inner.fail = nil
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

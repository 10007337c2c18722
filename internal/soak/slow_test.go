package soak

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowHeaderTime is more than the server waits for a header. Such an attack is over
// when the server has ended the last of its connections.
const slowHeaderTime = time.Minute

// dial opens a connection that takes little of an answer before it is read.
func (h *house) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.plain)
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetReadBuffer(4 << 10)
}

// crowd opens connections, gives each to use, and closes them when ctx ends.
func (h *house) crowd(ctx context.Context, t *testing.T, size int, use func(net.Conn)) {
	var all sync.WaitGroup
	defer all.Wait()
	dialing := make(chan struct{}, 64)
	for range size {
		all.Go(func() {
			dialing <- struct{}{}
			conn, err := h.dial(ctx)
			<-dialing
			if err != nil {
				if !os.IsTimeout(err) { // the server may leave some in the queue until the end
					t.Errorf("connect: %v", err)
				}
				return
			}
			defer conn.Close()
			use(conn)
		})
	}
}

// slowHeaders also checks that the server ends such connections.
func slowHeaders(ctx context.Context, t *testing.T, h *house) {
	var ended atomic.Int64
	h.crowd(ctx, t, attackers, func(conn net.Conn) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		end := make(chan struct{})
		go func() {
			conn.Read(make([]byte, 1)) // there is no answer, but an end
			close(end)
		}()
		fmt.Fprintf(conn, "GET /v1/sys/health HTTP/1.1\r\nHost: %s\r\nX-Slow: ", h.plain)
		for {
			select {
			case <-tick.C:
				conn.Write([]byte("x"))
			case <-end:
				ended.Add(1)
				return
			case <-ctx.Done():
				return
			}
		}
	})
	if n := ended.Load(); n != attackers {
		t.Errorf("of %d connections without an end of their header the server ended %d", attackers, n)
	}
}

func slowReaders(ctx context.Context, t *testing.T, h *house) {
	h.crowd(ctx, t, attackers, func(conn net.Conn) {
		fmt.Fprintf(conn, "GET /v1/%s/names?list=true HTTP/1.1\r\nHost: %s\r\nX-Vault-Token: %s\r\n\r\n", plainMount, h.plain, h.RootToken)
		<-ctx.Done()
	})
}

// pipelined sends requests until the server takes no more, as nobody takes its
// answers.
func pipelined(ctx context.Context, t *testing.T, h *house) {
	h.crowd(ctx, t, 100, func(conn net.Conn) {
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		for {
			_, err := fmt.Fprintf(conn, "GET /v1/secret/data/ordinary-1 HTTP/1.1\r\nHost: %s\r\nX-Vault-Token: %s\r\n\r\n", h.plain, h.RootToken)
			if err != nil {
				return
			}
		}
	})
}

// dialTLS opens a connection that speaks HTTP/2. When it is closed, the server need
// not go through what it has not read yet.
func (h *house) dialTLS(ctx context.Context) (net.Conn, error) {
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", h.secure)
	if err != nil {
		return nil, err
	}
	if err := plain.(*net.TCPConn).SetLinger(0); err != nil {
		return nil, err
	}
	// An attacker does not care who it is.
	conn := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	return conn, nil
}

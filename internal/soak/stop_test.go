package soak

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stopTime is the ten seconds that a stopping server waits for requests, and some
// for a busy machine.
const stopTime = 25 * time.Second

// A server that is stopped under load finishes what it has begun: an answer is
// whole or there is none. It does not wait for ever, and what it waits for in vain
// is no failure.
func TestAServerStopsUnderLoad(t *testing.T) {
	h := open(t, ownBuild, t.TempDir())
	h.write(t, "sys/mounts/"+plainMount, map[string]any{"type": "kv", "options": map[string]any{"version": "1"}})
	rest, err := h.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	var answered atomic.Int64
	for n := range writers {
		load.Go(func() { h.writeOn(ctx, t, n, &answered) })
	}
	var begun sync.WaitGroup
	begun.Add(2 * halves)
	for range halves {
		load.Go(func() { h.writeHalf(ctx, t, begun.Done, nil) }) // it never comes to an end
	}
	proceed := make(chan struct{})
	var late sync.WaitGroup
	for range halves {
		late.Go(func() {
			if !h.writeHalf(ctx, t, begun.Done, proceed) {
				t.Error("a request that was under way was not answered")
			}
		})
	}
	h.awaitConnections(t, rest.fds+writers+2*halves)
	begun.Wait()

	start := time.Now()
	h.Process().Signal(syscall.SIGTERM)
	h.awaitRefusal(t)
	close(proceed) // from here on the server takes no new connections
	late.Wait()
	if err := h.Process().Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if took := time.Since(start); took > stopTime {
		t.Errorf("it took %v", took)
	}
	cancel()
	load.Wait()
	if answered.Load() == 0 {
		t.Error("there was no load")
	}
	h.noRace(t)
}

// writeOn writes secrets until the server is gone. What is answered must be
// answered whole.
func (h *house) writeOn(ctx context.Context, t *testing.T, n int, answered *atomic.Int64) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		r := h.request(http.MethodPut, fmt.Sprintf("%s/load-%d", plainMount, n), []byte(`{"v":"some value"}`)).WithContext(ctx)
		r.Header.Set("X-Vault-Token", h.RootToken)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("an answer of status %d, and then %v", resp.StatusCode, err)
			return
		}
		answered.Add(1)
	}
}

// writeHalf sends a request whose body is complete once proceed is closed, and
// calls begun when the server waits for that: what it has accepted only, and not
// read, it need not answer. It says whether the answer was the one that is due.
func (h *house) writeHalf(ctx context.Context, t *testing.T, begun func(), proceed <-chan struct{}) bool {
	begun = sync.OnceFunc(begun)
	defer begun()
	conn, err := h.dial(ctx)
	if err != nil {
		t.Error(err)
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	body := []byte(`{"v":"` + string(bytes.Repeat([]byte("x"), 100)) + `"}`)
	fmt.Fprintf(conn, "PUT /v1/%s/half HTTP/1.1\r\nHost: %s\r\nX-Vault-Token: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		plainMount, h.plain, h.RootToken, len(body))
	answers := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != http.StatusContinue {
		t.Errorf("the server does not go on: %v, %v", resp, err)
		return false
	}
	conn.Write(body[:50])
	begun()
	if proceed != nil {
		<-proceed
		conn.Write(body[50:])
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusNoContent
}

const (
	writers = 32
	halves  = 20 // of each sort
)

// awaitConnections waits until the server has so many descriptors.
func (h *house) awaitConnections(t *testing.T, fds int) {
	t.Helper()
	h.await(t, "the load to begin", func() bool {
		u, err := h.look(t.Context())
		return err == nil && u.fds >= fds
	})
}

// awaitRefusal waits until the server takes no connections any more.
func (h *house) awaitRefusal(t *testing.T) {
	t.Helper()
	h.await(t, "the server to take no connections", func() bool {
		conn, err := net.Dial("tcp", h.plain)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func (h *house) await(t *testing.T, what string, come func() bool) {
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(returnTime)
	for !come() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

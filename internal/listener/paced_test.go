package listener

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWriteFailsWhenNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := &paced{Conn: near}
		defer c.Close()
		start := time.Now()
		if _, err := c.Write([]byte("answer")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took != StallTime {
			t.Errorf("it took %v", took)
		}
	})
}

func TestASlowReaderGetsAllOfALongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := &paced{Conn: near}
		const pieces = 10
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, pieces*stallPiece))
			done <- err
			c.Close()
		}()
		read := 0
		for buf := make([]byte, stallPiece); ; {
			time.Sleep(StallTime/2 - time.Second) // of a bubble, where time is no time
			n, err := io.ReadFull(far, buf)
			if read += n; err != nil {
				break
			}
		}
		if err := <-done; err != nil || read != pieces*stallPiece {
			t.Errorf("%d bytes were read, and the write ended with %v", read, err)
		}
	})
}

func TestADeadlineOfTheServersStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := &paced{Conn: near}
		defer c.Close()
		for _, limit := range []time.Duration{time.Second, time.Hour} {
			start := time.Now()
			c.SetDeadline(start.Add(limit))
			if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != limit {
				t.Errorf("with a deadline of %v: %v after %v", limit, err, time.Since(start))
			}
		}
		c.SetDeadline(time.Time{})
		start := time.Now()
		if _, err := c.Write([]byte("x")); err == nil || time.Since(start) != StallTime {
			t.Errorf("without one: %v after %v", err, time.Since(start))
		}
	})
}

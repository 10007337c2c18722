package scan

import (
	"context"
	"errors"
	"io"
	"sync"
)

// A stream is searched in pieces that overlap: what begins in a piece's core needs
// margins before and after it to be told.
const (
	coreBytes    = 1 << 20
	marginBefore = 4 << 10
	marginAfter  = maxRun + ahead
)

// stream searches what r gives, on all workers, and calls m's report in order.
func (s *Scanner) stream(ctx context.Context, r io.Reader, m *merger) error {
	c := cutter{r: r, size: coreBytes, pool: &s.buffers}
	first := c.next()
	m.place.look(first.b[:min(len(first.b), sniffed)])
	if first.last {
		m.add(s.piece(m.place, first.b, first.core, first.offset))
		m.close()
		c.free(first)
		return errors.Join(c.err, ctx.Err())
	}
	s.streamParallel(ctx, &c, first, m)
	m.close()
	return errors.Join(c.err, ctx.Err())
}

// streamParallel keeps as many cuts in work as there are workers, and one more.
func (s *Scanner) streamParallel(ctx context.Context, c *cutter, next *cut, m *merger) {
	type result chan *piece
	queue := make(chan result, s.opts.Workers)
	var workers sync.WaitGroup
	stop := make(chan struct{})
	go func() {
		defer close(queue)
		for next != nil {
			this, done := next, make(result, 1)
			select {
			case queue <- done:
			case <-stop:
				return
			}
			workers.Go(func() {
				done <- s.piece(m.place, this.b, this.core, this.offset)
				c.free(this)
			})
			next = c.next()
		}
	}()
	for done := range queue {
		if ctx.Err() != nil {
			break
		}
		m.add(<-done)
	}
	close(stop)
	for range queue { // what was begun ends by itself
	}
	workers.Wait()
}

// cut is a part of a stream with its margins.
type cut struct {
	b      []byte
	core   span
	offset int64
	last   bool
}

// cutter cuts a stream. Buffers that were freed are used again.
type cutter struct {
	r     io.Reader
	size  int
	prev  []byte // what the last cut ended with: the margins of the next
	at    int64  // offset of prev
	inner int    // where the next core begins in prev
	ended bool
	err   error
	pool  *sync.Pool
}

// next returns the next cut, or nil at the end, which may be an error: c.err.
func (c *cutter) next() *cut {
	if c.ended {
		return nil
	}
	need := c.inner + c.size + marginAfter
	var b []byte
	if p, ok := c.pool.Get().(*[]byte); ok && cap(*p) >= need {
		b = (*p)[:need]
	} else {
		b = make([]byte, need)
	}
	n := copy(b, c.prev)
	more, err := fill(c.r, b[n:])
	this := &cut{b: b[:n+more], offset: c.at, core: span{c.inner, n + more - marginAfter}}
	if err != nil { // what came before an error is searched, too
		this.last, this.core.end = true, len(this.b)
		c.ended = true
		if err != io.EOF {
			c.err = err
		}
		return this
	}
	from := max(0, this.core.end-marginBefore)
	c.prev = append(c.prev[:0], this.b[from:]...)
	c.at, c.inner = c.at+int64(from), this.core.end-from
	return this
}

// fill reads until p is full. Unlike io.ReadFull it returns the reader's own error.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

func (c *cutter) free(this *cut) { c.pool.Put(&this.b) }

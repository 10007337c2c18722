package redact

import (
	"errors"
	"io"
	"sync"
	"time"
)

// blockBytes is how much is searched at a time, so that a large write needs no
// large buffer.
const blockBytes = 32 << 10

// ErrClosed is returned by writes to a [Writer] after its Close.
var ErrClosed = errors.New("redact: write after Close")

// Writer removes values from what is written to it, and passes the rest on. It
// holds back the end of what it got for as long as that may be the beginning of
// a value, and nothing else: see [Redactor.Writer]. Its methods are safe for
// concurrent use; an occurrence that several goroutines write together is found
// if their writes follow each other.
type Writer struct {
	redactor *Redactor
	to       io.Writer
	maxHold  time.Duration // zero: without bound

	mu      sync.Mutex  // guards the fields below, and calls of to
	held    []byte      // not passed on yet
	covered int         // bytes at the front of held that a marker stands for already
	out     []byte      // the last output that was not just a piece of held
	matches []match     // of the last search
	timer   *time.Timer // nil: never needed; flushes what is held for maxHold
	since   time.Time   // since when held holds anything; zero: nothing
	err     error       // of to, or ErrClosed: the end
}

var _ io.WriteCloser = (*Writer)(nil)

// WriterOption changes what [Redactor.Writer] returns.
type WriterOption func(*Writer)

// MaxHold bounds how long bytes are held back. It is for terminals, where
// somebody waits for a prompt that happens to look like the beginning of a value;
// a second is right. When the time is over the bytes are passed on, and if the
// rest of the value follows later, it is not recognised. Without it, bytes are
// held until more bytes decide, or until Flush or Close.
func MaxHold(d time.Duration) WriterOption { return func(w *Writer) { w.maxHold = d } }

// Writer returns a Writer that passes on to w what is not secret. Close it, which
// does not close w: the end of the stream decides what is held.
//
// Each byte is passed on before Write returns, but for the longest end of what
// was written that some value, or an encoding of one, begins with. Since no
// encoding of a one-line value holds a line end, a whole line is never held on
// their account. A Write takes the values as of its beginning.
//
// It does not allocate once its buffers have grown to what the stream needs,
// at most some 100 KiB.
func (r *Redactor) Writer(w io.Writer, opts ...WriterOption) *Writer {
	own := &Writer{redactor: r, to: w}
	for _, o := range opts {
		o(own)
	}
	return own
}

// Write takes p whole, unless passing on fails: then, and at every later call, it
// returns that error, and says that it took nothing.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.redactor.current.Load()
	for rest := p; len(rest) > 0 && w.err == nil; {
		n := min(len(rest), blockBytes)
		before := len(w.held)
		w.held = append(w.held, rest[:n]...)
		rest = rest[n:]
		w.matches = m.find(w.matches[:0], w.held)
		decided := m.undecided(w.held)
		w.pass(m, decided)
		if decided >= before {
			w.since = time.Time{} // what is held now is new
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	w.schedule()
	return len(p), nil
}

// Flush passes on what is held, except what is a value already.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.flushLocked()
	}
	return w.err
}

// Close flushes, and ends the Writer. It returns the first error that passing on
// gave. Closing again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	if errors.Is(w.err, ErrClosed) {
		return nil
	}
	if w.err == nil {
		w.flushLocked()
	}
	err := w.err
	w.err = ErrClosed
	return err
}

func (w *Writer) flushLocked() {
	m := w.redactor.current.Load()
	w.matches = m.find(w.matches[:0], w.held)
	w.pass(m, len(w.held))
	w.since = time.Time{}
}

// pass passes on the first n bytes of what is held, without the values.
func (w *Writer) pass(m *matcher, n int) {
	clean, covered := w.held[:n], 0
	if len(w.matches) > 0 || w.covered > 0 {
		w.out, covered = m.replace(w.out[:0], w.held, w.matches, w.covered, n)
		clean = w.out
	}
	if len(clean) > 0 {
		wrote, err := w.to.Write(clean)
		if err == nil && wrote < len(clean) {
			err = io.ErrShortWrite
		}
		if err != nil {
			w.err = err
		}
	}
	w.held = append(w.held[:0], w.held[n:]...)
	w.covered = covered
}

// schedule sees to it that nothing is held for too long.
func (w *Writer) schedule() {
	switch {
	case w.maxHold <= 0:
		return
	case len(w.held) == 0:
		w.since = time.Time{}
		return
	case !w.since.IsZero():
		return // the time runs
	}
	w.since = time.Now()
	if w.timer == nil {
		w.timer = time.AfterFunc(w.maxHold, w.expire)
		return
	}
	w.timer.Reset(w.maxHold)
}

// expire flushes what is held for its time. What came later than the timer was
// set for waits for its own time.
func (w *Writer) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.since.IsZero() {
		return
	}
	if left := w.maxHold - time.Since(w.since); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.flushLocked()
}

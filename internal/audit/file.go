package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// moveCheck is how often a file looks whether its name still leads to it.
const moveCheck = time.Second

// target is an open file, as *os.File is.
type target interface {
	io.Writer
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// file is a sink that appends to a file. Lines that arrive while others are
// being written are gathered and go out together, in one write(2) and, if one of
// them asks for it, one fsync(2); a line is recorded when these have returned.
type file struct {
	path string                 // empty: never moved
	open func() (opened, error) // opens what path leads to
	disk *disk                  // nil: there is none

	mu    sync.Mutex // guards the fields below
	next  *batch     // takes lines; nil: the next line begins one
	spare []byte     // buffer of a batch that is done

	// turn holds one token. Who has taken it may use the fields below.
	turn    chan struct{}
	current opened // its target is nil if there is none
	closed  bool
	checked time.Time // when path was last seen to lead to current
}

// opened is an open target and what is known of it.
type opened struct {
	target
	info fs.FileInfo // when it was opened
	size int64       // bytes in it, if nobody else writes
	torn bool        // its last line has no end

	named bool // that its name leads to it is on the disk
}

// batch is lines that are written together.
type batch struct {
	buf  []byte
	sync bool          // a line in it must reach the disk
	done chan struct{} // closed when all is over; nil: only the first line's writer waits

	// Set before done is closed.
	written int   // bytes that were, in whole lines
	err     error // why not all
}

var _ Sink = (*file)(nil)

// newFile returns a sink on what open opens.
func newFile(path string, open func() (opened, error)) (*file, error) {
	current, err := open()
	if err != nil {
		return nil, err
	}
	f := &file{path: path, open: open, turn: make(chan struct{}, 1), current: current, checked: time.Now()}
	f.turn <- struct{}{}
	return f, nil
}

// Write appends line. It waits for nothing but the disk, so it has no use for a
// context: a line whose caller went away must be recorded too.
func (f *file) Write(_ context.Context, line []byte, until durability) error {
	b, end, first := f.join(line, until)
	if first {
		f.lead(b)
	} else {
		<-b.done
	}
	if end <= b.written {
		return nil
	}
	return b.err
}

// join adds line to the batch that takes lines. end is where it ends in there.
// Who is first must lead the batch.
func (f *file) join(line []byte, until durability) (b *batch, end int, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b = f.next; b == nil {
		b, first = &batch{buf: f.spare[:0]}, true
		f.next, f.spare = b, nil
	} else if b.done == nil {
		b.done = make(chan struct{})
	}
	b.buf = append(b.buf, line...)
	b.sync = b.sync || until == onDisk
	return b, len(b.buf), first
}

// lead waits until it is the batch's turn, closes it to others and writes it.
func (f *file) lead(b *batch) {
	<-f.turn
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()

	b.written, b.err = f.writeInTurn(b.buf)
	if b.sync && b.written > 0 {
		if err := f.syncInTurn(); err != nil { // nobody knows which of them are there
			b.written, b.err = 0, err
		}
	}
	f.turn <- struct{}{}
	if b.done != nil {
		close(b.done)
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(b.buf) <= maxKeptBytes {
		f.spare = b.buf
	}
}

// writeInTurn appends lines and returns how many bytes of whole lines are
// there; what is torn is removed or, failing that, ended before the next line.
func (f *file) writeInTurn(lines []byte) (whole int, err error) {
	if err := f.prepareInTurn(); err != nil {
		return 0, err
	}
	n, err := f.current.Write(lines)
	f.current.size += int64(n)
	if n == len(lines) && err == nil {
		return n, nil
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	whole = bytes.LastIndexByte(lines[:n], '\n') + 1
	if n > whole {
		f.current.cut(int64(n - whole))
	}
	return whole, err
}

// prepareInTurn makes current the file that path leads to, ready for a line.
func (f *file) prepareInTurn() error {
	if f.closed {
		return ErrClosed
	}
	if f.current.target == nil || f.movedInTurn() {
		if err := f.reopenInTurn(); err != nil {
			return err
		}
	}
	if !f.current.torn {
		return nil
	}
	n, err := f.current.Write([]byte{'\n'})
	f.current.size += int64(n)
	f.current.torn = err != nil
	return err
}

// movedInTurn says whether path leads elsewhere by now, or nowhere.
func (f *file) movedInTurn() bool {
	now := time.Now()
	if f.path == "" || now.Sub(f.checked) < moveCheck {
		return false
	}
	f.checked = now
	info, err := os.Stat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !os.SameFile(info, f.current.info)
}

// reopenInTurn opens what path leads to. If it can't, there is no target: what
// goes to a file that nobody finds is not recorded.
func (f *file) reopenInTurn() error {
	next, err := f.open()
	if f.current.target != nil {
		f.current.Close() // every line in it was reported already
	}
	f.current, f.checked = next, time.Now()
	return err
}

// cut removes the last n bytes. They stay, as a torn line, if that can't be done
// or if others have written to the file, who may have done so behind them.
func (o *opened) cut(n int64) {
	info, err := o.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != o.size || o.Truncate(o.size-n) != nil {
		o.torn = true
		return
	}
	o.size -= n
}

// Reopen opens what the file's name now leads to.
func (f *file) Reopen() error {
	<-f.turn
	defer func() { f.turn <- struct{}{} }()
	if f.closed {
		return ErrClosed
	}
	return f.reopenInTurn()
}

// Close closes the file after what is being written.
func (f *file) Close() error {
	<-f.turn
	defer func() { f.turn <- struct{}{} }()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.current.target == nil {
		return nil
	}
	return f.current.Close()
}

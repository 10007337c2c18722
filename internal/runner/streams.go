package runner

import (
	"errors"
	"io"
	"os"
	"reflect"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/redact"
)

const (
	// quiet is how long nothing must come out of a stream, after the program has
	// ended, for it to be over: others may have it open still.
	quiet = 50 * time.Millisecond
	// lastWords bounds what is passed on after the program has ended. What the
	// program itself has written is never more: a pipe holds less.
	lastWords = 2 << 20
	// terminalHold is how long a prompt may be held back on a terminal because it
	// looks like the beginning of a value.
	terminalHold = time.Second
)

// streams are those of one life of the program.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	outlets        []*outlet
	theirs         []*os.File // the program's ends: closed here when it has them
	terminal       *terminal  // nil: the program uses ours, or none
}

// outlet is output of the program on its way through us.
type outlet struct {
	from  *os.File // our end of a pipe, or of a pseudo terminal
	clean *redact.Writer
	like  *os.File // the terminal behind it; nil: none

	ended atomic.Bool   // the program has
	done  chan struct{} // closed when the outlet has ended, too
	err   error         // of passing on; valid when done is closed
}

// openStreams gives the program our own streams, but for output that must be
// looked through. A stream that is a terminal for us is one for the program, too:
// if both input and output are, it gets a terminal of its own, else output alone
// goes through one, and input, signals and job control are the real one's.
func (j *job) openStreams() (_ *streams, err error) {
	s := &streams{stdin: j.Stdin, stdout: j.Stdout, stderr: j.Stderr}
	if j.scrubber == nil {
		return s, nil
	}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	in, out := terminalOf(j.Stdin), terminalOf(j.Stdout)
	if in == nil || out == nil || !sameStream(in, out) {
		if s.stdout, err = s.through(j, j.Stdout); err != nil {
			return nil, err
		}
	} else {
		if s.terminal, err = openTerminal(in); err != nil {
			return nil, err
		}
		slave := s.terminal.slave
		s.stdin, s.stdout, s.theirs = slave, slave, append(s.theirs, slave)
		s.add(j, s.terminal.master, j.Stdout, out)
	}
	if sameStream(j.Stdout, j.Stderr) {
		s.stderr = s.stdout
		return s, nil
	}
	s.stderr, err = s.through(j, j.Stderr)
	return s, err
}

// through returns what the program writes to instead of w.
func (s *streams) through(j *job, w io.Writer) (io.Writer, error) {
	if w == nil {
		return nil, nil
	}
	like := terminalOf(w)
	var ours, theirs *os.File
	var err error
	if like != nil {
		ours, theirs, err = openPassage(like)
	} else {
		ours, theirs, err = os.Pipe()
	}
	if err != nil {
		return nil, err
	}
	s.theirs = append(s.theirs, theirs)
	s.add(j, ours, w, like)
	return theirs, nil
}

func (s *streams) add(j *job, from *os.File, to io.Writer, like *os.File) {
	var opts []redact.WriterOption
	if like != nil {
		opts = append(opts, redact.MaxHold(terminalHold))
	}
	s.outlets = append(s.outlets, &outlet{
		from: from, like: like, clean: j.scrubber.redactor.Writer(to, opts...), done: make(chan struct{}),
	})
}

// begin passes output on. The program has its ends now.
func (s *streams) begin() {
	for _, f := range s.theirs {
		f.Close()
	}
	for _, o := range s.outlets {
		go o.pump()
	}
}

// abandon closes everything: the program could not be started.
func (s *streams) abandon() {
	for _, f := range s.theirs {
		f.Close()
	}
	for _, o := range s.outlets {
		o.from.Close()
	}
	if s.terminal != nil {
		s.terminal.close()
	}
}

// end waits until all that the program has written is passed on, and returns what
// went wrong with that.
func (s *streams) end() error {
	var problems []error
	for _, o := range s.outlets {
		o.ended.Store(true)
		_ = o.from.SetReadDeadline(time.Now().Add(quiet)) // it may be closed already
		<-o.done
		// Who reads no more has its reasons, and the program was told.
		if !errors.Is(o.err, syscall.EPIPE) {
			problems = append(problems, o.err)
		}
	}
	if s.terminal != nil {
		s.terminal.close()
	}
	return errors.Join(problems...)
}

// flush prints what is held back: the program waits.
func (s *streams) flush() {
	for _, o := range s.outlets {
		_ = o.clean.Flush() // pump meets the same error
	}
}

// resize gives the program's terminals the size of ours.
func (s *streams) resize() {
	for _, o := range s.outlets {
		if o.like != nil {
			copySize(o.like, o.from)
		}
	}
}

// pump passes on until the end of the stream or, once the program has ended,
// until it is quiet.
func (o *outlet) pump() {
	defer close(o.done)
	buffer := make([]byte, 32<<10)
	left := lastWords
	for left > 0 {
		ended := o.ended.Load()
		if ended {
			_ = o.from.SetReadDeadline(time.Now().Add(quiet))
		}
		n, err := o.from.Read(buffer)
		if n > 0 {
			if _, o.err = o.clean.Write(buffer[:n]); o.err != nil {
				break
			}
		}
		if ended {
			left -= n
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !ended {
			continue // the time was over before it began
		}
		if err != nil {
			break // EIO is the end of a pseudo terminal
		}
	}
	// If nobody wants the output, the program learns of it as if it wrote itself.
	o.from.Close()
	if err := o.clean.Close(); o.err == nil {
		o.err = err
	}
}

// sameStream says whether two streams are one file, so that the order of what is
// written to both can be kept.
func sameStream(a, b any) bool {
	f, isFile := a.(*os.File)
	g, alsoFile := b.(*os.File)
	if isFile && alsoFile && f != nil && g != nil {
		x, err1 := f.Stat()
		y, err2 := g.Stat()
		return err1 == nil && err2 == nil && os.SameFile(x, y)
	}
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

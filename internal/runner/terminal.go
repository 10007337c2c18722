package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is the pseudo terminal that a program has for its own while its output
// is looked through. Ours is raw meanwhile: each key goes to the other one, which
// echoes, edits lines and makes signals as the program has told it to.
type terminal struct {
	real          *os.File // ours
	master, slave *os.File
	wake          [2]*os.File    // a byte, or the end, is news for the input
	continued     chan os.Signal // gets SIGCONT
	resumed       chan struct{}  // of capacity 1: our job went on
	over          chan struct{}  // closed at the end
	work          sync.WaitGroup

	mu        sync.Mutex // guards the fields below, and changes of real
	saved     unix.Termios
	raw       bool
	suspended bool // our job is about to stop, or has
}

// backgroundLook is how often a job in the background looks whether it has the
// terminal: no shell tells it.
const backgroundLook = 200 * time.Millisecond

// terminalOf returns the stream if it is a terminal.
func terminalOf(stream any) *os.File {
	f, ok := stream.(*os.File)
	if !ok || f == nil {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), getTermios); err != nil {
		return nil
	}
	return f
}

// openTerminal makes a terminal like the real one.
func openTerminal(real *os.File) (*terminal, error) {
	t := &terminal{real: real, continued: make(chan os.Signal, 1), resumed: make(chan struct{}, 1), over: make(chan struct{})}
	var err error
	if t.master, t.slave, err = openPair(); err != nil {
		return nil, err
	}
	if t.wake[0], t.wake[1], err = os.Pipe(); err != nil {
		return nil, errors.Join(err, t.master.Close(), t.slave.Close())
	}
	if mode, err := termiosOf(real); err == nil {
		_ = setTermiosOf(t.slave, setTermios, mode) // else it has the system's own
	}
	copySize(real, t.master)
	return t, nil
}

// openPair opens a pseudo terminal whose master can be given deadlines: the package
// leaves it in a mode where it cannot.
func openPair() (master, slave *os.File, err error) {
	opened, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer opened.Close()
	fd, err := unix.FcntlInt(opened.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, errors.Join(err, slave.Close())
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fd), slave.Close())
	}
	return os.NewFile(uintptr(fd), opened.Name()), slave, nil
}

// openPassage makes a pseudo terminal for output only, which changes no byte: the
// real one does that.
func openPassage(like *os.File) (master, slave *os.File, err error) {
	if master, slave, err = openPair(); err != nil {
		return nil, nil, err
	}
	mode, err := termiosOf(slave)
	if err == nil {
		makeRaw(mode)
		err = setTermiosOf(slave, setTermios, mode)
	}
	if err != nil {
		return nil, nil, errors.Join(err, master.Close(), slave.Close())
	}
	copySize(like, master)
	return master, slave, nil
}

// withFd calls fn with the number of a file, whose mode stays as it is.
func withFd(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if refusal := conn.Control(func(fd uintptr) { err = fn(int(fd)) }); refusal != nil {
		return refusal // it is closed
	}
	return err
}

func termiosOf(f *os.File) (mode *unix.Termios, err error) {
	err = withFd(f, func(fd int) (err error) {
		mode, err = unix.IoctlGetTermios(fd, getTermios)
		return err
	})
	return mode, err
}

func setTermiosOf(f *os.File, request uint, mode *unix.Termios) error {
	return withFd(f, func(fd int) error { return unix.IoctlSetTermios(fd, request, mode) })
}

// copySize gives a terminal the size of another.
func copySize(from, to *os.File) {
	_ = withFd(from, func(fd int) error {
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		return withFd(to, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
	}) // a terminal without a size is one still
}

// makeRaw is cfmakeraw(3).
func makeRaw(mode *unix.Termios) {
	mode.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	mode.Oflag &^= unix.OPOST
	mode.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	mode.Cflag &^= unix.CSIZE | unix.PARENB
	mode.Cflag |= unix.CS8
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
}

// begin reads keys for the program, and looks after what the shell does with our
// job.
func (t *terminal) begin() {
	t.enter()
	signal.Notify(t.continued, syscall.SIGCONT)
	t.work.Go(t.input)
	t.work.Go(t.watch)
}

// watch looks after the terminal whenever our job goes on: in the foreground, in
// the background, or in the foreground again.
func (t *terminal) watch() {
	for {
		select {
		case <-t.continued:
			t.mu.Lock()
			t.suspended = false
			t.mu.Unlock()
			t.enter()
			copySize(t.real, t.master)
			_, _ = t.wake[1].Write([]byte{0}) // the input looks whose terminal it is
			select {
			case t.resumed <- struct{}{}:
			default:
			}
		case <-t.over:
			return
		}
	}
}

// enter makes the real terminal raw, if it is ours to use, and says whether it is.
func (t *terminal) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.suspended || !hasTerminal(t.real) {
		return false
	}
	if t.raw {
		return true
	}
	mode, err := termiosOf(t.real)
	if err != nil {
		return true // it is gone: the input finds out
	}
	t.saved = *mode
	makeRaw(mode)
	t.raw = setTermiosOf(t.real, setTermiosAfter, mode) == nil
	copySize(t.real, t.master)
	return true
}

// leave makes the real terminal what it was.
func (t *terminal) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raw {
		t.raw = false
		_ = setTermiosOf(t.real, setTermiosAfter, &t.saved) // it may be gone
	}
}

// aside calls fn, which prints to the real terminal, with lines that begin at its
// left side.
func (t *terminal) aside(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.raw {
		fn()
		return
	}
	mode, err := termiosOf(t.real)
	if err != nil {
		fn()
		return
	}
	ours := *mode
	mode.Oflag |= t.saved.Oflag & (unix.OPOST | unix.ONLCR)
	_ = setTermiosOf(t.real, setTermiosAfter, mode) // else it looks worse
	fn()
	_ = setTermiosOf(t.real, setTermiosAfter, &ours)
}

// close ends the input and gives the real terminal back.
func (t *terminal) close() {
	signal.Stop(t.continued)
	close(t.over)
	t.wake[1].Close()
	t.master.Close() // a program that reads nothing holds the input up
	t.work.Wait()
	t.wake[0].Close()
	t.leave()
}

// input passes keys on while the real terminal is ours to read. It never waits in
// read, where a shell that takes the terminal back would stop us.
func (t *terminal) input() {
	real, wake := int(t.real.Fd()), int(t.wake[0].Fd())
	buffer := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}
		limit := int(backgroundLook / time.Millisecond)
		if t.enter() {
			fds, limit = append(fds, unix.PollFd{Fd: int32(real), Events: unix.POLLIN}), -1
		}
		ready, err := unix.Poll(fds, limit)
		if ready == 0 || errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		if fds[0].Revents != 0 {
			if n, err := unix.Read(wake, buffer[:1]); n == 0 || err != nil {
				return
			}
			continue
		}
		n, err := unix.Read(real, buffer)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return // the terminal is gone
		}
		if _, err := t.master.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// hasTerminal says whether our process group is the one that uses a terminal.
func hasTerminal(tty *os.File) bool {
	var group int
	err := withFd(tty, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return err == nil && group == unix.Getpgrp()
}

// canStop says whether somebody could make us go on after a stop: a shell that
// controls jobs, which is the parent of ours. Otherwise, as in a container, we would
// stand still for ever.
func canStop() bool {
	if signal.Ignored(syscall.SIGTSTP) {
		return false
	}
	for parent := os.Getppid(); parent > 0; parent = parentOf(parent) {
		if group, err := unix.Getpgid(parent); err != nil {
			return false
		} else if group == unix.Getpgrp() {
			continue // a script, which stops with us
		}
		session, err := unix.Getsid(parent)
		own, ownErr := unix.Getsid(0)
		return err == nil && ownErr == nil && session == own
	}
	return false
}

// parentOf returns the parent of another process, or zero if that is not known.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything; state and parent follow.
	var state string
	var parent int
	_, _ = fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &parent) // zero, else
	return parent
}

// suspend stops our job, as the program has stopped, and returns when it goes on.
func (t *terminal) suspend() {
	if !canStop() {
		return
	}
	t.mu.Lock()
	t.suspended = true
	t.mu.Unlock()
	t.leave()
	select {
	case <-t.resumed: // of an earlier stop
	default:
	}
	_ = syscall.Kill(0, syscall.SIGTSTP) // all of the job, as the terminal would
	select {
	case <-t.resumed:
	case <-t.over:
	}
}

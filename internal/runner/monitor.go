package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A program that has its own terminal has a parent in the same session: without
// one, the system would discard the stop that Ctrl-Z means. That parent, the
// monitor, is a process of our program. The two talk over a pair of sockets, in
// records of one size.

// record is what one says to the other.
type record struct {
	kind  uint32
	value int32
}

// Kinds of records.
const (
	monitorReady   uint32 = iota + 1 // it knows how the real terminal was
	runProgram                       // to the monitor
	programRuns                      // value: its number
	programFails                     // value: the system's reason
	programStopped                   // by a signal, and can go on
	programEnded                     // value: its wait status
	sendSignal                       // to the monitor; value: the signal
	goOn                             // to the monitor: continue the program
)

const recordBytes = 8

func (r record) send(w io.Writer) error {
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, recordBytes), r.kind)
	_, err := w.Write(binary.NativeEndian.AppendUint32(b, uint32(r.value)))
	return err
}

func receive(r io.Reader) (record, error) {
	var b [recordBytes]byte
	_, err := io.ReadFull(r, b[:])
	return record{binary.NativeEndian.Uint32(b[:4]), int32(binary.NativeEndian.Uint32(b[4:]))}, err
}

// monitored is a program with its own terminal, as we see it.
type monitored struct {
	monitor int // number of the process
	control *os.File
	streams *streams
	number  int // of the program
}

var _ process = (*monitored)(nil)

// startMonitored starts a monitor, and the program by it.
func startMonitored(cmd *exec.Cmd, s *streams) (*monitored, error) {
	self, err := ownProgram()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	m := &monitored{control: ours, streams: s}
	files := s.filesOf(inherited())
	part := fmt.Sprintf("%s%d:%s", monitorPart, len(files), cmd.Path)
	m.monitor, err = syscall.ForkExec(self, append([]string{os.Args[0], "run", "--"}, cmd.Args...), &syscall.ProcAttr{
		Env:   append(cmd.Env[:len(cmd.Env):len(cmd.Env)], helperVariable+"="+part),
		Files: append(files, theirs.Fd(), s.terminal.real.Fd()),
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0},
	})
	theirs.Close()
	if err == nil {
		if err = m.begin(); err == nil {
			return m, nil
		}
	}
	ours.Close() // the monitor ends, as nobody talks to it any more
	m.join()
	return nil, err
}

// join waits for the monitor's end.
func (m *monitored) join() {
	for m.monitor != 0 {
		if _, err := syscall.Wait4(m.monitor, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// inherited returns the files beyond the streams that a program we start would
// have, such as sockets that systemd has opened for it.
func inherited() []int {
	const most = 1024
	var fds []int
	for fd := 3; fd < most; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// filesOf returns the program's streams, and what it inherits at the places where
// that is.
func (s *streams) filesOf(inherited []int) []uintptr {
	const none = ^uintptr(0)
	files := []uintptr{none, none, none}
	for i, stream := range []any{s.stdin, s.stdout, s.stderr} {
		if f, ok := stream.(*os.File); ok && f != nil {
			files[i] = f.Fd()
		}
	}
	for _, fd := range inherited {
		for len(files) < fd {
			files = append(files, none)
		}
		files = append(files, uintptr(fd))
	}
	return files
}

// begin has the monitor start the program, on a terminal that is ready for it.
func (m *monitored) begin() error {
	if r, err := receive(m.control); err != nil || r.kind != monitorReady {
		return errors.New("the process that looks after its terminal has ended")
	}
	m.streams.terminal.begin()
	if err := (record{kind: runProgram}).send(m.control); err != nil {
		return fmt.Errorf("have the program started: %w", err)
	}
	switch r, err := receive(m.control); {
	case err != nil:
		return fmt.Errorf("have the program started: %w", err)
	case r.kind == programFails:
		return syscall.Errno(r.value)
	default:
		m.number = int(r.value)
	}
	return nil
}

func (m *monitored) pid() int { return m.number }

// Signal implements [process].
func (m *monitored) Signal(sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return errors.New("no signal of the system")
	}
	return (record{kind: sendSignal, value: int32(number)}).send(m.control)
}

// wait implements [process]. It stops with the program, as the shell expects.
func (m *monitored) wait() (syscall.WaitStatus, error) {
	defer m.control.Close()
	for {
		r, err := receive(m.control)
		if err != nil {
			m.join()
			return 0, errors.New("the process that looks after its terminal has ended")
		}
		switch r.kind {
		case programEnded:
			m.join()
			return syscall.WaitStatus(r.value), nil
		case programStopped:
			m.streams.flush()
			m.streams.terminal.suspend()
			_ = record{kind: goOn}.send(m.control) // it has ended otherwise
		}
	}
}

// socketPair returns two ends, of which the first can be waited on.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(pair[0])
	unix.CloseOnExec(pair[1])
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(pair[0]), unix.Close(pair[1]))
	}
	return os.NewFile(uintptr(pair[0]), "monitor"), os.NewFile(uintptr(pair[1]), "run"), nil
}

// monitorProgram is the monitor's life. Its first file beyond the program's is the
// control, the next one the real terminal. It ends with the program's, or, should the
// run be killed, by hanging up on the program and leaving the real terminal as it
// was.
func monitorProgram(controlFd int, path string, args, env []string) int {
	terminalFd := controlFd + 1
	unix.CloseOnExec(controlFd)
	unix.CloseOnExec(terminalFd)
	control := os.NewFile(uintptr(controlFd), "run")
	saved, modeErr := unix.IoctlGetTermios(terminalFd, getTermios)
	if (record{kind: monitorReady}).send(control) != nil {
		return ExitLocal
	}
	if r, err := receive(control); err != nil || r.kind != runProgram {
		return ExitLocal
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0},
	})
	if err != nil {
		number := syscall.EIO
		errors.As(err, &number)
		_ = record{kind: programFails, value: int32(number)}.send(control)
		return ExitLocal
	}
	// Not before: the program would inherit it. What the terminal sends is the
	// program's, but for the news that it is gone.
	_ = record{kind: programRuns, value: int32(pid)}.send(control)
	signal.Ignore(syscall.SIGHUP, syscall.SIGTTOU, syscall.SIGTTIN, syscall.SIGTSTP)
	var ended atomic.Bool
	go func() {
		if obey(control, pid, &ended) {
			return
		}
		if modeErr == nil {
			_ = unix.IoctlSetTermios(terminalFd, setTermios, saved)
		}
		_ = syscall.Kill(-pid, syscall.SIGHUP)
		_ = syscall.Kill(-pid, syscall.SIGCONT)
		os.Exit(ExitLocal)
	}()
	return tell(control, pid, &ended)
}

// obey does what the run says. It returns false if the run is gone before the
// program.
func obey(control *os.File, pid int, ended *atomic.Bool) bool {
	for {
		r, err := receive(control)
		switch {
		case ended.Load():
			return true
		case err != nil:
			return false
		case r.kind == sendSignal:
			_ = syscall.Kill(pid, syscall.Signal(r.value))
		case r.kind == goOn:
			_ = syscall.Kill(-pid, syscall.SIGCONT)
		}
	}
}

// tell reports what becomes of the program, until it ends.
func tell(control *os.File, pid int, ended *atomic.Bool) int {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil && status.Stopped() {
			_ = record{kind: programStopped}.send(control)
			continue
		}
		ended.Store(true)
		// What the program has left in the background keeps the terminal without
		// being hung up upon.
		_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, unix.Getpgrp())
		_ = record{kind: programEnded, value: int32(status)}.send(control)
		return 0
	}
}

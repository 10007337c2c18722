package servertest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// StartTime is within which a server must serve, and answer, on a busy machine.
const StartTime = 60 * time.Second

const lookEvery = 2 * time.Millisecond

var serves = regexp.MustCompile(`serves at (\S+)`)

// Process is one life of a server.
type Process struct {
	server *Server
	cmd    *exec.Cmd
	log    string        // path of what it prints
	exited chan struct{} // closed when the process is gone
	err    error         // how it ended; valid when exited is closed
}

// Start starts the process and does not wait for it to serve. The one before must
// have ended. Its output goes to server.log in Dir, which begins anew.
func (s *Server) Start() *Process {
	s.t.Helper()
	s.starts++
	p := &Process{server: s, log: filepath.Join(s.Dir, "server.log"), exited: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	args := s.config.Args
	if len(args) == 0 {
		args = []string{"server", "-config=" + s.ConfigFile}
	}
	line := append(slices.Clone(s.config.Under), s.program)
	line = append(line, args...)
	p.cmd = exec.Command(line[0], line[1:]...)
	// A race ends the process, which is found out as an end that nobody wanted.
	p.cmd.Env = append([]string{"HOME=" + s.Dir, "PATH=" + os.Getenv("PATH"), "GORACE=halt_on_error=1"}, s.config.Env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	s.process = p
	return p
}

// URL waits until the process serves and returns where.
func (p *Process) URL() string {
	t := p.server.t
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(StartTime)
	for {
		// What it printed before it ended is read before its end is looked for.
		ended := isClosed(p.exited)
		if found := serves.FindSubmatch(p.read()); found != nil {
			return string(found[1])
		}
		if ended {
			t.Fatalf("the server does not start: %v\n%s", p.err, p.LastWords())
		}
		select {
		case <-tick.C:
		case <-p.exited:
		case <-limit:
			t.Fatalf("the server does not serve in time:\n%s", p.LastWords())
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Kill ends the process with no warning, as a crash does, and waits for its end.
// That it has ended by itself is a failure.
func (p *Process) Kill() {
	t := p.server.t
	t.Helper()
	if isClosed(p.exited) {
		t.Fatalf("the server has ended by itself: %v\n%s", p.err, p.LastWords())
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatalf("kill: %v\n%s", err, p.LastWords())
	}
	<-p.exited
}

// Stop ends the process as an operator does and returns what it ended with: nil
// after a proper stop.
func (p *Process) Stop() error {
	p.server.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) {
	t := p.server.t
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%v: %v\n%s", sig, err, p.LastWords())
	}
}

// Wait waits until the process ends by itself, [StartTime] at most, and returns
// what it ended with: an [exec.ExitError] if its code is not zero.
func (p *Process) Wait() error {
	t := p.server.t
	t.Helper()
	select {
	case <-p.exited:
		return p.err
	case <-time.After(StartTime):
		t.Fatalf("the server does not end:\n%s", p.LastWords())
		return nil
	}
}

// Refusal waits until a process that can't start has said so, and returns what it
// printed. It fails the test if the process serves, ends without an error, or does
// neither within [StartTime].
func (p *Process) Refusal() string {
	t := p.server.t
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(StartTime)
	for {
		if serves.Match(p.read()) {
			t.Fatalf("the server serves:\n%s", p.LastWords())
		}
		select {
		case <-tick.C:
		case <-p.exited:
			if p.err == nil {
				t.Fatalf("the server ends without an error:\n%s", p.LastWords())
			}
			return p.Log()
		case <-limit:
			t.Fatalf("the server neither serves nor ends:\n%s", p.LastWords())
		}
	}
}

// end kills the process if it still runs.
func (p *Process) end() {
	p.cmd.Process.Kill() // an error says that it has ended
	<-p.exited
}

// Log is what the process has printed.
func (p *Process) Log() string { return string(p.read()) }

// LastWords is the end of what the process has printed.
func (p *Process) LastWords() string {
	const enough = 4000 // bytes
	text := p.read()
	if len(bytes.TrimSpace(text)) == 0 {
		return "(it has said nothing)"
	}
	return string(text[max(0, len(text)-enough):])
}

func (p *Process) read() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Appendf(nil, "(no log: %v)", err)
	}
	return text
}

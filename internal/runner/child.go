package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs.
type process interface {
	// Signal sends a signal to it. It may have ended meanwhile.
	Signal(os.Signal) error
	pid() int
	// wait returns how it has ended. The error is about its streams, or us.
	wait() (syscall.WaitStatus, error)
}

// plain is a process that is our child.
type plain struct{ cmd *exec.Cmd }

var _ process = plain{}

func (p plain) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

func (p plain) pid() int { return p.cmd.Process.Pid }

func (p plain) wait() (syscall.WaitStatus, error) {
	err := p.cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = nil
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return 0, errors.Join(err, errors.New("nothing is known of how it has ended"))
	}
	return status, err
}

// child is one life of the program.
type child struct {
	process
	ended  chan struct{} // closed when it has ended, and nothing is forwarded any more
	status syscall.WaitStatus
	err    error // about its streams; valid, as status is, when ended is closed
}

// launch starts the program: in our process group, or, if it has a terminal of its
// own, in a session that belongs to that.
func (j *job) launch(s *signals, cmd *exec.Cmd) (*child, error) {
	streams, err := j.openStreams()
	if err != nil {
		return nil, local(fmt.Errorf("streams for %s: %w", j.Command[0], err))
	}
	c := &child{ended: make(chan struct{})}
	shares := s.foreground
	if streams.terminal != nil {
		c.process, err = startMonitored(cmd, streams)
		shares = func() bool { return false }
	} else {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.stdin, streams.stdout, streams.stderr
		err = cmd.Start()
		c.process = plain{cmd}
	}
	if err != nil {
		streams.abandon()
		return nil, notExecutable(j.Command[0], err)
	}
	j.terminal.Store(streams.terminal)
	streams.begin()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		s.forward(func(sig os.Signal) { _ = c.Signal(sig) }, shares, done, streams.resize)
	})
	go func() {
		c.status, c.err = c.wait()
		close(done)
		wg.Wait()
		c.err = errors.Join(c.err, streams.end())
		j.terminal.Store(nil)
		close(c.ended)
	}()
	return c, nil
}

// start runs the program, with new values whenever there are, and returns the
// exit code of its last life.
func (j *job) start(s *signals) (int, error) {
	running, err := j.launch(s, j.cmd)
	if err != nil {
		return 0, err
	}
	close(j.runs)
	for {
		select {
		case <-running.ended:
			return running.outcome(j.Command[0])
		case c := <-j.changes:
			running, err = j.apply(s, running, c)
			c.done <- err
			if running == nil {
				return 0, err
			}
		}
	}
}

// stop ends the program, with force if it takes longer than patience, and waits
// for that.
func (c *child) stop(patience time.Duration) {
	_ = c.Signal(syscall.SIGTERM) // it may have ended meanwhile
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c.ended:
		return
	case <-t.C:
	}
	_ = c.Signal(syscall.SIGKILL)
	<-c.ended
}

// outcome is the exit code of a program that has ended.
func (c *child) outcome(name string) (int, error) {
	code := codeOf(c.status)
	if c.err != nil && code == 0 {
		// It has ended well, and its output could not be passed on.
		return 0, local(fmt.Errorf("%s: %w", name, c.err))
	}
	return code, nil
}

// outputOf returns what a command of ours prints to.
func (j *job) outputOf(w io.Writer) (io.Writer, func()) {
	if j.scrubber == nil || w == nil {
		return w, func() {}
	}
	clean := j.scrubber.redactor.Writer(w)
	return clean, func() { _ = clean.Close() } // w is the reader's business
}

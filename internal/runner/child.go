package runner

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// child is one life of the program.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended, and nothing is forwarded any more
	err   error         // how it ended; valid when ended is closed
}

// launch starts the program in our process group, with our streams.
func (j *job) launch(s *signals, cmd *exec.Cmd) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, notExecutable(j.Command[0], err)
	}
	c := &child{cmd: cmd, ended: make(chan struct{})}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.forward(cmd.Process, done) })
	go func() {
		c.err = cmd.Wait()
		close(done)
		wg.Wait()
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
	for {
		select {
		case <-running.ended:
			return running.outcome(j.Command[0])
		case c := <-j.changes:
			running, err = j.apply(s, running, c.values)
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
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c.ended:
		return
	case <-t.C:
	}
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// outcome is the exit code of a program that has ended.
func (c *child) outcome(name string) (int, error) {
	if exit := new(exec.ExitError); errors.As(c.err, &exit) {
		return exitCode(exit), nil
	}
	if c.err != nil {
		// It has ended well, and its output could not be passed on.
		return 0, local(fmt.Errorf("%s: %w", name, c.err))
	}
	return 0, nil
}

func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitOfSignal(status.Signal())
	}
	return exit.ExitCode()
}

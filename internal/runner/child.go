package runner

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
)

// start runs the program in our process group, with our streams, and returns its
// exit code.
func (j *job) start(s *signals) (int, error) {
	if err := j.cmd.Start(); err != nil {
		return 0, notExecutable(j.Command[0], err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.forward(j.cmd.Process, done) })
	err := j.cmd.Wait()
	close(done)
	wg.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exitCode(exit), nil
	}
	if err != nil {
		// It has ended well, and its output could not be passed on.
		return 0, local(fmt.Errorf("%s: %w", j.Command[0], err))
	}
	return 0, nil
}

func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitOfSignal(status.Signal())
	}
	return exit.ExitCode()
}

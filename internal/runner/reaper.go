package runner

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// isWorker says whether there is somebody above us who reaps.
func (o *Options) isWorker() bool { return partOf(o.Env) == workerPart }

// reap runs the whole of the run in a process of its own, below this one, which
// does nothing but to hand signals down and to reap what has lost its parent: the
// duty of the first process in a container, which no program that is run there
// should have to know of.
func (o *Options) reap(s *signals) (int, error) {
	if os.Getpid() != 1 {
		if err := adoptOrphans(); err != nil {
			return 0, local(err)
		}
	}
	self, err := ownProgram()
	if err != nil {
		return 0, local(err)
	}
	worker, err := syscall.ForkExec(self, os.Args, &syscall.ProcAttr{
		Env: append(withoutPart(o.Env), helperVariable+"="+workerPart), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 0, local(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		s.forward(func(sig os.Signal) {
			if number, ok := sig.(syscall.Signal); ok {
				_ = syscall.Kill(worker, number)
			}
		}, s.foreground, done)
	})
	code := reapUntil(worker)
	close(done)
	wg.Wait()
	return code, nil
}

// reapUntil reaps all children until the worker ends, and returns its exit code.
func reapUntil(worker int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return ExitLocal // there is no child any more, and so no worker
		case pid == worker:
			return codeOf(status)
		}
	}
}

// codeOf is the exit code that shells give to a status.
func codeOf(status syscall.WaitStatus) int {
	if status.Signaled() {
		return exitOfSignal(status.Signal())
	}
	return status.ExitStatus()
}

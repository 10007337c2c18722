package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopTimeout is how long a program has to end before it is killed, as Vault Agent
// has it.
const stopTimeout = 30 * time.Second

// program runs the program of Exec. Its methods are for one goroutine, but for what
// ended says.
type program struct {
	exec           *Exec
	env            []string // of the agent, with what the program may know
	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger

	variables []string // that the program has
	running   *life    // nil: it was not started yet
	over      chan int // of capacity 1: the program has ended by itself, with that code
}

// life is one life of the program.
type life struct {
	cmd      *exec.Cmd
	ended    chan struct{} // closed when it has ended
	stopping chan struct{} // closed when that is our wish
}

func newProgram(x *Exec, o *Options) *program {
	return &program{
		exec: x, env: o.Env, stdin: o.Stdin, stdout: o.Stdout, stderr: o.Stderr, log: o.Log,
		over: make(chan int, 1),
	}
}

// use has the program run with those variables: it is started, or restarted if they
// are others than before and the configuration wants that.
func (p *program) use(ctx context.Context, variables []string) error {
	if p.running != nil && (slices.Equal(p.variables, variables) || p.exec.KeepRunning) {
		return nil
	}
	if len(p.over) > 0 {
		return nil // it has ended for good, and the agent is about to
	}
	if p.running != nil {
		p.log.Info("secrets have changed, the program is restarted")
		p.stop()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.variables = variables
	return p.start()
}

func (p *program) start() error {
	cmd := exec.Command(p.exec.Command[0], p.exec.Command[1:]...)
	cmd.Env = append(slices.Clone(p.env), p.variables...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	l := &life{cmd: cmd, ended: make(chan struct{}), stopping: make(chan struct{})}
	p.running = l
	go func() {
		err := cmd.Wait()
		close(l.ended)
		select {
		case <-l.stopping:
		default:
			p.over <- codeOf(err)
		}
	}()
	return nil
}

// stop ends the program, with force if it takes too long, and waits for that.
func (p *program) stop() {
	l := p.running
	if l == nil {
		return
	}
	close(l.stopping)
	p.running = nil
	sig := syscall.SIGTERM
	if p.exec.StopSignal != "" {
		sig = unix.SignalNum(p.exec.StopSignal)
	}
	_ = l.cmd.Process.Signal(sig) // it may have ended meanwhile
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case <-l.ended:
		return
	case <-t.C:
	}
	_ = l.cmd.Process.Kill()
	<-l.ended
}

// codeOf is the exit code as shells have it.
func codeOf(err error) int {
	exit := new(exec.ExitError)
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return 1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

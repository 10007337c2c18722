package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 10 * time.Second      // within which a process must say that it is ready
	stopTime  = 10 * time.Second      // within which it must end
	lookEvery = 10 * time.Millisecond // at a log
)

// process is one that the demo started. Its output goes to a file, so that it
// can outlive the demo.
type process struct {
	cmd    *exec.Cmd
	log    string // path
	exited chan struct{}
	err    error // of Wait; read it after exited is closed
}

// start starts the program with no more of the environment than env and what a
// program needs to run at all.
func (s *stage) start(log string, env []string, outlives bool, args ...string) (*process, error) {
	out, err := os.Create(s.path(log))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(s.Program, args...)
	cmd.Env = s.environment(env)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = out, out
	// A terminal's interrupt is the demo's alone, which then stops what it started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !outlives {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: s.path(log), exited: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.exited) }()
	return p, nil
}

// environment is env beside what does not depend on who runs the demo: a token or
// an address of the user's must not get in.
func (s *stage) environment(env []string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + os.TempDir()}, env...)
}

// ready waits for a line of the log and returns what its group matched.
func (p *process) ready(ctx context.Context, line *regexp.Regexp) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return "", err
		}
		if found := line.FindSubmatch(text); found != nil {
			return string(found[1]), nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return "", fmt.Errorf("%s ended at once: %s", strings.Join(p.cmd.Args[1:], " "), bytes.TrimSpace(text))
		case <-ctx.Done():
			return "", fmt.Errorf("%s was not ready in time", strings.Join(p.cmd.Args[1:], " "))
		}
	}
}

// stop ends the process as an operator would, and waits until it is gone.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTime):
	}
	err := p.cmd.Process.Kill()
	<-p.exited
	return errors.Join(fmt.Errorf("process %d had to be killed", p.cmd.Process.Pid), err)
}

// runToEnd runs the program and returns what it wrote and its exit code.
func (s *stage) runToEnd(ctx context.Context, env []string, args ...string) (output string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Program, args...)
	cmd.Env = s.environment(env)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.Exited() {
		return string(out), cmd.ProcessState.ExitCode(), nil
	}
	return "", 0, err
}

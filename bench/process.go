package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	readyTime = 5 * time.Minute        // within which a server must answer, a million leases or not
	stopTime  = 20 * time.Second       // within which a process must end when asked
	lookEvery = 200 * time.Microsecond // at a server that starts
)

// process is a program that was started. It ends with this one, whatever happens.
type process struct {
	cmd    *exec.Cmd
	log    string        // path of what it writes
	began  time.Time     // just before it was started
	exited chan struct{} // closed when it has ended
}

// ownGroup keeps a terminal's interrupt from a child, which is stopped in order,
// and ends the child if this program is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// start starts a program with no more of the environment than env and what a
// program needs to run at all. Its output goes to a file in the lab's folder.
func (l *lab) start(log string, env []string, name string, args ...string) (*process, error) {
	out, err := os.Create(filepath.Join(l.dir, log))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Env = l.environment(env)
	cmd.Dir = l.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = ownGroup()
	p := &process{cmd: cmd, log: out.Name(), began: time.Now(), exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// How it ended tells nothing: it is asked to, and what went wrong is in its log.
	go func() { cmd.Wait(); close(p.exited) }()
	return p, nil
}

// environment is env beside what does not depend on who runs the benchmark.
func (l *lab) environment(env []string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + l.dir}, env...)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

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
	return errors.Join(fmt.Errorf("process %d had to be killed", p.pid()), err)
}

// await asks url until it answers with one of the statuses, and returns which,
// and the time since the process was started.
func (p *process) await(ctx context.Context, url string, statuses ...int) (status int, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if code := probe(ctx, url); slices.Contains(statuses, code) {
			return code, time.Since(p.began), nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			text, _ := os.ReadFile(p.log)
			return 0, 0, fmt.Errorf("%s ended at once: %s", filepath.Base(p.cmd.Path), bytes.TrimSpace(text))
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("wait for %s: %w", url, ctx.Err())
		}
	}
}

// probe returns the status that url answers, or 0.
func probe(ctx context.Context, url string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := direct.Do(r)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// direct makes a connection for each request, and knows no proxy.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

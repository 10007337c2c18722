package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cofferhq/coffer/secrets"
)

// OnChange says what happens when a secret has a new value. The zero value is
// nothing: the environment is read once. Files are kept current all the same.
type OnChange struct {
	Restart bool           // the program is stopped, and started with the new values
	Signal  syscall.Signal // is sent when the files have the new values; zero: none
	Exec    string         // is run by a shell, with the new values in its environment; empty: nothing
}

// ParseOnChange reads none, restart, signal=NAME with or without SIG, or
// exec=COMMAND.
func ParseOnChange(text string) (OnChange, error) {
	kind, rest, _ := strings.Cut(text, "=")
	switch {
	case text == "" || text == "none":
		return OnChange{}, nil
	case text == "restart":
		return OnChange{Restart: true}, nil
	case kind == "exec" && strings.TrimSpace(rest) != "":
		return OnChange{Exec: rest}, nil
	case kind == "signal":
		return parseSignal(rest)
	}
	return OnChange{}, errors.New("want none, restart, signal=HUP or another signal, or exec=COMMAND")
}

func parseSignal(name string) (OnChange, error) {
	name = strings.ToUpper(name)
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
	if sig == 0 {
		return OnChange{}, fmt.Errorf("%q is no signal", name)
	}
	return OnChange{Signal: sig}, nil
}

const (
	// DefaultStopTimeout is how long a program has to end before it is killed.
	DefaultStopTimeout = 10 * time.Second
	// DefaultDebounce is how long nothing must change before the program is told of
	// a change.
	DefaultDebounce = 500 * time.Millisecond
	// hookTimeout is how long the command of OnChange has.
	hookTimeout = time.Minute
	// maxDebounces bounds how long changes that do not end are waited for.
	maxDebounces = 10
)

// follows says whether changes matter.
func (o *Options) follows() bool {
	return !o.NoWatch && (o.OnChange != OnChange{} || o.hasFiles())
}

// hasFiles says whether there are files that are kept current by themselves. The
// copy of the config is not: many programs take a file that changes for a mistake.
func (o *Options) hasFiles() bool {
	return len(o.Files) > 0 || len(o.Templates) > 0 || o.Credentials
}

// checkOnChange refuses what a signal cannot tell of.
func (j *job) checkOnChange(env *environment) error {
	if j.OnChange.Signal == 0 {
		return nil
	}
	if j.ConfigFile == "" && !j.hasFiles() {
		return errors.New("-on-change=signal=… needs -config, -file, -credentials or -template: a program that is running can read new values from a file only. " +
			"Use -on-change=restart")
	}
	if names := env.credentials(); len(names) > 0 && !j.Credentials {
		return fmt.Errorf("%s: the environment of a program that is running cannot be changed: "+
			"with -on-change=signal=…, references belong in files. Use -credentials, which makes files of them, or -on-change=restart", names[0])
	}
	return nil
}

// change is new values for the program.
type change struct {
	values values
	done   chan error // gets nil when the program has them
	hook   *exec.Cmd  // to be run then; nil: nothing
}

// follow opens what is followed, and has changes delivered from then on.
func (j *job) follow(ctx context.Context) error {
	opened := make(chan struct{})
	opts := []secrets.Option{
		secrets.WithSession(j.login), secrets.WithInterval(j.Interval),
		secrets.WithErrorHandler(func(err error) { j.Warn(err.Error()) }),
		// The first values, too: what the program does not run with yet is not in use.
		secrets.WithOnChange(func(ctx context.Context, _ secrets.Snapshot) error {
			select {
			case <-opened:
				return j.deliver(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		}),
	}
	if j.OnChange == (OnChange{}) {
		// To write a file is not to have the program read it.
		opts = append(opts, secrets.WithoutAcknowledgement())
	}
	g, err := secrets.OpenTemplates(ctx, j.slots, opts...)
	if err != nil {
		return err
	}
	j.group.Store(g)
	close(opened)
	return nil
}

// current returns the newest values there are.
func (j *job) current() values {
	v := j.fixed
	if g := j.group.Load(); g != nil {
		v = valuesOf(g.Snapshot())
	}
	if j.renderer != nil {
		v.rendered = j.renderer.current()
	}
	return v
}

// deliver gives the program the newest values, unless it has them, and returns
// when that is done.
func (j *job) deliver(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(j.ctx, cancel)()
	select {
	case <-j.runs:
	case <-ctx.Done():
		return ctx.Err()
	}
	j.delivering.Lock()
	defer j.delivering.Unlock()
	v, err := j.settled(ctx)
	if err != nil || v.equal(j.applied, j.names) {
		return err
	}
	c := &change{values: v, done: make(chan error, 1)}
	select {
	case j.changes <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err = <-c.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if errors.Is(err, errEnding) {
		<-ctx.Done() // nothing is to be tried again, or told
		return ctx.Err()
	}
	if err == nil && c.hook != nil {
		err = j.runHook(ctx, c.hook)
	}
	if err != nil {
		return err
	}
	j.applied = v
	j.remember(v)
	return nil
}

// settled returns the newest values when they have not changed for a while, so
// that secrets that change together are one change; at once if the program has
// them.
func (j *job) settled(ctx context.Context) (values, error) {
	v := j.current()
	for range maxDebounces {
		if v.equal(j.applied, j.names) {
			return v, nil
		}
		if err := j.pause(ctx, j.Debounce); err != nil {
			return v, err
		}
		next := j.current()
		if next.equal(v, j.names) {
			return next, nil
		}
		v = next
	}
	return v, nil
}

// errEnding says that the program is about to end, and no change matters.
var errEnding = errors.New("the program is ending")

// apply gives the program new values. It returns the program that runs then,
// which may be another. Nothing is stopped before all that can fail has been done,
// but for the start itself: if that fails, there is no program any more.
func (j *job) apply(s *signals, running *child, c *change) (*child, error) {
	if s.ending.Load() {
		return running, errEnding
	}
	cmd, err := j.command(c.values)
	if err != nil {
		return running, err
	}
	switch {
	case j.OnChange.Signal != 0:
		if err := running.Signal(j.OnChange.Signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return running, fmt.Errorf("signal the program: %w", err)
		}
		return running, nil
	case j.OnChange.Exec != "":
		c.hook = j.makeHook(cmd.Env, running.pid())
		return running, nil
	case !j.OnChange.Restart:
		return running, nil // the files were all there was to do
	}
	s.stopping.Store(true)
	defer s.stopping.Store(false)
	running.stop(j.StopTimeout)
	if s.ending.Load() {
		return running, errEnding // somebody else wanted it to end, for good
	}
	return j.launch(s, cmd)
}

// makeHook makes the command of OnChange. Its group is its own, so that all of it
// can be ended.
func (j *job) makeHook(env []string, pid int) *exec.Cmd {
	return &exec.Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", j.OnChange.Exec},
		Env:         append(env[:len(env):len(env)], "COFFER_PID="+strconv.Itoa(pid)),
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
}

// runHook runs the command, with what it prints looked through, as that of the
// program is.
func (j *job) runHook(ctx context.Context, made *exec.Cmd) error {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, made.Path)
	cmd.Args, cmd.Env, cmd.SysProcAttr = made.Args, made.Env, made.SysProcAttr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = quiet
	stdout, flushOut := j.outputOf(j.Stdout)
	stderr, flushErr := j.outputOf(j.Stderr)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	flushOut()
	flushErr()
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it has ended well, and left something running
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the command of -on-change=exec=… was ended: it took more than %v", hookTimeout)
	case err != nil:
		return fmt.Errorf("the command of -on-change=exec=…: %w", err)
	}
	return nil
}

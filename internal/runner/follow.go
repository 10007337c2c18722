package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cofferhq/coffer/secrets"
)

// OnChange says what happens when a secret has a new version. The zero value is
// nothing: values are read once.
type OnChange struct {
	Restart bool           // the program is stopped, and started with the new values
	Signal  syscall.Signal // is sent when the config's copy has the new values; zero: none
}

// ParseOnChange reads none, restart, or signal=NAME, with or without SIG.
func ParseOnChange(text string) (OnChange, error) {
	name, isSignal := strings.CutPrefix(text, "signal=")
	switch {
	case text == "" || text == "none":
		return OnChange{}, nil
	case text == "restart":
		return OnChange{Restart: true}, nil
	case !isSignal:
		return OnChange{}, fmt.Errorf("%q: want none, restart, or signal=HUP or another signal", text)
	}
	name = strings.ToUpper(name)
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
	if sig == 0 {
		return OnChange{}, fmt.Errorf("%q is no signal", name)
	}
	return OnChange{Signal: sig}, nil
}

func (o OnChange) follows() bool { return o != OnChange{} }

// DefaultStopTimeout is how long a program has to end before it is killed.
const DefaultStopTimeout = 10 * time.Second

// checkOnChange refuses what a signal cannot tell of.
func (j *job) checkOnChange(env *environment) error {
	if j.OnChange.Signal == 0 {
		return nil
	}
	if j.ConfigFile == "" {
		return errors.New("-on-change=signal=… needs -config: a program that is running can read new values from a file only. Use -on-change=restart")
	}
	for _, v := range env.variables {
		if t, err := secrets.Parse(v.value.RevealText()); err == nil && v.slot != "" && len(t.References()) > 0 {
			return fmt.Errorf("%s: the environment of a program that is running cannot be changed: "+
				"with -on-change=signal=…, references belong in the file of -config. Or use -on-change=restart", v.name)
		}
	}
	return nil
}

// change is a new version of the values, for the program.
type change struct {
	values values
	done   chan error // gets nil when the program has them
}

// follow opens what is followed, and has changes sent from then on.
func (j *job) follow(ctx context.Context, templates map[string]secrets.Template) (values, error) {
	g, err := secrets.OpenTemplates(ctx, templates, secrets.WithSession(j.login), secrets.WithInterval(j.Interval),
		secrets.WithErrorHandler(func(err error) { j.Warn(err.Error()) }))
	if err != nil {
		return values{}, err
	}
	j.group, j.changes = g, make(chan change)
	// Before the values are taken: no change is missed.
	g.OnChange(j.send)
	return valuesOf(g.Snapshot()), nil
}

// send hands a change to who looks after the program, and waits until it is done.
func (j *job) send(ctx context.Context, s secrets.Snapshot) error {
	c := change{values: valuesOf(s), done: make(chan error, 1)}
	select {
	case j.changes <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.done:
		if errors.Is(err, errEnding) {
			<-ctx.Done() // nothing is to be tried again, or told
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errEnding says that the program is about to end, and no change matters.
var errEnding = errors.New("the program is ending")

// apply gives the program new values. It returns the program that runs then,
// which may be another. Nothing is stopped before all that can fail has been done,
// but for the start itself: if that fails, there is no program any more.
func (j *job) apply(s *signals, running *child, v values) (*child, error) {
	if s.ending.Load() {
		return running, errEnding
	}
	cmd, err := j.command(v)
	if err != nil {
		return running, err
	}
	if sig := j.OnChange.Signal; sig != 0 {
		if err := running.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return running, fmt.Errorf("signal the program: %w", err)
		}
		return running, nil
	}
	s.stopping.Store(true)
	defer s.stopping.Store(false)
	running.stop(j.StopTimeout)
	if s.ending.Load() {
		return running, errEnding // somebody else wanted it to end, for good
	}
	next, err := j.launch(s, cmd)
	return next, err
}

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/template"
)

// DefaultTimeout bounds the command that runs after a change, as Vault Agent's does.
const DefaultTimeout = 30 * time.Second

// renderer keeps the files of templates, and the program's environment, as the
// server's secrets are.
type renderer struct {
	cfg    *Config
	keeper *keeper
	store  *template.Store
	ack    *template.Acknowledger
	log    *slog.Logger
	env    []string // of commands

	pending map[int]bool // index of a template → its command has not run yet
	used    []*template.Result
	program *program      // nil: there is none
	done    chan struct{} // closed after the first time that everything succeeded; nil afterwards
}

// run renders until ctx ends. It returns an error when templates fail as often as
// the configuration permits.
func (r *renderer) run(ctx context.Context) error {
	if err := r.keeper.ready(ctx); err != nil {
		return nil
	}
	number, _ := r.keeper.token()
	for failures := 0; ctx.Err() == nil; {
		changed := r.store.Changed()
		now, renewed := r.keeper.token()
		if now != number {
			number = now
			r.store.Reissue()
		}
		err := r.all(ctx, failures > 0)
		if ctx.Err() != nil {
			return nil
		}
		var again <-chan time.Time
		if err != nil {
			failures++
			pause, err := r.failed(failures, err)
			if err != nil {
				return err
			}
			again = time.After(pause)
		} else {
			failures = 0
		}
		select {
		case <-changed:
		case <-renewed:
		case <-again:
		case <-ctx.Done():
		}
	}
	return nil
}

// failed says how long to wait before the next try, or returns the error that ends
// the agent.
func (r *renderer) failed(failures int, err error) (time.Duration, error) {
	retries := r.cfg.Server.Retries
	if retries == 0 {
		retries = DefaultRetries
	}
	if r.cfg.ExitOnRetryFailure && failures > max(retries, 0) {
		return 0, fmt.Errorf("%d tries: %w", failures, err)
	}
	pause := backOff(failures-1, time.Second, 5*time.Minute)
	r.log.Error("not everything could be rendered, and it is tried again", "after", pause.Round(time.Millisecond), "error", err)
	if forbidden(err) {
		r.keeper.suspect()
	}
	return pause, nil
}

func forbidden(err error) bool { return client.StatusOf(err) == http.StatusForbidden }

// all renders every template. What fails does not keep the others from it.
func (r *renderer) all(ctx context.Context, retry bool) error {
	if retry {
		r.store.Forget()
	}
	used := make([]*template.Result, 0, len(r.cfg.Templates)+len(r.cfg.EnvTemplates))
	var problems []error
	for i := range r.cfg.Templates {
		result, err := r.one(ctx, i)
		used, problems = append(used, result), append(problems, err)
	}
	if r.program != nil && (r.program.running != nil || errors.Join(problems...) == nil) {
		// It is not started before its files are there.
		results, err := r.environment(ctx)
		used, problems = append(used, results...), append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	r.used = used
	r.store.Retain(used)
	if err := r.ack.Acknowledge(ctx, used); err != nil {
		r.log.Warn("the server was not told which versions are in use, and it is tried with the next change", "error", err)
	}
	if r.done != nil {
		close(r.done)
		r.done = nil
	}
	return nil
}

// one renders a template and, if the file is another then, runs its command.
func (r *renderer) one(ctx context.Context, i int) (*template.Result, error) {
	t := &r.cfg.Templates[i]
	result, err := r.store.Render(ctx, t.Parsed)
	if err != nil {
		return nil, err
	}
	changed, err := t.Destination.Write(result.Content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	if changed {
		r.log.Info("rendered", "template", t.Name, "destination", t.Destination.Path)
		r.pending[i] = len(t.Command) > 0
	}
	if r.pending[i] {
		if err := t.runCommand(ctx, r.env); err != nil {
			return nil, fmt.Errorf("%s: the command after the change: %w", t.Name, err)
		}
		r.pending[i] = false
	}
	return result, nil
}

// environment renders the variables of the program, and has it know them.
func (r *renderer) environment(ctx context.Context) ([]*template.Result, error) {
	var used []*template.Result
	var variables []string
	var problems []error
	for _, t := range r.cfg.EnvTemplates {
		result, err := r.store.Render(ctx, t.Parsed)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", t.Name, err))
			continue
		}
		value := result.Content.Reveal()
		if bytes.IndexByte(value, 0) >= 0 {
			problems = append(problems, fmt.Errorf("%s: the value has a null byte, which no variable can hold", t.Name))
			continue
		}
		used, variables = append(used, result), append(variables, t.Name+"="+string(value))
	}
	if err := errors.Join(problems...); err != nil {
		return used, err
	}
	return used, r.program.use(ctx, variables)
}

// runCommand runs what is to happen after a change. What it prints is not ours to
// show: it could be the file.
func (t *Template) runCommand(ctx context.Context, env []string) error {
	ctx, cancel := context.WithTimeout(ctx, orDefault(t.Timeout, DefaultTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, t.Command[0], t.Command[1:]...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it has started ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("it took longer than %v", orDefault(t.Timeout, DefaultTimeout))
	}
	return err
}

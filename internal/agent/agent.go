// Package agent is what runs beside applications: it logs in for them, keeps a
// token, files and variables with their secrets current, and answers requests of
// those that speak Vault's API with its own token. Its configuration is Vault
// Agent's.
//
// What the agent holds is in memory, in the files that it is told to write, and
// nowhere else; its log has no secret.
//
// Start reading at [Run]; [Parse] reads the configuration.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/template"
)

// Options says what to do, and with what.
type Options struct {
	Config *Config
	// Client is what environment and flags say of the server; it wins over the
	// configuration.
	Client client.Config

	Env            []string // of the program and of commands, NAME=VALUE
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	Log *slog.Logger
	// Reload gets something when certificates, and all secrets, are to be read
	// again; nil: never.
	Reload <-chan os.Signal
	// Listening is told the address of each listener; nil: nobody.
	Listening func(url string)
}

// Run does what the configuration says until ctx ends, the program of exec does, or
// everything is done that exit_after_auth wants. It returns the exit code of the
// program, or zero.
//
// At the end the token is revoked, unless it is in use elsewhere: in a sink, in a
// file with a credential that ends with it, or because a file gave it.
func Run(ctx context.Context, o Options) (code int, err error) {
	a, err := newAgent(&o)
	if err != nil {
		return 0, err
	}
	if path := o.Config.PidFile; path != "" {
		pid := template.Destination{Path: path, Mode: 0o644}
		if _, err := pid.Write(secret.Text(fmt.Sprintln(os.Getpid()))); err != nil {
			return 0, err
		}
		defer os.Remove(path)
	}
	return a.run(ctx)
}

// agent is one run under way.
type agent struct {
	*Options
	client   *client.Client // with the agent's token
	keeper   *keeper        // nil: no login
	renderer *renderer      // nil: as above
	program  *program       // nil: none
	proxy    *proxy
	quit     chan struct{} // closed when a client wants the agent to end
}

func newAgent(o *Options) (*agent, error) {
	cfg := o.Config
	c, err := client.New(cfg.Server.client(o.Client))
	if err != nil {
		return nil, err
	}
	o.Env = forOthers(o.Env)
	a := &agent{Options: o, client: c, quit: make(chan struct{})}
	if cfg.Method != nil {
		a.keeper = newKeeper(cfg, c, o.Log)
		instance := instanceName()
		store := template.NewStore(func() *client.Client { return c.WithHeader(instanceHeader, instance) })
		a.renderer = &renderer{
			cfg: cfg, keeper: a.keeper, store: store, log: o.Log, env: o.Env, pending: map[int]bool{},
			ack: &template.Acknowledger{Store: store, Instance: instance}, done: make(chan struct{}),
		}
		if cfg.Exec != nil {
			a.program = newProgram(cfg.Exec, o)
			a.renderer.program = a.program
		}
	}
	a.proxy = newProxy(a)
	return a, nil
}

// instanceHeader is by which clients that share a token tell themselves apart.
const instanceHeader = "X-Coffer-Instance"

func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.64s:%d", host, os.Getpid())
}

// run starts all parts, waits for the first that ends the agent, and ends the
// others.
func (a *agent) run(ctx context.Context) (code int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.proxy.open(); err != nil {
		return 0, err
	}
	failed := make(chan error, 4)
	var running sync.WaitGroup
	part := func(do func(context.Context) error) {
		running.Go(func() {
			if err := do(ctx); err != nil {
				failed <- err
			}
		})
	}
	part(a.proxy.run)
	var done, ended = (<-chan struct{})(nil), (<-chan int)(nil)
	if a.keeper != nil {
		part(a.keeper.run)
		part(a.follow)
		if a.Config.ExitAfterAuth {
			done = a.renderer.done
		}
		part(a.renderer.run)
	}
	if a.program != nil {
		ended = a.program.over
	}
	part(a.reload)
	select {
	case <-ctx.Done():
	case <-a.quit:
	case <-done:
	case code = <-ended:
	case err = <-failed:
	}
	cancel()
	running.Wait()
	return code, errors.Join(err, a.close())
}

// follow keeps the secrets of templates fresh.
func (a *agent) follow(ctx context.Context) error {
	if a.keeper.ready(ctx) == nil {
		a.renderer.store.Follow(ctx, template.Following{
			Interval: a.Config.Interval,
			Report: func(err error) {
				if forbidden(err) {
					a.keeper.suspect()
				}
				a.Log.Warn("a secret could not be followed, and it is tried again", "error", err)
			},
		})
	}
	return nil
}

// reload reads certificates and secrets again, whenever somebody wants that.
func (a *agent) reload(ctx context.Context) error {
	for {
		select {
		case <-a.Reload:
			a.proxy.reload()
			if a.renderer != nil {
				a.renderer.store.Refresh()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// close ends the program and what was made for it.
func (a *agent) close() error {
	if a.program != nil {
		a.program.stop()
	}
	if a.keeper == nil {
		return nil
	}
	if number, _ := a.keeper.token(); number == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	a.proxy.goodbye(ctx)
	if a.program != nil && len(a.Config.Templates) == 0 {
		// Who used the secrets has ended; of files nobody knows who reads them.
		if err := a.renderer.ack.Goodbye(ctx); err != nil {
			a.Log.Warn("the server was not told that nothing is in use any more", "error", err)
		}
	}
	if !a.ownsToken() {
		return nil
	}
	if err := a.keeper.revoke(); err != nil {
		a.Log.Warn(err.Error())
	}
	return nil
}

// ownsToken says whether nobody needs the token after the agent.
func (a *agent) ownsToken() bool {
	inFiles := len(a.Config.Templates) > 0 && len(a.renderer.store.Leases()) > 0
	return a.keeper.method.Kind != TokenFile && len(a.Config.Sinks) == 0 && !inFiles
}

// logins are the variables with which a person or program logs in, after COFFER_ or
// VAULT_. Programs and commands do not get them.
var logins = []string{"TOKEN", "ROLE_ID", "SECRET_ID", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED", "WRAPPED_TOKEN"}

// forOthers returns an environment without what logs in.
func forOthers(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		name = strings.TrimSuffix(name, "_FILE")
		rest, ok := strings.CutPrefix(name, "COFFER_")
		if !ok {
			rest, ok = strings.CutPrefix(name, "VAULT_")
		}
		return ok && slices.Contains(logins, rest)
	})
}

// closeTimeout bounds how long requests under way may take at the end.
const closeTimeout = 5 * time.Second

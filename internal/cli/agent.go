package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/agent"
)

func agentCommand() Command {
	return Command{
		Name: "agent", MaxArgs: 0, Flags: ClientFlags,
		Short: "Log in for applications, keep their files current, and answer for the server",
		Long: `
Runs beside applications until it is interrupted (SIGINT, SIGTERM). The
configuration is Vault Agent's:

    auto_auth {
      method "approle" {
        config = {
          role_id_file_path   = "/etc/app/role-id"
          secret_id_file_path = "/etc/app/secret-id"
        }
      }
    }
    template {
      source      = "/etc/app/app.conf.tmpl"
      destination = "/run/app/app.conf"
      perms       = "0640"
      command     = "systemctl reload app"
    }
    api_proxy { use_auto_auth_token = true }
    listener "unix" { address = "/run/app/coffer.sock" }

It logs in, renews its token and logs in again; writes the token to sinks; renders
templates when a secret changes, and runs their commands then; starts the program
of exec with the variables of env_template; and forwards the API with its token
for programs that only speak that. Flags and environment win over the file.

SIGHUP reads the log level, certificates and all secrets again. What the
configuration has and the agent does not know is an error, all at once and with
lines. The exit code is that of the program, 1 for something wrong here, 2 if the
server refused what the configuration says must work.

  Check a configuration, and say what has no effect:
      $ coffer agent -config=agent.hcl -check
  Run with it:
      $ coffer agent -config=agent.hcl
  Log in, render once and end, as an init container does:
      $ coffer agent -config=agent.hcl -exit-after-auth`,
		New: newAgentCommand,
	}
}

type agentFlags struct {
	config, logLevel *string
	exitAfterAuth    *bool
	check            *bool
}

func newAgentCommand(f *Flags) Run {
	o := &agentFlags{
		config:        f.String("config", "", "File with the configuration, in Vault Agent's HCL or JSON."),
		logLevel:      f.String("log-level", "", "trace, debug, info, warn or error."),
		exitAfterAuth: f.Bool("exit-after-auth", false, "End when there is a token and everything has been rendered."),
		check:         f.Bool("check", false, "Read the configuration and its templates, say what is wrong, and end."),
	}
	return o.run
}

func (o *agentFlags) run(ctx context.Context, c *Call) error {
	if *o.config == "" {
		return usage("-config is missing")
	}
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("An agent makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	cfg, err := o.load(c)
	if err != nil || *o.check {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	server, err := o.server(c)
	if err != nil {
		return local(err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	defer o.onHangUp(c, level, reload)()
	code, err := agent.Run(ctx, agent.Options{
		Config: cfg, Client: server, Env: c.Environ(),
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Log: agentLog(c, cfg.LogJSON, level), Reload: reload,
	})
	switch {
	case err != nil && talked(err):
		return err
	case err != nil:
		return local(err)
	case code != exitOK:
		return silently(code)
	}
	return nil
}

// load reads the configuration and says what has no effect.
func (o *agentFlags) load(c *Call) (*agent.Config, error) {
	cfg, warnings, err := agent.Load(*o.config, agent.ParseOptions{Getenv: c.Getenv, ReadFile: os.ReadFile})
	for _, w := range warnings {
		c.Warn(w.In(*o.config))
	}
	if err != nil {
		return nil, local(err)
	}
	if *o.logLevel != "" {
		if cfg.LogLevel, err = agent.ParseLevel(*o.logLevel); err != nil {
			return nil, usage("-log-level: %v", err)
		}
	}
	cfg.ExitAfterAuth = cfg.ExitAfterAuth || *o.exitAfterAuth
	return cfg, nil
}

// server is what flags and environment say of it. An agent's address is for its
// clients.
func (o *agentFlags) server(c *Call) (client.Config, error) {
	sys := c.System
	sys.Getenv = func(name string) string {
		if strings.HasSuffix(name, "_AGENT_ADDR") {
			return ""
		}
		return c.Getenv(name)
	}
	cfg, err := c.opts.config(sys)
	if c.setting("MAX_RETRIES") == "" {
		cfg.MaxRetries = client.DefaultMaxRetries // nobody is waiting
	}
	return cfg, err
}

func agentLog(c *Call, asJSON bool, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if asJSON {
		return slog.New(slog.NewJSONHandler(c.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(c.Stderr, opts))
}

// onHangUp sets the level anew with each SIGHUP, and passes it on. It returns what
// ends that.
func (o *agentFlags) onHangUp(c *Call, level *slog.LevelVar, reload chan<- os.Signal) (stop func()) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-got:
				if cfg, err := o.load(c); err == nil {
					level.Set(cfg.LogLevel)
				} else {
					c.Warn("the configuration stays as it was: " + err.Error())
				}
				select {
				case reload <- sig:
				default:
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(got); close(done) }
}

// talked says whether err is what the server said, or that it could not be asked.
func talked(err error) bool {
	return client.StatusOf(err) != 0 || isNetwork(err) || errors.Is(err, client.ErrNotFound)
}

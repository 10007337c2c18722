package cli

import (
	"context"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/runner"
)

func runCommand() Command {
	return Command{
		Name: "run", Args: "-- COMMAND [ARGUMENT...]", MinArgs: 1, MaxArgs: -1, Flags: ClientFlags, ForeignFlags: true,
		Short: "Run a program with its secrets in place of references to them",
		Long: `
The environment, .env files and the program's own config may name secrets instead
of holding them:

    DB_PASSWORD=vault:secret/db#password
    DB_URL=postgres://app:${vault:secret/db#password}@db/app
    API_KEY=ref+vault://secret/api?version=3#/keys/live
    SENTRY=coffer://team/a@secret/sentry?optional#dsn
    LOG_LEVEL=vault:secret/app?default=info#log_level

The program gets the values. Its output, exit code, terminal and signals are as
without us; if a reference fails nothing is started, and all that failed is told:
exit code 1 for a mistake here, 2 for what the server refused, 126 and 127 as in a
shell. Arguments may not hold references: everybody on the machine can read them.

The environment wins over -env-file, and a later file over an earlier one. With
-config a copy of the file with the values is written to memory, and removed when
the program ends; its path takes the place of {} in the command. YAML, JSON and
TOML are known by their extension (TOML loses its comments and order), any other
file is text with ${…} references.

We log in if there is a reference, with the first of these that is set, each as
COFFER_… or VAULT_…, or as …_FILE with the path of a file: TOKEN; ROLE_ID with
SECRET_ID or WRAPPED_SECRET_ID (an AppRole at APPROLE_MOUNT); WRAPPED_TOKEN; else
the token of the last login. The program sees none of them. The token is renewed
while the program runs and, unless it was given, revoked after that.

With -on-change=restart the references are followed: when one has a new value, the
program gets SIGTERM, after -stop-timeout SIGKILL, and is started with the new
values. With -on-change=signal=HUP the copy of -config gets the new values, then the
program gets the signal. A coffer server is told when the program has them.

  Run with the secrets that the environment names:
      $ coffer run -- ./app
  With a file for development, and the program's config:
      $ coffer run -env-file .env -config app.yaml -- ./app --config {}`,
		New: newRun,
	}
}

type runFlags struct {
	envFiles            *[]string
	override, allowDisk *bool
	config, authMount   *string

	onChange, stopTimeout, interval *string
}

func newRun(f *Flags) Run {
	o := &runFlags{
		envFiles:  f.List("env-file", "File of NAME=VALUE lines, as dotenv has them."),
		override:  f.Bool("override", false, "The files win over the environment."),
		config:    f.String("config", "", "The program's own config file."),
		allowDisk: f.Bool("allow-disk", false, "Write the copy of the config to a disk if no memory (tmpfs) is mounted."),
		authMount: f.String("auth-mount", "", "Where AppRole is mounted. Also COFFER_APPROLE_MOUNT. Default: approle."),

		onChange:    f.String("on-change", "none", "What to do when a secret has a new version: none, restart, or signal=NAME."),
		stopTimeout: f.Duration("stop-timeout", "How long a program that is restarted has to end before it is killed. Default: 10s."),
		interval:    f.Duration("interval", "How often to look for new versions, more or less a fifth. Default: 15s."),
	}
	return o.run
}

func (o *runFlags) run(ctx context.Context, c *Call) error {
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("A run makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	onChange, err := runner.ParseOnChange(*o.onChange)
	if err != nil {
		return usage("-on-change: %v", err)
	}
	stopTimeout, err := positive("stop-timeout", *o.stopTimeout)
	if err != nil {
		return err
	}
	interval, err := positive("interval", *o.interval)
	if err != nil {
		return err
	}
	code, err := runner.Run(ctx, runner.Options{
		Command: c.Args, Env: c.Environ(),
		EnvFiles: *o.envFiles, Override: *o.override,
		ConfigFile: *o.config, AllowDisk: *o.allowDisk, AuthMount: *o.authMount,
		OnChange: onChange, StopTimeout: stopTimeout, Interval: interval,
		Connect: func(getenv func(string) string) (*client.Client, error) {
			c.Getenv = getenv // the files may say where the server is
			cl, err := c.anonymous()
			if err != nil {
				return nil, err
			}
			c.client = cl.WithWrapTTL("") // wrapped answers are of no use here
			return c.client, nil
		},
		HelperToken: func() (string, error) { return c.tokens().load() },
		Stdin:       c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Warn: func(text string) { c.Warn(program + " run: " + text) },
	})
	switch {
	case err == nil && code == exitOK:
		return nil
	case err == nil:
		return silently(code)
	}
	f := &failure{code: code, text: err.Error()}
	if code == runner.ExitServer {
		f.hint = c.hint(err)
	}
	return f
}

// positive reads a flag with a duration; zero if it was not given.
func positive(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := logical.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, usage("-%s must be more than zero", name)
	}
	return d, nil
}

package cli

import (
	"context"
	"flag"
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

The program gets the values, and none of them is seen in its output: -scrub=false
leaves it as it is. Exit code, terminal and signals are as without us; if a reference
fails nothing is started, and all that failed is told: exit code 1 for a mistake
here, 2 for what the server refused, 126 and 127 as in a shell. Arguments may not
hold references: everybody on the machine can read them.

The environment wins over -env-file, and a later file over an earlier one. Others
of the same user can read an environment, so files are better, all in a private
folder in memory that goes with the program:

    -file NAME=REFERENCE    $COFFER_FILES/NAME, whose path is in $NAME_FILE
    -credentials            $CREDENTIALS_DIRECTORY/NAME for each variable that is a
                            reference, and no variable: as systemd does
    -template SRC:DST       $COFFER_FILES/DST, with {{ with secret "…" }} and ${…}
    -config FILE            a copy whose path takes the place of {} in the command;
                            YAML, JSON and TOML are known by their extension

We log in if there is a reference, with the first of these that is set, each as
COFFER_… or VAULT_…, or as …_FILE with the path of a file: TOKEN; ROLE_ID with
SECRET_ID or WRAPPED_SECRET_ID (an AppRole at APPROLE_MOUNT); WRAPPED_TOKEN; else
the token of the last login. The program sees none of them. The token is renewed
while the program runs and, unless it was given, revoked after that.

When a secret has a new value, the files get it, and -on-change says what the
program gets: restart (SIGTERM, after -stop-timeout SIGKILL, and a start with the new
values), signal=HUP or another, exec=COMMAND (run by a shell with the new values in
its environment and the program's number in COFFER_PID), none. A coffer server is
told when the program has them.

  Run with the secrets that the environment names:
      $ coffer run -- ./app
  With a file for development, and the program's config:
      $ coffer run -env-file .env -config app.yaml -- ./app --config {}
  With a file for the key, and another one when it changes:
      $ coffer run -file TLS_KEY=vault:secret/tls#key,mode=0440 -on-change=signal=HUP -- ./app
  In a container, where the server may be away at the start:
      $ coffer run -init -offline-ok=12h -cache /var/cache/app.values -- ./app`,
		New: newRun,
	}
}

type runFlags struct {
	envFiles            *[]string
	override, allowDisk *bool
	config, authMount   *string
	manifest            *string

	files, templates        *[]string
	credentials, scrub      *bool
	watch, init             *bool
	offline                 *offlineFlag
	cache, cacheKey         *string
	retry, debounce         *string
	onChange, stop, polling *string
}

func newRun(f *Flags) Run {
	o := &runFlags{
		envFiles:  f.List("env-file", "File of NAME=VALUE lines, as dotenv has them."),
		override:  f.Bool("override", false, "The files win over the environment."),
		manifest:  f.String("manifest", "", "What the program needs: coffer.toml or coffer.yaml, as for \"coffer check\"."),
		config:    f.String("config", "", "The program's own config file."),
		allowDisk: f.Bool("allow-disk", false, "Write files to a disk if no memory (tmpfs) is mounted."),
		authMount: f.String("auth-mount", "", "Where AppRole is mounted. Also COFFER_APPROLE_MOUNT. Default: approle."),

		files:       f.List("file", "File with a value: NAME=REFERENCE[,mode=0400][,owner=UID:GID]."),
		templates:   f.List("template", "File that is rendered from a template: SOURCE:DESTINATION."),
		credentials: f.Bool("credentials", false, "Variables that are references become files in $CREDENTIALS_DIRECTORY."),
		scrub:       f.Bool("scrub", true, "Remove the values from what the program prints."),

		onChange: f.String("on-change", "none", "What the program gets when a secret has a new value: none, restart, signal=NAME, or exec=COMMAND."),
		watch:    f.Bool("watch", true, "Look for new values at all."),
		debounce: f.Duration("debounce", "How long nothing must change before the program is told of a change. Default: 500ms."),
		stop:     f.Duration("stop-timeout", "How long a program that is restarted has to end before it is killed. Default: 10s."),
		polling:  f.Duration("interval", "How often to look for new versions, more or less a fifth. Default: 15s."),

		retry:    f.Duration("retry-timeout", "How long to try to reach the server at the start. Default: 30s."),
		offline:  declareOffline(f),
		cache:    f.String("cache", "", "File that keeps the values, encrypted, for -offline-ok."),
		cacheKey: f.String("cache-key-file", "", "File with the key of -cache. Default: the credential coffer-cache-key of systemd."),
		init:     f.Bool("init", false, "Reap processes that lose their parent, as is done anyway as the first process of a container."),
	}
	return o.run
}

// offlineFlag is a switch that takes a duration, too.
type offlineFlag struct {
	given  bool
	maxAge time.Duration // zero: the default
}

var _ flag.Value = (*offlineFlag)(nil)

func declareOffline(f *Flags) *offlineFlag {
	o := new(offlineFlag)
	usage := "Start with the values of -cache if the server is away, and they are not older. Default age: 24h."
	f.set.Var(o, "offline-ok", usage)
	f.specs = append(f.specs, FlagSpec{Name: "offline-ok", Usage: usage})
	return o
}

func (o *offlineFlag) String() string   { return "" }
func (o *offlineFlag) IsBoolFlag() bool { return true }

// Set implements [flag.Value].
func (o *offlineFlag) Set(text string) (err error) {
	o.given, o.maxAge = true, 0
	switch text {
	case "true":
	case "false":
		o.given = false
	default:
		o.maxAge, err = positive("offline-ok", text)
	}
	return err
}

func (o *runFlags) run(ctx context.Context, c *Call) error {
	if code, ok := runner.Helper(c.Environ(), c.Args); ok {
		return silently(code)
	}
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("A run makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	options.Command, options.Env = c.Args, c.Environ()
	options.Connect = func(getenv func(string) string) (*client.Client, error) {
		c.Getenv = getenv // the files may say where the server is
		cl, err := c.anonymous()
		if err != nil {
			return nil, err
		}
		c.client = cl.WithWrapTTL("") // wrapped answers are of no use here
		return c.client, nil
	}
	options.HelperToken = func() (string, error) { return c.tokens().load() }
	options.Stdin, options.Stdout, options.Stderr = c.Stdin, c.Stdout, c.Stderr
	options.Talkative = c.StderrTTY
	options.Warn = func(text string) { c.Warn(program + " run: " + text) }
	code, err := runner.Run(ctx, options)
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

// options are those of the flags.
func (o *runFlags) options() (runner.Options, error) {
	r := runner.Options{
		EnvFiles: *o.envFiles, Override: *o.override, ConfigFile: *o.config, AllowDisk: *o.allowDisk, AuthMount: *o.authMount,
		Manifest: *o.manifest, Credentials: *o.credentials, Scrub: *o.scrub, NoWatch: !*o.watch, Init: *o.init,
	}
	var err error
	if r.OnChange, err = runner.ParseOnChange(*o.onChange); err != nil {
		return r, usage("-on-change: %v", err)
	}
	for _, text := range *o.files {
		file, err := runner.ParseFile(text)
		if err != nil {
			return r, usage("-file: %v", err)
		}
		r.Files = append(r.Files, file)
	}
	for _, text := range *o.templates {
		t, err := runner.ParseTemplate(text)
		if err != nil {
			return r, usage("-template: %v", err)
		}
		r.Templates = append(r.Templates, t)
	}
	if o.offline.given {
		r.Offline = &runner.Offline{MaxAge: o.offline.maxAge, File: *o.cache, KeyFile: *o.cacheKey}
	}
	return r, o.times(&r)
}

// times reads the flags with a duration.
func (o *runFlags) times(r *runner.Options) (err error) {
	if r.StopTimeout, err = positive("stop-timeout", *o.stop); err != nil {
		return err
	}
	if r.Interval, err = positive("interval", *o.polling); err != nil {
		return err
	}
	if r.Debounce, err = orZero("debounce", *o.debounce, runner.DefaultDebounce); err != nil {
		return err
	}
	r.RetryTimeout, err = orZero("retry-timeout", *o.retry, runner.DefaultRetryTimeout)
	return err
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

// orZero reads a flag with a duration that may be zero.
func orZero(name, text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := logical.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, usage("-%s must not be less than zero", name)
	}
	return d, nil
}

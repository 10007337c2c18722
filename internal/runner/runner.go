// Package runner starts a program with its secrets: it finds references to
// secrets in the environment, in .env files and in the program's own config
// file, fetches what they name, and gives the program an environment and a copy
// of its config in memory that hold the values. What a reference looks like is
// told in package secrets.
//
// Which variables count. The environment wins over the files, and a later file
// over an earlier one; [Options.Override] lets the files win over the
// environment. In a file or config, text that begins with vault:, ref+vault://
// or coffer:// is a reference or an error. In the environment, where other
// programs leave theirs, it is a reference or, with a warning, left alone; but
// a malformed one within ${…} is an error there, too, as nobody writes that by
// accident. References in the command's arguments are refused: every user of the
// machine can read those.
//
// Nothing is started unless everything could be resolved, and every failure is
// told by the name of the variable or the path of the config key. No value is
// ever told, and no default.
//
// The program does not get what we logged in with: see [loginSettings]. A
// token that was earned by logging in, or unwrapped, is revoked when the program
// ends; one that was given is renewed only.
//
// Start reading at [Run].
package runner

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// Options says what to run, and where secrets come from.
type Options struct {
	Command []string // with its arguments; at least one
	Env     []string // NAME=VALUE, as os.Environ gives it

	EnvFiles []string // in dotenv's format; a later one wins
	Override bool     // the files win over Env

	// ConfigFile is the program's own: YAML, JSON or TOML by its extension, else
	// text with ${…}. The path of the copy with values takes the place of {} in
	// the arguments. Empty: none. TOML loses its comments and its order.
	ConfigFile string
	AllowDisk  bool // the copy may lie on a disk, if there is no tmpfs

	OnChange    OnChange
	StopTimeout time.Duration // before a program that is restarted is killed; zero: DefaultStopTimeout
	Interval    time.Duration // of looking for new versions; zero: that of package secrets

	AuthMount string // of AppRole; empty: as APPROLE_MOUNT says, else "approle"

	// Connect returns a client for the server that variables describe, the
	// files' included. Its token is replaced, and it must not ask for wrapped
	// answers. It is called only if there is a reference, as is HelperToken.
	Connect func(getenv func(string) string) (*client.Client, error)

	// HelperToken returns the token of the command line's last login, or nothing.
	HelperToken func() (string, error)

	// The program's streams. Files are inherited as they are.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	Warn func(text string) // from several goroutines
}

// Exit codes of what fails before, or instead of, the program. Beside these,
// [Run] returns the program's own, or 128 and the number of the signal that
// ended it.
const (
	ExitLocal         = 1   // the call or something on this machine is wrong
	ExitServer        = 2   // the server refused, was not there, or has no such thing
	ExitNotExecutable = 126 // as shells have it
	ExitNotFound      = 127
)

// problem is an error with the exit code that it earns.
type problem struct {
	code int
	err  error
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

func local(err error) error {
	if err == nil {
		return nil
	}
	return &problem{code: ExitLocal, err: err}
}

// Run prepares the program's environment and config, runs it, and cleans up when
// it has ended. It returns the exit code to end with; if there is an error, the
// program did not run. A signal that ends the preparations is no error, and has
// a code.
//
// All signals that can be forwarded are, until Run returns. Ctx ends the
// preparations, not the program.
func Run(ctx context.Context, o Options) (int, error) {
	hideProcess()
	s := catchSignals()
	defer s.stop()
	code, err := o.run(ctx, s)
	if err == nil {
		return code, nil
	}
	if p := new(problem); errors.As(err, &p) {
		return p.code, err
	}
	return ExitServer, err
}

func (o *Options) run(ctx context.Context, s *signals) (code int, err error) {
	job := &job{Options: o}
	if o.StopTimeout == 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	defer job.close()
	ctx, done := s.interrupt(ctx)
	err = job.prepare(ctx)
	if interruption := done(); interruption != nil {
		return exitOfSignal(interruption), nil
	}
	if err != nil {
		return 0, err
	}
	return job.start(s)
}

// job is one run under way.
type job struct {
	*Options
	cmd     *exec.Cmd
	command func(values) (*exec.Cmd, error) // makes a command, and the copy of the config
	private *privateDir                     // nil: no config
	login   *secrets.Session                // nil: no reference
	group   *secrets.Group                  // nil: nothing is followed
	changes chan change                     // nil: as above
}

// prepare does all that can fail before the program runs, cheapest first.
func (j *job) prepare(ctx context.Context) error {
	path, err := lookPath(j.Command[0])
	if err != nil {
		return err
	}
	if err := checkArguments(j.Command, j.ConfigFile != ""); err != nil {
		return local(err)
	}
	env, err := collect(j.Env, j.EnvFiles, j.Override)
	if err != nil {
		return local(err)
	}
	var config *config
	if j.ConfigFile != "" {
		if config, err = loadConfig(j.ConfigFile); err != nil {
			return local(err)
		}
	}
	slots := &slots{warn: j.Warn}
	env.find(slots)
	if config != nil {
		if err := config.find(slots); err != nil {
			return local(err)
		}
	}
	if err := slots.err(); err != nil {
		return local(err)
	}
	if err := j.checkOnChange(env); err != nil {
		return local(err)
	}
	first, err := j.resolve(ctx, env, slots)
	if err != nil {
		return err
	}
	j.command = func(v values) (*exec.Cmd, error) { return j.fill(path, env, config, v) }
	j.cmd, err = j.command(first)
	return local(err)
}

// fill makes a command, and the copy of the config, in place of the one before.
func (j *job) fill(path string, env *environment, config *config, v values) (*exec.Cmd, error) {
	variables, err := env.forChild(v)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: path, Args: j.Command, Env: variables,
		Stdin: j.Stdin, Stdout: j.Stdout, Stderr: j.Stderr,
	}
	if config == nil {
		return cmd, nil
	}
	content, err := config.fill(v)
	if err != nil {
		return nil, err
	}
	if j.private == nil {
		if j.private, err = openPrivateDir(memoryFolders(env.getenv), j.AllowDisk); err != nil {
			return nil, err
		}
	}
	file, err := j.private.write(config.base(), content)
	if err != nil {
		return nil, err
	}
	cmd.Args = placeFile(j.Command, file)
	return cmd, nil
}

// close removes and revokes what was made for the program. It may be called at
// any stage.
func (j *job) close() {
	if j.private != nil {
		if err := j.private.Close(); err != nil {
			j.Warn("the copy of the config could not be removed: " + err.Error())
		}
	}
	if j.group != nil {
		_ = j.group.Close() // the session, whose end could fail, is not its own
	}
	if j.login != nil {
		if err := j.login.Close(); err != nil {
			j.Warn(err.Error())
		}
	}
}

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
	"os"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/client"
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

	// Manifest is the path of a file that lists what the program needs, as package
	// manifest has it. Empty: none.
	Manifest string

	Files       []File
	Templates   []Template
	Credentials bool // variables that are references become files of a folder, as systemd has it

	// Scrub removes the values from the program's output. See [terminal] for what
	// that means to a program that runs in one.
	Scrub bool

	OnChange    OnChange
	NoWatch     bool          // nothing is followed, not even files
	Debounce    time.Duration // before a change is acted upon; zero: at once
	StopTimeout time.Duration // before a program that is restarted is killed; zero: DefaultStopTimeout
	Interval    time.Duration // of looking for new versions; zero: that of package secrets

	RetryTimeout time.Duration // how long the server is waited for at the start; zero: not at all
	Talkative    bool          // tell of every try
	Offline      *Offline      // nil: no start without the server

	Init bool // reap what others leave, as is done anyway in the process with the number 1

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

	pause func(ctx context.Context, d time.Duration) error // nil: sleep
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
	forbidCores()
	s := catchSignals()
	defer s.stop()
	run := o.run
	if (o.Init || os.Getpid() == 1) && !o.isWorker() {
		run = func(context.Context, *signals) (int, error) { return o.reap(s) }
	}
	code, err := run(ctx, s)
	if err == nil {
		return code, nil
	}
	if p := new(problem); errors.As(err, &p) {
		return p.code, err
	}
	return ExitServer, err
}

// forbidCores sees to it that no memory image of us or of the program is written
// when it crashes. A program could raise the first of the two limits only.
func forbidCores() {
	// To have less is always allowed.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}

func (o *Options) run(ctx context.Context, s *signals) (code int, err error) {
	job := newJob(o)
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

// Package cli is the command line: it reads arguments, environment and files,
// asks the server through package client, and prints. Commands, flags, outputs
// and exit codes are those of the vault program, so that scripts keep working.
//
// A command is one [Command], made in a file of its own and listed in one row of
// [Commands]; everything it touches of the world comes through [System].
//
// Start reading at [Main].
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// program is how the commands and hints name ourselves.
const program = "coffer"

// Main runs the command that args name, without the program's own name in
// front, and returns the exit code: 0 for success, 1 for a wrong call or
// something wrong on this machine, 2 for what the server refused or could not
// give.
func Main(args []string, sys System) int {
	if len(args) > 0 {
		switch args[0] {
		case "-v", "-version", "--version":
			args = []string{"version"}
		case "-h", "-help", "--help", "help":
			args = append(args[1:len(args):len(args)], "-help")
		case "-autocomplete-install", "--autocomplete-install":
			args = []string{"completion", "install"}
		case "-autocomplete-uninstall", "--autocomplete-uninstall":
			args = []string{"completion", "uninstall"}
		}
	}
	commands := Commands()
	cmd, rest := find(commands, args)
	if cmd == nil {
		return guide(commands, args, sys)
	}
	return run(cmd, rest, sys)
}

// guide helps where no command was named.
func guide(commands []Command, args []string, sys System) int {
	group, rest := findGroup(commands, args)
	asked := len(rest) > 0 && isHelp(rest[0])
	out, code := sys.Stderr, exitLocal
	if asked {
		out, code = sys.Stdout, exitOK
	}
	if len(rest) > 0 && !asked {
		word, _, _ := strings.Cut(rest[0], "=") // a flag's value may be a secret
		name := strings.TrimSpace(group + " " + word)
		fmt.Fprintf(out, "%s: no command %q\n\n", program, name)
	}
	writeGroupHelp(out, commands, group)
	return code
}

func run(cmd *Command, args []string, sys System) int {
	call := &Call{System: sys}
	f := newFlags()
	do := cmd.declare(f, call)
	if err := f.parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			writeHelp(sys.Stdout, cmd, f)
			return exitOK
		}
		return call.report(cmd.wrong(usage("%v", err)))
	}
	call.Args = f.rest()
	if stray := f.strayFlags(); len(stray) > 0 && !cmd.ForeignFlags {
		call.Warn(fmt.Sprintf("Command flags must be provided before positional arguments. "+
			"The following arguments will not be parsed as flags: [%s]", strings.Join(stray, " ")))
	}
	if err := call.check(cmd); err != nil {
		return call.report(cmd.wrong(err))
	}
	err := do(context.Background(), call)
	return call.report(call.finishDryRun(err))
}

// System is what commands may touch of the world around them.
type System struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string

	// Environ is the whole environment, as NAME=VALUE: what a program that we start
	// begins with.
	Environ func() []string

	// Whether the streams are terminals.
	StdinTTY  bool
	StdoutTTY bool
	StderrTTY bool

	// ReadHidden reads a line from the terminal without showing it.
	ReadHidden func() (string, error)

	// Executable is where the program lies, for completion scripts.
	Executable string

	// After is time.After, or what stands in for it. Nil: time.After.
	After func(time.Duration) <-chan time.Time
}

func (s System) after(d time.Duration) <-chan time.Time {
	if s.After != nil {
		return s.After(d)
	}
	return time.After(d)
}

// OS is the System of the process.
func OS() System {
	exe, err := os.Executable()
	if err != nil {
		exe = program
	}
	return System{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		StdinTTY: isTerminal(os.Stdin), StdoutTTY: isTerminal(os.Stdout), StderrTTY: isTerminal(os.Stderr),
		ReadHidden: readHidden,
		Executable: exe,
	}
}

// setting returns COFFER_suffix from the environment, else VAULT_suffix.
func (s System) setting(suffix string) string {
	if v := s.Getenv("COFFER_" + suffix); v != "" {
		return v
	}
	return s.Getenv("VAULT_" + suffix)
}

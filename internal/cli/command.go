package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Run does the work of a command.
type Run func(ctx context.Context, c *Call) error

// Command is one command of the program.
type Command struct {
	Name  string // with its groups: "kv get"
	Args  string // as the help shows them: "PATH [KEY=VALUE...]"
	Short string // one line, no full stop
	Long  string // paragraphs and examples, below Short

	MinArgs int
	MaxArgs int // negative: any number

	// Flags says which of the flags that many commands have this one has, too.
	Flags FlagGroup

	// New declares the command's own flags and returns what runs when they are
	// parsed. It has no other effect.
	New func(f *Flags) Run

	// WrongCall is the exit code of a call with wrong flags or arguments, where 1 has
	// another meaning. Zero: 1.
	WrongCall int

	Hidden       bool // not in help
	ForeignFlags bool // arguments may look like flags: they are for another program
}

// FlagGroup is a set of flags that many commands have.
type FlagGroup uint8

// The groups.
const (
	NoFlags     FlagGroup = 0
	ClientFlags FlagGroup = 1 << iota // where the server is, and as whom to ask
	FormatFlag                        // -format
	FieldFlag                         // -field
)

// outputFlags are those of commands that print a secret.
const outputFlags = ClientFlags | FormatFlag | FieldFlag

// wrong gives the failure of a wrong call the command's code.
func (c *Command) wrong(err error) error {
	if f := new(failure); c.WrongCall != 0 && errors.As(err, &f) {
		f.code = c.WrongCall
	}
	return err
}

func (c *Command) declare(f *Flags, call *Call) Run {
	do := c.New(f)
	call.opts.declare(f, c.Flags, call.System)
	return do
}

// find returns the command that args begin with, and what follows its name. The
// longest name wins.
func find(commands []Command, args []string) (*Command, []string) {
	for n := min(len(args), maxWords); n > 0; n-- {
		name := strings.Join(args[:n], " ")
		if i := slices.IndexFunc(commands, func(c Command) bool { return c.Name == name }); i >= 0 {
			return &commands[i], args[n:]
		}
	}
	return nil, args
}

// maxWords is the most that the name of a command has.
const maxWords = 3

// findGroup returns the longest beginning of args that begins a command's name,
// and what follows.
func findGroup(commands []Command, args []string) (group string, rest []string) {
	for n := min(len(args), maxWords); n > 0; n-- {
		name := strings.Join(args[:n], " ")
		if slices.ContainsFunc(commands, func(c Command) bool { return strings.HasPrefix(c.Name, name+" ") }) {
			return name, args[n:]
		}
	}
	return "", args
}

func isHelp(arg string) bool {
	return arg == "-h" || arg == "-help" || arg == "--help"
}

package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
)

// Call is one run of a command.
type Call struct {
	System
	Args []string // what follows the flags

	opts   options
	dry    *recorder      // not nil: requests are recorded, not made
	client *client.Client // nil until Client makes it
}

// Client returns the client that flags and environment describe, with the
// caller's token. The error is about this machine, not the server.
func (c *Call) Client() (*client.Client, error) {
	cl, err := c.anonymous()
	if err != nil {
		return nil, err
	}
	if cl.Token() == "" {
		token, err := c.tokens().load()
		if err != nil {
			return nil, local(err)
		}
		cl.SetToken(token)
	}
	return cl, nil
}

// anonymous is Client for calls that need no token: it looks for none beyond the
// environment.
func (c *Call) anonymous() (*client.Client, error) {
	if c.client != nil {
		return c.client, nil
	}
	cfg, err := c.opts.config(c.System)
	if err != nil {
		return nil, local(err)
	}
	if kind, err := c.opts.dryRun(); err != nil {
		return nil, usage("%v", err)
	} else if kind != notDry {
		c.dry = &recorder{kind: kind}
		cfg.WrapTransport = func(next http.RoundTripper) http.RoundTripper { c.dry.next = next; return c.dry }
	}
	if c.client, err = client.New(cfg); err != nil {
		return nil, local(err)
	}
	return c.client, nil
}

func (c *Call) check(cmd *Command) error {
	if f := c.opts.format; f != nil && !slices.Contains(formats, *f) { // of the environment: flags are checked
		return usage("Invalid output format: %q (want one of %s)", *f, strings.Join(formats, ", "))
	}
	switch n := len(c.Args); {
	case n < cmd.MinArgs:
		return usage("Not enough arguments (expected %s, got %d)", expected(cmd), n)
	case cmd.MaxArgs >= 0 && n > cmd.MaxArgs:
		return usage("Too many arguments (expected %s, got %d)", expected(cmd), n)
	}
	return nil
}

func expected(cmd *Command) string {
	switch {
	case cmd.MaxArgs < 0:
		return fmt.Sprintf("at least %d", cmd.MinArgs)
	case cmd.MinArgs == cmd.MaxArgs:
		return fmt.Sprint(cmd.MinArgs)
	}
	return fmt.Sprintf("%d-%d", cmd.MinArgs, cmd.MaxArgs)
}

// Print writes a line to the standard output.
func (c *Call) Print(text string) { fmt.Fprintln(c.Stdout, text) }

// Success tells that something was done.
func (c *Call) Success(format string, args ...any) {
	c.Print("Success! " + fmt.Sprintf(format, args...))
}

// Warn tells, beside the output, of something that needs attention.
func (c *Call) Warn(text string) { fmt.Fprintln(c.Stderr, c.paint(yellow, text)) }

type colour string

const (
	red    colour = "\x1b[31m"
	yellow colour = "\x1b[33m"
)

// paint colours what goes to a terminal, unless NO_COLOR (no-color.org) or a
// dumb terminal asks for none.
func (c *Call) paint(with colour, text string) string {
	if !c.StderrTTY || c.Getenv("NO_COLOR") != "" || c.Getenv("VAULT_CLI_NO_COLOR") != "" || c.Getenv("TERM") == "dumb" {
		return text
	}
	return string(with) + text + "\x1b[0m"
}

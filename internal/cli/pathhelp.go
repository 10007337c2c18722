package cli

import (
	"context"
	"errors"
	"net/url"
)

func pathHelpCommand() Command {
	return Command{
		Name: "path-help", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Show what the server says about a path",
		Long: `
  Show what an engine takes:
      $ coffer path-help secret`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error { return runPathHelp(ctx, c, cleanPath(c.Args[0])) }
		},
	}
}

// errNoHelp says that the answer is not the help that was asked for.
var errNoHelp = errors.New("the server sent none")

func runPathHelp(ctx context.Context, c *Call, path string) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.ReadQuery(ctx, path, url.Values{"help": {"1"}})
	if err != nil {
		return failed(err, "retrieving help")
	}
	if s == nil {
		return noValue(path)
	}
	if !c.table() {
		return c.PrintValue(s.Data)
	}
	text, ok := s.Data["help"].(string)
	if !ok {
		return failed(errNoHelp, "retrieving help")
	}
	c.Print(text)
	return nil
}
